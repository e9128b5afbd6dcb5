/* What jemalloc in libkeyslab-jemalloc finds set when it starts. */
#include <stdbool.h>

/*
 * It serves slabs and large blocks only: thread caches would keep memory for threads that never come back, and automatic arenas
 * nobody uses.
 */
extern const char *keyslab_je_malloc_conf;
const char *keyslab_je_malloc_conf = "narenas:1,tcache:false,muzzy_decay_ms:0";

/*
 * Off before jemalloc's own constructor reads it: for the sake of unaligned blocks, of which there are none, it would lengthen each by a
 * page, and two slabs could not be neighbours. Half of every huge page would lie idle. docs/jemalloc.md.
 */
extern bool keyslab_je_opt_cache_oblivious;

__attribute__((constructor(101))) static void slabs_join(void)
{
    keyslab_je_opt_cache_oblivious = false;
}
