#include "commit/committer.h"

#include "core/memory.h"
#include "layout/key.h"
#include "simdisk/simdisk.h"
#include "support.h"

#include <errno.h>
#include <string.h>

enum { BATCH_ROWS_MAX = 4 };

/* A committer over a log on a simulated disk and one memtable, without anything that flushes. */
struct desk {
    struct test_heap counted;
    struct memory memory;
    struct simdisk *disk;
    strata_clock clock;
    int64_t now_us;
    struct epochs epochs;
    struct epoch_slot *slot;
    struct garbage garbage;
    struct cache cache;
    struct tables tables;
    struct committer committer;
    struct wal wal;
    unsigned rooms; /* How often room was asked for. */
    unsigned applied;
};

static int64_t desk_now(void *context)
{
    return ((struct desk *)context)->now_us;
}

static strata_status desk_room(void *context, uint64_t charge, int64_t wait_us)
{
    struct desk *desk = context;
    (void)charge, (void)wait_us;
    desk->rooms++;
    return committer_freeze(&desk->committer, 4096);
}

static void desk_first_set(struct desk *desk)
{
    struct memtable *memtable;
    struct tableset *set;
    assert_int_equal(memtable_create(&desk->memory.allocator, 4096, 1, &memtable), STRATA_OK);
    const struct tableset_parts parts = {.memtable_count = 1, .memtables = &memtable};
    assert_int_equal(tableset_create(&desk->tables, &parts, &set), STRATA_OK);
    mutex_lock(&desk->tables.install_lock);
    tables_install(&desk->tables, set, NULL);
    mutex_unlock(&desk->tables.install_lock);
    desk->committer.active = memtable;
    memtable_drop(memtable);
}

static void desk_start_log(struct desk *desk)
{
    const struct identity identity = {.incarnation = 5};
    const struct wal_tail tail = {.last_version = 0, .last_number = 0};
    assert_int_equal(wal_start(&desk->wal, simdisk_backend(desk->disk), &desk->memory.allocator,
                               &identity, 1 << 16, &tail, 1),
                     STRATA_OK);
    desk->committer.wal = &desk->wal;
}

static int set_up(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    const strata_allocator base = test_heap_init(&desk->counted);
    memory_init(&desk->memory, &base);
    const strata_allocator *allocator = &desk->memory.allocator;
    desk->disk = simdisk_create();
    desk->now_us = 1000;
    desk->clock = (strata_clock){.context = desk, .wall_us = desk_now, .monotonic_us = desk_now};
    epochs_init(&desk->epochs, allocator);
    garbage_init(&desk->garbage, allocator);
    tables_init(&desk->tables, allocator, &desk->epochs, &desk->garbage);
    assert_int_equal(epoch_slot_take(&desk->epochs, &desk->slot), STRATA_OK);
    assert_int_equal(cache_init(&desk->cache, allocator, &desk->epochs, 1 << 16), STRATA_OK);
    assert_int_equal(committer_init(&desk->committer, allocator), STRATA_OK);
    desk->committer.clock = &desk->clock;
    desk->committer.tables = &desk->tables;
    desk->committer.epochs = &desk->epochs;
    desk->committer.cache = &desk->cache;
    desk->committer.memtable_charge_max = 16 * 1024;
    desk->committer.make_room = desk_room;
    desk->committer.room_context = desk;
    desk_first_set(desk);
    desk_start_log(desk);
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    wal_close(&desk->wal);
    epoch_slot_give(desk->slot);
    while (epoch_reclaim(&desk->epochs))
        continue;
    tables_destroy(&desk->tables);
    committer_destroy(&desk->committer);
    cache_destroy(&desk->cache);
    epochs_destroy(&desk->epochs);
    garbage_destroy(&desk->garbage);
    simdisk_destroy(desk->disk);
    test_heap_assert_empty(&desk->counted);
    free(desk);
    return 0;
}

