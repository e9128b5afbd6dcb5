/* What the tests of the decoder share: frames that must be known, decoded where reading past them shows. */
#ifndef TESTS_DECODE_BLOCK_H
#define TESTS_DECODE_BLOCK_H

#include "decode.h"
#include "frames.h"
#include "test.h"

#include <stdlib.h>

static inline void build(struct frame *frame, const char *headers)
{
    if (!frame_build(frame, headers))
        fail_msg("%s: no such header", headers);
}

/* In a block of its own: what is read past it shows. */
static inline const char *decode_block(uint16_t link, const uint8_t *bytes, size_t captured, size_t length,
                                       struct packet *packet)
{
    uint8_t *block = malloc(captured ? captured : 1);
    assert_non_null(block);
    memcpy(block, bytes, captured);
    const char *problem = decode(link, block, captured, length, packet);
    free(block);
    assert_ptr_equal(problem, packet->problem);
    return problem;
}

#endif
