/* The scheduler: which step of which job is next, who does it, and waiting for it. */
#include "lifecycle/store.h"

#include <assert.h>

enum {
    ROOM_RUNS_DRIVEN = 8, /* As ROOM_RUNS_MAX, without threads: writers do the merges. */
    SYNC_AHEAD_SHARE = 8,
    SYNC_AHEAD_US = 5000,
    DRIVEN_RECLAIM_STEPS = 64,
    COMPACT_RECLAIM_STEPS = 1 << 20
};

static uint32_t store_runs_max(const struct store *store)
{
    return store->options.background_threads == 0 ? ROOM_RUNS_DRIVEN : ROOM_RUNS_MAX;
}

static int64_t store_monotonic(const struct store *store)
{
    return store->options.clock->monotonic_us(store->options.clock->context);
}

/* ---- syncing ---- */

static bool store_unsynced(struct store *store)
{
    return store->logged &&
           atomic_load(&store->wal.durable_version) < atomic_load(&store->committer.visible);
}

static bool store_sync_due(struct store *store)
{
    return store_unsynced(store) && store_monotonic(store) - atomic_load(&store->last_sync_us) >=
                                        store->options.sync_interval_us;
}

/* Whether the memtable is about to be frozen: the log is then synced under the commit lock, and the
 * less is left of that the better. */
static bool store_sync_ahead_due(struct store *store, struct epoch_slot *slot)
{
    if (store->options.background_threads == 0 || !store_unsynced(store) ||
        store_monotonic(store) - atomic_load(&store->last_sync_us) < SYNC_AHEAD_US)
        return false;
    const uint64_t most = store->profile.memtable_charge_max;
    epoch_enter(&store->epochs, slot);
    const struct memtable *active = atomic_load(&store->tables.current)->memtables[0];
    const bool near = atomic_load(&active->charge) > most - most / SYNC_AHEAD_SHARE;
    epoch_leave(slot);
    return near;
}

strata_status store_sync(struct store *store)
{
    if (!store_unsynced(store))
        return committer_check(&store->committer);
    atomic_store(&store->last_sync_us, store_monotonic(store));
    const strata_status status = wal_sync(&store->wal, atomic_load(&store->committer.visible));
    if (status != STRATA_OK)
        committer_halt(&store->committer);
    return status;
}

/* ---- steps ---- */

/* Whether it failed a moment ago. */
static bool job_waits(const struct store *store, const struct job *job)
{
    return job->retry_at_us > 0 && store_monotonic(store) < job->retry_at_us;
}

static bool job_due(struct store *store, enum job_kind kind, struct epoch_slot *slot)
{
    const struct job *job = &store->jobs[kind];
    /* A halted store removes nothing: what a failed manifest lists may be needed after all. */
    if (atomic_load(&store->committer.halted))
        return false;
    if (job_waits(store, job))
        return false;
    switch (kind) {
    case JOB_SYNC:
        return store_sync_due(store) || store_sync_ahead_due(store, slot);
    case JOB_FLUSH:
        return job->running || job->warm.run != NULL || store_flush_due(store, slot);
    case JOB_RECLAIM:
        return store_reclaim_due(store);
    case JOB_MERGE:
        return job->running || job->warm.run != NULL || store_merge_due(store, slot);
    case JOB_COUNT:
        break;
    }
    return false;
}

static strata_status job_step(struct store *store, enum job_kind kind, struct epoch_slot *slot)
{
    struct job *job = &store->jobs[kind];
    switch (kind) {
    case JOB_SYNC:
        return store_sync(store);
    case JOB_FLUSH:
        return store_flush_step(store, job, slot);
    case JOB_RECLAIM:
        return store_reclaim_step(store, slot);
    case JOB_MERGE:
        return store_merge_step(store, job, slot);
    case JOB_COUNT:
        break;
    }
    return STRATA_OK;
}

/* Claims the most urgent job from `first` to `last` that nobody is in; JOB_COUNT if there is none. */
static enum job_kind job_claim(struct store *store, enum job_kind first, enum job_kind last,
                               struct epoch_slot *slot)
{
    for (enum job_kind kind = first; kind <= last && kind < JOB_COUNT; kind++) {
        if (!store->jobs[kind].claimed && job_due(store, kind, slot)) {
            store->jobs[kind].claimed = true;
            return kind;
        }
    }
    return JOB_COUNT;
}

