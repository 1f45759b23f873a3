#include "durability/log_fixture.h"

#include "layout/names.h"

#include <errno.h>
#include <pthread.h>

static struct log *fresh_log(void)
{
    struct log *log = malloc(sizeof(*log));
    log_init(log);
    return log;
}

static struct log *opened_log(void)
{
    struct log *log = fresh_log();
    assert_int_equal(log_open(log), STRATA_OK);
    return log;
}

static void free_log(struct log *log)
{
    log_release(log);
    free(log);
}

/* Closes, cuts the power if asked to, reads, and expects exactly [1, last]. */
static void expect_after_reopening(struct log *log, bool power_cut, uint64_t last)
{
    log_close(log);
    disk_heal(&log->disk);
    if (power_cut)
        disk_cut_power(&log->disk);
    assert_int_equal(log_open(log), STRATA_OK);
    assert_int_equal(log->tail.last_version, last);
    assert_int_equal(log->tail.lost_end, 0);
}

static void records_come_back_over_several_segments(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 200);
    assert_true(log->wal.segment_count > 3);
    expect_after_reopening(log, false, 200);
    assert_int_equal(log->tail.last_time_us, 1000 + 200 / 3);
    log_append_all(log, 200);
    expect_after_reopening(log, false, 400);
    assert_int_equal(log->tail.unknown_commits, 0);
    free_log(log);
}

static void an_empty_log_starts_where_the_manifest_says(void **state)
{
    (void)state;
    struct log *log = fresh_log();
    log->first_number = 41;
    log->first_version = 7;
    log->salts[6] = 1;
    assert_int_equal(log_open(log), STRATA_OK);
    assert_int_equal(log->tail.last_number, 40);
    assert_int_equal(log->tail.end_number, 0);
    assert_int_equal(log->wal.active_number, 41);
    log_append_all(log, 3);
    expect_after_reopening(log, true, 6); /* Nothing was synced, */
    log_append_all(log, 3);
    assert_int_equal(log_sync(log), STRATA_OK);
    expect_after_reopening(log, true, 9); /* and here it was. */
    assert_int_equal(log->wal.active_number, 43);
    free_log(log);
}

static void synced_commits_survive_a_power_cut(void **state)
{
    (void)state;
    struct log *log = opened_log();
    for (uint64_t round = 0; round < 20; round++) {
        log_append_all(log, 5);
        assert_int_equal(log_sync(log), STRATA_OK);
        const uint64_t durable = log->durable;
        if (round % 3 != 0)
            log_append_all(log, 2);
        log_close(log);
        disk_cut_power(&log->disk);
        assert_int_equal(log_read(log), STRATA_OK);
        assert_true(log->tail.last_version >= durable);
        assert_int_equal(log->tail.lost_end, 0);
        assert_int_equal(log_open(log), STRATA_OK);
    }
    free_log(log);
}

static void one_sync_serves_all_before_it(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 5);
    const uint64_t syncs = log->disk.syncs;
    assert_int_equal(wal_sync(&log->wal, 3), STRATA_OK);
    assert_int_equal(log->wal.durable_version, 5);
    assert_int_equal(wal_sync(&log->wal, 5), STRATA_OK);
    assert_int_equal(log->disk.syncs, syncs + 1);
    free_log(log);
}

static void rotation_makes_durable_what_came_before(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 4);
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    assert_int_equal(log->wal.durable_version, 4);
    log_append_all(log, 4);
    expect_after_reopening(log, true, 4);
    free_log(log);
}

static void rotation_of_an_empty_segment_does_nothing(void **state)
{
    (void)state;
    struct log *log = opened_log();
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    assert_int_equal(log->wal.active_number, 1);
    log_append_all(log, 1);
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    assert_int_equal(log->wal.active_number, 2);
    free_log(log);
}

static void a_record_larger_than_a_segment_gets_one_that_fits(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 3);
    log->payload_size = 50000;
    log->first_version = 4; /* The others have another size. */
    log_append_all(log, 2);
    assert_true(wal_bytes(&log->wal) > 100000);
    expect_after_reopening(log, false, 5);
    free_log(log);
}

