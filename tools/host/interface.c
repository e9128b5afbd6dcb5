/* The functions that experts find in the host: ExpertGetFrame, ExpertIndicateStatus, ExpertSubmitEvent, ExpertGetStartupInfo. */
#include "host.h"

static DWORD check_expert(const struct expert *expert, HEXPERTKEY key)
{
    if (!expert || expert->key != (ks_key_t)key)
        return NMERR_INVALID_EXPERT_HANDLE;
    return atomic_load_explicit(&expert->failed, memory_order_relaxed) ? NMERR_EXPERT_TERMINATE : NMERR_SUCCESS;
}

/* On any thread: an expert may be in Configure, or have begun threads of its own. */
static DWORD expert_of(HEXPERTKEY key, struct expert **expert)
{
    const struct host *host = host_running;
    *expert = host_lane ? host_lane->expert : NULL;
    if (!host)
        return NMERR_NOT_INITIALIZED;
    for (size_t i = 0; !*expert && i < host->experts_count; i++)
        if (key && host->experts[i].key == (ks_key_t)key)
            *expert = &host->experts[i];
    return check_expert(*expert, key);
}

enum { FLAGS_KNOWN = FLAGS_DEFER_TO_UI_FILTER | FLAGS_ATTACH_PROPERTIES };

/* One that fails by --fail. */
static DWORD check_fail(struct lane *lane, const struct frame *frame)
{
    struct expert *expert = lane->expert;
    if (!expert->fail_at || frame->number < expert->fail_at)
        return NMERR_SUCCESS;
    expert_fail(expert, &lane->guest, FAILURE_PRETENDED, 0, "made to fail by --fail");
    return NMERR_EXPERT_TERMINATE;
}

static DWORD get_frame(struct lane *lane, HEXPERTKEY key, DWORD direction, DWORD flags, DWORD number, HFILTER handle,
                       LPEXPERTFRAMEDESCRIPTOR descriptor)
{
    struct frame *frame;
    DWORD error = check_expert(lane->expert, key);
    if (error)
        return error;
    if (!descriptor)
        return NMERR_INVALID_PARAMETER;
    if (direction > GET_FRAME_NEXT_BACKWARD || flags & ~(DWORD)FLAGS_KNOWN)
        return NMERR_NOT_SUPPORTED;
    struct expert_filter *filter = handle ? filter_of(lane->expert, handle) : NULL;
    if (handle && !filter)
        return NMERR_INVALID_HFILTER;
    error = seek_frame(lane, direction, number, filter, &frame);
    if (!error)
        error = check_fail(lane, frame);
    if (error)
        return error;
    *descriptor = (EXPERTFRAMEDESCRIPTOR){
        .FrameNumber = frame->number,
        .hFrame = frame,
        .pFrame = &frame->data,
        .lpPropertyTable = flags & FLAGS_ATTACH_PROPERTIES ? &frame->packet : NULL,
    };
    return NMERR_SUCCESS;
}

DWORD WINAPI ExpertGetFrame(HEXPERTKEY hExpertKey, DWORD Direction, DWORD RequestFlags, DWORD RequestedFrameNumber,
                            HFILTER hFilter, LPEXPERTFRAMEDESCRIPTOR pEFrameDescriptor)
{
    struct lane *lane = host_lane;
    if (!lane)
        return NMERR_NOT_INITIALIZED;
    lane_enter(lane);
    DWORD error =
        get_frame(lane, hExpertKey, Direction, RequestFlags, RequestedFrameNumber, hFilter, pEFrameDescriptor);
    lane_leave(lane);
    return error;
}

DWORD WINAPI ExpertCreateFilter(HEXPERTKEY hExpertKey, LPCSTR szText, LPHFILTER phFilter)
{
    struct expert_filter *filter;
    struct expert *expert;
    DWORD error = expert_of(hExpertKey, &expert);
    if (error)
        return error;
    if (!szText || !phFilter)
        return NMERR_INVALID_PARAMETER;
    error = filter_create(expert, szText, &filter);
    if (!error)
        *phFilter = filter;
    return error;
}

DWORD WINAPI ExpertDestroyFilter(HEXPERTKEY hExpertKey, HFILTER hFilter)
{
    struct expert *expert;
    DWORD error = expert_of(hExpertKey, &expert);
    if (error)
        return error;
    struct expert_filter *filter = filter_of(expert, hFilter);
    if (!filter)
        return NMERR_INVALID_HFILTER;
    filter_destroy(expert, filter);
    return NMERR_SUCCESS;
}

DWORD WINAPI ExpertIndicateStatus(HEXPERTKEY hExpertKey, EXPERTSTATUSENUMERATION Status, DWORD SubStatus,
                                  const char *szText, LONG PercentDone)
{
    struct expert *expert;
    DWORD error = expert_of(hExpertKey, &expert);
    if (error)
        return error;
    return status_indicate(expert, Status, SubStatus, szText, PercentDone) ? NMERR_SUCCESS : NMERR_INVALID_PARAMETER;
}

DWORD WINAPI ExpertSubmitEvent(HEXPERTKEY hExpertKey, PNMEVENTDATA pExpertEvent)
{
    struct expert *expert;
    DWORD error = expert_of(hExpertKey, &expert);
    if (error)
        return error;
    if (!pExpertEvent)
        return NMERR_INVALID_PARAMETER;
    if (!event_is_known(pExpertEvent))
        return NMERR_NOT_SUPPORTED;
    event_keep(expert, pExpertEvent);
    if (host_lane && !atomic_load_explicit(&host_lane->at, memory_order_relaxed))
        lane_moved(host_lane);
    return NMERR_SUCCESS;
}

DWORD WINAPI ExpertGetStartupInfo(HEXPERTKEY hExpertKey, PEXPERTSTARTUPINFO pExpertStartupInfo)
{
    struct expert *expert;
    DWORD error = expert_of(hExpertKey, &expert);
    if (error)
        return error;
    if (!pExpertStartupInfo)
        return NMERR_INVALID_PARAMETER;
    *pExpertStartupInfo = host_startup(expert->host);
    return NMERR_SUCCESS;
}
