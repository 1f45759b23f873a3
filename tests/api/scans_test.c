/* Scans: bounds, directions, limits, seeking, keeping and counting. */
#include "api/scene.h"

#include <stdio.h>
#include <stdlib.h>

static void fill(struct scene *scene)
{
    static const char *const keys[] = {"a", "ab", "abc", "b", "ba", "c", "ca", "cb", "d", "e"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        put(scene->txn, keys[i], keys[i]);
}

static strata_bytes text(const char *bytes)
{
    return bytes != NULL ? strata_text(bytes) : strata_view(NULL, 0);
}

static void all_bounds_hold_in_both_directions(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *first, *end, *prefix, *after;
        uint64_t limit;
        uint32_t reverse;
        const char *keys;
    } cases[] = {
        {NULL, NULL, NULL, NULL, 0, 0, "a ab abc b ba c ca cb d e "},
        {NULL, NULL, NULL, NULL, 0, 1, "e d cb ca c ba b abc ab a "},
        {"b", NULL, NULL, NULL, 0, 0, "b ba c ca cb d e "},
        {"b", NULL, NULL, NULL, 0, 1, "e d cb ca c ba b "},
        {NULL, "ba", NULL, NULL, 0, 0, "a ab abc b "},
        {NULL, "ba", NULL, NULL, 0, 1, "b abc ab a "},
        {"ab", "c", NULL, NULL, 0, 0, "ab abc b ba "},
        {"ab", "c", NULL, NULL, 0, 1, "ba b abc ab "},
        {"c", "c", NULL, NULL, 0, 0, ""},
        {"d", "b", NULL, NULL, 0, 1, ""},
        {NULL, NULL, "c", NULL, 0, 0, "c ca cb "},
        {NULL, NULL, "c", NULL, 0, 1, "cb ca c "},
        {NULL, NULL, "abcd", NULL, 0, 0, ""},
        {NULL, NULL, "\xff\xff", NULL, 0, 0, ""},
        {"ca", NULL, "c", NULL, 0, 0, "ca cb "},
        {NULL, "ca", "c", NULL, 0, 0, "c "},
        {"a", "z", "c", "c", 0, 0, "ca cb "},
        {"a", "z", "c", "cb", 0, 1, "ca c "},
        {NULL, NULL, "c", "a", 0, 0, "c ca cb "},
        {NULL, NULL, "c", "e", 0, 0, ""},
        {NULL, NULL, NULL, "abc", 0, 0, "b ba c ca cb d e "},
        {NULL, NULL, NULL, "abb", 0, 0, "abc b ba c ca cb d e "},
        {NULL, NULL, NULL, "abb", 0, 1, "ab a "},
        {NULL, NULL, NULL, "a", 0, 1, ""},
        {NULL, NULL, NULL, NULL, 3, 0, "a ab abc "},
        {NULL, NULL, NULL, NULL, 3, 1, "e d cb "},
        {"b", NULL, NULL, "ba", 2, 0, "c ca "},
        {NULL, NULL, NULL, NULL, 100, 0, "a ab abc b ba c ca cb d e "},
    };
    fill(scene);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            strata_scan_options options = {
                .size = sizeof(options),
                .reverse = cases[i].reverse,
                .first = text(cases[i].first),
                .end = text(cases[i].end),
                .prefix = text(cases[i].prefix),
                .after = text(cases[i].after),
                .limit = cases[i].limit,
            };
            uint64_t count = 0;
            size_t wanted = 0;
            for (const char *at = cases[i].keys; *at != '\0'; at++)
                wanted += *at == ' ';
            assert_string_equal(keys_of(scene->txn, NULL, &options), cases[i].keys);
            expect_ok(strata_kv_count(scene->txn, NULL, &options, &count));
            assert_int_equal(count, wanted);
            options.keys_only = 1;
            assert_string_equal(keys_of(scene->txn, NULL, &options), cases[i].keys);
        }
        if (round == 0) {
            expect_ok(strata_checkpoint(scene->db));
            expect_ok(strata_kv_delete(scene->txn, NULL, strata_text("ca")));
            put(scene->txn, "ca", "again");
            put(scene->txn, "x", "gone");
            expect_ok(strata_kv_delete(scene->txn, NULL, strata_text("x")));
        } else {
            expect_ok(strata_compact(scene->db, NULL));
        }
    }
}

