#include "dns_message.h"

#include "escape.h"

#include <stdio.h>

enum { HEADER = 12, LABEL_MOST = 63, NAME_MOST = 255, POINTER = 0xc0, RESPONSE = 0x80, RCODE = 0x0f };

struct reader {
    const uint8_t *bytes;
    size_t captured;
    size_t length;
    size_t at;
    bool malformed; /* the message says that there is more than it has */
};

/* Whether so many bytes can be read from `at` on. */
static bool can_read(struct reader *reader, size_t at, size_t count)
{
    if (at + count > reader->length)
        reader->malformed = true;
    return at + count <= reader->captured;
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/*
 * A name, and `at` behind it; `text` may be NULL. Each pointer must lie before the part of the name that it ends, so
 * that none makes a loop. False where the name is malformed or cut.
 */
static bool read_name(struct reader *reader, char *text)
{
    size_t at = reader->at;
    size_t part = at;
    size_t length = 1;
    size_t used = 0;
    bool jumped = false;
    while (can_read(reader, at, 1) && reader->bytes[at]) {
        uint8_t label = reader->bytes[at];
        if (!can_read(reader, at, label >= POINTER ? 2 : 1 + (size_t)label))
            return false;
        if (label >= POINTER) {
            size_t target = get16(reader->bytes + at) & 0x3fff;
            if (!jumped)
                reader->at = at + 2;
            jumped = true;
            reader->malformed |= target >= part;
            at = part = target;
        } else {
            length += 1 + (size_t)label;
            reader->malformed |= label > LABEL_MOST || length > NAME_MOST;
            if (text && !reader->malformed) {
                if (used)
                    text[used++] = '.';
                used += escape(text + used, reader->bytes + at + 1, label, '.');
            }
            at += 1 + (size_t)label;
        }
        if (reader->malformed)
            return false;
    }
    if (!can_read(reader, at, 1))
        return false;
    if (text)
        text[used] = 0;
    if (!jumped)
        reader->at = at + 1;
    return true;
}

static bool read_question(struct reader *reader, struct dns_message *message)
{
    if (!read_name(reader, message ? message->name : NULL) || !can_read(reader, reader->at, 4))
        return false;
    if (message)
        message->type = get16(reader->bytes + reader->at);
    reader->at += 4;
    return true;
}

static bool skip_record(struct reader *reader)
{
    enum { FIXED = 10, DATA_LENGTH = 8 };
    if (!read_name(reader, NULL) || !can_read(reader, reader->at, FIXED))
        return false;
    size_t data = get16(reader->bytes + reader->at + DATA_LENGTH);
    if (!can_read(reader, reader->at, FIXED + data))
        return false;
    reader->at += FIXED + data;
    return true;
}

bool dns_read(struct dns_message *message, const uint8_t *bytes, size_t captured, size_t length)
{
    struct reader reader = {.bytes = bytes, .captured = captured, .length = length, .at = HEADER};
    if (!can_read(&reader, 0, HEADER))
        return false;
    unsigned questions = get16(bytes + 4);
    unsigned records = (unsigned)get16(bytes + 6) + get16(bytes + 8) + get16(bytes + 10);
    message->id = get16(bytes);
    message->response = bytes[2] & RESPONSE;
    message->rcode = bytes[3] & RCODE;
    message->answers = get16(bytes + 6);
    message->asks = questions;
    message->type = 0;
    message->name[0] = 0;
    if (questions && !read_question(&reader, message))
        return false;
    bool whole = true;
    for (unsigned i = 1; i < questions && whole; i++)
        whole = read_question(&reader, NULL);
    for (unsigned i = 0; i < records && whole; i++)
        whole = skip_record(&reader);
    message->malformed = reader.malformed;
    return true;
}

/* ------------------------------------------------------------------ texts */

static const struct {
    uint16_t type;
    const char *name;
} types[] = {
    {1, "A"},      {2, "NS"},     {5, "CNAME"},  {6, "SOA"},     {12, "PTR"},   {13, "HINFO"}, {15, "MX"},
    {16, "TXT"},   {28, "AAAA"},  {33, "SRV"},   {35, "NAPTR"},  {39, "DNAME"}, {41, "OPT"},   {43, "DS"},
    {44, "SSHFP"}, {46, "RRSIG"}, {47, "NSEC"},  {48, "DNSKEY"}, {50, "NSEC3"}, {52, "TLSA"},  {64, "SVCB"},
    {65, "HTTPS"}, {251, "IXFR"}, {252, "AXFR"}, {255, "ANY"},   {257, "CAA"},
};

static const char *const rcodes[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                     "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};

const char *dns_type_text(uint16_t type, char text[DNS_TEXT])
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type)
            return types[i].name;
    snprintf(text, DNS_TEXT, "TYPE%u", type);
    return text;
}

const char *dns_rcode_text(uint8_t rcode, char text[DNS_TEXT])
{
    if (rcode < sizeof rcodes / sizeof *rcodes)
        return rcodes[rcode];
    snprintf(text, DNS_TEXT, "RCODE%u", rcode);
    return text;
}
