/* Keys that a memtable has and its tree does not yet. */
#include "core/random.h"
#include "layout/key.h"
#include "support.h"
#include "table/memtable.h"

#include <pthread.h>

/* Large enough for the tree's nodes to have chunks of their own. */
enum { CHUNK_BYTES = 1 << 20 };

static struct memtable *new_memtable(void)
{
    struct memtable *memtable = NULL;
    assert_int_equal(memtable_create(&heap, CHUNK_BYTES, 1, &memtable), STRATA_OK);
    return memtable;
}

enum { WAY_KEYS = 1400, WAY_SETS = 200 };

static struct bytes way_key_of(uint64_t rank, uint8_t key[KEY_PREFIX_SIZE + 8])
{
    key_prefix_store(key, 1, storage_space(SPACE_DEFAULT, KIND_KV));
    store_ordered_u64(key + KEY_PREFIX_SIZE, rank * 3);
    return bytes_of(key, KEY_PREFIX_SIZE + 8);
}

static void insert_key(struct memtable *memtable, uint64_t rank)
{
    uint8_t key[KEY_PREFIX_SIZE + 8];
    const struct row row = {.key = way_key_of(rank, key), .from = 1};
    assert_int_equal(memtable_reserve(memtable, 1, row.key.length, 0), STRATA_OK);
    memtable_insert(memtable, &row);
}

/* Where the walk that `rows` makes from `rank` on goes, `steps` in all, is where `there` says. */
static void check_way_walk(struct source *rows, const bool *there, uint64_t rank, bool forward,
                           unsigned steps)
{
    uint8_t key[KEY_PREFIX_SIZE + 8];
    for (uint64_t at = rank; steps > 0; steps--) {
        while (at < WAY_KEYS && !there[at])
            at += forward ? 1 : UINT64_MAX;
        assert_int_equal(rows->valid, at < WAY_KEYS);
        if (at >= WAY_KEYS)
            return;
        assert_true(bytes_equal(rows->row.key, way_key_of(at, key)));
        assert_int_equal(forward ? source_next(rows) : source_previous(rows), STRATA_OK);
        at += forward ? 1 : UINT64_MAX;
    }
}

/* Searches at the key of a rank, which may be there or not, and turns there. */
static void check_way(struct memtable *memtable, const bool *there, uint64_t rank, unsigned steps)
{
    uint8_t key[KEY_PREFIX_SIZE + 8];
    struct memtable_source source;
    struct source *rows = &source.source;
    const struct bytes wanted = way_key_of(rank, key);
    memtable_source_init(&source, memtable);
    assert_int_equal(source_seek(rows, wanted, UINT64_MAX), STRATA_OK);
    check_way_walk(rows, there, rank, true, steps);
    assert_int_equal(source_seek(rows, wanted, 0), STRATA_OK);
    check_way_walk(rows, there, rank + 1, true, 1);
    assert_int_equal(source_seek(rows, wanted, UINT64_MAX), STRATA_OK);
    if (rows->valid) {
        assert_int_equal(source_previous(rows), STRATA_OK);
        check_way_walk(rows, there, rank - 1, false, steps);
    }
    assert_int_equal(source_seek_before(rows, wanted), STRATA_OK);
    check_way_walk(rows, there, rank - 1, false, steps);
    assert_int_equal(source_seek_before(rows, wanted), STRATA_OK);
    if (rows->valid) {
        uint64_t before = rank - 1;
        while (!there[before])
            before--;
        assert_int_equal(source_next(rows), STRATA_OK);
        check_way_walk(rows, there, before + 1, true, steps);
    }
}

/* All keys but for a few, then those, which are on their way now. */
static struct memtable *memtable_with_late(const uint64_t late[TREE_KEYS_AHEAD], bool *there)
{
    struct memtable *memtable = new_memtable();
    for (uint64_t rank = 0; rank < WAY_KEYS; rank++)
        there[rank] = true;
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++)
        there[late[i]] = false;
    for (uint64_t rank = 0; rank < WAY_KEYS; rank++) {
        if (there[rank])
            insert_key(memtable, rank);
    }
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++) {
        insert_key(memtable, late[i]);
        there[late[i]] = true;
    }
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++)
        assert_true(memtable->way.names[i] != 0);
    return memtable;
}

