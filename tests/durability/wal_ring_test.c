/* The log with a ring: what a killed process leaves, what a power cut may leave of it, and what never
 * counts. */
#include "durability/log_fixture.h"

#include "layout/names.h"

#include <errno.h>
#include <pthread.h>

enum { RING_BYTES = 16384, RING_PAGES = RING_BYTES / RING_PAGE_SIZE };

static struct log *ring_log(uint64_t segment_bytes)
{
    struct log *log = malloc(sizeof(*log));
    log_init(log);
    log->segment_bytes = segment_bytes;
    log->ring_bytes = log->disk.ring_bytes = RING_BYTES;
    assert_int_equal(log_open(log), STRATA_OK);
    assert_non_null(log->wal.ring.bytes);
    return log;
}

static void free_log(struct log *log)
{
    log_release(log);
    free(log);
}

/* Closes, without copying anything: as a kill would. Then expects exactly the versions up to `last`. */
static void expect_after_kill(struct log *log, uint64_t last)
{
    log_close(log);
    disk_heal(&log->disk);
    assert_int_equal(log_read(log), STRATA_OK);
    assert_int_equal(log->tail.last_version, last);
    assert_int_equal(log->tail.lost_end, 0);
    assert_int_equal(log_open(log), STRATA_OK);
}

static void commits_reach_the_segment_only_when_synced(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log_append_all(log, 5);
    assert_int_equal(log->wal.active->appended, WAL_HEADER_SIZE);
    expect_after_kill(log, 5);
    assert_true(log->tail.ring_used);
    log_append_all(log, 5);
    assert_int_equal(log_sync(log), STRATA_OK);
    assert_int_equal(log->wal.active->appended, log->wal.end);
    memset(log->disk.ring, 0, RING_BYTES);
    expect_after_kill(log, 10);
    assert_false(log->tail.ring_used);
    free_log(log);
}

/* A reader sees what a kill at this moment would leave. */
static void a_kill_after_any_commit_loses_none(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 15);
    for (uint64_t last = 1; last < 500; last++) {
        log_append_all(log, 1);
        assert_int_equal(log_read(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, last);
        assert_int_equal(log->tail.lost_end, 0);
    }
    free_log(log);
}

static void many_laps_and_segments_come_back(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    for (uint64_t last = 1000; last <= 4000; last += 1000) {
        log_append_all(log, 1000);
        expect_after_kill(log, last);
    }
    free_log(log);
}

