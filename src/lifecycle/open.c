#include "lifecycle/store.h"

#include "backend/local.h"
#include "backend/memory_backend.h"
#include "core/clock.h"
#include "core/plant.h"
#include "core/process.h"
#include "layout/key.h"
#include "layout/names.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { OWNER_TEXT_SIZE = 128, LOCK_POLL_US = 10 * 1000, STREAM_ARENA_CHUNK = 1024 };

/* Views of forks may take this part of the budget. */
enum { FORK_VIEWS_SHARE = 32 };

/* Up to this budget what a heap would keep counts. */
enum { MAPPING_BUDGET_MAX = 64 << 20 };

static _Thread_local strata_report refused_report;

void store_refused_report(strata_report *out)
{
    *out = refused_report;
}

/* ---- the backend and its lock ---- */

static int object_seen(void *context, const char *name, uint64_t size)
{
    (void)name, (void)size;
    *(bool *)context = true;
    return 1;
}

/* Whether there are traces of a database; touches nothing. */
static strata_status store_exists(const strata_backend *backend, bool *out)
{
    *out = false;
    TRY(backend_list(backend, LAYOUT_MANIFEST_FOLDER, object_seen, out));
    return *out ? STRATA_OK : manifests_find_traces(backend, out);
}

static strata_status open_memory(struct store *store)
{
    const struct store_options *options = &store->options;
    if (options->mode == STRATA_OPEN_READ_ONLY)
        return failure(STRATA_INVALID, "a database in memory cannot be opened for reading only");
    if (options->mode == STRATA_OPEN_EXISTING)
        return failure(STRATA_NOT_FOUND, "a database in memory does not exist before it is opened");
    if (options->path != NULL) {
        const strata_backend *local = NULL;
        bool exists = false;
        TRY(local_backend_create(options->path, store->memory_allocator, &local));
        const strata_status status = store_exists(local, &exists);
        local_backend_destroy(local);
        TRY(status);
        if (exists)
            return failure(STRATA_EXISTS,
                           "%s holds a database, which cache durability would ignore",
                           options->path);
    }
    TRY(memory_backend_create(store->memory_allocator, &store->own_backend));
    store->own_is_memory = true;
    store->backend = store->own_backend;
    return STRATA_OK;
}

/* `holder` is "pid N since T host H", as open_lock writes it, or what a backend says. */
static strata_status open_busy(const char *holder)
{
    unsigned long pid = 0;
    long long since_us = 0;
    char host[64] = "";
    char since[CLOCK_TEXT_SIZE];
    if (sscanf(holder, "pid %lu since %lld host %63s", &pid, &since_us, host) < 2)
        return failure(STRATA_BUSY, "the database is in use by %s",
                       holder[0] == '\0' ? "another process" : holder);
    clock_text(since_us, since);
    (void)failure(STRATA_BUSY, "the database is in use by pid %lu since %s host %s", pid, since,
                  host);
    failure_holder((uint32_t)pid, since_us);
    return STRATA_BUSY;
}

static strata_status open_lock(struct store *store)
{
    const strata_clock *clock = store->options.clock;
    const bool exclusive = !store->read_only;
    const int64_t end = clock->monotonic_us(clock->context) + store->options.lock_wait_us;
    char owner[OWNER_TEXT_SIZE];
    char host[64];
    process_host(host, sizeof(host));
    snprintf(owner, sizeof(owner), "pid %lu since %lld host %s", (unsigned long)process_id(),
             (long long)clock->wall_us(clock->context), host);
    for (;;) {
        char holder[OWNER_TEXT_SIZE + 1] = {0};
        const strata_status status =
            backend_lock(store->backend, store->options.path, exclusive,
                         bytes_of(owner, strlen(owner)), holder, sizeof(holder));
        if (status == STRATA_OK) {
            store->locked = true;
            return STRATA_OK;
        }
        if (status != STRATA_BUSY)
            return status;
        const int64_t now = clock->monotonic_us(clock->context);
        if (now >= end)
            return open_busy(holder);
        static const volatile int32_t never = 0;
        clock->wait(clock->context, now + LOCK_POLL_US < end ? now + LOCK_POLL_US : end, &never);
    }
}

