#include "table/memtable.h"

#include "core/hash.h"
#include "core/lock.h"
#include "layout/key.h"
#include "support.h"
#include "table/memtable_node.h"
#include "table/sample.h"

/* From the second on memtables are large. */
enum { CHUNK_BYTES = 16 * 1024, LARGE_CHUNK_BYTES = 1 << 20 };

static struct memtable *new_memtable_of(const strata_allocator *allocator, size_t chunk_bytes)
{
    struct memtable *memtable = NULL;
    assert_int_equal(memtable_create(allocator, chunk_bytes, 1, &memtable), STRATA_OK);
    return memtable;
}

static struct memtable *new_memtable(const strata_allocator *allocator)
{
    return new_memtable_of(allocator, CHUNK_BYTES);
}

static void insert_row(struct memtable *memtable, const struct row *row)
{
    assert_int_equal(memtable_reserve(memtable, 1, row->key.length + row->value.length, 0),
                     STRATA_OK);
    memtable_insert(memtable, row);
}

static int older_first(const void *a, const void *b)
{
    const struct row *left = *(const struct row *const *)a, *right = *(const struct row *const *)b;
    if (left->from != right->from)
        return left->from < right->from ? -1 : 1;
    return bytes_compare(left->key, right->key);
}

/* The rows of the sample in the order of their versions. */
static const struct row **by_version(const struct sample *sample)
{
    const struct row **rows = malloc(sample->count * sizeof(*rows));
    assert_non_null(rows);
    for (size_t i = 0; i < sample->count; i++)
        rows[i] = &sample->rows[i];
    qsort(rows, sample->count, sizeof(*rows), older_first);
    return rows;
}

static struct memtable *filled_memtable(const strata_allocator *allocator, size_t chunk_bytes,
                                        const struct sample *sample)
{
    struct memtable *memtable = new_memtable_of(allocator, chunk_bytes);
    const struct row **rows = by_version(sample);
    for (size_t i = 0; i < sample->count; i++)
        insert_row(memtable, rows[i]);
    free(rows);
    return memtable;
}

