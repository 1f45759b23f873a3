#include "lifecycle/lab.h"

#include "core/random.h"

#include <stdio.h>

enum { BRANCHES = 24, ROWS_MAX = 400, KEYS = 6 };

/* What a naive model knows. Branch i + 1 is at [i]. */
struct tree_branch {
    uint64_t parent;
    uint64_t cap;
    bool deleted;
};

struct tree_row {
    uint64_t branch;
    unsigned key;
    uint64_t version;
};

struct tree {
    struct tree_branch branches[BRANCHES];
    uint64_t count;
    struct tree_row rows[ROWS_MAX];
    unsigned row_count;
};

static struct tree_branch *tree_branch_of(struct tree *tree, uint64_t id)
{
    return &tree->branches[id - 1];
}

/* Up to which version `reader` shows rows of `id`; 0: none. */
static uint64_t tree_reads_to(struct tree *tree, uint64_t reader, uint64_t id)
{
    uint64_t cap = UINT64_MAX;
    while (reader != id && reader != 0) {
        const struct tree_branch *branch = tree_branch_of(tree, reader);
        cap = branch->cap < cap ? branch->cap : cap;
        reader = branch->parent;
    }
    return reader == id ? cap : 0;
}

static uint64_t tree_needed_to(struct tree *tree, uint64_t id)
{
    uint64_t needed = 0;
    for (uint64_t other = 1; other <= tree->count; other++) {
        const uint64_t to =
            tree_branch_of(tree, other)->deleted ? 0 : tree_reads_to(tree, other, id);
        needed = to > needed ? to : needed;
    }
    return needed;
}

/* The version of the row that a branch shows; 0: none. */
static uint64_t tree_find(struct tree *tree, uint64_t branch, unsigned key, uint64_t version)
{
    while (branch != 0) {
        uint64_t best = 0;
        for (unsigned i = 0; i < tree->row_count; i++) {
            const struct tree_row *row = &tree->rows[i];
            if (row->branch == branch && row->key == key && row->version <= version)
                best = row->version > best ? row->version : best;
        }
        if (best > 0)
            return best;
        const struct tree_branch *record = tree_branch_of(tree, branch);
        version = record->cap < version ? record->cap : version;
        branch = record->parent;
    }
    return 0;
}

static void tree_put(struct lab *lab, struct tree *tree, uint64_t branch, unsigned key)
{
    char name[16], value[32];
    const uint64_t version = atomic_load(&lab->store->committer.visible) + 1;
    snprintf(name, sizeof(name), "k%u", key);
    snprintf(value, sizeof(value), "%llu", (unsigned long long)version);
    assert_int_equal(lab_put(lab, branch, name, value), version);
    assert_true(tree->row_count < ROWS_MAX);
    tree->rows[tree->row_count++] = (struct tree_row){branch, key, version};
}

static void check_tree(struct lab *lab, struct tree *tree)
{
    const uint64_t head = atomic_load(&lab->store->committer.visible);
    for (uint64_t id = 1; id <= tree->count; id++) {
        if (tree_branch_of(tree, id)->deleted)
            continue;
        for (unsigned key = 0; key < KEYS; key++) {
            char name[16];
            snprintf(name, sizeof(name), "k%u", key);
            for (uint64_t version = 1; version <= head; version += 1 + head / 40) {
                const uint64_t expected = tree_find(tree, id, key, version);
                const char *value = lab_get(lab, id, name, version);
                assert_int_equal(value == NULL ? 0 : strtoull(value, NULL, 10), expected);
            }
        }
    }
}

static void check_needed(struct lab *lab, struct tree *tree)
{
    struct store *store = lab->store;
    epoch_enter(&store->epochs, lab->slot);
    for (uint64_t id = 1; id <= tree->count; id++) {
        uint64_t needed;
        if (!tree_branch_of(tree, id)->deleted)
            continue;
        assert_int_equal(catalog_needed_to(atomic_load(&store->tables.current), &store->cache,
                                           store->memory_allocator,
                                           atomic_load(&store->committer.visible), id, &needed),
                         STRATA_OK);
        assert_int_equal(needed, tree_needed_to(tree, id));
    }
    epoch_leave(lab->slot);
}

