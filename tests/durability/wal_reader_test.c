#include "durability/log_fixture.h"

#include "core/random.h"

#include <stdio.h>

enum { RECORDS_MAX = 512 };

static struct log *new_log(void)
{
    struct log *log = malloc(sizeof(*log));
    log_init(log);
    assert_int_equal(log_open(log), STRATA_OK);
    return log;
}

static void delete_log(struct log *log)
{
    log_release(log);
    free(log);
}

/* Reads, and expects [1, last] without loss. */
static void expect_whole(struct log *log, uint64_t last)
{
    assert_int_equal(log_read(log), STRATA_OK);
    assert_int_equal(log->tail.lost_end, 0);
    assert_int_equal(log->tail.last_version, last);
}

/* Reads, and expects [1, last] and that the versions up to `end` are reported lost. */
static void expect_lost(struct log *log, uint64_t last, uint64_t end, uint64_t number)
{
    assert_int_equal(log_read(log), STRATA_OK);
    assert_int_equal(log->tail.last_version, last);
    assert_int_equal(log->tail.lost_end, end);
    assert_string_equal(log->tail.lost_object, log_segment(number));
}

/* Replaces segment `number` with what segment `from` of another disk holds. */
static void put_segment(struct log *log, uint64_t number, struct test_disk *from_disk,
                        uint64_t from)
{
    size_t size;
    uint8_t *data = disk_take(from_disk, log_segment(from), &size);
    disk_put(&log->disk, log_segment(number), data, size);
    free(data);
}

/* Segments of four records each, `count` of them, and `last` in the active one; nothing in it has
 * been synced. */
static struct log *log_of_segments(uint64_t count, uint64_t last)
{
    struct log *log = new_log();
    for (uint64_t i = 0; i < count; i++) {
        log_append_all(log, 4);
        assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    }
    log_append_all(log, last);
    log_close(log);
    return log;
}

static void nothing_is_an_empty_log(void **state)
{
    (void)state;
    struct log *log = malloc(sizeof(*log));
    log_init(log);
    expect_whole(log, 0);
    assert_int_equal(log->tail.last_number, 0);
    assert_int_equal(log->tail.segment_count, 0);
    disk_put(&log->disk, "wal/README", (const uint8_t *)"x", 1);
    disk_put(&log->disk, "wal/99999999999999999999", (const uint8_t *)"x", 1);
    expect_whole(log, 0);
    assert_int_equal(log->tail.last_number, 0);
    delete_log(log);
}

static void records_below_the_first_are_skipped(void **state)
{
    (void)state;
    struct log *log = log_of_segments(2, 4);
    log->first_version = 7;
    log->first_number = 2;
    expect_whole(log, 12);
    log->first_version = 13;
    expect_whole(log, 12);
    log->first_version = 20; /* Flushed beyond what the log has. */
    expect_whole(log, 19);
    assert_int_equal(log->tail.last_time_us, 0);
    delete_log(log);
}

static void a_start_behind_the_end_of_the_log_is_no_loss(void **state)
{
    (void)state;
    struct log *log = log_of_segments(1, 4);
    log->first_version = 20;
    log->salts[19] = 1;
    assert_int_equal(log_open(log), STRATA_OK);
    log_append_all(log, 3);
    log_close(log);
    expect_whole(log, 22);
    log->first_version = 5; /* But an older manifest cannot do with what is left. */
    expect_lost(log, 8, 20, 2);
    delete_log(log);
}

/* Cuts the last segment at every byte: what remains whole is read, and the next start goes on. */
static void every_cut_leaves_a_prefix(void **state)
{
    (void)state;
    struct log *log = log_of_segments(2, 4);
    uint64_t offsets[RECORDS_MAX];
    const uint32_t count = log_records(log, 3, offsets, RECORDS_MAX);
    assert_int_equal(count, 4);
    uint64_t salts[LOG_VERSIONS_MAX];
    memcpy(salts, log->salts, sizeof(salts));
    struct test_disk saved;
    disk_init(&saved);
    disk_copy(&log->disk, &saved);
    for (uint64_t cut = 0; cut < offsets[4]; cut += cut < WAL_HEADER_SIZE ? 64 : 1) {
        disk_copy(&saved, &log->disk);
        memcpy(log->salts, salts, sizeof(salts));
        disk_cut(&log->disk, log_segment(3), cut);
        uint64_t left = 0;
        while (left < count && offsets[left + 1] <= cut)
            left++;
        expect_whole(log, 8 + left);
        assert_int_equal(log->tail.unknown_commits, 0);
        if (cut % 37 != 0)
            continue;
        assert_int_equal(log_open(log), STRATA_OK);
        log_append_all(log, 2);
        log_close(log);
        expect_whole(log, 8 + left + 2);
    }
    disk_release(&saved);
    delete_log(log);
}

