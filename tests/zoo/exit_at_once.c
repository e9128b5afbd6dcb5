/* Calls _exit(3). The host: it called _exit, status 3. */
#include "zoo.h"

#include <unistd.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    _exit(3);
}
