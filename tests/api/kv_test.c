/* Gets, puts, deletions, conditions, times to live and versions of keys. */
#include "api/scene.h"

#include <stdio.h>

static const strata_bytes K = {"key", 3};

static void a_value_comes_back_with_version_and_time(void **state)
{
    struct scene *scene = *state;
    strata_value value = {0};
    put(scene->txn, "other", "x");
    scene_pass(scene, 50);
    put(scene->txn, "key", "value");
    scene_pass(scene, 50);
    expect_ok(strata_kv_get(scene->txn, NULL, K, &value));
    assert_int_equal(value.size, 5);
    assert_memory_equal(value.data, "value", 5);
    assert_ptr_equal(value.data, value.inline_bytes);
    assert_int_equal(value.version, 2);
    assert_int_equal(value.time_us, SCENE_START_US + 50);
    assert_int_equal(value.expires_us, 0);
    assert_int_equal(value.flags, 0);
    assert_int_equal(strata_txn_version(scene->txn), 2);
    expect(strata_kv_get(scene->txn, NULL, strata_text("none"), &value), STRATA_NOT_FOUND);
    static const strata_value zero;
    assert_memory_equal(&value, &zero, sizeof(zero));
}

static void values_of_every_size_come_back(void **state)
{
    struct scene *scene = *state;
    static const size_t sizes[] = {0,     1,     255,   256,   257,    4000,   4096,   5000,
                                   16000, 65535, 65536, 65537, 131072, 200000, 1000000};
    unsigned char *bytes = malloc(1000000), *read = malloc(1000000);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            const strata_bytes key = strata_view(&i, sizeof(i));
            fill_bytes(bytes, sizes[i], i);
            if (round == 0)
                expect_ok(strata_kv_put(scene->txn, NULL, key, strata_view(bytes, sizes[i])));
            strata_value value = {0};
            expect_ok(strata_kv_get(scene->txn, NULL, key, &value));
            assert_int_equal(value.size, sizes[i]);
            assert_non_null(value.data);
            assert_memory_equal(value.data, bytes, sizes[i]);
            strata_value_release(&value);
            strata_buffer buffer = {.data = read, .capacity = 1000000};
            expect_ok(strata_kv_copy(scene->txn, NULL, key, 0, &buffer));
            assert_int_equal(buffer.size, sizes[i]);
            assert_int_equal(buffer.total, sizes[i]);
            assert_memory_equal(read, bytes, sizes[i]);
            expect_ok(strata_kv_exists(scene->txn, NULL, key));
        }
        expect_ok(strata_checkpoint(scene->db));
    }
    free(bytes);
    free(read);
}

static void keys_of_every_size_are_taken(void **state)
{
    struct scene *scene = *state;
    unsigned char key[16385];
    fill_bytes(key, sizeof(key), 3);
    static const size_t sizes[] = {1, 2, 255, 4096, 16383, 16384};
    for (unsigned i = 0; i < 6; i++)
        expect_ok(strata_kv_put(scene->txn, NULL, strata_view(key, sizes[i]), strata_text("v")));
    expect_ok(strata_checkpoint(scene->db));
    for (unsigned i = 0; i < 6; i++)
        expect_ok(strata_kv_exists(scene->txn, NULL, strata_view(key, sizes[i])));
    expect(strata_kv_put(scene->txn, NULL, strata_view(key, 16385), strata_text("v")),
           STRATA_TOO_BIG);
    expect(strata_kv_exists(scene->txn, NULL, strata_view(key, 16385)), STRATA_TOO_BIG);
    uint64_t count = 0;
    expect_ok(strata_kv_count(scene->txn, NULL, NULL, &count));
    assert_int_equal(count, 6);
}

static void a_copy_reads_any_piece(void **state)
{
    struct scene *scene = *state;
    char read[16];
    put(scene->txn, "key", "0123456789");
    static const struct {
        uint64_t offset;
        size_t capacity, size;
    } cases[] = {{0, 16, 10}, {0, 4, 4},  {3, 4, 4}, {8, 16, 2},
                 {10, 4, 0},  {99, 4, 0}, {0, 0, 0}, {UINT64_MAX, 4, 0}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        strata_buffer buffer = {.data = cases[i].capacity > 0 ? read : NULL,
                                .capacity = cases[i].capacity};
        expect_ok(strata_kv_copy(scene->txn, NULL, K, cases[i].offset, &buffer));
        assert_int_equal(buffer.size, cases[i].size);
        assert_int_equal(buffer.total, 10);
        assert_memory_equal(read, "0123456789" + (cases[i].size > 0 ? cases[i].offset : 0),
                            cases[i].size);
    }
    strata_buffer buffer = {.data = read, .capacity = 4};
    expect(strata_kv_copy(scene->txn, NULL, strata_text("none"), 0, &buffer), STRATA_NOT_FOUND);
}