/* The segment with byte `offset`, and the version of the record there; 0 in a header or behind. */
static uint64_t version_at(const uint64_t *offsets, uint32_t count, uint64_t first, uint64_t offset)
{
    for (uint32_t i = 0; i < count; i++) {
        if (offset >= offsets[i] && offset < offsets[i + 1])
            return first + i;
    }
    return 0;
}

static void damage_before_the_end_is_reported_as_loss(void **state)
{
    (void)state;
    struct log *log = log_of_segments(3, 4);
    uint64_t offsets[RECORDS_MAX];
    for (uint64_t number = 1; number <= 3; number++) {
        const uint32_t count = log_records(log, number, offsets, RECORDS_MAX);
        const uint64_t first = number * 4 - 3;
        for (uint64_t offset = 0; offset < offsets[count]; offset += offset < 4096 ? 101 : 3) {
            disk_flip(&log->disk, log_segment(number), offset, (uint8_t)(1 << offset % 8));
            assert_int_equal(log_read(log), STRATA_OK);
            const uint64_t damaged = version_at(offsets, count, first, offset);
            const uint64_t last = damaged == 0 ? first - 1 : damaged - 1;
            assert_int_equal(log->tail.last_version, last);
            assert_true(log->tail.lost_end >= first + 4);
            assert_string_equal(log->tail.lost_object, log_segment(number));
            disk_flip(&log->disk, log_segment(number), offset, (uint8_t)(1 << offset % 8));
        }
    }
    expect_whole(log, 16);
    delete_log(log);
}

static void damage_in_the_last_segment_is_judged_by_the_watermark(void **state)
{
    (void)state;
    struct log *log = new_log();
    log_append_all(log, 4);
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    log_append_all(log, 3); /* 5, 6, 7 know of 4. */
    assert_int_equal(log_sync(log), STRATA_OK);
    log_append_all(log, 3); /* 8, 9, 10 know of 7. */
    log_close(log);
    uint64_t offsets[RECORDS_MAX];
    const uint32_t count = log_records(log, 2, offsets, RECORDS_MAX);
    assert_int_equal(count, 6);
    for (uint64_t offset = 0; offset < offsets[count]; offset += offset < 4096 ? 101 : 3) {
        disk_flip(&log->disk, log_segment(2), offset, 0x10);
        const uint64_t damaged = version_at(offsets, count, 5, offset);
        if (damaged == 0)
            expect_lost(log, 4, 8, 2);
        else if (damaged <= 7)
            expect_lost(log, damaged - 1, 8, 2);
        else
            expect_whole(log, damaged - 1);
        if (damaged >= 8)
            assert_int_equal(log->tail.unknown_commits, 10 - damaged);
        else
            assert_int_equal(log->tail.unknown_commits, 3);
        disk_flip(&log->disk, log_segment(2), offset, 0x10);
    }
    expect_whole(log, 10);
    assert_int_equal(log->tail.durable_version, 7);
    delete_log(log);
}

static void a_creation_that_did_not_finish_does_not_count(void **state)
{
    (void)state;
    static const uint8_t zeros[LOG_SEGMENT_BYTES];
    const size_t sizes[] = {0, 512, WAL_HEADER_SIZE, LOG_SEGMENT_BYTES};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct log *log = log_of_segments(1, 4);
        disk_put(&log->disk, log_segment(3), zeros, sizes[i]);
        disk_put(&log->disk, log_segment(4), (const uint8_t *)"garbage", 7);
        expect_whole(log, 8);
        assert_int_equal(log->tail.last_number, 4);
        assert_int_equal(log->tail.end_number, 2);
        assert_int_equal(log_open(log), STRATA_OK);
        assert_int_equal(log->wal.active_number, 5);
        log_append_all(log, 4);
        bool more = true;
        while (more)
            assert_int_equal(wal_drop_step(&log->wal, 1, &more), STRATA_OK);
        assert_false(disk_has(&log->disk, log_segment(3)));
        log_close(log);
        expect_whole(log, 12);
        assert_int_equal(log->tail.segment_count, 3);
        delete_log(log);
    }
}