static const struct sample_shape shapes[] = {
    {.seed = 1, .key_count = 400, .versions_max = 5, .value_size_max = 60, .keys = SAMPLE_SHORT},
    {.seed = 2, .key_count = 700, .versions_max = 1, .value_size_max = 9, .keys = SAMPLE_ORDERED},
    {.seed = 3, .key_count = 40, .versions_max = 3, .value_size_max = 65536, .keys = SAMPLE_LONG},
    {.seed = 4, .key_count = 3, .versions_max = 900, .value_size_max = 9, .keys = SAMPLE_ORDERED},
    {.seed = 5, .key_count = 50, .versions_max = 2, .value_size_max = 40, .keys = SAMPLE_ALIKE},
    {.seed = 6, .key_count = 9000, .versions_max = 3, .value_size_max = 20, .keys = SAMPLE_ORDERED},
    {.seed = 7, .key_count = 6000, .versions_max = 2, .value_size_max = 20, .keys = SAMPLE_FORKED},
    {.seed = 8, .key_count = 4000, .versions_max = 2, .value_size_max = 20, .keys = SAMPLE_SHORT},
    {.seed = 9, .key_count = 1500, .versions_max = 2, .value_size_max = 20, .keys = SAMPLE_NESTED},
    {.seed = 10, .key_count = 60, .versions_max = 70, .value_size_max = 9, .keys = SAMPLE_FORKED},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void check_walks(struct memtable *memtable, const struct sample *sample)
{
    struct memtable_source source;
    struct source *rows = &source.source;
    memtable_source_init(&source, memtable);
    assert_false(rows->valid);
    assert_int_equal(source_seek(rows, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    for (size_t i = 0; i < sample->count; i++) {
        assert_true(rows->valid);
        assert_rows_equal(&rows->row, &sample->rows[i]);
        assert_int_equal(source_next(rows), STRATA_OK);
    }
    assert_false(rows->valid);

    static const uint8_t highest[KEY_PREFIX_SIZE] = {255, 255, 255, 255, 255, 255,
                                                     255, 255, 255, 255, 255, 255};
    assert_int_equal(source_seek_before(rows, bytes_of(highest, sizeof(highest))), STRATA_OK);
    for (size_t i = sample->count; i > 0; i--) {
        assert_true(rows->valid);
        assert_rows_equal(&rows->row, &sample->rows[i - 1]);
        assert_int_equal(source_previous(rows), STRATA_OK);
    }
    assert_false(rows->valid);
    source_release(rows);
    source_release(rows);
}

static void check_searches(struct memtable *memtable, struct sample *sample)
{
    struct random random = {.state = 11};
    struct memtable_source source;
    struct source *rows = &source.source;
    memtable_source_init(&source, memtable);
    for (unsigned i = 0; i < 3000; i++) {
        const struct bytes key = sample_probe(sample, &random);
        const uint64_t from = i % 5 == 0   ? UINT64_MAX
                              : i % 5 == 1 ? 0
                                           : random_next(&random) % 110000;
        const size_t at = sample_lower_bound(sample, key, from);
        assert_int_equal(source_seek(rows, key, from), STRATA_OK);
        assert_int_equal(rows->valid, at < sample->count);
        if (rows->valid)
            assert_rows_equal(&rows->row, &sample->rows[at]);

        const size_t before = sample_lower_bound(sample, key, UINT64_MAX);
        assert_int_equal(source_seek_before(rows, key), STRATA_OK);
        assert_int_equal(rows->valid, before > 0);
        if (rows->valid)
            assert_rows_equal(&rows->row, &sample->rows[before - 1]);

        struct row row;
        const struct row *expected = sample_find(sample, key, from);
        assert_int_equal(memtable_find(memtable, key, hash64(key, 0), from, &row),
                         expected != NULL);
        if (expected != NULL)
            assert_rows_equal(&row, expected);
    }
}

/* The first row from `at` on that is the newest of its key with `from` <= cap. `key` has been shown. */
static size_t next_visible(const struct sample *sample, size_t at, struct bytes shown, uint64_t cap)
{
    while (at < sample->count && (sample->rows[at].from > cap ||
                                  (shown.data != NULL && bytes_equal(sample->rows[at].key, shown))))
        at++;
    return at;
}

/* Goes on from rows above the cap. */
static strata_status settled(strata_status status, struct source *rows, uint64_t cap)
{
    while (status == STRATA_OK && rows->valid && rows->row.from > cap)
        status = source_next_visible(rows, cap);
    return status;
}

static void check_visible(struct memtable *memtable, struct sample *sample)
{
    struct random random = {.state = 12};
    struct memtable_source source;
    struct source *rows = &source.source;
    memtable_source_init(&source, memtable);
    for (unsigned i = 0; i < 300; i++) {
        const uint64_t cap = i % 4 == 0 ? UINT64_MAX : random_next(&random) % 110000;
        const struct bytes key = i == 0 ? (struct bytes){0} : sample_probe(sample, &random);
        size_t at = sample_lower_bound(sample, key, UINT64_MAX);
        at = next_visible(sample, at, (struct bytes){0}, cap);
        assert_int_equal(settled(source_seek_visible(rows, key, cap), rows, cap), STRATA_OK);
        for (unsigned steps = 0; steps < (i == 0 ? UINT32_MAX : 200); steps++) {
            assert_int_equal(rows->valid, at < sample->count);
            if (!rows->valid)
                break;
            assert_rows_equal(&rows->row, &sample->rows[at]);
            at = next_visible(sample, at, sample->rows[at].key, cap);
            assert_int_equal(settled(source_next_visible(rows, cap), rows, cap), STRATA_OK);
        }
    }
}

/* To and fro at random. */
static void check_turns(struct memtable *memtable, const struct sample *sample)
{
    struct random random = {.state = 13};
    struct memtable_source source;
    struct source *rows = &source.source;
    memtable_source_init(&source, memtable);
    size_t at = sample->count / 2;
    const struct row *row = &sample->rows[at];
    assert_int_equal(source_seek(rows, row->key, row->from), STRATA_OK);
    for (unsigned i = 0; i < 3000; i++) {
        const bool forward = at == 0 || (at + 1 < sample->count && random_next(&random) % 16 < 8);
        for (unsigned steps = 1 + random_next(&random) % 40; steps > 0; steps--) {
            if (forward ? at + 1 == sample->count : at == 0)
                break;
            at += forward ? 1 : SIZE_MAX;
            assert_int_equal(forward ? source_next(rows) : source_previous(rows), STRATA_OK);
            assert_true(rows->valid);
            assert_rows_equal(&rows->row, &sample->rows[at]);
        }
    }
}

static void memtable_equals_the_sorted_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * (size_t)SHAPES; i++) {
        struct test_heap counted;
        const strata_allocator allocator = test_heap_init(&counted);
        struct sample sample = sample_create(&shapes[i / 2]);
        struct memtable *memtable =
            filled_memtable(&allocator, i % 2 == 0 ? CHUNK_BYTES : LARGE_CHUNK_BYTES, &sample);
        uint64_t charge = 0;
        for (size_t row = 0; row < sample.count; row++)
            charge += row_charge(&sample.rows[row]);
        assert_true(memtable->charge == charge);
        assert_true(memtable->rows == sample.count);
        assert_true(memtable_memory(memtable) == counted.bytes);
        check_walks(memtable, &sample);
        check_searches(memtable, &sample);
        check_visible(memtable, &sample);
        check_turns(memtable, &sample);
        memtable_drop(memtable);
        test_heap_assert_empty(&counted);
        sample_release(&sample);
    }
}

static void short_seek_keys_are_fine(void **state)
{
    (void)state;
    struct sample sample = sample_create(&shapes[0]);
    struct memtable *memtable = filled_memtable(&heap, CHUNK_BYTES, &sample);
    struct memtable_source source;
    memtable_source_init(&source, memtable);
    for (size_t length = 0; length < KEY_PREFIX_SIZE; length++) {
        const struct bytes key = bytes_of(sample.rows[sample.count / 2].key.data, length);
        const size_t at = sample_lower_bound(&sample, key, UINT64_MAX);
        assert_int_equal(source_seek(&source.source, key, UINT64_MAX), STRATA_OK);
        assert_rows_equal(&source.source.row, &sample.rows[at]);
    }
    memtable_drop(memtable);
    sample_release(&sample);
}

/* Inserts rows [done, done + count), and a commit, while the heap gives nothing. */
static void insert_without_heap(struct memtable *memtable, struct test_heap *counted,
                                const struct row **rows, size_t count, uint64_t version)
{
    static const uint8_t message[1000] = {'m'};
    const size_t message_size = (size_t)(version * 13 % sizeof(message));
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += rows[i]->key.length + rows[i]->value.length;
    assert_int_equal(memtable_reserve(memtable, count, bytes, message_size), STRATA_OK);
    counted->fail_at = 1;
    counted->fail_from_then_on = 1;
    for (size_t i = 0; i < count; i++)
        memtable_insert(memtable, rows[i]);
    const struct memtable_commit commit = {
        .version = version, .rows = (uint32_t)count, .message = bytes_of(message, message_size)};
    memtable_add_commit(memtable, &commit);
    counted->fail_at = 0;
}

/* Batches of `batch` rows; 0: of various numbers. There is no memory for the hash table either. */
static void check_reserve(struct sample *sample, const struct row **rows, size_t batch)
{
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct memtable *memtable = new_memtable(&allocator);
    size_t done = 0;
    for (uint64_t version = 1; done < sample->count; version++) {
        size_t count = batch != 0 ? batch : 1 + version * 7 % 90;
        if (count > sample->count - done)
            count = sample->count - done;
        insert_without_heap(memtable, &counted, rows + done, count, version);
        done += count;
    }
    assert_true(memtable_memory(memtable) == counted.bytes);
    check_walks(memtable, sample);
    check_searches(memtable, sample);
    memtable_drop(memtable);
    test_heap_assert_empty(&counted);
}

static void what_is_reserved_cannot_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct sample sample = sample_create(&shapes[i]);
        const struct row **rows = by_version(&sample);
        check_reserve(&sample, rows, 0);
        check_reserve(&sample, rows, 1);
        check_reserve(&sample, rows, SIZE_MAX);
        free(rows);
        sample_release(&sample);
    }
}

