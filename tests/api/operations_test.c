/* Syncing, waiting, maintaining, checking, measuring, and what the library says of itself. */
#include "api/scene.h"

#include <stdio.h>

static double metric(struct scene *scene, const char *name)
{
    strata_metric found;
    expect_ok(strata_metric_find(scene->db, name, &found));
    return found.value;
}

static void a_sync_makes_all_that_is_visible_durable(void **state)
{
    struct scene *scene = *state;
    uint64_t visible = 0, durable = 0;
    put(scene->txn, "a", "1");
    put(scene->txn, "a", "2");
    strata_watermarks(scene->db, &visible, &durable);
    assert_int_equal(visible, 2);
    assert_int_equal(durable, 0);
    expect(strata_wait_durable(scene->db, 1, 0), STRATA_TIMEOUT);
    expect(strata_wait_durable(scene->db, 3, 0), STRATA_HISTORY_UNAVAILABLE);
    expect(strata_wait_durable(scene->db, 3, 5000), STRATA_TIMEOUT);
    expect_invalid(strata_wait_durable(scene->db, 1, -2), "wait_us");
    expect_ok(strata_wait_durable(scene->db, 0, 0));
    expect_ok(strata_wait_durable(scene->db, 1, 1000));
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 2);
    put(scene->txn, "a", "3");
    expect_ok(strata_sync(scene->db));
    expect_ok(strata_wait_durable(scene->db, 3, 0));
    assert_true(metric(scene, "wal.syncs") >= 2);
}

static void in_memory_everything_counts_as_durable(void **state)
{
    struct scene *scene = *state;
    uint64_t visible = 0, durable = 0;
    put(scene->txn, "a", "1");
    strata_watermarks(scene->db, &visible, &durable);
    assert_int_equal(visible, 1);
    assert_int_equal(durable, 1);
    expect_ok(strata_wait_durable(scene->db, 1, 0));
    expect_ok(strata_sync(scene->db));
}

static void maintenance_ends(void **state)
{
    struct scene *scene = *state;
    strata_work work = {0};
    char key[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "key%d", i % 700);
        put(scene->txn, key, "a value that takes some room in memory");
    }
    scene_pass(scene, 1000000);
    unsigned rounds = 0;
    while (strata_maintain(scene->db, 1000, &work) == STRATA_OK)
        assert_true(++rounds < 100000);
    expect(strata_maintain(scene->db, 1000, NULL), STRATA_DONE);
    assert_true(work.idle_us > 0);
    expect_invalid(strata_maintain(scene->db, -1, NULL), "budget_us");
    uint64_t visible = 0, durable = 0;
    strata_watermarks(scene->db, &visible, &durable);
    assert_int_equal(visible, durable);
}

static void a_checkpoint_leaves_nothing_to_replay(void **state)
{
    struct scene *scene = *state;
    strata_report report = {.size = sizeof(report)};
    put(scene->txn, "a", "1");
    expect_ok(strata_checkpoint(scene->db));
    expect_ok(strata_checkpoint(scene->db));
    assert_true(metric(scene, "flush.count") >= 1);
    scene_reopen(scene);
    expect_ok(strata_open_report(scene->db, &report));
    assert_int_equal(report.size, sizeof(report));
    assert_int_equal(report.health, STRATA_HEALTHY);
    assert_int_equal(report.replayed_commits, 0);
    assert_int_equal(report.lost_first_version, 0);
    assert_string_equal(get(scene->txn, "a"), "1");
}

static int count_reports(void *context, const char *stage, uint64_t done, uint64_t total)
{
    (void)stage, (void)done, (void)total;
    return ++*(int *)context > 0 ? 0 : 1;
}

static int stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total)
{
    (void)context, (void)stage, (void)done, (void)total;
    return 1;
}

static void count_finding(void *context, const strata_finding *finding)
{
    (void)finding;
    ++*(int *)context;
}

