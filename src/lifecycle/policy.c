#include "lifecycle/store.h"

#include "core/plant.h"
#include "layout/key.h"

#include <assert.h>

/* Answers about one branch are kept while rows of it go by: struct store.policy_*, used by the one
 * merge at a time. */

/* The catalog is asked as of what is durable: a deletion that a power cut may take back must not have
 * cost any rows. */
static uint64_t policy_version(struct store *store)
{
    const uint64_t visible = atomic_load(&store->committer.visible);
    if (!store->logged)
        return visible;
    const uint64_t durable = atomic_load(&store->wal.durable_version);
    return durable < visible ? durable : visible;
}

/* Up to which version rows of `branch` are needed. UINT64_MAX: all, as of every living branch. When
 * in doubt, or out of memory, all. */
static uint64_t policy_needed_to(struct store *store, uint64_t branch)
{
    uint64_t needed = UINT64_MAX;
    bool found = false;
    struct catalog_branch record;
    if (branch == BRANCH_SYSTEM)
        return UINT64_MAX;
    epoch_enter(&store->epochs, store->policy_slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    const uint64_t version = policy_version(store);
    strata_status status =
        catalog_read_branch(set, &store->cache, version, branch, &found, &record);
    if (status == STRATA_OK && found)
        store->policy_inherits = record.parent != 0;
    const bool deleted = status == STRATA_OK && found && record.deleted;
    if (deleted)
        status = catalog_needed_to(set, &store->cache, store->memory_allocator, version, branch,
                                   &needed);
    epoch_leave(store->policy_slot);
    if (!deleted || status != STRATA_OK)
        return UINT64_MAX;
    /* Asked last: whoever opens a branch from here on sees what is deleted at `version`. */
    const uint64_t read = branches_read_to(&store->branches, branch);
#if STRATA_PLANT == 15
    return needed;
#endif
    return read > needed ? read : needed;
}

static void policy_look_up(struct store *store, uint64_t branch)
{
    if (store->policy_known && store->policy_branch == branch)
        return;
    store->policy_inherits = true;
    store->policy_needed = policy_needed_to(store, branch);
    store->policy_branch = branch;
    store->policy_known = true;
}

bool store_keeps(void *context, uint64_t branch, uint32_t storage_space, uint64_t from, uint64_t to)
{
    struct store *store = context;
    (void)storage_space, (void)to;
    policy_look_up(store, branch);
    return from <= store->policy_needed;
}

bool store_inherits(void *context, uint64_t branch)
{
    struct store *store = context;
    policy_look_up(store, branch);
    return store->policy_inherits;
}
