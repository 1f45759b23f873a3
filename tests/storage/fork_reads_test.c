/* Reads of forks by the short way, which are to show what a walk of the lineage shows. */
#include "storage/storage_fixture.h"

#include <stdio.h>

enum { DEPTH = 40, READS_TO_WARM = 12, MUCH = 1100, ROOM = 64 * 1024 };

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_create_sized(fixture, 64 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_destroy(*state);
    free(*state);
    return 0;
}

static struct storage_space *default_space(struct fixture *fixture)
{
    return &fixture->storage.default_space;
}

static struct fork_views *views_of(struct fixture *fixture)
{
    return &fixture->storage.store->branches.fork_views;
}

static struct branch *forked(struct fixture *fixture, const struct branch *from, const char *name)
{
    assert_int_equal(
        storage_branch_fork(&fixture->storage, &fixture->reader, from, UINT64_MAX, name, NULL),
        STRATA_OK);
    return fixture_branch(fixture, name);
}

/* Reads until there is a view, as far as there is room for one. */
static void warm(struct fixture *fixture, const struct storage_view *view)
{
    for (unsigned i = 0; i < READS_TO_WARM; i++)
        (void)fixture_get(fixture, view, default_space(fixture), "a");
}

/* Every key and both directions, by the short way and walking. */
static void check_same(struct fixture *fixture, const struct storage_view *view,
                       const char *expected)
{
    struct storage_space *space = default_space(fixture);
    const size_t room = views_of(fixture)->bytes_max;
    struct fork_view *kept = view->branch->views;
    assert_string_equal(fixture_scan(fixture, view, space, NULL, NULL, false), expected);
    char text[4096];
    snprintf(text, sizeof(text), "%s", fixture_scan(fixture, view, space, NULL, NULL, true));
    atomic_store(&view->branch->views, NULL);
    views_of(fixture)->bytes_max = 0;
    assert_string_equal(fixture_scan(fixture, view, space, NULL, NULL, false), expected);
    assert_string_equal(fixture_scan(fixture, view, space, NULL, NULL, true), text);
    atomic_store(&view->branch->views, kept);
    views_of(fixture)->bytes_max = room;
}

/* main has a, b and c. Each of the chain overwrites b, adds a key, and deletes one of its parent's. */
static struct branch *chain(struct fixture *fixture, struct branch *branches[DEPTH])
{
    struct branch *parent = fixture->main_branch;
    for (unsigned i = 0; i < 3; i++)
        fixture_put(fixture, parent, default_space(fixture),
                    i == 0   ? "a"
                    : i == 1 ? "b"
                             : "c",
                    "main");
    for (unsigned i = 0; i < DEPTH; i++) {
        char name[16], key[16], value[16];
        snprintf(name, sizeof(name), "level-%u", i);
        snprintf(value, sizeof(value), "%u", i);
        branches[i] = forked(fixture, parent, name);
        parent = branches[i];
        snprintf(key, sizeof(key), "k%02u", i);
        fixture_put(fixture, parent, default_space(fixture), key, value);
        fixture_put(fixture, parent, default_space(fixture), "b", value);
        snprintf(key, sizeof(key), "k%02u", i - 2);
        if (i % 4 == 2)
            fixture_put(fixture, parent, default_space(fixture), key, NULL);
        if (i % 16 == 5)
            fixture_flush(fixture);
    }
    return parent;
}

/* What the last of the first `depth` branches of the chain shows. */
static const char *chain_text(unsigned depth)
{
    static char text[4096];
    size_t length = (size_t)snprintf(text, sizeof(text), "a=main b=%u c=main", depth - 1);
    for (unsigned i = 0; i < depth; i++) {
        if (i % 4 != 0 || i + 2 >= depth)
            length += (size_t)snprintf(text + length, sizeof(text) - length, " k%02u=%u", i, i);
    }
    return text;
}

