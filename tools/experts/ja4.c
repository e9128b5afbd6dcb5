/* The fingerprint JA4 of a TLS client, as FoxIO has published it: what it offers, in an order that it does not choose. */
#include "tls_hello.h"

#include <ctype.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MOST = 512, COUNT_MOST = 99, HASH_TEXT = 12 };

/* Numbers without GREASE. */
struct list {
    unsigned count;
    uint16_t numbers[LIST_MOST];
};

static void list_add(struct list *list, uint32_t number)
{
    if (!tls_is_grease((uint16_t)number) && list->count <= LIST_MOST && list->count++ < LIST_MOST)
        list->numbers[list->count - 1] = (uint16_t)number;
}

static int compare(const void *left, const void *right)
{
    return *(const uint16_t *)left - *(const uint16_t *)right;
}

static void list_of(struct list *list, struct span numbers)
{
    list->count = 0;
    while (numbers.length)
        list_add(list, span_number(&numbers, 2));
}

/* The types of all extensions: whether names and protocols are there counts, but is not hashed. */
static void list_of_extensions(struct list *list, struct span extensions)
{
    list->count = 0;
    while (extensions.length) {
        list_add(list, span_number(&extensions, 2));
        uint32_t length = span_number(&extensions, 2);
        span_take(&extensions, length);
    }
}

static void list_drop(struct list *list, uint16_t number)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (list->numbers[i] != number)
            list->numbers[kept++] = list->numbers[i];
    list->count = kept;
}

/* "1301,1302" */
static void hash_list(SHA2_CTX *hash, const struct list *list)
{
    char text[8];
    for (unsigned i = 0; i < list->count; i++) {
        int length = snprintf(text, sizeof text, "%s%04x", i ? "," : "", list->numbers[i]);
        SHA256Update(hash, (const uint8_t *)text, (size_t)length);
    }
}

/* The first half of the hash of a list, and of a second one where that has any. */
static void hash_text(char text[HASH_TEXT + 1], const struct list *first, const struct list *second)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA2_CTX hash;
    memset(text, '0', HASH_TEXT);
    text[HASH_TEXT] = 0;
    if (!first->count)
        return;
    SHA256Init(&hash);
    hash_list(&hash, first);
    if (second && second->count) {
        SHA256Update(&hash, (const uint8_t *)"_", 1);
        hash_list(&hash, second);
    }
    SHA256Final(digest, &hash);
    for (size_t i = 0; i < HASH_TEXT / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static const char *version_text(uint16_t version)
{
    switch (version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    case 0x0300:
        return "s3";
    case 0x0002:
        return "s2";
    default:
        return "00";
    }
}

/* First and last character of the first protocol; of its bytes in hexadecimal where one of the two is neither letter nor digit. */
static void protocol_text(char text[3], struct span alpn)
{
    size_t length = span_number(&alpn, 1);
    struct span name = span_take(&alpn, length);
    if (!name.length) {
        snprintf(text, 3, "00");
        return;
    }
    uint8_t first = name.bytes[0];
    uint8_t last = name.bytes[name.length - 1];
    if (first < 128 && last < 128 && isalnum(first) && isalnum(last))
        snprintf(text, 3, "%c%c", first, last);
    else
        snprintf(text, 3, "%x%x", first >> 4, last & 15);
}

static unsigned at_most(unsigned count)
{
    return count < COUNT_MOST ? count : COUNT_MOST;
}

void ja4(const struct tls_hello *hello, char text[JA4_TEXT])
{
    struct list ciphers;
    struct list extensions;
    struct list algorithms;
    char protocol[3];
    char hashes[2][HASH_TEXT + 1];
    list_of(&ciphers, hello->ciphers);
    list_of(&algorithms, hello->algorithms);
    list_of_extensions(&extensions, hello->extensions);
    text[0] = 0;
    if (ciphers.count > LIST_MOST || extensions.count > LIST_MOST || algorithms.count > LIST_MOST)
        return;
    unsigned extensions_count = extensions.count;
    list_drop(&extensions, TLS_SERVER_NAME);
    list_drop(&extensions, TLS_ALPN);
    qsort(ciphers.numbers, ciphers.count, sizeof *ciphers.numbers, compare);
    qsort(extensions.numbers, extensions.count, sizeof *extensions.numbers, compare);
    hash_text(hashes[0], &ciphers, NULL);
    hash_text(hashes[1], &extensions, &algorithms);
    protocol_text(protocol, hello->alpn);
    snprintf(text, JA4_TEXT, "t%s%c%02u%02u%s_%s_%s", version_text(hello->version), hello->names_server ? 'd' : 'i',
             at_most(ciphers.count), at_most(extensions_count), protocol, hashes[0], hashes[1]);
}
