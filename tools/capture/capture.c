#include "capture.h"

#include "command.h"
#include "experts/decode.h"
#include "filter.h"
#include "link.h"
#include "live.h"
#include "pcap_file.h"
#include "pcapng.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUIET_MS = 20, LINK_ETHERNET = 1 };

/* It has one of `live` and `input`; an input is in one of the two formats. */
struct capture {
    const char *name;
    struct live *live;
    struct input *input;
    bool is_pcapng;
    struct pcap_file pcap;
    struct pcapng pcapng;
    struct filter *filter; /* of an input; an interface has its own */
    struct read_error error;
    atomic_bool stopped;
    bool quiet;
    uint64_t frames;
    /* A frame that has been read ahead, or what came instead of it. */
    bool is_ahead;
    enum capture_result ahead_result;
    struct captured ahead;
    /* Frames of each link type that is not known; NULL while there are none. */
    uint64_t *unknown;
};

enum { LINKS = UINT16_MAX + 1 };

/* ------------------------------------------------------------------ opening */

static struct capture *capture_new(const char *name)
{
    struct capture *capture = calloc(1, sizeof *capture);
    if (!capture) {
        complain("%s: out of memory", name);
        return NULL;
    }
    capture->name = name;
    atomic_init(&capture->stopped, false);
    return capture;
}

static bool open_format(struct capture *capture)
{
    uint8_t magic[4];
    size_t got = input_peek(capture->input, magic, sizeof magic);
    if (!got)
        return read_error_set(&capture->error, "the file is empty");
    if (got == sizeof magic && pcap_file_recognise(magic))
        return pcap_file_open(&capture->pcap, capture->input, &capture->error);
    if (got < sizeof magic || !pcapng_recognise(magic))
        return read_error_set(&capture->error, "it is neither pcap nor pcapng");
    capture->is_pcapng = true;
    return pcapng_open(&capture->pcapng, capture->input, &capture->error);
}

static void complain_of_format(const struct capture *capture)
{
    const char *error = input_error(capture->input);
    bool hides = !strchr(capture->name, '/') && if_nametoindex(capture->name);
    if (error)
        complain("%s: %s", capture->name, error);
    else
        complain("%s: not a capture: %s%s", capture->name, capture->error.text,
                 hides ? "; the file hides the interface of that name" : "");
}

static enum capture_result next(struct capture *capture, struct captured *frame);

/* A filter that frames of none of the link types before the first frame can pass is wrong. */
static bool check_filter(struct capture *capture)
{
    if (!capture->is_pcapng)
        return filter_knows(capture->filter, capture->pcap.link);
    do
        capture->ahead_result = next(capture, &capture->ahead);
    while (capture->ahead_result == CAPTURE_QUIET);
    capture->is_ahead = true;
    const struct pcapng *pcapng = &capture->pcapng;
    bool known = !pcapng->interfaces_count && filter_knows(capture->filter, LINK_ETHERNET);
    for (size_t i = 0; i < pcapng->interfaces_count; i++)
        known |= filter_knows(capture->filter, pcapng->interfaces[i].link);
    return known;
}

static bool set_filter(struct capture *capture, const char *text)
{
    capture->filter = filter_new(text);
    if (capture->filter && check_filter(capture))
        return true;
    complain("--filter '%s': %s", text, capture->filter ? filter_error(capture->filter) : "out of memory");
    return false;
}

struct capture *capture_open_input(struct input *input, const char *filter)
{
    struct capture *capture = capture_new(input_name(input));
    if (!capture) {
        input_close(input);
        return NULL;
    }
    capture->input = input;
    bool good = open_format(capture);
    if (!good)
        complain_of_format(capture);
    if (good && (!filter || set_filter(capture, filter)))
        return capture;
    capture_close(capture);
    return NULL;
}

static struct capture *open_interface(const char *name, const char *filter, unsigned readers)
{
    struct capture *capture = capture_new(name);
    if (!capture)
        return NULL;
    capture->live = live_open(name, filter, readers);
    if (capture->live)
        return capture;
    capture_close(capture);
    return NULL;
}

struct capture *capture_open_readers(const char *source, const char *filter, unsigned readers)
{
    bool standard = !strcmp(source, "-");
    bool exists = standard || !access(source, F_OK) || errno != ENOENT;
    if (!exists && !strchr(source, '/'))
        return open_interface(source, filter, readers);
    if (!exists) {
        complain("%s: no such file", source);
        return NULL;
    }
    struct input *input = input_open(source, standard ? "standard input" : source);
    return input ? capture_open_input(input, filter) : NULL;
}

struct capture *capture_open(const char *source, const char *filter)
{
    return capture_open_readers(source, filter, 1);
}

