/* Returns FALSE, and has said why. The host: it gave up, and what it said. */
#include "zoo.h"

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    while (!zoo_next(key, &frame))
        if (frame.FrameNumber == zoo_fault_frame()) {
            ExpertIndicateStatus(key, EXPERTSTATUS_PROBLEM, 0, "no table of ports", 0);
            return FALSE;
        }
    return TRUE;
}
