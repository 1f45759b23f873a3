#include "lifecycle/lab.h"

#include "core/random.h"
#include "layout/names.h"

#include <errno.h>
#include <stdio.h>

static void put_many(struct lab *lab, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i * 7919 % 1000);
        lab_put_filled(lab, BRANCH_MAIN, key, 500, (char)('a' + i % 26));
    }
}

/* Puts an empty memtable in front, as a full one would. */
static void freeze(struct lab *lab)
{
    mutex_lock(&lab->store->committer.lock);
    const strata_status status =
        committer_freeze(&lab->store->committer, lab->store->profile.memtable_chunk);
    mutex_unlock(&lab->store->committer.lock);
    assert_int_equal(status, STRATA_OK);
}

static bool step(struct lab *lab)
{
    bool did;
    if (store_step(lab->store, lab->slot, &did) != STRATA_OK)
        fail_msg("step: %s", strata_error_message());
    return did;
}

/* Does steps until the merge is in the middle of its rows. */
static void begin_merge(struct lab *lab)
{
    const struct job *merge = &lab->store->jobs[JOB_MERGE];
    for (unsigned i = 0; i < 6; i++) {
        put_many(lab, i * 150, 150);
        lab_flush(lab);
    }
    while (merge->rewrite.rows_read == 0)
        assert_true(step(lab));
}

/* ---- the scheduler ---- */

static void a_due_flush_overtakes_a_running_merge_at_its_next_step(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 4 << 20;
    lab_open(&lab);
    begin_merge(&lab);
    const struct job *merge = &lab.store->jobs[JOB_MERGE];
    const uint64_t rows_read = merge->rewrite.rows_read;
    put_many(&lab, 0, 20);
    freeze(&lab);
    while (lab_memtables(&lab) > 1)
        assert_true(step(&lab));
    assert_true(merge->running);
    assert_int_equal(merge->rewrite.rows_read, rows_read);
    lab_settle(&lab);
    assert_false(merge->running);
    assert_int_equal(atomic_load(&lab.store->counters.merges), 1);
    lab_destroy(&lab);
}

static void what_nobody_needs_goes_while_a_merge_runs(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 4 << 20;
    lab_open(&lab);
    begin_merge(&lab);
    const struct job *merge = &lab.store->jobs[JOB_MERGE];
    const uint64_t rows_read = merge->rewrite.rows_read;
    put_many(&lab, 0, 20);
    freeze(&lab);
    while (lab.store->wal.segment_count > 1 || lab.store->epochs.retired != NULL)
        assert_true(step(&lab));
    assert_int_equal(merge->rewrite.rows_read, rows_read);
    lab_destroy(&lab);
}

/* Writes, steps and waits in an order drawn from a seed. Returns the hash of all operations. */
static uint64_t drive(uint64_t seed)
{
    struct lab lab;
    struct random random = {.state = seed};
    lab_create(&lab);
    lab.options.seed = seed;
    lab.tick_us = 10;
    lab_open(&lab);
    for (unsigned i = 0; i < 1200; i++) {
        switch (random_next(&random) % 8) {
        case 0:
            lab.monotonic_us += (int64_t)(random_next(&random) % 300000);
            break;
        case 1:
            step(&lab);
            break;
        case 2: {
            strata_work work;
            const strata_status status =
                store_maintain(lab.store, (int64_t)(random_next(&random) % 500), &work);
            assert_true(status == STRATA_OK || status == STRATA_DONE);
            assert_true(work.idle_us >= 0);
            break;
        }
        case 3:
            if (random_next(&random) % 16 == 0)
                lab_flush(&lab);
            break;
        default:
            put_many(&lab, (unsigned)(random_next(&random) % 1000), 1);
        }
    }
    lab_settle(&lab);
    const uint64_t hash = simdisk_operation_hash(lab.disk);
    assert_true(atomic_load(&lab.store->counters.merges) > 0);
    lab_destroy(&lab);
    return hash;
}

static void the_same_seed_gives_the_same_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        const uint64_t hash = drive(seed);
        assert_int_equal(hash, drive(seed));
        assert_int_not_equal(hash, drive(seed + 100));
    }
}

