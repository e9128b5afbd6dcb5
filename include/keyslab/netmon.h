/*
 * The memory functions and the expert's interface of Microsoft Network Monitor 2, over keyslab: what a source
 * written for Netmon.h needs to compile unchanged with `#include <netmon.h>` and the flags of `pkg-config
 * --cflags keyslab-netmon`. It includes what Netmon.h does: Windows' names of types (windows.h), the results
 * (netmon_results.h), experts and frames (netmon_expert.h), and events (netmon_event.h).
 *
 * Source of names, signatures, values and layouts: the Network Monitor 2 reference and its Netmon.h.
 *
 * The memory functions are in libkeyslab; the other functions are the host's (see `keyslab run`), which an
 * expert finds in the program that loads it.
 */
#ifndef KEYSLAB_NETMON_H
#define KEYSLAB_NETMON_H

#include "netmon_event.h"
#include "netmon_expert.h"
#include "netmon_results.h"
#include "windows.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NETMON_API __attribute__((visibility("default")))
#else
#define NETMON_API
#endif

/* ------------------------------------------------------------------ memory
 *
 * Any thread, any live key, no lock: cost, alignment and thread-safety are those of ks_alloc, ks_realloc,
 * ks_free and ks_size. The block belongs to the key; if the expert fails at run time, the host drops all of
 * them.
 *
 * `*pError`, where pError is not NULL, and the result of ExpertFreeMemory are
 *
 *     NMERR_SUCCESS                also for NULL to free, which does nothing
 *     NMERR_OUT_OF_MEMORY          no memory, or the key's quota is used up
 *     NMERR_OUT_OF_RANGE           the size is more than can be addressed
 *     NMERR_INVALID_PARAMETER      not a live block of the key
 *     NMERR_INVALID_EXPERT_HANDLE  no such key, or a destroyed one
 *     NMERR_EXPERT_TERMINATE       clean up and return at once; a block to free has been freed
 */

/* nBytes bytes, uninitialised; zero bytes give a unique block. NULL with the reason in *pError. */
NETMON_API LPVOID WINAPI ExpertAllocMemory(HEXPERTKEY hExpertKey, SIZE_T nBytes, LPDWORD pError);

/*
 * The block, larger or smaller, perhaps elsewhere; NULL with the reason, and the original is untouched. A
 * NULL original allocates; zero bytes free it and return NULL with NMERR_SUCCESS.
 */
NETMON_API LPVOID WINAPI ExpertReallocMemory(HEXPERTKEY hExpertKey, LPVOID pOriginalMemory, SIZE_T nBytes,
                                             LPDWORD pError);

/* NMERR_SUCCESS, or the reason. SIZE_T is the reference's type for it. */
NETMON_API SIZE_T WINAPI ExpertFreeMemory(HEXPERTKEY hExpertKey, LPVOID pMemory);

/* The bytes of the block: what was asked for or more; 0 for what is not a live block of the key. */
NETMON_API SIZE_T WINAPI ExpertMemorySize(HEXPERTKEY hExpertKey, LPVOID pOriginalMemory);

/* ------------------------------------------------------------------ frames
 *
 * The host's functions are to be called inside Run, on a thread that the host has called it on; of the others than
 * ExpertGetFrame also inside Configure, and on threads that the expert has begun. Elsewhere they return
 * NMERR_NOT_INITIALIZED; with a key that is not the expert's, NMERR_INVALID_EXPERT_HANDLE; without a structure that they
 * need, NMERR_INVALID_PARAMETER. Each may return NMERR_EXPERT_TERMINATE, upon which the expert cleans up and returns at
 * once.
 */

/*
 * Fills the caller's descriptor with a frame. The frame is good until the thread's next call.
 *
 * GET_FRAME_NEXT_FORWARD and _BACKWARD walk through the frames of the thread's share (where an expert has one thread,
 * all), and give the one next to RequestedFrameNumber: the number of the last frame, as Windows sources have it, or 0 for
 * the one that this thread was given last, or INVALID_FRAME_NUMBER for what is before the first frame and behind the last.
 * A thread that goes forward from the last frame that it has gone forward to is served from memory, others by reading
 * from the capture again.
 *
 * GET_SPECIFIED_FRAME gives the frame of that number, of any share, also one that has not been read up to now.
 *
 * With hFilter, frames that the filter does not pass are not there.
 *
 *     NMERR_NO_MORE_FRAMES   walking: there is no other frame in that direction
 *     NMERR_OUT_OF_RANGE     the capture has no frame of that number
 *     NMERR_FRAME_NOT_FOUND  the specified frame does not pass the filter
 *     NMERR_NOT_SUPPORTED    another direction, or another flag than FLAGS_; and what needs the capture to be read again where
 *                            it cannot be: an interface or a pipe, without `keyslab run --spool`
 *     NMERR_INVALID_HFILTER  hFilter is not a filter of this expert
 *     NMERR_FILE_READ_ERROR  the capture cannot be read again, or is not the one that it was
 *     NMERR_OUT_OF_MEMORY    the host's memory is short
 */
NETMON_API DWORD WINAPI ExpertGetFrame(HEXPERTKEY hExpertKey, DWORD Direction, DWORD RequestFlags,
                                       DWORD RequestedFrameNumber, HFILTER hFilter,
                                       LPEXPERTFRAMEDESCRIPTOR pEFrameDescriptor);

/*
 * keyslab's own: a filter, of a pcap filter's text (pcap-filter(7)), for frames of any link types. Any thread of the expert
 * may use it. NMERR_FILTER_INVALID_EXPRESSION for what frames of no link type can pass.
 */
NETMON_API DWORD WINAPI ExpertCreateFilter(HEXPERTKEY hExpertKey, LPCSTR szText, LPHFILTER phFilter);

/* Only for orderliness: the host destroys an expert's filters with it. No thread may be using the filter. */
NETMON_API DWORD WINAPI ExpertDestroyFilter(HEXPERTKEY hExpertKey, HFILTER hFilter);

/* ------------------------------------------------------------------ status and findings */

/*
 * Progress for the user, on a terminal and in the report: a status, the expert's own number or EXPERTSUBSTATUS_, a line of
 * text (may be NULL), percent done (what is not 0 to 100 is ignored).
 */
NETMON_API DWORD WINAPI ExpertIndicateStatus(HEXPERTKEY hExpertKey, EXPERTSTATUSENUMERATION Status, DWORD SubStatus,
                                             const char *szText, LONG PercentDone);

/* Hands a finding to the host, which copies it. NMERR_NOT_SUPPORTED for another Version than 0, or a type of a column that
 * there is not. */
NETMON_API DWORD WINAPI ExpertSubmitEvent(HEXPERTKEY hExpertKey, PNMEVENTDATA pExpertEvent);

/* How and where the expert was started: what Run was given. */
NETMON_API DWORD WINAPI ExpertGetStartupInfo(HEXPERTKEY hExpertKey, PEXPERTSTARTUPINFO pExpertStartupInfo);

#ifdef __cplusplus
}
#endif

#endif
