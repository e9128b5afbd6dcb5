/* The config file and the options that it stands behind: which setting a key gets, and that each of them does what it says. */
#include "pages.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { TEXTS = 16, SLAB = 256 << 10, QUARANTINED = 8 * 60 };

static char config_path[] = "/tmp/keyslab-config-XXXXXX";

/* ------------------------------------------------------------------ helpers */

struct told {
    unsigned count;
    char texts[TEXTS][256];
};

static void tell(void *context, const char *text)
{
    struct told *told = context;
    if (told->count < TEXTS)
        snprintf(told->texts[told->count], sizeof told->texts[0], "%s", text);
    told->count++;
}

static void file_write(const char *text)
{
    FILE *file = fopen(config_path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static ks_status load(const char *text, struct told *told)
{
    *told = (struct told){0};
    file_write(text);
    return ks_config_load(config_path, tell, told);
}

static void load_ok(const char *text)
{
    struct told told;
    ks_status status = load(text, &told);
    if (status != KS_OK)
        fail_msg("%s", told.texts[0]);
    assert_int_equal(told.count, 0);
}

static ks_key_t key_with(struct ks_key_options options)
{
    ks_key_t key;
    assert_status(ks_key_create(&options, &key), KS_OK);
    return key;
}

static ks_key_t key_named(const char *name)
{
    return key_with((struct ks_key_options){.name = name});
}

static int unload(void **state)
{
    (void)state;
    assert_status(ks_config_load(NULL, NULL, NULL), KS_OK);
    return 0;
}

static void assert_good_size(const char *name, size_t size, size_t expected)
{
    ks_key_t key = key_named(name);
    assert_int_equal(ks_key_good_size(key, size), expected);
    void *block = alloc_ok(key, size);
    assert_int_equal(ks_size(key, block), expected);
    assert_status(ks_free(key, block), KS_OK);
    key_end(key);
}

/* ------------------------------------------------------------------ which setting */

static void the_most_specific_section_counts(void **state)
{
    (void)state;
    load_ok("[key d*]\nclasses = 208, 65536\n"
            "[key dns-*]\nclasses = 224, 65536\n"
            "[key dns-exact]\nclasses = 240, 65536\n"
            "[defaults]\nclasses = 256, 65536\n"
            "[key plain]\noutbox = 1\n"
            "[key [ab]?x]\nclasses = 272, 65536\n");
    assert_good_size("dns-exact", 100, 240);
    assert_good_size("dns-other", 100, 208); /* the first that fits, not the longest */
    assert_good_size("plain", 100, 256);
    assert_good_size("a1x", 100, 272);
    assert_good_size("c1x", 100, 256);
    assert_good_size("", 100, 256);
    assert_int_equal(ks_good_size(100), 112);
}

static void an_option_wins_over_the_file(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1024, 65536};
    load_ok("[defaults]\nclasses = 512, 65536\nquota = 1 MiB\n");
    ks_key_t key = key_with((struct ks_key_options){.classes = sizes, .class_count = 2, .quota = 2 << 20});
    assert_int_equal(ks_key_good_size(key, 1), 1024);
    assert_int_equal(stats_of(key).quota, 2 << 20);
    key_end(key);
    key = key_with((struct ks_key_options){.quota = KS_QUOTA_NONE});
    assert_int_equal(ks_key_good_size(key, 1), 512);
    assert_int_equal(stats_of(key).quota, 0);
    key_end(key);
    key = key_new();
    assert_int_equal(stats_of(key).quota, 1 << 20);
    key_end(key);
}

/* 72, and 1,520, which no 64 divides; by the file's name for each alignment. */
static void alignment_goes_with_classes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {72, 1520, 65536};
    load_ok("[defaults]\nalignment = 8\nclasses = 24, 72, 1520, 65536\n"
            "[key even]\nalignment = 16\nclasses = 48, 1520, 65536\n"
            "[key plain]\nclasses = 64, 1536, 65536\nalignment = 64\n");
    assert_good_size("any", 20, 24);
    assert_good_size("any", 70, 72);
    assert_good_size("even", 1500, 1520);
    assert_good_size("plain", 1500, 1536);
    /* A program's own alignment keeps a file from loosening it: classes are rounded up. */
    static const size_t alignments[] = {8, 16, 32, 64};
    static const size_t expected[][3] = {{24, 72, 1520}, {32, 80, 1520}, {32, 80, 1536}, {32, 80, 1536}};
    for (size_t i = 0; i < COUNT(alignments); i++) {
        ks_key_t key = key_with((struct ks_key_options){.name = "any", .alignment = alignments[i]});
        assert_int_equal(ks_key_good_size(key, 20), expected[i][0]);
        assert_int_equal(ks_key_good_size(key, 70), expected[i][1]);
        assert_int_equal(ks_key_good_size(key, 1500), expected[i][2]);
        key_end(key);
    }
    /* Its own classes go by its own alignment. */
    ks_key_t key;
    const struct ks_key_options own = {.name = "any", .classes = sizes, .class_count = 3};
    assert_status(ks_key_create(&own, &key), KS_INVALID);
    struct ks_key_options aligned = own;
    aligned.alignment = 8;
    aligned.name = "plain";
    key = key_with(aligned);
    assert_int_equal(ks_key_good_size(key, 70), 72);
    key_end(key);
}

