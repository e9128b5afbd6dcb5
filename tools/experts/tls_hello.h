/*
 * What the two sides of a TLS handshake say first, ClientHello and ServerHello (RFC 8446 and before), and the JA4 fingerprint of a
 * client. Spans point into the message; lists in them are read by whoever needs them.
 */
#ifndef EXPERTS_TLS_HELLO_H
#define EXPERTS_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_CLIENT_HELLO = 1, TLS_SERVER_HELLO = 2, TLS_MESSAGE_HEADER = 4 };

enum { TLS_SERVER_NAME = 0, TLS_SIGNATURE_ALGORITHMS = 13, TLS_ALPN = 16, TLS_SUPPORTED_VERSIONS = 43 };

struct span {
    const uint8_t *bytes;
    size_t length;
};

struct tls_hello {
    bool client;
    bool retry;             /* a HelloRetryRequest */
    uint16_t version;       /* the highest that is offered; the one that is chosen */
    struct span ciphers;    /* offered: numbers of two bytes; or the one that is chosen */
    struct span extensions; /* all: type, length, bytes */
    bool names_server;
    struct span server;     /* its name */
    struct span alpn;       /* protocols, each with its length before it; where chosen, one */
    struct span algorithms; /* of signatures, in the client's order */
};

/* A handshake message with its header. False where it is no hello, or malformed. */
bool tls_read_hello(struct tls_hello *hello, const uint8_t *bytes, size_t length);

/* The first `count` bytes, which the span then lacks; empty where there are not as many, and then `span->bytes` is NULL. */
struct span span_take(struct span *span, size_t count);

/* A number of `width` bytes from the front. */
uint32_t span_number(struct span *span, unsigned width);

/* Values that clients send to keep servers tolerant (RFC 8701). */
static inline bool tls_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

/* "t13d1516h2_8daaf6152771_e5627efa2ab1"; empty for one with more than 512 ciphers or extensions. */
enum { JA4_TEXT = 40 };
void ja4(const struct tls_hello *hello, char text[JA4_TEXT]);

#endif
