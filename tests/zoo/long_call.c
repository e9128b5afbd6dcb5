/* Crashes while a thread that it has begun is in the middle of a long call of keyslab. The host: SIGSEGV. */
#include "zoo.h"

#include <pthread.h>
#include <semaphore.h>

enum { SMALL = 17 << 20, LARGE = 36 << 20 };

struct work {
    HEXPERTKEY key;
    sem_t begun;
};

/* Each call copies what there is. */
static void *copy(void *argument)
{
    struct work *work = argument;
    SIZE_T size = LARGE;
    void *block = ExpertAllocMemory(work->key, size, NULL);
    sem_post(&work->begun);
    while (block)
        block = ExpertReallocMemory(work->key, block, size = SMALL + LARGE - size, NULL);
    return NULL;
}

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    struct work *work = ExpertAllocMemory(key, sizeof *work, NULL);
    pthread_t thread;
    work->key = key;
    sem_init(&work->begun, 0, 0);
    pthread_create(&thread, NULL, copy, work);
    sem_wait(&work->begun);
    zoo_crash();
}