/* Else a large memtable fills the list of segments before its flush can empty it. */
static void segments_grow_where_that_is_allowed(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log->payload_size = 1000;
    log->wal.segment_bytes_max = 16 * LOG_SEGMENT_BYTES;
    log_append_all(log, 3000);
    assert_true(log->wal.segment_count < 60);
    assert_int_equal(log_sync(log), STRATA_OK);
    expect_after_reopening(log, true, 3000);
    free_log(log);
}

static void a_creation_that_fails_changes_nothing(void **state)
{
    (void)state;
    const uint32_t kinds[] = {DISK_CREATE, DISK_APPEND, DISK_SYNC, DISK_SYNC_NAMES};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct log *log = opened_log();
        log_append_all(log, 4);
        assert_int_equal(log_sync(log), STRATA_OK);
        disk_fail(&log->disk, 1, kinds[i], ENOSPC);
        log->disk.torn_bytes = WAL_HEADER_SIZE;
        assert_int_equal(wal_rotate(&log->wal), STRATA_NO_SPACE);
        assert_int_equal(log->wal.active_number, 1);
        assert_false(disk_has(&log->disk, log_segment(2)));
        disk_heal(&log->disk);
        log_append_all(log, 2);
        assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
        assert_int_equal(log->wal.active_number, 3);
        log_append_all(log, 2);
        assert_int_equal(log_sync(log), STRATA_OK);
        expect_after_reopening(log, true, 8);
        free_log(log);
    }
}

static void a_creation_that_cannot_be_undone_halts(void **state)
{
    (void)state;
    const uint32_t undo[] = {DISK_REMOVE, DISK_SYNC_NAMES};
    for (size_t i = 0; i < 2; i++) {
        struct log *log = opened_log();
        log_append_all(log, 4);
        disk_fail(&log->disk, 1, DISK_SYNC_NAMES | undo[i], EIO);
        log->disk.fail_from_then_on = true;
        assert_int_equal(wal_rotate(&log->wal), STRATA_HALTED);
        assert_non_null(strstr(strata_error_message(), log_segment(2)));
        disk_heal(&log->disk);
        assert_int_equal(log_append(log), STRATA_HALTED);
        assert_int_equal(log_outcome(), STRATA_NOT_COMMITTED);
        assert_int_equal(wal_rotate(&log->wal), STRATA_HALTED);
        expect_after_reopening(log, true, 4);
        log_append_all(log, 4);
        expect_after_reopening(log, false, 8);
        free_log(log);
    }
}

static void an_append_without_room_that_cannot_get_any_is_not_committed(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log->payload_size = 3000;
    log_append_all(log, 1);
    disk_fail(&log->disk, 1, DISK_CREATE, ENOSPC);
    assert_int_equal(log_append(log), STRATA_NO_SPACE);
    assert_int_equal(log_outcome(), STRATA_NOT_COMMITTED);
    assert_int_equal(log_append(log), STRATA_OK);
    expect_after_reopening(log, false, 2);
    free_log(log);
}

static void a_failed_append_is_disowned(void **state)
{
    (void)state;
    const size_t torn[] = {0, 1, 8, 63, 64, 100, SIZE_MAX};
    for (size_t i = 0; i < sizeof(torn) / sizeof(torn[0]); i++) {
        struct log *log = opened_log();
        log_append_all(log, 3);
        disk_fail(&log->disk, 1, DISK_APPEND, EIO);
        log->disk.torn_bytes = torn[i];
        assert_int_equal(log_append(log), STRATA_IO);
        assert_int_equal(log_outcome(), STRATA_NOT_COMMITTED);
        assert_int_equal(log->wal.active_number, 2);
        disk_heal(&log->disk);

        log_close(log);
        assert_int_equal(log_open(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, 3);
        assert_int_equal(log->tail.unknown_commits, torn[i] == SIZE_MAX ? 1 : 0);
        log_append_all(log, 3); /* The same version, and other bytes. */
        expect_after_reopening(log, false, 6);
        free_log(log);
    }
}

static void a_failed_append_that_cannot_be_disowned_is_unknown(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 3);
    disk_fail(&log->disk, 1, DISK_APPEND | DISK_CREATE, EIO);
    log->disk.fail_from_then_on = true;
    log->disk.torn_bytes = SIZE_MAX;
    assert_int_equal(log_append(log), STRATA_HALTED);
    assert_int_equal(log_outcome(), STRATA_COMMIT_UNKNOWN);
    disk_heal(&log->disk);
    assert_int_equal(log_append(log), STRATA_HALTED);
    assert_int_equal(log_outcome(), STRATA_NOT_COMMITTED);
    free_log(log);
}

