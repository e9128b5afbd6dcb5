/* keyslab/inline.h: that its own copy of the default size classes is the library's, at each size, known to the compiler or not. */
#include "test.h"

#include "classes/classes.h"

#include <keyslab/inline.h>

static void sizes_fall_in_the_librarys_classes(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    for (size_t size = 0; size <= CLASS_TOP; size++) {
        assert_int_equal(ks_default_bytes_(size), ks_good_size(size));
        assert_int_equal(ks_default_class_(size) * BIN_BYTES, ks_bin_of_(NULL, size));
    }
    key_end(key);
}

#define EACH_CONSTANT(size_)                                                                                           \
    size_(0) size_(1) size_(16) size_(17) size_(64) size_(65) size_(100) size_(576) size_(1500) size_(1537)            \
        size_(65535) size_(65536) size_(65537) size_(1000000)

/* Each of them comes to the same block twice: inline, and by the library's function. */
#define ONE_CONSTANT(size)                                                                                             \
    {                                                                                                                  \
        ks_status status = KS_INVALID;                                                                                 \
        char *first = ks_alloc(key, (size), &status);                                                                  \
        assert_status(status, KS_OK);                                                                                  \
        assert_int_equal(ks_size(key, first), ks_key_good_size(key, (size)));                                          \
        assert_status(ks_free(key, first), KS_OK);                                                                     \
        assert_status(ks_free(key, first), KS_DOUBLE_FREE);                                                            \
        char *second = (ks_alloc)(key, (size), &status);                                                               \
        assert_true(second == first || (size) > CLASS_TOP);                                                            \
        assert_status((ks_free)(key, second), KS_OK);                                                                  \
    }

static void constant_sizes_get_their_class(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    for (int i = 0; i < 3; i++) {
        EACH_CONSTANT(ONE_CONSTANT)
    }
    key_end(key);
}

/* A key with a table of its own is none of the compiler's business. */
static void constant_sizes_get_the_keys_class(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {96, 2048, 65536};
    struct ks_key_options options = {.classes = sizes, .class_count = COUNT(sizes)};
    ks_key_t key;
    assert_status(ks_key_create(&options, &key), KS_OK);
    for (int i = 0; i < 3; i++) {
        char *small = ks_alloc(key, 20, NULL);
        assert_int_equal(ks_size(key, small), 96);
        char *next = ks_alloc(key, 20, NULL);
        assert_int_equal(next - small, 96);
        assert_status(ks_free(key, small), KS_OK);
        assert_status(ks_free(key, next), KS_OK);
    }
    key_end(key);
}

/* A function's name without arguments is the library's. */
static void functions_can_be_pointed_to(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    void *(*allocate)(ks_key_t, size_t, ks_status *) = ks_alloc;
    ks_status (*release)(ks_key_t, void *) = ks_free;
    assert_status(ks_free(key, allocate(key, 100, NULL)), KS_OK);
    assert_status(release(key, ks_alloc(key, 100, NULL)), KS_OK);
    key_end(key);
}

/* Each argument is evaluated once. */
static void arguments_are_evaluated_once(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    size_t size = 64;
    void *block = ks_alloc(key, size++, NULL);
    void *blocks[2] = {block, NULL};
    void **next = blocks;
    assert_int_equal(size, 65);
    assert_status(ks_free(key, *next++), KS_OK);
    assert_ptr_equal(next, &blocks[1]);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_fall_in_the_librarys_classes), cmocka_unit_test(constant_sizes_get_their_class),
        cmocka_unit_test(constant_sizes_get_the_keys_class),  cmocka_unit_test(functions_can_be_pointed_to),
        cmocka_unit_test(arguments_are_evaluated_once),
    };
    return cmocka_run_group_tests_name("inline", tests, NULL, NULL);
}
