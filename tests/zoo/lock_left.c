/* Crashes with a mutex locked that each of its threads then waits for. The host: SIGSEGV. */
#include "zoo.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    while (!zoo_next(key, &frame)) {
        pthread_mutex_lock(&mutex);
        if (frame.FrameNumber == zoo_fault_frame())
            zoo_crash();
        pthread_mutex_unlock(&mutex);
    }
    return TRUE;
}
