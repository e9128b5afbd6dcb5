/* Frees a block twice. The host: one double free, and with --strict that is a failure. */
#include "zoo.h"

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    LPVOID block = ExpertAllocMemory(key, 100, NULL);
    ExpertFreeMemory(key, block);
    ExpertFreeMemory(key, block);
}
