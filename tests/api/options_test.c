/* Every field of every options struct set to each kind of value: it has an effect, or is refused. And
 * the same options by name. */
#include "api/scene.h"

#include <stdio.h>

static strata_open_options plain(void)
{
    return (strata_open_options){.size = sizeof(strata_open_options),
                                 .background_threads = STRATA_NONE};
}

static strata_status open_memory(const strata_open_options *options)
{
    strata *db = NULL;
    const strata_status status = strata_open(":memory:", options, &db);
    if (status == STRATA_OK)
        expect_ok(strata_close(db));
    return status;
}

static void open_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    struct {
        strata_open_options options;
        uint32_t more[4];
    } newer = {.options = plain()};
    strata_open_options options = plain();
    expect_ok(open_memory(NULL));
    options.size = 0;
    expect_invalid(open_memory(&options), "size");
    options.size = sizeof(options) - 8;
    expect_invalid(open_memory(&options), "size");
    newer.options.size = sizeof(newer);
    expect_ok(open_memory(&newer.options));
    newer.more[2] = 1;
    expect_invalid(open_memory(&newer.options), "does not know");
    options = plain();
    options.mode = STRATA_OPEN_READ_ONLY + 1;
    expect_invalid(open_memory(&options), "mode");
    options = plain();
    options.durability = STRATA_CACHE + 1;
    expect_invalid(open_memory(&options), "durability");
    options = plain();
    options.background_threads = -2;
    expect_invalid(open_memory(&options), "background_threads");
    options.background_threads = 65;
    expect_invalid(open_memory(&options), "background_threads");
    options.background_threads = 64;
    expect_ok(open_memory(&options));
    options = plain();
    options.memory_budget_bytes = (1 << 20) - 1;
    expect_invalid(open_memory(&options), "memory_budget");
    options = plain();
    options.lock_wait_us = -2;
    expect_invalid(open_memory(&options), "lock_wait");
    options = plain();
    options.sync_interval_ms = -2;
    expect_invalid(open_memory(&options), "sync_interval");
    options.sync_interval_ms = STRATA_NONE;
    options.lock_wait_us = STRATA_NONE;
    expect_ok(open_memory(&options));
    options = plain();
    options.lossy = 2;
    expect_invalid(open_memory(&options), "lossy");
    options = plain();
    options.reserved = &options;
    expect_invalid(open_memory(&options), "reserved");
}

static void open_refuses_incomplete_objects(void **state)
{
    (void)state;
    const strata_allocator allocator = {.resize = NULL};
    const strata_clock clock = {.wall_us = NULL};
    const strata_logger logger = {.write = NULL};
    const strata_progress progress = {.report = NULL};
    const strata_backend no_size = {.size = 0}, empty = {.size = sizeof(empty)};
    const strata_backend reserved = {.size = sizeof(reserved), .reserved = 1};
    strata_open_options options = plain();
    options.allocator = &allocator;
    expect_invalid(open_memory(&options), "allocator");
    options = plain();
    options.clock = &clock;
    expect_invalid(open_memory(&options), "clock");
    options = plain();
    options.logger = &logger;
    expect_invalid(open_memory(&options), "logger");
    options = plain();
    options.progress = &progress;
    expect_invalid(open_memory(&options), "progress");
    options = plain();
    options.backend = &no_size;
    expect_invalid(open_memory(&options), "backend.size");
    options.backend = &empty;
    expect_invalid(open_memory(&options), "backend lacks");
    options.backend = &reserved;
    expect_invalid(open_memory(&options), "backend.reserved");
}

