/*
 * Frees another expert's block: loaded twice, the first that is configured has the block, and the other one frees it. The host:
 * one free of a block of another key, and with --strict that is a failure.
 */
#include "zoo.h"

static LPVOID lent;
static HEXPERTKEY lender;

NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags,
                                 HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    if (lent)
        return TRUE;
    lender = key;
    lent = ExpertAllocMemory(key, 100, NULL);
    return lent != NULL;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    while (!zoo_next(key, &frame))
        if (frame.FrameNumber == zoo_fault_frame() && key != lender)
            ExpertFreeMemory(key, lent);
    return TRUE;
}
