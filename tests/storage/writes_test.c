#include "storage/storage_fixture.h"

#include "layout/names.h"

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

static void add_number(struct fixture *fixture, const char *key, int64_t number, uint8_t flags)
{
    uint8_t bytes[COUNTER_SIZE];
    struct storage_write write = fixture_write(fixture, key, "");
    store_u64(bytes, (uint64_t)number);
    write.row = ROW_COUNTER;
    write.flags = flags;
    write.value = bytes_of(bytes, sizeof(bytes));
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
}

static int64_t get_number(struct fixture *fixture, const char *key)
{
    struct storage_row row;
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    storage_enter(&fixture->reader);
    assert_int_equal(storage_get(&fixture->reader, &view, &fixture->storage.default_space, KIND_KV,
                                 text_bytes(key), &row),
                     STRATA_OK);
    assert_true(row.found);
    assert_int_equal(row.row.kind, ROW_COUNTER);
    const int64_t number = (int64_t)load_u64(row.row.value.data);
    storage_unpin(&fixture->reader, &row);
    storage_leave(&fixture->reader);
    return number;
}

static void the_newest_write_of_each_key_is_committed_as_one_version(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    fixture_add(fixture, &fixture->writes, "b", "1");
    fixture_add(fixture, &fixture->writes, "a", "2");
    fixture_add(fixture, &fixture->writes, "b", "3");
    fixture_add(fixture, &fixture->writes, "c", "4");
    fixture_add(fixture, &fixture->writes, "c", NULL);
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    assert_int_equal(commit.version, 1);
    assert_int_equal(commit.time_us, fixture->now_us);
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_string_equal(
        fixture_scan(fixture, &view, &fixture->storage.default_space, NULL, NULL, false),
        "a=2 b=3");
    assert_string_equal(fixture_history(fixture, &view, &fixture->storage.default_space, "b"),
                        "1=3");
}

static void nothing_written_makes_no_version(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit = {.version = 7};
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    assert_int_equal(commit.version, 0);
    fixture_add(fixture, &fixture->writes, "a", "1");
    assert_int_equal(storage_writes_undo(&fixture->writes, 0), STRATA_OK);
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    assert_int_equal(commit.version, 0);
}

static void the_first_committer_wins(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    strata_error error;
    fixture_add(fixture, &fixture->writes, "a", "mine");
    const uint64_t since = fixture_head(fixture, fixture->main_branch).version;
    fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, "a", "theirs");
    assert_int_equal(
        fixture_commit(fixture, &fixture->writes, fixture->main_branch, since, &commit),
        STRATA_CONFLICT);
    failure_save(&error);
    assert_int_equal(error.outcome, STRATA_NOT_COMMITTED);
    /* The writes are still there, and the batch can be made again. */
    assert_int_equal(
        fixture_commit(fixture, &fixture->writes, fixture->main_branch, since + 1, &commit),
        STRATA_OK);
    storage_writes_clear(&fixture->writes, true);
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_string_equal(fixture_get(fixture, &view, &fixture->storage.default_space, "a"), "mine");
}

static void increments_add_up_at_commit(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    add_number(fixture, "n", 40, 0);
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    storage_writes_clear(&fixture->writes, true);
    add_number(fixture, "n", 2, BATCH_INCREMENT);
    add_number(fixture, "m", -1, BATCH_INCREMENT);

    struct storage_row row;
    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    view.writes = &fixture->writes;
    view.own_cap = storage_writes_cap(&fixture->writes);
    storage_enter(&fixture->reader);
    assert_int_equal(storage_get(&fixture->reader, &view, &fixture->storage.default_space, KIND_KV,
                                 text_bytes("n"), &row),
                     STRATA_OK);
    assert_int_equal(row.row.value.length, COUNTER_SIZE + 1);
    assert_int_equal(row.row.value.data[COUNTER_SIZE], 1);
    storage_leave(&fixture->reader);

    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    storage_writes_clear(&fixture->writes, true);
    assert_int_equal(get_number(fixture, "n"), 42);
    assert_int_equal(get_number(fixture, "m"), -1);
}