static void modes_of_opening_differ(void **state)
{
    struct scene *scene = *state;
    strata_open_options options = scene->options;
    strata *db = NULL;
    put(scene->txn, "a", "1");
    strata_txn_close(scene->txn);
    expect_ok(strata_close(scene->db));
    options.lock_wait_us = STRATA_NONE;
    options.mode = STRATA_OPEN_NEW;
    expect(strata_open(scene->path, &options, &db), STRATA_EXISTS);
    options.mode = STRATA_OPEN_CREATE;
    options.durability = STRATA_CACHE;
    expect(strata_open(scene->path, &options, &db), STRATA_EXISTS);
    options.durability = 0;
    options.mode = STRATA_OPEN_EXISTING;
    expect_ok(strata_open(scene->path, &options, &db));
    strata *other = NULL;
    expect(strata_open(scene->path, &options, &other), STRATA_BUSY);
    expect_ok(strata_close(db));
    options.mode = STRATA_OPEN_READ_ONLY;
    expect_ok(strata_open(scene->path, &options, &db));
    strata_txn *txn = NULL, *none = NULL;
    expect_ok(strata_txn_auto(db, "main", &txn));
    assert_string_equal(get(txn, "a"), "1");
    expect(strata_kv_put(txn, NULL, strata_text("a"), strata_text("2")), STRATA_READ_ONLY);
    expect(strata_txn_begin(db, "main", NULL, &none), STRATA_READ_ONLY);
    expect(strata_branch_fork(db, strata_head("main"), "x", NULL), STRATA_READ_ONLY);
    expect(strata_branch_create(db, "x", NULL), STRATA_READ_ONLY);
    expect(strata_branch_delete(db, "main"), STRATA_READ_ONLY);
    expect(strata_branch_rename(db, "main", "x"), STRATA_READ_ONLY);
    expect(strata_checkpoint(db), STRATA_READ_ONLY);
    expect(strata_compact(db, NULL), STRATA_READ_ONLY);
    expect_ok(strata_sync(db));
    expect(strata_maintain(db, 1000, NULL), STRATA_DONE);
    strata_txn_close(txn);
    expect_ok(strata_close(db));
    options.mode = STRATA_OPEN_CREATE;
    expect_ok(strata_open(scene->path, &options, &scene->db));
    expect_ok(strata_txn_auto(scene->db, "main", &scene->txn));

    options.mode = STRATA_OPEN_EXISTING;
    char path[300];
    snprintf(path, sizeof(path), "%s/none", scene->path);
    expect(strata_open(path, &options, &db), STRATA_NOT_FOUND);
    expect(strata_open(":memory:", &options, &db), STRATA_NOT_FOUND);
    options.mode = STRATA_OPEN_READ_ONLY;
    expect(strata_open(path, &options, &db), STRATA_NOT_FOUND);
    expect(strata_open(":memory:", &options, &db), STRATA_NOT_FOUND);
}

static void durability_decides_what_is_durable(void **state)
{
    struct scene *scene = *state;
    uint64_t durable = 0;
    strata_txn_options options = {.size = sizeof(options), .durability = STRATA_ALWAYS};
    strata_txn *txn = NULL;
    put(scene->txn, "a", "1");
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 0);
    expect_ok(strata_txn_begin(scene->db, "main", &options, &txn));
    put(txn, "a", "2");
    expect_ok(strata_txn_commit(txn, NULL));
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 2);
    strata_txn_close(txn);
    strata_txn_close(scene->txn);
    expect_ok(strata_close(scene->db));
    scene->options.durability = STRATA_ALWAYS;
    expect_ok(strata_open(scene->path, &scene->options, &scene->db));
    expect_ok(strata_txn_auto(scene->db, "main", &scene->txn));
    put(scene->txn, "a", "3");
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 3);
    expect_ok(strata_txn_begin(scene->db, "main", NULL, &txn));
    put(txn, "a", "4");
    expect_ok(strata_txn_commit(txn, NULL));
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 4);
    strata_txn_close(txn);
    options.durability = STRATA_STANDARD;
    expect_ok(strata_txn_begin(scene->db, "main", &options, &txn));
    put(txn, "a", "5");
    expect_ok(strata_txn_commit(txn, NULL));
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 4);
    strata_txn_close(txn);
    expect_ok(strata_branch_create(scene->db, "b", NULL));
    strata_watermarks(scene->db, NULL, &durable);
    assert_int_equal(durable, 6);
}

