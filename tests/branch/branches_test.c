#include "branch/branches.h"

#include "core/memory.h"
#include "layout/key.h"
#include "support.h"

#include <string.h>

/* A catalog in one memtable, where every row is a version of its own. */
struct grove {
    struct test_heap counted;
    struct memory memory;
    struct epochs epochs;
    struct epoch_slot *slot;
    struct garbage garbage;
    struct cache cache;
    struct tables tables;
    struct memtable *memtable;
    struct branches branches;
    _Atomic uint64_t visible;
};

static int set_up(void **state)
{
    struct grove *grove = calloc(1, sizeof(*grove));
    const strata_allocator base = test_heap_init(&grove->counted);
    struct tableset *set;
    memory_init(&grove->memory, &base);
    const strata_allocator *allocator = &grove->memory.allocator;
    epochs_init(&grove->epochs, allocator);
    garbage_init(&grove->garbage, allocator);
    tables_init(&grove->tables, allocator, &grove->epochs, &grove->garbage);
    assert_int_equal(epoch_slot_take(&grove->epochs, &grove->slot), STRATA_OK);
    assert_int_equal(cache_init(&grove->cache, allocator, &grove->epochs, 1 << 16), STRATA_OK);
    assert_int_equal(memtable_create(allocator, 4096, 1, &grove->memtable), STRATA_OK);
    const struct tableset_parts parts = {.memtable_count = 1, .memtables = &grove->memtable};
    assert_int_equal(tableset_create(&grove->tables, &parts, &set), STRATA_OK);
    mutex_lock(&grove->tables.install_lock);
    tables_install(&grove->tables, set, NULL);
    mutex_unlock(&grove->tables.install_lock);
    branches_init(&grove->branches, allocator, &grove->cache, &grove->tables, &grove->visible);
    epoch_enter(&grove->epochs, grove->slot);
    *state = grove;
    return 0;
}

static int tear_down(void **state)
{
    struct grove *grove = *state;
    epoch_leave(grove->slot);
    epoch_slot_give(grove->slot);
    branches_destroy(&grove->branches);
    memtable_drop(grove->memtable);
    tables_destroy(&grove->tables);
    cache_destroy(&grove->cache);
    epochs_destroy(&grove->epochs);
    garbage_destroy(&grove->garbage);
    test_heap_assert_empty(&grove->counted);
    free(grove);
    return 0;
}

static void put_system_row(struct grove *grove, uint32_t space, struct bytes key,
                           struct bytes value)
{
    uint8_t storage_key[KEY_PREFIX_SIZE + 64];
    const uint64_t version = atomic_load(&grove->visible) + 1;
    key_prefix_store(storage_key, BRANCH_SYSTEM, space);
    memcpy(storage_key + KEY_PREFIX_SIZE, key.data, key.length);
    assert_int_equal(memtable_reserve(grove->memtable, 1, sizeof(storage_key) + value.length, 0),
                     STRATA_OK);
    memtable_insert(grove->memtable,
                    &(struct row){.key = bytes_of(storage_key, KEY_PREFIX_SIZE + key.length),
                                  .value = value,
                                  .from = version,
                                  .kind = ROW_PUT});
    memtable_add_commit(grove->memtable, &(struct memtable_commit){.version = version});
    atomic_store(&grove->visible, version);
}

static void put_branch(struct grove *grove, uint64_t id, uint64_t parent, uint64_t cap,
                       bool deleted)
{
    uint8_t id_key[CATALOG_ID_KEY_SIZE], child_key[CATALOG_CHILD_KEY_SIZE];
    struct buffer value;
    const struct branch_record record = {.flags = deleted ? BRANCH_DELETED : 0,
                                         .parent = parent,
                                         .cap = cap,
                                         .created_version = cap + 1,
                                         .name = bytes_of("b", 1)};
    buffer_init(&value, &grove->memory.allocator);
    assert_int_equal(branch_record_append(&value, &record), STRATA_OK);
    store_ordered_u64(id_key, id);
    put_system_row(grove, SYSTEM_BRANCHES, bytes_of(id_key, sizeof(id_key)), buffer_view(&value));
    catalog_child_key(parent, cap, id, child_key);
    put_system_row(grove, SYSTEM_CHILDREN, bytes_of(child_key, sizeof(child_key)),
                   (struct bytes){0});
    buffer_release(&value);
}

static struct branch *acquire(struct grove *grove, uint64_t id)
{
    struct branch *branch = NULL;
    assert_int_equal(branches_acquire(&grove->branches, id, &branch), STRATA_OK);
    assert_int_equal(branch->id, id);
    return branch;
}

static void nodes_live_as_long_as_handles_below_them(void **state)
{
    struct grove *grove = *state;
    for (uint64_t id = 2; id <= 40; id++)
        put_branch(grove, id, id - 1, id * 10, false);
    struct branch *deep = acquire(grove, 40);
    assert_int_equal(grove->branches.count, 40);
    struct branch *middle = acquire(grove, 20);
    struct branch *again = acquire(grove, 40);
    assert_ptr_equal(deep, again);
    branches_release(&grove->branches, deep);
    branch_again(&grove->branches, middle);
    branches_release(&grove->branches, again);
    assert_int_equal(grove->branches.count, 20);
    branches_release(&grove->branches, middle);
    branches_release(&grove->branches, middle);
    branches_release(&grove->branches, NULL);
    assert_int_equal(grove->branches.count, 0);
}

