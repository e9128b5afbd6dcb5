/* Frames from a capture file (pcap or pcapng; plain, gzip or zstd) or a live interface. */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include "captured.h"
#include "input.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;
struct packet_group;

/*
 * Opens a file, "-" for standard input, or where there is no file of that name an interface. `filter` is a pcap
 * filter, or NULL. NULL after a complaint.
 */
struct capture *capture_open(const char *source, const char *filter);

/* The same, an interface for so many readers. */
struct capture *capture_open_readers(const char *source, const char *filter, unsigned readers);

/* Of an input at its beginning, which is closed with the capture, and also where it cannot be opened. */
struct capture *capture_open_input(struct input *input, const char *filter);

/* Of a file that is read a second time: complains of nothing. */
void capture_be_quiet(struct capture *capture);

bool capture_is_live(const struct capture *capture);

/* The sockets of an interface that has several readers, who do what capture_next does for one; else NULL. */
struct packet_group *capture_group(const struct capture *capture);

/* Whether its file can be opened again, and its bytes then lie where captured.offset says. */
bool capture_can_reopen(const struct capture *capture);
bool capture_is_compressed(const struct capture *capture);

const char *capture_name(const struct capture *capture);

/*
 * The next frame. CAPTURE_QUIET: none has come for a while, on an interface or a pipe. CAPTURE_BROKEN, after a
 * complaint that names the frame: what came before is good.
 */
enum capture_result capture_next(struct capture *capture, struct captured *frame);

/* Makes capture_next answer CAPTURE_END soon; may be called from a signal handler. */
void capture_stop(struct capture *capture);

/* Frames that the kernel or the interface dropped, on an interface. */
uint64_t capture_dropped(struct capture *capture);

/* Complains of frames that came of link types which nothing can be decoded of. */
void capture_name_unknown_links(const struct capture *capture);

void capture_close(struct capture *capture);

#endif
