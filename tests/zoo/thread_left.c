/* Leaves a thread behind that works with the key's memory without end. The host: a thread was running when Run had returned. */
#include "zoo.h"

#include <pthread.h>

static void *work(void *key)
{
    for (;;) {
        volatile char *block = ExpertAllocMemory(key, 100, NULL);
        if (block)
            *block = 1;
        ExpertFreeMemory(key, (LPVOID)block);
    }
    return NULL;
}

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    pthread_t thread;
    pthread_create(&thread, NULL, work, key);
}
