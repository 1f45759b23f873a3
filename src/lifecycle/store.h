/* The store: everything one open database consists of, below the engine.
 *
 * Locks, in the order in which they may be taken: committer.lock, jobs_lock, publish_lock,
 * tables.install_lock, wal.sync_lock, branches.lock, then leaves (cache shards, garbage, epochs,
 * value_lock). */
#ifndef STRATA_LIFECYCLE_STORE_H
#define STRATA_LIFECYCLE_STORE_H

#include "commit/committer.h"
#include "core/memory.h"
#include "core/random.h"
#include "durability/manifests.h"
#include "table/rewrite.h"
#include "table/run_warm.h"

enum {
    STORE_THREADS_MAX = 64,
    JOB_INPUTS_MAX = 128,
    ROOM_RUNS_MAX = 24,  /* With more live runs, writers wait for merges too; */
    PACE_RUNS_FREE = 10, /* with more than these, they slow down. */
    JOB_RETRY_US = 100 * 1000,
    OBJECT_NUMBERS_RESERVED = 64
};

/* Sizes that follow from the memory budget. */
struct profile {
    uint64_t budget;
    uint64_t memtable_charge_max; /* Of one memtable. */
    uint32_t memtable_count_max;  /* Frozen ones waiting for their flush. */
    size_t memtable_chunk;
    bool keeps_chunks; /* Of memtables that are gone, for the next. */
    size_t cache_bytes;
    size_t heap_bytes_max;   /* Of all: more is refused. */
    size_t shared_bytes_max; /* Of all: with more the cache gives way. */
    uint32_t unit_size;
    uint32_t frame_size;        /* Of the frames of parts, about, */
    uint32_t frame_size_beyond; /* and of those of runs larger than the cache. */
    bool with_buckets;
    uint64_t part_bytes_max;
    uint64_t part_memory_max; /* While one is written, of what grows with it. */
    uint64_t segment_bytes_first;
    uint64_t segment_bytes_max;
    uint64_t ring_bytes;      /* Of the log's ring; 0: none. */
    uint64_t batch_bytes_max; /* Of one transaction. */
    bool one_batch;           /* Only one batch or large value is on its way at a time. */
    uint64_t held_bytes_max;  /* Values of more than this many bytes in all are copied. */
    uint32_t merge_sources_max;
    uint32_t output_bytes;   /* Of an append to a part. */
    uint64_t input_bytes;    /* That a merge reads ahead in all. */
    size_t pieces_bytes_max; /* Of the inputs of a merge, whatever their frames; 0: any. */
    uint64_t step_charge;    /* Bytes of rows that one step of a job goes through. */
};

/* How to open a store: strata_open_options, checked and with defaults filled in. */
struct store_options {
    const char *path;
    strata_open_mode mode;
    bool cache; /* Nothing is logged and nothing survives. */
    bool always;
    bool lossy;
    int background_threads;
    uint64_t memory_budget;
    int64_t lock_wait_us;
    int64_t sync_interval_us;
    uint64_t seed;
    const strata_allocator *allocator;
    const strata_clock *clock;
    const strata_logger *logger;
    const strata_progress *progress;
    const strata_backend *backend;           /* NULL: local files, or memory with `cache`. */
    const struct artifact_builder *builders; /* For tests, until a primitive has one. */
    uint32_t builder_count;
};

/* Most urgent first. */
enum job_kind { JOB_SYNC, JOB_FLUSH, JOB_RECLAIM, JOB_MERGE, JOB_COUNT };

/* A job is a state machine: each step is short. `claimed`: a thread is in one of its steps. */
struct job {
    bool claimed;
    /* Between its first and its last step. Written by whoever has claimed the job; atomic, since
     * compilers read it along with its neighbour. */
    _Atomic bool running;
    struct rewrite rewrite;
    struct run *inputs[JOB_INPUTS_MAX]; /* Held. */
    uint32_t input_count;
    struct memtable *memtable; /* Held. */
    struct run_warm warm;      /* What it published last goes to the cache. */
    uint64_t min_version;      /* Of the output. */
    uint64_t max_version;
    uint8_t live_tier;
    uint8_t history_tier;
    int64_t retry_at_us; /* Monotonic: after a failure, not before. */
    strata_error error;  /* That failure. */
};

struct store_counters {
    _Atomic uint64_t flushes, merges, flush_bytes, merge_bytes, merge_input_bytes, syncs;
    _Atomic uint64_t rows_merged, rows_dropped, objects_removed, stalls, stall_us, stall_us_max;
};

