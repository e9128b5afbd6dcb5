/*
 * The recording of this process: ks_trace_start, ks_trace_stop, the config's `trace file`, and the end of the program. Which keys
 * it is of.
 */
#ifndef LIB_TRACING_H
#define LIB_TRACING_H

#include "config/settings.h"

/*
 * The number of a key in traces, which is to be created with these settings; 0 where it is not traced. The first traced key begins
 * the recording that the config file asks for.
 */
uint32_t tracing_key(const struct settings *settings);

#endif