static void job_log_failure(const struct store *store, enum job_kind kind)
{
    static const char *const names[JOB_COUNT] = {"sync", "flush", "reclaim", "merge"};
    const strata_logger *logger = store->options.logger;
    if (logger != NULL)
        logger->write(logger->context, STRATA_LOG_ERROR, names[kind], strata_error_message());
}

/* Does a step of the most urgent job from `first` to `last`; `*did`: which, JOB_COUNT for none. */
static strata_status store_step_between(struct store *store, struct epoch_slot *slot,
                                        enum job_kind first, enum job_kind last, enum job_kind *did)
{
    mutex_lock(&store->jobs_lock);
    const enum job_kind kind = job_claim(store, first, last, slot);
    mutex_unlock(&store->jobs_lock);
    *did = kind;
    if (kind >= JOB_COUNT)
        return STRATA_OK;

    const strata_status status = job_step(store, kind, slot);
    cache_yield(&store->cache);
    mutex_lock(&store->jobs_lock);
    struct job *job = &store->jobs[kind];
    job->claimed = false;
    job->retry_at_us = 0;
    const bool over = !job->running || status != STRATA_OK;
    if (status != STRATA_OK) {
        failure_save(&job->error);
        job->retry_at_us = store_monotonic(store) + JOB_RETRY_US;
    }
    /* Whoever waits does so for a job and not for a step: waking all at each would cost more than
     * the step. */
    if (over)
        condition_signal_all(&store->jobs_changed);
    mutex_unlock(&store->jobs_lock);
    if (status != STRATA_OK)
        job_log_failure(store, kind);
    return status;
}

/* For those who wait for something else: space that cannot be given back now is no failure. */
static strata_status store_step_up_to(struct store *store, struct epoch_slot *slot,
                                      enum job_kind last, bool *did)
{
    enum job_kind kind;
    const strata_status status = store_step_between(store, slot, JOB_SYNC, last, &kind);
    *did = kind != JOB_COUNT;
    return kind == JOB_RECLAIM ? STRATA_OK : status;
}

strata_status store_step(struct store *store, struct epoch_slot *slot, bool *did)
{
    enum job_kind kind;
    const strata_status status = store_step_between(store, slot, JOB_SYNC, JOB_MERGE, &kind);
    *did = kind != JOB_COUNT;
    return status;
}

/* Gives back for a while: where there are no threads, or before saying that space is back. */
static void store_give_back(struct store *store, struct epoch_slot *slot, unsigned steps)
{
    enum job_kind kind = JOB_RECLAIM;
    while (kind != JOB_COUNT && steps-- > 0) {
        if (store_step_between(store, slot, JOB_RECLAIM, JOB_RECLAIM, &kind) != STRATA_OK)
            return; /* It is tried again later. */
    }
}

/* ---- background threads ---- */

static void store_thread(void *context)
{
    struct store *store = context;
    struct epoch_slot *slot;
    if (epoch_slot_take(&store->epochs, &slot) != STRATA_OK)
        return;
    while (!atomic_load(&store->stopping)) {
        bool did = false;
        if (store->logged)
            wal_prepare(&store->wal);
        if (store_step(store, slot, &did) == STRATA_OK && did)
            continue;
        mutex_lock(&store->jobs_lock);
        const int64_t idle = store->options.sync_interval_us < 10000 ? 1000 : 10000;
        if (!atomic_load(&store->stopping))
            condition_wait(&store->jobs_changed, &store->jobs_lock, idle);
        mutex_unlock(&store->jobs_lock);
    }
    epoch_slot_give(slot);
}

strata_status store_start_threads(struct store *store)
{
    if (store->read_only)
        return STRATA_OK;
    for (int i = 0; i < store->options.background_threads; i++) {
        assert(store->thread_count < STORE_THREADS_MAX);
        TRY(thread_start(&store->threads[store->thread_count], store_thread, store));
        store->thread_count++;
    }
    return STRATA_OK;
}

void store_wake(struct store *store)
{
    mutex_lock(&store->jobs_lock);
    condition_signal_all(&store->jobs_changed);
    mutex_unlock(&store->jobs_lock);
}

void store_stop_threads(struct store *store)
{
    atomic_store(&store->stopping, true);
    store_wake(store);
    for (uint32_t i = 0; i < store->thread_count; i++)
        thread_join(&store->threads[i]);
    store->thread_count = 0;
}

/* ---- callers that drive or wait ---- */

