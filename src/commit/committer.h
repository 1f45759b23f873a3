/* Commits: one batch, one version, one time, in one order for the whole database.
 *
 * A commit is encoded outside the lock. Under it: check, take the next version, append to the log,
 * insert into the memtable, publish. Syncing happens outside again, one sync for all that wait. */
#ifndef STRATA_COMMIT_COMMITTER_H
#define STRATA_COMMIT_COMMITTER_H

#include "branch/branches.h"
#include "durability/wal.h"
#include "format/batch.h"

/* Invariant under the lock: the next commit has version visible + 1. */
struct committer {
    const strata_allocator *allocator;
    const strata_clock *clock;
    struct tables *tables;
    struct epochs *epochs;
    struct cache *cache;
    struct wal *wal; /* NULL: nothing is logged. */
    struct mutex lock;
    struct memtable *active;    /* The present set's first. Guarded by lock. */
    _Atomic uint64_t visible;   /* The newest version that reads may see. */
    _Atomic int64_t visible_us; /* Its time. */
    uint64_t memtable_charge_max;
    struct buffer key;   /* Scratch, reserved for the longest storage key. Guarded by lock. */
    _Atomic bool halted; /* Then `halt_error` says why and never changes. */
    strata_error halt_error;
    _Atomic uint64_t commit_count; /* Written under the lock, as the next. */
    _Atomic uint64_t user_bytes;   /* Keys and values committed. */
    _Atomic uint64_t conflict_count;
    /* Called with the lock held, when the memtable has no room for `charge` more: makes room, or fails
     * with STRATA_TIMEOUT after wait_us, STRATA_TOO_BIG, .... May let go of the lock meanwhile. */
    strata_status (*make_room)(void *context, uint64_t charge, int64_t wait_us);
    void (*committed)(void *context); /* Called after each commit, no lock held. NULL: nobody. */
    void *room_context;               /* Of both. */
};

/* A commit to be made. */
struct commit_request {
    struct branch *branch; /* That it belongs to; NULL: the system's. */
    struct buffer *record; /* WAL_RECORD_HEADER_SIZE bytes of room, then the batch. */
    uint64_t rows;         /* In the batch. */
    uint64_t user_bytes;   /* Of keys and values in it. */
    /* NULL, or the batch's only row with its storage key, so that it need not be decoded again. */
    const struct batch_row *row;
    struct bytes storage_key;
    uint64_t key_hash;     /* hash64 of that. */
    uint64_t since;        /* STRATA_CONFLICT if a row of the batch was written after it. */
    bool check;            /* Whether to look. */
    bool increments;       /* The batch has rows with BATCH_INCREMENT. */
    bool sync;             /* Return when it is durable. */
    int64_t stall_wait_us; /* For room. */
    /* NULL, or called under the lock to write or finish the batch, when there is room for it: for
     * commits that depend on the newest state. `version` and `time_us` will be the commit's. */
    strata_status (*fill)(void *context, const struct tableset *set, uint64_t version,
                          int64_t time_us, struct commit_request *request);
    /* NULL, or called under the lock when the commit is visible. */
    void (*applied)(void *context, uint64_t version, int64_t time_us);
    void *context;
};

STRATA_CHECKED strata_status committer_init(struct committer *committer,
                                            const strata_allocator *allocator);
void committer_destroy(struct committer *committer);

/* Fetches what a commit of one row will wait for first, while the caller encodes it. */
void committer_expect(struct committer *committer, struct epoch_slot *slot, uint64_t key_hash);

/* Makes the commit. `slot` is the caller's, for reading. On failure the outcome in the detail says
 * whether it happened. STRATA_CONFLICT, STRATA_HALTED, what make_room and fill give, .... */
STRATA_CHECKED strata_status committer_commit(struct committer *committer, struct epoch_slot *slot,
                                              struct commit_request *request, strata_commit *out);

/* Applies a record that the log holds already: recovery. Room has been made. */
STRATA_CHECKED strata_status committer_replay(struct committer *committer,
                                              const struct wal_record *record);

/* Stops all commits for good, with this thread's last failure as the reason. */
void committer_halt(struct committer *committer);

/* STRATA_OK, or STRATA_HALTED with the reason. */
STRATA_CHECKED strata_status committer_check(const struct committer *committer);

/* Puts an empty memtable in front of the others and starts a new log segment for it. The lock is
 * held. */
STRATA_CHECKED strata_status committer_freeze(struct committer *committer, size_t chunk_bytes);

/* What a row of a batch becomes in the memtable, but for its key. */
int64_t batch_row_expiry(const struct batch_row *row, int64_t commit_us);

#endif
