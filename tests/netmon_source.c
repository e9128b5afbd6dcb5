/* A source as it would have been written for Netmon.h: compiled against the installed header, unchanged. */
#include <netmon.h>

#include <string.h>

typedef struct _TALLY {
    DWORD Frames;
    SIZE_T Bytes;
} TALLY, *PTALLY;

BOOL WINAPI Tally(HEXPERTKEY hExpertKey, LPVOID pFrame, SIZE_T nFrame, PTALLY *ppTally);

BOOL WINAPI Tally(HEXPERTKEY hExpertKey, LPVOID pFrame, SIZE_T nFrame, PTALLY *ppTally)
{
    DWORD Error = NMERR_SUCCESS;
    LPBYTE pCopy;

    if (*ppTally == NULL) {
        *ppTally = ExpertAllocMemory(hExpertKey, sizeof(TALLY), &Error);
        if (Error == NMERR_EXPERT_TERMINATE || *ppTally == NULL)
            return FALSE;
        memset(*ppTally, 0, sizeof(TALLY));
    }
    pCopy = ExpertAllocMemory(hExpertKey, nFrame, &Error);
    if (pCopy == NULL)
        return FALSE;
    memcpy(pCopy, pFrame, nFrame);
    pCopy = ExpertReallocMemory(hExpertKey, pCopy, 2 * nFrame, &Error);
    if (pCopy == NULL)
        return FALSE;
    (*ppTally)->Frames++;
    (*ppTally)->Bytes += ExpertMemorySize(hExpertKey, pCopy);
    return ExpertFreeMemory(hExpertKey, pCopy) == NMERR_SUCCESS ? TRUE : FALSE;
}
