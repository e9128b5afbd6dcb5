/*
 * The expert "ndpi": which protocols the traffic is of, by the library nDPI; packets, bytes and flows of each, as nDPI's own
 * reader counts them. All that the library allocates is the expert's key's, so that nothing has to be freed in the end.
 */
#include "flow.h"
#include "memory.h"

#include "experts/event.h"
#include "experts/packet.h"
#include "experts/threads.h"

#include <stdatomic.h>

/* Packets of a flow after which its protocol is given up, as in the reader. */
enum { UDP_MOST = 24, TCP_MOST = 80 };

enum { COLUMNS = 4, PROTOCOLS = NDPI_MAX_SUPPORTED_PROTOCOLS + NDPI_MAX_NUM_CUSTOM_PROTOCOLS + 1 };

/* One thread's share of the work. */
struct part {
    struct part *next;
    struct ndpi_detection_module_struct *module;
    struct flow *flows;
    uint64_t clock; /* milliseconds since 1970, of the latest frame */
};

/* What the threads have in common: the expert's configuration, of which each gets the same block. */
struct job {
    DWORD length; /* EXPERTCONFIG's RawConfigLength */
    /* The first module is made where there is one thread: that also fills the library's tables, which all modules share. */
    struct ndpi_detection_module_struct *_Atomic spare;
    struct part *_Atomic parts; /* of threads that have ended */
    atomic_uint ended;
};

struct total {
    uint64_t packets;
    uint64_t bytes;
    uint64_t flows;
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "ndpi", "Protocols that nDPI detects");
    info->Flags = EXPERT_ENUM_FLAG_CONFIGURABLE;
    memory_hook();
    return TRUE;
}

static struct ndpi_detection_module_struct *module_new(void)
{
    NDPI_PROTOCOL_BITMASK all;
    struct ndpi_detection_module_struct *module = ndpi_init_detection_module(ndpi_no_prefs);
    if (!module)
        return NULL;
    NDPI_BITMASK_SET_ALL(all);
    ndpi_set_protocol_detection_bitmask2(module, &all);
    ndpi_finalize_initialization(module);
    return module;
}

NETMON_API BOOL WINAPI Configure(HEXPERTKEY key, PEXPERTCONFIG *config, PEXPERTSTARTUPINFO startup, DWORD flags,
                                 HWND window)
{
    (void)startup, (void)flags, (void)window;
    struct job *job = ExpertAllocMemory(key, sizeof *job, NULL);
    if (!job)
        return FALSE;
    *job = (struct job){.length = sizeof *job};
    memory_key = key;
    atomic_init(&job->spare, module_new());
    memory_key = NULL;
    *config = (PEXPERTCONFIG)job;
    return atomic_load(&job->spare) != NULL;
}

/* ------------------------------------------------------------------ detection */

static bool is_enough(const struct flow *flow)
{
    uint64_t most = flow->key.protocol == PROTOCOL_UDP   ? UDP_MOST
                    : flow->key.protocol == PROTOCOL_TCP ? TCP_MOST
                                                         : UINT64_MAX;
    return flow->packets > most;
}

static void give_up(struct part *part, struct flow *flow)
{
    uint8_t was_guessed;
    flow->protocol = ndpi_detection_giveup(part->module, flow->detection, 1, &was_guessed);
}

static void detect(struct part *part, struct flow *flow, const struct ip_packet *packet)
{
    flow->protocol =
        ndpi_detection_process_packet(part->module, flow->detection, packet->bytes, packet->size, part->clock);
    bool enough = is_enough(flow);
    bool found = flow->protocol.app_protocol != NDPI_PROTOCOL_UNKNOWN;
    if (!enough && (!found || ndpi_extra_dissection_possible(part->module, flow->detection)))
        return;
    if (!found)
        give_up(part, flow);
    flow_end_detection(flow);
}

static DWORD take(struct part *part, const EXPERTFRAMEDESCRIPTOR *descriptor)
{
    const FRAME *frame = descriptor->pFrame;
    const struct packet *decoded = descriptor->lpPropertyTable;
    struct ip_packet packet;
    uint64_t milliseconds = (uint64_t)frame->TimeStamp / 1000;
    if (milliseconds > part->clock)
        part->clock = milliseconds;
    if (!frame_ip_packet(decoded->link, frame->MacFrame, frame->nBytesAvail, &packet))
        return NMERR_SUCCESS;
    struct flow *flow = flow_of(&part->flows, &packet);
    if (!flow)
        return NMERR_OUT_OF_MEMORY;
    flow->packets++;
    flow->bytes += frame->nBytesAvail;
    if (flow->detection)
        detect(part, flow, &packet);
    return NMERR_SUCCESS;
}

