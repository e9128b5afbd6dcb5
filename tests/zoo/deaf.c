/* Blocks every signal, and loops for ever. The host: one frame took too long. */
#include "zoo.h"

#include <pthread.h>
#include <signal.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;)
        __asm__ volatile("");
}
