#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t granule_of(uint64_t size)
{
    return size ? (uint32_t)((size + GRANULE - 1) / GRANULE) : 1;
}

static uint32_t half_of(const struct tally *tally)
{
    return tally->events > tally->expected / 2;
}

void tally_begin(struct tally *tally, uint64_t events, uint64_t time)
{
    tally->start = time;
    tally->events = 0;
    tally->expected = events;
}

uint32_t tally_key(struct tally *tally, const char *name)
{
    for (uint32_t i = 0; i < tally->keys_count; i++)
        if (!strncmp(tally->keys[i].name, name, KEY_NAME - 1)) {
            tally->keys[i].touched = true;
            return i;
        }
    struct counts *halves = tally->keys_count < KEYS_MOST ? calloc(HALVES, sizeof *halves) : NULL;
    if (!halves) {
        tally->full = true;
        return UINT32_MAX;
    }
    struct tally_key *key = &tally->keys[tally->keys_count];
    *key = (struct tally_key){.halves[0] = halves, .timed = true, .touched = true};
    snprintf(key->name, sizeof key->name, "%s", name);
    return tally->keys_count++;
}

static void count_alloc(struct counts *counts, uint64_t size, uint64_t age)
{
    uint32_t granule = granule_of(size);
    counts->blocks[granule]++;
    counts->bytes[granule] += size;
    counts->live[granule]++;
    counts->live_bytes[granule] += size;
    counts->lifetime[granule] -= age;
    counts->size_lifetime[granule] -= (wide)age * size;
}

static void count_free(struct counts *counts, uint64_t size, uint64_t age)
{
    uint32_t granule = granule_of(size);
    counts->live[granule]--;
    counts->live_bytes[granule] -= size;
    counts->lifetime[granule] += age;
    counts->size_lifetime[granule] += (wide)age * size;
}

/* The block that is at the address goes, if it is of a life that lasts. */
static bool drop(struct tally *tally, uint64_t address, uint64_t time)
{
    struct live_block block;
    if (!live_take(&tally->live, address, &block))
        return false;
    struct tally_key *key = &tally->keys[block.key];
    if (block.life != key->life)
        return false;
    key->now_bytes -= block.size;
    if (block.size <= SIZE_TOP)
        count_free(&key->halves[block.alignment_shift][block.half], block.size, time - tally->start);
    return true;
}

/* What every block has counts as no alignment, and what no class has as the most that one can have. */
static uint8_t alignment_of(uint8_t shift)
{
    if (shift >= ALIGNMENTS)
        return ALIGNMENTS - 1;
    return 1u << shift > GRANULE ? shift : 0;
}

void tally_alloc(struct tally *tally, uint32_t key_index, uint64_t address, uint64_t size, uint64_t time)
{
    tally_alloc_aligned(tally, key_index, address, size, 0, time);
}

void tally_alloc_aligned(struct tally *tally, uint32_t key_index, uint64_t address, uint64_t size,
                         uint8_t alignment_shift, uint64_t time)
{
    tally->events++;
    if (key_index == UINT32_MAX)
        return;
    struct tally_key *key = &tally->keys[key_index];
    uint8_t shift = alignment_of(alignment_shift);
    if (!key->halves[shift])
        key->halves[shift] = calloc(HALVES, sizeof **key->halves);
    if (!key->halves[shift] || !live_reserve(&tally->live)) {
        tally->full = true;
        return;
    }
    drop(tally, address, time); /* its free is missing in the source */
    struct live_block block = {
        .address = address,
        .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
        .key = key_index,
        .half = half_of(tally) & 1,
        .life = key->life,
        .alignment_shift = shift,
    };
    live_put(&tally->live, &block);
    key->now_bytes += block.size;
    if (key->now_bytes > key->peak_bytes)
        key->peak_bytes = key->now_bytes;
    if (size <= SIZE_TOP) {
        count_alloc(&key->halves[shift][block.half], size, time - tally->start);
    } else {
        key->large++;
        key->large_bytes += size;
    }
}

void tally_free(struct tally *tally, uint64_t address, uint64_t time)
{
    tally->events++;
    if (!drop(tally, address, time))
        tally->unmatched++;
}

static void end_counts(struct counts *counts, uint64_t age)
{
    for (uint32_t granule = 0; granule < GRANULES; granule++) {
        if (!counts->live[granule])
            continue; /* most have never been written to, and take no memory */
        counts->lifetime[granule] += (wide)age * counts->live[granule];
        counts->size_lifetime[granule] += (wide)age * counts->live_bytes[granule];
        counts->live[granule] = counts->live_bytes[granule] = 0;
    }
}

/* What is live in the key ends now. */
static void end_life(struct tally_key *key, uint64_t age)
{
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++)
        for (uint32_t half = 0; key->halves[shift] && half < HALVES; half++)
            end_counts(&key->halves[shift][half], age);
    key->now_bytes = 0;
    key->life++;
}

void tally_reset(struct tally *tally, uint32_t key, uint64_t time)
{
    tally->events++;
    if (key != UINT32_MAX)
        end_life(&tally->keys[key], time - tally->start);
}

static void add_blocks(struct tally *tally, uint32_t key, uint32_t half, uint64_t size, uint64_t count)
{
    struct counts *counts = &tally->keys[key].halves[0][half];
    if (size > SIZE_TOP) {
        tally->keys[key].large += count;
        tally->keys[key].large_bytes += count * size;
        return;
    }
    counts->blocks[granule_of(size)] += count;
    counts->bytes[granule_of(size)] += count * size;
}

void tally_blocks(struct tally *tally, uint32_t key, uint64_t size, uint64_t count)
{
    if (key == UINT32_MAX)
        return;
    uint32_t more = tally->events++ & 1; /* of an odd number, the halves get the larger part in turn */
    add_blocks(tally, key, more, size, count - count / 2);
    add_blocks(tally, key, !more, size, count / 2);
    tally->keys[key].timed = false;
}

void tally_block(struct tally *tally, uint32_t key, uint64_t size)
{
    tally->events++;
    if (key == UINT32_MAX)
        return;
    add_blocks(tally, key, half_of(tally), size, 1);
    tally->keys[key].timed = false;
}

void tally_end(struct tally *tally, uint64_t time, bool timed)
{
    for (uint32_t i = 0; i < tally->keys_count; i++) {
        struct tally_key *key = &tally->keys[i];
        if (!key->touched)
            continue;
        key->touched = false;
        end_life(key, time - tally->start);
        key->duration += time - tally->start;
        key->timed &= timed;
    }
    live_free(&tally->live);
}

void tally_close(struct tally *tally)
{
    for (uint32_t i = 0; i < tally->keys_count; i++)
        for (uint32_t shift = 0; shift < ALIGNMENTS; shift++)
            free(tally->keys[i].halves[shift]);
    live_free(&tally->live);
    tally->keys_count = 0;
}
