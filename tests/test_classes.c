/* Class arithmetic, against plain division. */
#include "classes/classes.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>

static struct classes classes;

static void every_offset_of_every_class(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < classes.count; ++class) {
        const struct class *kind = &classes.table[class];
        for (size_t offset = 0; offset < SLAB_BYTES; offset++) {
            uint32_t index;
            bool first = class_index(offset, kind->reciprocal, &index);
            if (index != offset / kind->bytes || first != (offset % kind->bytes == 0))
                fail_msg("class of %u: offset %zu gives %u", kind->bytes, offset, index);
        }
    }
}

/* Not only the default table's: every size that a table may hold. */
static void every_size_at_its_edges(void **state)
{
    (void)state;
    for (size_t bytes = CLASS_LEAST; bytes <= CLASS_TOP; bytes += CLASS_GRANULE) {
        uint64_t reciprocal = UINT64_MAX / bytes + 1;
        for (size_t n = 0; n * bytes < SLAB_BYTES; n++) {
            uint32_t index;
            assert_true(class_index(n * bytes, reciprocal, &index));
            assert_int_equal(index, n);
            assert_false(class_index(n * bytes + 1, reciprocal, &index));
            assert_int_equal(index, n);
            assert_false(class_index(n * bytes + bytes - 1, reciprocal, &index));
            assert_int_equal(index, n);
        }
    }
}

static void every_size_gets_the_smallest_class(void **state)
{
    (void)state;
    assert_int_equal(class_of_size(&classes, 0), 0);
    for (size_t size = 1; size <= CLASS_TOP; size++) {
        uint32_t class = class_of_size(&classes, size);
        assert_true(classes.table[class].bytes >= size);
        assert_true(class == 0 || classes.table[class - 1].bytes < size);
    }
}

static void the_table_keeps_its_promises(void **state)
{
    (void)state;
    static const uint32_t wanted[] = {16,   32,   64,   128,  256,   512,   1024, 1536,
                                      2048, 4096, 8192, 9216, 16384, 32768, 65536};
    size_t found = 0;
    for (uint32_t class = 0; class < classes.count; ++class) {
        const struct class *kind = &classes.table[class];
        assert_int_equal(kind->bytes % 16, 0);
        if (kind->bytes >= 512)
            assert_int_equal(kind->bytes % 64, 0);
        if (kind->bytes > 64) {
            uint32_t smallest = classes.table[class - 1].bytes + 1;
            if ((kind->bytes - smallest) * 4 > kind->bytes)
                fail_msg("the step to %u wastes more than a quarter", kind->bytes);
        }
        for (size_t i = 0; i < COUNT(wanted); i++)
            found += kind->bytes == wanted[i];
    }
    assert_int_equal(found, COUNT(wanted));
    assert_int_equal(classes.table[0].bytes, 16);
    assert_int_equal(classes.table[classes.count - 1].bytes, CLASS_TOP);
}

/* The figure of docs/size-classes.md, on the frame lengths that it names. */
static void the_table_wastes_what_the_docs_say(void **state)
{
    (void)state;
    FILE *file = fopen(FRAME_SIZES, "r");
    assert_non_null(file);
    double used = 0;
    double given = 0;
    unsigned length;
    unsigned count;
    assert_int_equal(fscanf(file, " {"), 0);
    while (fscanf(file, " \"%u\" : %u ,", &length, &count) == 2) {
        if (length > 1536)
            continue;
        used += (double)length * count;
        given += (double)classes.table[class_of_size(&classes, length)].bytes * count;
    }
    fclose(file);
    double waste = 100 * (1 - used / given);
    assert_true(waste > 5.4 && waste < 5.5);
}

static int start(void **state)
{
    (void)state;
    classes_fill(&classes, &class_choice_default);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_offset_of_every_class),        cmocka_unit_test(every_size_at_its_edges),
        cmocka_unit_test(every_size_gets_the_smallest_class), cmocka_unit_test(the_table_keeps_its_promises),
        cmocka_unit_test(the_table_wastes_what_the_docs_say),
    };
    return cmocka_run_group_tests_name("classes", tests, start, NULL);
}