void capture_close(struct capture *capture)
{
    if (capture->live)
        live_close(capture->live);
    if (capture->input)
        input_close(capture->input);
    pcap_file_close(&capture->pcap);
    pcapng_close(&capture->pcapng);
    if (capture->filter)
        filter_free(capture->filter);
    free(capture->unknown);
    free(capture);
}

void capture_be_quiet(struct capture *capture)
{
    capture->quiet = true;
}

bool capture_is_live(const struct capture *capture)
{
    return capture->live;
}

struct packet_group *capture_group(const struct capture *capture)
{
    return capture->live ? live_group(capture->live) : NULL;
}

bool capture_can_reopen(const struct capture *capture)
{
    return capture->input && input_can_rewind(capture->input);
}

bool capture_is_compressed(const struct capture *capture)
{
    return capture->input && input_is_compressed(capture->input);
}

const char *capture_name(const struct capture *capture)
{
    return capture->name;
}

/* ------------------------------------------------------------------ reading */

static enum capture_result next_of_format(struct capture *capture, struct captured *frame)
{
    if (capture->live)
        return live_next(capture->live, frame, &capture->error);
    if (!input_ready(capture->input, QUIET_MS))
        return CAPTURE_QUIET;
    return capture->is_pcapng ? pcapng_next(&capture->pcapng, frame, &capture->error)
                              : pcap_file_next(&capture->pcap, frame, &capture->error);
}

/* A frame that is damaged within compressed data: the checksum at the end says whether all of it is. */
static void read_rest(struct input *input)
{
    if (input_is_compressed(input) && input_can_rewind(input))
        input_skip(input, UINT64_MAX);
}

static enum capture_result complain_of_end(const struct capture *capture, enum capture_result result)
{
    if (capture->quiet)
        return input_error(capture->input) ? CAPTURE_BROKEN : result;
    if (!capture->input) {
        if (result == CAPTURE_BROKEN)
            complain("%s: %s", capture->name, capture->error.text);
        return result;
    }
    /* Where the input breaks off, that is what is wrong, and not a frame that lacks its end. */
    const char *error = input_error(capture->input);
    if (error) {
        complain("%s: behind frame %" PRIu64 ": %s", capture->name, capture->frames, error);
        return CAPTURE_BROKEN;
    }
    if (result == CAPTURE_BROKEN) {
        read_rest(capture->input);
        error = input_error(capture->input);
        complain("%s: frame %" PRIu64 ": %s%s%s", capture->name, capture->frames + 1, capture->error.text,
                 error ? "; " : "", error ? error : "");
    }
    return result;
}

static void count_unknown(struct capture *capture, uint16_t link)
{
    if (!capture->unknown)
        capture->unknown = calloc(LINKS, sizeof *capture->unknown);
    if (capture->unknown)
        capture->unknown[link]++;
}

/* Any frame, whatever the filter says of it. */
static enum capture_result next(struct capture *capture, struct captured *frame)
{
    enum capture_result result = next_of_format(capture, frame);
    if (atomic_load(&capture->stopped))
        return CAPTURE_END;
    if (result >= CAPTURE_END)
        return complain_of_end(capture, result);
    if (result == CAPTURE_QUIET)
        return result;
    capture->frames++;
    /* What some programs write behind the frame is not of it. */
    if (frame->captured > frame->length)
        frame->captured = frame->length;
    return CAPTURE_FRAME;
}

static enum capture_result next_or_ahead(struct capture *capture, struct captured *frame)
{
    if (!capture->is_ahead)
        return next(capture, frame);
    *frame = capture->ahead;
    capture->is_ahead = false;
    return capture->ahead_result;
}

enum capture_result capture_next(struct capture *capture, struct captured *frame)
{
    enum capture_result result;
    do {
        result = next_or_ahead(capture, frame);
        if (result != CAPTURE_FRAME)
            return result;
    } while (capture->filter && !filter_passes(capture->filter, frame));
    if (!decode_knows(frame->link))
        count_unknown(capture, frame->link);
    return CAPTURE_FRAME;
}

void capture_stop(struct capture *capture)
{
    atomic_store(&capture->stopped, true);
    if (capture->live)
        live_stop(capture->live);
    if (capture->input)
        input_stop(capture->input);
}

uint64_t capture_dropped(struct capture *capture)
{
    return capture->live ? live_dropped(capture->live) : 0;
}

void capture_name_unknown_links(const struct capture *capture)
{
    for (uint32_t link = 0; capture->unknown && link < LINKS; link++)
        if (capture->unknown[link])
            complain("%s: %" PRIu64 " frames of link type %" PRIu32 " (%s), which is not decoded", capture->name,
                     capture->unknown[link], link, link_name((uint16_t)link));
}