static void a_record_of_over_half_the_ring_goes_straight(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log->large_size = RING_BYTES / 2;
    log_append_all(log, 4);
    assert_int_equal(log->wal.active->appended, WAL_HEADER_SIZE);
    log_append_all(log, 1);
    assert_int_equal(log->wal.active->appended, log->wal.end);
    for (uint64_t last = 6; last < 100; last++) {
        log_append_all(log, 1);
        assert_int_equal(log_read(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, last);
    }
    free_log(log);
}

/* What the ring was at some moments. */
struct moments {
    uint8_t bytes[12][RING_BYTES];
    size_t count;
};

static void keep_moment(struct moments *moments, const struct log *log)
{
    const size_t count = sizeof(moments->bytes) / sizeof(moments->bytes[0]);
    memcpy(moments->bytes[moments->count++ % count], log->disk.ring, RING_BYTES);
}

static uint64_t draw(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 33;
}

/* A power cut leaves each page as it was at some moment. */
static void mix_pages(const struct moments *moments, struct log *log, uint64_t *random)
{
    const size_t kept = sizeof(moments->bytes) / sizeof(moments->bytes[0]);
    const size_t count = moments->count < kept ? moments->count : kept;
    for (size_t page = 0; page < RING_PAGES; page++)
        memcpy(log->disk.ring + page * RING_PAGE_SIZE,
               moments->bytes[draw(random) % count] + page * RING_PAGE_SIZE, RING_PAGE_SIZE);
}

static void any_mix_of_pages_leaves_a_prefix_with_all_that_was_durable(void **state)
{
    (void)state;
    uint64_t random = 5;
    struct moments *moments = calloc(1, sizeof(*moments));
    for (unsigned round = 0; round < 60; round++) {
        struct log *log = ring_log(1 << 15);
        moments->count = 0;
        for (unsigned i = 0; i < 10 + draw(&random) % 20; i++) {
            log_append_all(log, draw(&random) % 30);
            if (draw(&random) % 4 == 0)
                assert_int_equal(log_sync(log), STRATA_OK);
            keep_moment(moments, log);
        }
        log_close(log);
        for (unsigned cut = 0; cut < 20; cut++) {
            mix_pages(moments, log, &random);
            assert_int_equal(log_read(log), STRATA_OK);
            assert_in_range(log->tail.last_version, log->durable, log->appended);
            assert_int_equal(log->tail.lost_end, 0);
        }
        disk_cut_power(&log->disk);
        for (unsigned cut = 0; cut < 20; cut++) {
            mix_pages(moments, log, &random);
            assert_int_equal(log_read(log), STRATA_OK);
            assert_in_range(log->tail.last_version, log->durable, log->appended);
            assert_int_equal(log->tail.lost_end, 0);
        }
        free_log(log);
    }
    free(moments);
}

/* Every record of the earlier life is still there, in the place where one of this life would be. */
static void stale_bytes_of_another_life_never_count(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log->payload_size = 100;
    log_append_all(log, 40);
    expect_after_kill(log, 40);
    log_append_all(log, 7);
    expect_after_kill(log, 47);
    free_log(log);
}

static void a_hole_in_the_ring_ends_the_log_and_is_told(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log->payload_size = 1000 - WAL_RECORD_HEADER_SIZE;
    log_append_all(log, 8);
    assert_int_equal(log->wal.active->appended, WAL_HEADER_SIZE);
    log_close(log);
    memset(log->disk.ring + WAL_HEADER_SIZE + 3 * 1000, 0, 8);
    assert_int_equal(log_read(log), STRATA_OK);
    assert_int_equal(log->tail.last_version, 3);
    assert_int_equal(log->tail.unknown_commits, 4);
    assert_int_equal(log->tail.lost_end, 0);
    free_log(log);
}

/* What the segment lost, the ring may still have. */
static void each_record_is_taken_from_where_it_is_whole(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log->payload_size = 1000 - WAL_RECORD_HEADER_SIZE;
    log_append_all(log, 6);
    assert_int_equal(log_sync(log), STRATA_OK);
    log_append_all(log, 2);
    log_close(log);
    disk_flip(&log->disk, log_segment(1), WAL_HEADER_SIZE + 2 * 1000 + 500, 1);
    assert_int_equal(log_read(log), STRATA_OK);
    assert_int_equal(log->tail.last_version, 8);
    free_log(log);
}

static void a_ring_that_cannot_be_copied_halts_and_loses_nothing(void **state)
{
    (void)state;
    for (unsigned torn = 0; torn < 3; torn++) {
        struct log *log = ring_log(1 << 16);
        log->payload_size = 1000 - WAL_RECORD_HEADER_SIZE;
        log_append_all(log, 8);
        disk_fail(&log->disk, 1, DISK_APPEND, ENOSPC);
        log->disk.torn_bytes = torn * 1500;
        assert_int_equal(log_append(log), STRATA_HALTED);
        assert_int_equal(log_outcome(), STRATA_NOT_COMMITTED);
        disk_heal(&log->disk);
        assert_int_equal(log_append(log), STRATA_HALTED);
        assert_int_equal(log_sync(log), STRATA_HALTED);
        expect_after_kill(log, 8);
        log_append_all(log, 20);
        disk_fail(&log->disk, 1, DISK_APPEND, EIO);
        assert_int_equal(log_sync(log), STRATA_HALTED);
        expect_after_kill(log, 28);
        free_log(log);
    }
}

static void without_a_ring_the_log_goes_on(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log_append_all(log, 5);
    log_close(log);
    assert_int_equal(log_open(log), STRATA_OK);
    wal_close(&log->wal);
    disk_fail(&log->disk, 1, DISK_RING, ENOMEM);
    assert_int_equal(log_open(log), STRATA_OK);
    assert_null(log->wal.ring.bytes);
    log_append_all(log, 5);
    assert_int_equal(log->wal.active->appended, log->wal.end);
    expect_after_kill(log, 10);
    free_log(log);
}

static void what_is_no_ring_is_passed_over(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 4095, 4097, 12288};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        static const uint8_t zeros[RING_BYTES];
        struct log *log = ring_log(1 << 16);
        log_append_all(log, 5);
        assert_int_equal(log_sync(log), STRATA_OK);
        log_append_all(log, 2);
        log_close(log);
        disk_put(&log->disk, LAYOUT_WAL_RING, zeros, sizes[i]);
        assert_int_equal(log_read(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, 5);
        assert_true(log->tail.ring);
        disk_remove(&log->disk, LAYOUT_WAL_RING);
        assert_int_equal(log_read(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, 5);
        assert_false(log->tail.ring);
        free_log(log);
    }
}

static strata_status count_record(void *context, const struct wal_record *record)
{
    (void)record;
    ++*(uint64_t *)context;
    return STRATA_OK;
}

static void a_log_in_use_is_read_up_to_its_mark(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    uint64_t count = 0;
    struct wal_reading reading = {.backend = &log->disk.backend,
                                  .allocator = &heap,
                                  .identity = &log->identity,
                                  .first_number = 1,
                                  .first_version = 1,
                                  .apply = count_record,
                                  .context = &count};
    log_append_all(log, 20);
    wal_mark(&log->wal, &reading.last_number, &reading.last_end);
    log_append_all(log, 900);
    assert_int_equal(log_sync(log), STRATA_OK);
    log_append_all(log, 5);
    assert_int_equal(wal_read(&reading, &log->tail), STRATA_OK);
    assert_int_equal(count, 20);
    assert_int_equal(log->tail.lost_end, 0);
    free_log(log);
}

/* A segment is written ahead only where that pays: for each sync there are few bytes. */
static void segments_are_written_ahead_only_where_syncs_are_many(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 16);
    log->payload_size = 1000;
    for (unsigned i = 0; i < 300; i++) {
        log_append_all(log, 1);
        wal_prepare(&log->wal);
    }
    const uint64_t lazy_count = log->disk.lazy_count;
    assert_true(lazy_count >= 3);
    for (unsigned i = 0; i < 300; i++) {
        log_append_all(log, 1);
        assert_int_equal(log_sync(log), STRATA_OK);
        wal_prepare(&log->wal);
    }
    assert_int_equal(log->disk.lazy_count, lazy_count);
    expect_after_kill(log, 600);
    free_log(log);
}