/* Two sizes that a stricter alignment makes one. */
static void rounded_classes_stay_apart(void **state)
{
    (void)state;
    load_ok("[defaults]\nalignment = 8\nclasses = 24, 32, 40, 48, 504, 528, 544, 576, 65536\n");
    ks_key_t key = key_with((struct ks_key_options){.alignment = 64});
    static const size_t expected[] = {32, 48, 512, 576, 65536};
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.class_count, COUNT(expected) + 1);
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(stats.classes[i].size, expected[i]);
    key_end(key);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    static const uint32_t good[] = {64, 65536}, odd[] = {72, 65536}, line[] = {528, 65536}, down[] = {64, 64, 65536},
                          low[] = {64, 128}, none[] = {0, 65536}, high[] = {64, 131072}, eight[] = {8, 65536},
                          four[] = {20, 65536}, packed_line[] = {520, 65536};
    uint32_t many[48];
    for (uint32_t i = 0; i < 48; i++)
        many[i] = i < 47 ? 64 * (i + 1) : 65536;
    const struct ks_key_options bad[] = {
        {.classes = good},
        {.class_count = 2},
        {.classes = odd, .class_count = 2},
        {.classes = line, .class_count = 2},
        {.classes = down, .class_count = 3},
        {.classes = low, .class_count = 2},
        {.classes = none, .class_count = 2},
        {.classes = high, .class_count = 2},
        {.classes = many, .class_count = 48},
        {.flush = 1000001},
        {.response = (enum ks_response)4},
        {.checks = (enum ks_checks)3},
        {.arena = (enum ks_arena)4},
        {.huge = (enum ks_huge_pages)3},
        {.reserved = {[1] = 1}},
        {.reserved = {[0] = (uint64_t)1 << 40}},
        {.slab_bytes = 32 << 10},
        {.slab_bytes = 96 << 10},
        {.slab_bytes = 512 << 10},
        {.retain = ((size_t)1 << 40) + 1},
        {.alignment = 4},
        {.alignment = 24},
        {.alignment = 128},
        {.classes = odd, .class_count = 2, .alignment = 16},
        {.classes = line, .class_count = 2, .alignment = 32},
        {.classes = eight, .class_count = 2, .alignment = 8},
        {.classes = four, .class_count = 2, .alignment = 8},
        {.classes = packed_line, .class_count = 2, .alignment = 8},
    };
    ks_key_t key = 1;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_status(ks_key_create(&bad[i], &key), KS_INVALID);
        assert_int_equal(key, 0);
    }
    many[46] = 65536;
    key_end(key_with((struct ks_key_options){.classes = many, .class_count = 47}));
}

static void a_bad_file_changes_nothing(void **state)
{
    (void)state;
    struct told told;
    load_ok("[defaults]\nclasses = 512, 65536\n");
    assert_status(load("[defaults]\nclasses = 1024, 65536\nquota = lots\nflush = 0\n", &told), KS_INVALID);
    assert_int_equal(told.count, 2);
    assert_non_null(strstr(told.texts[0], ":3: [defaults] quota: 'lots': expected none or 64 KiB to 1024 GiB"));
    assert_non_null(strstr(told.texts[1], ":4: [defaults] flush: '0': expected 1 to 1000000"));
    assert_good_size("", 1, 512);
    told = (struct told){0};
    assert_status(ks_config_load("/nowhere/keyslab.conf", tell, &told), KS_INVALID);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.texts[0], "/nowhere/keyslab.conf: No such file or directory");
    told = (struct told){0};
    assert_status(ks_config_load("/", tell, &told), KS_INVALID);
    assert_string_equal(told.texts[0], "/: Is a directory");
    assert_good_size("", 1, 512);
}

/* A file for an older library goes on working, and a warning says what has no effect. */
static void a_removed_setting_is_passed_over_with_a_warning(void **state)
{
    (void)state;
    struct told told;
    load_ok("[defaults]\nclasses = 512, 65536\n");
    assert_status(load("[defaults]\nmagazine = 16\nclasses = 1024, 65536\n"
                       "[key a]\nquota = 2 MiB\nmagazine bytes = 32 KiB,\n  none\n",
                       &told),
                  KS_OK);
    assert_int_equal(told.count, 2);
    assert_non_null(strstr(told.texts[0], ":2: [defaults] magazine: this setting was removed and has no effect: free "
                                          "blocks are bits in their slab, and there is nothing left to size: delete "
                                          "the line"));
    assert_non_null(strstr(told.texts[1], ":6: [key a] magazine bytes: this setting was removed and has no effect: "));
    assert_good_size("", 1, 1024);
    ks_key_t key = key_named("a");
    assert_int_equal(ks_key_good_size(key, 1), 1024);
    assert_int_equal(stats_of(key).quota, 2 << 20);
    key_end(key);
}

