#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { READ_AT_ONCE = 1 << 16, TEXT_NULL = -1 };

struct header {
    uint32_t kind;
    uint32_t length; /* of what follows */
};

/* ------------------------------------------------------------------ sending */

void message_begin(struct message *message, enum message_kind kind)
{
    const struct header header = {.kind = kind};
    message->length = 0;
    message->is_cut = false;
    message_put(message, &header, sizeof header);
}

void message_put(struct message *message, const void *bytes, size_t length)
{
    if (message->is_cut || length > MESSAGE_MOST || message->length + length > MESSAGE_MOST) {
        message->is_cut = true;
        return;
    }
    if (message->length + length > message->room) {
        size_t room = 2 * (message->length + length);
        uint8_t *more = realloc(message->bytes, room);
        message->is_cut = !more;
        if (!more)
            return;
        message->bytes = more;
        message->room = room;
    }
    if (length)
        memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
}

/* Its length, and its bytes with the NUL. */
void message_put_text(struct message *message, const char *text)
{
    int32_t length = TEXT_NULL;
    if (text) {
        size_t bytes = strnlen(text, MESSAGE_MOST);
        length = (int32_t)bytes;
    }
    message_put(message, &length, sizeof length);
    if (text)
        message_put(message, text, (size_t)length);
    if (text)
        message_put(message, "", 1);
}

void message_put_event(struct message *message, const NMEVENTDATA *event)
{
    /* As it is, pointers and all; they are replaced where it is read. */
    message_put(message, event, sizeof *event);
    message_put_text(message, event->szSourceName);
    message_put_text(message, event->szEventName);
    message_put_text(message, event->szDescription);
    message_put_text(message, event->szMachine);
    for (unsigned i = 0; i < event->NumColumns; i++) {
        const NMCOLUMNVARIANT *value = &event->Column[i].VariantData;
        message_put_text(message, event->Column[i].szColumnName);
        message_put(message, value, sizeof *value);
        if (value->Type == NMCOLUMNTYPE_STRING)
            message_put_text(message, value->Value.pStringVal);
    }
}

bool send_all(int socket, const void *bytes, size_t length)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t more = send(socket, (const uint8_t *)bytes + sent, length - sent, MSG_NOSIGNAL);
        if (more < 0 && errno != EINTR)
            return false;
        sent += more > 0 ? (size_t)more : 0;
    }
    return true;
}

bool message_send(struct message *message, int socket)
{
    if (message->is_cut)
        return false;
    const uint32_t length = (uint32_t)(message->length - sizeof(struct header));
    memcpy(message->bytes + offsetof(struct header, length), &length, sizeof length);
    return send_all(socket, message->bytes, message->length);
}

/* ------------------------------------------------------------------ receiving */

static bool inbox_has_room(struct inbox *inbox)
{
    if (inbox->room - inbox->length >= READ_AT_ONCE)
        return true;
    size_t room = 2 * inbox->room + READ_AT_ONCE;
    uint8_t *more = realloc(inbox->bytes, room);
    if (!more)
        return false;
    inbox->bytes = more;
    inbox->room = room;
    return true;
}

/* False where something is no message. */
static bool inbox_take(struct inbox *inbox, bool (*take)(void *context, struct content *content), void *context)
{
    size_t taken = 0;
    struct header header;
    bool good = true;
    while (good && inbox->length - taken >= sizeof header) {
        const uint8_t *start = inbox->bytes + taken + sizeof header;
        memcpy(&header, inbox->bytes + taken, sizeof header);
        if (header.length > MESSAGE_MOST)
            return false;
        if (inbox->length - taken - sizeof header < header.length)
            break;
        good = take(context, &(struct content){.kind = header.kind, .at = start, .end = start + header.length});
        taken += sizeof header + header.length;
    }
    inbox->length -= taken;
    memmove(inbox->bytes, inbox->bytes + taken, inbox->length);
    return good;
}

enum inbox_result inbox_read(struct inbox *inbox, int socket, bool (*take)(void *context, struct content *content),
                             void *context)
{
    for (;;) {
        if (!inbox_has_room(inbox))
            return INBOX_BAD;
        ssize_t got = recv(socket, inbox->bytes + inbox->length, READ_AT_ONCE, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return INBOX_ALL;
        if (got <= 0)
            return INBOX_CLOSED;
        inbox->length += (size_t)got;
        if (!inbox_take(inbox, take, context))
            return INBOX_BAD;
    }
}

void inbox_free(struct inbox *inbox)
{
    free(inbox->bytes);
    *inbox = (struct inbox){0};
}

/* ------------------------------------------------------------------ what a message holds */

void content_get(struct content *content, void *bytes, size_t length)
{
    content->is_bad = content->is_bad || (size_t)(content->end - content->at) < length;
    if (content->is_bad) {
        memset(bytes, 0, length);
        return;
    }
    memcpy(bytes, content->at, length);
    content->at += length;
}

const char *content_get_text(struct content *content)
{
    int32_t length;
    content_get(content, &length, sizeof length);
    if (content->is_bad || length == TEXT_NULL)
        return NULL;
    const char *text = (const char *)content->at;
    if (length < 0 || content->end - content->at <= length || text[length]) {
        content->is_bad = true;
        return NULL;
    }
    content->at += length + 1;
    return text;
}

static void get_column(struct content *content, NMCOLUMNINFO *column)
{
    column->szColumnName = (LPSTR)content_get_text(content);
    content_get(content, &column->VariantData, sizeof column->VariantData);
    if (column->VariantData.Type == NMCOLUMNTYPE_STRING)
        column->VariantData.Value.pStringVal = content_get_text(content);
}

NMEVENTDATA *content_get_event(struct content *content)
{
    NMEVENTDATA fixed;
    content_get(content, &fixed, sizeof fixed);
    NMEVENTDATA *event = calloc(1, sizeof fixed + fixed.NumColumns * sizeof(NMCOLUMNINFO));
    if (!event)
        return NULL;
    *event = fixed;
    event->pszReserved = NULL;
    event->pvReserved = NULL;
    event->szSourceName = (LPSTR)content_get_text(content);
    event->szEventName = (LPSTR)content_get_text(content);
    event->szDescription = (LPSTR)content_get_text(content);
    event->szMachine = (LPSTR)content_get_text(content);
    for (unsigned i = 0; i < event->NumColumns; i++)
        get_column(content, &event->Column[i]);
    if (!content->is_bad)
        return event;
    free(event);
    return NULL;
}
