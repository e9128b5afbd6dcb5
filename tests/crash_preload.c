/* A peer for tools/bench that ends every program it is loaded into. */

#include <stdlib.h>

__attribute__((constructor)) static void crash(void)
{
    abort();
}
