// One peer, every workload that it can do. The build gives the peer: one program each, so that none has another's
// libraries in it.
//
//     bench-PEER [--quick] [--seconds=N] [--sizes=SIZE:WEIGHT,...] [--capture=FILE] [--benchmark_...]
//     bench-PEER --print-sizes=FILE    a capture's frame sizes, as --sizes takes them

#include PEER

#include "memory.h"
#include "options.h"
#include "steady.h"
#include "workloads/aged.h"
#include "workloads/batch.h"
#include "workloads/bulk.h"
#include "workloads/churn.h"
#include "workloads/cold.h"
#include "workloads/flows.h"
#include "workloads/handoff.h"
#include "workloads/keys.h"
#include "workloads/pair.h"
#include "workloads/realloc.h"
#include "workloads/reset.h"
#include "workloads/scope.h"
#include "workloads/threads.h"
#include "workloads/ticktock.h"

#ifdef BENCH_CAPTURE
#include "recording.h"
#include "workloads/capture.h"
#endif

#include <dlfcn.h>

#include <cstdlib>

using namespace bench;

namespace
{

void register_all(const Plan &plan)
{
    register_cold<Peer>(plan); /* first: where one process does all rows, no memory was used before */
    register_pair<Peer>(plan);
    register_batch<Peer>(plan);
    register_bulk<Peer>(plan);
    register_handoff<Peer>(plan);
    register_churn<Peer>(plan);
    register_ticktock<Peer>(plan);
    register_scope<Peer>(plan);
    register_flows<Peer>(plan);
    register_reset<Peer>(plan);
    register_keys<Peer>(plan);
    register_threads<Peer>(plan);
    register_realloc<Peer>(plan);
    register_aged<Peer>(plan);
#ifdef BENCH_CAPTURE
    register_capture<Peer>(plan);
#endif
}

#ifdef BENCH_CAPTURE
int print_sizes(const std::string &path)
{
    puts(Recording(path).sizes().c_str());
    return 0;
}
#else
int print_sizes(const std::string &path)
{
    fprintf(stderr, "bench: %s: built without libpcap, which reads captures\n", path.c_str());
    return 2;
}
#endif

// The process's malloc has started before main, and is not charged for it in what is resident; so has every other peer.
template <Allocator A> void start_peer()
{
    A peer(Need{.size = 64, .live = 1});
    void *block = peer.allocate(64);
    require(block, "an allocation failed");
    if constexpr (A::frees)
        peer.release(block);
}

// Whose malloc it is that the program has: a library that could not be preloaded is only warned about by the loader.
void tell_malloc()
{
    Dl_info where;
    if (dladdr(reinterpret_cast<void *>(malloc), &where))
        benchmark::AddCustomContext("malloc", where.dli_fname);
}

} // namespace

int main(int argc, char **argv)
{
    start_peer<Peer>();
    memory_at_start();
    processors();
    std::vector<char *> arguments(argv, argv + argc);
    std::string min_time;
    Plan plan = plan_from(arguments, min_time);
    if (!plan.print_sizes.empty())
        return print_sizes(plan.print_sizes);
    seconds_reported = plan.seconds;
    register_all(plan);
    tell_malloc();
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data()))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
