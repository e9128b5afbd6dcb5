/* What the system knows of a block's pages. */
#ifndef TESTS_PAGES_H
#define TESTS_PAGES_H

#include "test.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#define HUGE_PAGE  ((size_t)2 << 20)
#define SMALL_PAGE ((size_t)4096)

/* The system has been advised to use huge pages for it. */
static inline bool is_advised(const void *block)
{
    char line[512];
    unsigned long from, to;
    bool within = false;
    bool advised = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            within = from <= (uintptr_t)block && (uintptr_t)block < to;
        else if (within && !strncmp(line, "VmFlags:", 8))
            advised = strstr(line, " hg") != NULL;
    }
    fclose(file);
    return advised;
}

/* Bytes of `bytes` from the start of a page on that are resident: those of pages that are unmapped are not. */
static inline size_t resident_of(const void *start, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes / SMALL_PAGE; i++) {
        unsigned char page = 0;
        if (mincore((void *)((uintptr_t)start + i * SMALL_PAGE), SMALL_PAGE, &page) != 0)
            assert_int_equal(errno, ENOMEM);
        count += page & 1;
    }
    return count * SMALL_PAGE;
}

#endif
