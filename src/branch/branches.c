#include "branch/branches.h"

#include "core/memory.h"
#include "core/plant.h"

#include <assert.h>

enum { BRANCH_BUCKETS_FIRST = 64 };

void branches_init(struct branches *branches, const strata_allocator *allocator,
                   struct cache *cache, struct tables *tables, const _Atomic uint64_t *visible)
{
    *branches = (struct branches){
        .allocator = allocator, .cache = cache, .tables = tables, .visible = visible};
    mutex_init(&branches->lock);
    fork_views_init(&branches->fork_views, allocator, tables->epochs);
}

void branches_destroy(struct branches *branches)
{
    assert(branches->count == 0);
    fork_views_destroy(&branches->fork_views);
    if (branches->buckets != NULL)
        release(branches->allocator, branches->buckets,
                branches->bucket_count * sizeof(*branches->buckets));
    mutex_destroy(&branches->lock);
}

static struct branch **branch_bucket(struct branch **buckets, uint32_t bucket_count, uint64_t id)
{
    return &buckets[(id * 0x9e3779b97f4a7c15u >> 32) & (bucket_count - 1)];
}

static struct branch *branches_look_up(const struct branches *branches, uint64_t id)
{
    if (branches->bucket_count == 0)
        return NULL;
    struct branch *branch = *branch_bucket(branches->buckets, branches->bucket_count, id);
    while (branch != NULL && branch->id != id)
        branch = branch->chain;
    return branch;
}

