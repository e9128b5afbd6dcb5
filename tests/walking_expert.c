/*
 * An expert for tests of ExpertGetFrame. How it walks through the capture is in the environment, WALK; each of its threads submits one
 * event with what it saw: how many frames, and sums over what they hold that are the same in any order.
 */
#include "experts/packet.h"

#include <keyslab/netmon.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info);
NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

enum { COLUMNS = 6, LOOK_BACK = 97 };

struct seen {
    HEXPERTKEY key;
    HFILTER filter;
    DWORD frames;
    DWORD first;
    DWORD last;
    DWORD steps_back; /* frames with a lower number than the one before */
    DWORD sum;        /* of what the frames hold, below 2^32: a double holds it */
    DWORD error;      /* that ended it */
};

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    snprintf(info->szName, sizeof info->szName, "walking");
    return TRUE;
}

static DWORD mix(DWORD sum, uint64_t value)
{
    return (DWORD)((sum ^ value ^ value >> 32) * 0x9e3779b1u);
}

/* Of everything that an expert can see of a frame. */
static DWORD digest(const EXPERTFRAMEDESCRIPTOR *frame)
{
    const struct packet *packet = frame->lpPropertyTable;
    DWORD sum = mix(1, frame->FrameNumber);
    sum = mix(sum, (uint64_t)frame->pFrame->TimeStamp);
    sum = mix(sum, frame->pFrame->FrameLength);
    sum = mix(sum, frame->pFrame->nBytesAvail);
    for (DWORD i = 0; i < frame->pFrame->nBytesAvail; i++)
        sum = mix(sum, frame->pFrame->MacFrame[i]);
    sum = mix(sum, packet->source.port);
    sum = mix(sum, packet->destination.port);
    sum = mix(sum, packet->sequence);
    sum = mix(sum, packet->payload);
    sum = mix(sum, packet->payload_length);
    sum = mix(sum, (uint64_t)packet->clock);
    sum = mix(sum, packet->link);
    return sum;
}

static DWORD get(struct seen *seen, DWORD direction, DWORD number, EXPERTFRAMEDESCRIPTOR *frame)
{
    DWORD flags = FLAGS_ATTACH_PROPERTIES | FLAGS_DEFER_TO_UI_FILTER;
    DWORD error = ExpertGetFrame(seen->key, direction, flags, number, seen->filter, frame);
    if (error && error != NMERR_FRAME_NOT_FOUND)
        seen->error = error;
    return error;
}

static void see(struct seen *seen, const EXPERTFRAMEDESCRIPTOR *frame)
{
    seen->frames++;
    if (seen->frames == 1)
        seen->first = frame->FrameNumber;
    seen->steps_back += frame->FrameNumber < seen->last;
    seen->last = frame->FrameNumber;
    seen->sum += digest(frame);
}

/* As sources for Windows do: with the number of the frame before. */
static void walk(struct seen *seen, DWORD direction)
{
    EXPERTFRAMEDESCRIPTOR frame = {.FrameNumber = INVALID_FRAME_NUMBER};
    while (get(seen, direction, frame.FrameNumber, &frame) == NMERR_SUCCESS)
        see(seen, &frame);
}

/* With 0: from the one before. */
static void walk_on(struct seen *seen, DWORD direction)
{
    EXPERTFRAMEDESCRIPTOR frame;
    while (get(seen, direction, 0, &frame) == NMERR_SUCCESS)
        see(seen, &frame);
}

static void by_number(struct seen *seen)
{
    EXPERTFRAMEDESCRIPTOR frame;
    for (DWORD number = 1; !seen->error; number++)
        if (get(seen, GET_SPECIFIED_FRAME, number, &frame) == NMERR_SUCCESS)
            see(seen, &frame);
}

/* Forward, and now and then back to a frame of long ago and to the same one. */
static void look_back(struct seen *seen)
{
    EXPERTFRAMEDESCRIPTOR frame = {0};
    EXPERTFRAMEDESCRIPTOR other;
    DWORD number = INVALID_FRAME_NUMBER;
    while (get(seen, GET_FRAME_NEXT_FORWARD, number, &frame) == NMERR_SUCCESS) {
        number = frame.FrameNumber;
        if (get(seen, GET_SPECIFIED_FRAME, number, &other) || digest(&other) != digest(&frame))
            return;
        see(seen, &frame);
        if (seen->frames % LOOK_BACK == 0 &&
            (get(seen, GET_SPECIFIED_FRAME, number / 2 + 1, &other) || other.FrameNumber != number / 2 + 1))
            return;
    }
}

/* From a frame that is far ahead, both ways. */
static void from_ahead(struct seen *seen)
{
    DWORD ahead = (DWORD)atoi(getenv("WALK_AHEAD"));
    EXPERTFRAMEDESCRIPTOR frame;
    if (get(seen, GET_SPECIFIED_FRAME, ahead, &frame))
        return;
    walk_on(seen, GET_FRAME_NEXT_BACKWARD);
    for (DWORD number = ahead - 1; get(seen, GET_FRAME_NEXT_FORWARD, number, &frame) == NMERR_SUCCESS;
         number = frame.FrameNumber)
        see(seen, &frame);
}

static BOOL submit(const struct seen *seen)
{
    static const char *const titles[COLUMNS] = {"frames", "first", "last", "steps back", "sum", "error"};
    const DWORD numbers[COLUMNS] = {seen->frames, seen->first, seen->last, seen->steps_back, seen->sum, seen->error};
    PNMEVENTDATA event = ExpertAllocMemory(seen->key, sizeof *event + COLUMNS * sizeof *event->Column, NULL);
    if (!event)
        return FALSE;
    memset(event, 0, sizeof *event);
    event->szEventName = (LPSTR) "walk";
    event->NumColumns = COLUMNS;
    for (unsigned i = 0; i < COLUMNS; i++) {
        event->Column[i].szColumnName = (LPSTR)titles[i];
        event->Column[i].VariantData.Type = NMCOLUMNTYPE_UINT32;
        event->Column[i].VariantData.Value.Uint32Val = numbers[i];
    }
    BOOL submitted = ExpertSubmitEvent(seen->key, event) == NMERR_SUCCESS;
    ExpertFreeMemory(seen->key, event);
    return submitted;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    const char *how = getenv("WALK");
    const char *filter = getenv("WALK_FILTER");
    struct seen seen = {.key = key};
    if (filter)
        seen.error = ExpertCreateFilter(key, filter, &seen.filter);
    if (seen.error)
        return submit(&seen);
    if (!strcmp(how, "forward"))
        walk(&seen, GET_FRAME_NEXT_FORWARD);
    else if (!strcmp(how, "forward on"))
        walk_on(&seen, GET_FRAME_NEXT_FORWARD);
    else if (!strcmp(how, "backward"))
        walk(&seen, GET_FRAME_NEXT_BACKWARD);
    else if (!strcmp(how, "twice")) {
        walk(&seen, GET_FRAME_NEXT_FORWARD);
        walk(&seen, GET_FRAME_NEXT_FORWARD);
    } else if (!strcmp(how, "by number"))
        by_number(&seen);
    else if (!strcmp(how, "look back"))
        look_back(&seen);
    else
        from_ahead(&seen);
    if (seen.filter)
        ExpertDestroyFilter(key, seen.filter);
    return submit(&seen);
}
