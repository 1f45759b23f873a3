#include "table/memtable.h"

#include "core/lock.h"
#include "layout/key.h"
#include "support.h"
#include "table/sample.h"

enum { CHUNK_BYTES = 16 * 1024 };

static struct memtable *new_memtable(const strata_allocator *allocator)
{
    struct memtable *memtable = NULL;
    assert_int_equal(memtable_create(allocator, CHUNK_BYTES, 7, 1, &memtable), STRATA_OK);
    return memtable;
}

static void insert_row(struct memtable *memtable, const struct row *row)
{
    assert_int_equal(memtable_reserve(memtable, 1, row->key.length + row->value.length, 0),
                     STRATA_OK);
    memtable_insert(memtable, row);
}

/* Fills a memtable with the rows of the sample from both ends. */
static struct memtable *filled_memtable(const strata_allocator *allocator,
                                        const struct sample *sample)
{
    struct memtable *memtable = new_memtable(allocator);
    for (size_t i = 0; i < sample->count; i++) {
        const size_t index = i % 2 == 0 ? i / 2 : sample->count - 1 - i / 2;
        insert_row(memtable, &sample->rows[index]);
    }
    return memtable;
}

static const struct sample_shape shapes[] = {
    {.seed = 1, .key_count = 400, .versions_max = 5, .value_size_max = 60, .keys = SAMPLE_SHORT},
    {.seed = 2, .key_count = 700, .versions_max = 1, .value_size_max = 9, .keys = SAMPLE_ORDERED},
    {.seed = 3, .key_count = 40, .versions_max = 3, .value_size_max = 65536, .keys = SAMPLE_LONG},
    {.seed = 4, .key_count = 3, .versions_max = 900, .value_size_max = 9, .keys = SAMPLE_ORDERED},
    {.seed = 5, .key_count = 50, .versions_max = 2, .value_size_max = 40, .keys = SAMPLE_ALIKE},
};

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
        assert_int_equal(memtable_find(memtable, key, from, &row), expected != NULL);
        if (expected != NULL)
            assert_rows_equal(&row, expected);
    }
}

static void memtable_equals_the_sorted_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct test_heap counted;
        const strata_allocator allocator = test_heap_init(&counted);
        struct sample sample = sample_create(&shapes[i]);
        struct memtable *memtable = filled_memtable(&allocator, &sample);
        uint64_t charge = 0;
        for (size_t row = 0; row < sample.count; row++)
            charge += row_charge(&sample.rows[row]);
        assert_true(memtable->charge == charge);
        assert_true(memtable->rows == sample.count);
        assert_true(memtable_memory(memtable) == counted.bytes);
        check_walks(memtable, &sample);
        check_searches(memtable, &sample);
        memtable_drop(memtable);
        test_heap_assert_empty(&counted);
        sample_release(&sample);
    }
}

