/* A temporary file without a name: written at its end, in large pieces, and read anywhere. */
#ifndef HOST_SPOOL_H
#define HOST_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool {
    int descriptor;
    uint64_t written; /* bytes in the file */
    size_t used;      /* bytes in the buffer, behind those */
    uint8_t *buffer;
};

/* False after a complaint; `what` is what the file is for. */
bool spool_open(struct spool *spool, const char *what);

/* False with errno: the file ends where it did. */
bool spool_append(struct spool *spool, const void *bytes, size_t size);
bool spool_flush(struct spool *spool);

/* Where the next byte will lie. */
static inline uint64_t spool_end(const struct spool *spool)
{
    return spool->written + spool->used;
}

/* All of the bytes from there. False with errno, which is 0 where the file ends before. */
bool read_at(int descriptor, void *to, size_t size, uint64_t offset);

void spool_close(struct spool *spool);

#endif