static strata_status begin_with(struct scene *scene, const strata_txn_options *options)
{
    strata_txn *txn = NULL;
    const strata_status status = strata_txn_begin(scene->db, "main", options, &txn);
    strata_txn_close(txn);
    return status;
}

static void transactions_refuse_what_they_do_not_know(void **state)
{
    struct scene *scene = *state;
    static char message[1100];
    memset(message, 'm', sizeof(message) - 1);
    strata_txn_options options = {.size = 4};
    expect_invalid(begin_with(scene, &options), "size");
    options = (strata_txn_options){.size = sizeof(options), .durability = STRATA_CACHE};
    expect_invalid(begin_with(scene, &options), "durability");
    options = (strata_txn_options){.size = sizeof(options), .stall_wait_us = -2};
    expect_invalid(begin_with(scene, &options), "stall_wait");
    options.stall_wait_us = STRATA_NONE;
    expect_ok(begin_with(scene, &options));
    options.message = message;
    expect(begin_with(scene, &options), STRATA_TOO_BIG);
    message[1023] = '\0';
    expect_ok(begin_with(scene, &options));
    options.label = message;
    expect_ok(begin_with(scene, &options));

    strata_branch_options branch = {.size = sizeof(branch), .reserved = 1};
    expect_invalid(strata_branch_create(scene->db, "b", &branch), "reserved");
    branch = (strata_branch_options){.size = 1};
    expect_invalid(strata_branch_create(scene->db, "b", &branch), "size");
    message[1023] = 'm';
    branch = (strata_branch_options){.size = sizeof(branch), .message = message};
    expect(strata_branch_create(scene->db, "b", &branch), STRATA_TOO_BIG);
}

static strata_status put_with(struct scene *scene, const strata_kv_put_options *options)
{
    return strata_kv_put_with(scene->txn, NULL, strata_text("k"), strata_text("v"), options);
}

