/* What a key counts and reports, compared with what it should. */
#ifndef TESTS_FUZZ_ACCOUNT_H
#define TESTS_FUZZ_ACCOUNT_H

#include "reference.h"

void account_start(void);

/* The hook of all keys that have one. */
void account_hook(void *context, const struct ks_error *error);

/* A refusal that the operation has answered, or hidden behind KS_TERMINATED: the hook must have been told. */
void account_refused(uint32_t key, const void *block, ks_status status, size_t class_size);

/* What the hook was told about the address in this operation; KS_OK for nothing. */
ks_status account_told(uint32_t key, const void *block);

/* A free was accepted although the block has been freed: it is to be refused at home. */
void account_excess(uint32_t key, const struct block *block);

/* What is still pending is dropped. */
void account_forgive(uint32_t key);

/* The end of an operation by `thread`: each refusal was told once, and nothing else. */
void account_settle(uint32_t thread);

/* The thread has left: it is another one when it comes back. */
void account_left(uint32_t thread);

/* Brings the refusals at home up to date for a key without a hook. */
void account_sync(uint32_t key);

/* The statistics of a key that is between operations. */
void account_check(uint32_t key);

/* After a purge by a thread without heaps: all is home, and nothing is kept that holds no live block. */
void account_check_purged(uint32_t key);

#endif
