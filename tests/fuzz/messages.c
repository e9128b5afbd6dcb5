/*
 * libFuzzer over the messages that experts read: DNS, whole or cut, and the hellos of TLS. They lie in a block of exactly their
 * size, so that AddressSanitizer sees a read past it.
 */
#include "dns_message.h"
#include "tls_hello.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_dns(const uint8_t *bytes, size_t captured, size_t missing)
{
    struct dns_message message;
    char text[DNS_TEXT];
    if (!dns_read(&message, bytes, captured, captured + missing))
        return;
    if (strlen(message.name) >= DNS_NAME_TEXT || (!message.asks && *message.name))
        abort();
    if (!*dns_type_text(message.type, text) || !*dns_rcode_text(message.rcode, text))
        abort();
}

static void read_hello(const uint8_t *bytes, size_t length)
{
    enum { FINGERPRINT = 36 };
    struct tls_hello hello;
    char text[JA4_TEXT];
    if (!tls_read_hello(&hello, bytes, length))
        return;
    if (hello.server.length > length || hello.alpn.length > length || hello.extensions.length > length)
        abort();
    ja4(&hello, text);
    if (*text && strlen(text) != FINGERPRINT)
        abort();
}

/* The first byte says which of them, and how much longer a DNS message was on the wire. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint8_t *bytes = malloc(size > 1 ? size - 1 : 1);
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1)
        read_hello(bytes, size - 1);
    else
        read_dns(bytes, size - 1, data[0] >> 1);
    free(bytes);
    return 0;
}
