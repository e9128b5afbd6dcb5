#include "pcap_file.h"

#include "link.h"

#include <inttypes.h>

enum { FILE_HEADER = 24, HEADER = 16, HEADER_KUZNETZOV = 24, HEADER_MOST = 24 };

enum { VERSION_DG_UX = 543 };

#define MAGIC             0xa1b2c3d4u
#define MAGIC_NANOSECONDS 0xa1b23c4du
#define MAGIC_KUZNETZOV   0xa1b2cd34u

static bool is_magic(uint32_t magic)
{
    return magic == MAGIC || magic == MAGIC_NANOSECONDS || magic == MAGIC_KUZNETZOV;
}

bool pcap_file_recognise(const uint8_t magic[4])
{
    return is_magic(bytes_get32(magic, false)) || is_magic(bytes_get32(magic, true));
}

/* The two lengths changed places with version 2.3, which some programs wrote without doing so. */
static bool take_version(struct pcap_file *file, uint16_t major, uint16_t minor, struct read_error *error)
{
    if (!(major == 2 && minor <= 4) && !(major == VERSION_DG_UX && !minor))
        return read_error_set(error, "pcap version %u.%u is not supported", major, minor);
    file->lengths = major == VERSION_DG_UX || minor < 3 ? SWAPPED : minor == 3 ? SWAPPED_OR_NOT : KEPT;
    return true;
}

/* Link type in the lower 16 bits, length of the frame check sequence in the upper six. */
static bool take_link(struct pcap_file *file, uint32_t field, struct read_error *error)
{
    if (field & 0x03ff0000)
        return read_error_set(error, "there is no link type 0x%08" PRIx32, field);
    file->link = (uint16_t)field;
    return true;
}

bool pcap_file_open(struct pcap_file *file, struct input *input, struct read_error *error)
{
    uint8_t header[FILE_HEADER];
    size_t got = input_read(input, header, sizeof header);
    if (got < sizeof header)
        return read_error_set(error, "the file header is truncated: %zu of %zu bytes", got, sizeof header);
    *file = (struct pcap_file){.input = input, .big = is_magic(bytes_get32(header, true))};
    uint32_t magic = bytes_get32(header, file->big);
    file->header = magic == MAGIC_KUZNETZOV ? HEADER_KUZNETZOV : HEADER;
    file->clock.resolution = magic == MAGIC_NANOSECONDS ? TICKS_NANOSECONDS : TICKS_MICROSECONDS;
    return take_version(file, bytes_get16(header + 4, file->big), bytes_get16(header + 6, file->big), error) &&
           take_link(file, bytes_get32(header + 20, file->big), error);
}

/* Seconds are unsigned: they end in 2106. */
static int64_t time_of(const struct pcap_file *file, const uint8_t *header)
{
    struct tick_clock seconds = {0};
    return ticks_time(&seconds, bytes_get32(header, file->big)) +
           ticks_time(&file->clock, bytes_get32(header + 4, file->big));
}

static void take_lengths(const struct pcap_file *file, const uint8_t *header, struct captured *frame)
{
    frame->captured = bytes_get32(header + 8, file->big);
    frame->length = bytes_get32(header + 12, file->big);
    if (file->lengths == KEPT || (file->lengths == SWAPPED_OR_NOT && frame->captured <= frame->length))
        return;
    uint32_t captured = frame->length;
    frame->length = frame->captured;
    frame->captured = captured;
}

enum capture_result pcap_file_next(struct pcap_file *file, struct captured *frame, struct read_error *error)
{
    uint8_t header[HEADER_MOST];
    uint64_t offset = input_offset(file->input);
    size_t got = input_read(file->input, header, file->header);
    if (!got)
        return CAPTURE_END;
    if (got < file->header) {
        read_error_set(error, "truncated at offset %" PRIu64 ": %zu of %zu bytes of a record's header", offset, got,
                       file->header);
        return CAPTURE_BROKEN;
    }
    *frame = (struct captured){.time = time_of(file, header), .link = file->link};
    take_lengths(file, header, frame);
    if (frame->captured > link_frame_most(file->link)) {
        read_error_set(error,
                       "the record at offset %" PRIu64 " is damaged: %" PRIu32 " bytes captured, where %" PRIu32
                       " are the most",
                       offset, frame->captured, link_frame_most(file->link));
        return CAPTURE_BROKEN;
    }
    frame->offset = input_offset(file->input);
    if (!frame_bytes_read(&file->frame, file->input, frame->captured, &got)) {
        read_error_set(error, "out of memory");
        return CAPTURE_BROKEN;
    }
    if (got < frame->captured) {
        read_error_set(error, "truncated: %zu of %" PRIu32 " bytes in the record at offset %" PRIu64, got,
                       frame->captured, offset);
        return CAPTURE_BROKEN;
    }
    frame->bytes = file->frame.bytes;
    return CAPTURE_FRAME;
}

void pcap_file_close(struct pcap_file *file)
{
    frame_bytes_free(&file->frame);
}