static void times_to_live_count_from_the_commit(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_space *space = &fixture->storage.default_space;
    strata_commit commit;
    struct storage_write write = fixture_write(fixture, "a", "x");
    write.flags = BATCH_LIVES;
    write.expires_us = 100;
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    write.key = text_bytes("b");
    write.flags = BATCH_EXPIRES;
    write.expires_us = fixture->now_us + 100;
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    fixture_add(fixture, &fixture->writes, "c", "forever");

    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    view.writes = &fixture->writes;
    view.own_cap = storage_writes_cap(&fixture->writes);
    view.time_us = fixture->now_us + 99;
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false),
                        "a=x b=x c=forever");
    view.time_us++;
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "c=forever");

    fixture->now_us += 60;
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    view = fixture_head(fixture, fixture->main_branch);
    view.time_us = commit.time_us + 99;
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "a=x c=forever");
    view.time_us++;
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "c=forever");
}

static void a_transaction_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    static char value[4000];
    memset(value, 'v', sizeof(value) - 1);
    strata_status status = STRATA_OK;
    uint64_t added = 0;
    while (status == STRATA_OK) {
        char key[2] = {(char)('a' + added % 26), '\0'};
        const struct storage_write write = fixture_write(fixture, key, value);
        status = storage_writes_add(&fixture->writes, &write, fixture->now_us);
        added += status == STRATA_OK;
    }
    assert_int_equal(status, STRATA_TOO_BIG);
    assert_int_equal(fixture->writes.count, added);
    assert_true(added * sizeof(value) <= fixture->storage.store->profile.batch_bytes_max);
    /* What fitted can be committed. */
    strata_commit commit;
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
}

static void writes_can_be_taken_back_and_made_again(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_space *space = &fixture->storage.default_space;
    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    struct storage_scan scan;
    fixture_add(fixture, &fixture->writes, "a", "1");
    fixture_add(fixture, &fixture->writes, "b", "2");
    fixture_add(fixture, &fixture->writes, "a", "3");
    view.writes = &fixture->writes;
    view.own_cap = storage_writes_cap(&fixture->writes);
    storage_scan_init(&scan, &fixture->storage);
    assert_int_equal(storage_scan_open(&scan, &fixture->reader,
                                       &(struct storage_scan_options){
                                           .view = view, .space = space, .kind = KIND_KV}),
                     STRATA_OK);
    assert_int_equal(storage_writes_undo(&fixture->writes, 1), STRATA_OK);
    fixture_add(fixture, &fixture->writes, "c", "4");
    view.own_cap = storage_writes_cap(&fixture->writes);
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "a=1 c=4");

    /* A scan opened before goes on with what was there, through changes of the tables. */
    storage_enter(&fixture->reader);
    assert_int_equal(storage_scan_next(&scan), STRATA_OK);
    assert_true(scan.valid && bytes_equal(scan.row->value, text_bytes("3")));
    assert_int_equal(scan.row->from, 0);
    storage_leave(&fixture->reader);
    fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, "z", "later");
    fixture_flush(fixture);
    storage_enter(&fixture->reader);
    assert_int_equal(storage_scan_next(&scan), STRATA_OK);
    assert_true(scan.valid && bytes_equal(scan.row->value, text_bytes("2")));
    assert_int_equal(storage_scan_next(&scan), STRATA_OK);
    assert_false(scan.valid);
    storage_leave(&fixture->reader);
    storage_scan_release(&scan);
}

static void rows_before_the_deletion_of_their_space_are_not_committed(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    strata_commit commit;
    fixture_put(fixture, fixture->main_branch, space, "old", "x");
    fixture_add(fixture, &fixture->writes, "a", "before");
    fixture_add(fixture, &fixture->writes, "b", "before");
    fixture_add(fixture, &fixture->writes, "", NULL);
    fixture_add(fixture, &fixture->writes, "b", "after");
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 1, &commit),
                     STRATA_OK);
    for (unsigned stage = 0; stage < 3; stage++) {
        const struct storage_view view = fixture_head(fixture, fixture->main_branch);
        assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "b=after");
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "");
        assert_string_equal(fixture_history(fixture, &view, space, "old"), "2- 1=x");
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
}

