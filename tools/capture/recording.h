/* All frames of a capture, in memory. */
#ifndef CAPTURE_RECORDING_H
#define CAPTURE_RECORDING_H

#include "capture.h"

struct recording {
    size_t count;
    struct captured *frames;
    uint8_t *bytes;
};

/* Reads to the end; CAPTURE_END, or CAPTURE_BROKEN with what came before. */
enum capture_result recording_read(struct recording *recording, struct capture *capture);
void recording_free(struct recording *recording);

#endif
