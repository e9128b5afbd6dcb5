/* What an expert has last said of its progress, on any of its threads. */
#ifndef HOST_STATUS_H
#define HOST_STATUS_H

#include <keyslab/netmon.h>
#include <stdbool.h>
#include <stddef.h>

struct expert;

/* Under the expert's mutex. */
struct status {
    bool indicated;
    EXPERTSTATUSENUMERATION status;
    DWORD substatus;
    int percent; /* -1 where it has not said */
    char text[EXPERTSTRINGLENGTH];
};

/* False for a status that there is not. */
bool status_indicate(struct expert *expert, EXPERTSTATUSENUMERATION status, DWORD substatus, const char *text,
                     LONG percent);

/* A copy; false where the expert has never indicated one, and while a thread of it does: it may have been stopped there. */
bool status_get(struct expert *expert, struct status *status);

/* Of one that another process has written: whether it is one, and its text then ends. */
bool status_make_safe(struct status *status);

/* "running", ... */
const char *status_name(EXPERTSTATUSENUMERATION status);

/* "reassembly: running, 42 %: the text", in one line. */
void status_line(const char *expert, const struct status *status, char *line, size_t size);

#endif
