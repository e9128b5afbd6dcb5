/*
 * Messages of an expert's process to the host's: a kind, a length, and so many bytes.
 *
 * Who reads them takes nothing on trust: they come from a process whose memory may be full of anything.
 */
#ifndef HOST_MESSAGE_H
#define HOST_MESSAGE_H

#include <keyslab/netmon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_kind {
    MESSAGE_READY = 1, /* Register has returned: what it said is in the process's page */
    MESSAGE_EVENT,
    MESSAGE_SETTINGS, /* an expert's configuration */
};

enum { MESSAGE_MOST = 17 << 20 };

/* One that is put together; `is_cut` where it was too long, or there was no memory. */
struct message {
    uint8_t *bytes; /* its header first */
    size_t length;
    size_t room;
    bool is_cut;
};

void message_begin(struct message *message, enum message_kind kind);
void message_put(struct message *message, const void *bytes, size_t length);
void message_put_text(struct message *message, const char *text);
void message_put_event(struct message *message, const NMEVENTDATA *event);

/* All of the bytes; false where the other end is gone. */
bool send_all(int socket, const void *bytes, size_t length);

/* Sends the whole of it; false where it is cut, or the other end is gone. */
bool message_send(struct message *message, int socket);

/* What has come of messages. */
struct inbox {
    uint8_t *bytes;
    size_t length;
    size_t room;
};

/* What a message holds, as far as it has been read. */
struct content {
    enum message_kind kind;
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad; /* what was asked for is not there */
};

enum inbox_result { INBOX_ALL, INBOX_CLOSED, INBOX_BAD };

/*
 * Reads what there is, without waiting, and calls `take` for each whole message, which returns false for a bad one. INBOX_ALL: no more
 * for now. INBOX_CLOSED: there will be none. INBOX_BAD: what came is no message.
 */
enum inbox_result inbox_read(struct inbox *inbox, int socket, bool (*take)(void *context, struct content *content),
                             void *context);
void inbox_free(struct inbox *inbox);

void content_get(struct content *content, void *bytes, size_t length);

/* Where it lies, as long as the message does. NULL for a text that was NULL. */
const char *content_get_text(struct content *content);

/* To be freed; its texts lie in the message. NULL where it is bad. */
NMEVENTDATA *content_get_event(struct content *content);

#endif