/* Leaves the newest version of each key. */
static void keep_newest(struct sample *sample)
{
    size_t kept = 0;
    for (size_t i = 0; i < sample->count; i++) {
        if (kept == 0 || !bytes_equal(sample->rows[kept - 1].key, sample->rows[i].key))
            sample->rows[kept++] = sample->rows[i];
    }
    sample->count = kept;
}

static void keys_in_order_fit_what_is_reserved(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        struct sample sample = sample_create(&(struct sample_shape){
            .seed = 20 + way, .key_count = 5000, .versions_max = 1, .keys = SAMPLE_ORDERED});
        keep_newest(&sample);
        const struct row **rows = malloc(sample.count * sizeof(*rows));
        assert_non_null(rows);
        /* Ascending, descending, from both ends, every other and then the rest. */
        for (size_t i = 0; i < sample.count; i++) {
            const size_t last = sample.count - 1;
            const size_t half = (sample.count + 1) / 2;
            const size_t index[] = {i, last - i, i % 2 == 0 ? i / 2 : last - i / 2,
                                    i < half ? 2 * i : 2 * (i - half) + 1};
            rows[i] = &sample.rows[index[way]];
        }
        check_reserve(&sample, rows, 1);
        check_reserve(&sample, rows, 700);
        free(rows);
        sample_release(&sample);
    }
}

