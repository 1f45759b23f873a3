/* How many files a database has, how long its log is, and what an empty one leaves. */
#include "lifecycle/lab.h"

#include "core/random.h"
#include "layout/key.h"

#include <stdio.h>
#include <string.h>

enum { FILES_FREE = 64, FILE_BYTES = 32 << 20, LOG_FREE = 4 << 20, EMPTY_MAX = 64 << 10 };

struct disk_sum {
    uint64_t files, bytes, log_bytes;
};

static void add_object(void *context, const char *name, uint64_t size)
{
    struct disk_sum *sum = context;
    sum->files++;
    sum->bytes += size;
    sum->log_bytes += strncmp(name, "wal/", 4) == 0 ? size : 0;
}

static struct disk_sum disk_sum(const struct lab *lab)
{
    struct disk_sum sum = {0};
    simdisk_each(lab->disk, add_object, &sum);
    return sum;
}

static void check_files(const struct lab *lab)
{
    const struct disk_sum sum = disk_sum(lab);
    assert_true(sum.files <= FILES_FREE + sum.bytes / FILE_BYTES);
}

static void check_log(const struct lab *lab)
{
    const uint64_t most = 2 * lab->options.memory_budget;
    assert_true(disk_sum(lab).log_bytes <= (most > LOG_FREE ? most : LOG_FREE));
}

/* Data of many times the budget lie in as few files as those of a large one. */
static void a_run_has_a_file_for_every_32_mib(void **state)
{
    (void)state;
    const uint64_t budgets[] = {1 << 20, 8 << 20, 16 << 20};
    for (unsigned i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        struct lab lab;
        lab_create(&lab);
        lab.options.memory_budget = budgets[i];
        lab_open(&lab);
        for (unsigned j = 0; j < 5000; j++) {
            lab_put_numbered(&lab, BRANCH_MAIN, j * 7919 % 5000, 8000);
            if (j % 500 == 0)
                check_log(&lab);
        }
        lab_settle(&lab);
        check_files(&lab);
        lab_compact(&lab);
        lab_settle(&lab);
        const struct disk_sum sum = disk_sum(&lab);
        assert_true(sum.bytes > FILE_BYTES);
        assert_true(lab_table_objects(&lab) <= 1 + sum.bytes / FILE_BYTES);
        lab_destroy(&lab);
    }
}

/* Units of most leaves of the oldest live run, after `rows` rows of 400 bytes were merged. */
static uint32_t leaf_units(unsigned rows)
{
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 16 << 20;
    lab_open(&lab);
    for (unsigned i = 0; i < rows; i++) {
        lab_put_numbered(&lab, BRANCH_MAIN, i, 400);
        if (i == rows / 2)
            lab_flush(&lab);
    }
    lab_flush(&lab);
    lab_compact(&lab);
    const struct tableset *set = atomic_load(&lab.store->tables.current);
    assert_int_equal(set->live_count, 1);
    assert_int_equal(part_ready(set->live[0]->parts[0]), STRATA_OK);
    const uint32_t units = set->live[0]->parts[0]->leaf_units;
    lab_destroy(&lab);
    return units;
}

/* What must be read again and again is read in smaller pieces than what stays in memory. */
static void runs_larger_than_the_cache_have_smaller_frames(void **state)
{
    (void)state;
    assert_int_equal(leaf_units(2000), 4);
    assert_int_equal(leaf_units(20000), 2);
}

static void many_versions_lie_in_few_files(void **state)
{
    (void)state;
    struct lab lab;
    struct random random = {.state = 5};
    lab_create(&lab);
    lab_open(&lab);
    for (unsigned i = 0; i < 60000; i++) {
        lab_put_numbered(&lab, BRANCH_MAIN, random_next(&random) % 3000, 300);
        if (i % 2000 == 0) {
            check_log(&lab);
            lab_settle(&lab);
            check_files(&lab);
        }
    }
    lab_destroy(&lab);
}

/* What is kept of each slice of a part while it is written is bounded, too. */
static void a_part_of_very_many_branches_is_written_within_the_budget(void **state)
{
    (void)state;
    enum { BRANCHES = 12000 };
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    for (uint64_t i = 2; i < BRANCHES; i++) {
        lab_fork(&lab, i, 0, 0);
        lab_put_numbered(&lab, i, i, 8);
    }
    lab_compact(&lab);
    lab_settle(&lab);
    print_message("peak %llu KiB, %llu files\n",
                  (unsigned long long)(atomic_load(&lab.counted.bytes_peak) >> 10),
                  (unsigned long long)disk_sum(&lab).files);
    assert_true(atomic_load(&lab.counted.bytes_peak) <= lab.options.memory_budget);
    check_files(&lab);
    for (uint64_t i = 2; i < BRANCHES; i += 97) {
        char key[32];
        snprintf(key, sizeof(key), "key-%08llu", (unsigned long long)i);
        assert_non_null(lab_get(&lab, i, key, UINT64_MAX));
    }
    lab_destroy(&lab);
}

static void an_empty_database_leaves_less_than_64_kib(void **state)
{
    (void)state;
    for (uint64_t budget = 1 << 20; budget <= (uint64_t)1 << 30; budget *= 4) {
        struct lab lab;
        lab_create(&lab);
        lab.options.memory_budget = budget;
        lab_open(&lab);
        lab_close(&lab);
        assert_true(disk_sum(&lab).bytes < EMPTY_MAX);
        lab_open(&lab);
        lab_close(&lab);
        assert_true(disk_sum(&lab).bytes < EMPTY_MAX);
        assert_int_equal(disk_sum(&lab).log_bytes, 0);
        lab_destroy(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_has_a_file_for_every_32_mib),
        cmocka_unit_test(runs_larger_than_the_cache_have_smaller_frames),
        cmocka_unit_test(many_versions_lie_in_few_files),
        cmocka_unit_test(a_part_of_very_many_branches_is_written_within_the_budget),
        cmocka_unit_test(an_empty_database_leaves_less_than_64_kib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