static void a_failed_sync_is_final(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 3);
    assert_int_equal(log_sync(log), STRATA_OK);
    log_append_all(log, 3);
    disk_fail(&log->disk, 1, DISK_SYNC, EIO);
    assert_int_equal(log_sync(log), STRATA_HALTED);
    strata_error detail = {.size = sizeof(detail)};
    strata_error_detail(&detail);
    assert_int_equal(detail.system_error, EIO);
    assert_int_equal(detail.retry, STRATA_RETRY_REOPEN);
    assert_string_equal(detail.object, log_segment(1));
    disk_heal(&log->disk);
    const uint64_t syncs = log->disk.syncs;
    assert_int_equal(log_sync(log), STRATA_HALTED);
    assert_non_null(strstr(strata_error_message(), log_segment(1)));
    assert_int_equal(wal_rotate(&log->wal), STRATA_HALTED);
    assert_int_equal(log_append(log), STRATA_HALTED);
    assert_int_equal(log->disk.syncs, syncs);
    assert_int_equal(log->wal.durable_version, 3);
    assert_int_equal(wal_sync(&log->wal, 3), STRATA_OK); /* Was durable before. */
    expect_after_reopening(log, true, 3);
    free_log(log);
}

static void a_failed_sync_in_a_rotation_is_final(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 3);
    disk_fail(&log->disk, 1, DISK_SYNC, EIO);
    assert_int_equal(wal_rotate(&log->wal), STRATA_HALTED);
    disk_heal(&log->disk);
    assert_int_equal(log_sync(log), STRATA_HALTED);
    assert_int_equal(log->wal.durable_version, 0);
    assert_false(disk_has(&log->disk, log_segment(2)));
    free_log(log);
}

static void segments_go_when_they_are_not_needed(void **state)
{
    (void)state;
    struct log *log = opened_log();
    for (int i = 0; i < 5; i++) {
        log_append_all(log, 4);
        assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    }
    assert_int_equal(wal_first_needed(&log->wal, 0), 1);
    assert_int_equal(wal_first_needed(&log->wal, 3), 1);
    assert_int_equal(wal_first_needed(&log->wal, 4), 2);
    assert_int_equal(wal_first_needed(&log->wal, 13), 4);
    assert_int_equal(wal_first_needed(&log->wal, 20), 6);
    bool more = true;
    uint64_t steps = 0;
    for (; more; steps++)
        assert_int_equal(wal_drop_step(&log->wal, 4, &more), STRATA_OK);
    assert_int_equal(steps, 3);
    assert_int_equal(wal_drop_step(&log->wal, 4, &more), STRATA_OK);
    assert_false(more);
    assert_false(disk_has(&log->disk, log_segment(3)));
    assert_true(disk_has(&log->disk, log_segment(4)));
    assert_int_equal(wal_bytes(&log->wal), 3 * LOG_SEGMENT_BYTES);
    log->first_number = 4;
    log->first_version = 13;
    log_append_all(log, 4);
    expect_after_reopening(log, false, 24);
    free_log(log);
}

static void segments_that_a_crash_kept_from_being_dropped_go_later(void **state)
{
    (void)state;
    struct log *log = opened_log();
    for (int i = 0; i < 5; i++) {
        log_append_all(log, 4);
        assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    }
    log_close(log);
    log->first_number = 4;
    log->first_version = 13;
    assert_int_equal(log_open(log), STRATA_OK);
    bool more = true;
    while (more)
        assert_int_equal(wal_drop_step(&log->wal, 4, &more), STRATA_OK);
    assert_false(disk_has(&log->disk, log_segment(1)));
    assert_false(disk_has(&log->disk, log_segment(3)));
    assert_true(disk_has(&log->disk, log_segment(4)));
    expect_after_reopening(log, false, 20);
    free_log(log);
}

