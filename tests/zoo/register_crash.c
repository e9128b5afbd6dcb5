/* Crashes in Register. The host: SIGSEGV, outside of frames. */
#include "zoo.h"

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    (void)info;
    zoo_crash();
    return TRUE;
}
