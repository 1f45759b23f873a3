/* Branches in use: who inherits from whom, up to where.
 *
 * One node per branch that a handle, or a descendant's node, refers to. Lineage never changes, so
 * nodes are read without a lock; only `deleted` does, once. */
#ifndef STRATA_BRANCH_BRANCHES_H
#define STRATA_BRANCH_BRANCHES_H

#include "branch/catalog.h"
#include "branch/fork_view.h"

struct branch {
    uint64_t id;
    struct branch *parent; /* NULL: none. Holds a reference. */
    uint64_t cap;          /* The parent's rows with `from` up to it are inherited. */
    uint64_t created_version;
    int64_t created_us;
    _Atomic bool deleted;
    _Atomic uint32_t handles; /* Transactions and cursors that read it directly. */
    uint32_t references;      /* Guarded by the lock of `branches`. */
    struct branch *chain;

    /* For fork_view.c. */
    _Atomic(struct fork_view *) views; /* One for each space that is read often. */
    _Atomic int32_t walks;             /* Reads without one. */
    _Atomic uint32_t much_space;       /* A space that this branch has written much to; 0: none. */
};

struct branches {
    const strata_allocator *allocator;
    struct cache *cache;
    struct tables *tables;
    const _Atomic uint64_t *visible; /* The newest version that reads may see. */
    struct mutex lock;
    struct branch **buckets;
    uint32_t bucket_count; /* A power of two. */
    uint32_t count;
    struct fork_views fork_views;
};

void branches_init(struct branches *branches, const strata_allocator *allocator,
                   struct cache *cache, struct tables *tables, const _Atomic uint64_t *visible);

/* No node is referred to. */
void branches_destroy(struct branches *branches);

/* The node of branch `id`, deleted or not, and those of its ancestors. One reference and one handle.
 * Inside an epoch. STRATA_NOT_FOUND. Reads the catalog under the lock, so that a deletion, which is
 * marked after it is visible, cannot be missed. */
STRATA_CHECKED strata_status branches_acquire(struct branches *branches, uint64_t id,
                                              struct branch **out);

/* Another reference and handle. */
void branch_again(struct branches *branches, struct branch *branch);

/* Gives them back. NULL is fine. */
void branches_release(struct branches *branches, struct branch *branch);

/* Marks the node of a branch, if there is one, as deleted. */
void branches_mark_deleted(struct branches *branches, uint64_t id);

/* Up to which version rows of branch `id` are read by handles on it or, through their lineage, on its
 * descendants, deleted or not; UINT64_MAX: all, 0: none. */
uint64_t branches_read_to(struct branches *branches, uint64_t id);

/* One step of a walk from a branch to its root: levels[0], then one per ancestor. Start with
 * `branch` and the version read; `next` false at the end. */
struct lineage {
    const struct branch *branch; /* NULL: past the root. */
    uint64_t cap;
};

static inline struct lineage lineage_start(const struct branch *branch, uint64_t version)
{
    return (struct lineage){.branch = branch, .cap = version};
}

void lineage_up(struct lineage *lineage);

#endif