static const uint64_t late_at_the_ends[TREE_KEYS_AHEAD] = {WAY_KEYS - 1, 0, WAY_KEYS - 2, 1};

static void choose_late(struct random *random, uint64_t late[TREE_KEYS_AHEAD])
{
    const uint64_t first = random_next(random) % (WAY_KEYS - TREE_KEYS_AHEAD);
    const uint64_t spread = random_next(random) % (WAY_KEYS / TREE_KEYS_AHEAD - 1) + 1;
    const uint64_t step = random_next(random) % 2 == 0 ? 1 : spread;
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++)
        late[i] = (first + i * step) % WAY_KEYS;
}

static void keys_on_their_way_into_the_tree_are_read_in_order(void **state)
{
    (void)state;
    static bool there[WAY_KEYS];
    struct random random = {.state = 16};
    for (unsigned set = 0; set < WAY_SETS; set++) {
        uint64_t late[TREE_KEYS_AHEAD];
        if (set == 0)
            memcpy(late, late_at_the_ends, sizeof(late));
        else
            choose_late(&random, late);
        struct memtable *memtable = memtable_with_late(late, there);
        for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++) {
            check_way(memtable, there, late[i], 100);
            check_way(memtable, there, (late[i] + 1) % WAY_KEYS, 100);
            check_way(memtable, there, late[i] > 60 ? late[i] - 60 : 0, 130);
        }
        check_way(memtable, there, 0, WAY_KEYS + 1);
        check_way(memtable, there, WAY_KEYS - 1, WAY_KEYS + 1);
        assert_true(memtable->way.names[0] != 0);
        memtable_freeze(memtable);
        assert_true(memtable->way.names[0] == 0);
        check_way(memtable, there, 0, WAY_KEYS + 1);
        memtable_drop(memtable);
    }
}