/* Doubles the table when it is full. */
static strata_status branches_grow(struct branches *branches)
{
    if (branches->count < branches->bucket_count)
        return STRATA_OK;
    const uint32_t count =
        branches->bucket_count == 0 ? BRANCH_BUCKETS_FIRST : branches->bucket_count * 2;
    struct branch **buckets = allocate_zeroed(branches->allocator, count * sizeof(*buckets));
    if (buckets == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for %u open branches", count);
    for (uint32_t i = 0; i < branches->bucket_count; i++) {
        struct branch *branch = branches->buckets[i];
        while (branch != NULL) {
            struct branch *next = branch->chain;
            struct branch **bucket = branch_bucket(buckets, count, branch->id);
            branch->chain = *bucket;
            *bucket = branch;
            branch = next;
        }
    }
    if (branches->buckets != NULL)
        release(branches->allocator, branches->buckets, branches->bucket_count * sizeof(*buckets));
    branches->buckets = buckets;
    branches->bucket_count = count;
    return STRATA_OK;
}

/* Drops a reference, and those of ancestors that nothing else needs. The lock is held. */
static void branches_unref(struct branches *branches, struct branch *branch)
{
    while (branch != NULL) {
        assert(branch->references > 0);
        if (--branch->references > 0)
            return;
        struct branch **at = branch_bucket(branches->buckets, branches->bucket_count, branch->id);
        while (*at != branch)
            at = &(*at)->chain;
        *at = branch->chain;
        branches->count--;
        struct branch *parent = branch->parent;
        fork_views_forget(&branches->fork_views, branch);
        release(branches->allocator, branch, sizeof(*branch));
        branch = parent;
    }
}

/* Makes a node from its record, without a parent. The lock is held. */
static strata_status branches_add(struct branches *branches, const struct catalog_branch *record,
                                  struct branch **out)
{
    TRY(branches_grow(branches));
    struct branch *branch = allocate_zeroed(branches->allocator, sizeof(*branch));
    if (branch == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a branch");
    branch->id = record->id;
    branch->cap = record->cap;
#if STRATA_PLANT == 5
    branch->cap = record->cap + 1;
#endif
    branch->created_version = record->created_version;
    branch->created_us = record->created_us;
    branch->references = 1;
    atomic_store(&branch->deleted, record->deleted);
    struct branch **bucket = branch_bucket(branches->buckets, branches->bucket_count, branch->id);
    branch->chain = *bucket;
    *bucket = branch;
    branches->count++;
    *out = branch;
    return STRATA_OK;
}

/* From the branch up, until an ancestor has a node already. The lock is held. */
static strata_status branches_load(struct branches *branches, const struct tableset *set,
                                   uint64_t version, uint64_t id, struct branch **out)
{
    struct branch *first = NULL;
    struct branch *child = NULL;
    uint64_t wanted = id;
    while (wanted != 0) {
        struct branch *branch = branches_look_up(branches, wanted);
        const bool known = branch != NULL;
        if (known) {
            branch->references++;
        } else {
            bool found = false;
            struct catalog_branch record;
            strata_status status =
                catalog_read_branch(set, branches->cache, version, wanted, &found, &record);
            if (status == STRATA_OK && found && record.parent >= wanted)
                status = failure(STRATA_CORRUPT, "a branch is older than its parent");
            else if (status == STRATA_OK && !found)
                status = first == NULL
                             ? failure(STRATA_NOT_FOUND, "there is no such branch")
                             : failure(STRATA_CORRUPT, "the catalog lacks a branch's parent");
            if (status == STRATA_OK)
                status = branches_add(branches, &record, &branch);
            if (status != STRATA_OK) {
                branches_unref(branches, first);
                return status;
            }
            wanted = record.parent;
        }
        if (first == NULL)
            first = branch;
        if (child != NULL)
            child->parent = branch;
        if (known)
            break;
        child = branch;
    }
    *out = first;
    return STRATA_OK;
}

strata_status branches_acquire(struct branches *branches, uint64_t id, struct branch **out)
{
    mutex_lock(&branches->lock);
    struct branch *branch = NULL;
    const uint64_t version = atomic_load(branches->visible);
    const struct tableset *set = atomic_load(&branches->tables->current);
    const strata_status status = branches_load(branches, set, version, id, &branch);
    if (status == STRATA_OK) {
        atomic_fetch_add(&branch->handles, 1);
        *out = branch;
    }
    mutex_unlock(&branches->lock);
    return status;
}

void branch_again(struct branches *branches, struct branch *branch)
{
    mutex_lock(&branches->lock);
    assert(branch->references > 0);
    branch->references++;
    atomic_fetch_add(&branch->handles, 1);
    mutex_unlock(&branches->lock);
}

void branches_release(struct branches *branches, struct branch *branch)
{
    if (branch == NULL)
        return;
    mutex_lock(&branches->lock);
    const uint32_t before = atomic_fetch_sub(&branch->handles, 1);
    assert(before > 0);
    (void)before;
    branches_unref(branches, branch);
    mutex_unlock(&branches->lock);
}

void branches_mark_deleted(struct branches *branches, uint64_t id)
{
    mutex_lock(&branches->lock);
    struct branch *branch = branches_look_up(branches, id);
    if (branch != NULL)
        atomic_store(&branch->deleted, true);
    mutex_unlock(&branches->lock);
}

/* Up to which version `branch` shows rows of branch `id`; 0: it does not descend from it. */
static uint64_t branch_reads_to(const struct branch *branch, uint64_t id)
{
    struct lineage at = lineage_start(branch, UINT64_MAX);
    while (at.branch != NULL && at.branch->id != id)
        lineage_up(&at);
    return at.branch == NULL ? 0 : at.cap;
}

uint64_t branches_read_to(struct branches *branches, uint64_t id)
{
    uint64_t most = 0;
    mutex_lock(&branches->lock);
    /* The node of `id` is there if that of a descendant is. */
    const bool any = branches_look_up(branches, id) != NULL;
    for (uint32_t i = 0; any && i < branches->bucket_count; i++) {
        for (const struct branch *branch = branches->buckets[i]; branch != NULL;
             branch = branch->chain) {
            const uint64_t to =
                atomic_load(&branch->handles) == 0 ? 0 : branch_reads_to(branch, id);
            most = to > most ? to : most;
        }
    }
    mutex_unlock(&branches->lock);
    return most;
}

void lineage_up(struct lineage *lineage)
{
    assert(lineage->branch != NULL);
    if (lineage->branch->cap < lineage->cap)
        lineage->cap = lineage->branch->cap;
    lineage->branch = lineage->branch->parent;
}
