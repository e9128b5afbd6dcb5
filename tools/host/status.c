#include "status.h"

#include "host.h"
#include "process.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {"inactive", "starting", "running", "problem", "aborted", "done"};

enum { NAMES = sizeof names / sizeof *names };

const char *status_name(EXPERTSTATUSENUMERATION status)
{
    return names[status];
}

bool status_indicate(struct expert *expert, EXPERTSTATUSENUMERATION status, DWORD substatus, const char *text,
                     LONG percent)
{
    if ((unsigned)status >= NAMES)
        return false;
    /* The expert's text is read before the mutex is taken: reading it may fault. */
    struct status new = {.indicated = true, .status = status, .substatus = substatus, .percent = (int)percent};
    snprintf(new.text, sizeof new.text, "%s", text ? text : "");
    pthread_mutex_lock(&expert->mutex);
    if (percent < 0 || percent > 100)
        new.percent = expert->status.indicated ? expert->status.percent : -1;
    expert->status = new;
    if (status == EXPERTSTATUS_PROBLEM || status == EXPERTSTATUS_ABORTED)
        snprintf(expert->problem, sizeof expert->problem, "%s", text ? new.text : "aborted");
    if (expert->is_apart)
        process_tell_status(expert);
    pthread_mutex_unlock(&expert->mutex);
    return true;
}

bool status_make_safe(struct status *status)
{
    status->text[sizeof status->text - 1] = '\0';
    return status->indicated && (unsigned)status->status < NAMES && status->percent >= -1 && status->percent <= 100;
}

bool status_get(struct expert *expert, struct status *status)
{
    if (pthread_mutex_trylock(&expert->mutex))
        return false;
    *status = expert->status;
    pthread_mutex_unlock(&expert->mutex);
    return status->indicated;
}

void status_line(const char *expert, const struct status *status, char *line, size_t size)
{
    char percent[16] = "";
    if (status->percent >= 0)
        snprintf(percent, sizeof percent, ", %d %%", status->percent);
    snprintf(line, size, "%s: %s%s%s%s", expert, status_name(status->status), percent, *status->text ? ": " : "",
             status->text);
    for (char *at = line; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = ' ';
}