static struct batch_row put_row(const char *key, const char *value)
{
    return (struct batch_row){.kind = value == NULL ? ROW_DELETE : ROW_PUT,
                              .space = storage_space(SPACE_DEFAULT, KIND_KV),
                              .key = bytes_of(key, strlen(key)),
                              .value = bytes_of(value, value == NULL ? 0 : strlen(value))};
}

static struct batch_row increment_row(const char *key, int64_t delta, uint8_t room[8])
{
    store_u64(room, (uint64_t)delta);
    return (struct batch_row){.kind = ROW_COUNTER,
                              .flags = BATCH_INCREMENT,
                              .space = storage_space(SPACE_DEFAULT, KIND_KV),
                              .key = bytes_of(key, strlen(key)),
                              .value = bytes_of(room, 8)};
}

static struct batch_row space_deletion(void)
{
    return (struct batch_row){.kind = ROW_RANGE_DELETE,
                              .space = storage_space(SPACE_DEFAULT, KIND_KV)};
}

static strata_status commit_rows(struct desk *desk, const struct batch_row *rows, uint64_t count,
                                 struct commit_request request, strata_commit *out)
{
    struct buffer record;
    uint8_t *room;
    struct branch branch = {.id = BRANCH_MAIN};
    buffer_init(&record, &desk->memory.allocator);
    assert_int_equal(buffer_extend(&record, WAL_RECORD_HEADER_SIZE, &room), STRATA_OK);
    memset(room, 0, WAL_RECORD_HEADER_SIZE);
    const struct batch_header header = {.branch = BRANCH_MAIN, .row_count = count};
    assert_int_equal(batch_header_append(&record, &header), STRATA_OK);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(batch_row_append(&record, &rows[i]), STRATA_OK);
    request.record = &record;
    request.rows = count;
    request.branch = &branch;
    const strata_status status = committer_commit(&desk->committer, desk->slot, &request, out);
    buffer_release(&record);
    return status;
}

static strata_commit commit_put(struct desk *desk, const char *key, const char *value)
{
    strata_commit commit = {.version = 0};
    const struct batch_row row = put_row(key, value);
    assert_int_equal(commit_rows(desk, &row, 1, (struct commit_request){.sync = false}, &commit),
                     STRATA_OK);
    return commit;
}

static bool find_row(struct desk *desk, const char *key, struct row *out)
{
    uint8_t storage_key[64];
    struct found_row found;
    key_prefix_store(storage_key, BRANCH_MAIN, storage_space(SPACE_DEFAULT, KIND_KV));
    memcpy(storage_key + KEY_PREFIX_SIZE, key, strlen(key));
    assert_int_equal(tableset_find(atomic_load(&desk->tables.current),
                                   bytes_of(storage_key, KEY_PREFIX_SIZE + strlen(key)),
                                   atomic_load(&desk->committer.visible), &found),
                     STRATA_OK);
    *out = found.row;
    return found.found;
}

static void versions_are_dense_and_time_never_goes_back(void **state)
{
    struct desk *desk = *state;
    static const int64_t times[] = {1000, 900, 5000, -7, 5000, 4999, INT64_MAX, 0};
    int64_t last_us = INT64_MIN;
    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        desk->now_us = times[i];
        const strata_commit commit = commit_put(desk, "k", "v");
        assert_int_equal(commit.version, i + 1);
        assert_true(commit.time_us >= last_us);
        assert_true(commit.time_us >= times[i]);
        last_us = commit.time_us;
        struct row row;
        assert_true(find_row(desk, "k", &row));
        assert_int_equal(row.from, i + 1);
        assert_int_equal(row.time_us, last_us);
    }
}

