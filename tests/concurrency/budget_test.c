/* The memory budget holds while background threads flush and merge and others read. */
#include "model/temp_folder.h"

#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { KEYS = 3000, VALUE_SIZE_MAX_HERE = 12500 };

struct reading {
    strata *db;
    atomic_int stop;
    strata_status failed;
};

static void *read_on(void *context)
{
    struct reading *reading = context;
    strata_txn *txn = NULL;
    strata_value value = {0};
    uint32_t number = 1;
    strata_status status = strata_txn_auto(reading->db, "main", &txn);
    while (status == STRATA_OK && !atomic_load(&reading->stop)) {
        char key[20];
        number = number * 1664525 + 1013904223;
        snprintf(key, sizeof(key), "k%u", number % KEYS);
        status = strata_kv_get(txn, NULL, strata_text(key), &value);
        if (status == STRATA_NOT_FOUND)
            status = STRATA_OK;
    }
    reading->failed = status;
    strata_value_release(&value);
    strata_txn_close(txn);
    return NULL;
}

static void write_all(strata *db, size_t size, unsigned count)
{
    static unsigned char bytes[VALUE_SIZE_MAX_HERE];
    strata_txn *txn = NULL;
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    for (unsigned i = 0; i < count; i++) {
        char key[20];
        snprintf(key, sizeof(key), "k%u", i * 7919 % KEYS);
        memset(bytes, (int)i, size);
        assert_int_equal(strata_kv_put(txn, NULL, strata_text(key), strata_view(bytes, size)),
                         STRATA_OK);
    }
    strata_txn_close(txn);
}

static void check_budget(uint64_t budget, int threads, size_t size, unsigned count)
{
    char folder[TEMP_FOLDER_SIZE];
    struct test_heap counted;
    strata *db = NULL;
    temp_folder_create(folder);
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_open_options options = {.size = sizeof(options),
                                         .allocator = &allocator,
                                         .memory_budget_bytes = budget,
                                         .background_threads = threads};
    assert_int_equal(strata_open(folder, &options, &db), STRATA_OK);
    struct reading reading = {.db = db};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reading), 0);
    write_all(db, size, count);
    atomic_store(&reading.stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reading.failed, STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    print_message("%d threads, values of %zu: peak %llu of %llu KiB\n", threads, size,
                  (unsigned long long)(atomic_load(&counted.bytes_peak) >> 10),
                  (unsigned long long)(budget >> 10));
    assert_true(atomic_load(&counted.bytes_peak) <= budget);
    temp_folder_remove(folder);
}

static void it_holds_with_background_threads(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20;
    for (int threads = 1; threads <= 2; threads++) {
        check_budget(mib, threads, 100, 12000);
        check_budget(mib, threads, 2500, 4000);
        check_budget(mib, threads, VALUE_SIZE_MAX_HERE, 1000);
        check_budget(4 * mib, threads, 2500, 6000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_with_background_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
