/* Sends itself SIGKILL, which no process contains. The host whose experts are processes: it was killed. */
#include "zoo.h"

#include <signal.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    raise(SIGKILL);
}
