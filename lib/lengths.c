#include "lengths.h"

#include <stdio.h>
#include <string.h>

static_assert(LENGTHS_MOST * sizeof "65535: 60," <= SETTING_TEXT, "every list fits");

static bool size_parse(const char *text, size_t length, uint64_t *bytes)
{
    char size[SETTING_TEXT];
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    snprintf(size, sizeof size, "%.*s", (int)length, text);
    return bytes_parse(size, bytes);
}

/* "SIZE: BLOCKS", or "BLOCKS" for all other classes, whose largest size is CLASS_TOP. */
static const char *rung_parse(const char *text, uint64_t *bytes, uint64_t *blocks)
{
    const char *colon = strchr(text, ':');
    *bytes = CLASS_TOP;
    if (colon && !size_parse(text, (size_t)(colon - text), bytes))
        return "a size before the colon, as 256: 60";
    if (colon && (!*bytes || *bytes >= CLASS_TOP))
        return "a size from 1 to 65535 before the colon";
    if (colon)
        text = colon + 1 + strspn(colon + 1, " \t");
    if (text[strspn(text, "0123456789")] || !bytes_parse(text, blocks) || !*blocks || *blocks > MAGAZINE_SLOTS)
        return colon ? "1 to 60 behind the colon" : "1 to 60, or a size, a colon and 1 to 60, as 256: 60";
    return NULL;
}

const char *lengths_add(struct lengths *lengths, const char *text)
{
    const struct rung *last = lengths->count ? &lengths->rungs[lengths->count - 1] : NULL;
    uint64_t bytes;
    uint64_t blocks;
    const char *expected = rung_parse(text, &bytes, &blocks);
    if (expected)
        return expected;
    if (last && last->bytes == CLASS_TOP)
        return "nothing behind the one without a size, which is for all other classes";
    if (lengths->count == LENGTHS_MOST)
        return "8 of them at the most";
    if (last && bytes <= last->bytes)
        return "a larger size than the one before";
    lengths->rungs[lengths->count++] = (struct rung){(uint32_t)bytes, (uint32_t)blocks};
    return NULL;
}

const char *lengths_end(const struct lengths *lengths)
{
    bool whole = lengths->count && lengths->rungs[lengths->count - 1].bytes == CLASS_TOP;
    return whole ? NULL : "a last one without a size, for all other classes";
}

char *lengths_format(const struct lengths *lengths, char *text)
{
    size_t used = 0;
    for (const struct rung *rung = lengths->rungs; rung->bytes < CLASS_TOP; rung++)
        used += (size_t)snprintf(text + used, SETTING_TEXT - used, "%u: %u, ", rung->bytes, rung->blocks);
    snprintf(text + used, SETTING_TEXT - used, "%u", lengths->rungs[lengths->count - 1].blocks);
    return text;
}
