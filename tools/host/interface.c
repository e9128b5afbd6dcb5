/* The functions that experts find in the host: ExpertGetFrame, ExpertIndicateStatus, ExpertSubmitEvent, ExpertGetStartupInfo. */
#include "host.h"

#include <stdio.h>
#include <string.h>

static DWORD lane_of(HEXPERTKEY key, struct lane **lane)
{
    *lane = host_lane;
    if (!*lane)
        return NMERR_NOT_INITIALIZED;
    if ((ks_key_t)key != (*lane)->expert->key)
        return NMERR_INVALID_EXPERT_HANDLE;
    return atomic_load_explicit(&(*lane)->expert->failed, memory_order_relaxed) ? NMERR_EXPERT_TERMINATE
                                                                                : NMERR_SUCCESS;
}

DWORD WINAPI ExpertGetFrame(HEXPERTKEY hExpertKey, DWORD Direction, DWORD RequestFlags, DWORD RequestedFrameNumber,
                            HFILTER hFilter, LPEXPERTFRAMEDESCRIPTOR pEFrameDescriptor)
{
    (void)RequestedFrameNumber;
    struct lane *lane;
    DWORD error = lane_of(hExpertKey, &lane);
    if (error)
        return error;
    if (!pEFrameDescriptor)
        return NMERR_INVALID_PARAMETER;
    if (Direction != GET_FRAME_NEXT_FORWARD || RequestFlags & ~(DWORD)FLAGS_ATTACH_PROPERTIES || hFilter)
        return NMERR_NOT_SUPPORTED;
    struct frame *frame = lane_next(lane);
    if (!frame)
        return atomic_load(&lane->expert->failed) ? NMERR_EXPERT_TERMINATE : NMERR_NO_MORE_FRAMES;
    if (lane->expert->fail_at && frame->number >= lane->expert->fail_at) {
        expert_fail(lane->expert, &lane->guest, FAILURE_PRETENDED, 0, "made to fail by --fail");
        return NMERR_EXPERT_TERMINATE;
    }
    *pEFrameDescriptor = (EXPERTFRAMEDESCRIPTOR){
        .FrameNumber = frame->number,
        .hFrame = frame,
        .pFrame = &frame->data,
        .lpPropertyTable = RequestFlags & FLAGS_ATTACH_PROPERTIES ? &frame->packet : NULL,
    };
    return NMERR_SUCCESS;
}

DWORD WINAPI ExpertIndicateStatus(HEXPERTKEY hExpertKey, EXPERTSTATUSENUMERATION Status, DWORD SubStatus,
                                  const char *szText, LONG PercentDone)
{
    (void)SubStatus, (void)PercentDone;
    struct lane *lane;
    DWORD error = lane_of(hExpertKey, &lane);
    if (error)
        return error;
    struct expert *expert = lane->expert;
    if (Status == EXPERTSTATUS_PROBLEM || Status == EXPERTSTATUS_ABORTED) {
        pthread_mutex_lock(&expert->mutex);
        snprintf(expert->problem, sizeof expert->problem, "%s", szText ? szText : "aborted");
        pthread_mutex_unlock(&expert->mutex);
    }
    return NMERR_SUCCESS;
}

DWORD WINAPI ExpertSubmitEvent(HEXPERTKEY hExpertKey, PNMEVENTDATA pExpertEvent)
{
    struct lane *lane;
    DWORD error = lane_of(hExpertKey, &lane);
    if (error)
        return error;
    if (!pExpertEvent)
        return NMERR_INVALID_PARAMETER;
    if (!event_is_known(pExpertEvent))
        return NMERR_NOT_SUPPORTED;
    event_keep(lane->expert, pExpertEvent);
    if (!atomic_load_explicit(&lane->at, memory_order_relaxed))
        lane_moved(lane);
    return NMERR_SUCCESS;
}

DWORD WINAPI ExpertGetStartupInfo(HEXPERTKEY hExpertKey, PEXPERTSTARTUPINFO pExpertStartupInfo)
{
    struct lane *lane;
    DWORD error = lane_of(hExpertKey, &lane);
    if (error)
        return error;
    if (!pExpertStartupInfo)
        return NMERR_INVALID_PARAMETER;
    *pExpertStartupInfo = (EXPERTSTARTUPINFO){0};
    snprintf(pExpertStartupInfo->szCaptureFile, sizeof pExpertStartupInfo->szCaptureFile, "%s",
             lane->expert->host->source);
    return NMERR_SUCCESS;
}
