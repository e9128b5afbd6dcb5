#include "pcapng.h"

#include "link.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 2, /* obsolete */
    BLOCK_SIMPLE_PACKET = 3,
    BLOCK_ENHANCED_PACKET = 6,
    BLOCK_SECTION = 0x0a0d0d0a, /* the same in both byte orders */
};

enum { OPTION_END = 0, OPTION_RESOLUTION = 9, OPTION_OFFSET = 14 };

enum { HEADER = 8, TRAILER = 4, SECTION = 16, INTERFACE = 8, PACKET = 20, SIMPLE_PACKET = 4, OPTION = 4 };

/* The longest frame of any link type, and as much as the options of a block can be expected to have. */
enum { BLOCK_MOST = (128 << 20) + (1 << 20) };

#define BYTE_ORDER_MAGIC 0x1a2b3c4du

bool pcapng_recognise(const uint8_t magic[4])
{
    return bytes_get32(magic, false) == BLOCK_SECTION;
}

/* ------------------------------------------------------------------ blocks */

static bool truncated(const struct pcapng *pcapng, struct read_error *error)
{
    read_error_set(error, "the block at offset %" PRIu64 " is truncated: %" PRIu64 " bytes of it are there",
                   pcapng->offset, input_offset(pcapng->input) - pcapng->offset);
    return false;
}