static void a_drop_that_fails_can_be_tried_again(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 4);
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    bool more;
    disk_fail(&log->disk, 1, DISK_REMOVE, EIO);
    assert_int_equal(wal_drop_step(&log->wal, 2, &more), STRATA_IO);
    assert_int_equal(wal_drop_step(&log->wal, 2, &more), STRATA_OK);
    assert_false(more);
    assert_int_equal(log->wal.segment_count, 1);
    free_log(log);
}

static void a_log_that_is_not_flushed_ends_with_no_space(void **state)
{
    (void)state;
    struct log *log = opened_log();
    strata_status status = STRATA_OK;
    uint64_t count = 1;
    for (; status == STRATA_OK; count++) {
        log_append_all(log, 1);
        status = wal_rotate(&log->wal);
    }
    assert_int_equal(status, STRATA_NO_SPACE);
    assert_int_equal(log->wal.segment_count, WAL_SEGMENTS_MAX - WAL_SEGMENTS_SPARE);
    const uint64_t last = log->appended;
    for (int i = 0; i < 10; i++) /* There is room for some starts. */
        expect_after_reopening(log, false, last);
    bool more = true;
    const uint64_t needed = wal_first_needed(&log->wal, last);
    while (more)
        assert_int_equal(wal_drop_step(&log->wal, needed, &more), STRATA_OK);
    log->first_number = needed;
    log->first_version = last + 1;
    log_append_all(log, 1);
    expect_after_reopening(log, false, last + 1);
    free_log(log);
}

static void starts_that_fail_do_not_fill_the_log(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 3);
    assert_int_equal(log_sync(log), STRATA_OK);
    log_close(log);
    for (int i = 0; i < 600; i++) {
        disk_fail(&log->disk, 1, i % 2 == 0 ? DISK_APPEND : DISK_SYNC_NAMES, ENOSPC);
        disk_fail(&log->disk, i % 2 == 0 ? 1 : 2, log->disk.fail_kinds, ENOSPC);
        log->disk.torn_bytes = (size_t)i * 8;
        assert_int_equal(log_open(log), STRATA_NO_SPACE);
        disk_heal(&log->disk);
    }
    expect_after_reopening(log, true, 3);
    assert_true(log->wal.active_number > 600); /* No number was used twice. */
    log_append_all(log, 3);
    expect_after_reopening(log, false, 6);
    free_log(log);
}

static void a_start_without_memory_fails_cleanly(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 10);
    log_close(log);
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    log->allocator = &allocator;
    strata_status status = STRATA_NO_MEMORY;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        counted.requests = 0;
        counted.fail_at = fail_at;
        status = log_open(log);
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
    }
    assert_int_equal(log->tail.last_version, 10);
    counted.requests = 0;
    counted.fail_at = 1;
    assert_int_equal(log_append(log), STRATA_NO_MEMORY);
    counted.fail_at = 0;
    log_append_all(log, 1);
    test_heap_assert_empty(&counted);
    log->allocator = &heap;
    expect_after_reopening(log, false, 11);
    free_log(log);
}

/* A life of a log: appends, syncs, rotations, drops, two starts. Stops at nothing but a failed
 * start. */
static void live(struct log *log)
{
    for (int life = 0; life < 2; life++) {
        if (log_open(log) != STRATA_OK)
            return;
        for (int i = 0; i < 12; i++) {
            bool more;
            (void)!log_append(log);
            if (i % 4 == 3)
                (void)!log_sync(log);
            if (i == 5)
                (void)!wal_rotate(&log->wal);
            if (i == 9)
                (void)!wal_drop_step(&log->wal, 1, &more);
        }
        log_close(log);
    }
}

/* Whatever failed: what was acknowledged as durable is there after a power cut, what was
 * acknowledged at all after a crash of the process, and nothing else but one of unknown outcome. */
static void expect_promises_kept(struct log *log, bool power_cut)
{
    log_close(log);
    disk_heal(&log->disk);
    log->disk.fail_kinds = 0;
    const uint64_t promised = power_cut ? log->durable : log->appended;
    const uint64_t durable = log->durable;
    if (power_cut)
        disk_cut_power(&log->disk);
    assert_int_equal(log_open(log), STRATA_OK);
    assert_int_equal(log->tail.lost_end, 0);
    assert_true(log->tail.last_version >= durable);
    assert_true(log->tail.last_version >= promised);
    const uint64_t last = log->tail.last_version;
    log_append_all(log, 5);
    assert_int_equal(log_sync(log), STRATA_OK);
    expect_after_reopening(log, true, last + 5);
}