static void bounds_of_the_longest_keys_hold(void **state)
{
    struct scene *scene = *state;
    static unsigned char low[16384], high[16384];
    memset(high, 0xff, sizeof(high));
    const strata_bytes keys[] = {{low, sizeof(low)}, {high, 1}, {high, sizeof(high)}};
    for (int i = 0; i < 3; i++)
        expect_ok(strata_kv_put(scene->txn, NULL, keys[i], strata_text("v")));
    static const uint64_t left[] = {2, 1, 0};
    for (int i = 0; i < 3; i++) {
        strata_scan_options options = {.size = sizeof(options), .after = keys[i]};
        uint64_t count = 9;
        expect_ok(strata_kv_count(scene->txn, NULL, &options, &count));
        assert_int_equal(count, left[i]);
        options.reverse = 1;
        expect_ok(strata_kv_count(scene->txn, NULL, &options, &count));
        assert_int_equal(count, i);
        options = (strata_scan_options){.size = sizeof(options), .prefix = keys[i]};
        expect_ok(strata_kv_count(scene->txn, NULL, &options, &count));
        assert_int_equal(count, i == 1 ? 2 : 1);
    }
    const strata_scan_options over = {.size = sizeof(over), .first = {high, 16385}};
    strata_cursor *cursor = NULL;
    expect(strata_kv_scan(scene->txn, NULL, &over, &cursor), STRATA_TOO_BIG);
}

static void rows_show_what_gets_show(void **state)
{
    struct scene *scene = *state;
    const strata_kv_put_options lives = {.size = sizeof(lives), .ttl_us = 1000};
    strata_cursor *cursor = NULL;
    strata_row row;
    int64_t sum = 0;
    put(scene->txn, "a", "");
    expect_ok(strata_kv_increment(scene->txn, NULL, strata_text("b"), 5, &sum));
    expect_ok(strata_kv_put_with(scene->txn, NULL, strata_text("c"), strata_text("v"), &lives));
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursor));
    expect_ok(strata_kv_next(cursor, &row));
    assert_non_null(row.value.data);
    assert_int_equal(row.value.size, 0);
    assert_int_equal(row.version, 1);
    assert_int_equal(row.time_us, SCENE_START_US);
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.flags, STRATA_ROW_COUNTER);
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.flags, STRATA_ROW_EXPIRES);
    assert_int_equal(row.expires_us, SCENE_START_US + 1000);
    strata_cursor_close(cursor);

    const strata_scan_options keys = {.size = sizeof(keys), .keys_only = 1};
    strata_value value = {0};
    expect_ok(strata_kv_scan(scene->txn, NULL, &keys, &cursor));
    expect_invalid(strata_cursor_keep(cursor, &value), "row");
    expect_ok(strata_kv_next(cursor, &row));
    assert_null(row.value.data);
    assert_int_equal(row.version, 1);
    expect_invalid(strata_cursor_keep(cursor, &value), "value");
    strata_cursor_close(cursor);
}

static void expect_key(strata_cursor *cursor, const char *key)
{
    strata_row row;
    expect(strata_kv_next(cursor, &row), key != NULL ? STRATA_OK : STRATA_DONE);
    if (key == NULL)
        return;
    assert_int_equal(row.key.size, strlen(key));
    assert_memory_equal(row.key.data, key, row.key.size);
}

static void seek(strata_cursor *cursor, const char *key)
{
    expect_ok(strata_cursor_seek(cursor, strata_text(key)));
}

