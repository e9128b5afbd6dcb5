#include "bytes.h"

#include <stdlib.h>

enum { ROOM_FIRST = 1 << 18 };

static bool grow(struct frame_bytes *frame)
{
    size_t room = frame->room ? frame->room * 2 : ROOM_FIRST;
    uint8_t *bytes = realloc(frame->bytes, room);
    if (!bytes)
        return false;
    frame->bytes = bytes;
    frame->room = room;
    return true;
}

bool frame_bytes_read(struct frame_bytes *frame, struct input *input, size_t size, size_t *got)
{
    *got = 0;
    if (!frame->room && !grow(frame))
        return false;
    for (;;) {
        size_t most = size < frame->room ? size : frame->room;
        *got += input_read(input, frame->bytes + *got, most - *got);
        if (*got < most || *got == size)
            return true;
        if (!grow(frame))
            return false;
    }
}

void frame_bytes_free(struct frame_bytes *frame)
{
    free(frame->bytes);
}
