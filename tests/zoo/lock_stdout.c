/* Crashes with standard output locked, which the report needs. The host: SIGSEGV. */
#include "zoo.h"

#include <stdio.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    flockfile(stdout);
    zoo_crash();
}
