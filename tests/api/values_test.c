/* Values that are held: how long they stay, what they cost, and when they are refused. */
#include "api/scene.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t held_bytes(struct scene *scene)
{
    strata_footprint footprint = {.size = sizeof(footprint)};
    expect_ok(strata_footprint_get(scene->db, &footprint));
    return footprint.held_value_bytes;
}

static void put_bytes(struct scene *scene, const char *key, const unsigned char *bytes, size_t size)
{
    expect_ok(strata_kv_put(scene->txn, NULL, strata_text(key), strata_view(bytes, size)));
}

static void a_held_value_outlives_all_but_its_release(void **state)
{
    struct scene *scene = *state;
    enum { KINDS = 4 };
    static const size_t sizes[KINDS] = {256, 257, 3000, 200000};
    static unsigned char bytes[200000];
    strata_value values[2][KINDS] = {{{0}}};
    char key[8];
    for (unsigned round = 0; round < 2; round++) {
        strata_txn *txn = begin(scene);
        for (unsigned i = 0; i < KINDS; i++) {
            snprintf(key, sizeof(key), "k%u", i);
            fill_bytes(bytes, sizes[i], i);
            if (round == 0)
                put_bytes(scene, key, bytes, sizes[i]);
        }
        expect_ok(strata_txn_renew(txn));
        for (unsigned i = 0; i < KINDS; i++) {
            snprintf(key, sizeof(key), "k%u", i);
            expect_ok(strata_kv_get(txn, NULL, strata_text(key), &values[round][i]));
        }
        strata_txn_close(txn);
        expect_ok(strata_checkpoint(scene->db));
    }
    for (unsigned i = 0; i < KINDS; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        put(scene->txn, key, "other");
    }
    expect_ok(strata_compact(scene->db, NULL));
    for (unsigned i = 0; i < 2 * KINDS; i++) {
        strata_value *value = &values[i / KINDS][i % KINDS];
        fill_bytes(bytes, sizes[i % KINDS], i % KINDS);
        assert_int_equal(value->size, sizes[i % KINDS]);
        assert_memory_equal(value->data, bytes, value->size);
    }
    assert_true(held_bytes(scene) >= 2 * (257 + 3000 + 200000));
    for (unsigned i = 0; i < 2 * KINDS; i++) {
        static const strata_value zero;
        strata_value *value = &values[i / KINDS][i % KINDS];
        strata_value_release(value);
        assert_memory_equal(value, &zero, sizeof(zero));
        strata_value_release(value);
    }
    assert_int_equal(held_bytes(scene), 0);
    strata_value_release(NULL);
}

static void a_value_that_is_read_again_lets_go_of_the_first(void **state)
{
    struct scene *scene = *state;
    static unsigned char bytes[5000];
    strata_value value = {0};
    static const strata_value zero;
    put_bytes(scene, "a", bytes, sizeof(bytes));
    put(scene->txn, "b", "small");
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
    const uint64_t held = held_bytes(scene);
    assert_true(held >= sizeof(bytes));
    for (int i = 0; i < 10; i++)
        expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
    assert_int_equal(held_bytes(scene), held);
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("b"), &value));
    assert_int_equal(held_bytes(scene), 0);
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
    expect(strata_kv_get(scene->txn, NULL, strata_text("none"), &value), STRATA_NOT_FOUND);
    assert_memory_equal(&value, &zero, sizeof(zero));
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
    expect(strata_kv_getv(scene->txn, NULL, strata_text("a"), 7, &value), STRATA_NOT_FOUND);
    assert_memory_equal(&value, &zero, sizeof(zero));
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
    expect_invalid(strata_kv_get(scene->txn, NULL, strata_view("", 0), &value), "key");
    assert_memory_equal(&value, &zero, sizeof(zero));
    assert_int_equal(held_bytes(scene), 0);
}

/* From tables and from memory: what is held is bounded, and told. */
static void holding_is_bounded(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 20000, COUNT = 60 };
    static unsigned char bytes[SIZE];
    static strata_value values[COUNT];
    char key[8];
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        put_bytes(scene, key, bytes, SIZE);
    }
    expect_ok(strata_checkpoint(scene->db));
    strata_status status = STRATA_OK;
    unsigned held = 0;
    for (; held < COUNT && status == STRATA_OK; held++) {
        snprintf(key, sizeof(key), "k%u", held);
        status = strata_kv_get(scene->txn, NULL, strata_text(key), &values[held]);
    }
    expect(status, STRATA_NO_MEMORY);
    assert_true(held > 10);
    assert_true(held_bytes(scene) <= 512 * 1024);
    for (unsigned i = 0; i < COUNT; i++)
        strata_value_release(&values[i]);
    assert_int_equal(held_bytes(scene), 0);
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("k9"), &values[0]));
    strata_value_release(&values[0]);
}

static void what_cannot_be_held_can_be_copied(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 400000 };
    unsigned char *bytes = calloc(1, SIZE);
    strata_value value = {0};
    fill_bytes(bytes, SIZE, 1);
    put_bytes(scene, "k", bytes, SIZE);
    expect(strata_kv_get(scene->txn, NULL, strata_text("k"), &value), STRATA_TOO_BIG);
    assert_non_null(strstr(strata_error_message(), "strata_kv_copy"));
    unsigned char piece[1000];
    strata_buffer buffer = {.data = piece, .capacity = sizeof(piece)};
    expect_ok(strata_kv_copy(scene->txn, NULL, strata_text("k"), SIZE - 500, &buffer));
    assert_int_equal(buffer.size, 500);
    assert_memory_equal(piece, bytes + SIZE - 500, 500);
    free(bytes);
}

#define SCENE_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_held_value_outlives_all_but_its_release, scene_set_up),
        SCENE_TEST(a_value_that_is_read_again_lets_go_of_the_first, scene_set_up),
        SCENE_TEST(holding_is_bounded, scene_set_up_small),
        SCENE_TEST(what_cannot_be_held_can_be_copied, scene_set_up_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
