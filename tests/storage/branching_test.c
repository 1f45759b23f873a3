#include "storage/storage_fixture.h"

#include <stdio.h>

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

static strata_status fork_at(struct fixture *fixture, uint64_t version, const char *name)
{
    return storage_branch_fork(&fixture->storage, &fixture->reader, fixture->main_branch, version,
                               name, NULL);
}

static strata_status create(struct fixture *fixture, const char *name)
{
    return storage_branch_create(&fixture->storage, &fixture->reader, name, NULL);
}

static strata_status delete_branch(struct fixture *fixture, const char *name)
{
    return storage_branch_delete(&fixture->storage, &fixture->reader, name);
}

static strata_status rename_to(struct fixture *fixture, const char *name, const char *new_name)
{
    return storage_branch_rename(&fixture->storage, &fixture->reader, name, new_name);
}

static strata_status find(struct fixture *fixture, const char *name)
{
    struct branch *branch = NULL;
    const strata_status status =
        storage_branch_open(&fixture->storage, &fixture->reader, name, &branch);
    if (status == STRATA_OK)
        fixture_leave_branch(fixture, branch);
    return status;
}

/* The names of all branches. */
static void assert_branches(struct fixture *fixture, const char *expected)
{
    char text[1024] = "";
    char name[BRANCH_NAME_SIZE_MAX + 1] = "";
    struct storage_branch_info info;
    bool found = true;
    for (bool past = false; found; past = true) {
        assert_int_equal(
            storage_branch_next(&fixture->storage, &fixture->reader, name, past, &found, &info),
            STRATA_OK);
        if (!found)
            break;
        memcpy(name, info.branch.name, sizeof(name));
        strncat(text, text[0] == '\0' ? "" : " ", sizeof(text) - strlen(text) - 1);
        strncat(text, name, sizeof(text) - strlen(text) - 1);
    }
    assert_string_equal(text, expected);
}

static void names_are_taken_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(create(fixture, "main"), STRATA_EXISTS);
    assert_int_equal(create(fixture, "a"), STRATA_OK);
    assert_int_equal(create(fixture, "a"), STRATA_EXISTS);
    assert_int_equal(fork_at(fixture, UINT64_MAX, "a"), STRATA_EXISTS);
    assert_int_equal(rename_to(fixture, "a", "main"), STRATA_EXISTS);
    assert_int_equal(rename_to(fixture, "a", "a"), STRATA_OK);
    assert_int_equal(rename_to(fixture, "b", "b"), STRATA_NOT_FOUND);
    assert_int_equal(rename_to(fixture, "b", "c"), STRATA_NOT_FOUND);
    assert_int_equal(delete_branch(fixture, "b"), STRATA_NOT_FOUND);
    assert_int_equal(find(fixture, "b"), STRATA_NOT_FOUND);
    assert_int_equal(fixture_head(fixture, fixture->main_branch).version, 1);
    assert_branches(fixture, "a main");
    assert_int_equal(rename_to(fixture, "a", "z"), STRATA_OK);
    assert_branches(fixture, "main z");
    assert_int_equal(delete_branch(fixture, "z"), STRATA_OK);
    assert_int_equal(create(fixture, "z"), STRATA_OK);
    fixture_crash(fixture);
    assert_branches(fixture, "main z");
    fixture_close(fixture);
    fixture_open(fixture);
    assert_branches(fixture, "main z");
}

static void main_is_a_branch_like_others(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    fixture_put(fixture, fixture->main_branch, space, "a", "x");
    assert_int_equal(rename_to(fixture, "main", "trunk"), STRATA_OK);
    assert_int_equal(find(fixture, "main"), STRATA_NOT_FOUND);
    assert_branches(fixture, "trunk");
    assert_int_equal(create(fixture, "main"), STRATA_OK);
    struct branch *branch = fixture_branch(fixture, "main");
    struct storage_view view = fixture_head(fixture, branch);
    assert_null(fixture_get(fixture, &view, space, "a"));
    fixture_leave_branch(fixture, branch);
    assert_int_equal(fork_at(fixture, UINT64_MAX, "child"), STRATA_OK);
    assert_int_equal(delete_branch(fixture, "trunk"), STRATA_OK);
    fixture_crash(fixture);
    fixture_compact(fixture);
    assert_branches(fixture, "child main");
    branch = fixture_branch(fixture, "child");
    view = fixture_head(fixture, branch);
    assert_string_equal(fixture_get(fixture, &view, &fixture->storage.default_space, "a"), "x");
    fixture_leave_branch(fixture, branch);
}

