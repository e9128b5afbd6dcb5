#include "tls_hello.h"

#include <string.h>

enum { RANDOM = 32, HOST_NAME = 0 };

/* What a ServerHello has for its random value that asks for another ClientHello. */
static const uint8_t retry_random[RANDOM] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                             0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                             0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

struct span span_take(struct span *span, size_t count)
{
    struct span taken = {span->bytes, count};
    if (!span->bytes || count > span->length) {
        *span = (struct span){0};
        return *span;
    }
    span->bytes += count;
    span->length -= count;
    return taken;
}

uint32_t span_number(struct span *span, unsigned width)
{
    struct span taken = span_take(span, width);
    uint32_t number = 0;
    for (size_t i = 0; i < taken.length; i++)
        number = number << 8 | taken.bytes[i];
    return number;
}

/* What has its length before it, a number of `width` bytes. */
static struct span take_counted(struct span *span, unsigned width)
{
    uint32_t length = span_number(span, width);
    return span_take(span, length);
}

/* ------------------------------------------------------------------ extensions */

/* The first host name of the list. */
static void take_server_name(struct tls_hello *hello, struct span data)
{
    struct span names = take_counted(&data, 2);
    hello->names_server = true;
    while (names.length && !hello->server.bytes) {
        uint32_t kind = span_number(&names, 1);
        struct span name = take_counted(&names, 2);
        if (kind == HOST_NAME)
            hello->server = name;
    }
}

static void take_versions(struct tls_hello *hello, struct span data)
{
    struct span versions = hello->client ? take_counted(&data, 1) : data;
    uint16_t highest = 0;
    while (versions.length) {
        uint16_t version = (uint16_t)span_number(&versions, 2);
        if (!tls_is_grease(version) && version > highest)
            highest = version;
    }
    if (highest)
        hello->version = highest;
}

static void take_extension(struct tls_hello *hello, uint32_t type, struct span data)
{
    if (type == TLS_SERVER_NAME)
        take_server_name(hello, data);
    else if (type == TLS_SUPPORTED_VERSIONS)
        take_versions(hello, data);
    else if (type == TLS_ALPN)
        hello->alpn = take_counted(&data, 2);
    else if (type == TLS_SIGNATURE_ALGORITHMS)
        hello->algorithms = take_counted(&data, 2);
}

/* False where they do not end where they should. */
static bool take_extensions(struct tls_hello *hello)
{
    struct span left = hello->extensions;
    while (left.length) {
        uint32_t type = span_number(&left, 2);
        struct span data = take_counted(&left, 2);
        if (!left.bytes)
            return false;
        take_extension(hello, type, data);
    }
    return true;
}

/* ------------------------------------------------------------------ messages */

bool tls_read_hello(struct tls_hello *hello, const uint8_t *bytes, size_t length)
{
    struct span left = {bytes, length};
    uint32_t type = span_number(&left, 1);
    *hello = (struct tls_hello){.client = type == TLS_CLIENT_HELLO};
    left = take_counted(&left, 3);
    if (type != TLS_CLIENT_HELLO && type != TLS_SERVER_HELLO)
        return false;
    hello->version = (uint16_t)span_number(&left, 2);
    struct span random = span_take(&left, RANDOM);
    take_counted(&left, 1); /* the session's identifier */
    hello->ciphers = hello->client ? take_counted(&left, 2) : span_take(&left, 2);
    if (hello->client)
        take_counted(&left, 1); /* ways to compress */
    else
        span_number(&left, 1);
    if (!left.bytes || hello->ciphers.length % 2)
        return false;
    hello->retry = !hello->client && random.bytes && !memcmp(random.bytes, retry_random, RANDOM);
    if (!left.length)
        return true;
    hello->extensions = take_counted(&left, 2);
    return left.bytes && take_extensions(hello);
}
