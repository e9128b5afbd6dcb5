/* Where a history has the frames from: a file that is opened again, what the capture thread spools, or memory. */
#ifndef HOST_ORIGIN_H
#define HOST_ORIGIN_H

#include "history.h"

struct origin;

/* ORIGIN_AGAIN: the capture begins again, so no fragment waits for what comes. */
enum origin_result { ORIGIN_FRAME, ORIGIN_AGAIN, ORIGIN_WAIT, ORIGIN_END, ORIGIN_FAILED };

/* NULL where frames cannot be asked for again, or after a complaint. */
struct origin *origin_open(const struct history_options *options, const struct capture *capture);

/* The next frame: `offset` is what origin_read wants. Under the history's mutex. */
enum origin_result origin_next(struct origin *origin, struct captured *captured);

/* What has been given can be read from now on; false where it cannot. Under the history's mutex. */
bool origin_flush(struct origin *origin);

/* The bytes of a frame. Any thread. */
bool origin_read(const struct origin *origin, uint64_t offset, uint8_t *to, size_t size);

/* Frames of the run, 0 for all. */
uint64_t origin_most(const struct origin *origin);

/* In the child of a fork, which only reads. False with errno. */
bool origin_protect(struct origin *origin);

/* The capture thread's side of what is spooled; the origin may be NULL. */
void origin_note(struct origin *origin, const struct captured *captured);
void origin_send(struct origin *origin);
void origin_end(struct origin *origin);

void origin_close(struct origin *origin);

#endif
