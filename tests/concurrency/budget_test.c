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

struct batches {
    strata *db;
    unsigned number;
    strata_status failed;
};

/* Batches of rows of up to 3,000 bytes, 12 KB in all. */
static void *write_batches(void *context)
{
    enum { BATCHES = 200, BATCH = 8 };
    struct batches *batches = context;
    static const unsigned char bytes[3000];
    strata_txn *txn = NULL;
    uint32_t number = batches->number;
    batches->failed = strata_txn_auto(batches->db, "main", &txn);
    for (unsigned i = 0; i < BATCHES && batches->failed == STRATA_OK; i++) {
        char keys[BATCH][20];
        strata_kv_write writes[BATCH];
        memset(writes, 0, sizeof(writes));
        for (unsigned j = 0; j < BATCH; j++) {
            number = number * 1664525 + 1013904223;
            snprintf(keys[j], sizeof(keys[j]), "k%u", (number >> 8) % KEYS);
            writes[j].key = strata_text(keys[j]);
            writes[j].value = strata_view(bytes, (number >> 10) % sizeof(bytes));
        }
        batches->failed = strata_kv_put_many(txn, NULL, writes, BATCH);
    }
    strata_txn_close(txn);
    return NULL;
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
        check_budget(20 * mib, threads, 2500, 12000); /* Chunks of memtables are kept. */
    }
}

/* Three writers of batches and two readers: there is no room for all that each of them may take. */
static void it_holds_with_many_writers_and_readers(void **state)
{
    (void)state;
    enum { WRITERS = 3, READERS = 2, BUDGET = 1 << 20 };
    char folder[TEMP_FOLDER_SIZE];
    struct test_heap counted;
    pthread_t threads[WRITERS + READERS];
    struct batches batches[WRITERS];
    struct reading readings[READERS];
    strata *db = NULL;
    temp_folder_create(folder);
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_open_options options = {
        .size = sizeof(options), .allocator = &allocator, .memory_budget_bytes = BUDGET};
    assert_int_equal(strata_open(folder, &options, &db), STRATA_OK);
    for (unsigned i = 0; i < READERS; i++) {
        readings[i] = (struct reading){.db = db};
        assert_int_equal(pthread_create(&threads[WRITERS + i], NULL, read_on, &readings[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        batches[i] = (struct batches){.db = db, .number = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, write_batches, &batches[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(batches[i].failed, STRATA_OK);
    }
    for (unsigned i = 0; i < READERS; i++) {
        atomic_store(&readings[i].stop, 1);
        assert_int_equal(pthread_join(threads[WRITERS + i], NULL), 0);
        assert_int_equal(readings[i].failed, STRATA_OK);
    }
    assert_int_equal(strata_close(db), STRATA_OK);
    print_message("batches: peak %llu KiB\n",
                  (unsigned long long)(atomic_load(&counted.bytes_peak) >> 10));
    assert_true(atomic_load(&counted.bytes_peak) <= BUDGET);
    temp_folder_remove(folder);
}

struct large_values {
    strata *db;
    unsigned number;
    size_t size;
    strata_status failed;
};

static void *write_large(void *context)
{
    enum { PUTS = 60, LARGE_MAX = 100000 };
    static const unsigned char bytes[LARGE_MAX];
    struct large_values *large = context;
    strata_txn *txn = NULL;
    large->failed = strata_txn_auto(large->db, "main", &txn);
    for (unsigned i = 0; i < PUTS && large->failed == STRATA_OK; i++) {
        char key[20];
        snprintf(key, sizeof(key), "k%u", i * 5 + large->number);
        const size_t size = large->size + i * 977 % large->size;
        large->failed = strata_kv_put(txn, NULL, strata_text(key), strata_view(bytes, size));
    }
    strata_txn_close(txn);
    return NULL;
}

/* Five threads put values of `size` to twice that: in rows of up to 64 KiB, or objects of their own. */
static void check_large_values(size_t size)
{
    enum { WRITERS = 5, BUDGET = 1 << 20 };
    char folder[TEMP_FOLDER_SIZE];
    struct test_heap counted;
    pthread_t threads[WRITERS];
    struct large_values large[WRITERS];
    strata *db = NULL;
    temp_folder_create(folder);
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_open_options options = {
        .size = sizeof(options), .allocator = &allocator, .memory_budget_bytes = BUDGET};
    assert_int_equal(strata_open(folder, &options, &db), STRATA_OK);
    for (unsigned i = 0; i < WRITERS; i++) {
        large[i] = (struct large_values){.db = db, .number = i, .size = size};
        assert_int_equal(pthread_create(&threads[i], NULL, write_large, &large[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(large[i].failed, STRATA_OK);
    assert_int_equal(strata_compact(db, NULL), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    print_message("values from %zu: peak %llu KiB\n", size,
                  (unsigned long long)(atomic_load(&counted.bytes_peak) >> 10));
    assert_true(atomic_load(&counted.bytes_peak) <= BUDGET);
    temp_folder_remove(folder);
}

static void it_holds_with_many_large_values(void **state)
{
    (void)state;
    static const size_t sizes[] = {5000, 15000, 25000, 32000, 50000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check_large_values(sizes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_with_background_threads),
        cmocka_unit_test(it_holds_with_many_writers_and_readers),
        cmocka_unit_test(it_holds_with_many_large_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
