#include "table/tables_rig.h"
#include "table/versions.h"

#include "core/hash.h"
#include "support.h"

static struct rig rig;

static void check_find(uint64_t branch, unsigned key, uint64_t cap)
{
    uint8_t storage_key[32];
    uint8_t value[600];
    struct found_row found;
    const struct rig_row *expected = rig_expected(&rig, branch, key, cap);
    epoch_enter(&rig.epochs, rig.slot);
    const struct tableset *set = atomic_load(&rig.tables.current);
    assert_int_equal(tableset_find(set, rig_key(branch, key, storage_key), cap, &found), STRATA_OK);
    /* A deletion in a branch that inherits nothing may show as nothing at all. */
    if (expected == NULL || (expected->deleted && branch == 1)) {
        assert_true(!found.found || found.row.kind == ROW_DELETE);
    } else {
        assert_true(found.found);
        assert_int_equal(found.row.from, expected->version);
        assert_int_equal(found.row.time_us, expected->version * 1000);
        assert_int_equal(found.row.kind, expected->deleted ? ROW_DELETE : ROW_PUT);
        const size_t size = expected->deleted ? 0 : rig_value(expected, value);
        assert_int_equal(found.row.value.length, size);
        if (size > 0)
            assert_memory_equal(found.row.value.data, value, size);
    }
    cache_unpin(&rig.cache, found.pin);
    epoch_leave(rig.slot);
}

/* All versions of a key from a random one down, now and then with a gap. */
static void check_versions(uint64_t branch, unsigned key)
{
    struct versions versions;
    uint8_t storage_key[32];
    uint64_t cap = random_next(&rig.random) % 2 == 0 ? UINT64_MAX : rig.version / 2;
    versions_init(&versions, &rig.memory.allocator);
    epoch_enter(&rig.epochs, rig.slot);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(versions_open(&versions, atomic_load(&rig.tables.current),
                                       rig_key(branch, key, storage_key)),
                         STRATA_OK);
        const struct row *row = NULL;
        do {
            const struct rig_row *expected = rig_expected(&rig, branch, key, cap);
            assert_int_equal(versions_find(&versions, cap, &row), STRATA_OK);
            assert_int_equal(row != NULL, expected != NULL);
            if (row != NULL) {
                assert_int_equal(row->from, expected->version);
                assert_int_equal(row->kind == ROW_DELETE, expected->deleted);
                cap = row->from - 1 - (random_next(&rig.random) % 4 == 0 ? row->from / 3 : 0);
            }
        } while (row != NULL);
        versions_close(&versions);
        cap = rig.version;
    }
    versions_release(&versions);
    epoch_leave(rig.slot);
}

/* A batch of random keys of one branch gives what single look-ups give. */
static void check_batch(void)
{
    uint8_t storage[TABLESET_BATCH_MAX][32];
    struct bytes keys[TABLESET_BATCH_MAX];
    uint64_t hashes[TABLESET_BATCH_MAX];
    struct found_row batch[TABLESET_BATCH_MAX];
    const uint64_t branch = 1 + random_next(&rig.random) % RIG_BRANCHES;
    const uint64_t cap = random_next(&rig.random) % (rig.version + 2);
    const uint32_t count = (uint32_t)(random_next(&rig.random) % (TABLESET_BATCH_MAX + 1));
    for (uint32_t i = 0; i < count; i++) {
        const unsigned key = (unsigned)(random_next(&rig.random) % (RIG_KEYS + 2));
        keys[i] = rig_key(branch, key, storage[i]);
        hashes[i] = hash64(keys[i], 0);
    }
    epoch_enter(&rig.epochs, rig.slot);
    const struct tableset *set = atomic_load(&rig.tables.current);
    assert_int_equal(tableset_find_batch(set, keys, hashes, count, cap, batch), STRATA_OK);
    for (uint32_t i = 0; i < count; i++) {
        struct found_row single;
        assert_int_equal(tableset_find(set, keys[i], cap, &single), STRATA_OK);
        assert_int_equal(batch[i].found, single.found);
        if (single.found) {
            assert_int_equal(batch[i].row.from, single.row.from);
            assert_int_equal(batch[i].row.kind, single.row.kind);
            assert_true(bytes_equal(batch[i].row.value, single.row.value));
            assert_true(bytes_equal(batch[i].row.key, keys[i]));
        }
        cache_unpin(&rig.cache, single.pin);
        cache_unpin(&rig.cache, batch[i].pin);
    }
    epoch_leave(rig.slot);
}

static void check_everything_sampled(unsigned samples)
{
    for (unsigned i = 0; i < samples / 10; i++)
        check_batch();
    for (unsigned i = 0; i < samples; i++)
        check_find(1 + random_next(&rig.random) % RIG_BRANCHES,
                   (unsigned)(random_next(&rig.random) % RIG_KEYS),
                   random_next(&rig.random) % (rig.version + 2));
    for (uint64_t branch = 1; branch <= RIG_BRANCHES; branch++) {
        for (unsigned key = 0; key < RIG_KEYS; key++)
            check_find(branch, key, rig.version);
    }
}

/* What a scan over a chain of levels must show for one key: what the nearest level has. */
static const struct rig_row *expected_in_chain(const struct level *levels, uint32_t level_count,
                                               unsigned key)
{
    for (uint32_t i = 0; i < level_count; i++) {
        const struct rig_row *row = rig_expected(&rig, levels[i].branch, key, levels[i].cap);
        if (row != NULL)
            return row->version >= levels[i].floor ? row : NULL;
    }
    return NULL;
}

