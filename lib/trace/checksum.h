/* CRC-32C, as in iSCSI and ext4: what tells a damaged chunk of a trace from a good one. */
#ifndef TRACE_CHECKSUM_H
#define TRACE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t trace_checksum(const void *bytes, size_t size);

/* The same, where the processor has no instruction for it. */
uint32_t trace_checksum_by_tables(const void *bytes, size_t size);

#endif