static void maintenance_says_when_to_come_back(void **state)
{
    (void)state;
    struct lab lab;
    strata_work work;
    lab_create(&lab);
    lab_open(&lab);
    lab_settle(&lab);
    assert_int_equal(store_maintain(lab.store, 0, &work), STRATA_DONE);
    assert_int_equal(work.idle_us, STRATA_FOREVER);
    assert_int_equal(work.backlog_bytes, 0);
    lab_put(&lab, BRANCH_MAIN, "a", "1");
    lab.monotonic_us += 400000;
    assert_int_equal(store_maintain(lab.store, 0, &work), STRATA_DONE);
    assert_true(work.idle_us > 0 && work.idle_us <= 600000);
    lab.monotonic_us += work.idle_us;
    assert_int_equal(store_maintain(lab.store, 0, &work), STRATA_OK);
    assert_int_equal(store_maintain(lab.store, 0, &work), STRATA_DONE);
    assert_int_equal(work.idle_us, STRATA_FOREVER);
    freeze(&lab);
    put_many(&lab, 0, 1);
    assert_int_equal(store_maintain(lab.store, 0, &work), STRATA_OK);
    assert_true(work.backlog_bytes > 0);
    lab_destroy(&lab);
}

/* ---- failures ---- */

static void fail_kind(struct lab *lab, enum sim_kind kind, int error, int effect)
{
    simdisk_fail(lab->disk, (struct sim_fault){.operation = simdisk_operations(lab->disk) + 1,
                                               .forever = true,
                                               .error = error,
                                               .effect = effect,
                                               .kinds = 1u << kind,
                                               .seed = 1});
}

static void heal(struct lab *lab)
{
    simdisk_fail(lab->disk, (struct sim_fault){0});
}

/* After a publication of unknown outcome the next open may find either manifest. */
static void a_halted_publication_removes_nothing(void **state)
{
    (void)state;
    for (unsigned lose = 0; lose < 2; lose++) {
        struct lab lab;
        bool did = true;
        lab_create(&lab);
        lab_open(&lab);
        put_many(&lab, 0, 50);
        freeze(&lab);
        const struct job *flush = &lab.store->jobs[JOB_FLUSH];
        while (flush->rewrite.stage < 4)
            assert_true(step(&lab));
        /* The table's name is synced in this step, then the manifest's fails. */
        simdisk_fail(lab.disk, (struct sim_fault){.operation = simdisk_operations(lab.disk) + 2,
                                                  .forever = true,
                                                  .error = EIO,
                                                  .effect = STRATA_EFFECT_UNKNOWN,
                                                  .kinds = 1u << SIM_SYNC_NAMES,
                                                  .seed = 1});
        assert_int_not_equal(store_step(lab.store, lab.slot, &did), STRATA_OK);
        heal(&lab);
        const uint64_t objects = lab_table_objects(&lab);
        while (did)
            (void)!store_step(lab.store, lab.slot, &did);
        while (store_reclaim_due(lab.store))
            (void)!store_reclaim_step(lab.store, lab.slot);
        if (atomic_load(&lab.store->committer.halted))
            assert_int_equal(lab_table_objects(&lab), objects);
        lab_crash(&lab, lose == 1);
        lab_open(&lab);
        assert_int_equal(lab.store->report.health, STRATA_HEALTHY);
        assert_int_equal(store_check(lab.store, lab.slot, NULL, NULL, NULL), STRATA_OK);
        lab_destroy(&lab);
    }
}

static void a_removal_that_fails_is_tried_again_and_fails_nobody(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.tick_us = 1;
    lab_open(&lab);
    put_many(&lab, 0, 400);
    lab_flush(&lab);
    fail_kind(&lab, SIM_REMOVE, EIO, STRATA_EFFECT_NONE);
    put_many(&lab, 0, 400);
    lab_flush(&lab);
    lab_compact(&lab);
    put_many(&lab, 0, 800);
    assert_true(lab_table_objects(&lab) > lab_listed_objects(&lab));
    heal(&lab);
    lab.monotonic_us += 10 * JOB_RETRY_US;
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    lab_destroy(&lab);
}

static void a_close_that_cannot_remove_leaves_that_to_the_next_open(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    put_many(&lab, 0, 400);
    lab_compact(&lab);
    put_many(&lab, 0, 400);
    lab_flush(&lab);
    fail_kind(&lab, SIM_REMOVE, EIO, STRATA_EFFECT_NONE);
    lab_compact(&lab);
    lab_close(&lab);
    heal(&lab);
    lab_open(&lab);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    assert_non_null(lab_get(&lab, BRANCH_MAIN, "key-00000", UINT64_MAX));
    lab_destroy(&lab);
}