static void a_missing_segment_is_loss_unless_nobody_needs_it(void **state)
{
    (void)state;
    struct log *log = log_of_segments(3, 4);
    disk_remove(&log->disk, log_segment(2));
    expect_lost(log, 3, 13, 2); /* 4 may be one whose append failed, for all one can know. */
    assert_int_equal(log->tail.unknown_commits, 4); /* 13 to 16 may or may not have been durable. */
    log->first_version = 9;
    expect_whole(log, 16);
    log->first_number = 3;
    expect_whole(log, 16);
    log->first_number = 2;
    log->first_version = 7;
    expect_lost(log, 6, 13, 2);
    log->first_version = 1;
    log->first_number = 1;
    disk_remove(&log->disk, log_segment(1));
    expect_lost(log, 0, 13, 2);
    delete_log(log);
}

static void a_stale_segment_in_the_place_of_a_newer_one_is_detected(void **state)
{
    (void)state;
    struct log *log = log_of_segments(3, 4);
    struct test_disk early;
    disk_init(&early);

    /* Another segment of the log: for the middle and the end. */
    put_segment(log, 3, &log->disk, 2);
    expect_lost(log, 7, 13, 3);
    delete_log(log);
    log = log_of_segments(3, 0);
    put_segment(log, 4, &log->disk, 3);
    expect_whole(log, 12);

    /* The same segment as it was earlier. */
    assert_int_equal(log_open(log), STRATA_OK);
    log_append_all(log, 2);
    assert_int_equal(log_sync(log), STRATA_OK);
    disk_copy(&log->disk, &early);
    log_append_all(log, 2);
    const uint64_t number = log->wal.active_number;
    assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
    log_append_all(log, 2);
    log_close(log);
    put_segment(log, number, &early, number);
    expect_lost(log, 14, 17, number);
    disk_release(&early);
    delete_log(log);
}

static void a_segment_of_another_database_is_not_read(void **state)
{
    (void)state;
    for (int same_uuid = 0; same_uuid < 2; same_uuid++) {
        struct log *log = malloc(sizeof(*log)), *other = malloc(sizeof(*other));
        log_init(log);
        log_init(other);
        other->identity.incarnation++;
        if (!same_uuid)
            other->identity.uuid[3] ^= 1;
        assert_int_equal(log_open(other), STRATA_OK);
        log_append_all(other, 4);
        put_segment(log, 1, &other->disk, 1);
        expect_whole(log, 0);
        delete_log(log);
        delete_log(other);
    }
}

static void a_record_in_the_place_of_another_does_not_count(void **state)
{
    (void)state;
    struct log *log = new_log();
    log->payload_size = 100;
    log_append_all(log, 4);
    log_close(log);
    uint64_t offsets[RECORDS_MAX];
    log_records(log, 1, offsets, RECORDS_MAX);
    size_t size;
    uint8_t *data = disk_take(&log->disk, log_segment(1), &size);
    memcpy(data + offsets[2], data + offsets[1], (size_t)(offsets[2] - offsets[1]));
    disk_put(&log->disk, log_segment(1), data, size);
    free(data);
    expect_whole(log, 2);
    assert_int_equal(log->tail.unknown_commits, 1);
    delete_log(log);
}

static void leftovers_of_a_crash_are_not_replayed_later(void **state)
{
    (void)state;
    struct log *log = new_log();
    log->payload_size = 100;
    log_append_all(log, 6);
    log_close(log);
    uint64_t offsets[RECORDS_MAX];
    log_records(log, 1, offsets, RECORDS_MAX);
    disk_flip(&log->disk, log_segment(1), offsets[3], 1); /* 4 is torn; 5 and 6 are whole. */
    expect_whole(log, 3);
    assert_int_equal(log->tail.unknown_commits, 2);
    assert_int_equal(log_open(log), STRATA_OK);
    /* Another 4 at its place would lead to 5 again. */
    log_append_all(log, 1);
    log_close(log);
    disk_flip(&log->disk, log_segment(1), offsets[3], 1);
    expect_whole(log, 4);
    assert_int_equal(log_open(log), STRATA_OK);
    log_append_all(log, 1);
    log_close(log);
    expect_whole(log, 5);
    delete_log(log);
}