/* Each is told in its turn, and the errors alone make the file bad. */
static void a_removed_setting_stands_beside_errors(void **state)
{
    (void)state;
    struct told told;
    load_ok("[defaults]\nclasses = 512, 65536\n");
    assert_status(load("[defaults]\nclasses = 1024, 65536\nmagazine = 16\nflush = 0\nmagazine bytes = 8\n", &told),
                  KS_INVALID);
    assert_int_equal(told.count, 3);
    assert_non_null(strstr(told.texts[0], ":3: [defaults] magazine: this setting was removed and has no effect: "));
    assert_non_null(strstr(told.texts[1], ":4: [defaults] flush: '0': expected 1 to 1000000"));
    assert_non_null(strstr(told.texts[2], ":5: [defaults] magazine bytes: this setting was removed and has no "));
    assert_good_size("", 1, 512);
}

static void keys_keep_what_they_were_created_with(void **state)
{
    (void)state;
    load_ok("[defaults]\nclasses = 512, 65536\n");
    ks_key_t old = key_new();
    load_ok("[defaults]\nclasses = 1024, 65536\n");
    ks_key_t young = key_new();
    assert_status(ks_config_load(NULL, NULL, NULL), KS_OK);
    assert_int_equal(ks_key_good_size(old, 1), 512);
    assert_int_equal(ks_key_good_size(young, 1), 1024);
    assert_good_size("", 1, 16);
    key_end(old);
    key_end(young);
}

static atomic_bool loading_ends;

static void *load_again_and_again(void *argument)
{
    (void)argument;
    while (!atomic_load(&loading_ends))
        assert_status(ks_config_load(config_path, NULL, NULL), KS_OK);
    return NULL;
}

