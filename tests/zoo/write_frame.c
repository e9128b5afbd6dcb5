/* Writes over the frame, which every expert reads. Only the host whose experts are processes stops it: SIGSEGV. */
#include "zoo.h"

#include <string.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key;
    memset(frame->pFrame->MacFrame, 0xff, frame->pFrame->nBytesAvail);
}
