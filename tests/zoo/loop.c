/* Loops for ever, and calls nothing. The host: one frame took too long. */
#include "zoo.h"

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    for (;;)
        __asm__ volatile("");
}