static void a_fork_starts_where_it_was_told_to(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    struct storage_branch_info info;
    bool found;
    fixture_put(fixture, fixture->main_branch, space, "a", "1");
    fixture_put(fixture, fixture->main_branch, space, "a", "2");
    assert_int_equal(create(fixture, "x"), STRATA_OK);
    assert_int_equal(fork_at(fixture, 4, "future"), STRATA_HISTORY_UNAVAILABLE);
    assert_int_equal(fork_at(fixture, 1, "old"), STRATA_OK);
    assert_int_equal(fork_at(fixture, UINT64_MAX, "new"), STRATA_OK);
    assert_int_equal(fork_at(fixture, 0, "empty"), STRATA_OK);
    fixture_put(fixture, fixture->main_branch, space, "a", "3");
    const struct {
        const char *name;
        const char *value;
        uint64_t cap;
        uint64_t created;
    } expected[] = {{"empty", NULL, 0, 6}, {"new", "2", 2, 5}, {"old", "1", 1, 4}};
    for (unsigned i = 0; i < 3; i++) {
        struct branch *branch = fixture_branch(fixture, expected[i].name);
        const struct storage_view view = fixture_head(fixture, branch);
        const char *value = fixture_get(fixture, &view, space, "a");
        if (expected[i].value == NULL)
            assert_null(value);
        else
            assert_string_equal(value, expected[i].value);
        assert_int_equal(storage_branch_next(&fixture->storage, &fixture->reader, expected[i].name,
                                             false, &found, &info),
                         STRATA_OK);
        assert_string_equal(info.branch.name, expected[i].name);
        assert_string_equal(info.parent, "main");
        assert_int_equal(info.branch.cap, expected[i].cap);
        assert_int_equal(info.branch.created_version, expected[i].created);
        assert_int_equal(info.head_version, expected[i].cap);
        fixture_put(fixture, branch, space, "b", "own");
        assert_int_equal(storage_branch_next(&fixture->storage, &fixture->reader, expected[i].name,
                                             false, &found, &info),
                         STRATA_OK);
        assert_int_equal(info.head_version, fixture_head(fixture, branch).version);
        fixture_leave_branch(fixture, branch);
    }
}

static void a_fork_below_its_parents_beginning_sees_the_grandparent(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    fixture_put(fixture, fixture->main_branch, space, "a", "1");
    fixture_put(fixture, fixture->main_branch, space, "a", "2");
    assert_int_equal(fork_at(fixture, UINT64_MAX, "child"), STRATA_OK);
    struct branch *child = fixture_branch(fixture, "child");
    fixture_put(fixture, child, space, "a", "4");
    assert_int_equal(
        storage_branch_fork(&fixture->storage, &fixture->reader, child, 1, "grandchild", NULL),
        STRATA_OK);
    struct branch *grandchild = fixture_branch(fixture, "grandchild");
    const struct storage_view view = fixture_head(fixture, grandchild);
    assert_string_equal(fixture_get(fixture, &view, space, "a"), "1");
    fixture_leave_branch(fixture, grandchild);
    fixture_leave_branch(fixture, child);
}

static strata_status fork_head(struct fixture *fixture, const char *from, const char *name)
{
    return storage_branch_fork_head(&fixture->storage, &fixture->reader, from, name, NULL);
}

/* What a fork by name has to look up: frames, with everything in memory, and nodes of branches. */
static uint64_t frames_of_fork(struct fixture *fixture, const char *from, const char *name)
{
    const uint64_t before = cache_hits(&fixture->storage.store->cache);
    const uint32_t nodes = fixture->storage.store->branches.count;
    assert_int_equal(fork_head(fixture, from, name), STRATA_OK);
    assert_int_equal(fixture->storage.store->branches.count, nodes);
    return cache_hits(&fixture->storage.store->cache) - before;
}

static void a_fork_costs_the_same_however_deep_it_is(void **state)
{
    enum { DEPTH = 400, FRAMES_MAX = 24 };
    (void)state;
    struct fixture fixture;
    fixture_create_sized(&fixture, 64 << 20);
    struct storage_space *space = &fixture.storage.default_space;
    const uint64_t head = fixture_put(&fixture, fixture.main_branch, space, "a", "1");
    char from[16] = "main", name[16];
    for (unsigned depth = 0; depth < DEPTH; depth++) {
        snprintf(name, sizeof(name), "level-%u", depth);
        assert_int_equal(fork_head(&fixture, from, name), STRATA_OK);
        memcpy(from, name, sizeof(from));
    }
    fixture_flush(&fixture);
    (void)frames_of_fork(&fixture, "level-1", "warm-1");
    (void)frames_of_fork(&fixture, name, "warm-2");
    assert_true(frames_of_fork(&fixture, "level-1", "shallow") <= FRAMES_MAX);
    assert_true(frames_of_fork(&fixture, name, "deep") <= FRAMES_MAX);
    struct branch *deep = fixture_branch(&fixture, "deep");
    assert_true(deep->cap == head);
    const struct storage_view view = fixture_head(&fixture, deep);
    assert_string_equal(fixture_get(&fixture, &view, space, "a"), "1");
    fixture_leave_branch(&fixture, deep);
    fixture_destroy(&fixture);
}