static void many_keys_are_read_at_one_moment(void **state)
{
    struct scene *scene = *state;
    enum { COUNT = 1000 };
    static strata_value values[COUNT];
    static strata_bytes keys[COUNT];
    static char names[COUNT][8];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "k%d", i);
        keys[i] = strata_text(names[i]);
        if (i % 3 != 0)
            put(scene->txn, names[i], names[i]);
    }
    for (int round = 0; round < 2; round++) {
        expect_ok(strata_kv_get_many(scene->txn, NULL, keys, COUNT, values));
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(values[i].data != NULL, i % 3 != 0);
            if (i % 3 != 0)
                assert_memory_equal(values[i].data, names[i], values[i].size);
        }
    }
    keys[500].size = 0;
    expect_invalid(strata_kv_get_many(scene->txn, NULL, keys, COUNT, values), "key");
    for (int i = 0; i < COUNT; i++)
        assert_null(values[i].data);
    expect_ok(strata_kv_get_many(scene->txn, NULL, NULL, 0, NULL));
}

static void deleting_what_is_absent_writes_nothing(void **state)
{
    struct scene *scene = *state;
    uint64_t visible = 0;
    expect_ok(strata_kv_delete(scene->txn, NULL, K));
    strata_watermarks(scene->db, &visible, NULL);
    assert_int_equal(visible, 0);
    put(scene->txn, "key", "value");
    expect_ok(strata_kv_delete(scene->txn, NULL, K));
    assert_null(get(scene->txn, "key"));
    expect_ok(strata_kv_delete(scene->txn, NULL, K));
    strata_watermarks(scene->db, &visible, NULL);
    assert_int_equal(visible, 2);

    strata_txn *txn = begin(scene);
    strata_commit commit = {7, 7};
    expect_ok(strata_kv_delete(txn, NULL, K));
    expect_ok(strata_txn_commit(txn, &commit));
    assert_int_equal(commit.version, 0);
    strata_txn_close(txn);
}

/* ---- conditions ------------------------------------------------------------------------------ */

static strata_status put_if(strata_txn *txn, uint32_t condition, uint64_t version,
                            const char *expected, const char *value)
{
    const strata_kv_put_options options = {
        .size = sizeof(options),
        .condition = condition,
        .expected_version = version,
        .expected_value = expected != NULL ? strata_text(expected) : strata_view(NULL, 0),
        .remove = value == NULL,
    };
    return strata_kv_put_with(txn, NULL, K, value != NULL ? strata_text(value) : strata_view(0, 0),
                              &options);
}

/* In all three places where a condition can be judged. */
static void check_conditions(struct scene *scene, strata_txn *txn)
{
    expect(put_if(txn, STRATA_IF_PRESENT, 0, NULL, "a"), STRATA_CONFLICT);
    assert_string_equal(strata_error_message(), "the condition does not hold");
    expect(put_if(txn, STRATA_IF_VERSION, 1, NULL, "a"), STRATA_CONFLICT);
    expect(put_if(txn, STRATA_IF_VALUE, 0, "", "a"), STRATA_CONFLICT);
    expect(put_if(txn, STRATA_IF_PRESENT, 0, NULL, NULL), STRATA_CONFLICT);
    assert_null(get(txn, "key"));
    expect_ok(put_if(txn, STRATA_IF_ABSENT, 0, NULL, "a"));
    expect(put_if(txn, STRATA_IF_ABSENT, 0, NULL, "b"), STRATA_CONFLICT);
    expect_ok(put_if(txn, STRATA_IF_PRESENT, 0, NULL, "b"));
    expect(put_if(txn, STRATA_IF_VALUE, 0, "c", "d"), STRATA_CONFLICT);
    expect(put_if(txn, STRATA_IF_VALUE, 0, "bb", "d"), STRATA_CONFLICT);
    expect_ok(put_if(txn, STRATA_IF_VALUE, 0, "b", "d"));
    strata_value value = {0};
    expect_ok(strata_kv_get(txn, NULL, K, &value));
    expect(put_if(txn, STRATA_IF_VERSION, value.version + 1, NULL, "e"), STRATA_CONFLICT);
    expect_ok(put_if(txn, STRATA_IF_VERSION, value.version, NULL, "e"));
    strata_value_release(&value);
    assert_string_equal(get(txn, "key"), "e");
    expect(put_if(txn, STRATA_IF_VALUE, 0, "x", NULL), STRATA_CONFLICT);
    expect_ok(put_if(txn, STRATA_IF_VALUE, 0, "e", NULL));
    assert_null(get(txn, "key"));
    expect_ok(put_if(txn, STRATA_IF_ANYTHING, 0, NULL, NULL));
    expect_ok(put_if(txn, STRATA_IF_ABSENT, 0, NULL, NULL));
    (void)scene;
}