/* The config goes while keys are created by it. */
static void loading_and_creating_meet(void **state)
{
    (void)state;
    pthread_t thread;
    file_write("[key x]\nclasses = 512, 65536\nquota = 1 MiB\n");
    assert_status(ks_config_load(config_path, NULL, NULL), KS_OK);
    atomic_store(&loading_ends, false);
    assert_int_equal(pthread_create(&thread, NULL, load_again_and_again, NULL), 0);
    for (int i = 0; i < 3000; i++) {
        ks_key_t key = key_named("x");
        assert_int_equal(ks_key_good_size(key, 1), 512);
        assert_int_equal(stats_of(key).quota, 1 << 20);
        assert_status(ks_key_destroy(key), KS_OK);
    }
    atomic_store(&loading_ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------ classes */

static const uint32_t coarse[] = {4096, 65536};
static const uint32_t fine[] = {16,   48,   80,   112,  144,  176,  208,  240,   272,   304,
                                336,  368,  400,  432,  464,  496,  576,  704,   1088,  1216,
                                1472, 1536, 2112, 3008, 4160, 8000, 9216, 16000, 32704, 65536};

static const struct ks_key_options key_coarse = {.name = "coarse", .classes = coarse, .class_count = COUNT(coarse)};
static const struct ks_key_options key_fine = {.name = "fine", .classes = fine, .class_count = COUNT(fine)};
static const uint32_t packed[] = {16,  24,  40,  56,  72,  104, 136,  200,  264,  328,   456,
                                  504, 528, 560, 656, 784, 912, 1040, 1296, 1520, 16368, 65536};
static const struct ks_key_options key_packed = {
    .name = "packed", .classes = packed, .class_count = COUNT(packed), .alignment = 8};
static const struct ks_key_options key_even = {
    .name = "even", .classes = (const uint32_t[]){16, 48, 528, 1520, 65536}, .class_count = 5, .alignment = 16};
/* The last class is that of the large blocks. */
static const struct ks_key_options *const tables[] = {&key_coarse, &key_fine, &key_packed, &key_even};

/* What the key promises of a block of that size. */
static size_t alignment_expected(const struct ks_key_options *options, size_t size)
{
    if (size < 512)
        return options->alignment == 8 ? 8 : 16;
    return !options->alignment ? 64 : 16;
}

static size_t class_expected(const struct ks_key_options *options, size_t size)
{
    uint32_t i = 0;
    while (options->classes[i] < size)
        i++;
    return options->classes[i];
}

static void every_size_has_the_keys_own_class(void **state)
{
    (void)state;
    for (size_t t = 0; t < COUNT(tables); t++) {
        ks_key_t key = key_with(*tables[t]);
        for (size_t size = 0; size <= 65536; size += size < 1600 ? 1 : 97) {
            size_t expected = class_expected(tables[t], size);
            char *block = alloc_ok(key, size);
            assert_int_equal(ks_key_good_size(key, size), expected);
            assert_int_equal(ks_size(key, block), expected);
            assert_int_equal((uintptr_t)block % alignment_expected(tables[t], size), 0);
            assert_status(ks_free(key, block + 1), KS_BAD_BLOCK);
            assert_status(ks_free(key, block), KS_OK);
        }
        struct ks_key_stats stats = stats_of(key);
        assert_int_equal(stats.class_count, tables[t]->class_count + 1);
        for (uint32_t i = 0; i < tables[t]->class_count; i++)
            assert_int_equal(stats.classes[i].size, tables[t]->classes[i]);
        assert_int_equal(ks_key_good_size(key, 65537), ks_good_size(65537));
        assert_stats_balance(key);
        key_end(key);
        assert_int_equal(ks_key_good_size(key, 1), 0);
    }
}

static void alignment_holds_in_every_table(void **state)
{
    (void)state;
    for (size_t t = 0; t < COUNT(tables); t++) {
        ks_key_t key = key_with(*tables[t]);
        for (size_t alignment = 1; alignment <= 131072; alignment *= 2)
            for (size_t size = 1; size < 70000; size = size * 3 + 1) {
                ks_status status;
                void *block = ks_aligned_alloc(key, alignment, size, &status);
                assert_status(status, KS_OK);
                assert_int_equal((uintptr_t)block % alignment, 0);
                assert_true(ks_size(key, block) >= size);
                assert_status(ks_free(key, block), KS_OK);
            }
        key_end(key);
    }
}

static void realloc_goes_by_the_keys_classes(void **state)
{
    (void)state;
    ks_status status;
    ks_key_t key = key_with(key_coarse);
    char *block = alloc_ok(key, 10);
    memset(block, 'x', 10);
    assert_ptr_equal(ks_realloc(key, block, 4096, &status), block);
    char *moved = ks_realloc(key, block, 4097, &status);
    assert_ptr_not_equal(moved, block);
    assert_int_equal(ks_size(key, moved), 65536);
    assert_memory_equal(moved, "xxxxxxxxxx", 10);
    assert_status(ks_free(key, block), KS_DOUBLE_FREE);
    moved = ks_realloc(key, moved, 1, &status);
    assert_int_equal(ks_size(key, moved), 4096);
    assert_memory_equal(moved, "x", 1);
    key_end(key);
}

enum { CROWD = 3 };

struct crowd {
    ks_key_t keys[CROWD];
    void *blocks[CROWD][500];
};

static void crowd_free(void *argument)
{
    struct crowd *crowd = argument;
    for (size_t i = 0; i < 500; i++)
        for (size_t k = 0; k < CROWD; k++)
            assert_status(ks_free(crowd->keys[k], crowd->blocks[k][i]), KS_OK);
    ks_flush();
}

/* Keys whose classes have the same numbers and other sizes, freed by one other thread, several times over. */
static void blocks_of_all_tables_come_home(void **state)
{
    (void)state;
    struct worker worker;
    struct crowd crowd = {.keys = {key_with(key_coarse), key_with(key_fine), key_with(key_packed)}};
    worker_start(&worker);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 500; i++)
            for (size_t k = 0; k < CROWD; k++)
                crowd.blocks[k][i] = alloc_ok(crowd.keys[k], i * 131 % (round % 3 ? 60000 : 140000));
        worker_do(&worker, crowd_free, &crowd);
        if (round % 5 == 4)
            for (size_t k = 0; k < CROWD; k++)
                assert_status(ks_key_reset(crowd.keys[k]), KS_OK);
    }
    for (size_t k = 0; k < CROWD; k++) {
        assert_status(ks_key_purge(crowd.keys[k]), KS_OK);
        assert_stats_balance(crowd.keys[k]);
        assert_int_equal(stats_of(crowd.keys[k]).live, 0);
        assert_int_equal(stats_of(crowd.keys[k]).arena_bytes, 0);
        assert_int_equal(stats_of(crowd.keys[k]).double_free, 0);
        key_end(crowd.keys[k]);
    }
    worker_end(&worker);
}

struct heard {
    unsigned count;
    struct ks_error last;
};

static void hear(void *context, const struct ks_error *error)
{
    struct heard *heard = context;
    heard->count++;
    heard->last = *error;
}

/* A slab goes from a key with one table to a key with another: old pointers are validated by the table that it has now. */
static void a_slab_has_the_classes_of_its_present_key(void **state)
{
    (void)state;
    enum { OLD = 200, YOUNG_BYTES = 4096 };
    struct heard heard = {0};
    struct ks_key_options options = key_fine;
    options.on_error = hear;
    options.on_error_context = &heard;
    ks_key_t old = key_with(options);
    char *blocks[OLD];
    for (size_t i = 0; i < OLD; i++)
        blocks[i] = alloc_ok(old, 1100); /* 1,216 */
    assert_status(ks_key_reset(old), KS_OK);
    assert_status(ks_key_purge(old), KS_OK);
    /* Other keys in the old one's place, until one has its slab: they share its arena. */
    ks_key_t young[64];
    size_t count = 0;
    for (ks_status status = KS_STALE; count < COUNT(young) && status == KS_STALE; count++) {
        young[count] = key_with(key_coarse);
        alloc_ok(young[count], YOUNG_BYTES);
        status = ks_free(old, blocks[0]);
        assert_true(status == KS_STALE || status == KS_WRONG_KEY);
    }
    assert_status(ks_free(old, blocks[0]), KS_WRONG_KEY);
    assert_int_equal(heard.last.class_size, YOUNG_BYTES);
    size_t begins = 0;
    for (size_t i = 1; i < OLD; i++) {
        bool is_first = (size_t)(blocks[i] - blocks[0]) % YOUNG_BYTES == 0;
        begins += is_first;
        assert_status(ks_free(old, blocks[i]), is_first ? KS_WRONG_KEY : KS_BAD_BLOCK);
        assert_status(ks_free(old, blocks[i] + 16), KS_BAD_BLOCK);
        assert_status(ks_free(young[count - 1], blocks[i]), is_first ? KS_STALE : KS_BAD_BLOCK);
    }
    assert_int_equal(begins, 3);
    key_end(old);
    for (size_t i = 1; i < OLD; i++)
        assert_true(ks_free(young[count - 1], blocks[i]) != KS_OK);
    while (count)
        key_end(young[--count]);
}

