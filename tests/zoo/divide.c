/* Divides by zero. The host: SIGFPE. */
#include "zoo.h"

#include <signal.h>

void zoo_fault(HEXPERTKEY key, const EXPERTFRAMEDESCRIPTOR *frame)
{
    (void)key, (void)frame;
    static volatile int seven = 7;
    static volatile int zero;
    /* Some processors give a quotient. */
    if (seven / zero == 0)
        raise(SIGFPE);
}