/* Whether a job up to `last` is due or in somebody's hands; fills in a failure that holds one up. */
static bool jobs_pending(struct store *store, enum job_kind last, struct epoch_slot *slot,
                         bool *failed, strata_error *error)
{
    bool pending = false;
    *failed = false;
    mutex_lock(&store->jobs_lock);
    for (enum job_kind kind = JOB_SYNC; kind <= last; kind++) {
        const struct job *job = &store->jobs[kind];
        if (kind != JOB_RECLAIM && !job->claimed && job_waits(store, job)) {
            *failed = true;
            *error = job->error;
        }
        pending = pending || job->claimed || job_due(store, kind, slot);
    }
    mutex_unlock(&store->jobs_lock);
    return pending;
}

/* Does a step of a job up to `last`, or waits a little for those who do. */
static strata_status store_help(struct store *store, struct epoch_slot *slot, enum job_kind last)
{
    bool did = false;
    bool failed;
    strata_error error;
    TRY(store_step_up_to(store, slot, last, &did));
    if (did)
        return STRATA_OK;
    (void)jobs_pending(store, last, slot, &failed, &error);
    if (failed)
        return failure_restore(&error);
    mutex_lock(&store->jobs_lock);
    condition_wait(&store->jobs_changed, &store->jobs_lock, 1000);
    mutex_unlock(&store->jobs_lock);
    return STRATA_OK;
}

strata_status store_drain(struct store *store, struct epoch_slot *slot, enum job_kind kind)
{
    for (;;) {
        bool did = false;
        bool failed;
        strata_error error;
        TRY(store_step_up_to(store, slot, kind, &did));
        if (did)
            continue;
        const bool pending = jobs_pending(store, kind, slot, &failed, &error);
        if (failed)
            return failure_restore(&error);
        TRY(committer_check(&store->committer));
        if (!pending)
            return STRATA_OK;
        mutex_lock(&store->jobs_lock);
        condition_wait(&store->jobs_changed, &store->jobs_lock, 1000);
        mutex_unlock(&store->jobs_lock);
    }
}

static uint64_t store_backlog(struct store *store, struct epoch_slot *slot)
{
    uint64_t bytes = 0;
    struct job *merge = &store->jobs[JOB_MERGE];
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    for (uint32_t i = 1; i < set->memtable_count; i++)
        bytes += atomic_load(&set->memtables[i]->charge);
    mutex_lock(&store->jobs_lock);
    if (merge->claimed || merge->running || store_merge_due(store, slot)) {
        for (uint32_t i = 0; i < set->live_count; i++)
            bytes += set->live[i]->tier == 0 ? set->live[i]->bytes : 0;
        bytes += bytes == 0;
    }
    mutex_unlock(&store->jobs_lock);
    epoch_leave(slot);
    return bytes;
}

/* How long nothing will be due if nobody writes, or reads much. */
static int64_t store_idle(struct store *store)
{
    int64_t next = store_trim_at(store);
    if (store_unsynced(store)) {
        const int64_t sync = atomic_load(&store->last_sync_us) + store->options.sync_interval_us;
        next = sync < next ? sync : next;
    }
    if (next == STRATA_FOREVER)
        return STRATA_FOREVER;
    const int64_t idle = next - store_monotonic(store);
    return idle < 0 ? 0 : idle;
}

strata_status store_maintain(struct store *store, int64_t budget_us, strata_work *out)
{
    struct epoch_slot *slot;
    strata_status status = STRATA_OK;
    const int64_t end = store_monotonic(store) + budget_us;
    bool did = true;
    TRY(epoch_slot_take(&store->epochs, &slot));
    do {
        status = store_step(store, slot, &did);
    } while (status == STRATA_OK && did && store_monotonic(store) < end);
    if (out != NULL) {
        *out = (strata_work){.idle_us = did ? 0 : store_idle(store),
                             .backlog_bytes = store_backlog(store, slot)};
    }
    epoch_slot_give(slot);
    if (status == STRATA_OK && !did)
        return STRATA_DONE;
    return status;
}

/* What a flush has to do, at one moment. */
struct flush_look {
    uint64_t first_unflushed; /* Versions below it are in runs, */
    uint64_t first_active;    /* and those from here on in the memtable that takes the writes. */
    uint32_t memtable_count;
    uint32_t run_count;
};

static struct flush_look flush_look(struct store *store, struct epoch_slot *slot)
{
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    const struct flush_look look = {
        .first_unflushed = set->memtables[set->memtable_count - 1]->first_version,
        .first_active = set->memtables[0]->first_version,
        .memtable_count = set->memtable_count,
        .run_count = set->live_count,
    };
    epoch_leave(slot);
    return look;
}