/* What was written since, what is to be committed, and whether that is a conflict. */
static void the_first_committer_wins(void **state)
{
    struct desk *desk = *state;
    uint8_t rooms[2][8];
    const struct batch_row put = put_row("a", "1"), delete = put_row("a", NULL);
    const struct batch_row other = put_row("b", "1");
    const struct batch_row increment = increment_row("c", 1, rooms[0]);
    const struct batch_row space = space_deletion();
    const struct {
        const struct batch_row *first;
        const struct batch_row *second;
        bool conflict;
    } cases[] = {
        {&put, &put, true},
        {&put, &delete, true},
        {&delete, &put, true},
        {&delete, &delete, true},
        {&put, &other, false},
        {&other, &delete, false},
        {&put, &space, true},
        {&space, &put, true},
        {&space, &space, true},
        {&space, &increment, true},
        {&increment, &space, true},
        {&increment, &put, false},
        {&increment, &increment, false},
    };
    for (unsigned frozen = 0; frozen < 2; frozen++) {
        for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            strata_commit commit;
            const uint64_t since = atomic_load(&desk->committer.visible);
            const struct commit_request blind = {.increments = true};
            const struct commit_request checked = {
                .check = true, .since = since, .increments = true};
            assert_int_equal(commit_rows(desk, cases[i].first, 1, blind, &commit), STRATA_OK);
            if (frozen == 1) {
                mutex_lock(&desk->committer.lock);
                assert_int_equal(committer_freeze(&desk->committer, 4096), STRATA_OK);
                mutex_unlock(&desk->committer.lock);
            }
            const strata_status status = commit_rows(desk, cases[i].second, 1, checked, &commit);
            if (status != (cases[i].conflict ? STRATA_CONFLICT : STRATA_OK))
                fail_msg("case %u: %d", i, status);
            if (status != STRATA_OK) {
                strata_error error;
                failure_save(&error);
                assert_int_equal(error.outcome, STRATA_NOT_COMMITTED);
                assert_int_equal(atomic_load(&desk->committer.visible), since + 1);
            }
            const struct commit_request later = {
                .check = true, .since = atomic_load(&desk->committer.visible), .increments = true};
            assert_int_equal(commit_rows(desk, cases[i].second, 1, later, &commit), STRATA_OK);
        }
    }
}

static int64_t counter(struct desk *desk, const char *key)
{
    struct row row;
    assert_true(find_row(desk, key, &row));
    assert_int_equal(row.kind, ROW_COUNTER);
    return (int64_t)load_u64(row.value.data);
}

static strata_status increment(struct desk *desk, const char *key, int64_t delta)
{
    uint8_t room[8];
    strata_commit commit;
    const struct batch_row row = increment_row(key, delta, room);
    return commit_rows(desk, &row, 1, (struct commit_request){.increments = true}, &commit);
}

static void increments_add_to_the_newest_counter(void **state)
{
    struct desk *desk = *state;
    assert_int_equal(increment(desk, "c", 5), STRATA_OK);
    assert_int_equal(increment(desk, "c", -7), STRATA_OK);
    assert_int_equal(counter(desk, "c"), -2);
    assert_int_equal(increment(desk, "c", INT64_MIN + 2), STRATA_OK);
    assert_int_equal(counter(desk, "c"), INT64_MIN);
    assert_int_equal(increment(desk, "c", -1), STRATA_INVALID);
    assert_int_equal(counter(desk, "c"), INT64_MIN);
    commit_put(desk, "c", NULL);
    assert_int_equal(increment(desk, "c", INT64_MAX), STRATA_OK);
    assert_int_equal(increment(desk, "c", 1), STRATA_INVALID);
    commit_put(desk, "c", "text");
    assert_int_equal(increment(desk, "c", 1), STRATA_MISMATCH);
    strata_commit commit;
    const struct batch_row space = space_deletion();
    assert_int_equal(commit_rows(desk, &space, 1, (struct commit_request){.sync = false}, &commit),
                     STRATA_OK);
    assert_int_equal(increment(desk, "c", 3), STRATA_OK);
    assert_int_equal(counter(desk, "c"), 3);
}

