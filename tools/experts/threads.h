/*
 * How many threads run the expert: Network Monitor has one, and so no name for it. For experts that put together what
 * their threads found, which the last one to end can do.
 */
#ifndef EXPERTS_THREADS_H
#define EXPERTS_THREADS_H

#include <keyslab/netmon.h>

/* Of the host; inside Run. 0 for a key that is not the calling thread's. */
NETMON_API DWORD WINAPI ExpertThreadCount(HEXPERTKEY key);

#endif
