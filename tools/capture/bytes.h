/* Fields of capture files in either byte order, and room for a frame. */
#ifndef CAPTURE_BYTES_H
#define CAPTURE_BYTES_H

#include "input.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const uint8_t *bytes, bool big)
{
    return (uint16_t)(big ? bytes[0] << 8 | bytes[1] : bytes[1] << 8 | bytes[0]);
}

static inline uint32_t bytes_get32(const uint8_t *bytes, bool big)
{
    uint32_t first = bytes_get16(bytes, big);
    uint32_t second = bytes_get16(bytes + 2, big);
    return big ? first << 16 | second : second << 16 | first;
}

static inline uint64_t bytes_get64(const uint8_t *bytes, bool big)
{
    uint64_t first = bytes_get32(bytes, big);
    uint64_t second = bytes_get32(bytes + 4, big);
    return big ? first << 32 | second : second << 32 | first;
}

/* Of the frame that was read last. */
struct frame_bytes {
    uint8_t *bytes;
    size_t room;
};

/*
 * Reads a frame's bytes; *got says how many there were. The room grows with what comes, not with a length that
 * may be damaged. False without memory.
 */
bool frame_bytes_read(struct frame_bytes *frame, struct input *input, size_t size, size_t *got);
void frame_bytes_free(struct frame_bytes *frame);

#endif