static void a_cursor_goes_where_it_is_sent(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    fill(scene);
    for (int round = 0; round < 2; round++) {
        strata_scan_options options = {
            .size = sizeof(options), .first = strata_text("ab"), .end = strata_text("d")};
        expect_ok(strata_kv_scan(scene->txn, NULL, &options, &cursor));
        seek(cursor, "b");
        expect_key(cursor, "b");
        expect_key(cursor, "ba");
        seek(cursor, "a");
        expect_key(cursor, "ab");
        seek(cursor, "bb");
        expect_key(cursor, "c");
        seek(cursor, "cb");
        expect_key(cursor, "cb");
        expect_key(cursor, NULL);
        expect_key(cursor, NULL);
        seek(cursor, "x");
        expect_key(cursor, NULL);
        seek(cursor, "cbx");
        expect_key(cursor, NULL);
        seek(cursor, "ca");
        seek(cursor, "abc");
        expect_key(cursor, "abc");
        expect_key(cursor, "b");
        strata_cursor_close(cursor);

        options.reverse = 1;
        expect_ok(strata_kv_scan(scene->txn, NULL, &options, &cursor));
        seek(cursor, "b");
        expect_key(cursor, "b");
        expect_key(cursor, "abc");
        seek(cursor, "z");
        expect_key(cursor, "cb");
        seek(cursor, "bz");
        expect_key(cursor, "ba");
        seek(cursor, "ab");
        expect_key(cursor, "ab");
        expect_key(cursor, NULL);
        seek(cursor, "a");
        expect_key(cursor, NULL);
        seek(cursor, "c");
        expect_key(cursor, "c");
        strata_cursor_close(cursor);
        expect_ok(strata_checkpoint(scene->db));
    }
}

static void a_limit_starts_over_with_a_seek(void **state)
{
    struct scene *scene = *state;
    const strata_scan_options options = {.size = sizeof(options), .limit = 2};
    strata_cursor *cursor = NULL;
    fill(scene);
    expect_ok(strata_kv_scan(scene->txn, NULL, &options, &cursor));
    expect_key(cursor, "a");
    expect_key(cursor, "ab");
    expect_key(cursor, NULL);
    seek(cursor, "c");
    expect_key(cursor, "c");
    expect_key(cursor, "ca");
    expect_key(cursor, NULL);
    strata_cursor_close(cursor);
}

static void a_cursor_moves_on_while_tables_change(void **state)
{
    struct scene *scene = *state;
    strata_cursor *forward = NULL, *backward = NULL;
    const strata_scan_options reverse = {.size = sizeof(reverse), .reverse = 1};
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%02d", i);
        put(scene->txn, key, "v");
    }
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &forward));
    expect_ok(strata_kv_scan(scene->txn, NULL, &reverse, &backward));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%02d", i);
        expect_key(forward, key);
        put(scene->txn, key, "new");
        snprintf(key, sizeof(key), "k%02dx", i);
        put(scene->txn, key, "new");
        snprintf(key, sizeof(key), "k%02d", 99 - i);
        expect_key(backward, key);
        expect_ok(strata_kv_delete(scene->txn, NULL, strata_text(key)));
        if (i % 10 == 3)
            expect_ok(strata_checkpoint(scene->db));
        if (i % 30 == 7)
            expect_ok(strata_compact(scene->db, NULL));
    }
    expect_key(forward, NULL);
    expect_key(backward, NULL);
    strata_cursor_close(forward);
    strata_cursor_close(backward);
}

static void a_kept_value_outlives_everything(void **state)
{
    struct scene *scene = *state;
    static unsigned char bytes[70000];
    strata_value kept[3] = {{0}, {0}, {0}};
    static const size_t sizes[] = {100, 5000, 70000};
    strata_cursor *cursor = NULL;
    strata_row row;
    for (unsigned i = 0; i < 3; i++) {
        fill_bytes(bytes, sizes[i], i);
        expect_ok(
            strata_kv_put(scene->txn, NULL, strata_view(&i, 1), strata_view(bytes, sizes[i])));
    }
    expect_ok(strata_checkpoint(scene->db));
    strata_txn *txn = begin(scene);
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    for (unsigned i = 0; i < 3; i++) {
        expect_ok(strata_kv_next(cursor, &row));
        assert_int_equal(row.value.size, sizes[i]);
        expect_ok(strata_cursor_keep(cursor, &kept[i]));
        assert_int_equal(kept[i].version, i + 1);
    }
    expect(strata_kv_next(cursor, &row), STRATA_DONE);
    expect_invalid(strata_cursor_keep(cursor, &kept[0]), "row");
    assert_null(kept[0].data);
    strata_cursor_close(cursor);
    strata_txn_close(txn);
    expect_ok(strata_space_delete(scene->txn, NULL));
    expect_ok(strata_compact(scene->db, NULL));
    for (unsigned i = 1; i < 3; i++) {
        fill_bytes(bytes, sizes[i], i);
        assert_int_equal(kept[i].size, sizes[i]);
        assert_memory_equal(kept[i].data, bytes, sizes[i]);
        strata_value_release(&kept[i]);
    }
}