static void conditions_hold_or_nothing_is_written(void **state)
{
    struct scene *scene = *state;
    strata_txn *txn = begin(scene);
    check_conditions(scene, txn);
    expect_ok(put_if(txn, STRATA_IF_ABSENT, 0, NULL, "kept"));
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    assert_string_equal(get(scene->txn, "key"), "kept");
    expect_ok(strata_kv_delete(scene->txn, NULL, K));
    check_conditions(scene, scene->txn);
}

static void a_condition_compares_long_values(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 300000 };
    unsigned char *bytes = malloc(SIZE);
    fill_bytes(bytes, SIZE, 5);
    strata_kv_put_options options = {
        .size = sizeof(options), .condition = STRATA_IF_VALUE, .expected_value = {bytes, SIZE}};
    expect_ok(strata_kv_put(scene->txn, NULL, K, strata_view(bytes, SIZE)));
    bytes[SIZE - 1] ^= 1;
    expect(strata_kv_put_with(scene->txn, NULL, K, strata_text("x"), &options), STRATA_CONFLICT);
    bytes[SIZE - 1] ^= 1;
    expect_ok(strata_kv_put_with(scene->txn, NULL, K, strata_text("x"), &options));
    assert_string_equal(get(scene->txn, "key"), "x");
    free(bytes);
}

/* ---- times to live --------------------------------------------------------------------------- */

static void rows_expire_at_the_time_of_the_view(void **state)
{
    struct scene *scene = *state;
    const strata_kv_put_options options = {.size = sizeof(options), .ttl_us = 1000};
    strata_value value = {0};
    expect_ok(strata_kv_put_with(scene->txn, NULL, K, strata_text("v"), &options));
    strata_txn *then = snapshot(scene, strata_head("main"));
    expect_ok(strata_kv_get(scene->txn, NULL, K, &value));
    assert_int_equal(value.expires_us, SCENE_START_US + 1000);
    assert_int_equal(value.flags, STRATA_ROW_EXPIRES);
    strata_value_release(&value);
    scene_pass(scene, 999);
    assert_string_equal(get(scene->txn, "key"), "v");
    strata_txn *last = snapshot(scene, strata_head("main"));
    scene_pass(scene, 1);
    assert_null(get(scene->txn, "key"));
    expect(strata_kv_exists(scene->txn, NULL, K), STRATA_NOT_FOUND);
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "");
    expect(put_if(scene->txn, STRATA_IF_PRESENT, 0, NULL, "x"), STRATA_CONFLICT);
    /* Views of earlier times still see it. */
    assert_string_equal(get(then, "key"), "v");
    assert_string_equal(get(last, "key"), "v");
    strata_txn *as_of = snapshot(scene, strata_at_time("main", SCENE_START_US + 999));
    assert_string_equal(get(as_of, "key"), "v");
    strata_txn_close(as_of);
    as_of = snapshot(scene, strata_at_time("main", SCENE_START_US + 1000));
    assert_null(get(as_of, "key"));
    strata_txn_close(as_of);
    as_of = snapshot(scene, strata_at_version("main", 1));
    assert_string_equal(get(as_of, "key"), "v");
    strata_txn_close(as_of);
    expect_ok(strata_txn_renew(last));
    assert_null(get(last, "key"));
    strata_txn_close(then);
    strata_txn_close(last);
    expect_ok(put_if(scene->txn, STRATA_IF_ABSENT, 0, NULL, "again"));
    assert_string_equal(get(scene->txn, "key"), "again");
}

