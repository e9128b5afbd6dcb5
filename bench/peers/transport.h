/* The ring without an allocator. */
#ifndef BENCH_PEERS_TRANSPORT_H
#define BENCH_PEERS_TRANSPORT_H

#include "transport-frames.h"

namespace bench
{

using Peer = TransportFrames<0>;

} // namespace bench

#endif
