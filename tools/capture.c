#include "capture.h"

#include "command.h"
#include "experts/decode.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LINKTYPE_RAW = 101 };

enum { SNAP = 262144, TIMEOUT_MS = 20, BUFFER = 16 << 20 };

struct capture {
    pcap_t *pcap;
    const char *name;
    uint16_t link;
    bool live;
    uint64_t frames;
};

/* ------------------------------------------------------------------ opening */

static ssize_t gzip_read(void *cookie, char *buffer, size_t size)
{
    return gzread(cookie, buffer, (unsigned)size);
}

static int gzip_close(void *cookie)
{
    return gzclose(cookie) == Z_OK ? 0 : EOF;
}

/* zlib reads what is not compressed as it is. */
static FILE *file_open(const char *name)
{
    gzFile gzip = gzopen(name, "rb");
    if (!gzip)
        return NULL;
    gzbuffer(gzip, 1 << 18);
    FILE *file = fopencookie(gzip, "rb", (cookie_io_functions_t){.read = gzip_read, .close = gzip_close});
    if (!file)
        gzclose(gzip);
    return file;
}

static pcap_t *open_file(const char *name)
{
    char error[PCAP_ERRBUF_SIZE];
    FILE *file = file_open(name);
    if (!file) {
        complain("%s: %s", name, strerror(errno));
        return NULL;
    }
    pcap_t *pcap = pcap_fopen_offline(file, error);
    if (!pcap) {
        complain("%s: not a capture: %s", name, error);
        fclose(file);
    }
    return pcap;
}

static pcap_t *open_interface(const char *name)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *pcap = pcap_create(name, error);
    if (!pcap) {
        complain("%s: no such file, and as an interface: %s", name, error);
        return NULL;
    }
    pcap_set_snaplen(pcap, SNAP);
    pcap_set_promisc(pcap, 1);
    pcap_set_timeout(pcap, TIMEOUT_MS);
    pcap_set_buffer_size(pcap, BUFFER);
    int status = pcap_activate(pcap);
    if (status < 0) {
        complain("%s: no such file, and as an interface: %s", name,
                 status == PCAP_ERROR || status == PCAP_ERROR_NO_SUCH_DEVICE || status == PCAP_ERROR_PERM_DENIED
                     ? pcap_geterr(pcap)
                     : pcap_statustostr(status));
        pcap_close(pcap);
        return NULL;
    }
    return pcap;
}

/* libpcap's numbers, which differ from the files' for raw IP only. */
static uint16_t link_of(pcap_t *pcap)
{
    int type = pcap_datalink(pcap);
    return (uint16_t)(type == DLT_RAW ? LINKTYPE_RAW : type);
}

static bool set_filter(pcap_t *pcap, const char *filter)
{
    struct bpf_program program;
    if (pcap_compile(pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN)) {
        complain("--filter '%s': %s", filter, pcap_geterr(pcap));
        return false;
    }
    bool set = !pcap_setfilter(pcap, &program);
    if (!set)
        complain("--filter '%s': %s", filter, pcap_geterr(pcap));
    pcap_freecode(&program);
    return set;
}

static bool file_exists(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file)
        fclose(file);
    return file || errno != ENOENT;
}

struct capture *capture_open(const char *source, const char *filter)
{
    bool live = !file_exists(source);
    pcap_t *pcap = live ? open_interface(source) : open_file(source);
    if (!pcap)
        return NULL;
    bool known = decode_knows(link_of(pcap));
    if (!known)
        complain("%s: frames of link type %d (%s) are not supported", source, pcap_datalink(pcap),
                 pcap_datalink_val_to_name(pcap_datalink(pcap)) ? pcap_datalink_val_to_name(pcap_datalink(pcap))
                                                                : "unknown");
    struct capture *capture = known && (!filter || set_filter(pcap, filter)) ? malloc(sizeof *capture) : NULL;
    if (!capture) {
        pcap_close(pcap);
        return NULL;
    }
    capture->pcap = pcap;
    capture->name = source;
    capture->link = link_of(pcap);
    capture->live = live;
    capture->frames = 0;
    return capture;
}

bool capture_is_live(const struct capture *capture)
{
    return capture->live;
}

const char *capture_name(const struct capture *capture)
{
    return capture->name;
}

/* ------------------------------------------------------------------ reading */

enum capture_result capture_next(struct capture *capture, struct captured *frame)
{
    struct pcap_pkthdr *header;
    const u_char *bytes;
    switch (pcap_next_ex(capture->pcap, &header, &bytes)) {
    case 1:
        break;
    case 0:
        return CAPTURE_QUIET;
    case PCAP_ERROR_BREAK:
        return CAPTURE_END;
    default:
        complain("%s: frame %llu: %s", capture->name, (unsigned long long)capture->frames + 1,
                 pcap_geterr(capture->pcap));
        return CAPTURE_BROKEN;
    }
    capture->frames++;
    *frame = (struct captured){
        .time = (int64_t)header->ts.tv_sec * 1000000 + header->ts.tv_usec,
        .length = header->len < header->caplen ? header->caplen : header->len,
        .captured = header->caplen,
        .link = capture->link,
        .bytes = bytes,
    };
    return CAPTURE_FRAME;
}

void capture_stop(struct capture *capture)
{
    pcap_breakloop(capture->pcap);
}

uint64_t capture_dropped(struct capture *capture)
{
    struct pcap_stat stat;
    if (!capture->live || pcap_stats(capture->pcap, &stat))
        return 0;
    return (uint64_t)stat.ps_drop + stat.ps_ifdrop;
}

void capture_close(struct capture *capture)
{
    pcap_close(capture->pcap);
    free(capture);
}

/* ------------------------------------------------------------------ recordings */

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
    while ((result = capture_next(capture, &frame)) == CAPTURE_FRAME) {
        if (!recording_grow(recording, rooms, used + frame.captured)) {
            complain("%s: out of memory at frame %zu", capture->name, recording->count + 1);
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