static void a_failure_of_long_ago_fails_nobody(void **state)
{
    (void)state;
    struct lab lab;
    bool did;
    lab_create(&lab);
    lab.options.memory_budget = 4 << 20;
    lab_open(&lab);
    begin_merge(&lab);
    lab.counted.fail_at = lab.counted.requests + 1;
    lab.counted.fail_from_then_on = 1;
    while (store_step(lab.store, lab.slot, &did) == STRATA_OK && did)
        continue;
    lab.counted.fail_at = 0;
    assert_false(lab.store->jobs[JOB_MERGE].running);
    assert_int_equal(store_drain(lab.store, lab.slot, JOB_MERGE), STRATA_NO_MEMORY);
    lab.monotonic_us += 2 * JOB_RETRY_US;
    assert_int_equal(store_drain(lab.store, lab.slot, JOB_MERGE), STRATA_OK);
    lab_destroy(&lab);
}

static void a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(void **state)
{
    (void)state;
    struct lab lab;
    uint64_t version = 0;
    lab_create(&lab);
    lab_open(&lab);
    put_many(&lab, 0, 300);
    lab_flush(&lab);
    const uint64_t kept = atomic_load(&lab.store->committer.visible);
    simdisk_limit(lab.disk, simdisk_used(lab.disk) + 20000);
    strata_status status = STRATA_OK;
    while (status == STRATA_OK) {
        status = lab_try_put_filled(&lab, BRANCH_MAIN, "more", 500, 'm');
        version += status == STRATA_OK;
    }
    assert_int_equal(status, STRATA_NO_SPACE);
    assert_int_not_equal(store_flush_all(lab.store), STRATA_OK);
    simdisk_limit(lab.disk, 0);
    lab.monotonic_us += 10 * JOB_RETRY_US;
    put_many(&lab, 0, 300);
    assert_int_equal(atomic_load(&lab.store->committer.visible), kept + version + 300);
    lab_settle(&lab);
    lab_close(&lab);
    lab_open(&lab);
    assert_int_equal(atomic_load(&lab.store->committer.visible), kept + version + 300);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    lab_destroy(&lab);
}

/* ---- back-pressure ---- */

static void a_writer_that_finds_no_room_gives_up_in_time(void **state)
{
    (void)state;
    struct lab lab;
    uint64_t version;
    strata_status status = STRATA_OK;
    lab_create(&lab);
    lab.tick_us = 5;
    lab_open(&lab);
    /* The flush is in the hands of a thread that never comes back. */
    put_many(&lab, 0, 10);
    freeze(&lab);
    lab.store->jobs[JOB_FLUSH].claimed = true;
    unsigned written = 0;
    for (; status == STRATA_OK && written < 10000; written++)
        status = lab_try_put(&lab, BRANCH_MAIN, "k", "0123456789012345678901234567890123456789",
                             3000, &version);
    assert_int_equal(status, STRATA_TIMEOUT);
    strata_error error;
    failure_save(&error);
    assert_int_equal(error.outcome, STRATA_NOT_COMMITTED);
    assert_true(atomic_load(&lab.store->counters.stalls) > 0);
    assert_true(atomic_load(&lab.store->counters.stall_us_max) >= 3000);
    assert_true(atomic_load(&lab.store->counters.stall_us_max) < 6000);
    lab.store->jobs[JOB_FLUSH].claimed = false;
    assert_int_equal(lab_try_put(&lab, BRANCH_MAIN, "k", "v", 1000000, &version), STRATA_OK);
    lab_destroy(&lab);
}

static void a_writer_that_waits_learns_of_a_halt(void **state)
{
    (void)state;
    struct lab lab;
    uint64_t version;
    strata_status status = STRATA_OK;
    lab_create(&lab);
    lab_open(&lab);
    put_many(&lab, 0, 10);
    freeze(&lab);
    put_many(&lab, 0, 200);
    fail_kind(&lab, SIM_SYNC, EIO, STRATA_EFFECT_UNKNOWN);
    for (unsigned i = 0; status == STRATA_OK && i < 1000; i++)
        status = lab_try_put(&lab, BRANCH_MAIN, "k", "0123456789012345678901234567890123456789",
                             INT64_MAX, &version);
    assert_int_not_equal(status, STRATA_OK);
    /* Whatever failed first: nothing waits for ever. */
    (void)failure(STRATA_HALTED, "halted by a test");
    committer_halt(&lab.store->committer);
    assert_int_equal(store_make_room(lab.store, 100000, INT64_MAX), STRATA_HALTED);
    heal(&lab);
    (void)!lab_try_close(&lab);
    lab_destroy(&lab);
}