struct store {
    struct memory memory;
    const strata_allocator *memory_allocator; /* &memory.allocator */
    struct store_options options;
    struct profile profile;
    struct random random;
    const strata_backend *backend;
    const strata_backend *own_backend; /* To be destroyed, or NULL. */
    bool own_is_memory;
    bool locked; /* The root's lock is ours. */
    bool read_only;
    uint32_t process; /* process_generation() at open. */
    struct identity identity;
    int64_t created_us;
    struct epochs epochs;
    struct garbage garbage;
    struct cache cache;
    struct part_store part_store;
    struct tables tables;
    struct committer committer;
    struct branches branches;
    struct wal wal;
    bool logged; /* `wal` is started. */
    struct manifests manifests;
    struct output_options output;
    struct output_options output_beyond; /* Of merges of more than the cache can hold. */
    strata_report report;

    /* What merges may drop: the answers about the branch asked for last. See policy.c. */
    struct rewrite_policy policy;
    struct epoch_slot *policy_slot;
    bool policy_known;
    bool policy_inherits;
    uint64_t policy_branch;
    uint64_t policy_needed;

    _Atomic uint64_t next_object;     /* The next number to hand out; below `reserved_object`. */
    _Atomic uint64_t reserved_object; /* The durable manifest's watermark. */
    _Atomic uint64_t next_branch;
    _Atomic uint32_t next_space;
    _Atomic uint64_t next_run;

    struct mutex publish_lock; /* Held from choosing what to publish to installing it. */
    uint64_t flushed_version;  /* Guarded by publish_lock, as the next two. */
    int64_t flushed_time_us;
    struct manifest published; /* As last published; in published_arena. */
    struct arena published_arena;
    _Atomic uint64_t first_wal;
    bool log_empty; /* As the published manifest says. */

    struct mutex jobs_lock;
    struct condition jobs_changed; /* A step ended, or there is work. */
    struct job jobs[JOB_COUNT];
    _Atomic bool stopping;
    uint32_t compactor_count;     /* Guarded by jobs_lock. */
    _Atomic uint64_t compact_to;  /* Merge all there is up to this version; 0: as need be. */
    _Atomic int64_t last_sync_us; /* Monotonic. */
    struct thread threads[STORE_THREADS_MAX];
    uint32_t thread_count;
    _Atomic bool pressed;         /* Work is behind: writers pace themselves. */
    _Atomic int64_t paced_at_us;  /* Since when they write without a pause, */
    _Atomic int64_t resume_at_us; /* and until when they pause; monotonic. */
    _Atomic bool old_logs;        /* Segments may be left that are not needed. */
    _Atomic bool old_manifests;   /* Likewise manifests. */
    _Atomic uint64_t
        orphans_below; /* Table objects below it that nothing lists are to be removed; 0: done. */
    uint32_t orphan_folder;         /* Being looked through, */
    uint64_t orphan_next;           /* from this number on. */
    _Atomic int64_t retired_try_us; /* Monotonic: what is retired is not tried before. */
    _Atomic uint64_t quiet_version; /* What was visible when last looked at, */
    _Atomic int64_t quiet_since_us; /* and since when; monotonic. */
    _Atomic bool untidy;            /* Objects are left that only the next open can find. */

    _Atomic uint32_t handle_count;
    _Atomic uint32_t merge_sources; /* At most so many: fewer where frames are large. */
    struct mutex value_lock;        /* Small budgets: of the one value object that is being read. */
    struct mutex readers_lock;
    struct store_reader *readers; /* Open snapshots and transactions. */
    struct store_counters counters;
};

/* A handle that reads: known to the store for as long as it is open. */
struct store_reader {
    struct store *store;
    struct epoch_slot *slot;
    struct store_reader *before, *after;
    _Atomic uint64_t version; /* That it reads; 0: none at present. */
    int64_t since_us;
    char label[32];
};

/* ---- open.c, close.c ---- */

/* As strata_open; on STRATA_DATA_LOSS the report is kept for store_refused_report. */
STRATA_CHECKED strata_status store_open(const struct store_options *options, struct store **out);
STRATA_CHECKED strata_status store_close(struct store *store);

/* That of this thread's last refused open. */
void store_refused_report(strata_report *out);

/* Frees everything without writing; for a failed open, too. */
void store_free(struct store *store);