static void keys_in_order_leave_full_nodes_behind(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    struct memtable *memtable = new_memtable(&heap);
    for (uint64_t i = 0; i < KEYS; i++) {
        uint8_t key[KEY_PREFIX_SIZE + 8];
        key_prefix_store(key, 1, storage_space(SPACE_DEFAULT, KIND_KV));
        store_ordered_u64(key + KEY_PREFIX_SIZE, i);
        insert_row(memtable, &(struct row){.key = bytes_of(key, sizeof(key)), .from = 1});
    }
    assert_true(memtable->tree.leaf_count == KEYS / TREE_NODE_KEYS + 1);
    assert_true(memtable->tree.inner_count <= KEYS / TREE_NODE_KEYS / TREE_NODE_KEYS + 3);
    memtable_drop(memtable);
}

/* Everything is found whichever request for memory fails, and however long none is granted. */
static void any_request_for_memory_may_fail(void **state)
{
    (void)state;
    const struct sample_shape shape = {
        .seed = 30, .key_count = 2500, .versions_max = 2, .keys = SAMPLE_ORDERED};
    struct sample sample = sample_create(&shape);
    const struct row **rows = by_version(&sample);
    for (uint64_t fail_at = 1, requests = 1; fail_at <= requests; fail_at++) {
        struct test_heap counted;
        const strata_allocator allocator = test_heap_init(&counted);
        struct memtable *memtable = NULL;
        counted.fail_at = fail_at;
        while (memtable_create(&allocator, CHUNK_BYTES, 1, &memtable) != STRATA_OK)
            test_heap_assert_empty(&counted);
        for (size_t i = 0; i < sample.count; i++) {
            const size_t bytes = rows[i]->key.length + rows[i]->value.length;
            while (memtable_reserve(memtable, 1, bytes, 0) != STRATA_OK)
                assert_true(memtable_memory(memtable) <= counted.bytes);
            memtable_insert(memtable, rows[i]);
            assert_true(memtable_memory(memtable) == counted.bytes);
        }
        requests = counted.requests;
        check_searches(memtable, &sample);
        memtable_drop(memtable);
        test_heap_assert_empty(&counted);
    }
    free(rows);
    sample_release(&sample);
}

