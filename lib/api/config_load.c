/* ks_config_load. */
#include "config/current.h"
#include "core/start.h"

ks_status ks_config_load(const char *path, ks_config_error *tell, void *context)
{
    return library_start() ? current_load(path, tell, context) : KS_NO_MEMORY;
}
