#include "trace/tracing.h"

#include "config/current.h"
#include "core/key.h"
#include "core/start.h"
#include "trace/traced.h"
#include "trace/writer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * What there is, and of which process, in one word: process << 2 | phase. A child of a fork has none.
 */
enum phase { PHASE_NONE, PHASE_CHANGES, PHASE_SETTINGS /* keys whose settings say so */, PHASE_ALL /* all new keys */ };

static uint64_t recording; /* any, atomic */
static char path_now[PATH_MAX];
static uint32_t told; /* any, atomic: that the trace is not whole */

static uint64_t word_of(enum phase phase)
{
    return (uint64_t)getpid() << 2 | phase;
}

/* Once for a recording, with one write (C13.4). */
static void tell(int error)
{
    char line[PATH_MAX + 128];
    uint32_t before = 0;
    if (!cas(&told, &before, 1u))
        return;
    int length =
        snprintf(line, sizeof line, "keyslab: %s: %s: what follows is not traced\n", path_now, strerrordesc_np(error));
    platform_log(line, (size_t)length);
}

static void name_if_traced(const struct key *key)
{
    if (key->trace)
        traced_name(key);
}

static void name_keys(bool goes_on)
{
    (void)goes_on;
    keys_visit(name_if_traced);
}

/* The right to start or stop, where a recording runs or none does; the caller stores the phase that follows (C13.4). */
static bool change_begin(bool runs)
{
    uint64_t seen = load_ordered(&recording);
    bool ours = seen >> 2 == (uint64_t)getpid();
    enum phase phase = ours ? (enum phase)(seen & 3) : PHASE_NONE;
    return phase != PHASE_CHANGES && (phase != PHASE_NONE) == runs && cas(&recording, &seen, word_of(PHASE_CHANGES));
}

/* One exchange takes the recording; its phase is stored when the file is begun or refused (C13.4). */
static bool start(const char *path, uint32_t sample, enum phase phase)
{
    size_t length = strlen(path);
    if (length >= sizeof path_now) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (!change_begin(false)) {
        errno = EBUSY;
        return false;
    }
    memcpy(path_now, path, length + 1);
    store_ordered(&told, 0u);
    bool started = trace_start(&(struct trace_options){
        .path = path_now,
        .program = program_invocation_short_name,
        .sample = sample,
        .ticks = true,
        .begun = name_keys,
        .failed = tell,
    });
    store_ordered(&recording, word_of(started ? phase : PHASE_NONE));
    return started;
}

/* The same for the end of a recording (C13.4). */
static bool stop(void)
{
    if (!change_begin(true))
        return true;
    bool whole = trace_finish();
    int error = errno;
    if (!whole)
        tell(error);
    store_ordered(&recording, word_of(PHASE_NONE));
    errno = error;
    return whole;
}

static void start_configured(void)
{
    struct settings settings;
    current_settings("", &settings);
    if (!*settings.trace_file)
        return;
    if (!start(settings.trace_file, (uint32_t)settings.values[SET_TRACE_SAMPLE], PHASE_SETTINGS) && errno != EBUSY)
        tell(errno);
}

/* Looks once whether a recording is on that traces new keys (C13.4). */
uint32_t tracing_key(const struct settings *settings)
{
    bool traced = settings->origins[SET_TRACE] ? settings->values[SET_TRACE] == TRACE_ON
                                               : load_ordered(&recording) == word_of(PHASE_ALL);
    if (!traced)
        return 0;
    if (*settings->trace_file)
        platform_once(ONCE_TRACE, start_configured);
    return traced_number();
}

ks_status ks_trace_start(const char *path, uint32_t sample)
{
    if (!path)
        return KS_INVALID;
    if (!library_start())
        return KS_NO_MEMORY;
    return start(path, sample, PHASE_ALL) ? KS_OK : KS_INVALID;
}

ks_status ks_trace_stop(void)
{
    return stop() ? KS_OK : KS_INVALID;
}

/* The program's end: what the threads have recorded is written. */
__attribute__((destructor)) static void finish(void)
{
    stop();
}
