/* Recurses without end. The host: SIGSEGV, the stack is used up. */
#include "zoo.h"

#include <stddef.h>

enum { ROOM = 256 };

static size_t descend(size_t depth)
{
    volatile char room[ROOM];
    room[depth % ROOM] = 1;
    return depth ? descend(depth + 1) + (size_t)room[0] : 0;
}

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    descend(1);
}