static void puts_refuse_what_does_not_fit_together(void **state)
{
    struct scene *scene = *state;
    const strata_bytes some = strata_text("v");
    static const char word[] = "options";
    const strata_kv_put_options bad[] = {
        {.size = 8},
        {.size = sizeof(bad[0]), .condition = STRATA_IF_VALUE + 1},
        {.size = sizeof(bad[0]), .expected_version = 1},
        {.size = sizeof(bad[0]), .expected_value = some},
        {.size = sizeof(bad[0]), .condition = STRATA_IF_VERSION, .expected_value = some},
        {.size = sizeof(bad[0]), .condition = STRATA_IF_VALUE, .expected_version = 1},
        {.size = sizeof(bad[0]), .condition = STRATA_IF_VALUE, .expected_value = {NULL, 1}},
        {.size = sizeof(bad[0]), .ttl_us = -1},
        {.size = sizeof(bad[0]), .expires_us = -1},
        {.size = sizeof(bad[0]), .ttl_us = 1, .expires_us = 1},
        {.size = sizeof(bad[0]), .remove = 1, .ttl_us = 1},
        {.size = sizeof(bad[0]), .remove = 1, .expires_us = 1},
        {.size = sizeof(bad[0]), .remove = 2},
        {.size = sizeof(bad[0]), .reserved = 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_invalid(put_with(scene, &bad[i]), word);
    expect_ok(put_with(scene, NULL));

    strata_kv_write write = {.key = strata_text("k"), .remove = 2};
    expect_invalid(strata_kv_put_many(scene->txn, NULL, &write, 1), "remove");
    write = (strata_kv_write){.key = strata_text("k"), .ttl_us = -1};
    expect_invalid(strata_kv_put_many(scene->txn, NULL, &write, 1), "ttl_us");
    write = (strata_kv_write){.key = strata_text("k"), .ttl_us = 1, .remove = 1};
    expect_invalid(strata_kv_put_many(scene->txn, NULL, &write, 1), "expire");
    write = (strata_kv_write){.key = strata_text("k"), .reserved = 1};
    expect_invalid(strata_kv_put_many(scene->txn, NULL, &write, 1), "reserved");
    write = (strata_kv_write){.key = strata_text("k"), .value = {NULL, 1}};
    expect_invalid(strata_kv_put_many(scene->txn, NULL, &write, 1), "value");
}

static void scans_refuse_what_they_do_not_know(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    uint64_t count = 0;
    const strata_scan_options bad[] = {
        {.size = 8},
        {.size = sizeof(bad[0]), .reverse = 2},
        {.size = sizeof(bad[0]), .keys_only = 2},
        {.size = sizeof(bad[0]), .reserved = 1},
        {.size = sizeof(bad[0]), .first = {NULL, 1}},
        {.size = sizeof(bad[0]), .end = {NULL, 1}},
        {.size = sizeof(bad[0]), .prefix = {NULL, 1}},
        {.size = sizeof(bad[0]), .after = {NULL, 1}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_invalid(strata_kv_scan(scene->txn, NULL, &bad[i], &cursor), "options");
        expect_invalid(strata_kv_count(scene->txn, NULL, &bad[i], &count), "options");
    }
}

/* ---- by name --------------------------------------------------------------------------------- */

static void names_set_fields(void **state)
{
    (void)state;
    strata_open_options options = plain();
    expect_ok(strata_options_parse(STRATA_OPTIONS_OPEN,
                                   "mode=read_only durability=always\tbackground_threads=0\n"
                                   "memory_budget=4MiB lock_wait=2min sync_interval=1s lossy=1 "
                                   "seed=18446744073709551615",
                                   &options));
    assert_int_equal(options.size, sizeof(options));
    assert_int_equal(options.mode, STRATA_OPEN_READ_ONLY);
    assert_int_equal(options.durability, STRATA_ALWAYS);
    assert_int_equal(options.background_threads, STRATA_NONE);
    assert_int_equal(options.memory_budget_bytes, 4 << 20);
    assert_int_equal(options.lock_wait_us, 120000000);
    assert_int_equal(options.sync_interval_ms, 1000);
    assert_int_equal(options.lossy, 1);
    assert_true(options.seed == UINT64_MAX);
    expect_ok(strata_options_parse(STRATA_OPTIONS_OPEN,
                                   " lock_wait=0 sync_interval=0us background_threads=7 "
                                   "memory_budget=1048576 durability=default lossy=0 ",
                                   &options));
    assert_int_equal(options.lock_wait_us, STRATA_NONE);
    assert_int_equal(options.sync_interval_ms, STRATA_NONE);
    assert_int_equal(options.background_threads, 7);
    assert_int_equal(options.memory_budget_bytes, 1 << 20);
    assert_int_equal(options.durability, STRATA_DURABILITY_DEFAULT);
    assert_int_equal(options.lossy, 0);
    assert_int_equal(options.mode, STRATA_OPEN_READ_ONLY);

    static const struct {
        const char *text;
        int64_t us;
    } waits[] = {{"stall_wait=1us", 1},          {"stall_wait=2ms", 2000},
                 {"stall_wait=3s", 3000000},     {"stall_wait=4min", 240000000},
                 {"stall_wait=5h", 18000000000}, {"stall_wait=6d", 518400000000},
                 {"stall_wait=0", STRATA_NONE},  {"stall_wait=1s stall_wait=2s", 2000000}};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        strata_txn_options txn = {.size = sizeof(txn), .durability = STRATA_ALWAYS};
        expect_ok(strata_options_parse(STRATA_OPTIONS_TXN, waits[i].text, &txn));
        assert_int_equal(txn.stall_wait_us, waits[i].us);
        assert_int_equal(txn.durability, STRATA_ALWAYS);
    }
    strata_branch_options branch = {.size = sizeof(branch)};
    expect_ok(strata_options_parse(STRATA_OPTIONS_BRANCH, "", &branch));
}

static void words_at_fault_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"mode", "mode: an option is name=value"},
        {"=x", "name=value"},
        {"speed=1", "speed: there is no such option"},
        {"lossy=1 mode=fast", "mode=fast: one of create|existing|new|read_only"},
        {"mode=", "mode=: one of"},
        {"lossy=2", "lossy=2"},
        {"lossy=yes", "lossy=yes"},
        {"background_threads=-1", "background_threads=-1"},
        {"background_threads=2KiB", "background_threads"},
        {"background_threads=99999999999", "too large"},
        {"memory_budget=0", "cannot be zero"},
        {"memory_budget=4MB", "KiB, MiB or GiB"},
        {"memory_budget=99999999999GiB", "too large"},
        {"memory_budget=99999999999999999999", "too large"},
        {"lock_wait=5", "us, ms, s, min, h or d"},
        {"lock_wait=s", "us, ms"},
        {"lock_wait=1.5s", "us, ms"},
        {"sync_interval=1500us", "whole milliseconds"},
        {"sync_interval=99999d", "too large"},
        {"seed=0", "cannot be zero"},
        {"message=hello", "no such option"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        strata_open_options options = plain(), before = plain();
        expect_invalid(strata_options_parse(STRATA_OPTIONS_OPEN, cases[i].text, &options),
                       cases[i].said);
        assert_memory_equal(&options, &before, sizeof(before));
    }
    strata_txn_options txn = {.size = sizeof(txn)};
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, "durability=cache", &txn), "cache");
    txn.size = 4;
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, "", &txn), "size");
    txn.size = sizeof(txn);
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, NULL, &txn), "text");
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, "", NULL), "options");
    expect_invalid(strata_options_parse((strata_options_kind)9, "", &txn), "kind");
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, text, &txn), "name=value");
    text[500] = '=';
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, text, &txn), "too long");
    text[990] = '=';
    text[500] = 'x';
    expect_invalid(strata_options_parse(STRATA_OPTIONS_TXN, text, &txn), "no such option");
}

