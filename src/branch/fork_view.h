/* Short ways to what a fork shows of a storage space that was never deleted in any branch.
 *
 * A read of a fork looks at the branch and all its ancestors. But what it inherits never changes, and
 * most ancestors have written little: their rows are collected in an overlay, once, which all forks
 * of one parent at one version share. So do a branch's own rows in runs, if they are few, for as
 * long as the set of tables stays. What is left to read are the branch's memtables and the ancestors
 * that have written much.
 *
 * Made when a fork is read again and again, in a part of the memory budget; without room reads walk
 * the lineage. */
#ifndef STRATA_BRANCH_FORK_VIEW_H
#define STRATA_BRANCH_FORK_VIEW_H

#include "core/lock.h"
#include "table/scan.h"

struct branch;

/* What the forks of one branch at one version inherit in one storage space. Immutable. */
struct inheritance {
    uint64_t parent;
    uint64_t cap;
    uint32_t space;
    uint32_t references; /* By views and by the list. Guarded by the lock. */
    struct inheritance *next;
    struct overlay *overlay; /* Of the ancestors that wrote little; NULL: there is none. */
    size_t size;             /* With the overlay. */
    uint32_t level_count;
    struct level levels[]; /* The others, nearest first. */
};

/* Read inside an epoch. Immutable but for `used` and `next`. */
struct fork_view {
    struct epoch_retired retired;
    struct fork_views *views;
    struct branch *branch;
    uint64_t serial;     /* No two views have the same. */
    uint64_t generation; /* Of the set that it goes with. */
    uint64_t since;      /* Reads of a version from it on may use it. */
    uint32_t space;
    _Atomic bool used;                /* Since room was last sought. */
    _Atomic(struct fork_view *) next; /* Of the same branch. */
    struct fork_view *before, *after; /* Of all. Guarded by the lock. */
    struct overlay *own; /* The branch's rows in runs; NULL: too many, they are to be read there. */
    struct inheritance *inherited;
};

struct fork_views {
    const strata_allocator *allocator;
    struct epochs *epochs;
    size_t bytes_max;
    struct mutex lock;
    size_t bytes; /* Of all that follows, and of views that wait for the end of their epoch. */
    uint64_t serial;
    struct fork_view *newest, *oldest;
    struct inheritance *inheritances;
};

/* How much a read counts for, when it has to walk the lineage. */
enum { FORK_VIEW_GET = 1, FORK_VIEW_SCAN = 4 };

/* Without room until bytes_max is set. */
void fork_views_init(struct fork_views *views, const strata_allocator *allocator,
                     struct epochs *epochs);

/* No branch is left, and nothing is retired. */
void fork_views_destroy(struct fork_views *views);

/* The view for a read of `branch`, which has a parent, at `version`; NULL: walk. Inside an epoch, in
 * which it stays. May make it, if reads have walked often enough. */
const struct fork_view *fork_view_of(struct fork_views *views, struct branch *branch,
                                     const struct tableset *set, uint32_t space, uint64_t version,
                                     int32_t weight);

/* Whether the branch still has the view of that number. Inside. */
bool fork_view_stays(const struct branch *branch, uint32_t space, uint64_t serial);

/* Before the node of a branch goes, which nobody reads any more. */
void fork_views_forget(struct fork_views *views, struct branch *branch);

#endif