static void a_deep_chain_reads_as_if_it_were_walked(void **state)
{
    struct fixture *fixture = *state;
    struct branch *branches[DEPTH];
    chain(fixture, branches);
    for (unsigned stage = 0; stage < 3; stage++) {
        for (unsigned depth = 1; depth <= DEPTH; depth += 3) {
            const struct storage_view view = fixture_head(fixture, branches[depth - 1]);
            warm(fixture, &view);
            assert_non_null(view.branch->views);
            check_same(fixture, &view, chain_text(depth));
        }
        /* What the ancestors write later is not inherited. */
        fixture_put(fixture, fixture->main_branch, default_space(fixture), "a", "later");
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    for (unsigned i = 0; i < DEPTH; i++)
        fixture_leave_branch(fixture, branches[i]);
    assert_null(views_of(fixture)->newest);
}

static void its_own_writes_are_seen_at_once_and_at_their_version(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    fixture_put(fixture, fixture->main_branch, space, "a", "main");
    fixture_put(fixture, fixture->main_branch, space, "b", "main");
    struct branch *child = forked(fixture, fixture->main_branch, "child");
    struct storage_view view = fixture_head(fixture, child);
    const uint64_t first = view.version;
    warm(fixture, &view);
    for (unsigned stage = 0; stage < 4; stage++) {
        static const char *const values[] = {"1", "2", "3", "4"};
        fixture_put(fixture, child, space, "b", values[stage]);
        fixture_put(fixture, child, space, "a", stage % 2 == 0 ? NULL : "back");
        view = fixture_head(fixture, child);
        warm(fixture, &view);
        assert_string_equal(fixture_get(fixture, &view, space, "b"), values[stage]);
        char expected[64];
        snprintf(expected, sizeof(expected), "%sb=%s", stage % 2 == 0 ? "" : "a=back ",
                 values[stage]);
        check_same(fixture, &view, expected);
        /* As of versions before, some of them in runs by now. */
        for (unsigned i = 0; i <= stage; i++) {
            view.version = first + 2 * i + 1;
            assert_string_equal(fixture_get(fixture, &view, space, "b"), values[i]);
        }
        view.version = first;
        check_same(fixture, &view, "a=main b=main");
        view.version = 1;
        check_same(fixture, &view, "a=main");
        stage % 2 == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    fixture_leave_branch(fixture, child);
}

static void write_much(struct fixture *fixture, struct branch *branch, unsigned step)
{
    struct storage_writes writes;
    strata_commit commit;
    storage_writes_init(&writes, &fixture->storage, branch->id);
    for (unsigned i = 0; i < MUCH; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%05u", i * step);
        fixture_add(fixture, &writes, key, "much");
    }
    assert_int_equal(fixture_commit(fixture, &writes, branch, UINT64_MAX, &commit), STRATA_OK);
    storage_writes_release(&writes);
}

static void a_branch_that_wrote_much_is_read_where_it_wrote(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    struct branch *branches[5] = {fixture->main_branch};
    write_much(fixture, branches[0], 1);
    for (unsigned i = 1; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof(name), "b%u", i);
        branches[i] = forked(fixture, branches[i - 1], name);
        if (i == 3)
            write_much(fixture, branches[i], 2);
        fixture_put(fixture, branches[i], space, "00004", name);
        fixture_put(fixture, branches[i], space, i == 2 ? "00006" : "00007", name);
    }
    for (unsigned stage = 0; stage < 3; stage++) {
        const struct storage_view view = fixture_head(fixture, branches[4]);
        warm(fixture, &view);
        const struct fork_view *fork = view.branch->views;
        assert_int_equal(fork->inherited->level_count, 2);
        assert_int_equal(fork->inherited->overlay->row_count, 3);
        assert_string_equal(fixture_get(fixture, &view, space, "00004"), "b4");
        assert_string_equal(fixture_get(fixture, &view, space, "00006"), "much");
        assert_string_equal(fixture_get(fixture, &view, space, "00007"), "b4");
        assert_string_equal(fixture_scan(fixture, &view, space, "00003", "00009", false),
                            "00003=much 00004=b4 00005=much 00006=much 00007=b4 00008=much");
        assert_null(fixture_get(fixture, &view, space, "x"));
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    for (unsigned i = 1; i < 5; i++)
        fixture_leave_branch(fixture, branches[i]);
}

static void forks_of_one_point_share_what_they_inherit(void **state)
{
    struct fixture *fixture = *state;
    struct branch *children[3];
    fixture_put(fixture, fixture->main_branch, default_space(fixture), "a", "main");
    struct branch *parent = forked(fixture, fixture->main_branch, "parent");
    fixture_put(fixture, parent, default_space(fixture), "b", "parent");
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "child-%u", i);
        children[i] = forked(fixture, parent, name);
        const struct storage_view view = fixture_head(fixture, children[i]);
        warm(fixture, &view);
        check_same(fixture, &view, "a=main b=parent");
        const struct fork_view *first = children[0]->views;
        const struct fork_view *here = children[i]->views;
        assert_ptr_equal(first->inherited, here->inherited);
    }
    for (unsigned i = 0; i < 3; i++)
        fixture_leave_branch(fixture, children[i]);
    assert_null(views_of(fixture)->newest);
    assert_non_null(views_of(fixture)->inheritances);
    fixture_leave_branch(fixture, parent);
}