/* ---- compaction ---- */

struct writer {
    struct lab *lab;
    unsigned written;
};

/* Commits a flushed row with every report: more than the compaction can ever get done with. */
static int write_meanwhile(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct writer *writer = context;
    (void)what, (void)done, (void)total;
    if (++writer->written > 500)
        return 1;
    put_many(writer->lab, writer->written, 1);
    lab_flush(writer->lab);
    return 0;
}

static void compaction_ends_while_others_write(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    put_many(&lab, 0, 600);
    struct writer writer = {.lab = &lab};
    const strata_progress progress = {.context = &writer, .report = write_meanwhile};
    const strata_status status = store_compact(lab.store, &progress);
    if (status != STRATA_OK)
        fail_msg("after %u commits: %s", writer.written, strata_error_message());
    assert_int_equal(atomic_load(&lab.store->compact_to), 0);
    lab_destroy(&lab);
}

/* Another writer, who fills a memtable, so to speak, whenever a flush begins a table. */
struct restless {
    struct lab lab;
    strata_backend backend;
    bool writes;
    unsigned frozen;
};

static struct restless *restless_writer; /* The backend's context is the disk's. */

static int create_and_write(void *context, const char *name, uint64_t reserve_bytes,
                            strata_object **out, int *error_out)
{
    struct restless *restless = restless_writer;
    const strata_backend *disk = simdisk_backend(restless->lab.disk);
    uint64_t number;
    if (restless->writes && layout_parse_table(name, &number) && restless->frozen < 300) {
        put_many(&restless->lab, restless->frozen++, 1);
        freeze(&restless->lab);
    }
    return disk->create(context, name, reserve_bytes, out, error_out);
}

static void a_flush_ends_while_others_write(void **state)
{
    (void)state;
    struct restless restless = {.frozen = 0};
    struct lab *lab = &restless.lab;
    restless_writer = &restless;
    lab_create(lab);
    restless.backend = *simdisk_backend(lab->disk);
    restless.backend.create = create_and_write;
    lab->options.backend = &restless.backend;
    assert_int_equal(store_open(&lab->options, &lab->store), STRATA_OK);
    assert_int_equal(epoch_slot_take(&lab->store->epochs, &lab->slot), STRATA_OK);
    put_many(lab, 0, 10);
    const uint64_t version = atomic_load(&lab->store->committer.visible);
    restless.writes = true;
    lab_flush(lab);
    restless.writes = false;
    assert_true(lab->store->flushed_version >= version);
    assert_true(restless.frozen > 0 && restless.frozen < 10);
    lab_destroy(lab);
}

static void compaction_leaves_one_run_of_each_kind(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    for (unsigned i = 0; i < 40; i++) {
        put_many(&lab, i * 40, 60);
        lab_flush(&lab);
    }
    lab_compact(&lab);
    const struct tableset *set = atomic_load(&lab.store->tables.current);
    assert_int_equal(set->live_count, 1);
    assert_int_equal(set->history_count, 1);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_due_flush_overtakes_a_running_merge_at_its_next_step),
        cmocka_unit_test(what_nobody_needs_goes_while_a_merge_runs),
        cmocka_unit_test(the_same_seed_gives_the_same_operations),
        cmocka_unit_test(maintenance_says_when_to_come_back),
        cmocka_unit_test(a_halted_publication_removes_nothing),
        cmocka_unit_test(a_removal_that_fails_is_tried_again_and_fails_nobody),
        cmocka_unit_test(a_close_that_cannot_remove_leaves_that_to_the_next_open),
        cmocka_unit_test(a_failure_of_long_ago_fails_nobody),
        cmocka_unit_test(a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room),
        cmocka_unit_test(a_writer_that_finds_no_room_gives_up_in_time),
        cmocka_unit_test(a_writer_that_waits_learns_of_a_halt),
        cmocka_unit_test(compaction_ends_while_others_write),
        cmocka_unit_test(a_flush_ends_while_others_write),
        cmocka_unit_test(compaction_leaves_one_run_of_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
