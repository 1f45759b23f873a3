/* Reads bring about merges, through the public header: what they cost decides, not who makes them. */
#include "api/scene.h"

#include <stdio.h>

enum { ROWS = 400, RUNS = 4, READS = 200000 };

static double metric(const struct scene *scene, const char *name)
{
    strata_metric found;
    expect_ok(strata_metric_find(scene->db, name, &found));
    return found.value;
}

static void work(const struct scene *scene)
{
    expect(strata_maintain(scene->db, INT32_MAX, NULL), STRATA_DONE);
}

static strata_bytes numbered(unsigned number, char key[16])
{
    snprintf(key, 16, "key-%06u", number);
    return strata_text(key);
}

static void put_every(strata_txn *txn, unsigned step, char fill)
{
    char value[64];
    memset(value, fill, sizeof(value));
    for (unsigned i = 0; i < ROWS; i += step) {
        char key[16];
        expect_ok(strata_kv_put(txn, NULL, numbered(i, key), strata_view(value, sizeof(value))));
    }
}

/* Four live runs: all rows, and every seventh, eleventh, thirteenth of them anew. */
static void open_runs(struct scene *scene, uint64_t budget)
{
    static const unsigned steps[RUNS] = {1, 7, 11, 13};
    scene_open(scene, false, budget);
    for (unsigned i = 0; i < RUNS; i++) {
        put_every(scene->txn, steps[i], (char)('a' + i));
        expect_ok(strata_checkpoint(scene->db));
    }
    work(scene);
    assert_int_equal((int)metric(scene, "runs.live"), RUNS);
}

static uint64_t content(strata_txn *txn)
{
    strata_cursor *cursor;
    strata_row row;
    uint64_t sum = 0;
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    while (strata_kv_next(cursor, &row) == STRATA_OK)
        sum = sum * 31 + row.version * 7 + row.value.size + *(const unsigned char *)row.value.data;
    strata_cursor_close(cursor);
    return sum;
}

typedef void read_once(strata_txn *txn, unsigned number);

static void get_one(strata_txn *txn, unsigned number)
{
    char key[16];
    strata_value value = {0};
    expect_ok(strata_kv_get(txn, NULL, numbered(number * 7919 % ROWS, key), &value));
    strata_value_release(&value);
}

static void miss_one(strata_txn *txn, unsigned number)
{
    char key[16];
    expect(strata_kv_exists(txn, NULL, numbered(ROWS + number, key)), STRATA_NOT_FOUND);
}

static void get_some(strata_txn *txn, unsigned number)
{
    enum { BATCH = 16 };
    char keys[BATCH][16];
    strata_bytes views[BATCH];
    strata_value values[BATCH] = {{0}};
    for (unsigned i = 0; i < BATCH; i++)
        views[i] = numbered((number + i) * 7919 % ROWS, keys[i]);
    expect_ok(strata_kv_get_many(txn, NULL, views, BATCH, values));
    for (unsigned i = 0; i < BATCH; i++)
        strata_value_release(&values[i]);
}

static void scan_some(strata_txn *txn, unsigned number)
{
    char key[16];
    strata_cursor *cursor;
    strata_row row;
    const strata_scan_options options = {
        .size = sizeof(options), .first = numbered(number * 7919 % ROWS, key), .limit = 50};
    expect_ok(strata_kv_scan(txn, NULL, &options, &cursor));
    while (strata_kv_next(cursor, &row) == STRATA_OK)
        assert_true(row.value.size > 0);
    strata_cursor_close(cursor);
}

static void count_all(strata_txn *txn, unsigned number)
{
    uint64_t count;
    (void)number;
    expect_ok(strata_kv_count(txn, NULL, NULL, &count));
    assert_int_equal(count, ROWS);
}

static void reads_of_any_kind_leave_one_run_and_the_same_content(void **state)
{
    (void)state;
    static read_once *const kinds[] = {get_one, miss_one, get_some, scan_some, count_all};
    static const uint64_t budgets[] = {1 << 20, 16 << 20, 64 << 20};
    for (unsigned i = 0; i < 3 * sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct scene scene;
        unsigned reads = 0;
        open_runs(&scene, budgets[i % 3]);
        const uint64_t before = content(scene.txn);
        for (; metric(&scene, "runs.live") > 1; reads++) {
            assert_true(reads < READS);
            kinds[i / 3](scene.txn, reads);
            if (reads % 64 == 63 || kinds[i / 3] == count_all)
                work(&scene);
        }
        assert_true(reads > 1); /* One read pays for nothing. */
        const double merges = metric(&scene, "merge.count");
        assert_true(merges <= RUNS - 1);
        for (unsigned more = 0; more < 1000; more++)
            kinds[i / 3](scene.txn, more);
        work(&scene);
        assert_true(metric(&scene, "merge.count") == merges);
        assert_true(content(scene.txn) == before);
        scene_close(&scene);
    }
}

static void a_fork_that_is_read_the_short_way_pays_for_nothing(void **state)
{
    (void)state;
    enum { FORK_READS = 20000 };
    struct scene scene;
    strata_txn *fork;
    char key[16];
    scene_open(&scene, false, 64 << 20);
    for (unsigned i = 0; i < RUNS; i++) {
        for (unsigned j = 0; j < 20; j++)
            expect_ok(strata_kv_put(scene.txn, NULL, numbered(j, key), strata_view("x", 1)));
        expect_ok(strata_checkpoint(scene.db));
    }
    work(&scene);
    assert_int_equal((int)metric(&scene, "runs.live"), RUNS);
    expect_ok(strata_branch_fork(scene.db, strata_head("main"), "fork", NULL));
    expect_ok(strata_txn_auto(scene.db, "fork", &fork));
    for (unsigned i = 0; i < FORK_READS; i++) {
        miss_one(fork, i);
        if (i % 10 == 0)
            scan_some(fork, i % 20);
    }
    work(&scene);
    assert_int_equal((int)metric(&scene, "runs.live"), RUNS);
    for (unsigned i = 0; i < FORK_READS; i++)
        miss_one(scene.txn, i);
    work(&scene);
    assert_int_equal((int)metric(&scene, "runs.live"), 1);
    strata_txn_close(fork);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_of_any_kind_leave_one_run_and_the_same_content),
        cmocka_unit_test(a_fork_that_is_read_the_short_way_pays_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