static void leftovers_in_a_segment_left_out_are_no_loss(void **state)
{
    (void)state;
    struct log *log = new_log();
    log->payload_size = 100;
    log_append_all(log, 2);
    log_close(log);
    assert_int_equal(log_open(log), STRATA_OK);
    log_append_all(log, 3);
    log_close(log);
    uint64_t offsets[RECORDS_MAX];
    log_records(log, 2, offsets, RECORDS_MAX);
    disk_flip(&log->disk, log_segment(2), offsets[0], 1); /* 3 is torn; 4 and 5 are whole. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_open(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, 2);
        assert_int_equal(log->tail.unknown_commits, 2);
        log_close(log);
    }
    disk_flip(&log->disk, log_segment(2), offsets[0], 1);
    assert_int_equal(log_open(log), STRATA_OK); /* And it stays out when it is whole. */
    log_append_all(log, 1);
    log_close(log);
    expect_whole(log, 3);
    delete_log(log);
}

static void a_failed_append_is_not_taken_for_what_a_broken_successor_held(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        struct log *log = new_log();
        log_append_all(log, 3);
        disk_fail(&log->disk, 1, DISK_APPEND, 5);
        log->disk.torn_bytes = SIZE_MAX;
        assert_int_equal(log_append(log), STRATA_IO);
        disk_heal(&log->disk);
        log_append_all(log, 3);
        assert_int_equal(log_sync(log), STRATA_OK);
        log_append_all(log, 1);
        assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
        log_append_all(log, 1);
        log_close(log);
        if (variant == 0) {
            disk_remove(&log->disk, log_segment(2));
        } else {
            uint64_t offsets[RECORDS_MAX];
            log_records(log, 2, offsets, RECORDS_MAX);
            disk_flip(&log->disk, log_segment(2), 100, 1);
            if (variant == 2)
                disk_flip(&log->disk, log_segment(2), offsets[0], 1);
        }
        assert_int_equal(log_read(log), STRATA_OK);
        assert_true(log->tail.last_version <= 3);
        assert_int_equal(log->tail.lost_end, 8);
        delete_log(log);
    }
}

static void too_many_segments_are_corrupt(void **state)
{
    (void)state;
    struct log *log = log_of_segments(1, 1);
    for (uint64_t number = 3; number <= WAL_SEGMENTS_MAX; number++)
        disk_put(&log->disk, log_segment(number), NULL, 0);
    expect_whole(log, 5);
    disk_put(&log->disk, log_segment(WAL_SEGMENTS_MAX + 1), NULL, 0);
    assert_int_equal(log_read(log), STRATA_CORRUPT);
    log->first_number = 2;
    log->first_version = 5;
    expect_whole(log, 5);
    delete_log(log);
}

static strata_status refuse_record(void *context, const struct wal_record *record)
{
    uint64_t *refused = context;
    return record->version == *refused ? STRATA_TOO_BIG : STRATA_OK;
}

static void a_failure_of_the_caller_ends_reading(void **state)
{
    (void)state;
    struct log *log = log_of_segments(2, 2);
    uint64_t refused = 6;
    const struct wal_reading reading = {.backend = &log->disk.backend,
                                        .allocator = &heap,
                                        .identity = &log->identity,
                                        .first_number = 1,
                                        .first_version = 1,
                                        .apply = refuse_record,
                                        .context = &refused};
    assert_int_equal(wal_read(&reading, &log->tail), STRATA_TOO_BIG);
    delete_log(log);
}

static void reading_takes_a_record_and_64_kib(void **state)
{
    (void)state;
    struct log *log = new_log();
    log->payload_size = 60000;
    log_append_all(log, 5);
    log_close(log);
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    log->allocator = &allocator;
    expect_whole(log, 5);
    test_heap_assert_empty(&counted);
    assert_true(counted.bytes_peak <= (64 << 10) + 60064);

    /* A size that is not backed by bytes takes none. */
    uint8_t claim[WAL_RECORD_HEADER_SIZE] = {0};
    store_u32(claim + 8, 0x7ffffff8);
    store_u32(claim + 12, 0x7ffffff8 - WAL_RECORD_HEADER_SIZE);
    claim[16] = WAL_RECORD_COMMIT;
    size_t size;
    uint8_t *data = disk_take(&log->disk, log_segment(6), &size);
    memcpy(data + WAL_HEADER_SIZE, claim, sizeof(claim));
    disk_put(&log->disk, log_segment(6), data, size);
    free(data);
    counted.bytes_peak = 0;
    assert_int_equal(log_read(log), STRATA_OK);
    assert_true(counted.bytes_peak <= (64 << 10) + 60064);
    delete_log(log);
}