/* Until every commit below `version` is in runs: what others write meanwhile is not waited for. */
static strata_status flush_below(struct store *store, struct epoch_slot *slot, uint64_t version)
{
    for (;;) {
        TRY(committer_check(&store->committer));
        if (flush_look(store, slot).first_unflushed >= version)
            return STRATA_OK;
        TRY(store_help(store, slot, JOB_FLUSH));
    }
}

/* Until there are few enough runs, or none to merge. Where nobody else merges, all that is due is done. */
static strata_status flush_merge(struct store *store, struct epoch_slot *slot)
{
    bool failed = false;
    strata_error error;
    if (store->thread_count == 0)
        return store_drain(store, slot, JOB_MERGE);
    while (flush_look(store, slot).run_count > store_runs_max(store) &&
           jobs_pending(store, JOB_MERGE, slot, &failed, &error)) {
        TRY(committer_check(&store->committer));
        TRY(store_help(store, slot, JOB_MERGE));
    }
    return failed ? failure_restore(&error) : STRATA_OK;
}

/* Under committer.lock. */
static strata_status room_freeze(struct store *store, struct epoch_slot *slot)
{
    TRY(committer_freeze(&store->committer, store->profile.memtable_chunk));
    epoch_enter(&store->epochs, slot);
    store_note_pressure(store, atomic_load(&store->tables.current));
    epoch_leave(slot);
    store_wake(store);
    return STRATA_OK;
}

static strata_status flush_freeze(struct store *store, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    mutex_lock(&store->committer.lock);
    epoch_enter(&store->epochs, slot);
    const struct memtable *active = atomic_load(&store->tables.current)->memtables[0];
    const bool empty = atomic_load(&active->last_version) < active->first_version;
    epoch_leave(slot);
    if (!empty)
        status = room_freeze(store, slot);
    mutex_unlock(&store->committer.lock);
    return status;
}

/* Memory, runs and the log stay bounded also when a caller does nothing but write and flush. */
static strata_status flush_bounded(struct store *store, struct epoch_slot *slot)
{
    const struct flush_look look = flush_look(store, slot);
    if (look.memtable_count > store->profile.memtable_count_max)
        TRY(flush_below(store, slot, look.first_active));
    TRY(flush_freeze(store, slot));
    TRY(flush_below(store, slot, flush_look(store, slot).first_active));
    if (look.run_count > store_runs_max(store))
        TRY(flush_merge(store, slot));
    if (store->thread_count == 0)
        store_give_back(store, slot, DRIVEN_RECLAIM_STEPS);
    return STRATA_OK;
}

strata_status store_flush_all(struct store *store)
{
    struct epoch_slot *slot;
    if (store->read_only)
        return failure(STRATA_READ_ONLY, "the database is open for reading only");
    TRY(epoch_slot_take(&store->epochs, &slot));
    const strata_status status = flush_bounded(store, slot);
    epoch_slot_give(slot);
    return status;
}

static strata_status compact_steps(struct store *store, struct epoch_slot *slot, uint64_t version,
                                   const strata_progress *progress)
{
    const uint64_t total = atomic_load(&store->counters.rows_merged);
    while (!store_compacted(store, version, slot)) {
        bool did = false;
        bool failed;
        strata_error error;
        TRY(store_step_up_to(store, slot, JOB_MERGE, &did));
        if (progress != NULL &&
            progress->report(progress->context, "compact",
                             atomic_load(&store->counters.rows_merged) - total, 0) != 0)
            return failure(STRATA_INTERRUPTED, "compaction was interrupted");
        if (did)
            continue;
        (void)jobs_pending(store, JOB_MERGE, slot, &failed, &error);
        if (failed)
            return failure_restore(&error);
        TRY(committer_check(&store->committer));
        mutex_lock(&store->jobs_lock);
        condition_wait(&store->jobs_changed, &store->jobs_lock, 1000);
        mutex_unlock(&store->jobs_lock);
    }
    store_give_back(store, slot, COMPACT_RECLAIM_STEPS);
    return STRATA_OK;
}