static void fail_kind(struct desk *desk, enum sim_kind kind, int effect)
{
    simdisk_fail(desk->disk, (struct sim_fault){.operation = simdisk_operations(desk->disk) + 1,
                                                .forever = true,
                                                .error = EIO,
                                                .effect = effect,
                                                .kinds = 1u << kind,
                                                .seed = 1});
}

static void after_a_failed_sync_nothing_more_is_committed(void **state)
{
    struct desk *desk = *state;
    strata_commit commit;
    strata_error error;
    struct row found;
    commit_put(desk, "a", "1");
    const struct batch_row row = put_row("b", "2");
    fail_kind(desk, SIM_SYNC, STRATA_EFFECT_UNKNOWN);
    assert_int_equal(commit_rows(desk, &row, 1, (struct commit_request){.sync = true}, &commit),
                     STRATA_HALTED);
    failure_save(&error);
    assert_int_equal(error.outcome, STRATA_COMMIT_UNKNOWN);
    simdisk_fail(desk->disk, (struct sim_fault){0});
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            commit_rows(desk, &row, 1, (struct commit_request){.sync = i == 1}, &commit),
            STRATA_HALTED);
        failure_save(&error);
        assert_int_equal(error.outcome, STRATA_NOT_COMMITTED);
        assert_int_equal(error.retry, STRATA_RETRY_REOPEN);
    }
    assert_int_equal(atomic_load(&desk->committer.visible), 2);
    assert_true(find_row(desk, "a", &found));
}

static void an_append_that_failed_leaves_no_trace(void **state)
{
    struct desk *desk = *state;
    strata_commit commit;
    struct row found;
    const struct batch_row row = put_row("b", "2");
    commit_put(desk, "a", "1");
    fail_kind(desk, SIM_APPEND, STRATA_EFFECT_NONE);
    assert_int_not_equal(
        commit_rows(desk, &row, 1, (struct commit_request){.sync = false}, &commit), STRATA_OK);
    simdisk_fail(desk->disk, (struct sim_fault){0});
    assert_int_equal(atomic_load(&desk->committer.visible), 1);
    assert_false(find_row(desk, "b", &found));
    if (!atomic_load(&desk->committer.halted))
        assert_int_equal(commit_put(desk, "b", "2").version, 2);
}

static strata_status refuse_fill(void *context, const struct tableset *set, uint64_t version,
                                 int64_t time_us, struct commit_request *request)
{
    (void)context, (void)set, (void)time_us, (void)request;
    assert_int_equal(version, 1);
    return failure(STRATA_EXISTS, "the condition does not hold");
}

static void count_applied(void *context, uint64_t version, int64_t time_us)
{
    struct desk *desk = context;
    (void)version, (void)time_us;
    desk->applied++;
}

static void a_condition_that_fails_takes_no_version(void **state)
{
    struct desk *desk = *state;
    strata_commit commit;
    const struct batch_row row = put_row("a", "1");
    struct commit_request request = {
        .fill = refuse_fill, .applied = count_applied, .context = desk};
    assert_int_equal(commit_rows(desk, &row, 1, request, &commit), STRATA_EXISTS);
    assert_int_equal(atomic_load(&desk->committer.visible), 0);
    assert_int_equal(desk->applied, 0);
    request.fill = NULL;
    assert_int_equal(commit_rows(desk, &row, 1, request, &commit), STRATA_OK);
    assert_int_equal(commit.version, 1);
    assert_int_equal(desk->applied, 1);
}