/* ------------------------------------------------------------------ the end */

/* What was not detected until now is guessed. */
static void part_end(struct part *part)
{
    for (struct flow *flow = part->flows; flow; flow = flow->hh.next)
        if (flow->detection)
            give_up(part, flow);
}

static DWORD submit(HEXPERTKEY key, const char *name, const struct total *total)
{
    PNMEVENTDATA event = event_new(key, "ndpi", "protocol", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    event_add_text(event, "protocol", name);
    event_add_number(event, "packets", (double)total->packets);
    event_add_number(event, "bytes", (double)total->bytes);
    event_add_number(event, "flows", (double)total->flows);
    DWORD error = ExpertSubmitEvent(key, event);
    DWORD freed = (DWORD)ExpertFreeMemory(key, event);
    return error ? error : freed;
}

static DWORD submit_all(HEXPERTKEY key, const struct part *part)
{
    DWORD error = NMERR_SUCCESS;
    struct total *totals = ndpi_calloc(PROTOCOLS, sizeof *totals);
    if (!totals)
        return NMERR_OUT_OF_MEMORY;
    for (const struct flow *flow = part->flows; flow; flow = flow->hh.next) {
        ndpi_protocol protocol = flow->protocol;
        struct total *total = &totals[protocol.app_protocol ? protocol.app_protocol : protocol.master_protocol];
        total->packets += flow->packets;
        total->bytes += flow->bytes;
        total->flows++;
    }
    for (u_int16_t i = 0; !error && i < PROTOCOLS; i++)
        if (totals[i].flows)
            error = submit(key, ndpi_get_proto_name(part->module, i), &totals[i]);
    ndpi_free(totals);
    return error;
}

/* A flow of the library may be of several threads: of a tunnel, whose inner flows the host has given to different ones. */
static DWORD merge_and_submit(HEXPERTKEY key, struct part *parts)
{
    for (struct part *part = parts->next; part; part = part->next)
        if (!flows_merge(&parts->flows, &part->flows))
            return NMERR_OUT_OF_MEMORY;
    return submit_all(key, parts);
}

/* For who compares, and for a host that counts what is left: the library's own clean-up. */
static void free_all(HEXPERTKEY key, struct job *job, struct part *parts)
{
    struct part *next;
    for (struct part *part = parts; part; part = next) {
        next = part->next;
        flows_free(&part->flows);
        ndpi_exit_detection_module(part->module);
        ndpi_free(part);
    }
    ExpertFreeMemory(key, job);
}

/* The thread that ends last has the others' flows. */
static DWORD leave(HEXPERTKEY key, struct job *job, struct part *part)
{
    part->next = atomic_load(&job->parts);
    while (!atomic_compare_exchange_weak(&job->parts, &part->next, part))
        ;
    if (atomic_fetch_add(&job->ended, 1) + 1 < ExpertThreadCount(key))
        return NMERR_SUCCESS;
    struct part *parts = atomic_load(&job->parts);
    DWORD error = merge_and_submit(key, parts);
    if (!error && memory_is_cleaned())
        free_all(key, job, parts);
    return error;
}

static struct part *part_new(struct job *job)
{
    struct part *part = ndpi_calloc(1, sizeof *part);
    if (!part)
        return NULL;
    part->module = atomic_exchange(&job->spare, NULL);
    if (!part->module)
        part->module = module_new();
    return part->module ? part : NULL;
}

static BOOL give_reason(HEXPERTKEY key, const char *text)
{
    ExpertIndicateStatus(key, EXPERTSTATUS_PROBLEM, 0, text, 0);
    return FALSE;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)startup, (void)flags, (void)window;
    EXPERTFRAMEDESCRIPTOR descriptor;
    struct job *job = (struct job *)config;
    if (!memory_is_chosen())
        return give_reason(key, MEMORY_VARIABLE ": expected key, clean or malloc");
    memory_key = key;
    struct part *part = part_new(job);
    if (!part)
        return give_reason(key, "no memory for nDPI");
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "detecting protocols", 0);
    while (!error &&
           !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &descriptor)))
        error = take(part, &descriptor);
    if (error != NMERR_NO_MORE_FRAMES)
        return error == NMERR_OUT_OF_MEMORY ? give_reason(key, "no memory for a flow") : FALSE;
    part_end(part);
    error = leave(key, job, part);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