static void a_value_too_large_to_show_is_passed_over(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 600000 };
    unsigned char *bytes = calloc(1, SIZE);
    strata_cursor *cursor = NULL;
    strata_row row;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    for (unsigned i = 0; i < 10; i++)
        put(scene->txn, names[i], "v");
    for (unsigned i = 1; i < 10; i += 4)
        expect_ok(strata_kv_put(scene->txn, NULL, strata_text(names[i]), strata_view(bytes, SIZE)));
    for (uint32_t reverse = 0; reverse < 2; reverse++) {
        const strata_scan_options options = {.size = sizeof(options), .reverse = reverse};
        expect_ok(strata_kv_scan(scene->txn, NULL, &options, &cursor));
        for (unsigned i = 0; i < 10; i++) {
            const unsigned at = reverse ? 9 - i : i;
            if (at % 4 == 1)
                expect(strata_kv_next(cursor, &row), STRATA_TOO_BIG);
            else
                expect_key(cursor, names[at]);
        }
        expect_key(cursor, NULL);
        strata_cursor_close(cursor);
    }
    const strata_scan_options keys = {.size = sizeof(keys), .keys_only = 1};
    assert_string_equal(keys_of(scene->txn, NULL, &keys), "a b c d e f g h i j ");
    strata_value value = {0};
    expect(strata_kv_get(scene->txn, NULL, strata_text("b"), &value), STRATA_TOO_BIG);
    free(bytes);
}

/* The size of value `i`: many small ones, some that fill a page, some that lie in an object. */
static size_t page_value_size(unsigned i)
{
    const unsigned draw = i * 2654435761u >> 20;
    return draw % 50 == 0 ? 66000 + draw : draw % 9 == 0 ? 2 * draw : draw % 300;
}

static void expect_page_row(strata_cursor *cursor, unsigned i, bool with_value)
{
    static unsigned char bytes[80000];
    char key[16];
    strata_row row;
    snprintf(key, sizeof(key), "k%04u", i);
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.key.size, strlen(key));
    assert_memory_equal(row.key.data, key, row.key.size);
    assert_int_equal(row.version, i + 1);
    assert_int_equal(row.value.data != NULL, with_value);
    assert_int_equal(row.value.size, with_value ? page_value_size(i) : 0);
    fill_bytes(bytes, page_value_size(i), i);
    if (with_value && row.value.size > 0)
        assert_memory_equal(row.value.data, bytes, row.value.size);
}

/* Rows are read many at a time: wherever that begins and ends, each is shown once. */
static void rows_of_all_sizes_are_shown_once_in_order(void **state)
{
    struct scene *scene = *state;
    enum { ROWS = 400 };
    static unsigned char bytes[80000];
    char key[16];
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "k%04u", i);
        fill_bytes(bytes, page_value_size(i), i);
        expect_ok(strata_kv_put(scene->txn, NULL, strata_text(key),
                                strata_view(bytes, page_value_size(i))));
        if (i == ROWS / 2)
            expect_ok(strata_checkpoint(scene->db));
    }
    for (unsigned round = 0; round < 8; round++) {
        const bool reverse = round % 2 == 1, with_value = round % 4 < 2;
        const unsigned limit = round < 4 ? ROWS : 37;
        const strata_scan_options options = {
            .size = sizeof(options), .reverse = reverse, .keys_only = !with_value, .limit = limit};
        strata_cursor *cursor = NULL;
        strata_row row;
        expect_ok(strata_kv_scan(scene->txn, NULL, &options, &cursor));
        /* Sent somewhere else in the middle of what was read ahead. */
        for (unsigned start = 0; start < ROWS; start += 77) {
            snprintf(key, sizeof(key), "k%04u", reverse ? ROWS - 1 - start : start);
            expect_ok(strata_cursor_seek(cursor, strata_text(key)));
            for (unsigned i = start; i < ROWS && i < start + 11; i++)
                expect_page_row(cursor, reverse ? ROWS - 1 - i : i, with_value);
        }
        expect_ok(strata_cursor_seek(cursor, strata_text(reverse ? "z" : "a")));
        for (unsigned i = 0; i < limit; i++) {
            expect_page_row(cursor, reverse ? ROWS - 1 - i : i, with_value);
            if (i % 150 == 20)
                expect_ok(strata_compact(scene->db, NULL));
        }
        expect(strata_kv_next(cursor, &row), STRATA_DONE);
        strata_cursor_close(cursor);
    }
}