static void checking_and_compacting_can_be_stopped(void **state)
{
    struct scene *scene = *state;
    int reports = 0, findings = 0;
    const strata_progress counting = {&reports, count_reports}, stopping = {NULL, stop_at_once};
    const strata_progress incomplete = {NULL, NULL};
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put(scene->txn, key, "v");
        if (i % 20 == 0)
            expect_ok(strata_checkpoint(scene->db));
    }
    expect(strata_check(scene->db, &stopping, NULL, NULL), STRATA_INTERRUPTED);
    expect_ok(strata_check(scene->db, &counting, count_finding, &findings));
    assert_int_equal(findings, 0);
    assert_true(reports > 0);
    expect(strata_compact(scene->db, &stopping), STRATA_INTERRUPTED);
    expect_ok(strata_compact(scene->db, &counting));
    expect_invalid(strata_compact(scene->db, &incomplete), "progress");
    expect_invalid(strata_check(scene->db, &incomplete, NULL, NULL), "progress");
    assert_int_equal((int)metric(scene, "runs.live"), 1);
}

static void metrics_are_named_and_counted(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {
        "commit.count",      "commit.conflicts",    "commit.latency_us", "flush.count",
        "flush.bytes",       "merge.count",         "merge.bytes",       "wal.bytes",
        "wal.syncs",         "cache.hits",          "cache.misses",      "memory.live_bytes",
        "memory.peak_bytes", "memory.budget_bytes", "stall.count",       "stall.longest_us",
        "rows.dropped",      "write.amplification", "objects.removed",   "runs.live",
        "runs.history",      "memtable.bytes",      "backlog.bytes"};
    strata_metric found;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        expect_ok(strata_metric_find(scene->db, names[i], &found));
    uint32_t count = 0;
    while (strata_metric_get(scene->db, count, &found) == STRATA_OK) {
        strata_metric again;
        assert_non_null(found.description);
        expect_ok(strata_metric_find(scene->db, found.name, &again));
        assert_ptr_equal(found.name, again.name);
        count++;
    }
    expect(strata_metric_get(scene->db, count, &found), STRATA_NOT_FOUND);
    expect(strata_metric_get(scene->db, UINT32_MAX, &found), STRATA_NOT_FOUND);
    expect(strata_metric_find(scene->db, "no.such", &found), STRATA_NOT_FOUND);

    strata_txn *first = begin(scene), *second = begin(scene);
    put(first, "a", "1");
    put(second, "a", "2");
    expect_ok(strata_txn_commit(first, NULL));
    expect(strata_txn_commit(second, NULL), STRATA_CONFLICT);
    put(scene->txn, "b", "12345");
    expect_ok(strata_kv_delete(scene->txn, NULL, strata_text("none")));
    assert_int_equal((int)metric(scene, "commit.count"), 2);
    assert_int_equal((int)metric(scene, "commit.conflicts"), 1);
    expect_ok(strata_metric_find(scene->db, "commit.latency_us", &found));
    assert_int_equal(found.samples, 2);
    assert_true(metric(scene, "write.user_bytes") >= 8);
    assert_true(metric(scene, "memory.live_bytes") <= metric(scene, "memory.peak_bytes"));
    assert_int_equal((uint64_t)metric(scene, "memory.live_bytes"), scene->heap.bytes);
    strata_txn_close(first);
    strata_txn_close(second);
}

static void the_footprint_adds_up(void **state)
{
    struct scene *scene = *state;
    strata_footprint footprint = {.size = sizeof(footprint)};
    char key[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 500; i++) {
            snprintf(key, sizeof(key), "key%d", i);
            put(scene->txn, key, "a value that takes some room on the disk");
        }
        expect_ok(strata_checkpoint(scene->db));
    }
    expect_ok(strata_compact(scene->db, NULL));
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_true(footprint.live_bytes > 500 * 40);
    assert_true(footprint.history_bytes > 1000 * 40);
    assert_true(footprint.log_bytes > 0);
    assert_true(footprint.file_count >= 3);
    assert_true(footprint.memory_bytes >=
                scene->heap.bytes); /* The log may have a ring beside it. */
    assert_int_equal(footprint.held_value_bytes, 0);
    assert_int_equal(footprint.oldest_reader_version, 0);
}