static void a_time_to_live_counts_from_the_commit(void **state)
{
    struct scene *scene = *state;
    const strata_kv_put_options lives = {.size = sizeof(lives), .ttl_us = 1000};
    const strata_kv_put_options until = {.size = sizeof(until),
                                         .expires_us = SCENE_START_US + 5000};
    const strata_kv_put_options over = {.size = sizeof(over), .expires_us = SCENE_START_US};
    strata_txn *txn = begin(scene);
    strata_value value = {0};
    expect_ok(strata_kv_put_with(txn, NULL, strata_text("lives"), strata_text("v"), &lives));
    expect_ok(strata_kv_put_with(txn, NULL, strata_text("until"), strata_text("v"), &until));
    expect_ok(strata_kv_put_with(txn, NULL, strata_text("over"), strata_text("v"), &over));
    assert_string_equal(keys_of(txn, NULL, NULL), "lives until ");
    scene_pass(scene, 300);
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("lives"), &value));
    assert_int_equal(value.expires_us, SCENE_START_US + 1300);
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("until"), &value));
    assert_int_equal(value.expires_us, SCENE_START_US + 5000);
    expect(strata_kv_get(scene->txn, NULL, strata_text("over"), &value), STRATA_NOT_FOUND);
    const strata_kv_write write = {.key = K, .value = strata_text("v"), .ttl_us = 10};
    expect_ok(strata_kv_put_many(scene->txn, NULL, &write, 1));
    expect_ok(strata_kv_get(scene->txn, NULL, K, &value));
    assert_int_equal(value.expires_us, SCENE_START_US + 310);
}

/* ---- many writes ----------------------------------------------------------------------------- */

static void many_writes_are_one_commit(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "c", "old");
    const strata_kv_write writes[] = {
        {.key = strata_text("a"), .value = strata_text("1")},
        {.key = strata_text("b"), .value = strata_view(NULL, 0)},
        {.key = strata_text("c"), .remove = 1},
        {.key = strata_text("a"), .value = strata_text("2")},
        {.key = strata_text("d"), .value = strata_text("3")},
        {.key = strata_text("d"), .remove = 1},
        {.key = strata_text("none"), .remove = 1},
    };
    expect_ok(strata_kv_put_many(scene->txn, NULL, writes, 7));
    assert_int_equal(strata_txn_version(scene->txn), 2);
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "a b ");
    assert_string_equal(get(scene->txn, "a"), "2");
    assert_string_equal(get(scene->txn, "b"), "");
    expect_ok(strata_kv_put_many(scene->txn, NULL, NULL, 0));
    expect_ok(strata_kv_put_many(scene->txn, NULL, &writes[6], 1));
    assert_int_equal(strata_txn_version(scene->txn), 2);
}

static void many_writes_are_all_or_nothing(void **state)
{
    struct scene *scene = *state;
    enum { KEY_SIZE = 16000, COUNT = 8 };
    static unsigned char keys[COUNT][KEY_SIZE];
    strata_kv_write writes[COUNT];
    for (unsigned char i = 0; i < COUNT; i++) {
        memset(keys[i], 'a' + i, KEY_SIZE);
        writes[i] = (strata_kv_write){.key = {keys[i], KEY_SIZE}, .value = strata_text("v")};
    }
    /* More than one transaction may hold under 1 MiB. */
    expect(strata_kv_put_many(scene->txn, NULL, writes, COUNT), STRATA_TOO_BIG);
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "");
    strata_txn *txn = begin(scene);
    put(txn, "before", "v");
    expect(strata_kv_put_many(txn, NULL, writes, COUNT), STRATA_TOO_BIG);
    assert_string_equal(keys_of(txn, NULL, NULL), "before ");
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "before ");
}

