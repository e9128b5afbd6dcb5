/* Ends its thread behind the host's back. The host: it called pthread_exit. */
#include "zoo.h"

#include <pthread.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    pthread_exit(NULL);
}