static void views_stay_within_their_room(void **state)
{
    struct fixture *fixture = *state;
    struct branch *branches[DEPTH];
    views_of(fixture)->bytes_max = ROOM;
    chain(fixture, branches);
    for (unsigned round = 0; round < 400; round++) {
        const unsigned depth = 1 + round * 7 % DEPTH;
        const struct storage_view view = fixture_head(fixture, branches[depth - 1]);
        warm(fixture, &view);
        char value[16];
        snprintf(value, sizeof(value), "%u", depth - 1);
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), "b"), value);
        assert_true(views_of(fixture)->bytes <= ROOM);
        if (round % 16 == 0)
            (void)epoch_reclaim(&fixture->storage.store->epochs);
    }
    for (unsigned i = 0; i < DEPTH; i++)
        fixture_leave_branch(fixture, branches[i]);
}

static void the_deletion_of_a_space_ends_the_short_way(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    fixture_put(fixture, fixture->main_branch, space, "a", "main");
    struct branch *child = forked(fixture, fixture->main_branch, "child");
    fixture_put(fixture, child, space, "b", "child");
    struct storage_view view = fixture_head(fixture, child);
    warm(fixture, &view);
    fixture_put(fixture, child, space, "", NULL);
    fixture_put(fixture, child, space, "c", "after");
    const struct storage_view before = view;
    view = fixture_head(fixture, child);
    warm(fixture, &view);
    check_same(fixture, &view, "c=after");
    assert_null(fixture_get(fixture, &view, space, "a"));
    check_same(fixture, &before, "a=main b=child");
    fixture_leave_branch(fixture, child);
}

static void a_scan_goes_on_when_its_view_goes(void **state)
{
    struct fixture *fixture = *state;
    struct branch *branches[DEPTH];
    struct branch *leaf = chain(fixture, branches);
    const struct storage_view view = fixture_head(fixture, leaf);
    const struct storage_scan_options options = {
        .view = view, .space = default_space(fixture), .kind = KIND_KV};
    struct storage_scan scan;
    char text[4096];
    warm(fixture, &view);
    storage_scan_init(&scan, &fixture->storage);
    assert_int_equal(storage_scan_open(&scan, &fixture->reader, &options), STRATA_OK);
    size_t length = 0;
    for (unsigned i = 0;; i++) {
        storage_enter(&fixture->reader);
        assert_int_equal(storage_scan_next(&scan), STRATA_OK);
        if (scan.valid)
            length += (size_t)snprintf(
                text + length, sizeof(text) - length, "%s%.*s=%.*s", i == 0 ? "" : " ",
                (int)scan.row->key.length, (const char *)scan.row->key.data,
                (int)scan.row->value.length, (const char *)scan.row->value.data);
        storage_leave(&fixture->reader);
        if (!scan.valid)
            break;
        /* Twice without a use of it in between, a view has to make room. */
        for (unsigned branch = 0; i % 5 == 0 && branch < 12; branch++) {
            const struct storage_view other = fixture_head(fixture, branches[branch]);
            views_of(fixture)->bytes_max = 1;
            other.branch->walks = READS_TO_WARM;
            warm(fixture, &other);
        }
        while (epoch_reclaim(&fixture->storage.store->epochs))
            ;
        views_of(fixture)->bytes_max = 1 << 20;
        warm(fixture, &view);
    }
    assert_string_equal(text, chain_text(DEPTH));
    storage_scan_release(&scan);
    for (unsigned i = 0; i < DEPTH; i++)
        fixture_leave_branch(fixture, branches[i]);
}

static void out_of_memory_reads_walk(void **state)
{
    struct fixture *fixture = *state;
    struct branch *branches[DEPTH];
    struct branch *leaf = chain(fixture, branches);
    const struct storage_view view = fixture_head(fixture, leaf);
    for (uint64_t fail_at = 1; leaf->views == NULL; fail_at++) {
        leaf->walks = READS_TO_WARM;
        fixture->counted.requests = 0;
        fixture->counted.fail_at = fail_at;
        fixture->counted.fail_from_then_on = 1;
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), "a"), "main");
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), "k39"), "39");
        fixture->counted.fail_at = 0;
        assert_true(fail_at < 10000);
    }
    check_same(fixture, &view, chain_text(DEPTH));
    for (unsigned i = 0; i < DEPTH; i++)
        fixture_leave_branch(fixture, branches[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_deep_chain_reads_as_if_it_were_walked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_own_writes_are_seen_at_once_and_at_their_version,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_branch_that_wrote_much_is_read_where_it_wrote, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(forks_of_one_point_share_what_they_inherit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(views_stay_within_their_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_deletion_of_a_space_ends_the_short_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_scan_goes_on_when_its_view_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory_reads_walk, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
