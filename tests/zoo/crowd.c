/* Crashes on several threads at once: on each that Run is called on, with three more that it has begun. The host: SIGSEGV. */
#include "zoo.h"

#include <pthread.h>

enum { MORE = 3 };

static void *crash_together(void *barrier)
{
    pthread_barrier_wait(barrier);
    zoo_crash();
    return NULL;
}

static void crash_in_crowd(HEXPERTKEY key)
{
    pthread_barrier_t *barrier = ExpertAllocMemory(key, sizeof *barrier, NULL);
    pthread_t threads[MORE];
    /* The others may have crashed already, and with them the key is gone. */
    if (!barrier)
        return;
    pthread_barrier_init(barrier, NULL, MORE + 1);
    for (int i = 0; i < MORE; i++)
        pthread_create(&threads[i], NULL, crash_together, barrier);
    crash_together(barrier);
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR frame;
    while (!zoo_next(key, &frame))
        if (frame.FrameNumber >= zoo_fault_frame())
            crash_in_crowd(key);
    return TRUE;
}