/* ---- recover.c ---- */

/* Reads the log into memtables, flushing when they fill up, and fills in the report. */
STRATA_CHECKED strata_status store_recover(struct store *store, struct wal_tail *tail);

/* ---- publish.c ---- */

/* The number of a new table object; publishes a higher watermark when they run out. */
STRATA_CHECKED strata_status store_take_number(void *store, uint64_t *out);

/* Publishes runs `removed`, gone, and `added`, there: then installs the set that shows it, without
 * `memtable` if that is not NULL, whose versions end at `flushed_version` then. `values` are value
 * objects that nobody needs then. `added` runs are acquired by the set; on failure nothing changed.
 */
struct store_change {
    struct run *const *removed;
    uint32_t removed_count;
    struct run *const *added;
    uint32_t added_count;
    struct memtable *memtable;
    int64_t flushed_time_us;
    struct garbage_item *values;
    uint64_t
        next_log; /* Not 0: all is flushed, no segment of the log below this number is needed. */
};
STRATA_CHECKED strata_status store_publish(struct store *store, const struct store_change *change);

/* ---- jobs.c ---- */

/* Starts the background threads, if the options want any. */
STRATA_CHECKED strata_status store_start_threads(struct store *store);
void store_stop_threads(struct store *store);

/* Does one step of the most urgent job that no other thread is in; `*did` false: there is none.
 * `slot` is the calling thread's. */
STRATA_CHECKED strata_status store_step(struct store *store, struct epoch_slot *slot, bool *did);

/* Wakes the background threads. */
void store_wake(struct store *store);

/* As strata_maintain. */
STRATA_CHECKED strata_status store_maintain(struct store *store, int64_t budget_us,
                                            strata_work *out);

/* Returns when every commit visible now is in runs. */
STRATA_CHECKED strata_status store_flush_all(struct store *store);

/* As strata_compact. */
STRATA_CHECKED strata_status store_compact(struct store *store, const strata_progress *progress);

/* Does steps of the most urgent jobs until there is none of that kind or a more urgent one to do.
 * Space that cannot be given back fails nobody: it is tried again later. */
STRATA_CHECKED strata_status store_drain(struct store *store, struct epoch_slot *slot,
                                         enum job_kind kind);

/* Returns when every commit visible now is durable. */
STRATA_CHECKED strata_status store_sync(struct store *store);

/* committer.make_room, and committer.committed, which keeps the bound on what is not synced where there
 * are no background threads, and else writers at the speed of those. */
void store_committed(void *store);
strata_status store_make_room(void *store, uint64_t charge, int64_t wait_us);

/* ---- pace.c ---- */

/* Whether writers have to look: `set` is about to be the present one. */
void store_note_pressure(struct store *store, const struct tableset *set);

/* How little room is left, in parts per thousand. */
uint64_t store_pressure(struct store *store, struct epoch_slot *slot);

/* After a commit, no lock held: pauses in proportion to what is behind. */
void store_pace(struct store *store);

/* ---- flush.c, merge.c, reclaim.c: one step each ---- */

/* Whether there is a step to do. `slot` is the calling thread's, everywhere here. */
bool store_flush_due(struct store *store, struct epoch_slot *slot);
STRATA_CHECKED strata_status store_flush_step(struct store *store, struct job *job,
                                              struct epoch_slot *slot);
bool store_merge_due(struct store *store, struct epoch_slot *slot);
STRATA_CHECKED strata_status store_merge_step(struct store *store, struct job *job,
                                              struct epoch_slot *slot);

/* When memory that is kept for memtables goes back if nobody writes until then; monotonic. STRATA_FOREVER:
 * there is none. */
int64_t store_trim_at(struct store *store);

/* What a merge is to do: the newest `live_count` live runs, with the `history_count` newest history
 * runs; or, without any, `history_count` history runs from `history_first` on. */
struct merge_choice {
    uint32_t live_count;
    uint32_t history_first;
    uint32_t history_count;
};

struct merge_bounds {
    uint64_t compact_to;  /* Up to this version all is to be merged; 0: nobody asked for that. */
    uint32_t sources_max; /* Runs that can be open. */
};

/* Chooses runs of a set to merge: all that was asked for, or else what is too much. False: nothing is. */
bool merge_choose(const struct tableset *set, const struct merge_bounds *bounds,
                  struct merge_choice *out);

/* How many of the newest runs, `bytes` newest first, are to become one where there should be at most
 * `most`; 0: none. */