static double pinned_bytes(const struct scene *scene)
{
    strata_metric metric;
    expect_ok(strata_metric_find(scene->db, "cache.pinned_bytes", &metric));
    return metric.value;
}

enum { LAID_ROWS = 600, LAID_SIZE = 300 };

static void lay_rows(struct scene *scene, unsigned round)
{
    unsigned char bytes[LAID_SIZE];
    char key[16];
    for (unsigned i = 0; i < LAID_ROWS; i++) {
        snprintf(key, sizeof(key), "k%04u", i);
        fill_bytes(bytes, LAID_SIZE, i + 7 * round);
        expect_ok(strata_kv_put(scene->txn, NULL, strata_text(key), strata_view(bytes, LAID_SIZE)));
    }
    expect_ok(strata_compact(scene->db, NULL));
}

static void expect_laid(const strata_row *row, unsigned i, unsigned round)
{
    unsigned char bytes[LAID_SIZE];
    fill_bytes(bytes, LAID_SIZE, i + 7 * round);
    assert_int_equal(row->value.size, LAID_SIZE);
    assert_memory_equal(row->value.data, bytes, LAID_SIZE);
}

/* Values that a cursor shows where they lie stay there, whatever becomes of the tables. */
static void shown_values_outlive_their_tables(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    strata_row row;
    unsigned at = 0;
    lay_rows(scene, 0);
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursor));
    for (unsigned round = 1; round < 16; round++) {
        for (unsigned left = 25 + round; left > 0; left--, at++)
            expect_ok(strata_kv_next(cursor, &row));
        assert_true(pinned_bytes(scene) > 0);
        lay_rows(scene, round);
        /* Other frames take the place of those that are gone. */
        uint64_t count = 0;
        expect_ok(strata_kv_count(scene->txn, NULL, NULL, &count));
        assert_int_equal(count, LAID_ROWS);
        expect_laid(&row, at - 1, 0);
    }
    strata_cursor_close(cursor);
    assert_true(pinned_bytes(scene) == 0);
}

static void scans_take_no_memory_once_warm(void **state)
{
    struct scene *scene = *state;
    strata_scan_options options = {.size = sizeof(options)};
    uint64_t before = 0;
    fill(scene);
    for (unsigned i = 0; i < 20; i++) {
        strata_cursor *cursor = NULL;
        if (i == 4)
            before = scene->heap.requests;
        options.reverse = i % 2;
        options.prefix = text(i % 4 < 2 ? "c" : NULL);
        options.after = text(i % 4 < 2 ? NULL : "b");
        expect_ok(strata_kv_scan(scene->txn, NULL, &options, &cursor));
        expect_key(cursor, i % 4 == 0 ? "c" : i % 4 == 1 ? "cb" : i % 4 == 2 ? "ba" : "abc");
        strata_row row;
        expect_ok(strata_kv_next(cursor, &row));
        strata_cursor_close(cursor);
    }
    assert_int_equal(scene->heap.requests, before);

    /* Two at once, closed in either order. */
    for (unsigned i = 0; i < 2; i++) {
        strata_cursor *cursors[2] = {NULL, NULL};
        expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursors[0]));
        expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursors[1]));
        expect_key(cursors[0], "a");
        strata_cursor_close(cursors[i]);
        expect_key(cursors[1 - i], i == 0 ? "a" : "ab");
        strata_cursor_close(cursors[1 - i]);
    }
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(all_bounds_hold_in_both_directions),
        SCENE_TEST(bounds_of_the_longest_keys_hold),
        SCENE_TEST(rows_show_what_gets_show),
        SCENE_TEST(a_cursor_goes_where_it_is_sent),
        SCENE_TEST(a_limit_starts_over_with_a_seek),
        SCENE_TEST(a_cursor_moves_on_while_tables_change),
        SCENE_TEST(a_kept_value_outlives_everything),
        SCENE_TEST(shown_values_outlive_their_tables),
        SCENE_TEST(scans_take_no_memory_once_warm),
        SCENE_TEST(rows_of_all_sizes_are_shown_once_in_order),
        cmocka_unit_test_setup_teardown(a_value_too_large_to_show_is_passed_over,
                                        scene_set_up_small, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
