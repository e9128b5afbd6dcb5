/* Frees memory of malloc. The host: one free of a foreign pointer, and with --strict that is a failure. */
#include "zoo.h"

#include <stdlib.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)frame;
    void *foreign = malloc(100);
    ExpertFreeMemory(key, foreign);
    free(foreign);
}