static strata_status open_backend(struct store *store)
{
    const struct store_options *options = &store->options;
    store->read_only = options->mode == STRATA_OPEN_READ_ONLY;
    if (options->cache)
        return open_memory(store);
    store->backend = options->backend;
    if (store->backend == NULL) {
        TRY(local_backend_create(options->path, store->memory_allocator, &store->own_backend));
        store->backend = store->own_backend;
    }
    if (options->mode == STRATA_OPEN_EXISTING || store->read_only) {
        bool exists;
        TRY(store_exists(store->backend, &exists));
        if (!exists)
            return failure(STRATA_NOT_FOUND, "there is no database in %s",
                           options->path == NULL ? "the backend" : options->path);
    }
    return open_lock(store);
}

/* ---- parts of the store ---- */

static void store_set_output(struct store *store)
{
    store->output = (struct output_options){
        .part = {.backend = store->backend,
                 .allocator = store->memory_allocator,
                 .identity = store->identity,
                 .unit_size = store->profile.unit_size,
                 .frame_size = store->profile.frame_size,
                 .output_bytes = store->profile.output_bytes,
                 .with_buckets = store->profile.with_buckets,
                 .memory_max = store->profile.part_memory_max},
        .part_bytes_max = store->profile.part_bytes_max,
        .builders = store->options.builders,
        .builder_count = store->options.builder_count,
        .number_context = store,
        .take_number = store_take_number,
    };
    store->output_beyond = store->output;
    store->output_beyond.part.frame_size = store->profile.frame_size_beyond;
    store->policy =
        (struct rewrite_policy){.context = store, .keeps = store_keeps, .inherits = store_inherits};
    store->part_store = (struct part_store){
        .backend = store->backend, .allocator = store->memory_allocator, .cache = &store->cache};
    memcpy(store->part_store.uuid, store->identity.uuid, UUID_SIZE);
}

static strata_status store_create_parts(struct store *store)
{
    const strata_allocator *allocator = store->memory_allocator;
    epochs_init(&store->epochs, allocator);
    garbage_init(&store->garbage, allocator);
    mutex_init(&store->publish_lock);
    mutex_init(&store->jobs_lock);
    mutex_init(&store->readers_lock);
    mutex_init(&store->value_lock);
    condition_init(&store->jobs_changed);
    tables_init(&store->tables, allocator, &store->epochs, &store->garbage);
    branches_init(&store->branches, allocator, &store->cache, &store->tables,
                  &store->committer.visible);
    store->branches.fork_views.bytes_max = (size_t)(store->profile.budget / FORK_VIEWS_SHARE);
    arena_init(&store->published_arena, allocator, STREAM_ARENA_CHUNK);
    TRY(committer_init(&store->committer, allocator));
    TRY(cache_init(&store->cache, allocator, &store->epochs, store->profile.cache_bytes));
    cache_share(&store->cache, &store->memory.live_bytes, store->profile.shared_bytes_max);
    TRY(epoch_slot_take(&store->epochs, &store->policy_slot));
    store->committer.clock = store->options.clock;
    store->committer.tables = &store->tables;
    store->committer.epochs = &store->epochs;
    store->committer.cache = &store->cache;
    store->committer.memtable_charge_max = store->profile.memtable_charge_max;
    store->committer.make_room = store_make_room;
    store->committer.committed = store_committed;
    store->committer.room_context = store;
    return STRATA_OK;
}

