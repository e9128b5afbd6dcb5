/* Never returns, whatever ExpertGetFrame says. The host: it ignored NMERR_EXPERT_TERMINATE, or the end of the frames. */
#include "zoo.h"

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    for (;;)
        zoo_next(key, &frame);
}
