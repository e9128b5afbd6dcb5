/*
 * Classic capture files: times in micro- or nanoseconds, either byte order, the older versions whose lengths are
 * the other way round, and Kuznetzov's modified format. https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap
 */
#ifndef CAPTURE_PCAP_FILE_H
#define CAPTURE_PCAP_FILE_H

#include "bytes.h"
#include "captured.h"
#include "input.h"
#include "read_error.h"
#include "ticks.h"

struct pcap_file {
    struct input *input;
    bool big;                                       /* big-endian */
    enum { KEPT, SWAPPED, SWAPPED_OR_NOT } lengths; /* captured length first; or last */
    size_t header;                                  /* bytes before each frame */
    uint16_t link;
    struct tick_clock clock;
    struct frame_bytes frame;
};

/* By the first four bytes. */
bool pcap_file_recognise(const uint8_t magic[4]);

/* False with an error. */
bool pcap_file_open(struct pcap_file *file, struct input *input, struct read_error *error);
enum capture_result pcap_file_next(struct pcap_file *file, struct captured *frame, struct read_error *error);
void pcap_file_close(struct pcap_file *file);

#endif
