/* Reads from a pipe that nobody writes to: blocked in the kernel for ever. The host: one frame took too long. */
#include "zoo.h"

#include <unistd.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    int ends[2];
    char byte;
    while (!pipe(ends))
        while (read(ends[0], &byte, 1) <= 0)
            ;
}
