/* Frames from a capture file (pcap or pcapng, plain or gzip) or a live interface. */
#ifndef TOOLS_CAPTURE_H
#define TOOLS_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;

struct captured {
    int64_t time;      /* microseconds since 1970 */
    uint32_t length;   /* on the wire */
    uint32_t captured; /* in `bytes`, which are good until the next call */
    uint16_t link;     /* link type, LINKTYPE_ in capture files */
    const uint8_t *bytes;
};

enum capture_result { CAPTURE_FRAME, CAPTURE_QUIET, CAPTURE_END, CAPTURE_BROKEN };

/*
 * Opens a file, or where there is none of that name an interface. `filter` is a pcap filter, or NULL. NULL
 * after a complaint.
 */
struct capture *capture_open(const char *source, const char *filter);
bool capture_is_live(const struct capture *capture);
const char *capture_name(const struct capture *capture);

/*
 * The next frame. CAPTURE_QUIET: none has come for a while, on an interface. CAPTURE_BROKEN, after a
 * complaint that names the frame: what came before is good.
 */
enum capture_result capture_next(struct capture *capture, struct captured *frame);

/* Makes capture_next answer CAPTURE_END soon; may be called from a signal handler. */
void capture_stop(struct capture *capture);

/* Frames that the kernel or the interface dropped, on an interface. */
uint64_t capture_dropped(struct capture *capture);

void capture_close(struct capture *capture);

/* ------------------------------------------------------------------ all of a file in memory */

struct recording {
    size_t count;
    struct captured *frames;
    uint8_t *bytes;
};

/* Reads to the end; CAPTURE_END, or CAPTURE_BROKEN with what came before. */
enum capture_result recording_read(struct recording *recording, struct capture *capture);
void recording_free(struct recording *recording);

#endif
