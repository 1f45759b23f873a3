#include "storage/storage_fixture.h"

#include "core/lock.h"

#include <stdio.h>

enum { THREADS = 4, ROUNDS = 150, SPACES = 40 };

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_create(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_destroy(*state);
    free(*state);
    return 0;
}

static void it_stays_open_while_readers_are(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(storage_close(&fixture->storage), STRATA_BUSY);
    fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, "a", "1");
}

static void a_space_is_one_thing_for_all(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = fixture_space(fixture, "s");
    assert_ptr_equal(space, fixture_space(fixture, "s"));
    assert_ptr_not_equal(space, fixture_space(fixture, "t"));
    assert_ptr_equal(&fixture->storage.default_space, fixture_space(fixture, "default"));
    assert_int_equal(atomic_load(&fixture->storage.default_space.number), SPACE_DEFAULT);
}

static void spaces_run_out(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    atomic_store(&fixture->storage.store->next_space, SPACE_LIMIT - 1);
    fixture_put(fixture, fixture->main_branch, fixture_space(fixture, "last"), "a", "1");
    struct storage_write write = fixture_write(fixture, "a", "1");
    for (unsigned i = 0; i < 2; i++) {
        write.space = fixture_space(fixture, "one too many");
        assert_int_equal(fixture_commit_one(fixture, fixture->main_branch, &write, &commit),
                         STRATA_TOO_BIG);
        assert_int_equal(storage_writes_add(&fixture->writes, &write, 0), STRATA_TOO_BIG);
    }
}

static void the_time_of_a_head_never_goes_back(void **state)
{
    struct fixture *fixture = *state;
    uint64_t version;
    int64_t time_us;
    fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, "a", "1");
    fixture->now_us -= 500;
    storage_head(&fixture->storage, &version, &time_us);
    assert_int_equal(version, 1);
    assert_int_equal(time_us, fixture->now_us + 500);
    fixture->now_us += 900;
    storage_head(&fixture->storage, &version, &time_us);
    assert_int_equal(time_us, fixture->now_us);
}

static void read_only_takes_no_commits(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    const struct storage_write write = fixture_write(fixture, "a", "1");
    fixture->storage.store->read_only = true;
    fixture_add(fixture, &fixture->writes, "a", "1");
    assert_int_equal(fixture_commit_one(fixture, fixture->main_branch, &write, &commit),
                     STRATA_READ_ONLY);
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_READ_ONLY);
    assert_int_equal(storage_branch_create(&fixture->storage, &fixture->reader, "b", NULL),
                     STRATA_READ_ONLY);
    assert_int_equal(storage_branch_rename(&fixture->storage, &fixture->reader, "main", "main"),
                     STRATA_READ_ONLY);
    fixture->storage.store->read_only = false;
}

/* ---- many threads ---- */

struct worker {
    struct thread thread;
    struct fixture *fixture;
    unsigned number;
    unsigned failures;
};

/* One commit to a space that other threads may be the first to write to as well, then a look. */
static void worker_round(struct worker *worker, struct store_reader *reader, struct branch *branch,
                         struct buffer *scratch, unsigned round)
{
    struct storage *storage = &worker->fixture->storage;
    struct storage_space *space;
    struct storage_row row;
    strata_commit commit;
    char name[32], key[32];
    snprintf(name, sizeof(name), "space-%u", round % SPACES);
    snprintf(key, sizeof(key), "key-%u-%u", worker->number, round);
    if (storage_space_find(storage, reader, name, &space) != STRATA_OK) {
        worker->failures++;
        return;
    }
    const bool deletes = round % 37 == 36;
    const struct storage_write write = {.space = space,
                                        .kind = KIND_KV,
                                        .row = deletes ? ROW_RANGE_DELETE : ROW_PUT,
                                        .key = text_bytes(deletes ? "" : key),
                                        .value = text_bytes(deletes ? "" : "x")};
    const struct storage_commit_options options = {.branch = branch, .stall_wait_us = 10000000};
    if (storage_commit_one(storage, reader, &write, NULL, NULL, &options, scratch, &commit) !=
        STRATA_OK) {
        worker->failures++;
        return;
    }
    const struct storage_view view = {.branch = branch, .version = commit.version};
    storage_enter(reader);
    if (storage_get(reader, &view, space, KIND_KV, text_bytes(key), &row) != STRATA_OK)
        worker->failures++;
    else if (row.found == deletes)
        worker->failures++;
    storage_unpin(reader, &row);
    storage_leave(reader);
}

static void worker_run(void *context)
{
    struct worker *worker = context;
    struct storage *storage = &worker->fixture->storage;
    struct store_reader reader;
    struct branch *branch;
    struct buffer scratch;
    if (store_reader_open(storage->store, "worker", &reader) != STRATA_OK) {
        worker->failures++;
        return;
    }
    buffer_init(&scratch, &worker->fixture->allocator);
    if (storage_branch_open(storage, &reader, "main", &branch) == STRATA_OK) {
        for (unsigned i = 0; i < ROUNDS; i++)
            worker_round(worker, &reader, branch, &scratch, i);
        storage_branch_close(storage, branch);
    } else {
        worker->failures++;
    }
    buffer_release(&scratch);
    store_reader_close(&reader);
}

static void threads_may_name_the_same_spaces_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].fixture = fixture;
        workers[i].number = i;
        assert_int_equal(thread_start(&workers[i].thread, worker_run, &workers[i]), STRATA_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&workers[i].thread);
        assert_int_equal(workers[i].failures, 0);
    }
    uint32_t numbers[SPACES];
    bool deletions[SPACES];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < SPACES; i++) {
            char name[32];
            snprintf(name, sizeof(name), "space-%u", i);
            const struct storage_space *space = fixture_space(fixture, name);
            assert_true(atomic_load(&space->registered));
            if (round == 1) {
                assert_int_equal(atomic_load(&space->number), numbers[i]);
                assert_int_equal(atomic_load(&space->deletions), deletions[i]);
            }
            numbers[i] = atomic_load(&space->number);
            deletions[i] = atomic_load(&space->deletions);
            for (unsigned j = 0; j < i; j++)
                assert_int_not_equal(numbers[i], numbers[j]);
        }
        fixture_crash(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_stays_open_while_readers_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_space_is_one_thing_for_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spaces_run_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_time_of_a_head_never_goes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_only_takes_no_commits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_may_name_the_same_spaces_at_once, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