static void a_freeze_that_fails_changes_nothing(void **state)
{
    struct desk *desk = *state;
    commit_put(desk, "a", "1");
    for (uint64_t at = 1;; at++) {
        const struct tableset *before = atomic_load(&desk->tables.current);
        const uint64_t fail_at = desk->counted.requests + at;
        desk->counted.fail_at = fail_at;
        mutex_lock(&desk->committer.lock);
        const strata_status status = committer_freeze(&desk->committer, 4096);
        mutex_unlock(&desk->committer.lock);
        const bool failed = desk->counted.requests >= fail_at;
        desk->counted.fail_at = 0;
        if (!failed) {
            assert_int_equal(status, STRATA_OK);
            break;
        }
        assert_int_not_equal(status, STRATA_OK);
        assert_ptr_equal(atomic_load(&desk->tables.current), before);
        commit_put(desk, "a", "2");
    }
    assert_int_equal(atomic_load(&desk->tables.current)->memtable_count, 2);
    commit_put(desk, "a", "3");

    /* The log's next segment cannot be made. */
    const struct tableset *before = atomic_load(&desk->tables.current);
    fail_kind(desk, SIM_CREATE, STRATA_EFFECT_NONE);
    mutex_lock(&desk->committer.lock);
    assert_int_not_equal(committer_freeze(&desk->committer, 4096), STRATA_OK);
    mutex_unlock(&desk->committer.lock);
    simdisk_fail(desk->disk, (struct sim_fault){0});
    assert_ptr_equal(atomic_load(&desk->tables.current), before);
    commit_put(desk, "a", "4");
}

static void room_is_asked_for_before_the_memtable_is_full(void **state)
{
    struct desk *desk = *state;
    for (unsigned i = 0; i < 400; i++) {
        commit_put(desk, "key", "a value of some length, to fill the memtable");
        const struct tableset *set = atomic_load(&desk->tables.current);
        assert_true(atomic_load(&set->memtables[0]->charge) <= desk->committer.memtable_charge_max);
    }
    assert_true(desk->rooms > 0);
    assert_int_equal(atomic_load(&desk->tables.current)->memtable_count, desk->rooms + 1);
}

static void a_record_of_the_log_is_applied_whole_or_not_at_all(void **state)
{
    struct desk *desk = *state;
    struct row found;
    struct buffer batch;
    uint8_t room[8];
    const struct batch_row rows[2] = {put_row("a", "1"), increment_row("c", 1, room)};
    for (unsigned count = 1; count <= 2; count++) {
        buffer_init(&batch, &desk->memory.allocator);
        const struct batch_header header = {.branch = BRANCH_MAIN, .row_count = count};
        assert_int_equal(batch_header_append(&batch, &header), STRATA_OK);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(batch_row_append(&batch, &rows[i]), STRATA_OK);
        const struct wal_record record = {
            .version = 1, .time_us = 77, .payload = buffer_view(&batch)};
        if (count == 1) {
            /* Cut anywhere, and with memory gone. */
            for (size_t cut = 0; cut < batch.length; cut++) {
                struct wal_record torn = record;
                torn.payload.length = cut;
                assert_int_equal(committer_replay(&desk->committer, &torn), STRATA_CORRUPT);
            }
            assert_false(find_row(desk, "a", &found));
            assert_int_equal(atomic_load(&desk->committer.visible), 0);
            assert_int_equal(committer_replay(&desk->committer, &record), STRATA_OK);
            assert_true(find_row(desk, "a", &found));
            assert_int_equal(found.time_us, 77);
        } else {
            assert_int_equal(committer_replay(&desk->committer, &record), STRATA_CORRUPT);
        }
        buffer_release(&batch);
    }
    assert_int_equal(atomic_load(&desk->committer.visible), 1);
}

#define DESK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TEST(versions_are_dense_and_time_never_goes_back),
        DESK_TEST(the_first_committer_wins),
        DESK_TEST(increments_add_to_the_newest_counter),
        DESK_TEST(after_a_failed_sync_nothing_more_is_committed),
        DESK_TEST(an_append_that_failed_leaves_no_trace),
        DESK_TEST(a_condition_that_fails_takes_no_version),
        DESK_TEST(a_freeze_that_fails_changes_nothing),
        DESK_TEST(room_is_asked_for_before_the_memtable_is_full),
        DESK_TEST(a_record_of_the_log_is_applied_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
