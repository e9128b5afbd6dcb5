/* Nothing of its own: a reference that brings libjemalloc.so into the program. */
#include <jemalloc/jemalloc.h>

__attribute__((used)) static int (*const needed)(const char *, void *, size_t *, void *, size_t) = mallctl;
