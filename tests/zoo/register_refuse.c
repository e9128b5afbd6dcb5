/* Register returns FALSE. The host: it refused. */
#include "zoo.h"

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    (void)info;
    return FALSE;
}
