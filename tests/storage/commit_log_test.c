#include "storage/storage_fixture.h"

enum { COMMITS = 1200 };

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

static uint64_t last_commit(struct fixture *fixture, const struct branch *branch, uint64_t version,
                            int64_t time_us)
{
    struct storage_log_entry entry;
    bool found;
    assert_int_equal(storage_log_find(&fixture->storage, &fixture->reader, branch, version, time_us,
                                      &found, &entry),
                     STRATA_OK);
    return found ? entry.version : 0;
}

/* Commits 1, 2, ... at times 1010, 1020, ...; every third one on the second branch, 1 its creation. */
static void a_commit_is_found_by_version_and_by_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->now_us = 1010;
    assert_int_equal(storage_branch_create(&fixture->storage, &fixture->reader, "b", NULL),
                     STRATA_OK);
    struct branch *second = fixture_branch(fixture, "b");
    for (uint64_t version = 2; version <= COMMITS; version++) {
        fixture->now_us = 1000 + 10 * (int64_t)version;
        struct branch *branch = version % 3 == 1 ? second : fixture->main_branch;
        assert_int_equal(fixture_put(fixture, branch, &fixture->storage.default_space, "a", "x"),
                         version);
        if (version == 300 || version == 700 || version == 701)
            fixture_flush(fixture);
    }
    for (unsigned stage = 0; stage < 3; stage++) {
        for (uint64_t version = 1; version <= COMMITS; version += stage == 0 ? 1 : 7) {
            const uint64_t on_main = version == 1 ? 0 : version % 3 == 1 ? version - 1 : version;
            const uint64_t on_second = version - (version + 2) % 3;
            const int64_t time_us = 1000 + 10 * (int64_t)version;
            assert_int_equal(last_commit(fixture, fixture->main_branch, version, INT64_MAX),
                             on_main);
            assert_int_equal(last_commit(fixture, second, version, INT64_MAX), on_second);
            assert_int_equal(last_commit(fixture, fixture->main_branch, UINT64_MAX, time_us),
                             on_main);
            assert_int_equal(last_commit(fixture, second, UINT64_MAX, time_us + 9), on_second);
            assert_int_equal(last_commit(fixture, second, 500, time_us),
                             on_second < 500 ? on_second : 499);
        }
        assert_int_equal(last_commit(fixture, second, UINT64_MAX, 1009), 0);
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    fixture_leave_branch(fixture, second);
}

static void an_entry_tells_about_its_commit(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    struct storage_log_entry entry;
    bool found;
    const struct storage_commit_options options = {.branch = fixture->main_branch,
                                                   .message = "three rows"};
    struct storage_write write = fixture_write(fixture, "c", "x");
    write.space = fixture_space(fixture, "new");
    fixture_add(fixture, &fixture->writes, "a", "x");
    fixture_add(fixture, &fixture->writes, "b", NULL);
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    assert_int_equal(storage_commit(&fixture->writes, &fixture->reader, &options, &commit),
                     STRATA_OK);
    fixture->now_us += 5;
    assert_int_equal(storage_branch_fork(&fixture->storage, &fixture->reader, fixture->main_branch,
                                         UINT64_MAX, "child", "a fork"),
                     STRATA_OK);
    for (unsigned stage = 0; stage < 3; stage++) {
        struct branch *child = fixture_branch(fixture, "child");
        assert_int_equal(storage_log_find(&fixture->storage, &fixture->reader, child, UINT64_MAX,
                                          INT64_MAX, &found, &entry),
                         STRATA_OK);
        assert_true(found);
        assert_int_equal(entry.version, 2);
        assert_int_equal(entry.branch, child->id);
        assert_int_equal(entry.rows, 0);
        assert_int_equal(entry.time_us, commit.time_us + 5);
        assert_string_equal(entry.message, "a fork");
        assert_int_equal(storage_log_find(&fixture->storage, &fixture->reader, child, 1, INT64_MAX,
                                          &found, &entry),
                         STRATA_OK);
        assert_true(found);
        assert_int_equal(entry.version, 1);
        assert_int_equal(entry.branch, BRANCH_MAIN);
        assert_int_equal(entry.rows, 3);
        assert_int_equal(entry.time_us, commit.time_us);
        assert_string_equal(entry.message, "three rows");
        fixture_leave_branch(fixture, child);
        if (stage == 0)
            fixture_crash(fixture);
        else
            fixture_compact(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_is_found_by_version_and_by_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_entry_tells_about_its_commit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
