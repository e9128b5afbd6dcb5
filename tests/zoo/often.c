/* Crashes at every 50th frame. The host: SIGSEGV; where it is started again, it fails again. */
#include "zoo.h"

enum { EVERY = 50 };

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    while (!zoo_next(key, &frame))
        if (frame.FrameNumber % EVERY == 0)
            zoo_crash();
    return TRUE;
}
