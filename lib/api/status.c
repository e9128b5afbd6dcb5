#include "keyslab/keyslab.h"

const char *ks_strerror(ks_status status)
{
    static const char *const text[] = {
        [KS_OK] = "success",
        [KS_NO_MEMORY] = "out of memory",
        [KS_QUOTA] = "the key's quota is used up",
        [KS_TERMINATED] = "the key is terminated",
        [KS_BAD_KEY] = "no such key",
        [KS_BAD_BLOCK] = "not a block of this library",
        [KS_WRONG_KEY] = "a block of another key",
        [KS_DOUBLE_FREE] = "a block that is free already",
        [KS_STALE] = "a block that a reset has dropped",
        [KS_TOO_LARGE] = "the size is too large",
        [KS_INVALID] = "invalid argument",
        [KS_DAMAGED] = "a free block that was written to",
    };
    size_t index = (size_t)status;
    return index < sizeof text / sizeof *text ? text[index] : "unknown status";
}

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

const char *ks_version(void)
{
    return TEXT(KS_VERSION_MAJOR) "." TEXT(KS_VERSION_MINOR) "." TEXT(KS_VERSION_PATCH);
}
