/* keyslab with the calls of keyslab/inline.h compiled in. */
#ifndef BENCH_PEERS_KEYSLAB_INLINE_H
#define BENCH_PEERS_KEYSLAB_INLINE_H

#include <keyslab/inline.h>

#include "keyslab.h"

#endif
