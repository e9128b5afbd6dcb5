/* What `keyslab record` tells the library that it preloads, in the environment. */
#ifndef RECORDER_H
#define RECORDER_H

#define RECORD_FILE "KEYSLAB_RECORD_FILE" /* the trace, an absolute path */
#define RECORD_PROCESS                                                                                                 \
    "KEYSLAB_RECORD_PROCESS"                   /* number of the process that writes it; others add theirs to the name */
#define RECORD_SINCE   "KEYSLAB_RECORD_SINCE"  /* nanoseconds since 1970 when it all began */
#define RECORD_SAMPLE  "KEYSLAB_RECORD_SAMPLE" /* one of so many blocks is recorded */
#define RECORD_LIBRARY "libkeyslab-record.so"

#endif
