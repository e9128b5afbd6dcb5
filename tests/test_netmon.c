/* Network Monitor's memory functions: each result, for each reason. */
#include "test.h"

#include <keyslab/netmon.h>

static HEXPERTKEY hexpert(ks_key_t key)
{
    return (HEXPERTKEY)key;
}

static void values_are_netmons(void **state)
{
    (void)state;
    assert_int_equal(NMERR_SUCCESS, 0);
    assert_int_equal(NMERR_NO_MORE_FRAMES, 5);
    assert_int_equal(NMERR_OUT_OF_MEMORY, 19);
    assert_int_equal(NMERR_OUT_OF_RANGE, 24);
    assert_int_equal(NMERR_NO_FRAMES, 38);
    assert_int_equal(NMERR_FRAME_NOT_FOUND, 51);
    assert_int_equal(NMERR_INVALID_DATA, 60);
    assert_int_equal(NMERR_INVALID_PACKET_LENGTH, 67);
    assert_int_equal(NMERR_INTERNAL_EXCEPTION, 69);
    assert_int_equal(NMERR_ACCESS_DENIED, 74);
    assert_int_equal(NMERR_INVALID_PARAMETER, 76);
    assert_int_equal(NMERR_NOT_SUPPORTED, 90);
    assert_int_equal(NMERR_LOAD_EXPERT_FAILED, 118);
    assert_int_equal(NMERR_EXPERT_REPORT_FAILED, 119);
    assert_int_equal(NMERR_EXPERT_TERMINATE, 125);
    assert_int_equal(NMERR_INVALID_EXPERT_HANDLE, 130);
    assert_int_equal(NMERR_NOT_INITIALIZED, 135);
    assert_int_equal(sizeof(DWORD), 4);
    assert_int_equal(sizeof(LONG), 4);
    assert_int_equal(sizeof(HEXPERTKEY), sizeof(ks_key_t));
    assert_int_equal(offsetof(FRAME, MacFrame), 16);
}

static void blocks_live_and_die(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    DWORD error = 99;
    char *block = ExpertAllocMemory(hexpert(key), 100, &error);
    assert_non_null(block);
    assert_int_equal(error, NMERR_SUCCESS);
    assert_true(ExpertMemorySize(hexpert(key), block) >= 100);
    memset(block, 7, 100);
    error = 99;
    block = ExpertReallocMemory(hexpert(key), block, 5000, &error);
    assert_int_equal(error, NMERR_SUCCESS);
    for (int i = 0; i < 100; i++)
        assert_int_equal(block[i], 7);
    assert_int_equal(ExpertFreeMemory(hexpert(key), block), NMERR_SUCCESS);
    assert_int_equal(ExpertFreeMemory(hexpert(key), block), NMERR_INVALID_PARAMETER);
    assert_int_equal(ExpertMemorySize(hexpert(key), block), 0);
    key_end(key);
}

static void the_edges_that_the_reference_leaves_open(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    DWORD error = 99;
    assert_non_null(ExpertAllocMemory(hexpert(key), 10, NULL));
    void *a = ExpertAllocMemory(hexpert(key), 0, &error);
    void *b = ExpertAllocMemory(hexpert(key), 0, &error);
    assert_ptr_not_equal(a, b);
    assert_int_equal(ExpertFreeMemory(hexpert(key), a), NMERR_SUCCESS);
    assert_int_equal(ExpertFreeMemory(hexpert(key), NULL), NMERR_SUCCESS);
    error = 99;
    a = ExpertReallocMemory(hexpert(key), NULL, 64, &error);
    assert_non_null(a);
    assert_int_equal(error, NMERR_SUCCESS);
    error = 99;
    assert_null(ExpertReallocMemory(hexpert(key), a, 0, &error));
    assert_int_equal(error, NMERR_SUCCESS);
    assert_int_equal(ExpertMemorySize(hexpert(key), a), 0);
    assert_int_equal(ExpertMemorySize(hexpert(key), NULL), 0);
    key_end(key);
}

static void reasons(void **state)
{
    (void)state;
    ks_key_t key;
    ks_key_t other = key_new();
    assert_status(ks_key_create(&(struct ks_key_options){.quota = 1 << 20}, &key), KS_OK);
    DWORD error = 0;
    int local;
    assert_null(ExpertAllocMemory(hexpert(key), 2 << 20, &error));
    assert_int_equal(error, NMERR_OUT_OF_MEMORY);
    volatile SIZE_T most = SIZE_MAX;
    assert_null(ExpertAllocMemory(hexpert(key), most, &error));
    assert_int_equal(error, NMERR_OUT_OF_RANGE);
    assert_null(ExpertReallocMemory(hexpert(key), &local, 10, &error));
    assert_int_equal(error, NMERR_INVALID_PARAMETER);
    assert_int_equal(ExpertFreeMemory(hexpert(key), &local), NMERR_INVALID_PARAMETER);
    char *block = ExpertAllocMemory(hexpert(key), 100, &error);
    assert_int_equal(ExpertFreeMemory(hexpert(key), block + 1), NMERR_INVALID_PARAMETER);
    assert_int_equal(ExpertFreeMemory(hexpert(other), block), NMERR_INVALID_PARAMETER);
    assert_status(ks_key_reset(key), KS_OK);
    assert_int_equal(ExpertFreeMemory(hexpert(key), block), NMERR_INVALID_PARAMETER);
    block = ExpertAllocMemory(hexpert(key), 100, &error);
    void *kept = ExpertAllocMemory(hexpert(key), 100, &error);
    assert_status(ks_key_terminate(key), KS_OK);
    assert_null(ExpertAllocMemory(hexpert(key), 10, &error));
    assert_int_equal(error, NMERR_EXPERT_TERMINATE);
    assert_null(ExpertReallocMemory(hexpert(key), block, 1000, &error));
    assert_int_equal(error, NMERR_EXPERT_TERMINATE);
    assert_true(ExpertMemorySize(hexpert(key), block) >= 100);
    assert_int_equal(ExpertFreeMemory(hexpert(key), block), NMERR_EXPERT_TERMINATE);
    assert_int_equal(ExpertMemorySize(hexpert(key), block), 0);
    key_end(key);
    assert_null(ExpertAllocMemory(hexpert(key), 10, &error));
    assert_int_equal(error, NMERR_INVALID_EXPERT_HANDLE);
    assert_int_equal(ExpertFreeMemory(hexpert(key), kept), NMERR_INVALID_EXPERT_HANDLE);
    assert_null(ExpertReallocMemory(hexpert(key), kept, 10, &error));
    assert_int_equal(error, NMERR_INVALID_EXPERT_HANDLE);
    assert_int_equal(ExpertMemorySize(hexpert(key), kept), 0);
    assert_null(ExpertAllocMemory(NULL, 10, &error));
    assert_int_equal(error, NMERR_INVALID_EXPERT_HANDLE);
    key_end(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_netmons),
        cmocka_unit_test(blocks_live_and_die),
        cmocka_unit_test(the_edges_that_the_reference_leaves_open),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests_name("netmon", tests, NULL, NULL);
}
