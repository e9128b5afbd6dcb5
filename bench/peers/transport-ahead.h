/*
 * The ring without an allocator, a burst of frames prefetched: the producer does not wait for the line that the worker
 * has read.
 */
#ifndef BENCH_PEERS_TRANSPORT_AHEAD_H
#define BENCH_PEERS_TRANSPORT_AHEAD_H

#include "transport-frames.h"

namespace bench
{

using Peer = TransportFrames<31>;

} // namespace bench

#endif