/* Steps that a search for the newest version at or below `cap` makes. */
static unsigned steps_to(const struct memtable *memtable, const struct memtable_node *newest,
                         uint64_t cap)
{
    unsigned steps = 0;
    const struct memtable_node *node = newest, *to;
    for (; node_from(node) > cap; steps++)
        node = node_jumps_above(&memtable->region, node, cap, &to)
                   ? to
                   : node_older(&memtable->region, node);
    return steps;
}

static void a_key_of_many_versions_is_searched_in_few_steps(void **state)
{
    (void)state;
    enum { VERSIONS = 100000, STEPS_MAX = 64 };
    struct memtable *memtable = new_memtable(&heap);
    uint8_t key[KEY_PREFIX_SIZE + 1] = {0};
    struct row row = {.key = bytes_of(key, sizeof(key)), .kind = ROW_COUNTER};
    for (uint64_t i = 1; i <= VERSIONS; i++) {
        uint8_t value[8];
        store_u64(value, i);
        row.value = bytes_of(value, sizeof(value));
        row.from = 2 * i;
        insert_row(memtable, &row);
    }
    struct random random = {.state = 14};
    struct memtable_source rows;
    memtable_source_init(&rows, memtable);
    assert_int_equal(source_seek(&rows.source, row.key, UINT64_MAX), STRATA_OK);
    const struct memtable_node *newest = rows.node;
    unsigned steps_max = 0;
    for (unsigned i = 0; i < 20000; i++) {
        const uint64_t cap = 1 + random_next(&random) % (2 * VERSIONS + 2);
        const uint64_t expected = cap / 2 > VERSIONS ? VERSIONS : cap / 2;
        struct row found;
        assert_int_equal(memtable_find(memtable, row.key, hash64(row.key, 0), cap, &found),
                         expected > 0);
        if (expected == 0)
            continue;
        assert_true(load_u64(found.value.data) == expected && found.from == 2 * expected);
        const unsigned steps = steps_to(memtable, newest, cap - memtable->first_version);
        steps_max = steps > steps_max ? steps : steps_max;
        assert_int_equal(source_seek(&rows.source, row.key, cap), STRATA_OK);
        assert_int_equal(source_previous(&rows.source), STRATA_OK);
        assert_int_equal(rows.source.valid, expected < VERSIONS);
        assert_true(expected == VERSIONS || rows.source.row.from == 2 * (expected + 1));
    }
    print_message("%u versions: at most %u steps\n", VERSIONS, steps_max);
    assert_true(steps_max <= STEPS_MAX);
    memtable_drop(memtable);
}

static void freezing_gives_back_what_was_reserved(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct sample sample = sample_create(&shapes[0]);
    struct memtable *memtable = filled_memtable(&allocator, CHUNK_BYTES, &sample);
    assert_int_equal(memtable_reserve(memtable, 1000, 1000000, 0), STRATA_OK);
    const uint64_t reserved = counted.bytes;
    memtable_freeze(memtable);
    assert_true(counted.bytes + 1000000 <= reserved);
    assert_true(memtable_memory(memtable) == counted.bytes);
    check_walks(memtable, &sample);
    memtable_drop(memtable);
    test_heap_assert_empty(&counted);
    sample_release(&sample);
}

