#include "storage/storage_fixture.h"

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

static void a_history_goes_through_the_ancestors(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    fixture_put(fixture, fixture->main_branch, space, "a", "1");
    fixture_put(fixture, fixture->main_branch, space, "a", "2");
    fixture_put(fixture, fixture->main_branch, space, "a", NULL);
    assert_int_equal(storage_branch_fork(&fixture->storage, &fixture->reader, fixture->main_branch,
                                         UINT64_MAX, "child", NULL),
                     STRATA_OK);
    struct branch *child = fixture_branch(fixture, "child");
    fixture_put(fixture, fixture->main_branch, space, "a", "5");
    fixture_put(fixture, child, space, "a", "6");
    fixture_flush(fixture);
    fixture_put(fixture, child, space, "a", "7");
    for (unsigned stage = 0; stage < 3; stage++) {
        struct storage_view view = fixture_head(fixture, child);
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "7=7 6=6 3- 2=2 1=1");
        view.version = 6;
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "6=6 3- 2=2 1=1");
        view.version = 2;
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "2=2 1=1");
        view = fixture_head(fixture, fixture->main_branch);
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "5=5 3- 2=2 1=1");
        assert_string_equal(fixture_history(fixture, &view, space, "b"), "");
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    fixture_leave_branch(fixture, child);
}

static void the_deletion_of_a_space_is_one_of_each_key_in_it(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = fixture_space(fixture, "s");
    fixture_put(fixture, fixture->main_branch, space, "a", "1");
    fixture_put(fixture, fixture->main_branch, space, "b", "2");
    fixture_put(fixture, fixture->main_branch, space, "b", NULL);
    assert_int_equal(storage_branch_fork(&fixture->storage, &fixture->reader, fixture->main_branch,
                                         UINT64_MAX, "child", NULL),
                     STRATA_OK);
    struct branch *child = fixture_branch(fixture, "child");
    fixture_put(fixture, child, space, "", NULL);
    fixture_put(fixture, child, space, "", NULL);
    fixture_put(fixture, child, space, "a", "7");
    fixture_put(fixture, child, space, "", NULL);
    for (unsigned stage = 0; stage < 3; stage++) {
        struct storage_view view = fixture_head(fixture, child);
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "8- 7=7 5- 1=1");
        assert_string_equal(fixture_history(fixture, &view, space, "b"), "3- 2=2");
        view.version = 5;
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "5- 1=1");
        view.version = 4;
        assert_string_equal(fixture_history(fixture, &view, space, "a"), "1=1");
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    fixture_leave_branch(fixture, child);
}

static void the_newest_own_write_comes_first(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    fixture_put(fixture, fixture->main_branch, space, "a", "1");
    fixture_put(fixture, fixture->main_branch, space, "b", "1");
    fixture_put(fixture, fixture->main_branch, space, "b", NULL);
    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    view.writes = &fixture->writes;
    fixture_add(fixture, &fixture->writes, "a", "first");
    fixture_add(fixture, &fixture->writes, "a", "second");
    view.own_cap = storage_writes_cap(&fixture->writes);
    assert_string_equal(fixture_history(fixture, &view, space, "a"), "0=second 1=1");
    fixture_add(fixture, &fixture->writes, "", NULL);
    view.own_cap = storage_writes_cap(&fixture->writes);
    assert_string_equal(fixture_history(fixture, &view, space, "a"), "0- 1=1");
    assert_string_equal(fixture_history(fixture, &view, space, "b"), "3- 2=1");
    fixture_add(fixture, &fixture->writes, "a", "third");
    view.own_cap = storage_writes_cap(&fixture->writes);
    assert_string_equal(fixture_history(fixture, &view, space, "a"), "0=third 1=1");
}

static void expired_versions_are_listed(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    struct storage_write write = fixture_write(fixture, "a", "x");
    write.flags = BATCH_LIVES;
    write.expires_us = 10;
    assert_int_equal(fixture_commit_one(fixture, fixture->main_branch, &write, &commit), STRATA_OK);
    fixture->now_us += 100;
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_null(fixture_get(fixture, &view, &fixture->storage.default_space, "a"));
    assert_string_equal(fixture_history(fixture, &view, &fixture->storage.default_space, "a"),
                        "1=x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_history_goes_through_the_ancestors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_deletion_of_a_space_is_one_of_each_key_in_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_newest_own_write_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expired_versions_are_listed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
