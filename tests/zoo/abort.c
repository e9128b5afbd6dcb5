/* Calls abort. The host: SIGABRT. */
#include "zoo.h"

#include <stdlib.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    abort();
}
