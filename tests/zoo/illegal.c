/* Runs into an instruction that is none. The host: SIGILL. */
#include "zoo.h"

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    __builtin_trap();
}
