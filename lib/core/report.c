#include "core/report.h"

#include "core/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counted at once, reported when the operation is over (C11.1). */
void report_refused(struct thread *thread, const struct heap *heap, ks_status status, const void *block,
                    size_t class_size, bool at_home)
{
    struct key *key = heap->key;
    key_count_refusal(key, status);
    if (at_home)
        fetch_add(&key->refused_at_home, 1);
    if (!key->on_error && key->response == ON_ERROR_STATUS)
        return;
    struct report *report = &thread->reports[thread->reports_count++];
    *report = (struct report){
        .error =
            {
                .status = status,
                .at_home = at_home,
                .key = heap->handle,
                .block = block,
                .class_size = class_size,
                .thread = thread->number,
            },
        .hook = key->on_error,
        .context = key->on_error_context,
        .response = key->response,
    };
    memcpy(report->name, key->name, sizeof report->name);
}

/* The same, where the thread has room to note it (C11.1). */
void report_damaged(struct thread *thread, const struct heap *heap, const void *block, size_t class_size)
{
    if (report_room(thread, 1))
        report_refused(thread, heap, KS_DAMAGED, block, class_size, false);
    else
        key_count_refusal(heap->key, KS_DAMAGED);
}

/* One write, and no memory: the program's malloc may be this library. */
static void report_log(const struct report *report)
{
    const struct ks_error *error = &report->error;
    char line[256];
    char bytes[48] = "";
    if (error->class_size)
        snprintf(bytes, sizeof bytes, ", %zu bytes", error->class_size);
    int length =
        snprintf(line, sizeof line, "keyslab: key \"%s\": block %p%s: %s; found by thread %llu%s\n", report->name,
                 error->block, bytes, ks_strerror(error->status), (unsigned long long)error->thread,
                 error->at_home ? ", its owner, when another thread's free arrived" : "");
    platform_log(line, (size_t)length);
}

void report_deliver(struct thread *thread)
{
    /* The hook may cause reports of its own, behind these; a nested call delivers what it finds, each one
     * once. */
    while (unlikely(thread->reports_count)) {
        struct report report = thread->reports[--thread->reports_count];
        if (report.response != ON_ERROR_STATUS)
            report_log(&report);
        if (report.hook)
            report.hook(report.context, &report.error);
        if (report.response == ON_ERROR_ABORT)
            abort();
    }
}
