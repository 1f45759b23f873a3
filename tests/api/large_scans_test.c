/* Scans under a large budget, where rows of one leaf are taken many at a time and shown where they lie:
 * whatever mixture of runs and memtables has them, each live row is shown once, in order, as it was when
 * the cursor was opened. */
#include "api/scene.h"
#include "core/random.h"

#include <stdio.h>

enum { KEYS = 4000, ROUNDS = 60, WRITES = 500, CURSORS = 4, WALK_ROWS_MAX = 150, VALUE_MAX = 900 };

/* What is there, and will be at any later time. */
struct item {
    uint64_t version;   /* 0: nothing. */
    int64_t expires_us; /* 0: never. */
    unsigned seed;
};

struct open_scan {
    strata_cursor *cursor;
    struct item items[KEYS]; /* As of its opening, */
    int64_t now_us;          /* which was then. */
    unsigned next;           /* No key before it is to come. */
    bool reverse;
};

struct world {
    struct scene scene;
    struct random random;
    struct item items[KEYS];
    struct open_scan scans[CURSORS];
    uint64_t rows_shown;
};

static unsigned below(struct world *world, unsigned bound)
{
    return (unsigned)(random_next(&world->random) % bound);
}

/* Keys of several lengths; runs of them share their beginnings, some beyond eight bytes. */
static strata_bytes key_of(unsigned number, char text[40])
{
    const char *middle = number % 400 >= 370 ? "-with-much-in-common-" : "-";
    snprintf(text, 40, "k%02u%s%04u", number / 100, middle, number);
    return strata_text(text);
}

static size_t value_size(unsigned seed)
{
    return seed % 11 == 0 ? seed % VALUE_MAX : seed % 90;
}

/* Only versions that are told by a read need a commit of their own; this is one each. */
static void write_one(struct world *world)
{
    unsigned char bytes[VALUE_MAX];
    char text[40];
    const unsigned number = below(world, 5) == 0 ? below(world, 100) : below(world, KEYS);
    struct item *item = &world->items[number];
    const strata_bytes key = key_of(number, text);
    strata_value value = {.size = 0};
    if (below(world, 6) == 0) {
        expect_ok(strata_kv_delete(world->scene.txn, NULL, key));
        *item = (struct item){.version = 0};
        return;
    }
    item->seed = below(world, 1u << 20);
    item->expires_us = 0;
    fill_bytes(bytes, value_size(item->seed), item->seed);
    strata_kv_put_options options = {.size = sizeof(options)};
    if (below(world, 20) == 0)
        options.expires_us = item->expires_us = SCENE_START_US + 1 + (int64_t)below(world, 2000);
    expect_ok(strata_kv_put_with(world->scene.txn, NULL, key,
                                 strata_view(bytes, value_size(item->seed)), &options));
    item->version = UINT64_MAX;
    if (strata_kv_get(world->scene.txn, NULL, key, &value) == STRATA_OK)
        item->version = value.version;
    strata_value_release(&value);
}

/* ---- scans that stay open ---- */

static bool item_live(const struct item *item, int64_t now_us)
{
    return item->version != 0 && (item->expires_us == 0 || item->expires_us > now_us);
}

/* The next key that is there, KEYS if there is none. */
static unsigned scan_skip(const struct open_scan *scan)
{
    unsigned at = scan->next;
    while (at < KEYS && !item_live(&scan->items[at], scan->now_us))
        at = scan->reverse ? at - 1 : at + 1; /* Below 0 is above all. */
    return at < KEYS ? at : KEYS;
}

static void expect_row(const strata_row *row, const struct item *item, unsigned number)
{
    unsigned char bytes[VALUE_MAX];
    char text[40];
    const strata_bytes key = key_of(number, text);
    assert_int_equal(row->key.size, key.size);
    assert_memory_equal(row->key.data, key.data, key.size);
    assert_int_equal(row->version, item->version);
    assert_int_equal(row->expires_us, item->expires_us);
    assert_int_equal(row->value.size, value_size(item->seed));
    fill_bytes(bytes, row->value.size, item->seed);
    if (row->value.size > 0)
        assert_memory_equal(row->value.data, bytes, row->value.size);
}

