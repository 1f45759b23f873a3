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

static struct commit_stretch *slot_stretch(uintptr_t slot)
{
    assert((slot & slot_is_node) == 0);
    return (struct commit_stretch *)slot;
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

/* Begins a stretch with its first commit, in front of its chain. */
static struct commit_stretch *index_stretch_create(struct region *region,
                                                   const struct commit_stretch *older,
                                                   const struct memtable_commit *commit)
{
    uint32_t name;
    const unsigned capacity = commit_stretch_capacity(older, commit);
    struct commit_stretch *stretch =
        region_take(region, commit_stretch_size(capacity, commit->message.length), &name);
    assert(stretch != NULL);
    commit_stretch_init(stretch, capacity, commit);
    stretch->older = older;
    stretch->jump = older;
    const struct commit_stretch *over = older == NULL ? NULL : older->jump;
    if (over != NULL && over->rank == older->rank) {
        stretch->jump = over->jump;
        stretch->rank = (uint8_t)(over->rank + 1);
    }
#if STRATA_PLANT == 31
    stretch->older = stretch->jump;
#endif
    return stretch;
}

/* The slot for a branch that has none yet, or whose newest stretch lies there. */
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
        const struct commit_stretch *before = slot_stretch(present);
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

static size_t index_rounded(size_t size)
{
    const size_t step = (size_t)1 << REGION_STEP_BITS;
    return (size + step - 1) / step * step;
}

size_t commit_index_add_size(size_t message_bytes)
{
    assert(message_bytes <= SIZE_MAX / 2);
    const size_t nodes = (COMMIT_INDEX_DEPTH_MAX - 1) * sizeof(struct commit_index_node);
    const size_t most = commit_stretch_size(STRETCH_COMMITS_MAX, 0);
    const size_t alone = commit_stretch_size(1, message_bytes);
    return nodes + index_rounded(alone > most ? alone : most);
}

unsigned commit_index_add(struct commit_index *index, struct region *region,
                          const struct memtable_commit *commit)
{
    unsigned made = 0;
    _Atomic uintptr_t *slot = index->last;
    struct commit_stretch *newest =
        slot == NULL ? NULL : slot_stretch(atomic_load_explicit(slot, memory_order_relaxed));
    if (newest == NULL || newest->branch != commit->branch) {
        slot = index_slot(index, region, commit->branch, &made);
        newest = slot_stretch(atomic_load_explicit(slot, memory_order_relaxed));
        index->last = slot;
    }
    if (newest == NULL || !commit_stretch_add(newest, commit)) {
        const struct commit_stretch *begun = index_stretch_create(region, newest, commit);
        index->stretch_count++;
        atomic_store_explicit(slot, (uintptr_t)begun, memory_order_release);
    }
    return made;
}

static const struct commit_stretch *index_newest_of(const struct commit_index *index,
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
        const struct commit_stretch *stretch = slot_stretch(slot);
        return stretch != NULL && stretch->branch == branch ? stretch : NULL;
    }
}

static bool stretch_begins_later(const struct commit_stretch *stretch, uint64_t version,
                                 int64_t time_us)
{
    return stretch->version > version || stretch->time_us > time_us;
}

bool commit_index_find(const struct commit_index *index, uint64_t branch, uint64_t version,
                       int64_t time_us, struct memtable_commit *out)
{
    const struct commit_stretch *stretch = index_newest_of(index, branch);
    while (stretch != NULL && stretch_begins_later(stretch, version, time_us)) {
        const struct commit_stretch *jump = stretch->jump;
        const bool far = jump != NULL && stretch_begins_later(jump, version, time_us);
        stretch = far ? jump : stretch->older;
    }
    if (stretch == NULL)
        return false;
    *out = commit_stretch_find(stretch, version, time_us);
    return true;
}

/* Lists what is below a node from the end, `*left` on; goes as deep as the trie. */
static void index_node_list(const struct commit_index_node *node, const struct commit_stretch **out,
                            size_t *left)
{
    for (unsigned i = 0; i < COMMIT_INDEX_WAYS; i++) {
        const uintptr_t slot = atomic_load_explicit(&node->slots[i], memory_order_acquire);
        if ((slot & slot_is_node) != 0) {
            index_node_list(slot_node(slot), out, left);
            continue;
        }
        const struct commit_stretch *stretch = slot_stretch(slot);
        for (; stretch != NULL; stretch = stretch->older) {
            assert(*left > 0);
            out[--*left] = stretch;
        }
    }
}

void commit_index_list(const struct commit_index *index, const struct commit_stretch **out)
{
    size_t left = index->stretch_count;
    index_node_list(&index->root, out, &left);
    assert(left == 0);
}