uint32_t merge_newest(const uint64_t *bytes, uint32_t count, uint32_t most);

/* ---- toll.c ---- */

enum { TOLL_GETS = 64, TOLL_SEEKS = 16, TOLL_ROWS = 1024 };

/* Counts `count` gets as of version `cap`, of which one found a row of version `found`, 0: none. Inside,
 * as is the next. `slot` is the reader's. */
void store_take_gets(struct store *store, struct epoch_slot *slot, uint64_t cap, uint64_t found);
void store_take_scans(struct store *store, struct epoch_slot *slot, uint64_t cap);

enum { COUNT_GETS, COUNT_SEEKS, COUNT_ROWS };

static inline void store_count_gets(struct store *store, struct epoch_slot *slot, uint32_t count,
                                    uint64_t cap, uint64_t found)
{
    slot->counts[COUNT_GETS] += count;
    if (slot->counts[COUNT_GETS] >= TOLL_GETS)
        store_take_gets(store, slot, cap, found);
}

/* Counts a part of a scan: so many times sought, so many rows shown. */
static inline void store_count_scan(struct store *store, struct epoch_slot *slot, uint32_t seeks,
                                    uint32_t rows, uint64_t cap)
{
    slot->counts[COUNT_SEEKS] += seeks;
    slot->counts[COUNT_ROWS] += rows;
    if (slot->counts[COUNT_SEEKS] >= TOLL_SEEKS || slot->counts[COUNT_ROWS] >= TOLL_ROWS)
        store_take_scans(store, slot, cap);
}

/* How many of the newest live runs, up to `most`, are to become one because reads have paid for that;
 * 0: none. */
uint32_t toll_paid(const struct tableset *set, uint32_t most);

/* What showing so many of `rows` rows, of which the run has some, costs more for that it is by itself;
 * ns. */
uint64_t toll_of_rows(const struct run *run, uint64_t rows, uint64_t shown);

/* What merging a run costs; ns. */
uint64_t toll_price(const struct run *run);

/* Whether everything up to `version` is merged. */
bool store_compacted(struct store *store, uint64_t version, struct epoch_slot *slot);
bool store_reclaim_due(struct store *store);
STRATA_CHECKED strata_status store_reclaim_step(struct store *store, struct epoch_slot *slot);

/* Has the cache take in a run that was just published, if it is not NULL and writers leave time for it; a
 * step of that. */
void store_warm_begin(struct store *store, struct job *job, struct run *run);
void store_warm_step(struct store *store, struct job *job);

/* Ends a job, whole or not: what it holds is let go of. `abandoned`: what it wrote is garbage, unless
 * it may have been published. */
void store_end_job(struct store *store, struct job *job, bool abandoned);

/* Makes the runs that a finished rewrite wrote; [0] live, [1] history, NULL where it wrote none. */
STRATA_CHECKED strata_status store_job_outputs(struct store *store, struct job *job,
                                               struct run *out[2]);

/* Publishes and installs what a job made of its inputs. */
STRATA_CHECKED strata_status store_job_publish(struct store *store, struct job *job,
                                               struct run *outputs[2]);

/* Waits for the present step of a job to end, and gives the job up. */
void store_cancel_job(struct store *store, enum job_kind kind);

/* Gives up a table object that nothing refers to. Cannot fail: without memory, it stays until the next
 * open finds it. */
void store_discard_object(struct store *store, uint64_t number);

/* ---- policy.c ---- */

/* What merges may drop: rows of deleted branches that no living branch inherits. */
bool store_keeps(void *store, uint64_t branch, uint32_t storage_space, uint64_t from, uint64_t to);
bool store_inherits(void *store, uint64_t branch);

/* ---- profile.c ---- */

void profile_fill(struct profile *profile, uint64_t budget);

/* ---- readers.c ---- */

STRATA_CHECKED strata_status store_reader_open(struct store *store, const char *label,
                                               struct store_reader *out);
void store_reader_close(struct store_reader *reader);

/* The least version that an open reader reads, and its label and since when; 0: none. */
uint64_t store_oldest_reader(struct store *store, int64_t *since_us_out, char label_out[32]);

/* ---- check.c ---- */

/* As strata_check. */
STRATA_CHECKED strata_status
store_check(struct store *store, struct epoch_slot *slot, const strata_progress *progress,
            void (*found)(void *context, const strata_finding *finding), void *context);

#endif
