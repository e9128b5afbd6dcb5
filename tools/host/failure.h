/* How an expert failed: what the host found first, by which it is named in the report. Plain bytes, so that a process can send it. */
#ifndef HOST_FAILURE_H
#define HOST_FAILURE_H

#include <stdint.h>

enum failure_kind {
    FAILURE_NONE,
    FAILURE_PRETENDED, /* --fail */
    FAILURE_GAVE_UP,   /* Run returned FALSE of its own accord; `text` is what it said by ExpertIndicateStatus */
    FAILURE_REFUSED,   /* Register or Configure returned FALSE */
    FAILURE_SIGNAL,    /* `detail` is the signal */
    FAILURE_EXIT,      /* called exit or _exit; `detail` is the status */
    FAILURE_EXCEPTION, /* left Run; `text` is its type */
    FAILURE_TIME,      /* one frame took too long */
    FAILURE_IGNORED,   /* did not return in time after NMERR_EXPERT_TERMINATE */
    FAILURE_QUOTA,     /* its key's quota is used up */
    FAILURE_MISUSE,    /* --strict: a refused free; `detail` is its ks_status */
    FAILURE_LEFT,      /* --strict: blocks were live when Run had returned */
    FAILURE_DIED,      /* its process ended without a word; `detail` is what waitpid(2) said */
};

enum { FAILURE_TEXT = 256, FAILURE_DEPTH = 12, FAILURE_CALL = 128 };

struct failure {
    enum failure_kind kind;
    int detail;
    uint32_t
        frame; /* that it was looking at, from 1; 0 outside of frames: in Register, Configure, before the first, after the last */
    uint32_t thread;                             /* of the expert's, from 1; those that it began itself count on */
    char text[FAILURE_TEXT];                     /* one line that says what happened, for people */
    uint32_t depth;                              /* calls in the backtrace, the innermost first */
    char backtrace[FAILURE_DEPTH][FAILURE_CALL]; /* "symbol+0x1f (module.so)", or "module.so+0x1234" */
};

/* "signal", "gave_up": as the report's JSON has it. */
const char *failure_name(enum failure_kind kind);

#endif
