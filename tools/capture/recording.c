#include "recording.h"

#include "command.h"

#include <stdlib.h>
#include <string.h>

/* `array`, with room for `wanted` bytes: twice as many when it has to grow. NULL without memory; it is there
 * then. */
static void *grow(void *array, size_t *room, size_t wanted)
{
    if (array && wanted <= *room)
        return array;
    void *grown = realloc(array, wanted * 2);
    if (grown)
        *room = wanted * 2;
    return grown;
}

/* Room for one more frame, and for its bytes behind those of the others. */
static bool recording_grow(struct recording *recording, size_t rooms[2], size_t bytes)
{
    void *frames = grow(recording->frames, &rooms[0], (recording->count + 1) * sizeof *recording->frames);
    if (!frames)
        return false;
    recording->frames = frames;
    void *grown = grow(recording->bytes, &rooms[1], bytes + 1);
    if (!grown)
        return false;
    recording->bytes = grown;
    return true;
}

enum capture_result recording_read(struct recording *recording, struct capture *capture)
{
    *recording = (struct recording){0};
    size_t rooms[2] = {0};
    size_t used = 0;
    struct captured frame = {0};
    enum capture_result result;
    while ((result = capture_next(capture, &frame)) <= CAPTURE_QUIET) {
        if (result == CAPTURE_QUIET)
            continue;
        if (!recording_grow(recording, rooms, used + frame.captured)) {
            complain("%s: out of memory at frame %zu", capture_name(capture), recording->count + 1);
            result = CAPTURE_BROKEN;
            break;
        }
        memcpy(recording->bytes + used, frame.bytes, frame.captured);
        used += frame.captured;
        recording->frames[recording->count++] = frame;
    }
    /* The bytes have found their place: now the frames can point to them. */
    used = 0;
    for (size_t i = 0; i < recording->count; i++) {
        recording->frames[i].bytes = recording->bytes + used;
        /* The analyzer takes what realloc has moved for uninitialised. */
        used += recording->frames[i].captured; /* NOLINT(clang-analyzer-core.uninitialized.Assign) */
    }
    return result;
}

void recording_free(struct recording *recording)
{
    free(recording->frames);
    free(recording->bytes);
}