static void caps_only_get_smaller_on_the_way_up(void **state)
{
    struct grove *grove = *state;
    put_branch(grove, 2, 1, 50, false);
    put_branch(grove, 3, 2, 20, false);
    put_branch(grove, 4, 3, 70, false);
    struct branch *branch = acquire(grove, 4);
    static const uint64_t caps[2][4] = {{99, 70, 20, 20}, {10, 10, 10, 10}};
    for (unsigned i = 0; i < 2; i++) {
        struct lineage at = lineage_start(branch, caps[i][0]);
        for (unsigned j = 0; j < 4; j++) {
            assert_int_equal(at.branch->id, 4 - j);
            assert_int_equal(at.cap, caps[i][j]);
            lineage_up(&at);
        }
        assert_null(at.branch);
    }
    branches_release(&grove->branches, branch);
}

static void handles_read_their_ancestors_up_to_their_caps(void **state)
{
    struct grove *grove = *state;
    put_branch(grove, 2, 1, 50, false);
    put_branch(grove, 3, 2, 20, false);
    put_branch(grove, 4, 2, 30, false);
    assert_int_equal(branches_read_to(&grove->branches, 2), 0);
    struct branch *low = acquire(grove, 3);
    assert_int_equal(branches_read_to(&grove->branches, 3), UINT64_MAX);
    assert_int_equal(branches_read_to(&grove->branches, 2), 20);
    assert_int_equal(branches_read_to(&grove->branches, 1), 20);
    assert_int_equal(branches_read_to(&grove->branches, 4), 0);
    struct branch *high = acquire(grove, 4);
    assert_int_equal(branches_read_to(&grove->branches, 2), 30);
    struct branch *itself = acquire(grove, 2);
    assert_int_equal(branches_read_to(&grove->branches, 2), UINT64_MAX);
    assert_int_equal(branches_read_to(&grove->branches, 1), 50);
    branches_release(&grove->branches, itself);
    branches_release(&grove->branches, high);
    assert_int_equal(branches_read_to(&grove->branches, 2), 20);
    branches_release(&grove->branches, low);
    assert_int_equal(branches_read_to(&grove->branches, 2), 0);
}

static void a_catalog_that_goes_in_circles_is_corrupt(void **state)
{
    struct grove *grove = *state;
    struct branch *branch;
    put_branch(grove, 2, 2, 50, false);
    put_branch(grove, 3, 4, 50, false);
    put_branch(grove, 4, 3, 50, false);
    put_branch(grove, 5, 9, 50, false);
    for (uint64_t id = 2; id <= 5; id++)
        assert_int_equal(branches_acquire(&grove->branches, id, &branch), STRATA_CORRUPT);
    assert_int_equal(branches_acquire(&grove->branches, 9, &branch), STRATA_NOT_FOUND);
    assert_int_equal(grove->branches.count, 0);
    uint64_t needed;
    put_branch(grove, 3, 4, 50, true);
    put_branch(grove, 4, 3, 50, true);
    assert_int_equal(catalog_needed_to(atomic_load(&grove->tables.current), &grove->cache,
                                       &grove->memory.allocator, atomic_load(&grove->visible), 3,
                                       &needed),
                     STRATA_OK);
    assert_int_equal(needed, UINT64_MAX);
}

static void memory_may_run_out_while_nodes_are_made(void **state)
{
    struct grove *grove = *state;
    for (uint64_t id = 2; id <= 30; id++)
        put_branch(grove, id, id - 1, id, false);
    strata_status status = STRATA_NO_MEMORY;
    for (uint64_t at = 1; status != STRATA_OK; at++) {
        struct branch *branch = NULL;
        grove->counted.fail_at = grove->counted.requests + at;
        status = branches_acquire(&grove->branches, 30, &branch);
        grove->counted.fail_at = 0;
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
        branches_release(&grove->branches, branch);
        assert_int_equal(grove->branches.count, 0);
    }
}

static void too_many_deleted_descendants_count_as_living(void **state)
{
    struct grove *grove = *state;
    uint64_t needed;
    put_branch(grove, 2, 1, 5, true);
    for (uint64_t id = 3; id < 5000; id++)
        put_branch(grove, id, 2, id, true);
    const size_t peak = atomic_load(&grove->memory.live_bytes);
    grove->counted.bytes_peak = 0;
    assert_int_equal(catalog_needed_to(atomic_load(&grove->tables.current), &grove->cache,
                                       &grove->memory.allocator, atomic_load(&grove->visible), 2,
                                       &needed),
                     STRATA_OK);
    assert_int_equal(needed, UINT64_MAX);
    assert_true(grove->counted.bytes_peak < peak + 200000);
}

#define GROVE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GROVE_TEST(nodes_live_as_long_as_handles_below_them),
        GROVE_TEST(caps_only_get_smaller_on_the_way_up),
        GROVE_TEST(handles_read_their_ancestors_up_to_their_caps),
        GROVE_TEST(a_catalog_that_goes_in_circles_is_corrupt),
        GROVE_TEST(memory_may_run_out_while_nodes_are_made),
        GROVE_TEST(too_many_deleted_descendants_count_as_living),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
