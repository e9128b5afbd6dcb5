/* Loops for ever in Configure, with a block. The host: it took too long, outside of frames. */
#include "zoo.h"

NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags,
                                 HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    ExpertAllocMemory(key, 100, NULL);
    for (;;)
        __asm__ volatile("");
}
