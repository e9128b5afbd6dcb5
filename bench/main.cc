// One peer, every workload that it can do. The build gives the peer: one program each, so that none has another's libraries in it.

#include PEER

#include "workloads/batch.h"
#include "workloads/bulk.h"
#include "workloads/handoff.h"
#include "workloads/pair.h"

#include <dlfcn.h>

#include <cstdlib>

using namespace bench;

int main(int argc, char **argv)
{
    Plan plan;
    register_pair<Peer>(plan);
    register_batch<Peer>(plan);
    register_bulk<Peer>(plan);
    register_handoff<Peer>(plan);
    processors();
    Dl_info where;
    if (dladdr(reinterpret_cast<void *>(malloc), &where))
        benchmark::AddCustomContext("malloc", where.dli_fname);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