/* ------------------------------------------------------------------ outbox, flush, retain, quota */

static void blocks_come_home_from_outboxes_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 16, 1000, 4096, 64 << 10, 1 << 30};
    struct worker worker;
    worker_start(&worker);
    for (size_t s = 0; s < COUNT(sizes); s++) {
        const struct ks_key_options options = {.outbox_bytes = sizes[s]};
        struct ks_key_options other = key_packed;
        other.outbox_bytes = sizes[s];
        struct crowd crowd = {.keys = {key_with(options), key_with(options), key_with(other)}};
        for (int round = 0; round < 4; round++) {
            for (size_t i = 0; i < 500; i++)
                for (size_t k = 0; k < CROWD; k++)
                    crowd.blocks[k][i] = alloc_ok(crowd.keys[k], i * 13);
            if (round % 2)
                crowd_free(&crowd);
            else
                worker_do(&worker, crowd_free, &crowd);
            assert_key_whole(crowd.keys[0]);
        }
        for (size_t k = 0; k < CROWD; k++)
            key_end(crowd.keys[k]);
    }
    worker_end(&worker);
}

static void what_is_retained_is_set_in_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        size_t option;
        uint64_t left;
    } cases[] = {{"auto", 0, 0},
                 {"0", 0, 0},
                 {"512 KiB", 0, 2 * SLAB},
                 {"512 KiB", SLAB, SLAB},
                 {"512 KiB", KS_RETAIN_NONE, 0},
                 {"0", 2 * SLAB, 2 * SLAB}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[100];
        snprintf(text, sizeof text, "[defaults]\nretain = %s\n", cases[i].setting);
        load_ok(text);
        ks_key_t key = key_with((struct ks_key_options){.retain = cases[i].option});
        for (size_t block = 0; block < 32; block++)
            alloc_ok(key, 65536);
        assert_status(ks_key_reset(key), KS_OK);
        assert_status(ks_key_purge(key), KS_OK);
        assert_int_equal(stats_of(key).arena_bytes, cases[i].left);
        key_end(key);
    }
}

struct trickle {
    ks_key_t key;
    void *block;
    unsigned slow_paths;
};

/* One block of the owner's is freed, then the thread goes about its own business. */
static void trickle(void *argument)
{
    struct trickle *trickle = argument;
    assert_status(ks_free(trickle->key, trickle->block), KS_OK);
    for (unsigned i = 0; i < trickle->slow_paths; i++)
        for (unsigned k = 0; k < 60; k++)
            alloc_ok(trickle->key, 64);
}

/* Whether a block that another thread has freed is home after so many slow paths of that thread. */
static bool comes_home_after(const char *setting, unsigned slow_paths)
{
    struct worker worker;
    load_ok(setting);
    struct trickle errand = {.key = key_new(), .slow_paths = slow_paths};
    errand.block = alloc_ok(errand.key, 1000);
    worker_start(&worker);
    worker_do(&worker, trickle, &errand);
    ks_status status;
    void *blocks[240];
    assert_int_equal(ks_alloc_bulk(errand.key, 1000, blocks, 240, &status), 240);
    bool home = stats_of(errand.key).in_flight == 0;
    worker_end(&worker);
    key_end(errand.key);
    return home;
}

static void flush_says_when_waiting_blocks_go(void **state)
{
    (void)state;
    assert_true(comes_home_after("[defaults]\nflush = 2\n", 8));
    assert_false(comes_home_after("[defaults]\nflush = 1000\n", 200));
    assert_false(comes_home_after("[defaults]\n", 8));
    assert_true(comes_home_after("[defaults]\n", 200));
    assert_true(comes_home_after("[defaults]\noutbox = 1\nflush = 1000\n", 1));
}

enum { COLLECTED = 15 };

struct burst {
    ks_key_t key;
    void *blocks[COLLECTED];
};

static void burst_free(void *argument)
{
    struct burst *burst = argument;
    for (unsigned i = 0; i < COLLECTED; i++)
        assert_status(ks_free(burst->key, burst->blocks[i]), KS_OK);
}