/* What the profiles count on: rows take no more than they are charged, but for the last chunk. */
static void rows_take_what_they_are_charged(void **state)
{
    (void)state;
    static const size_t value_sizes[] = {0, 8, 100, 1000};
    for (size_t i = 0; i < sizeof(value_sizes) / sizeof(value_sizes[0]); i++) {
        static const uint8_t value[1000];
        struct memtable *memtable = new_memtable(&heap);
        struct random random = {.state = 16};
        uint64_t permille = 0;
        for (uint64_t number = 0; number < 50000; number++) {
            uint8_t key[KEY_PREFIX_SIZE + 8];
            key_prefix_store(key, 1, storage_space(SPACE_DEFAULT, KIND_KV));
            store_ordered_u64(key + KEY_PREFIX_SIZE, random_next(&random));
            insert_row(memtable, &(struct row){.key = bytes_of(key, sizeof(key)),
                                               .value = bytes_of(value, value_sizes[i]),
                                               .from = 1});
            const uint64_t share = memtable_memory(memtable) * 1000 / memtable->charge;
            if (number >= 5000 && share > permille)
                permille = share;
        }
        print_message("values of %zu bytes: at most %llu permille of the charge taken\n",
                      value_sizes[i], (unsigned long long)permille);
        assert_true(permille <= 1150);
        memtable_drop(memtable);
    }
}

static void refused_memory_is_a_status(void **state)
{
    (void)state;
    struct memtable *memtable = NULL;
    assert_int_equal(memtable_create(&no_heap, CHUNK_BYTES, 1, &memtable), STRATA_NO_MEMORY);
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    counted.fail_at = 2;
    assert_int_equal(memtable_create(&allocator, CHUNK_BYTES, 1, &memtable), STRATA_NO_MEMORY);
    test_heap_assert_empty(&counted);

    memtable = new_memtable(&allocator);
    counted.fail_at = counted.requests + 1;
    assert_int_equal(memtable_reserve(memtable, 100, 100000, 0), STRATA_NO_MEMORY);
    assert_int_equal(memtable_reserve(memtable, SIZE_MAX / 8, 1, 0), STRATA_NO_MEMORY);
    assert_int_equal(memtable_reserve(memtable, 1, SIZE_MAX / 2, 0), STRATA_NO_MEMORY);
    assert_int_equal(memtable_reserve(memtable, 100, 100000, 0), STRATA_OK);
    memtable_drop(memtable);
    test_heap_assert_empty(&counted);
}

static void commits_are_charged_and_kept(void **state)
{
    (void)state;
    struct memtable *memtable = new_memtable(&heap);
    assert_true(memtable->last_version == 0);
    enum { COMMITS = 300 };
    uint64_t charge = 0;
    for (uint64_t version = 1; version <= COMMITS; version++) {
        const char *message = version % 3 == 0 ? "note" : "";
        const struct memtable_commit commit = {
            .version = version,
            .time_us = (int64_t)version * 10,
            .branch = version % 4,
            .rows = (uint32_t)version,
            .message = bytes_of(message, strlen(message)),
        };
        assert_int_equal(memtable_reserve(memtable, 0, 0, commit.message.length), STRATA_OK);
        memtable_add_commit(memtable, &commit);
        assert_true(memtable->last_version == version);
        assert_true(memtable->last_time_us == commit.time_us);
        charge += COMMIT_CHARGE + commit.message.length;
    }
    assert_true(memtable->charge == charge);
    for (uint64_t version = 1; version <= COMMITS; version++) {
        struct memtable_commit commit;
        assert_true(
            commit_index_find(&memtable->commits, version % 4, version, INT64_MAX, &commit));
        assert_true(commit.version == version && commit.rows == version);
        assert_true(commit.time_us == (int64_t)version * 10);
        assert_int_equal(commit.message.length, version % 3 == 0 ? 4 : 0);
    }
    memtable_drop(memtable);
}

