/* Writes to address 8. The host: SIGSEGV, wrote to 0x8. */
#include "zoo.h"

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    zoo_crash();
}