/* Everything at once, with the least memory there is. */
static void all_work_stays_inside_the_budget(void **state)
{
    struct scene *scene = *state;
    static unsigned char bytes[30000];
    char key[32];
    uint64_t count = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 3000; i++) {
            snprintf(key, sizeof(key), "key%d", i * 7919 % 3000);
            fill_bytes(bytes, 200, (unsigned)i);
            expect_ok(strata_kv_put(scene->txn, NULL, strata_text(key), strata_view(bytes, 200)));
        }
        snprintf(key, sizeof(key), "branch%d", round);
        expect_ok(strata_branch_fork(scene->db, strata_head("main"), key, NULL));
        strata_txn *txn = begin(scene);
        strata_status status = STRATA_OK;
        for (int i = 0; status == STRATA_OK; i++) {
            snprintf(key, sizeof(key), "txn%d", i);
            status = strata_kv_put(txn, NULL, strata_text(key), strata_view(bytes, 300));
        }
        expect(status, STRATA_TOO_BIG);
        expect_ok(strata_txn_commit(txn, NULL));
        strata_txn_close(txn);
        strata_value held[4] = {{0}, {0}, {0}, {0}};
        for (unsigned i = 0; i < 4; i++) {
            expect_ok(strata_kv_put(scene->txn, NULL, strata_view(&i, 1),
                                    strata_view(bytes, sizeof(bytes))));
            expect_ok(strata_kv_get(scene->txn, NULL, strata_view(&i, 1), &held[i]));
        }
        expect_ok(strata_kv_count(scene->txn, NULL, NULL, &count));
        for (int i = 0; i < 4; i++)
            strata_value_release(&held[i]);
        expect_ok(round % 2 == 0 ? strata_compact(scene->db, NULL) : strata_checkpoint(scene->db));
        expect_ok(strata_check(scene->db, NULL, NULL, NULL));
        if (round == 2)
            scene_reopen(scene);
    }
    assert_true(scene->heap.bytes_peak <= 1 << 20);
}

static void the_library_says_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(strata_version(), STRATA_VERSION_NUMBER);
    assert_int_equal(strata_format_version(), 1);
    assert_non_null(strstr(strata_build_info(), "commit="));
    assert_non_null(strstr(strata_build_info(), "compiler="));
    assert_non_null(strstr(strata_build_info(), "parts="));
}

static void a_refused_open_leaves_a_report(void **state)
{
    (void)state;
    strata *db = NULL;
    strata_report report = {.size = sizeof(report), .lost_end_version = 7};
    const strata_open_options options = {.size = sizeof(options), .mode = STRATA_OPEN_EXISTING};
    expect(strata_open("/nowhere/at/all", &options, &db), STRATA_NOT_FOUND);
    expect_ok(strata_open_report(NULL, &report));
    assert_int_equal(report.size, sizeof(report));
    assert_int_equal(report.lost_end_version, 0);
    strata_error error = {.size = sizeof(error)};
    expect(strata_open("/nowhere/at/all", &options, &db), STRATA_NOT_FOUND);
    strata_error_detail(&error);
    assert_int_equal(error.status, STRATA_NOT_FOUND);
    assert_int_equal(error.retry, STRATA_RETRY_NEVER);
    assert_string_equal(error.message, strata_error_message());
}

#define SCENE_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_sync_makes_all_that_is_visible_durable, scene_set_up_folder),
        SCENE_TEST(in_memory_everything_counts_as_durable, scene_set_up),
        SCENE_TEST(maintenance_ends, scene_set_up_small),
        SCENE_TEST(a_checkpoint_leaves_nothing_to_replay, scene_set_up_folder),
        SCENE_TEST(checking_and_compacting_can_be_stopped, scene_set_up_folder),
        SCENE_TEST(metrics_are_named_and_counted, scene_set_up),
        SCENE_TEST(the_footprint_adds_up, scene_set_up_folder),
        SCENE_TEST(all_work_stays_inside_the_budget, scene_set_up_small_folder),
        cmocka_unit_test(the_library_says_what_it_is),
        cmocka_unit_test(a_refused_open_leaves_a_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