/* Whether any table object of that number is there. */
static bool object_exists(struct fixture *fixture, uint64_t number)
{
    char name[LAYOUT_NAME_SIZE];
    struct object object = {.backend = NULL};
    layout_table_name(number, name);
    const strata_status status = object_open(fixture->backend, name, &object);
    if (status == STRATA_OK)
        object_close(&object);
    return status == STRATA_OK;
}

/* A write of `key` with a value object, noted as the engine notes it. */
static uint64_t add_long(struct fixture *fixture, const char *key)
{
    struct value_writer writer;
    struct value_reference reference;
    uint8_t bytes[VALUE_REFERENCE_SIZE];
    assert_int_equal(storage_value_open(&fixture->storage, &writer), STRATA_OK);
    assert_int_equal(buffer_append_u64(&fixture->writes.values, writer.number), STRATA_OK);
    assert_int_equal(value_writer_append(&writer, text_bytes("long")), STRATA_OK);
    assert_int_equal(value_writer_finish(&writer, true, &reference), STRATA_OK);
    value_writer_release(&writer);
    value_reference_store(bytes, reference);
    struct storage_write write = fixture_write(fixture, key, "");
    write.row = ROW_VALUE_REFERENCE;
    write.value = bytes_of(bytes, sizeof(bytes));
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    return reference.object;
}

static void drain(struct fixture *fixture)
{
    fixture->now_us += 10 * 1000 * 1000;
    while (store_maintain(fixture->storage.store, 1000000, NULL) == STRATA_OK)
        ;
}

static void value_objects_that_no_commit_needs_are_removed(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    const uint64_t overwritten = add_long(fixture, "a");
    const uint64_t kept = add_long(fixture, "a");
    const uint64_t undone = add_long(fixture, "b");
    assert_int_equal(storage_writes_undo(&fixture->writes, 2), STRATA_OK);
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    storage_writes_clear(&fixture->writes, true);
    const uint64_t dropped = add_long(fixture, "c");
    storage_writes_clear(&fixture->writes, false);
    drain(fixture);
    assert_false(object_exists(fixture, overwritten));
    assert_true(object_exists(fixture, kept));
    assert_false(object_exists(fixture, undone));
    assert_false(object_exists(fixture, dropped));
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_string_equal(fixture_get(fixture, &view, &fixture->storage.default_space, "a"), "long");
}

static void names_of_spaces_survive_a_crash(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    struct storage_space *first = fixture_space(fixture, "first");
    struct storage_space *second = fixture_space(fixture, "second");
    struct storage_write write = fixture_write(fixture, "k", "lost");
    write.space = second;
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    assert_false(atomic_load(&second->registered));
    fixture_put(fixture, fixture->main_branch, first, "k", "one");
    assert_true(atomic_load(&first->registered));
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_OK);
    assert_true(atomic_load(&second->registered));
    const uint32_t number = atomic_load(&first->number);
    fixture_crash(fixture);
    first = fixture_space(fixture, "first");
    assert_int_equal(atomic_load(&first->number), number);
    assert_true(atomic_load(&first->registered));
    fixture_put(fixture, fixture->main_branch, fixture_space(fixture, "third"), "k", "three");
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_string_equal(fixture_get(fixture, &view, first, "k"), "one");
    assert_string_equal(fixture_get(fixture, &view, fixture_space(fixture, "second"), "k"), "lost");
    assert_string_equal(fixture_get(fixture, &view, fixture_space(fixture, "third"), "k"), "three");
}

/* A registration begun before a deletion and committed after it must not undo it. */
static void a_late_registration_keeps_the_deletion_of_its_space(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    struct storage_space *space = fixture_space(fixture, "shared");
    struct storage_write write = fixture_write(fixture, "a", "early");
    write.space = space;
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    fixture_put(fixture, fixture->main_branch, space, "b", "gone");
    fixture_put(fixture, fixture->main_branch, space, "", NULL);
    const uint64_t now = fixture_head(fixture, fixture->main_branch).version;
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit),
                     STRATA_CONFLICT);
    assert_int_equal(fixture_commit(fixture, &fixture->writes, fixture->main_branch, now, &commit),
                     STRATA_OK);
    fixture_crash(fixture);
    space = fixture_space(fixture, "shared");
    assert_true(atomic_load(&space->deletions));
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "a=early");
}

