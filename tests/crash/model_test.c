/* The oracle itself, on cases worked out by hand. */
#include "model/model.h"

#include "support.h"

#include <stdio.h>

static void put(struct model *model, int branch, const char *key, const char *value)
{
    model_begin(model, 100 * (int64_t)model_version(model));
    model_put(model, branch, "default", strata_text(key), strata_text(value), 0);
}

/* "key=value" of each row shown, joined by blanks. */
static const char *shown(struct model *model, int branch, uint64_t version)
{
    static char text[256];
    const struct model_view *view = model_view(model, branch, version);
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < view->count; i++)
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%s%s=%.*s", i == 0 ? "" : " ",
                             (const char *)view->rows[i]->key.data, (int)view->rows[i]->value.size,
                             (const char *)view->rows[i]->value.data);
    return text;
}

static void a_fork_sees_its_parent_up_to_the_fork_and_its_own_rows(void **state)
{
    (void)state;
    struct model *model = model_create();
    put(model, 0, "a", "1");
    put(model, 0, "b", "2");
    model_begin(model, 300);
    const int child = model_fork(model, 0, 1, "child");
    put(model, 0, "a", "4");
    put(model, child, "c", "5");
    assert_string_equal(shown(model, child, 5), "a=1 c=5");
    assert_string_equal(shown(model, child, 4), "a=1");
    assert_string_equal(shown(model, 0, 5), "a=4 b=2");
    assert_string_equal(shown(model, 0, 2), "a=1 b=2");
    assert_int_equal(model_branch_head(model, child, 4), 1);
    assert_int_equal(model_branch_head(model, child, 5), 5);
    model_destroy(model);
}

static void deletions_hide_and_stay_in_the_history(void **state)
{
    (void)state;
    struct model *model = model_create();
    put(model, 0, "a", "1");
    model_begin(model, 200);
    assert_true(model_delete(model, 0, "default", strata_text("a")));
    model_begin(model, 300);
    assert_false(model_delete(model, 0, "default", strata_text("a")));
    model_cancel(model);
    put(model, 0, "a", "3");
    const struct model_row *rows[4];
    assert_int_equal(model_history(model, 0, "default", strata_text("a"), 3, rows, 4), 3);
    assert_int_equal(rows[0]->version, 3);
    assert_int_equal(rows[1]->flags, STRATA_ROW_TOMBSTONE);
    assert_string_equal(shown(model, 0, 2), "");
    assert_string_equal(shown(model, 0, 3), "a=3");
    model_destroy(model);
}

static void a_cancelled_commit_leaves_nothing(void **state)
{
    (void)state;
    struct model *model = model_create();
    put(model, 0, "a", "1");
    model_begin(model, 200);
    const int child = model_fork(model, 0, 1, "child");
    model_put(model, child, "default", strata_text("b"), strata_text("2"), 0);
    model_cancel(model);
    assert_int_equal(model_version(model), 1);
    assert_int_equal(model_branch_count(model), 1);
    assert_string_equal(shown(model, 0, 1), "a=1");
    model_begin(model, 200);
    model_rename(model, 0, "trunk");
    assert_string_equal(model_branch_name(model, 0, 1), "main");
    assert_string_equal(model_branch_name(model, 0, 2), "trunk");
    model_begin(model, 300);
    model_drop(model, 0);
    assert_null(model_branch_name(model, 0, 3));
    assert_int_equal(model_branch_find(model, "trunk", 2), 0);
    model_destroy(model);
}

static void counters_add_up_and_spaces_go_as_one(void **state)
{
    (void)state;
    struct model *model = model_create();
    model_begin(model, 100);
    assert_int_equal(model_increment(model, 0, "s", strata_text("n"), 5), 5);
    model_begin(model, 200);
    assert_int_equal(model_increment(model, 0, "s", strata_text("n"), -7), -2);
    put(model, 0, "a", "1");
    model_begin(model, 300);
    assert_true(model_delete_space(model, 0, "s"));
    assert_string_equal(shown(model, 0, 4), "a=1");
    assert_int_equal(model_view(model, 0, 3)->count, 2);
    model_begin(model, 400);
    assert_false(model_delete_space(model, 0, "s"));
    model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fork_sees_its_parent_up_to_the_fork_and_its_own_rows),
        cmocka_unit_test(deletions_hide_and_stay_in_the_history),
        cmocka_unit_test(a_cancelled_commit_leaves_nothing),
        cmocka_unit_test(counters_add_up_and_spaces_go_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
