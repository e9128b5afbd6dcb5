/* The expert "connects": who tried to open TCP connections, and what came of it. docs/write-an-expert.md begins with it. */
#include "packet.h"
#include <arpa/inet.h>
#include <netmon.h>
#include <stdio.h>
#include <string.h>
/* uthash's memory is the key's too, where a `work` is in scope. */
#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       ExpertAllocMemory(work->key, bytes, NULL)
#define uthash_free(memory, bytes) ExpertFreeMemory(work->key, memory)
#include <uthash.h>

struct attempt {
    UT_hash_handle hh;
    struct endpoint ends[2]; /* client and server: what it is found by */
    int64_t time;            /* of the first, microseconds */
    int family;
};

struct work {
    HEXPERTKEY key;
    struct attempt *attempts; /* that wait for an answer */
};

static void finish(struct work *work, struct attempt *attempt, const char *result, double ms)
{
    char text[INET6_ADDRSTRLEN], names[2][INET6_ADDRSTRLEN + 8];
    PNMEVENTDATA event = ExpertAllocMemory(work->key, sizeof *event + 4 * sizeof *event->Column, NULL);
    for (int i = 0; i < 2; i++)
        sprintf(names[i], "%s %d", inet_ntop(attempt->family, attempt->ends[i].address, text, sizeof text),
                attempt->ends[i].port);
    if (event) {
        NMCOLUMNINFO columns[] = {{(LPSTR) "client", {NMCOLUMNTYPE_STRING, {.pStringVal = names[0]}}},
                                  {(LPSTR) "server", {NMCOLUMNTYPE_STRING, {.pStringVal = names[1]}}},
                                  {(LPSTR) "result", {NMCOLUMNTYPE_STRING, {.pStringVal = result}}},
                                  {(LPSTR) "ms", {NMCOLUMNTYPE_FLOAT64, {.Float64Val = ms}}}};
        *event = (NMEVENTDATA){.szEventName = (LPSTR) "attempt", .NumColumns = 4};
        memcpy(event->Column, columns, sizeof columns);
        ExpertSubmitEvent(work->key, event);
        ExpertFreeMemory(work->key, event);
    }
    HASH_DEL(work->attempts, attempt);
    ExpertFreeMemory(work->key, attempt);
}

static void take(struct work *work, const struct packet *packet, int64_t time)
{
    int asks = (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    struct endpoint ends[] = {packet->source, packet->destination, packet->source}, *key = asks ? ends : ends + 1;
    struct attempt *attempt;
    HASH_FIND(hh, work->attempts, key, sizeof attempt->ends, attempt);
    if (!asks && attempt && packet->flags & (TCP_SYN | TCP_RST)) {
        finish(work, attempt, packet->flags & TCP_SYN ? "opened" : "refused", (double)(time - attempt->time) / 1e3);
    } else if (asks && !attempt && (attempt = ExpertAllocMemory(work->key, sizeof *attempt, NULL))) {
        *attempt = (struct attempt){.time = time, .family = packet->version == 4 ? AF_INET : AF_INET6};
        memcpy(attempt->ends, key, sizeof attempt->ends);
        HASH_ADD(hh, work->attempts, ends, sizeof attempt->ends, attempt);
    }
}

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    strcpy(info->szName, "connects");
    strcpy(info->szDescription, "TCP connections that were tried: opened, refused or unanswered, and how soon");
    return TRUE;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    struct work work[1] = {{.key = key}};
    EXPERTFRAMEDESCRIPTOR frame;
    DWORD error;
    while (!(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &frame)))
        if (((const struct packet *)frame.lpPropertyTable)->segment)
            take(work, frame.lpPropertyTable, frame.pFrame->TimeStamp);
    while (error == NMERR_NO_MORE_FRAMES && work->attempts)
        finish(work, work->attempts, "unanswered", 0);
    return error == NMERR_NO_MORE_FRAMES;
}