static bool damaged(const struct pcapng *pcapng, struct read_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool damaged(const struct pcapng *pcapng, struct read_error *error, const char *format, ...)
{
    char what[120];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    read_error_set(error, "the block at offset %" PRIu64 " is damaged: %s", pcapng->offset, what);
    return false;
}

/* The next bytes of the block. */
static bool block_read(struct pcapng *pcapng, uint8_t *to, size_t size, struct read_error *error)
{
    if (size > pcapng->left) {
        damaged(pcapng, error, "it is too short for its kind");
        return false;
    }
    pcapng->left -= (uint32_t)size;
    return input_read(pcapng->input, to, size) == size || truncated(pcapng, error);
}

static bool block_skip(struct pcapng *pcapng, uint32_t size, struct read_error *error)
{
    pcapng->left -= size;
    return input_skip(pcapng->input, size) == size || truncated(pcapng, error);
}

/* Lengths are multiples of four; some programs do not count the padding. */
static bool take_total(struct pcapng *pcapng, const uint8_t *field, uint32_t least, struct read_error *error)
{
    pcapng->total = bytes_get32(field, pcapng->big);
    if (pcapng->total < least || pcapng->total > BLOCK_MOST)
        return damaged(pcapng, error, "its length is %" PRIu32 " bytes", pcapng->total);
    pcapng->left = (pcapng->total + 3) / 4 * 4 - HEADER - TRAILER;
    return true;
}

/* A section begins: its byte order goes for its block's length, too. */
static bool section_begin(struct pcapng *pcapng, const uint8_t *length, struct read_error *error)
{
    uint8_t fields[SECTION];
    pcapng->interfaces_count = 0;
    if (input_read(pcapng->input, fields, sizeof fields) < sizeof fields)
        return truncated(pcapng, error);
    uint32_t magic = bytes_get32(fields, false);
    pcapng->big = bytes_get32(fields, true) == BYTE_ORDER_MAGIC;
    if (!pcapng->big && magic != BYTE_ORDER_MAGIC)
        return damaged(pcapng, error, "its byte-order magic is 0x%08" PRIx32, magic);
    uint16_t major = bytes_get16(fields + 4, pcapng->big);
    uint16_t minor = bytes_get16(fields + 6, pcapng->big);
    if (major != 1 || (minor != 0 && minor != 2))
        return read_error_set(error, "the section at offset %" PRIu64 " has version %u.%u, which is not supported",
                              pcapng->offset, major, minor);
    if (!take_total(pcapng, length, HEADER + SECTION + TRAILER, error))
        return false;
    pcapng->left -= SECTION;
    return true;
}

/* False at the end, and with an error. */
static bool block_begin(struct pcapng *pcapng, struct read_error *error)
{
    uint8_t header[HEADER];
    pcapng->offset = input_offset(pcapng->input);
    size_t got = input_read(pcapng->input, header, sizeof header);
    if (!got)
        return false;
    if (got < sizeof header)
        return truncated(pcapng, error);
    pcapng->type = bytes_get32(header, pcapng->big);
    if (pcapng->type == BLOCK_SECTION)
        return section_begin(pcapng, header + 4, error);
    return take_total(pcapng, header + 4, HEADER + TRAILER, error);
}

/* What has not been read of the block; its length stands once more at its end. */
static bool block_end(struct pcapng *pcapng, struct read_error *error)
{
    uint8_t trailer[TRAILER];
    if (!block_skip(pcapng, pcapng->left, error))
        return false;
    if (input_read(pcapng->input, trailer, sizeof trailer) < sizeof trailer)
        return truncated(pcapng, error);
    uint32_t again = bytes_get32(trailer, pcapng->big);
    return again == pcapng->total ||
           damaged(pcapng, error, "its length is %" PRIu32 " bytes at its beginning and %" PRIu32 " at its end",
                   pcapng->total, again);
}

/* ------------------------------------------------------------------ interfaces */

static bool take_option(struct pcapng *pcapng, struct pcapng_interface *interface, uint16_t code, uint16_t length,
                        struct read_error *error)
{
    uint8_t value[8];
    if (code == OPTION_RESOLUTION && length == 1) {
        if (!block_read(pcapng, value, 1, error))
            return false;
        interface->clock.resolution = value[0];
        return block_skip(pcapng, 3, error);
    }
    if (code == OPTION_OFFSET && length == sizeof value) {
        if (!block_read(pcapng, value, sizeof value, error))
            return false;
        interface->clock.offset = (int64_t)bytes_get64(value, pcapng->big);
        return true;
    }
    return block_skip(pcapng, (length + 3u) / 4 * 4, error);
}

static bool read_options(struct pcapng *pcapng, struct pcapng_interface *interface, struct read_error *error)
{
    while (pcapng->left >= OPTION) {
        uint8_t option[OPTION];
        if (!block_read(pcapng, option, sizeof option, error))
            return false;
        uint16_t code = bytes_get16(option, pcapng->big);
        uint16_t length = bytes_get16(option + 2, pcapng->big);
        if (code == OPTION_END)
            return true;
        if ((length + 3u) / 4 * 4 > pcapng->left)
            return damaged(pcapng, error, "an option is longer than the block");
        if (!take_option(pcapng, interface, code, length, error))
            return false;
    }
    return true;
}

static struct pcapng_interface *add_interface(struct pcapng *pcapng)
{
    size_t count = pcapng->interfaces_count;
    /* Powers of two: room is made when the count reaches one. */
    if (!(count & (count - 1))) {
        void *interfaces = realloc(pcapng->interfaces, (count ? count * 2 : 1) * sizeof *pcapng->interfaces);
        if (!interfaces)
            return NULL;
        pcapng->interfaces = interfaces;
    }
    return &pcapng->interfaces[pcapng->interfaces_count++];
}

static bool read_interface(struct pcapng *pcapng, struct read_error *error)
{
    uint8_t fields[INTERFACE];
    if (!block_read(pcapng, fields, sizeof fields, error))
        return false;
    struct pcapng_interface *interface = add_interface(pcapng);
    if (!interface)
        return read_error_set(error, "out of memory");
    *interface = (struct pcapng_interface){
        .link = bytes_get16(fields, pcapng->big),
        .snapshot = bytes_get32(fields + 4, pcapng->big),
        .clock.resolution = TICKS_MICROSECONDS,
    };
    return read_options(pcapng, interface, error);
}

/* ------------------------------------------------------------------ frames */

static const struct pcapng_interface *interface_of(struct pcapng *pcapng, uint32_t number, struct read_error *error)
{
    if (number < pcapng->interfaces_count)
        return &pcapng->interfaces[number];
    damaged(pcapng, error, "its interface is number %" PRIu32 ", and its section has %zu", number,
            pcapng->interfaces_count);
    return NULL;
}

static bool read_frame_bytes(struct pcapng *pcapng, struct captured *frame, struct read_error *error)
{
    size_t got;
    if (frame->captured > pcapng->left || frame->captured > link_frame_most(frame->link))
        return damaged(pcapng, error, "%" PRIu32 " bytes captured, in a block of %" PRIu32, frame->captured,
                       pcapng->total);
    pcapng->left -= frame->captured;
    frame->offset = input_offset(pcapng->input);
    if (!frame_bytes_read(&pcapng->frame, pcapng->input, frame->captured, &got))
        return read_error_set(error, "out of memory");
    frame->bytes = pcapng->frame.bytes;
    return got == frame->captured || truncated(pcapng, error);
}

static bool read_packet(struct pcapng *pcapng, struct captured *frame, struct read_error *error)
{
    uint8_t fields[PACKET];
    if (!block_read(pcapng, fields, sizeof fields, error))
        return false;
    bool enhanced = pcapng->type == BLOCK_ENHANCED_PACKET;
    uint32_t number = enhanced ? bytes_get32(fields, pcapng->big) : bytes_get16(fields, pcapng->big);
    const struct pcapng_interface *interface = interface_of(pcapng, number, error);
    if (!interface)
        return false;
    /* The halves of the time stand in this order in both byte orders. */
    uint64_t ticks = (uint64_t)bytes_get32(fields + 4, pcapng->big) << 32 | bytes_get32(fields + 8, pcapng->big);
    *frame = (struct captured){
        .time = ticks_time(&interface->clock, ticks),
        .captured = bytes_get32(fields + 12, pcapng->big),
        .length = bytes_get32(fields + 16, pcapng->big),
        .link = interface->link,
    };
    pcapng->time = frame->time;
    return read_frame_bytes(pcapng, frame, error);
}

/* Of the first interface, and without a time of its own: what was not cut off is there. */
static bool read_simple_packet(struct pcapng *pcapng, struct captured *frame, struct read_error *error)
{
    uint8_t fields[SIMPLE_PACKET];
    if (!block_read(pcapng, fields, sizeof fields, error))
        return false;
    const struct pcapng_interface *interface = interface_of(pcapng, 0, error);
    if (!interface)
        return false;
    uint32_t length = bytes_get32(fields, pcapng->big);
    *frame = (struct captured){
        .time = pcapng->time,
        .captured = interface->snapshot && interface->snapshot < length ? interface->snapshot : length,
        .length = length,
        .link = interface->link,
    };
    return read_frame_bytes(pcapng, frame, error);
}

/* ------------------------------------------------------------------ all */

/* One block; CAPTURE_QUIET where it holds no frame. */
static enum capture_result next_block(struct pcapng *pcapng, struct captured *frame, struct read_error *error)
{
    if (!block_begin(pcapng, error))
        return *error->text ? CAPTURE_BROKEN : CAPTURE_END;
    bool packet = true;
    bool good = true;
    switch (pcapng->type) {
    case BLOCK_ENHANCED_PACKET:
    case BLOCK_PACKET:
        good = read_packet(pcapng, frame, error);
        break;
    case BLOCK_SIMPLE_PACKET:
        good = read_simple_packet(pcapng, frame, error);
        break;
    case BLOCK_INTERFACE:
        good = read_interface(pcapng, error);
        packet = false;
        break;
    default:
        packet = false;
        break;
    }
    if (!good || !block_end(pcapng, error))
        return CAPTURE_BROKEN;
    return packet ? CAPTURE_FRAME : CAPTURE_QUIET;
}

bool pcapng_open(struct pcapng *pcapng, struct input *input, struct read_error *error)
{
    *pcapng = (struct pcapng){.input = input};
    return block_begin(pcapng, error) && block_end(pcapng, error);
}

enum capture_result pcapng_next(struct pcapng *pcapng, struct captured *frame, struct read_error *error)
{
    enum capture_result result;
    do
        result = next_block(pcapng, frame, error);
    while (result == CAPTURE_QUIET);
    return result;
}

void pcapng_close(struct pcapng *pcapng)
{
    free(pcapng->interfaces);
    frame_bytes_free(&pcapng->frame);
}
