/* Leaves ten blocks behind. The host: ten blocks left to the reset, and with --strict that is a failure. */
#include "zoo.h"

enum { BLOCKS = 10, BLOCK = 48 };

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    for (int i = 0; i < BLOCKS; i++)
        ExpertAllocMemory(key, BLOCK, NULL);
}