static void any_operation_may_fail(void **state)
{
    (void)state;
    const size_t torn[] = {0, 40, SIZE_MAX};
    const uint32_t kinds = DISK_CREATE | DISK_APPEND | DISK_SYNC | DISK_SYNC_NAMES | DISK_REMOVE |
                           DISK_OPEN | DISK_READ | DISK_LIST;
    uint64_t runs = 0;
    for (unsigned variant = 0; variant < 3 * 2 * 2 * 2; variant++) {
        bool reached = true;
        for (uint64_t at = 1; reached; at++, runs++) {
            struct log *log = fresh_log();
            disk_fail(&log->disk, at, kinds, variant % 2 == 0 ? EIO : ENOSPC);
            log->disk.torn_bytes = torn[variant / 8];
            log->disk.fail_from_then_on = variant / 2 % 2 == 1;
            log->disk.hidden_effect = variant % 2 == 1;
            live(log);
            reached = log->disk.operations >= at;
            expect_promises_kept(log, variant / 4 % 2 == 1);
            free_log(log);
        }
    }
    assert_true(runs > 500);
}

struct syncing {
    struct wal *wal;
    _Atomic int stop;
};

static void *sync_until_stopped(void *context)
{
    struct syncing *syncing = context;
    while (!syncing->stop) {
        const uint64_t version = atomic_load(&syncing->wal->appended_version);
        if (wal_sync(syncing->wal, version) != STRATA_OK ||
            atomic_load(&syncing->wal->durable_version) < version)
            return syncing;
        (void)wal_bytes(syncing->wal);
    }
    return NULL;
}

static void syncing_goes_beside_appending(void **state)
{
    (void)state;
    struct log *log = opened_log();
    struct syncing syncing = {.wal = &log->wal};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sync_until_stopped, &syncing), 0);
    log_append_all(log, 1000);
    syncing.stop = 1;
    for (int i = 0; i < 2; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    expect_after_reopening(log, false, 1000);
    free_log(log);
}

/* ---- segments made ahead ---- */

static void fill_a_quarter(struct log *log)
{
    while (log->wal.end - WAL_HEADER_SIZE <= (log->wal.active_bytes - WAL_HEADER_SIZE) / 4)
        log_append_all(log, 1);
}

static void a_segment_made_ahead_is_the_next(void **state)
{
    (void)state;
    struct log *log = opened_log();
    wal_prepare(&log->wal);
    assert_null(log->wal.spare); /* There is room enough. */
    fill_a_quarter(log);
    wal_prepare(&log->wal);
    assert_true(log->wal.spare_ready);
    assert_int_equal(log->wal.spare_number, 2);
    const uint64_t syncs = log->disk.syncs;
    wal_prepare(&log->wal);
    assert_int_equal(log->disk.syncs, syncs); /* One is enough. */
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    assert_int_equal(log->wal.active_number, 2);
    assert_null(log->wal.spare);
    const uint64_t appended = log->appended;
    log_append_all(log, 3);
    expect_after_reopening(log, false, appended + 3);
    assert_int_equal(log->wal.active_number, 3);
    free_log(log);
}

static void a_crash_leaves_a_segment_made_ahead_that_may_go(void **state)
{
    (void)state;
    struct log *log = opened_log();
    log_append_all(log, 20);
    assert_int_equal(log_sync(log), STRATA_OK);
    fill_a_quarter(log);
    wal_prepare(&log->wal);
    assert_true(log->wal.spare_ready);
    const uint64_t number = log->wal.spare_number;
    const uint64_t last = log->appended;
    expect_after_reopening(log, false, last);
    assert_int_equal(log->wal.active_number, number + 1);
    bool more = true;
    while (more)
        assert_int_equal(wal_drop_step(&log->wal, wal_first_needed(&log->wal, 0), &more),
                         STRATA_OK);
    assert_false(disk_has(&log->disk, log_segment(number)));
    expect_after_reopening(log, false, last);
    free_log(log);
}

