/* Single puts of many new keys in any order under a large budget, where each takes a while to arrive in the
 * order of the memtable: every get and scan in between shows all of them. */
#include "api/scene.h"
#include "core/random.h"

#include <stdio.h>

enum { KEYS = 6000, STEP = 3701 /* Prime to KEYS. */, WALK_ROWS = 12 };

struct many {
    struct scene scene;
    struct random random;
    bool there[KEYS];
};

static strata_bytes key_of(unsigned number, char text[16])
{
    snprintf(text, 16, "key-%06u", number);
    return strata_text(text);
}

/* The next key that is there, `KEYS` if there is none. */
static unsigned next_there(const bool *there, unsigned number, bool reverse)
{
    while (number < KEYS && !there[number])
        number = reverse ? number - 1 : number + 1; /* Below 0 is above all. */
    return number < KEYS ? number : KEYS;
}

static void check_row(strata_cursor *cursor, unsigned wanted)
{
    char text[16];
    strata_row row;
    expect(strata_kv_next(cursor, &row), wanted < KEYS ? STRATA_OK : STRATA_DONE);
    if (wanted == KEYS)
        return;
    const strata_bytes key = key_of(wanted, text);
    assert_int_equal(row.key.size, key.size);
    assert_memory_equal(row.key.data, key.data, key.size);
}

/* From a key that is mostly near `number`. */
static void check_walk(struct many *many, unsigned number)
{
    char text[16];
    const unsigned start = (number + (unsigned)(random_next(&many->random) % 9) + KEYS - 4) % KEYS;
    const bool reverse = random_next(&many->random) % 2 == 0;
    strata_cursor *cursor;
    const strata_scan_options options = {.size = sizeof(options), .reverse = reverse};
    expect_ok(strata_kv_scan(many->scene.txn, NULL, &options, &cursor));
    expect_ok(strata_cursor_seek(cursor, key_of(start, text)));
    unsigned at = next_there(many->there, start, reverse);
    for (unsigned i = 0; i < WALK_ROWS; i++) {
        check_row(cursor, at);
        if (at == KEYS)
            break;
        at = next_there(many->there, reverse ? at - 1 : at + 1, reverse);
    }
    strata_cursor_close(cursor);
}

static void check_get(struct many *many, unsigned number)
{
    char text[16];
    key_of(number, text);
    const char *value = get(many->scene.txn, text);
    assert_int_equal(value != NULL, many->there[number]);
    if (value != NULL)
        assert_string_equal(value, text);
}

static void check_all(struct many *many)
{
    strata_cursor *cursor;
    expect_ok(strata_kv_scan(many->scene.txn, NULL, NULL, &cursor));
    for (unsigned i = 0; i < KEYS; i++)
        check_row(cursor, i);
    check_row(cursor, KEYS);
    strata_cursor_close(cursor);
}

static void new_keys_are_seen_at_once(void **state)
{
    (void)state;
    static struct many many;
    char text[16];
    many = (struct many){.random = {.state = 1}};
    scene_open(&many.scene, true, (uint64_t)128 << 20);
    for (unsigned i = 0; i < KEYS; i++) {
        const unsigned number = i * STEP % KEYS;
        key_of(number, text);
        put(many.scene.txn, text, text);
        many.there[number] = true;
        /* A walk makes the next few hundred keys go straight in: there are to be others, too. */
        if (random_next(&many.random) % 100 == 0)
            check_walk(&many, number);
        check_get(&many, number);
        check_get(&many, (unsigned)(random_next(&many.random) % KEYS));
    }
    check_all(&many);
    scene_reopen(&many.scene);
    check_all(&many);
    scene_close(&many.scene);
}

static double cache_misses(const struct scene *scene)
{
    strata_metric metric;
    expect_ok(strata_metric_find(scene->db, "cache.misses", &metric));
    return metric.value;
}

/* Keys of a run whose buckets would take more than half of the cache: with these each get would read a
 * bucket and a leaf, the index is there and leaves the leaf. */
static void a_get_beyond_the_cache_takes_one_read(void **state)
{
    (void)state;
    enum { ROWS = 500000, BATCH = 1000, GETS = 20000 };
    static char texts[BATCH][16];
    static strata_kv_write writes[BATCH];
    struct scene scene;
    struct random random = {.state = 1};
    strata_value value = {.size = 0};
    scene_open(&scene, false, (uint64_t)16 << 20);
    for (unsigned i = 0; i < ROWS; i++) {
        const strata_bytes key = key_of(i, texts[i % BATCH]);
        writes[i % BATCH] = (strata_kv_write){.key = key, .value = key};
        if (i % BATCH == BATCH - 1)
            expect_ok(strata_kv_put_many(scene.txn, NULL, writes, BATCH));
    }
    expect_ok(strata_compact(scene.db, NULL));
    double before = 0;
    for (unsigned i = 0; i < 2 * GETS; i++) {
        if (i == GETS) /* The cache is as it will be. */
            before = cache_misses(&scene);
        const strata_bytes key = key_of((unsigned)(random_next(&random) % ROWS), texts[0]);
        expect_ok(strata_kv_get(scene.txn, NULL, key, &value));
        assert_int_equal(value.size, key.size);
    }
    strata_value_release(&value);
    assert_true(cache_misses(&scene) - before < 1.05 * GETS);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(new_keys_are_seen_at_once),
                                       cmocka_unit_test(a_get_beyond_the_cache_takes_one_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