static void short_seek_keys_are_fine(void **state)
{
    (void)state;
    struct sample sample = sample_create(&shapes[0]);
    struct memtable *memtable = filled_memtable(&heap, &sample);
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

static void what_is_reserved_cannot_fail(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct sample sample = sample_create(&shapes[0]);
    struct memtable *memtable = new_memtable(&allocator);
    static const uint8_t message[1000] = {'m'};
    size_t done = 0;
    for (uint64_t version = 1; done < sample.count; version++) {
        size_t count = 1 + version * 7 % 90, bytes = 0;
        if (count > sample.count - done)
            count = sample.count - done;
        for (size_t i = 0; i < count; i++)
            bytes += sample.rows[done + i].key.length + sample.rows[done + i].value.length;
        const size_t message_size = (size_t)(version * 13 % sizeof(message));
        assert_int_equal(memtable_reserve(memtable, count, bytes, message_size), STRATA_OK);
        counted.fail_at = 1;
        counted.fail_from_then_on = 1;
        for (size_t i = 0; i < count; i++)
            memtable_insert(memtable, &sample.rows[done + i]);
        const struct memtable_commit commit = {
            .version = version, .rows = count, .message = bytes_of(message, message_size)};
        memtable_add_commit(memtable, &commit);
        counted.fail_at = 0;
        done += count;
    }
    check_walks(memtable, &sample);
    memtable_drop(memtable);
    test_heap_assert_empty(&counted);
    sample_release(&sample);
}

static void refused_memory_is_a_status(void **state)
{
    (void)state;
    struct memtable *memtable = NULL;
    assert_int_equal(memtable_create(&no_heap, CHUNK_BYTES, 1, 1, &memtable), STRATA_NO_MEMORY);
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    counted.fail_at = 2;
    assert_int_equal(memtable_create(&allocator, CHUNK_BYTES, 1, 1, &memtable), STRATA_NO_MEMORY);
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

static void commits_are_listed_newest_block_first(void **state)
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
            .rows = version,
            .message = bytes_of(message, strlen(message)),
        };
        assert_int_equal(memtable_reserve(memtable, 0, 0, commit.message.length), STRATA_OK);
        memtable_add_commit(memtable, &commit);
        assert_true(memtable->last_version == version);
        charge += 64 + commit.message.length;
    }
    assert_true(memtable->charge == charge);

    uint64_t expected = COMMITS;
    const struct memtable_commits *block = memtable->commits;
    for (; block != NULL; block = block->older) {
        for (uint32_t i = block->count; i > 0; i--, expected--) {
            const struct memtable_commit *commit = &block->entries[i - 1];
            assert_true(commit->version == expected);
            assert_true(commit->time_us == (int64_t)expected * 10);
            assert_true(commit->branch == expected % 4);
            assert_int_equal(commit->message.length, expected % 3 == 0 ? 4 : 0);
        }
    }
    assert_true(expected == 0);
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

enum { VERSIONS = 3000, CHURNED_KEYS = 64 };

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

/* Reads at the last version: in order, and of every key exactly what that version says. */
static void churn_read(void *context)
{
    struct churn *churn = context;
    while (churn->done == 0) {
        const uint64_t cap =
            atomic_load_explicit(&churn->memtable->last_version, memory_order_acquire);
        struct memtable_source source;
        struct source *rows = &source.source;
        memtable_source_init(&source, churn->memtable);
        bool sound = source_seek(rows, (struct bytes){0}, UINT64_MAX) == STRATA_OK;
        struct row last = {.from = 0};
        uint64_t visible = 0;
        while (sound && rows->valid) {
            if (last.from != 0)
                sound = row_order(last.key, last.from, rows->row.key, rows->row.from) < 0;
            visible += rows->row.from <= cap;
            sound = sound && load_u64(rows->row.value.data) == rows->row.from;
            last = rows->row;
            sound = sound && source_next(rows) == STRATA_OK;
        }
        sound = sound && visible == cap;
        for (uint64_t number = 0; number < CHURNED_KEYS && cap > 0; number++) {
            uint8_t key[KEY_PREFIX_SIZE + 8];
            struct row row;
            const bool found = memtable_find(churn->memtable, churn_key(number, key), cap, &row);
            /* Version v writes key v % CHURNED_KEYS. */
            const uint64_t behind = (cap + CHURNED_KEYS - number) % CHURNED_KEYS;
            sound = sound && found == (cap > behind && cap - behind > 0);
            sound = sound && (!found || row.from == cap - behind);
        }
        churn->faults += !sound;
    }
}

static void readers_see_every_commit_whole_while_one_writes(void **state)
{
    (void)state;
    struct churn churn = {.memtable = new_memtable(&heap)};
    struct thread readers[2] = {0};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(thread_start(&readers[i], churn_read, &churn), STRATA_OK);
    for (uint64_t version = 1; version <= VERSIONS; version++) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memtable_equals_the_sorted_rows),
        cmocka_unit_test(short_seek_keys_are_fine),
        cmocka_unit_test(what_is_reserved_cannot_fail),
        cmocka_unit_test(refused_memory_is_a_status),
        cmocka_unit_test(commits_are_listed_newest_block_first),
        cmocka_unit_test(memtable_lives_until_its_last_reference_goes),
        cmocka_unit_test(readers_see_every_commit_whole_while_one_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
