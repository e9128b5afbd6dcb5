/* Frames from an interface: by libpcap, or by several packet sockets for as many threads. */
#ifndef CAPTURE_LIVE_H
#define CAPTURE_LIVE_H

#include "captured.h"
#include "read_error.h"

#include <stdbool.h>

struct live;
struct packet_group;

/* `filter` may be NULL. Of more than one reader, one after a complaint where the system has no more. NULL after a complaint. */
struct live *live_open(const char *name, const char *filter, unsigned readers);

/* The sockets for several readers, each of which has a thread; NULL where there is one, for live_next. */
struct packet_group *live_group(const struct live *live);
enum capture_result live_next(struct live *live, struct captured *frame, struct read_error *error);
void live_stop(struct live *live);
uint64_t live_dropped(struct live *live);
void live_close(struct live *live);

#endif