static void a_segment_made_ahead_that_is_too_small_is_given_up(void **state)
{
    (void)state;
    struct log *log = opened_log();
    fill_a_quarter(log);
    wal_prepare(&log->wal);
    const uint64_t number = log->wal.spare_number;
    const uint64_t appended = log->appended;
    log->large_size = 4 * LOG_SEGMENT_BYTES;
    log->payload_size = log->large_size;
    assert_int_equal(log_append(log), STRATA_OK);
    assert_true(log->wal.active_number > number);
    assert_false(disk_has(&log->disk, log_segment(number)));
    assert_int_equal(log->appended, appended + 1);
    free_log(log);
}

static void making_a_segment_ahead_may_fail(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {DISK_CREATE, DISK_SYNC, DISK_CREATE | DISK_REMOVE,
                                     DISK_SYNC | DISK_REMOVE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct log *log = opened_log();
        fill_a_quarter(log);
        disk_fail(&log->disk, 1, kinds[i], ENOSPC);
        log->disk.fail_from_then_on = true;
        wal_prepare(&log->wal);
        assert_null(log->wal.spare);
        wal_prepare(&log->wal); /* Not tried again for this segment. */
        disk_heal(&log->disk);
        log_append_all(log, 100);
        expect_after_reopening(log, false, log->appended);
        free_log(log);
    }
}

struct preparing {
    struct wal *wal;
    _Atomic int stop;
};

static void *prepare_until_stopped(void *context)
{
    struct preparing *preparing = context;
    while (!preparing->stop)
        wal_prepare(preparing->wal);
    return NULL;
}

static void segments_are_made_ahead_beside_appending_and_rotating(void **state)
{
    (void)state;
    struct log *log = opened_log();
    struct preparing preparing = {.wal = &log->wal};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, prepare_until_stopped, &preparing), 0);
    for (unsigned i = 0; i < 60; i++) {
        log_append_all(log, 12);
        assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    }
    preparing.stop = 1;
    pthread_join(thread, NULL);
    expect_after_reopening(log, true, 720);
    free_log(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_over_several_segments),
        cmocka_unit_test(an_empty_log_starts_where_the_manifest_says),
        cmocka_unit_test(synced_commits_survive_a_power_cut),
        cmocka_unit_test(one_sync_serves_all_before_it),
        cmocka_unit_test(rotation_makes_durable_what_came_before),
        cmocka_unit_test(rotation_of_an_empty_segment_does_nothing),
        cmocka_unit_test(a_record_larger_than_a_segment_gets_one_that_fits),
        cmocka_unit_test(segments_grow_where_that_is_allowed),
        cmocka_unit_test(a_creation_that_fails_changes_nothing),
        cmocka_unit_test(a_creation_that_cannot_be_undone_halts),
        cmocka_unit_test(an_append_without_room_that_cannot_get_any_is_not_committed),
        cmocka_unit_test(a_segment_made_ahead_is_the_next),
        cmocka_unit_test(a_crash_leaves_a_segment_made_ahead_that_may_go),
        cmocka_unit_test(a_segment_made_ahead_that_is_too_small_is_given_up),
        cmocka_unit_test(making_a_segment_ahead_may_fail),
        cmocka_unit_test(segments_are_made_ahead_beside_appending_and_rotating),
        cmocka_unit_test(a_failed_append_is_disowned),
        cmocka_unit_test(a_failed_append_that_cannot_be_disowned_is_unknown),
        cmocka_unit_test(a_failed_sync_is_final),
        cmocka_unit_test(a_failed_sync_in_a_rotation_is_final),
        cmocka_unit_test(segments_go_when_they_are_not_needed),
        cmocka_unit_test(segments_that_a_crash_kept_from_being_dropped_go_later),
        cmocka_unit_test(a_drop_that_fails_can_be_tried_again),
        cmocka_unit_test(a_log_that_is_not_flushed_ends_with_no_space),
        cmocka_unit_test(starts_that_fail_do_not_fill_the_log),
        cmocka_unit_test(a_start_without_memory_fails_cleanly),
        cmocka_unit_test(any_operation_may_fail),
        cmocka_unit_test(syncing_goes_beside_appending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
