/* Crashes with many blocks: 10,000 of all sizes, and some large ones. The host: SIGSEGV, and all of them are recovered. */
#include "zoo.h"

enum { BLOCKS = 10000, SMALLEST = 16, SIZES = 3000, LARGE = 16, LARGE_BYTES = 1 << 20 };

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    for (int i = 0; i < BLOCKS; i++)
        ExpertAllocMemory(key, SMALLEST + (SIZE_T)i * 7 % SIZES, NULL);
    for (int i = 0; i < LARGE; i++)
        ExpertAllocMemory(key, LARGE_BYTES, NULL);
    zoo_crash();
}
