/* Reads beyond the end of a file that it has mapped. The host: SIGBUS. */
#include "zoo.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    int empty = memfd_create("empty", 0);
    volatile char *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, empty, 0);
    if (page != MAP_FAILED)
        (void)page[0];
}