/* Rows of users that are in runs. */
static uint64_t rows_in_runs(struct lab *lab)
{
    uint64_t count = 0;
    epoch_enter(&lab->store->epochs, lab->slot);
    const struct tableset *set = atomic_load(&lab->store->tables.current);
    for (uint32_t i = 0; i < set->live_count + set->history_count; i++) {
        struct run_source rows;
        run_source_init(&rows, set->live[i]);
        assert_int_equal(source_seek(&rows.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
        while (rows.source.valid) {
            count += key_space(rows.source.row.key.data) < SYSTEM_BRANCHES;
            assert_int_equal(source_next(&rows.source), STRATA_OK);
        }
        source_release(&rows.source);
    }
    epoch_leave(lab->slot);
    return count;
}

static void grow_tree(struct lab *lab, struct tree *tree, struct random *random)
{
    const uint64_t id = 1 + random_next(random) % tree->count;
    struct tree_branch *branch = tree_branch_of(tree, id);
    const uint64_t what = random_next(random) % 10;
    if (branch->deleted)
        return;
    if (what < 2 && tree->count < BRANCHES) {
        const uint64_t head = atomic_load(&lab->store->committer.visible);
        const uint64_t cap = random_next(random) % (head + 1);
        const struct tree_branch fork = {.parent = id, .cap = cap};
        tree->branches[tree->count++] = fork;
        lab_fork(lab, tree->count, id, cap);
    } else if (what == 2 && id > 1 && random_next(random) % 2 == 0) {
        branch->deleted = true;
        lab_delete_branch(lab, id, branch->parent, branch->cap);
    } else {
        tree_put(lab, tree, id, (unsigned)(random_next(random) % KEYS));
    }
    if (what == 9 && random_next(random) % 4 == 0)
        lab_flush(lab);
}

static void what_living_branches_read_stays_and_the_rest_goes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct lab lab;
        struct tree tree = {.count = 1};
        struct random random = {.state = seed};
        lab_create(&lab);
        lab_open(&lab);
        for (unsigned i = 0; i < 300; i++)
            grow_tree(&lab, &tree, &random);
        lab_compact(&lab);
        check_needed(&lab, &tree);
        check_tree(&lab, &tree);
        uint64_t kept = 0;
        for (unsigned i = 0; i < tree.row_count; i++) {
            const struct tree_row *row = &tree.rows[i];
            kept += !tree_branch_of(&tree, row->branch)->deleted ||
                    row->version <= tree_needed_to(&tree, row->branch);
        }
        tree_put(&lab, &tree, 1, 0);
        lab_compact(&lab);
        assert_int_equal(rows_in_runs(&lab), kept + 1);
        lab_destroy(&lab);
    }
}

static void a_handle_on_a_deleted_branch_reads_its_deleted_ancestors(void **state)
{
    (void)state;
    struct lab lab;
    struct branch *handle;
    lab_create(&lab);
    lab_open(&lab);
    lab_fork(&lab, 2, 1, 0);
    const uint64_t cap = lab_put(&lab, 2, "a", "inherited");
    lab_fork(&lab, 3, 2, cap);
    lab_put(&lab, 2, "a", "not inherited");
    epoch_enter(&lab.store->epochs, lab.slot);
    assert_int_equal(branches_acquire(&lab.store->branches, 3, &handle), STRATA_OK);
    epoch_leave(lab.slot);
    lab_delete_branch(&lab, 2, 1, 0);
    lab_delete_branch(&lab, 3, 2, cap);
    lab_compact(&lab);
    assert_string_equal(lab_get(&lab, 3, "a", UINT64_MAX), "inherited");
    assert_int_equal(rows_in_runs(&lab), 1);
    branches_release(&lab.store->branches, handle);
    lab_put(&lab, 1, "b", "1");
    lab_compact(&lab);
    assert_int_equal(rows_in_runs(&lab), 1);
    assert_null(lab_get(&lab, 3, "a", UINT64_MAX));
    lab_destroy(&lab);
}

static void a_deletion_in_a_fork_hides_what_it_inherits_after_all_merges(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    const uint64_t cap = lab_put(&lab, 1, "a", "inherited");
    lab_fork(&lab, 2, 1, cap);
    const uint64_t deleted = lab_put(&lab, 2, "a", NULL);
    for (unsigned i = 0; i < 3; i++) {
        lab_compact(&lab);
        assert_null(lab_get(&lab, 2, "a", UINT64_MAX));
        assert_string_equal(lab_get(&lab, 2, "a", deleted - 1), "inherited");
        assert_string_equal(lab_get(&lab, 1, "a", UINT64_MAX), "inherited");
        lab_put(&lab, 1, "b", "1");
    }
    lab_destroy(&lab);
}

