/* What the host says of an expert's threads. */
#include "host.h"

#include "experts/threads.h"

DWORD WINAPI ExpertThreadCount(HEXPERTKEY key)
{
    if (!host_lane || host_lane->expert->key != (ks_key_t)key)
        return 0;
    return host_lane->expert->lanes_count;
}
