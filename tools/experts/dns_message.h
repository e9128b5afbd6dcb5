/*
 * A DNS message (RFC 1035): its header, its first question, and whether the rest is well formed. Reads nothing outside the bytes
 * that were captured, and believes no count, length or pointer that they do not cover.
 */
#ifndef EXPERTS_DNS_MESSAGE_H
#define EXPERTS_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A name has 255 bytes at the most; one that cannot be printed becomes \DDD. */
enum { DNS_NAME_TEXT = 4 * 255 + 1, DNS_TEXT = 16 };

struct dns_message {
    uint16_t id;
    bool response;
    uint8_t rcode;
    uint16_t answers; /* by the header */
    bool malformed;   /* behind the question */
    bool asks;        /* it has a question: `type` and `name` are its first one's */
    uint16_t type;
    char name[DNS_NAME_TEXT];
};

/* False where header or question are malformed, or were not captured. `length` is the message's, as on the wire. */
bool dns_read(struct dns_message *message, const uint8_t *bytes, size_t captured, size_t length);

/* "AAAA" or "TYPE1234", "NXDOMAIN" or "RCODE12". */
const char *dns_type_text(uint16_t type, char text[DNS_TEXT]);
const char *dns_rcode_text(uint8_t rcode, char text[DNS_TEXT]);

#endif
