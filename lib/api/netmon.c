/* Network Monitor's four memory functions, over the native interface. */
#include "keyslab/netmon.h"
#include "keyslab/keyslab.h"

static DWORD error_of(ks_status status)
{
    switch (status) {
    case KS_OK:
        return NMERR_SUCCESS;
    case KS_NO_MEMORY:
    case KS_QUOTA:
        return NMERR_OUT_OF_MEMORY;
    case KS_TERMINATED:
        return NMERR_EXPERT_TERMINATE;
    case KS_BAD_KEY:
        return NMERR_INVALID_EXPERT_HANDLE;
    case KS_TOO_LARGE:
        return NMERR_OUT_OF_RANGE;
    case KS_BAD_BLOCK:
    case KS_WRONG_KEY:
    case KS_DOUBLE_FREE:
    case KS_STALE:
    case KS_INVALID:
    case KS_DAMAGED:
        break;
    }
    return NMERR_INVALID_PARAMETER;
}

static LPVOID result_of(void *block, ks_status status, LPDWORD error)
{
    if (error)
        *error = error_of(status);
    return block;
}

LPVOID WINAPI ExpertAllocMemory(HEXPERTKEY hExpertKey, SIZE_T nBytes, LPDWORD pError)
{
    ks_status status;
    void *block = ks_alloc((ks_key_t)hExpertKey, nBytes, &status);
    return result_of(block, status, pError);
}

LPVOID WINAPI ExpertReallocMemory(HEXPERTKEY hExpertKey, LPVOID pOriginalMemory, SIZE_T nBytes, LPDWORD pError)
{
    ks_status status;
    void *block = ks_realloc((ks_key_t)hExpertKey, pOriginalMemory, nBytes, &status);
    return result_of(block, status, pError);
}

SIZE_T WINAPI ExpertFreeMemory(HEXPERTKEY hExpertKey, LPVOID pMemory)
{
    return error_of(ks_free((ks_key_t)hExpertKey, pMemory));
}

SIZE_T WINAPI ExpertMemorySize(HEXPERTKEY hExpertKey, LPVOID pOriginalMemory)
{
    return ks_size((ks_key_t)hExpertKey, pOriginalMemory);
}