static void bytes_made_to_look_like_records_do_not_hold_it_up(void **state)
{
    (void)state;
    struct log *log = new_log();
    log_append_all(log, 2);
    log_close(log);
    const size_t size = 4 << 20;
    size_t old_size;
    uint8_t *old = disk_take(&log->disk, log_segment(1), &old_size);
    uint8_t *data = calloc(1, size);
    /* At every multiple of 32 something that claims all that is left; hashing all of it each time
     * would take a day. */
    for (size_t at = 0; at + WAL_RECORD_HEADER_SIZE <= size; at += 32) {
        store_u32(data + at + 8, (uint32_t)(size - at));
        store_u32(data + at + 12, (uint32_t)(size - at - WAL_RECORD_HEADER_SIZE));
        data[at + 16] = WAL_RECORD_COMMIT;
    }
    uint64_t offsets[RECORDS_MAX];
    const uint32_t count = log_records(log, 1, offsets, RECORDS_MAX);
    memcpy(data, old, (size_t)offsets[count]);
    disk_put(&log->disk, log_segment(1), data, size);
    free(old);
    free(data);
    expect_whole(log, 2);
    delete_log(log);
}

static void a_newer_format_is_not_touched(void **state)
{
    (void)state;
    struct log *log = log_of_segments(1, 2);
    size_t size;
    uint8_t *data = disk_take(&log->disk, log_segment(2), &size);
    store_u32(data + 16, FORMAT_VERSION + 1);
    const uint64_t seed = place_seed(&log->identity, FAMILY_WAL, 2, 0);
    store_u64(data, place_checksum(bytes_of(data, WAL_HEADER_SIZE), seed));
    disk_put(&log->disk, log_segment(2), data, size);
    free(data);
    assert_int_equal(log_read(log), STRATA_UNSUPPORTED);
    strata_error error = {.size = sizeof(error)};
    strata_error_detail(&error);
    assert_string_equal(error.object, log_segment(2));
    assert_non_null(strstr(error.message, log_segment(2)));
    assert_non_null(strstr(error.message, "newer than this library's"));
    delete_log(log);
}

static void read_errors_are_reported(void **state)
{
    (void)state;
    struct log *log = log_of_segments(2, 4);
    bool reached = true;
    for (uint64_t at = 1; reached; at++) {
        disk_fail(&log->disk, at, DISK_OPEN | DISK_READ | DISK_LIST, 5);
        const strata_status status = log_read(log);
        reached = log->disk.operations >= at;
        assert_int_equal(status, reached ? STRATA_IO : STRATA_OK);
    }
    delete_log(log);
}

/* A life with several starts, some rotations and syncs; `durable` versions at the end. */
static struct log *lived_log(struct random *random)
{
    struct log *log = malloc(sizeof(*log));
    log_init(log);
    for (int life = 0; life < 3; life++) {
        assert_int_equal(log_open(log), STRATA_OK);
        for (int i = 0; i < 10; i++) {
            log_append_all(log, 1 + random_next(random) % 3);
            if (random_next(random) % 3 == 0)
                assert_int_equal(log_sync(log), STRATA_OK);
            if (random_next(random) % 8 == 0)
                assert_int_equal(wal_rotate(&log->wal), STRATA_OK);
        }
        log_close(log);
    }
    disk_pad(&log->disk, "wal/");
    return log;
}

/* log_read checks every record that counts; what does not count is either lost, and said so, or was
 * never durable. */
static void expect_sane(struct log *log)
{
    assert_int_equal(log_read(log), STRATA_OK);
    const struct wal_tail *tail = &log->tail;
    assert_true(tail->last_version <= log->appended);
    assert_true(tail->lost_end == 0 || tail->lost_end > tail->last_version + 1);
    assert_true(tail->lost_end <= log->durable + 1);
    if (tail->lost_end == 0 && tail->last_version < log->appended)
        assert_true(tail->last_version >= tail->durable_version);
}

