#include "table/memtable_way.h"

#include "core/plant.h"
#include "table/memtable_node.h"

#include <assert.h>

/* New keys that go straight to the tree after somebody read in order. */
enum { WAY_STRAIGHT_KEYS = 256 };

void memtable_way_init(struct memtable_way *way)
{
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++)
        atomic_init(&way->names[i], 0);
    atomic_init(&way->walked_flag, false);
    way->walked = &way->walked_flag;
    way->next = 0;
    way->straight = 0;
    way->advanced = false;
}

static uint32_t way_name(const struct memtable_way *way, unsigned slot)
{
    return atomic_load_explicit(&way->names[slot], memory_order_relaxed);
}

static struct bytes way_key(const struct memtable_tree *tree, uint32_t name)
{
    return node_key(node_at(tree->region, name));
}

static void way_arrive(struct memtable_tree *tree, struct memtable_place *place, uint32_t name)
{
    const uint32_t present = memtable_tree_arrive(tree, place);
    assert(present == 0);
    (void)present;
    memtable_tree_insert(tree, place, name);
}

void memtable_way_finish(struct memtable_way *way, struct memtable_tree *tree)
{
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++) {
        const unsigned slot = (way->next + i) % TREE_KEYS_AHEAD;
        const uint32_t name = way_name(way, slot);
        if (name == 0)
            continue;
        way_arrive(tree, &way->places[slot], name);
        /* Release: whoever misses the name finds the key in the tree. */
        atomic_store_explicit(&way->names[slot], 0, memory_order_release);
    }
}

/* Whether the next new key goes straight to the tree. */
static bool way_is_straight(struct memtable_way *way)
{
    if (atomic_load_explicit(way->walked, memory_order_relaxed)) {
        atomic_store_explicit(way->walked, false, memory_order_relaxed);
        way->straight = WAY_STRAIGHT_KEYS;
    }
    if (way->straight == 0)
        return false;
    way->straight--;
    return true;
}

void memtable_way_advance(struct memtable_way *way, struct memtable_tree *tree)
{
    const unsigned slot = way->next;
    if (way->advanced)
        return;
    way->advanced = true;
    if (way_name(way, slot) != 0) {
        way_arrive(tree, &way->places[slot], way_name(way, slot));
        /* Release: as in memtable_way_finish. */
        atomic_store_explicit(&way->names[slot], 0, memory_order_release);
    }
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++) {
        if (i != slot && way_name(way, i) != 0)
            memtable_tree_step(tree, &way->places[i]);
    }
}

void memtable_way_put(struct memtable_way *way, struct memtable_tree *tree, uint32_t name)
{
    assert(name != 0);
    const unsigned slot = way->next;
    struct memtable_place *place = &way->places[slot];
    if (way_is_straight(way)) {
        way->advanced = false;
        memtable_way_finish(way, tree);
        memtable_tree_begin(tree, way_key(tree, name), place);
        way_arrive(tree, place, name);
        return;
    }
    memtable_way_advance(way, tree);
    way->advanced = false;
    memtable_tree_begin(tree, way_key(tree, name), place);
    memtable_tree_step(tree, place);
    way->next = (slot + 1) % TREE_KEYS_AHEAD;
    /* Release: whoever finds this name finds the one before it in the tree. */
    atomic_store_explicit(&way->names[slot], name, memory_order_release);
}

unsigned memtable_way_look(const struct memtable_way *way, uint32_t names[TREE_KEYS_AHEAD])
{
    unsigned count = 0;
    for (unsigned i = 0; i < TREE_KEYS_AHEAD; i++) {
        names[count] = atomic_load_explicit(&way->names[i], memory_order_acquire);
        count += names[count] != 0;
    }
#if STRATA_PLANT == 27
    return 0;
#endif
    if (count > 0 && !atomic_load_explicit(way->walked, memory_order_relaxed))
        atomic_store_explicit(way->walked, true, memory_order_relaxed);
    return count;
}
