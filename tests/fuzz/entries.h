/*
 * Open entries: what a heap's thread has freed last for another heap, as far as a second free can be told from that. The library sends
 * entries when it thinks right, so often the reference knows only that a block may still be in one.
 */
#ifndef TESTS_FUZZ_ENTRIES_H
#define TESTS_FUZZ_ENTRIES_H

#include "reference.h"

enum joins { JOINS_NOT, MAY_JOIN, JOINS };

/* Whether a free of the block by the thread finds it in the entry that it would join. */
enum joins block_joins(uint32_t thread, const struct block *block);

/* The thread's free of another heap's block was accepted. */
void entry_add(uint32_t thread, const struct block *block);

/* Whatever the heap's thread had collected is sent, or dropped. */
void entries_sent(uint32_t heap);

/* The same of all heaps that the thread holds, or of all of the key. */
void entries_sent_by(uint32_t thread);
void entries_sent_in(uint32_t key);

/* The clock of a group of the heap may have gone on, nobody knows which. */
void entries_doubt(uint32_t home);

#endif