/* The first set of tables: an empty memtable over the manifest's runs. */
static strata_status store_first_set(struct store *store, const struct manifest *manifest)
{
    strata_status status = STRATA_OK;
    struct memtable *memtable = NULL;
    struct tableset *set = NULL;
    const strata_allocator *allocator = store->memory_allocator;
    const size_t size = (manifest->run_count + 1) * sizeof(struct run *);
    struct run **runs = allocate_zeroed(allocator, size);
    struct tableset_parts parts = {.memtable_count = 1, .memtables = &memtable, .live = runs};
    if (runs == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for %u runs", manifest->run_count);
    for (uint32_t i = 0; i < manifest->run_count; i++) {
        TRY_OUT(run_create(&store->part_store, &store->garbage, &manifest->runs[i], &runs[i]));
        *(runs[i]->role == ROLE_LIVE ? &parts.live_count : &parts.history_count) += 1;
        if (runs[i]->id >= atomic_load(&store->next_run))
            atomic_store(&store->next_run, runs[i]->id + 1);
    }
    parts.history = runs + parts.live_count;
    TRY_OUT(memtable_create(allocator, store->profile.memtable_chunk, manifest->flushed_version + 1,
                            &memtable));
    TRY_OUT(tableset_create(&store->tables, &parts, &set));
    mutex_lock(&store->tables.install_lock);
    tables_install(&store->tables, set, NULL);
    mutex_unlock(&store->tables.install_lock);
    store->committer.active = memtable;

out:
    if (memtable != NULL)
        memtable_drop(memtable);
    for (uint32_t i = 0; i < manifest->run_count; i++)
        run_drop(runs[i]);
    release(allocator, runs, size);
    return status;
}

/* Takes over what the manifest says. */
static strata_status store_adopt(struct store *store, const struct manifest *manifest)
{
    store->identity = manifest->identity;
    store->created_us = manifest->created_us;
    store->flushed_version = manifest->flushed_version;
    store->flushed_time_us = manifest->flushed_time_us;
    atomic_store(&store->first_wal, manifest->first_wal);
    store->log_empty = manifest->log_empty;
    atomic_store(&store->next_object, manifest->next_object);
    atomic_store(&store->reserved_object, manifest->next_object);
    atomic_store(&store->next_branch, manifest->next_branch);
    atomic_store(&store->next_space, manifest->next_space);
    atomic_store(&store->next_run, 1);
    atomic_store(&store->committer.visible, manifest->flushed_version);
    atomic_store(&store->committer.visible_us, manifest->flushed_time_us);
    store_set_output(store);
    return store_first_set(store, manifest);
}

/* A database that has nothing in it yet. */
static strata_status store_create(struct store *store)
{
    struct manifest empty = {.first_wal = 1,
                             .log_empty = true,
                             .next_object = 1,
                             .next_branch = BRANCH_MAIN + 1,
                             .next_space = SPACE_FIRST_NAMED,
                             .created_us =
                                 store->options.clock->wall_us(store->options.clock->context)};
    store_u64(empty.identity.uuid, random_next(&store->random));
    store_u64(empty.identity.uuid + 8, random_next(&store->random));
    empty.identity.incarnation = random_next(&store->random);
    TRY(store_adopt(store, &empty));
    return store_publish(store, &(struct store_change){.removed_count = 0});
}

static strata_status store_load(struct store *store)
{
    struct manifest manifest = {.number = 0};
    bool found = false;
    if (!store->options.cache)
        TRY(manifests_load(&store->manifests, store->backend, store->memory_allocator,
                           &store->published_arena, &found, &manifest));
    if (!found) {
        if (store->options.mode == STRATA_OPEN_EXISTING || store->read_only)
            return failure(STRATA_NOT_FOUND, "there is no database in %s",
                           store->options.path == NULL ? "the backend" : store->options.path);
        return store_create(store);
    }
    if (store->options.mode == STRATA_OPEN_NEW)
        return failure(STRATA_EXISTS, "there is a database already");
    store->published = manifest;
    return store_adopt(store, &manifest);
}

/* ---- recovery and start ---- */

static strata_status store_start_log(struct store *store, const struct wal_tail *tail)
{
    const bool clean = tail->segment_count == 0;
    /* A recovery that flushed has set numbers aside that are still to be used. */
    atomic_store(&store->orphans_below, clean ? 0 : atomic_load(&store->next_object));
#if STRATA_PLANT == 13
    atomic_store(&store->orphans_below, clean ? 0 : atomic_load(&store->reserved_object));
#endif
    TRY(wal_start(&store->wal, store->backend, store->memory_allocator, &store->identity,
                  store->profile.segment_bytes_first, tail, store->manifests.published));
    store->wal.segment_bytes_max = store->profile.segment_bytes_max;
    wal_use_ring(&store->wal, store->profile.ring_bytes);
    if (tail->ring && store->wal.ring.bytes == NULL)
        TRY(backend_remove(store->backend, LAYOUT_WAL_RING));
    store->logged = true;
    store->committer.wal = &store->wal;
    atomic_store(&store->last_sync_us,
                 store->options.clock->monotonic_us(store->options.clock->context));
    atomic_store(&store->old_logs, !clean);
    atomic_store(&store->old_manifests, true);
    /* From here on a missing segment is lost data; and object numbers are at hand. */
    return store_publish(store, &(struct store_change){.removed_count = 0});
}

/* Moves what the log held into tables, after which none of its segments is needed. Nobody can tell
 * whether a sync of one of them failed before: what can be read of it now may never have reached the
 * disk, and syncing it again proves nothing. */
static strata_status store_settle(struct store *store, struct wal_tail *tail)
{
    if (tail->segment_count == 0)
        return STRATA_OK;
    TRY(store_flush_all(store));
    TRY(store_publish(store, &(struct store_change){.next_log = tail->last_number + 1}));
    tail->end_number = 0;
    tail->end = 0;
    tail->chain = 0;
    for (uint32_t i = 0; i < tail->segment_count; i++)
        tail->segments[i].needed = false;
    return STRATA_OK;
}

static strata_status store_begin(struct store *store)
{
    strata_status status = STRATA_OK;
    if (store->options.cache)
        return store_start_threads(store);
    struct wal_tail *tail = allocate_zeroed(store->memory_allocator, sizeof(*tail));
    if (tail == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to read the log");
    TRY_OUT(store_recover(store, tail));
    if (tail->lost_end > 0)
        store->read_only = true;
    if (!store->read_only) {
        TRY_OUT(store_settle(store, tail));
        TRY_OUT(store_start_log(store, tail));
    }

out:
    release(store->memory_allocator, tail, sizeof(*tail));
    return status == STRATA_OK ? store_start_threads(store) : status;
}

strata_status store_open(const struct store_options *options, struct store **out)
{
    struct memory first;
    memory_init(&first, options->allocator);
    struct store *store = allocate_zeroed(&first.base, sizeof(*store));
    if (store == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a database handle");
    memory_init(&store->memory, options->allocator);
    store->memory_allocator = &store->memory.allocator;
    store->options = *options;
    store->process = process_generation();
    store->random.state = options->seed != 0 ? options->seed : random_system_seed();
    profile_fill(&store->profile, options->memory_budget);
    if (options->memory_budget <= MAPPING_BUDGET_MAX)
        memory_map_large_blocks(&store->memory);
    atomic_store(&store->merge_sources, store->profile.merge_sources_max);
    if (!options->cache) /* Which keeps all data on the heap. */
        store->memory.live_bytes_max = store->profile.heap_bytes_max;
    if (store->profile.keeps_chunks)
        memory_keep(&store->memory, store->profile.memtable_chunk);
    strata_status status = store_create_parts(store);
    if (status == STRATA_OK)
        status = open_backend(store);
    if (status == STRATA_OK)
        status = store_load(store);
    if (status == STRATA_OK)
        status = store_begin(store);
    if (status != STRATA_OK) {
        strata_error error;
        failure_save(&error);
        refused_report = store->report;
        store_free(store);
        return failure_restore(&error);
    }
    *out = store;
    return STRATA_OK;
}