/* The bytes of values do not count: under 1 MiB, 2 MB of them are one commit. */
static void a_transaction_may_have_any_number_of_bytes(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 20000, COUNT = 100 };
    static unsigned char bytes[SIZE];
    for (unsigned round = 0; round < 2; round++) {
        strata_txn *txn = begin(scene);
        for (unsigned i = 0; i < COUNT; i++) {
            const unsigned char name[] = {(unsigned char)('a' + round), (unsigned char)(1 + i)};
            memset(bytes, (int)i, SIZE);
            expect_ok(strata_kv_put(txn, NULL, strata_view(name, 2), strata_view(bytes, SIZE)));
        }
        if (round == 0)
            expect_ok(strata_txn_commit(txn, NULL));
        strata_txn_close(txn);
    }
    scene_reopen(scene);
    strata_value value = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        const unsigned char name[] = {'a', (unsigned char)(1 + i)};
        memset(bytes, (int)i, SIZE);
        expect_ok(strata_kv_get(scene->txn, NULL, strata_view(name, 2), &value));
        assert_int_equal(value.size, SIZE);
        assert_memory_equal(value.data, bytes, SIZE);
    }
    strata_value_release(&value);
    expect(strata_kv_exists(scene->txn, NULL, strata_text("b\1")), STRATA_NOT_FOUND);
}

/* ---- versions -------------------------------------------------------------------------------- */

static void every_version_of_a_key_can_be_read(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "key", "one");
    put(scene->txn, "other", "x");
    put(scene->txn, "key", "two");
    expect_ok(strata_kv_delete(scene->txn, NULL, K));
    expect_ok(strata_checkpoint(scene->db));
    put(scene->txn, "key", "three");
    for (int round = 0; round < 3; round++) {
        static const char *const texts[] = {"three", NULL, "two", "one", NULL, NULL};
        static const uint64_t versions[] = {5, 4, 3, 1};
        for (uint64_t back = 0; back < 6; back++) {
            strata_value value = {0};
            const strata_status status = strata_kv_getv(scene->txn, NULL, K, back, &value);
            expect(status, texts[back] != NULL ? STRATA_OK : STRATA_NOT_FOUND);
            if (texts[back] != NULL)
                assert_memory_equal(value.data, texts[back], value.size);
            strata_value_release(&value);
        }
        strata_cursor *cursor = NULL;
        strata_row row;
        expect_ok(strata_kv_history(scene->txn, NULL, K, &cursor));
        for (unsigned i = 0; i < 4; i++) {
            expect_ok(strata_kv_next(cursor, &row));
            assert_int_equal(row.version, versions[i]);
            assert_memory_equal(row.key.data, "key", 3);
            assert_int_equal(row.flags, i == 1 ? STRATA_ROW_TOMBSTONE : 0);
            assert_int_equal(row.value.data == NULL, i == 1);
        }
        expect(strata_kv_next(cursor, &row), STRATA_DONE);
        expect(strata_kv_next(cursor, &row), STRATA_DONE);
        expect_invalid(strata_cursor_seek(cursor, K), "kind");
        strata_cursor_close(cursor);
        expect_ok(round == 0 ? strata_checkpoint(scene->db) : strata_compact(scene->db, NULL));
    }
}

static void a_history_begins_with_the_own_write(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_value value = {0};
    put(scene->txn, "key", "old");
    strata_txn *txn = begin(scene);
    put(txn, "key", "new");
    expect_ok(strata_kv_history(txn, NULL, K, &cursor));
    put(txn, "key", "newer");
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.version, 0);
    assert_memory_equal(row.value.data, "new", 3);
    expect_ok(strata_cursor_keep(cursor, &value));
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.version, 1);
    expect(strata_kv_next(cursor, &row), STRATA_DONE);
    strata_cursor_close(cursor);
    expect_ok(strata_kv_getv(txn, NULL, K, 1, &value));
    assert_memory_equal(value.data, "old", 3);
    strata_txn_close(txn);
}

