/* Writes beyond a block of malloc and frees it. Only the host whose experts are processes: the C library aborts. */
#include "zoo.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 24, BEYOND = 64 };

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    /* Volatile: compilers know what malloc gives, and leave out what nobody needs. */
    static volatile size_t bytes = BLOCK + BEYOND;
    static char *volatile blocks[2];
    blocks[0] = malloc(BLOCK);
    blocks[1] = malloc(BLOCK);
    memset(blocks[0], 0xff, bytes);
    free(blocks[1]);
    free(blocks[0]);
}