/* Up to what is there now: what is written meanwhile could keep it going for ever. */
strata_status store_compact(struct store *store, const strata_progress *progress)
{
    struct epoch_slot *slot;
    const uint64_t version = atomic_load(&store->committer.visible);
    TRY(store_flush_all(store));
    TRY(epoch_slot_take(&store->epochs, &slot));
    mutex_lock(&store->jobs_lock);
    store->compactor_count++;
    if (version > atomic_load(&store->compact_to))
        atomic_store(&store->compact_to, version);
    mutex_unlock(&store->jobs_lock);
    const strata_status status = compact_steps(store, slot, version, progress);
    mutex_lock(&store->jobs_lock);
    if (--store->compactor_count == 0)
        atomic_store(&store->compact_to, 0);
    mutex_unlock(&store->jobs_lock);
    epoch_slot_give(slot);
    return status;
}

/* ---- back-pressure ---- */

void store_committed(void *context)
{
    struct store *store = context;
    if (store->options.background_threads > 0) {
        if (atomic_load_explicit(&store->pressed, memory_order_relaxed))
            store_pace(store);
        return;
    }
    /* The commit stands, whatever becomes of this: a failed sync halts the store. */
    if (store_sync_due(store) && store_sync(store) != STRATA_OK)
        return;
}

/* What stands in the way of a commit. */
struct room {
    bool fits;     /* The memtable takes it. */
    bool memtable; /* Another one may be frozen. */
    bool runs;     /* Few enough of them. */
};

/* Under committer.lock. */
static struct room room_look(struct store *store, struct epoch_slot *slot, uint64_t charge)
{
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    const struct memtable *active = set->memtables[0];
    const bool empty = atomic_load(&active->last_version) < active->first_version;
    const struct room room = {.fits = empty || atomic_load(&active->charge) + charge <=
                                                   store->profile.memtable_charge_max,
                              .memtable = set->memtable_count <= store->profile.memtable_count_max,
                              .runs = set->live_count <= store_runs_max(store)};
    epoch_leave(slot);
    return room;
}

/* Whether memtables that were flushed have given their memory back, or there is enough without it.
 * They are freed when every reader that may still look at them has left. */
static bool room_settled(struct store *store)
{
    const uint64_t live = atomic_load(&store->memory.live_bytes);
    if (live + store->profile.memtable_charge_max <= store->options.memory_budget / 2)
        return true;
    return !epoch_reclaim(&store->epochs);
}

/* What to help with. */
static enum job_kind room_job(const struct room *room)
{
    if (!room->memtable)
        return JOB_FLUSH;
    return room->runs ? JOB_RECLAIM : JOB_MERGE;
}

static void room_count_stall(struct store *store, int64_t since_us)
{
    const int64_t stalled = store_monotonic(store) - since_us;
    const uint64_t us = stalled < 0 ? 0 : (uint64_t)stalled;
    atomic_fetch_add(&store->counters.stalls, 1);
    atomic_fetch_add(&store->counters.stall_us, us);
    if (us > atomic_load(&store->counters.stall_us_max))
        atomic_store(&store->counters.stall_us_max, us);
}

strata_status store_make_room(void *context, uint64_t charge, int64_t wait_us)
{
    struct store *store = context;
    struct epoch_slot *slot;
    strata_status status = STRATA_OK;
    const int64_t start = store_monotonic(store);
    bool waited = false;
    if (charge > store->profile.memtable_charge_max)
        return failure(STRATA_TOO_BIG, "a commit of %llu bytes is beyond the memory budget",
                       (unsigned long long)charge);
    TRY(epoch_slot_take(&store->epochs, &slot));
    if (store->options.background_threads == 0) {
        /* Nobody else removes what is not needed any more. */
        mutex_unlock(&store->committer.lock);
        store_give_back(store, slot, DRIVEN_RECLAIM_STEPS);
        mutex_lock(&store->committer.lock);
    }
    while (status == STRATA_OK) {
        const struct room room = room_look(store, slot, charge);
        if (room.fits)
            break;
        /* A halted store makes no room, ever. */
        status = committer_check(&store->committer);
        if (status != STRATA_OK)
            break;
        const bool settled = room.memtable && room.runs && room_settled(store);
        if (settled) {
            status = room_freeze(store, slot);
            break;
        }
        if (store_monotonic(store) - start > wait_us) {
            status = failure(STRATA_TIMEOUT, "no memory for a commit after %lld us",
                             (long long)(store_monotonic(store) - start));
            break;
        }
        waited = true;
        mutex_unlock(&store->committer.lock);
        status = store_help(store, slot, room_job(&room));
        mutex_lock(&store->committer.lock);
    }
    if (waited)
        room_count_stall(store, start);
    epoch_slot_give(slot);
    return status;
}
