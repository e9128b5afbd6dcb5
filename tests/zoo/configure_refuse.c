/* Configure returns FALSE, and leaves a block. The host: it refused. */
#include "zoo.h"

NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags,
                                 HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    ExpertAllocMemory(key, 100, NULL);
    return FALSE;
}