static void scan_start(struct world *world, struct open_scan *scan)
{
    const strata_scan_options options = {.size = sizeof(options),
                                         .reverse = below(world, 5) == 0,
                                         .limit = below(world, 3) == 0 ? 1 + below(world, 50) : 0};
    strata_cursor_close(scan->cursor);
    expect_ok(strata_kv_scan(world->scene.txn, NULL, &options, &scan->cursor));
    memcpy(scan->items, world->items, sizeof(scan->items));
    scan->now_us = world->scene.time.wall_us;
    scan->reverse = options.reverse != 0;
    scan->next = scan->reverse ? KEYS - 1 : 0;
    if (below(world, 4) != 0) {
        char text[40];
        scan->next = below(world, KEYS);
        expect_ok(strata_cursor_seek(scan->cursor, key_of(scan->next, text)));
    }
}

/* Some rows on. The row shown last is as it was until the next is asked for. */
static void scan_walk(struct world *world, struct open_scan *scan)
{
    strata_row row;
    for (unsigned left = below(world, WALK_ROWS_MAX); left > 0; left--) {
        const unsigned wanted = scan_skip(scan);
        const strata_status status = strata_kv_next(scan->cursor, &row);
        /* A limit may end it before. */
        if (status == STRATA_DONE) {
            strata_cursor_close(scan->cursor);
            scan->cursor = NULL;
            return;
        }
        expect_ok(status);
        assert_true(wanted < KEYS);
        expect_row(&row, &scan->items[wanted], wanted);
        scan->next = scan->reverse ? wanted - 1 : wanted + 1;
        world->rows_shown++;
    }
}

/* A whole scan without a limit, which ends where it should. */
static void check_all(struct world *world)
{
    struct open_scan *scan = calloc(1, sizeof(*scan));
    memcpy(scan->items, world->items, sizeof(scan->items));
    scan->now_us = world->scene.time.wall_us;
    strata_row row;
    unsigned wanted;
    expect_ok(strata_kv_scan(world->scene.txn, NULL, NULL, &scan->cursor));
    while ((wanted = scan_skip(scan)) < KEYS) {
        expect_ok(strata_kv_next(scan->cursor, &row));
        expect_row(&row, &scan->items[wanted], wanted);
        scan->next = wanted + 1;
    }
    expect(strata_kv_next(scan->cursor, &row), STRATA_DONE);
    strata_cursor_close(scan->cursor);
    free(scan);
}

static void scans_show_each_row_as_it_was(void **state)
{
    (void)state;
    struct world *world = calloc(1, sizeof(*world));
    world->random.state = 1;
    scene_open(&world->scene, true, (uint64_t)64 << 20);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < WRITES; i++)
            write_one(world);
        scene_pass(&world->scene, below(world, 60));
        const unsigned what = below(world, 8);
        if (what < 4)
            expect_ok(strata_checkpoint(world->scene.db));
        else if (what == 4)
            expect_ok(strata_compact(world->scene.db, NULL));
        for (unsigned i = 0; i < CURSORS; i++) {
            struct open_scan *scan = &world->scans[i];
            if (scan->cursor == NULL || below(world, 8) == 0)
                scan_start(world, scan);
            scan_walk(world, scan);
        }
        check_all(world);
    }
    assert_true(world->rows_shown > ROUNDS * CURSORS * 10);
    for (unsigned i = 0; i < CURSORS; i++)
        strata_cursor_close(world->scans[i].cursor);
    scene_reopen(&world->scene);
    check_all(world);
    scene_close(&world->scene);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scans_show_each_row_as_it_was)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
