/* Calls exit(3). The host: it called exit, status 3. */
#include "zoo.h"

#include <stdlib.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    exit(3);
}
