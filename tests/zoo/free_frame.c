/* Frees the host's frame. The host: one free of a block of another key, and with --strict that is a failure. */
#include "zoo.h"

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    ExpertFreeMemory(key, frame->hFrame);
}