/* How many of 15 blocks of 4,096 bytes another thread that has freed them has not sent. */
static uint64_t collected_with(const char *setting)
{
    struct worker worker;
    load_ok(setting);
    struct burst burst = {.key = key_new()};
    for (unsigned i = 0; i < COLLECTED; i++)
        burst.blocks[i] = alloc_ok(burst.key, 4096);
    worker_start(&worker);
    worker_do(&worker, burst_free, &burst);
    ks_status status;
    void *blocks[240];
    assert_int_equal(ks_alloc_bulk(burst.key, 4096, blocks, 240, &status), 240);
    uint64_t collected = stats_of(burst.key).in_flight;
    worker_end(&worker);
    key_end(burst.key);
    return collected;
}

static void outbox_says_how_much_is_collected(void **state)
{
    (void)state;
    assert_int_equal(collected_with("[defaults]\n"), COLLECTED);
    assert_int_equal(collected_with("[defaults]\noutbox = 64 KiB\n"), COLLECTED);
    assert_in_range(collected_with("[defaults]\noutbox = 16 KiB\n"), 0, 4);
    assert_int_equal(collected_with("[defaults]\noutbox = 1\n"), 0);
}

static void a_quota_from_the_file_is_kept(void **state)
{
    (void)state;
    load_ok("[key small]\nquota = 1 MiB\n");
    ks_key_t key = key_named("small");
    ks_status status;
    assert_null(ks_alloc(key, 2 << 20, &status));
    assert_status(status, KS_QUOTA);
    key_end(key);
}

static void slabs_are_as_large_as_the_file_says(void **state)
{
    (void)state;
    load_ok("[defaults]\nslab = 128 KiB\n[key small]\nslab = 65536\nquota = 64 KiB\n");
    const char *const names[] = {"other", "small"};
    for (size_t i = 0; i < COUNT(names); i++) {
        ks_status status;
        ks_key_t key = key_named(names[i]);
        alloc_ok(key, 1500);
        assert_int_equal(stats_of(key).arena_bytes, 128 << 10 >> i);
        assert_int_equal(ks_alloc(key, 100, &status) == NULL, i == 1);
        assert_status(status, i == 1 ? KS_QUOTA : KS_OK);
        key_end(key);
    }
    ks_key_t key = key_with((struct ks_key_options){.name = "small", .slab_bytes = SLAB, .quota = KS_QUOTA_NONE});
    alloc_ok(key, 1500);
    assert_int_equal(stats_of(key).arena_bytes, SLAB);
    key_end(key);
}

static void a_quota_must_have_room_for_a_slab(void **state)
{
    (void)state;
    struct told told;
    assert_status(load("[defaults]\nquota = 128 KiB\nslab = 128 KiB\n[key a]\nquota = 64 KiB\n[key b]\nslab = 256 KiB\n"
                       "[key c]\nslab = 64 KiB\n[key d]\noutbox = 1\n",
                       &told),
                  KS_INVALID);
    assert_int_equal(told.count, 2);
    assert_non_null(strstr(told.texts[0], ":5: [key a] quota: a quota of 64 KiB has no room for a slab of 128 KiB: "
                                          "expected a larger quota, or a smaller slab"));
    assert_non_null(strstr(told.texts[1], ":7: [key b] slab: a quota of 128 KiB has no room for a slab of 256 KiB: "));
    assert_status(load("[defaults]\nquota = 64 KiB\n", &told), KS_INVALID);
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.texts[0], ":2: [defaults] quota: a quota of 64 KiB has no room for a slab of 256 KiB"));
    assert_status(load("[defaults]\nslab = 96 KiB\nquota = 1\n", &told), KS_INVALID);
    assert_int_equal(told.count, 2);
    assert_non_null(
        strstr(told.texts[0], ":2: [defaults] slab: '96 KiB': expected a power of two from 64 KiB to 256 KiB"));
}

/* ------------------------------------------------------------------ on error */

/* What `work` writes to standard error. */
static void stderr_of(void (*work)(ks_key_t), ks_key_t key, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    work(key);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    ssize_t got = read(ends[0], text, size - 1);
    close(ends[0]);
    text[got > 0 ? got : 0] = '\0';
}

static void misuse_once(ks_key_t key)
{
    assert_status(ks_free(key, (void *)8), KS_BAD_BLOCK);
}

static void a_log_is_one_line_for_each_block(void **state)
{
    (void)state;
    char text[512];
    struct heard heard = {0};
    load_ok("[key loud]\non error = log\n");
    ks_key_t key = key_with((struct ks_key_options){.name = "loud", .on_error = hear, .on_error_context = &heard});
    stderr_of(misuse_once, key, text, sizeof text);
    assert_int_equal(
        strncmp(text, "keyslab: key \"loud\": block 0x8: not a block of this library; found by thread ", 76), 0);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_int_equal(heard.count, 1);
    key_end(key);
    key = key_with((struct ks_key_options){.name = "loud", .response = KS_RESPONSE_STATUS});
    stderr_of(misuse_once, key, text, sizeof text);
    assert_string_equal(text, "");
    key_end(key);
}

/* ------------------------------------------------------------------ arena, decay */

