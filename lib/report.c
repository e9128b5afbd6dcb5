#include "report.h"

/* C11.1. */
void report_refused(struct thread *thread, const struct heap *heap, ks_status status, const void *block,
                    size_t class_size, bool at_home)
{
    struct key *key = heap->key;
    fetch_add(&key->refusals[status], 1);
    if (at_home)
        fetch_add(&key->refused_at_home, 1);
    if (!key->on_error)
        return;
    thread->reports[thread->reports_count++] = (struct report){
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
    };
}

void report_deliver(struct thread *thread)
{
    /* The hook may cause reports of its own, behind these; a nested call delivers what it finds, each one
     * once. */
    while (unlikely(thread->reports_count)) {
        struct report report = thread->reports[--thread->reports_count];
        report.hook(report.context, &report.error);
    }
}
