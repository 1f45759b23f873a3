#include "table/commit_index.h"

#include "core/plant.h"

#include <assert.h>

enum { WAY_BITS = 4, HASH_BITS = 64 };

static const uintptr_t slot_is_node = 1;

static_assert(1 << WAY_BITS == COMMIT_INDEX_WAYS, "a way is chosen by four bits");
static_assert(COMMIT_INDEX_DEPTH_MAX * WAY_BITS == HASH_BITS, "all bits of a hash are used up");

/* No two branches have the same, and neighbours differ in the first bits. */
static uint64_t branch_hash(uint64_t branch)
{
    return branch * 0x9e3779b97f4a7c15u;
}

static unsigned hash_way(uint64_t hash, unsigned depth)
{
    assert(depth < COMMIT_INDEX_DEPTH_MAX);
    return (unsigned)(hash >> (HASH_BITS - WAY_BITS * (depth + 1))) & (COMMIT_INDEX_WAYS - 1);
}

static struct commit_index_node *slot_node(uintptr_t slot)
{
    assert((slot & slot_is_node) != 0);
    return (struct commit_index_node *)(slot & ~slot_is_node);
}

static const struct memtable_commit *slot_commit(uintptr_t slot)
{
    assert((slot & slot_is_node) == 0);
    return (const struct memtable_commit *)slot;
}

static struct commit_index_node *index_node_create(struct region *region)
{
    uint32_t name;
    struct commit_index_node *node = region_take(region, sizeof(*node), &name);
    assert(node != NULL);
    for (unsigned i = 0; i < COMMIT_INDEX_WAYS; i++)
        atomic_init(&node->slots[i], 0);
    return node;
}

/* Puts a commit, which is complete but for these, in front of its chain. */
static void commit_link(struct memtable_commit *commit, const struct memtable_commit *older)
{
    commit->older = older;
    commit->jump = older;
    commit->span = 1;
    if (older == NULL)
        return;
    assert(commit->branch == older->branch && commit->version > older->version);
    const struct memtable_commit *over = older->jump;
    if (over != NULL && over->span == older->span) {
        commit->jump = over->jump;
        commit->span = 1 + 2 * over->span;
    }
#if STRATA_PLANT == 31
    commit->older = commit->jump;
#endif
}

/* The slot for a branch that has none yet, or whose newest commit lies there. */
static _Atomic uintptr_t *index_slot(struct commit_index *index, struct region *region,
                                     uint64_t branch, unsigned *made)
{
    const uint64_t hash = branch_hash(branch);
    struct commit_index_node *node = &index->root;
    for (unsigned depth = 0;; depth++) {
        _Atomic uintptr_t *slot = &node->slots[hash_way(hash, depth)];
        const uintptr_t present = atomic_load_explicit(slot, memory_order_relaxed);
        if ((present & slot_is_node) != 0) {
            node = slot_node(present);
            continue;
        }
        const struct memtable_commit *before = slot_commit(present);
        if (before == NULL || before->branch == branch)
            return slot;
        /* Another branch lies here: it goes a level down, and so may this one. */
        node = index_node_create(region);
        ++*made;
        atomic_store_explicit(&node->slots[hash_way(branch_hash(before->branch), depth + 1)],
                              present, memory_order_relaxed);
        atomic_store_explicit(slot, (uintptr_t)node | slot_is_node, memory_order_release);
    }
}

unsigned commit_index_add(struct commit_index *index, struct region *region,
                          struct memtable_commit *commit)
{
    unsigned made = 0;
    _Atomic uintptr_t *slot = index->last;
    const struct memtable_commit *older =
        slot == NULL ? NULL : slot_commit(atomic_load_explicit(slot, memory_order_relaxed));
    if (older == NULL || older->branch != commit->branch) {
        slot = index_slot(index, region, commit->branch, &made);
        older = slot_commit(atomic_load_explicit(slot, memory_order_relaxed));
        index->last = slot;
    }
    commit_link(commit, older);
    atomic_store_explicit(slot, (uintptr_t)commit, memory_order_release);
    return made;
}

static const struct memtable_commit *index_newest_of(const struct commit_index *index,
                                                     uint64_t branch)
{
    const uint64_t hash = branch_hash(branch);
    const struct commit_index_node *node = &index->root;
    for (unsigned depth = 0;; depth++) {
        const uintptr_t slot =
            atomic_load_explicit(&node->slots[hash_way(hash, depth)], memory_order_acquire);
        if ((slot & slot_is_node) != 0) {
            node = slot_node(slot);
            continue;
        }
        const struct memtable_commit *commit = slot_commit(slot);
        return commit != NULL && commit->branch == branch ? commit : NULL;
    }
}

const struct memtable_commit *commit_index_find(const struct commit_index *index, uint64_t branch,
                                                uint64_t version, int64_t time_us)
{
    const struct memtable_commit *commit = index_newest_of(index, branch);
    while (commit != NULL && (commit->version > version || commit->time_us > time_us)) {
        const struct memtable_commit *jump = commit->jump;
        const bool far = jump != NULL && (jump->version > version || jump->time_us > time_us);
        commit = far ? jump : commit->older;
    }
    return commit;
}
