/* One frame of a capture, and how reading it ends. */
#ifndef CAPTURE_CAPTURED_H
#define CAPTURE_CAPTURED_H

#include <stdint.h>

struct captured {
    int64_t time;      /* microseconds since 1970 */
    uint32_t length;   /* on the wire */
    uint32_t captured; /* in `bytes`, which are good until the next call */
    uint16_t link;     /* link type, LINKTYPE_ in capture files */
    uint64_t offset;   /* of a file: where in its contents the bytes lie */
    const uint8_t *bytes;
};

enum capture_result { CAPTURE_FRAME, CAPTURE_QUIET, CAPTURE_END, CAPTURE_BROKEN };

#endif