struct decision {
    struct fixture *fixture;
    strata_status status;
    uint64_t version;
};

static strata_status decide(void *context, const struct storage_view *view,
                            struct storage_write *write)
{
    struct decision *decision = context;
    struct storage_row row;
    decision->version = view->version;
    assert_int_equal(
        storage_get(&decision->fixture->reader, view, write->space, KIND_KV, write->key, &row),
        STRATA_OK);
    if (row.found)
        write->value = text_bytes("second");
    storage_unpin(&decision->fixture->reader, &row);
    return decision->status == STRATA_OK ? STRATA_OK : failure(decision->status, "refused");
}

static void a_decision_sees_the_newest_state(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = fixture_space(fixture, "fresh");
    struct decision decision = {.fixture = fixture, .status = STRATA_EXISTS};
    const struct storage_commit_options options = {.branch = fixture->main_branch};
    struct storage_write write = fixture_write(fixture, "a", "first");
    strata_commit commit;
    write.space = space;
    assert_int_equal(storage_commit_one(&fixture->storage, &fixture->reader, &write, decide,
                                        &decision, &options, &fixture->scratch, &commit),
                     STRATA_EXISTS);
    assert_false(atomic_load(&space->registered));
    decision.status = STRATA_OK;
    const char *expected[] = {"first", "second"};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(storage_commit_one(&fixture->storage, &fixture->reader, &write, decide,
                                            &decision, &options, &fixture->scratch, &commit),
                         STRATA_OK);
        assert_int_equal(commit.version, i + 1);
        assert_int_equal(decision.version, i);
        assert_true(atomic_load(&space->registered));
        const struct storage_view view = fixture_head(fixture, fixture->main_branch);
        assert_string_equal(fixture_get(fixture, &view, space, "a"), expected[i]);
    }
}

static void a_deleted_branch_takes_no_commits(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    const struct storage_write write = fixture_write(fixture, "a", "x");
    assert_int_equal(
        storage_branch_create(&fixture->storage, &fixture->reader, "short-lived", NULL), STRATA_OK);
    struct branch *branch = fixture_branch(fixture, "short-lived");
    assert_int_equal(storage_branch_delete(&fixture->storage, &fixture->reader, "short-lived"),
                     STRATA_OK);
    assert_int_equal(fixture_commit_one(fixture, branch, &write, &commit), STRATA_CONFLICT);
    fixture_leave_branch(fixture, branch);
}

static void out_of_memory_leaves_writes_as_they_were(void **state)
{
    struct fixture *fixture = *state;
    static char key[500];
    strata_commit commit;
    memset(key, 'k', sizeof(key) - 1);
    struct storage_write write = fixture_write(fixture, key, "value");
    write.space = fixture_space(fixture, "memory");
    write.flags = BATCH_LIVES;
    write.expires_us = 100;
    strata_status status = STRATA_NO_MEMORY;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        fixture->counted.requests = 0;
        fixture->counted.fail_at = fail_at;
        fixture->counted.fail_from_then_on = 1;
        status = storage_writes_add(&fixture->writes, &write, fixture->now_us);
        fixture->counted.fail_at = 0;
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
        assert_int_equal(fixture->writes.count, status == STRATA_OK);
    }
    status = STRATA_NO_MEMORY;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        fixture->counted.requests = 0;
        fixture->counted.fail_at = fail_at;
        fixture->counted.fail_from_then_on = 1;
        status = fixture_commit(fixture, &fixture->writes, fixture->main_branch, 0, &commit);
        fixture->counted.fail_at = 0;
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
    }
    assert_int_equal(commit.version, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_write_of_each_key_is_committed_as_one_version,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_written_makes_no_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_committer_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(increments_add_up_at_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_to_live_count_from_the_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_has_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_can_be_taken_back_and_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_before_the_deletion_of_their_space_are_not_committed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(value_objects_that_no_commit_needs_are_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_of_spaces_survive_a_crash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_registration_keeps_the_deletion_of_its_space, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_decision_sees_the_newest_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_branch_takes_no_commits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory_leaves_writes_as_they_were, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