static void a_deleted_space_is_empty_and_keeps_its_history(void **state)
{
    struct scene *scene = *state;
    strata_space *space = NULL, *same = NULL, *other = NULL;
    strata_cursor *cursor = NULL;
    strata_row row;
    uint64_t count = 1;
    expect_ok(strata_space_open(scene->db, "tasks", &space));
    expect_ok(strata_space_open(scene->db, "tasks", &same));
    expect_ok(strata_space_open(scene->db, "other", &other));
    assert_string_equal(strata_space_name(space), "tasks");
    assert_string_equal(strata_space_name(NULL), "default");
    expect_ok(strata_kv_put(scene->txn, space, K, strata_text("1")));
    expect_ok(strata_kv_put(scene->txn, same, strata_text("k2"), strata_text("2")));
    expect_ok(strata_kv_put(scene->txn, other, K, strata_text("3")));
    put(scene->txn, "key", "default");
    strata_txn *before = snapshot(scene, strata_head("main"));
    strata_space *never = NULL;
    uint64_t visible = 0;
    expect_ok(strata_space_open(scene->db, "never", &never));
    expect_ok(strata_space_delete(scene->txn, never));
    strata_watermarks(scene->db, &visible, NULL);
    assert_int_equal(visible, 4);
    expect_ok(strata_space_delete(scene->txn, space));
    expect_ok(strata_kv_count(scene->txn, space, NULL, &count));
    assert_int_equal(count, 0);
    expect(strata_kv_exists(scene->txn, space, K), STRATA_NOT_FOUND);
    expect_ok(strata_kv_exists(scene->txn, other, K));
    assert_string_equal(get(scene->txn, "key"), "default");
    expect_ok(strata_kv_exists(before, space, K));
    expect_ok(strata_kv_history(scene->txn, space, K, &cursor));
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.flags, STRATA_ROW_TOMBSTONE);
    expect_ok(strata_kv_next(cursor, &row));
    assert_memory_equal(row.value.data, "1", 1);
    expect(strata_kv_next(cursor, &row), STRATA_DONE);
    strata_cursor_close(cursor);
    expect_ok(strata_kv_put(scene->txn, space, K, strata_text("again")));
    assert_string_equal(keys_of(scene->txn, space, NULL), "key ");
    strata_txn_close(before);
    strata_space_close(space);
    strata_space_close(NULL);
}

static void the_spaces_of_a_branch_are_listed(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"zebra", "apple", "empty", "\xc3\xa4rger"};
    strata_cursor *cursor = NULL;
    const char *name = NULL;
    expect_ok(strata_space_list(scene->txn, &cursor));
    expect(strata_name_next(cursor, &name), STRATA_DONE);
    strata_cursor_close(cursor);
    for (int i = 0; i < 4; i++) {
        strata_space *space = NULL;
        expect_ok(strata_space_open(scene->db, names[i], &space));
        if (i != 2)
            expect_ok(strata_kv_put(scene->txn, space, K, strata_text("v")));
    }
    put(scene->txn, "key", "v");
    strata_txn *txn = begin(scene);
    strata_space *own = NULL;
    expect_ok(strata_space_open(scene->db, "own", &own));
    expect_ok(strata_kv_put(txn, own, K, strata_text("v")));
    static const char *const wanted[] = {"apple", "default", "own", "zebra", "\xc3\xa4rger"};
    expect_ok(strata_space_list(txn, &cursor));
    for (int i = 0; i < 5; i++) {
        expect_ok(strata_name_next(cursor, &name));
        assert_string_equal(name, wanted[i]);
    }
    expect(strata_name_next(cursor, &name), STRATA_DONE);
    expect(strata_name_next(cursor, &name), STRATA_DONE);
    strata_txn_reset(txn);
    expect(strata_name_next(cursor, &name), STRATA_CLOSED);
    strata_cursor_close(cursor);
    strata_txn_close(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_comes_back_with_version_and_time, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(values_of_every_size_come_back, scene_set_up_folder,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(keys_of_every_size_are_taken, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_copy_reads_any_piece, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(many_keys_are_read_at_one_moment, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(deleting_what_is_absent_writes_nothing, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(conditions_hold_or_nothing_is_written, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_condition_compares_long_values, scene_set_up_folder,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(rows_expire_at_the_time_of_the_view, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_time_to_live_counts_from_the_commit, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(many_writes_are_one_commit, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(many_writes_are_all_or_nothing, scene_set_up_small,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_may_have_any_number_of_bytes,
                                        scene_set_up_small_folder, scene_tear_down),
        cmocka_unit_test_setup_teardown(every_version_of_a_key_can_be_read, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_history_begins_with_the_own_write, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_space_is_empty_and_keeps_its_history,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(the_spaces_of_a_branch_are_listed, scene_set_up,
                                        scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