static void expect_row(const struct scan *scan, const struct rig_row *expected)
{
    uint8_t key[32];
    uint8_t value[600];
    assert_true(scan->valid);
    assert_int_equal(scan->row.from, expected->version);
    assert_true(
        bytes_equal(scan->row.key, bytes_after(rig_key(1, expected->key, key), KEY_PREFIX_SIZE)));
    const size_t size = rig_value(expected, value);
    assert_int_equal(scan->row.value.length, size);
    assert_memory_equal(scan->row.value.data, value, size);
}

static void skip_deletions(struct scan *scan)
{
    while (scan->valid && scan->row.kind == ROW_DELETE)
        assert_int_equal(scan_next(scan), STRATA_OK);
}

static void check_scan(const struct level *levels, uint32_t level_count, bool reverse,
                       unsigned first, unsigned end)
{
    uint8_t first_key[32];
    uint8_t end_key[32];
    struct scan scan;
    epoch_enter(&rig.epochs, rig.slot);
    struct scan_options options = {.set = atomic_load(&rig.tables.current),
                                   .levels = levels,
                                   .level_count = level_count,
                                   .space = storage_space(SPACE_DEFAULT, KIND_KV),
                                   .reverse = reverse};
    options.bounds.first = bytes_after(rig_key(1, first, first_key), KEY_PREFIX_SIZE);
    if (end < RIG_KEYS)
        options.bounds.end = bytes_after(rig_key(1, end, end_key), KEY_PREFIX_SIZE);
    scan_init(&scan, &rig.memory.allocator);
    assert_int_equal(scan_open(&scan, &options), STRATA_OK);
    assert_int_equal(scan_seek(&scan, (struct bytes){0}, false), STRATA_OK);
    for (unsigned i = first; i < end; i++) {
        const unsigned key = reverse ? end - 1 - (i - first) : i;
        const struct rig_row *expected = expected_in_chain(levels, level_count, key);
        if (expected == NULL || expected->deleted)
            continue;
        skip_deletions(&scan);
        expect_row(&scan, expected);
        assert_int_equal(scan_next(&scan), STRATA_OK);
    }
    skip_deletions(&scan);
    assert_false(scan.valid);
    scan_release(&scan);
    epoch_leave(rig.slot);
}

/* The lineage of a random branch at a random version, ended where a level was deleted as a whole. */
static uint32_t random_chain(struct level levels[RIG_BRANCHES])
{
    uint64_t cap = random_next(&rig.random) % (rig.version + 1);
    uint32_t count = 0;
    for (uint64_t branch = 1 + random_next(&rig.random) % RIG_BRANCHES; branch > 0; branch--) {
        struct level *level = &levels[count++];
        *level = (struct level){.branch = branch, .cap = cap};
        if (random_next(&rig.random) % 8 == 0) {
            level->floor = 1 + random_next(&rig.random) % (rig.version + 1);
            return count;
        }
        cap = rig_fork_version(branch) < cap ? rig_fork_version(branch) : cap;
    }
    return count;
}

static void check_scans(void)
{
    for (unsigned i = 0; i < 12; i++) {
        struct level levels[RIG_BRANCHES];
        const uint32_t count = random_chain(levels);
        const unsigned first = (unsigned)(random_next(&rig.random) % RIG_KEYS);
        const unsigned end = first + (unsigned)(random_next(&rig.random) % (RIG_KEYS - first + 1));
        check_scan(levels, count, i % 2 == 1, first, end);
        check_scan(levels, count, i % 2 == 0, 0, RIG_KEYS);
    }
}

static void run_history(uint64_t seed, uint32_t unit_size, bool large, unsigned rounds)
{
    rig_open(&rig, seed, unit_size, large);
    for (unsigned round = 0; round < rounds; round++) {
        const unsigned writes = (unsigned)(random_next(&rig.random) % 120);
        for (unsigned i = 0; i < writes; i++)
            rig_write(&rig);
        switch (random_next(&rig.random) % 6) {
        case 0:
            rig_merge(&rig, 2 + (uint32_t)(random_next(&rig.random) % 3));
            break;
        case 1:
            rig_merge(&rig, RIG_RUNS_MAX);
            break;
        case 2:
            rig_merge(&rig, 0);
            break;
        default:
            rig_flush(&rig);
        }
        check_everything_sampled(60);
        check_scans();
        for (unsigned i = 0; i < 4; i++)
            check_versions(1 + random_next(&rig.random) % RIG_BRANCHES,
                           (unsigned)(random_next(&rig.random) % RIG_KEYS));
    }
    rig_close(&rig);
}

static void every_version_of_every_key_is_found_through_flushes_and_merges(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        run_history(seed, seed % 2 == 0 ? 4096 : 16384, seed % 3 != 0, 40);
}

static void keys_with_hundreds_of_versions_over_many_parts_are_read_at_each(void **state)
{
    (void)state;
    rig_open(&rig, 99, 4096, true);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 3000; i++)
            rig_write(&rig);
        rig_flush(&rig);
        check_everything_sampled(300);
    }
    rig_merge(&rig, RIG_RUNS_MAX);
    check_everything_sampled(2000);
    check_scans();
    rig_merge(&rig, 0);
    check_everything_sampled(2000);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_every_key_is_found_through_flushes_and_merges),
        cmocka_unit_test(keys_with_hundreds_of_versions_over_many_parts_are_read_at_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
