/* Loops for ever in Register. The host: it took too long, outside of frames. */
#include "zoo.h"

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    (void)info;
    for (;;)
        __asm__ volatile("");
}