static void keys_go_straight_to_the_tree_after_somebody_read_in_order(void **state)
{
    (void)state;
    static bool there[WAY_KEYS];
    struct memtable *memtable = memtable_with_late(late_at_the_ends, there);
    struct memtable_source source;
    memtable_source_init(&source, memtable);
    assert_int_equal(source_seek(&source.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    unsigned straight = 0;
    uint64_t rank = WAY_KEYS;
    do {
        insert_key(memtable, rank++);
        straight += memtable_way_look(&memtable->way, source.ahead) == 0;
    } while (straight == rank - WAY_KEYS && straight < WAY_KEYS);
    assert_true(straight > 100 && straight < WAY_KEYS);
    memtable_drop(memtable);
}

/* Also where the hash table cannot grow, and when all of them arrive at once. */
static void what_is_reserved_is_enough_for_keys_on_their_way(void **state)
{
    (void)state;
    enum { KEYS = 100000 };
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct memtable *memtable = NULL;
    struct memtable_source source;
    uint64_t last = 0, seen = 0;
    assert_int_equal(memtable_create(&allocator, CHUNK_BYTES, 1, &memtable), STRATA_OK);
    for (uint64_t i = 0; i < KEYS; i++) {
        uint8_t key[KEY_PREFIX_SIZE + 8];
        const uint64_t rank = i < KEYS / 4 ? i : i * 0x9e3779b97f4a7c15u >> 20;
        const struct row row = {.key = way_key_of(rank, key), .from = i + 1};
        assert_int_equal(memtable_reserve(memtable, 1, row.key.length, 0), STRATA_OK);
        if (i % 3 != 0) {
            counted.fail_at = 1;
            counted.fail_from_then_on = 1;
        }
        memtable_insert(memtable, &row);
        if (i == KEYS - 1)
            memtable_freeze(memtable);
        counted.fail_at = 0;
        counted.fail_from_then_on = 0;
    }
    assert_true(memtable_memory(memtable) == counted.bytes);
    memtable_source_init(&source, memtable);
    assert_int_equal(source_seek(&source.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    for (; source.source.valid; seen++) {
        const uint64_t rank = load_ordered_u64(source.source.row.key.data + KEY_PREFIX_SIZE);
        assert_true(seen == 0 || rank >= last);
        last = rank;
        assert_int_equal(source_next(&source.source), STRATA_OK);
    }
    assert_true(seen == KEYS);
    memtable_drop(memtable);
    test_heap_assert_empty(&counted);
}

/* A walk that began while they were on their way meets them, wherever they have come to since. */
static void keys_that_arrive_behind_a_walk_are_not_missed(void **state)
{
    (void)state;
    static const uint8_t end[1] = {255};
    static bool there[WAY_KEYS];
    struct random random = {.state = 17};
    for (unsigned set = 0; set < WAY_SETS; set++) {
        const bool reverse = set % 2 != 0;
        uint64_t late[TREE_KEYS_AHEAD];
        choose_late(&random, late);
        struct memtable *memtable = memtable_with_late(set < 2 ? late_at_the_ends : late, there);
        struct memtable_source source;
        struct source *rows = &source.source;
        memtable_source_init(&source, memtable);
        assert_int_equal(!reverse ? source_seek(rows, (struct bytes){0}, UINT64_MAX)
                                  : source_seek_before(rows, bytes_of(end, 1)),
                         STRATA_OK);
        assert_int_equal(source.ahead_count, TREE_KEYS_AHEAD);
        memtable_way_finish(&memtable->way, &memtable->tree);
        check_way_walk(rows, there, reverse ? WAY_KEYS - 1 : 0, !reverse, WAY_KEYS + 1);
        memtable_drop(memtable);
    }
}

/* A writer of keys in no order, and how many of them it has put. */
enum { PASSING_KEYS = 200000, PASSING_BEHIND = 2 * TREE_KEYS_AHEAD };

struct passing {
    struct memtable *memtable;
    _Atomic uint64_t count;
};

static uint64_t passing_rank(uint64_t index)
{
    return index * 0x9e3779b97f4a7c15u >> 16;
}

static void *put_passing_keys(void *context)
{
    struct passing *passing = context;
    for (uint64_t i = 0; i < PASSING_KEYS; i++) {
        insert_key(passing->memtable, passing_rank(i));
        atomic_store(&passing->count, i + 1);
    }
    return NULL;
}

static void a_key_is_always_on_its_way_or_in_the_tree(void **state)
{
    (void)state;
    struct passing passing = {.memtable = new_memtable()};
    struct memtable_source source;
    struct random random = {.state = 5};
    pthread_t writer;
    uint64_t missed = 0, count = 0;
    assert_int_equal(pthread_create(&writer, NULL, put_passing_keys, &passing), 0);
    while (count < PASSING_KEYS) {
        uint8_t key[KEY_PREFIX_SIZE + 8];
        count = atomic_load(&passing.count);
        if (count <= PASSING_BEHIND)
            continue;
        const uint64_t index = count - 1 - random_next(&random) % PASSING_BEHIND;
        const struct bytes wanted = way_key_of(passing_rank(index), key);
        memtable_source_init(&source, passing.memtable);
        assert_int_equal(source_seek(&source.source, wanted, UINT64_MAX), STRATA_OK);
        missed += !source.source.valid || !bytes_equal(source.source.row.key, wanted);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(missed, 0);
    memtable_drop(passing.memtable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_on_their_way_into_the_tree_are_read_in_order),
        cmocka_unit_test(keys_go_straight_to_the_tree_after_somebody_read_in_order),
        cmocka_unit_test(what_is_reserved_is_enough_for_keys_on_their_way),
        cmocka_unit_test(keys_that_arrive_behind_a_walk_are_not_missed),
        cmocka_unit_test(a_key_is_always_on_its_way_or_in_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