static void a_fork_by_name_is_one_of_the_newest_state(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    assert_int_equal(fork_head(fixture, "main", "of nothing"), STRATA_OK);
    const uint64_t first = fixture_put(fixture, fixture->main_branch, space, "a", "1");
    assert_int_equal(fork_head(fixture, "main", "child"), STRATA_OK);
    assert_int_equal(fork_head(fixture, "child", "quiet"), STRATA_OK);
    struct branch *child = fixture_branch(fixture, "child");
    const uint64_t second = fixture_put(fixture, child, space, "a", "2");
    assert_int_equal(fork_head(fixture, "child", "later"), STRATA_OK);
    const struct {
        const char *name;
        uint64_t cap;
    } expected[] = {{"of nothing", 0}, {"child", first}, {"quiet", first}, {"later", second}};
    for (size_t i = 0; i < 4; i++) {
        struct branch *branch = fixture_branch(fixture, expected[i].name);
        assert_true(branch->cap == expected[i].cap);
        fixture_leave_branch(fixture, branch);
    }
    fixture_leave_branch(fixture, child);
    assert_int_equal(fork_head(fixture, "child", "later"), STRATA_EXISTS);
    assert_int_equal(fork_head(fixture, "nobody", "fork"), STRATA_NOT_FOUND);
    assert_int_equal(delete_branch(fixture, "child"), STRATA_OK);
    assert_int_equal(fork_head(fixture, "child", "fork"), STRATA_NOT_FOUND);
}

static void handles_outlive_names(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    assert_int_equal(fork_at(fixture, UINT64_MAX, "child"), STRATA_OK);
    struct branch *child = fixture_branch(fixture, "child");
    fixture_put(fixture, child, space, "a", "1");
    assert_int_equal(rename_to(fixture, "child", "renamed"), STRATA_OK);
    fixture_put(fixture, child, space, "b", "2");
    assert_int_equal(delete_branch(fixture, "renamed"), STRATA_OK);
    const struct storage_view view = fixture_head(fixture, child);
    fixture_compact(fixture);
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "a=1 b=2");
    assert_int_equal(storage_branch_fork(&fixture->storage, &fixture->reader, child, UINT64_MAX,
                                         "too late", NULL),
                     STRATA_NOT_FOUND);
    char name[BRANCH_NAME_SIZE_MAX + 1] = "?";
    assert_int_equal(storage_branch_name(&fixture->storage, &fixture->reader, child->id, name),
                     STRATA_OK);
    assert_string_equal(name, "");
    fixture_leave_branch(fixture, child);
}

static void spaces_are_listed_where_they_have_rows(void **state)
{
    struct fixture *fixture = *state;
    char name[BRANCH_NAME_SIZE_MAX + 1] = "";
    bool found;
    fixture_put(fixture, fixture->main_branch, fixture_space(fixture, "zoo"), "a", "1");
    fixture_put(fixture, fixture->main_branch, fixture_space(fixture, "gone"), "a", "1");
    assert_int_equal(create(fixture, "other"), STRATA_OK);
    struct branch *other = fixture_branch(fixture, "other");
    fixture_put(fixture, other, fixture_space(fixture, "elsewhere"), "a", "1");
    fixture_put(fixture, fixture->main_branch, fixture_space(fixture, "gone"), "a", NULL);
    struct storage_write write = fixture_write(fixture, "a", "own");
    write.space = fixture_space(fixture, "mine");
    assert_int_equal(storage_writes_add(&fixture->writes, &write, fixture->now_us), STRATA_OK);
    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    view.writes = &fixture->writes;
    view.own_cap = storage_writes_cap(&fixture->writes);
    const char *expected[] = {"mine", "zoo"};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            storage_space_next(&fixture->storage, &fixture->reader, &view, name, &found),
            STRATA_OK);
        assert_true(found);
        assert_string_equal(name, expected[i]);
    }
    assert_int_equal(storage_space_next(&fixture->storage, &fixture->reader, &view, name, &found),
                     STRATA_OK);
    assert_false(found);
    fixture_leave_branch(fixture, other);
}

static void out_of_memory_changes_no_branch(void **state)
{
    struct fixture *fixture = *state;
    strata_status status = STRATA_NO_MEMORY;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        assert_branches(fixture, "main");
        fixture->counted.requests = 0;
        fixture->counted.fail_at = fail_at;
        fixture->counted.fail_from_then_on = 1;
        status = fork_at(fixture, UINT64_MAX, "a");
        fixture->counted.fail_at = 0;
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
    }
    assert_branches(fixture, "a main");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(main_is_a_branch_like_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_starts_where_it_was_told_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_below_its_parents_beginning_sees_the_grandparent,
                                        set_up, tear_down),
        cmocka_unit_test(a_fork_costs_the_same_however_deep_it_is),
        cmocka_unit_test_setup_teardown(a_fork_by_name_is_one_of_the_newest_state, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(handles_outlive_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spaces_are_listed_where_they_have_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory_changes_no_branch, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