static void the_oldest_reader_is_known_by_its_label(void **state)
{
    (void)state;
    struct lab lab;
    struct store_reader readers[3];
    int64_t since_us;
    char label[32];
    static const char *const labels[3] = {"first", NULL, "a label that is too long for the room"};
    lab_create(&lab);
    lab_open(&lab);
    assert_int_equal(store_oldest_reader(lab.store, &since_us, label), 0);
    for (unsigned i = 0; i < 3; i++) {
        lab.wall_us += 10;
        assert_int_equal(store_reader_open(lab.store, labels[i], &readers[i]), STRATA_OK);
        atomic_store(&readers[i].version, 0);
    }
    assert_int_equal(store_oldest_reader(lab.store, &since_us, label), 0);
    atomic_store(&readers[2].version, 5);
    atomic_store(&readers[0].version, 9);
    assert_int_equal(store_oldest_reader(lab.store, &since_us, label), 5);
    assert_int_equal(since_us, lab.wall_us);
    assert_int_equal(strlen(label), 31);
    store_reader_close(&readers[2]);
    store_reader_close(&readers[2]);
    assert_int_equal(store_oldest_reader(lab.store, &since_us, label), 9);
    assert_string_equal(label, "first");
    assert_int_equal(store_close(lab.store), STRATA_BUSY);
    store_reader_close(&readers[1]);
    store_reader_close(&readers[0]);

    /* One that could not be opened may be closed. */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(store_reader_open(lab.store, "x", &readers[i]), STRATA_OK);
    struct store_reader failed = {.store = NULL};
    struct epoch_slot *slots[2 * EPOCH_SLOTS_PER_BLOCK];
    unsigned taken = 0;
    lab.counted.fail_at = lab.counted.requests + 1;
    while (taken < 2 * EPOCH_SLOTS_PER_BLOCK &&
           epoch_slot_take(&lab.store->epochs, &slots[taken]) == STRATA_OK)
        taken++;
    lab.counted.fail_at = lab.counted.requests + 1;
    assert_int_equal(store_reader_open(lab.store, "y", &failed), STRATA_NO_MEMORY);
    lab.counted.fail_at = 0;
    store_reader_close(&failed);
    assert_ptr_equal(lab.store->readers, &readers[2]);
    for (unsigned i = 0; i < taken; i++)
        epoch_slot_give(slots[i]);
    for (unsigned i = 0; i < 3; i++)
        store_reader_close(&readers[i]);
    lab_destroy(&lab);
}

static void sizes_follow_from_the_budget(void **state)
{
    (void)state;
    struct profile before = {.budget = 0};
    for (uint64_t budget = 1 << 20; budget <= (uint64_t)1 << 30; budget += budget / 7) {
        struct profile profile;
        profile_fill(&profile, budget);
        const uint64_t memtables =
            profile.memtable_charge_max * (profile.memtable_count_max + (uint64_t)1);
        const uint64_t others = memtables + profile.held_bytes_max + profile.ring_bytes;
        assert_true(profile.cache_bytes + others <= budget - budget / 8);
        assert_true(profile.cache_bytes >= budget / 6);
        assert_true(profile.batch_bytes_max <= profile.memtable_charge_max);
        assert_true(profile.memtable_chunk <= profile.memtable_charge_max / 2);
        assert_true(profile.segment_bytes_first <= profile.segment_bytes_max);
        assert_true(profile.merge_sources_max >= 10 && profile.merge_sources_max <= JOB_INPUTS_MAX);
        assert_true(profile.cache_bytes >= before.cache_bytes);
        assert_true(profile.memtable_charge_max >= before.memtable_charge_max);
        assert_true(profile.part_bytes_max >= before.part_bytes_max);
        assert_true(profile.part_bytes_max >= 64 << 20); /* Few files, whatever the budget. */
        assert_true(profile.part_memory_max > 0 && profile.part_memory_max <= budget / 16);
        assert_true(profile.unit_size >= before.unit_size);
        before = profile;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_living_branches_read_stays_and_the_rest_goes),
        cmocka_unit_test(a_handle_on_a_deleted_branch_reads_its_deleted_ancestors),
        cmocka_unit_test(a_deletion_in_a_fork_hides_what_it_inherits_after_all_merges),
        cmocka_unit_test(the_oldest_reader_is_known_by_its_label),
        cmocka_unit_test(sizes_follow_from_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
