/* Allocates for ever, whatever the answer is. The host: its quota is used up. */
#include "zoo.h"

enum { BLOCK = 4096 };

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    for (;;) {
        volatile char *block = ExpertAllocMemory(key, BLOCK, NULL);
        if (block)
            *block = 1;
    }
}