static void *sync_often(void *context)
{
    struct log *log = context;
    for (unsigned i = 0; i < 300; i++) {
        const uint64_t version = log->wal.appended_version;
        if (wal_sync(&log->wal, version) != STRATA_OK || log->wal.durable_version < version)
            return log;
    }
    return NULL;
}

static void one_thread_appends_while_another_syncs(void **state)
{
    (void)state;
    struct log *log = ring_log(1 << 15);
    pthread_t syncer;
    void *failed = NULL;
    assert_int_equal(pthread_create(&syncer, NULL, sync_often, log), 0);
    log_append_all(log, 3000);
    assert_int_equal(pthread_join(syncer, &failed), 0);
    assert_null(failed);
    expect_after_kill(log, 3000);
    free_log(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_reach_the_segment_only_when_synced),
        cmocka_unit_test(a_kill_after_any_commit_loses_none),
        cmocka_unit_test(many_laps_and_segments_come_back),
        cmocka_unit_test(a_record_of_over_half_the_ring_goes_straight),
        cmocka_unit_test(any_mix_of_pages_leaves_a_prefix_with_all_that_was_durable),
        cmocka_unit_test(stale_bytes_of_another_life_never_count),
        cmocka_unit_test(a_hole_in_the_ring_ends_the_log_and_is_told),
        cmocka_unit_test(each_record_is_taken_from_where_it_is_whole),
        cmocka_unit_test(a_ring_that_cannot_be_copied_halts_and_loses_nothing),
        cmocka_unit_test(without_a_ring_the_log_goes_on),
        cmocka_unit_test(what_is_no_ring_is_passed_over),
        cmocka_unit_test(a_log_in_use_is_read_up_to_its_mark),
        cmocka_unit_test(segments_are_written_ahead_only_where_syncs_are_many),
        cmocka_unit_test(one_thread_appends_while_another_syncs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