static void memtable_lives_until_its_last_reference_goes(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct memtable *memtable = new_memtable(&allocator);
    memtable_acquire(memtable);
    memtable_drop(memtable);
    assert_true(counted.blocks > 0);
    memtable_drop(memtable);
    test_heap_assert_empty(&counted);
}

enum { CHURN_VERSIONS = 12000, CHURNED_KEYS = 4000 };

struct churn {
    struct memtable *memtable;
    _Atomic uint32_t done;
    _Atomic uint32_t faults;
};

static struct bytes churn_key(uint64_t number, uint8_t key[KEY_PREFIX_SIZE + 8])
{
    key_prefix_store(key, 1, storage_space(SPACE_DEFAULT, KIND_KV));
    store_ordered_u64(key + KEY_PREFIX_SIZE, number * 0x9e3779b97f4a7c15u);
    return bytes_of(key, KEY_PREFIX_SIZE + 8);
}

/* Version v writes key v % CHURNED_KEYS: the newest version of key `number` at `cap`, 0 if none. */
static uint64_t churn_version(uint64_t number, uint64_t cap)
{
    const uint64_t behind = (cap + CHURNED_KEYS - number % CHURNED_KEYS) % CHURNED_KEYS;
    return cap > behind ? cap - behind : 0;
}

/* Whether a walk over all rows, in either direction, is in order and shows all up to `cap`. */
static bool churn_walk(const struct churn *churn, uint64_t cap, bool reverse)
{
    static const uint8_t end[1] = {255};
    struct memtable_source source;
    struct source *rows = &source.source;
    struct row last = {.from = 0};
    uint64_t seen = 0;
    memtable_source_init(&source, churn->memtable);
    bool sound = (reverse ? source_seek_before(rows, bytes_of(end, 1))
                          : source_seek(rows, (struct bytes){0}, UINT64_MAX)) == STRATA_OK;
    while (sound && rows->valid) {
        const struct row *row = &rows->row;
        if (last.from != 0) {
            const int order = row_order(last.key, last.from, row->key, row->from);
            sound = reverse ? order > 0 : order < 0;
        }
        seen += row->from <= cap;
        sound = sound && load_u64(row->value.data) == row->from;
        last = *row;
        sound = sound && (reverse ? source_previous(rows) : source_next(rows)) == STRATA_OK;
    }
    return sound && seen == cap;
}

static bool churn_scan(const struct churn *churn, uint64_t cap)
{
    struct memtable_source source;
    struct source *rows = &source.source;
    struct bytes last = {0};
    uint64_t seen = 0;
    memtable_source_init(&source, churn->memtable);
    bool sound = settled(source_seek_visible(rows, (struct bytes){0}, cap), rows, cap) == STRATA_OK;
    while (sound && rows->valid) {
        const uint64_t version = rows->row.from;
        sound = bytes_compare(last, rows->row.key) < 0 && version <= cap &&
                churn_version(version, cap) == version;
        last = rows->row.key;
        seen++;
        sound = sound && settled(source_next_visible(rows, cap), rows, cap) == STRATA_OK;
    }
    return sound && seen == (cap < CHURNED_KEYS ? cap : CHURNED_KEYS);
}

static bool churn_gets(const struct churn *churn, uint64_t cap, struct random *random)
{
    for (unsigned i = 0; i < 400 && cap > 0; i++) {
        uint8_t key[KEY_PREFIX_SIZE + 8];
        struct row row;
        const uint64_t number = random_next(random) % CHURNED_KEYS;
        const struct bytes wanted = churn_key(number, key);
        const uint64_t expected = churn_version(number, cap);
        const bool found = memtable_find(churn->memtable, wanted, hash64(wanted, 0), cap, &row);
        if (found != (expected > 0) || (found && row.from != expected))
            return false;
    }
    return true;
}