static void own_arenas_are_used_again(void **state)
{
    (void)state;
    enum { OWN = 2048 };
    static ks_key_t keys[OWN];
    ks_key_t more;
    const struct ks_key_options own = {.arena = KS_ARENA_KEY};
    for (int i = 0; i < 6000; i++) {
        ks_key_t key = key_with(own);
        alloc_ok(key, 1000);
        alloc_ok(key, 1 << 20);
        key_end(key);
    }
    for (size_t i = 0; i < OWN; i++)
        keys[i] = key_with(own);
    assert_status(ks_key_create(&own, &more), KS_NO_MEMORY);
    assert_status(ks_key_create(NULL, &more), KS_OK);
    assert_status(ks_key_destroy(more), KS_OK);
    assert_status(ks_key_destroy(keys[7]), KS_OK);
    keys[7] = key_with(own);
    for (size_t i = 0; i < OWN; i++)
        assert_status(ks_key_destroy(keys[i]), KS_OK);
}

/* MiB of a block that are resident. */
static unsigned resident_mib(const void *block, size_t bytes)
{
    return (unsigned)(resident_of(block, bytes) >> 20);
}

/* Of a block of 6 MiB that has been freed. jemalloc gives back more than 8 at once, unless it is told never to. */
static unsigned left_of_6(const char *setting)
{
    load_ok(setting);
    ks_key_t key = key_named("big");
    char *block = alloc_ok(key, 6 << 20);
    memset(block, 1, 6 << 20);
    assert_int_equal(resident_mib(block, 6 << 20), 6);
    assert_status(ks_free(key, block), KS_OK);
    unsigned left = resident_mib(block, 6 << 20);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(resident_mib(block, 6 << 20), 0);
    key_end(key);
    return left;
}

static void decay_says_how_long_pages_stay(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(left_of_6("[key big]\narena = key\ndecay = 0\n"), 0);
        assert_int_equal(left_of_6("[key big]\narena = key\ndecay = never\n"), 6);
        assert_int_equal(left_of_6("[defaults]\ndecay = 0 ms\n"), 0);
        assert_int_equal(left_of_6("[defaults]\ndecay = never\n"), 6);
        assert_int_equal(left_of_6("[defaults]\ndecay = 0 ms\n"), 0);
        /* Not set: ten seconds, of which none have passed. */
        assert_int_equal(left_of_6("[defaults]\n"), 6);
    }
}

/* The arena looks at the clock when memory is taken and given back. */
static void pages_go_when_their_time_is_over(void **state)
{
    (void)state;
    load_ok("[key big]\narena = key\ndecay = 300 ms\n");
    ks_key_t key = key_named("big");
    char *block = alloc_ok(key, 6 << 20);
    void *other = alloc_ok(key, 300000);
    memset(block, 1, 6 << 20);
    assert_status(ks_free(key, block), KS_OK);
    assert_int_equal(resident_mib(block, 6 << 20), 6);
    for (int wait = 0; wait < 100 && resident_mib(block, 5 << 20); wait++) {
        usleep(10000);
        for (int i = 0; i < 1000; i++) {
            assert_status(ks_free(key, other), KS_OK);
            other = alloc_ok(key, 300000);
        }
    }
    assert_int_equal(resident_mib(block, 5 << 20), 0);
    key_end(key);
    load_ok("");
}

/* ------------------------------------------------------------------ check = paranoid */

static const struct ks_key_options paranoid = {.name = "paranoid", .checks = KS_CHECKS_PARANOID};

static void a_free_block_is_filled_and_reused_late(void **state)
{
    (void)state;
    for (size_t size = 16; size <= 8192; size = size * 3 + 16) {
        ks_key_t key = key_with(paranoid);
        unsigned char *block = alloc_ok(key, size);
        memset(block, 1, size);
        assert_status(ks_free(key, block), KS_OK);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(block[i], 0xdb);
        unsigned until = 1;
        for (void *other; (other = alloc_ok(key, size)) != block; until++) {
            assert_status(ks_free(key, other), KS_OK);
            assert_true(until < 100000);
        }
        size_t magazine = (128 << 10) / ks_key_good_size(key, size);
        assert_true(until >= 8 * (magazine < 60 ? magazine : 60));
        assert_int_equal(stats_of(key).damaged, 0);
        assert_stats_balance(key);
        key_end(key);
    }
}

static void a_write_after_free_is_reported(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct ks_key_options options = paranoid;
    options.on_error = hear;
    options.on_error_context = &heard;
    ks_key_t key = key_with(options);
    char *block = alloc_ok(key, 112);
    assert_status(ks_free(key, block), KS_OK);
    block[111] ^= 1; /* the last byte of its class */
    for (void *other; (other = alloc_ok(key, 112)) != block;)
        assert_status(ks_free(key, other), KS_OK);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.last.status, KS_DAMAGED);
    assert_ptr_equal(heard.last.block, block);
    assert_int_equal(heard.last.class_size, 112);
    assert_int_equal(stats_of(key).damaged, 1);
    key_end(key);
}

static void free_all(void *argument)
{
    crowd_free(argument);
}

