/*
 * pcapng files: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng. Each frame has the link type, the
 * snapshot length and the clock of its own interface, each section its own byte order and interfaces. Blocks
 * that hold no frame are skipped.
 */
#ifndef CAPTURE_PCAPNG_H
#define CAPTURE_PCAPNG_H

#include "bytes.h"
#include "captured.h"
#include "input.h"
#include "read_error.h"
#include "ticks.h"

struct pcapng_interface {
    uint16_t link;
    uint32_t snapshot; /* most bytes of a frame that are captured; 0 for all */
    struct tick_clock clock;
};

struct pcapng {
    struct input *input;
    /* the section */
    bool big; /* big-endian */
    size_t interfaces_count;
    struct pcapng_interface *interfaces;
    /* the block that is read */
    uint64_t offset;
    uint32_t type;
    uint32_t total; /* its length */
    uint32_t left;  /* of that, before the length's second copy */
    int64_t time;   /* of the last frame that has one */
    struct frame_bytes frame;
};

/* By the first four bytes. */
bool pcapng_recognise(const uint8_t magic[4]);

/* False with an error. */
bool pcapng_open(struct pcapng *pcapng, struct input *input, struct read_error *error);
enum capture_result pcapng_next(struct pcapng *pcapng, struct captured *frame, struct read_error *error);
void pcapng_close(struct pcapng *pcapng);

#endif
