#include "config/config.h"

#include <stdlib.h>
#include <unistd.h>

const char *config_path(enum config_source *source)
{
    const char *path = secure_getenv("KEYSLAB_CONF");
    *source = SOURCE_NONE;
    if (path) {
        if (*path)
            *source = SOURCE_ENVIRONMENT;
        return *path ? path : NULL;
    }
    if (access(KS_CONFIG_SYSTEM, F_OK))
        return NULL;
    *source = SOURCE_SYSTEM;
    return KS_CONFIG_SYSTEM;
}