/* Every call, other threads, resets, purges and a quota: no good block is called damaged. */
static void nothing_good_is_called_damaged(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    struct ks_key_options small = paranoid;
    small.quota = 24 << 20;
    struct ks_key_options odd = key_packed;
    odd.checks = KS_CHECKS_PARANOID;
    struct crowd crowd = {.keys = {key_with(paranoid), key_with(small), key_with(odd)}};
    for (int round = 0; round < 40; round++) {
        for (size_t k = 0; k < CROWD; k++) {
            ks_status status;
            for (size_t i = 0; i < 500; i++) {
                crowd.blocks[k][i] = alloc_ok(crowd.keys[k], 100 + i * 7);
                memset(crowd.blocks[k][i], 0x55, 100 + i * 7);
            }
            void *bulk[300];
            assert_int_equal(ks_alloc_bulk(crowd.keys[k], 700, bulk, 300, &status), 300);
            for (size_t i = 0; i < 300; i++)
                memset(bulk[i], 0x33, 700);
            char *zeroed = ks_calloc(crowd.keys[k], 1, 500, &status);
            for (size_t i = 0; i < 500; i++)
                assert_int_equal(zeroed[i], 0);
            zeroed = ks_realloc(crowd.keys[k], zeroed, 5000, &status);
            assert_status(ks_free(crowd.keys[k], zeroed), KS_OK);
            assert_status(ks_free(crowd.keys[k], zeroed), KS_DOUBLE_FREE);
            assert_int_equal(ks_free_bulk(crowd.keys[k], bulk, 300, &status), 300);
            void *large = alloc_ok(crowd.keys[k], 100000);
            assert_status(ks_free(crowd.keys[k], large), KS_OK);
        }
        worker_do(&worker, free_all, &crowd);
        for (size_t k = 0; k < CROWD; k++) {
            if (round % 7 == 6)
                assert_status(ks_key_reset(crowd.keys[k]), KS_OK);
            if (round % 11 == 10)
                assert_status(ks_key_purge(crowd.keys[k]), KS_OK);
            assert_key_whole(crowd.keys[k]);
            assert_stats_balance(crowd.keys[k]);
            assert_int_equal(stats_of(crowd.keys[k]).damaged, 0);
        }
    }
    for (size_t k = 0; k < CROWD; k++) {
        assert_status(ks_key_purge(crowd.keys[k]), KS_OK);
        assert_int_equal(stats_of(crowd.keys[k]).arena_bytes, 0);
        key_end(crowd.keys[k]);
    }
    worker_end(&worker);
}

/* More damage in one operation than reports have room for. */
static void much_damage_is_counted_in_full(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    static char *blocks[MANY];
    static void *again[3 * MANY];
    struct heard heard = {0};
    struct ks_key_options options = paranoid;
    options.on_error = hear;
    options.on_error_context = &heard;
    ks_key_t key = key_with(options);
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = alloc_ok(key, 64);
    for (size_t i = 0; i < MANY; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    for (size_t i = 0; i < MANY; i++)
        blocks[i][5] = 1;
    ks_status status;
    assert_int_equal(ks_alloc_bulk(key, 64, again, COUNT(again), &status), COUNT(again));
    uint64_t damaged = stats_of(key).damaged;
    assert_in_range(damaged, MANY - QUARANTINED - 120, MANY);
    assert_in_range(heard.count, 100, 120);
    key_end(key);
}

static int make_file(void **state)
{
    (void)state;
    int file = mkstemp(config_path);
    return file < 0 || close(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(config_path);
}

#define TEST(name) cmocka_unit_test_teardown(name, unload)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_most_specific_section_counts),
        TEST(an_option_wins_over_the_file),
        TEST(alignment_goes_with_classes),
        TEST(rounded_classes_stay_apart),
        TEST(options_out_of_range_are_refused),
        TEST(a_bad_file_changes_nothing),
        TEST(a_removed_setting_is_passed_over_with_a_warning),
        TEST(a_removed_setting_stands_beside_errors),
        TEST(keys_keep_what_they_were_created_with),
        TEST(loading_and_creating_meet),
        TEST(every_size_has_the_keys_own_class),
        TEST(alignment_holds_in_every_table),
        TEST(realloc_goes_by_the_keys_classes),
        TEST(blocks_of_all_tables_come_home),
        TEST(a_slab_has_the_classes_of_its_present_key),
        TEST(blocks_come_home_from_outboxes_of_any_size),
        TEST(what_is_retained_is_set_in_the_file),
        TEST(flush_says_when_waiting_blocks_go),
        TEST(outbox_says_how_much_is_collected),
        TEST(a_quota_from_the_file_is_kept),
        TEST(slabs_are_as_large_as_the_file_says),
        TEST(a_quota_must_have_room_for_a_slab),
        TEST(a_log_is_one_line_for_each_block),
        TEST(own_arenas_are_used_again),
        TEST(decay_says_how_long_pages_stay),
        TEST(pages_go_when_their_time_is_over),
        TEST(a_free_block_is_filled_and_reused_late),
        TEST(a_write_after_free_is_reported),
        TEST(nothing_good_is_called_damaged),
        TEST(much_damage_is_counted_in_full),
    };
    return cmocka_run_group_tests_name("config", tests, make_file, remove_file);
}
