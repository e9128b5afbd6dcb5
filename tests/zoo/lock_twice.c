/* Waits for a mutex that it has itself. The host: one frame took too long. */
#include "zoo.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&mutex);
}