static void options_are_listed(void **state)
{
    (void)state;
    static const strata_options_kind kinds[] = {STRATA_OPTIONS_OPEN, STRATA_OPTIONS_TXN,
                                                STRATA_OPTIONS_BRANCH};
    static const uint32_t counts[] = {8, 2, 0};
    for (int i = 0; i < 3; i++) {
        strata_option_info info;
        uint32_t count = 0;
        while (strata_option_get(kinds[i], count, &info) == STRATA_OK) {
            assert_non_null(info.name);
            assert_non_null(info.type);
            assert_non_null(info.default_text);
            assert_non_null(info.description);
            count++;
        }
        assert_int_equal(count, counts[i]);
        expect(strata_option_get(kinds[i], count, &info), STRATA_NOT_FOUND);
    }
    expect_invalid(strata_option_get(STRATA_OPTIONS_OPEN, 0, NULL), "out");
    expect_invalid(strata_option_get((strata_options_kind)0, 0, &(strata_option_info){0}), "kind");
}

#define SCENE_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_refuses_what_it_does_not_know),
        cmocka_unit_test(open_refuses_incomplete_objects),
        SCENE_TEST(modes_of_opening_differ, scene_set_up_folder),
        SCENE_TEST(durability_decides_what_is_durable, scene_set_up_folder),
        SCENE_TEST(transactions_refuse_what_they_do_not_know, scene_set_up),
        SCENE_TEST(puts_refuse_what_does_not_fit_together, scene_set_up),
        SCENE_TEST(scans_refuse_what_they_do_not_know, scene_set_up),
        cmocka_unit_test(names_set_fields),
        cmocka_unit_test(words_at_fault_are_named),
        cmocka_unit_test(options_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
