/* Writes to where nothing is mapped. The host: SIGSEGV, wrote to the address. */
#include "zoo.h"

#include <sys/mman.h>

enum { PAGES = 1 << 20 };

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    volatile char *hole = mmap(NULL, PAGES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (hole != MAP_FAILED)
        hole[PAGES / 2] = 1;
}