static void random_damage_never_gives_wrong_data(void **state)
{
    (void)state;
    struct random random = {.state = 20240607};
    struct test_disk saved;
    disk_init(&saved);
    uint64_t shortened = 0, lost = 0;
    for (int round = 0; round < 10; round++) {
        struct log *log = lived_log(&random);
        disk_copy(&log->disk, &saved);
        assert_int_equal(log_read(log), STRATA_OK);
        assert_int_equal(log->tail.last_version, log->appended);
        const uint64_t segments = log->tail.last_number;
        for (int i = 0; i < 150; i++) {
            const unsigned damages = i % 3 == 2 ? 3 : 1;
            for (unsigned d = 0; d < damages; d++) {
                const char *name = log_segment(1 + random_next(&random) % segments);
                const uint64_t size = disk_size(&log->disk, name);
                const uint64_t used = size < 6000 ? size : 6000;
                disk_flip(&log->disk, name, random_next(&random) % used,
                          (uint8_t)(1 << random_next(&random) % 8));
            }
            expect_sane(log);
            shortened += log->tail.last_version < log->appended;
            lost += log->tail.lost_end != 0;
            disk_copy(&saved, &log->disk);
        }
        delete_log(log);
    }
    assert_true(shortened > 300 && lost > 200);
    disk_release(&saved);
}

static void random_writes_of_stale_bytes_never_give_wrong_data(void **state)
{
    (void)state;
    struct random random = {.state = 77};
    struct test_disk saved;
    disk_init(&saved);
    struct log *log = lived_log(&random);
    disk_copy(&log->disk, &saved);
    assert_int_equal(log_read(log), STRATA_OK);
    const uint64_t segments = log->tail.last_number;
    for (int i = 0; i < 500; i++) {
        size_t from_size, to_size;
        uint8_t *from =
            disk_take(&saved, log_segment(1 + random_next(&random) % segments), &from_size);
        const uint64_t number = 1 + random_next(&random) % segments;
        uint8_t *to = disk_take(&saved, log_segment(number), &to_size);
        size_t length = 8 * (1 + random_next(&random) % 200);
        const size_t from_at = 8 * (random_next(&random) % (from_size / 8));
        const size_t to_at = 8 * (random_next(&random) % (to_size / 8));
        length = length > from_size - from_at ? from_size - from_at : length;
        length = length > to_size - to_at ? to_size - to_at : length;
        memcpy(to + to_at, from + from_at, length);
        disk_put(&log->disk, log_segment(number), to, to_size);
        free(from);
        free(to);
        expect_sane(log);
        disk_copy(&saved, &log->disk);
    }
    disk_release(&saved);
    delete_log(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_an_empty_log),
        cmocka_unit_test(records_below_the_first_are_skipped),
        cmocka_unit_test(a_start_behind_the_end_of_the_log_is_no_loss),
        cmocka_unit_test(every_cut_leaves_a_prefix),
        cmocka_unit_test(damage_before_the_end_is_reported_as_loss),
        cmocka_unit_test(damage_in_the_last_segment_is_judged_by_the_watermark),
        cmocka_unit_test(a_creation_that_did_not_finish_does_not_count),
        cmocka_unit_test(a_missing_segment_is_loss_unless_nobody_needs_it),
        cmocka_unit_test(a_stale_segment_in_the_place_of_a_newer_one_is_detected),
        cmocka_unit_test(a_segment_of_another_database_is_not_read),
        cmocka_unit_test(a_record_in_the_place_of_another_does_not_count),
        cmocka_unit_test(leftovers_of_a_crash_are_not_replayed_later),
        cmocka_unit_test(leftovers_in_a_segment_left_out_are_no_loss),
        cmocka_unit_test(a_failed_append_is_not_taken_for_what_a_broken_successor_held),
        cmocka_unit_test(too_many_segments_are_corrupt),
        cmocka_unit_test(a_failure_of_the_caller_ends_reading),
        cmocka_unit_test(reading_takes_a_record_and_64_kib),
        cmocka_unit_test(bytes_made_to_look_like_records_do_not_hold_it_up),
        cmocka_unit_test(a_newer_format_is_not_touched),
        cmocka_unit_test(read_errors_are_reported),
        cmocka_unit_test(random_damage_never_gives_wrong_data),
        cmocka_unit_test(random_writes_of_stale_bytes_never_give_wrong_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