/* Reads at the last version: in order, and of every key exactly what that version says. */
static void churn_read(void *context)
{
    struct churn *churn = context;
    struct random random = {.state = 15};
    while (churn->done == 0) {
        const uint64_t cap =
            atomic_load_explicit(&churn->memtable->last_version, memory_order_acquire);
        churn->faults += !churn_walk(churn, cap, false);
        churn->faults += !churn_gets(churn, cap, &random);
        churn->faults += !churn_walk(churn, cap, true);
        churn->faults += !churn_scan(churn, cap);
    }
}

static void readers_see_every_commit_whole_while_one_writes(void **state)
{
    (void)state;
    struct churn churn = {.memtable = new_memtable_of(&heap, LARGE_CHUNK_BYTES)};
    struct thread readers[2] = {0};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(thread_start(&readers[i], churn_read, &churn), STRATA_OK);
    for (uint64_t version = 1; version <= CHURN_VERSIONS; version++) {
        uint8_t key[KEY_PREFIX_SIZE + 8], value[8];
        store_u64(value, version);
        const struct row row = {
            .key = churn_key(version % CHURNED_KEYS, key),
            .value = bytes_of(value, sizeof(value)),
            .from = version,
            .kind = ROW_PUT,
        };
        assert_int_equal(memtable_reserve(churn.memtable, 1, row.key.length + 8, 0), STRATA_OK);
        memtable_insert(churn.memtable, &row);
        memtable_add_commit(churn.memtable, &(struct memtable_commit){.version = version});
    }
    churn.done = 1;
    for (size_t i = 0; i < 2; i++)
        thread_join(&readers[i]);
    assert_int_equal(churn.faults, 0);
    memtable_drop(churn.memtable);
}

/* Keys that a cap does not see are passed a few at a time, so that a scan which needs few rows does
 * not walk through all of them. */
static void no_move_passes_many_keys_that_are_not_seen(void **state)
{
    (void)state;
    enum { KEYS = 5000, MOVES_LEAST = KEYS / 20, SEEN = 10 };
    struct memtable *memtable = new_memtable(&heap);
    uint8_t key[KEY_PREFIX_SIZE + 8];
    for (uint64_t i = 0; i < KEYS; i++) {
        key_prefix_store(key, BRANCH_MAIN, 1);
        store_ordered_u64(key + KEY_PREFIX_SIZE, i * 7 % KEYS);
        insert_row(memtable, &(struct row){.key = bytes_of(key, sizeof(key)), .from = 1 + i});
    }
    struct memtable_source rows;
    uint64_t moves = 1, seen = 0;
    memtable_source_init(&rows, memtable);
    assert_int_equal(source_seek_visible(&rows.source, (struct bytes){0}, SEEN), STRATA_OK);
    for (; rows.source.valid; moves++) {
        seen += rows.source.row.from <= SEEN;
        assert_int_equal(source_next_visible(&rows.source, SEEN), STRATA_OK);
    }
    assert_int_equal(seen, SEEN);
    assert_true(moves >= MOVES_LEAST);
    source_release(&rows.source);
    memtable_drop(memtable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memtable_equals_the_sorted_rows),
        cmocka_unit_test(short_seek_keys_are_fine),
        cmocka_unit_test(what_is_reserved_cannot_fail),
        cmocka_unit_test(keys_in_order_fit_what_is_reserved),
        cmocka_unit_test(keys_in_order_leave_full_nodes_behind),
        cmocka_unit_test(any_request_for_memory_may_fail),
        cmocka_unit_test(a_key_of_many_versions_is_searched_in_few_steps),
        cmocka_unit_test(no_move_passes_many_keys_that_are_not_seen),
        cmocka_unit_test(freezing_gives_back_what_was_reserved),
        cmocka_unit_test(rows_take_what_they_are_charged),
        cmocka_unit_test(refused_memory_is_a_status),
        cmocka_unit_test(commits_are_charged_and_kept),
        cmocka_unit_test(memtable_lives_until_its_last_reference_goes),
        cmocka_unit_test(readers_see_every_commit_whole_while_one_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
