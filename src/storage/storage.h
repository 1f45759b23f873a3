/* The boundary: all of storage that the engine may see. Rows in and out at a version of a branch,
 * commits, branches, the log. Nothing above this knows bytes, logs, manifests or merges.
 *
 * A reader is a handle of the engine's, used by one thread at a time. Between storage_enter and
 * storage_leave what reads give stays where it is; outside, only copies and pins do. "Inside" says
 * that a call is to be made between the two; all other calls enter by themselves. */
#ifndef STRATA_STORAGE_STORAGE_H
#define STRATA_STORAGE_STORAGE_H

#include "core/buffer.h"
#include "format/batch.h"
#include "layout/key.h"
#include "lifecycle/footprint.h"
#include "lifecycle/store.h"
#include "table/value_file.h"
#include "table/versions.h"

/* ---- open, close, spaces (storage.c) ---- */

/* A space's name and number. Lives as long as the storage. */
struct storage_space {
    _Atomic uint32_t number; /* 0: not known to exist yet. */
    _Atomic bool deletions;  /* It was deleted in some branch at some time. */
    _Atomic bool registered; /* Its catalog row is committed, as it is here. */
    struct storage_space *next;
    char name[BRANCH_NAME_SIZE_MAX + 1];
};

struct storage {
    struct store *store;
    struct mutex spaces_lock;
    struct mutex batch_lock; /* Small budgets: of the one batch or large value on its way. */
    struct storage_space *spaces;
    struct storage_space default_space;
};

/* The storage stays where it is afterwards. */
STRATA_CHECKED strata_status storage_open(const struct store_options *options, struct storage *out);

/* After any status but STRATA_BUSY (readers are open, values are held) it is closed. */
STRATA_CHECKED strata_status storage_close(struct storage *storage);

/* Interns a valid name and looks its number up, if it has one by now. */
STRATA_CHECKED strata_status storage_space_find(struct storage *storage,
                                                struct store_reader *reader, const char *name,
                                                struct storage_space **out);

static inline void storage_enter(struct store_reader *reader)
{
    epoch_enter(&reader->store->epochs, reader->slot);
}

static inline void storage_leave(struct store_reader *reader)
{
    epoch_leave(reader->slot);
}

/* ---- what is read (view.c) ---- */

struct storage_writes;

/* A branch at a version, with a transaction's own writes on top. The engine fills it. */
struct storage_view {
    struct branch *branch; /* A handle of its own: storage_branch_*. */
    uint64_t version;
    int64_t time_us;                     /* Expiry is judged at it, or at STORAGE_TIME_NOW. */
    const struct storage_writes *writes; /* NULL: none. */
    uint64_t own_cap; /* Own writes numbered up to it are seen: storage_writes_cap. */
};

/* As the time of a view: of each row that expires, when it is read. For views of one read. */
#define STORAGE_TIME_NOW INT64_MIN

/* The newest version and the time for a view of it: the clock's, or that of its commit if later. */
void storage_head(const struct storage *storage, uint64_t *version_out, int64_t *time_us_out);

static inline uint64_t storage_head_version(const struct storage *storage)
{
    return atomic_load_explicit(&storage->store->committer.visible, memory_order_acquire);
}

/* A row that was read. The key is not filled in. */
struct storage_row {
    bool found;
    struct row row;             /* row.value: the bytes, or a value reference. */
    struct cached_frame *pin;   /* Of the value; NULL: it lasts until leave. */
    struct cached_frame *frame; /* Where it lies, to be pinned by who wants that; or NULL. */
};

/* The live row of `key` (a user key) in (space, kind): deletions and expired rows are not found, own
 * writes have `from` 0. Inside. The caller unpins, or keeps the pin in a value. */
STRATA_CHECKED strata_status storage_get(struct store_reader *reader,
                                         const struct storage_view *view,
                                         const struct storage_space *space, unsigned kind,
                                         struct bytes key, struct storage_row *out);
void storage_unpin(struct store_reader *reader, struct storage_row *row);

enum { STORAGE_BATCH_MAX = TABLESET_BATCH_MAX };

/* storage_get of `count` <= STORAGE_BATCH_MAX keys at once. On failure nothing is held. */
STRATA_CHECKED strata_status storage_get_many(struct store_reader *reader,
                                              const struct storage_view *view,
                                              const struct storage_space *space, unsigned kind,
                                              const struct bytes *keys, uint32_t count,
                                              struct storage_row *out);

/* Size of the value of a row, wherever it lies. */
uint64_t storage_value_size(const struct row *row);

/* Copies bytes [offset, offset + size) of the value of a row, which has them. Inside. */
STRATA_CHECKED strata_status storage_value_read(struct store_reader *reader, const struct row *row,
                                                uint64_t offset, void *to, size_t size);

/* ---- scans (scan_cursor.c) ---- */

/* What is scanned. The branch handle and the writes of the view outlive the scan. */
struct storage_scan_options {
    struct storage_view view;
    const struct storage_space *space;
    unsigned kind;
    struct scan_bounds bounds; /* User keys in [first, end), end of length 0: no end. Copied. */
    bool reverse;
};

/* Live rows in key order, either way. Between calls it holds no memtable and no run. */
struct storage_scan {
    struct store_reader *reader;
    struct storage_view view;
    const struct storage_space *space;
    uint32_t storage_space; /* 0: there is nothing to scan. */
    bool reverse;
    bool open;       /* Whether `scan` is. */
    bool positioned; /* Whether `position` says something. */
    bool valid;
    struct row *row; /* Its key is the user key. Own writes have `from` 0. Until leave or move. */
    struct buffer position;     /* The last key noted, to start over from. */
    struct buffer first, end;   /* The bounds; end empty: none. */
    uint64_t generation;        /* Of the set it reads. */
    const struct memtable *own; /* The transaction's, as it was at open. */
    uint64_t own_floor;         /* Own writes numbered below it were deleted with their space. */
    uint64_t fork_serial;       /* Of the view of the fork that it reads by; 0: none. */
    struct level *levels;       /* The branch and those of its ancestors that are read. */
    uint32_t level_capacity;
    uint32_t level_count;
    struct scan scan;
};

/* To be opened and closed any number of times: it keeps its memory. */
void storage_scan_init(struct storage_scan *scan, const struct storage *storage);
STRATA_CHECKED strata_status storage_scan_open(struct storage_scan *scan,
                                               struct store_reader *reader,
                                               const struct storage_scan_options *options);

/* Inside. To the first row at or past `key` in its direction (strictly past with `past`); key.data
 * NULL: to the first of all. */
STRATA_CHECKED strata_status storage_scan_seek(struct storage_scan *scan, struct bytes key,
                                               bool past);

/* Inside. To the row after the one shown last; to the first if there was none. */
STRATA_CHECKED strata_status storage_scan_next(struct storage_scan *scan);

/* The same from a row that was moved to since the last enter, for many rows in one go. The two moves
 * before note where they stand, this one does not: whoever calls it reserves room for the key of each
 * row that it keeps, and before the leave, also after a failure, notes the last. */
STRATA_CHECKED strata_status storage_scan_step(struct storage_scan *scan);

/* As storage_scan_step, over rows of one leaf up to `most` <= PART_ROWS_MAX, where they can be had at
 * once; none: that one goes on. `*prefix` is what all their user keys begin with. The leaf stays while
 * the scan stands on one of them, and longer with a pin of one's own. */
void storage_scan_rows(struct storage_scan *scan, uint32_t most, struct part_rows *out,
                       struct bytes *prefix);

/* Makes sure that noting a key of `size` bytes cannot fail. */
STRATA_CHECKED strata_status storage_scan_reserve(struct storage_scan *scan, size_t size);

/* `key`, which there is room for, is that of the row shown last: what follows comes behind it. */
void storage_scan_note(struct storage_scan *scan, struct bytes key);

/* The same of a row before the one that it stands on, which will be moved to again. */
void storage_scan_go_back(struct storage_scan *scan, struct bytes key);

/* Inside. Says that it was sought so many times and showed so many rows, for the sake of whoever
 * merges: store_count_scan. */
static inline void storage_count_scan(const struct storage_scan *scan, uint32_t seeks,
                                      uint32_t rows)
{
    const bool spared = scan->level_count > 0 && (scan->levels[0].passed_over & LEVEL_RUNS) != 0;
    const uint32_t levels = scan->level_count - (spared ? 1 : 0);
    if (levels > 0)
        store_count_scan(scan->reader->store, scan->reader->slot, seeks * levels, rows,
                         scan->view.version);
}

void storage_scan_close(struct storage_scan *scan);

/* Fine on a zeroed struct. */
void storage_scan_release(struct storage_scan *scan);

/* ---- history (history.c) ---- */

/* All retained versions of one key, newest first, deletions too, through the ancestors. The branch
 * handle and the writes of the view outlive it. */
struct storage_history {
    struct store_reader *reader;
    struct storage_view view;
    uint32_t storage_space;
    bool deletions;    /* Look for deletions of the whole space. */
    struct buffer key; /* User key. */
    struct lineage at;
    uint64_t below; /* Versions below it are still to come. */
    bool own_shown;
    bool own_deleted; /* Own writes delete the space, and that is still to be shown. */
    struct storage_row row;

    uint64_t found_in;        /* The branch in which the last version was found; */
    struct versions versions; /* those that follow there, */
    uint64_t generation;      /* in this set. */
};

STRATA_CHECKED strata_status storage_history_open(struct store_reader *reader,
                                                  struct storage *storage,
                                                  const struct storage_view *view,
                                                  const struct storage_space *space, unsigned kind,
                                                  struct bytes key, struct storage_history *out);

/* Inside. Lets go of the row before. row.found false: the end. A deletion has kind ROW_DELETE. */
STRATA_CHECKED strata_status storage_history_next(struct storage_history *history);
void storage_history_close(struct storage_history *history);

/* ---- writing (writes.c, commits.c) ---- */

/* A transaction's writes, in order of making, readable through views. Its rows live in a memtable of
 * its own, keyed in the transaction's branch, numbered OWN_VERSION_BASE + 1, + 2, .... */
struct storage_writes {
    struct storage *storage;
    uint64_t branch;
    struct memtable *memtable; /* NULL: none yet. */
    struct memtable **retired; /* Older ones, that cursors may still read. */
    uint32_t retired_count;
    uint64_t count;       /* Writes numbered so far. */
    uint64_t bytes;       /* Charge. */
    struct buffer spaces; /* Of each space written that is not registered: see writes.c. */
    struct buffer
        values;          /* u64 number of each value object written by it: the engine notes them. */
    struct buffer lives; /* Times to live: see writes.c. */
    struct buffer record; /* Scratch for the batch. */
    bool deletions;       /* One of them deletes a space. */
};

/* What a write is. `key` empty with ROW_RANGE_DELETE only. */
struct storage_write {
    struct storage_space *space;
    unsigned kind; /* Of primitive: KIND_KV .... */
    uint8_t row;   /* enum row_kind */
    uint8_t flags; /* BATCH_EXPIRES, BATCH_LIVES or BATCH_INCREMENT. */
    struct bytes key;
    struct bytes value;
    int64_t expires_us; /* By flags: absolute, or to live. */
};

void storage_writes_init(struct storage_writes *writes, struct storage *storage, uint64_t branch);

/* Forgets all writes; value objects they made become garbage unless `committed`. Keeps memory for
 * the next round where it can. */
void storage_writes_clear(struct storage_writes *writes, bool committed);
void storage_writes_release(struct storage_writes *writes);

/* Copies it. STRATA_TOO_BIG beyond what a transaction may hold, STRATA_NO_MEMORY. `now_us` is the
 * time that a time to live counts from for the transaction's own reads. An increment of a key that the transaction wrote is folded into that write
 * by the engine before it comes here; it is read back as a ROW_COUNTER of 9 bytes, the last one 1. */
STRATA_CHECKED strata_status storage_writes_add(struct storage_writes *writes,
                                                const struct storage_write *write, int64_t now_us);

/* Everything written so far is seen up to this number. */
static inline uint64_t storage_writes_cap(const struct storage_writes *writes)
{
    return OWN_VERSION_BASE + writes->count;
}

/* Takes back all writes after the first `count`. */
STRATA_CHECKED strata_status storage_writes_undo(struct storage_writes *writes, uint64_t count);

/* How to commit. */
struct storage_commit_options {
    struct branch *branch;
    uint64_t since;        /* First committer wins: rows changed after it clash. */
    bool check;            /* Whether they do. */
    bool sync;             /* Durable before it returns. */
    int64_t stall_wait_us; /* For memory. */
    const char *message;   /* NULL: none. */
};

/* Commits the newest write of every key as one version. No writes: version 0, STRATA_OK. The writes
 * are not cleared. STRATA_CONFLICT; STRATA_HALTED; .... */
STRATA_CHECKED strata_status storage_commit(struct storage_writes *writes,
                                            struct store_reader *reader,
                                            const struct storage_commit_options *options,
                                            strata_commit *out);

/* One write as a commit of its own, without a transaction's memtable. If `decide` is not NULL it is
 * called under the commit lock, inside, with a view of the newest state, and may change the write
 * (its value must outlive the call) or refuse it with any failure(), which is returned. `scratch`
 * is the caller's, kept from call to call. */
STRATA_CHECKED strata_status storage_commit_one(
    struct storage *storage, struct store_reader *reader, const struct storage_write *write,
    strata_status (*decide)(void *context, const struct storage_view *view,
                            struct storage_write *write),
    void *context, const struct storage_commit_options *options, struct buffer *scratch,
    strata_commit *out);

/* Long values: an object of its own, written before the commit that refers to it. */
STRATA_CHECKED strata_status storage_value_open(struct storage *storage, struct value_writer *out);

/* ---- branches and points (branching.c) ---- */

/* A handle on a branch by name: STRATA_NOT_FOUND. Follows renames. */
STRATA_CHECKED strata_status storage_branch_open(struct storage *storage,
                                                 struct store_reader *reader, const char *name,
                                                 struct branch **out);
void storage_branch_again(struct storage *storage, struct branch *branch);
void storage_branch_close(struct storage *storage, struct branch *branch);

/* Each is one commit. `from` and `version`: the state inherited; UINT64_MAX: the newest. STRATA_EXISTS,
 * STRATA_NOT_FOUND, STRATA_HISTORY_UNAVAILABLE beyond the newest commit. message NULL: none. */
STRATA_CHECKED strata_status storage_branch_fork(struct storage *storage,
                                                 struct store_reader *reader,
                                                 const struct branch *from, uint64_t version,
                                                 const char *name, const char *message);
/* The same of the newest state of the branch named `from`, without a handle: takes no longer however
 * many ancestors there are. */
STRATA_CHECKED strata_status storage_branch_fork_head(struct storage *storage,
                                                      struct store_reader *reader, const char *from,
                                                      const char *name, const char *message);
STRATA_CHECKED strata_status storage_branch_create(struct storage *storage,
                                                   struct store_reader *reader, const char *name,
                                                   const char *message);
STRATA_CHECKED strata_status storage_branch_delete(struct storage *storage,
                                                   struct store_reader *reader, const char *name);
STRATA_CHECKED strata_status storage_branch_rename(struct storage *storage,
                                                   struct store_reader *reader, const char *name,
                                                   const char *new_name);

/* Branches by name, from the first that is at or after `name`; strictly after with `past`. Reads the
 * newest state. `*found` false: no more. head_version is the last commit of its own, or its cap. */
struct storage_branch_info {
    struct catalog_branch branch;
    uint64_t head_version;
    int64_t head_us;
    char parent[BRANCH_NAME_SIZE_MAX + 1]; /* "": none, or deleted. */
};
STRATA_CHECKED strata_status storage_branch_next(struct storage *storage,
                                                 struct store_reader *reader, const char *name,
                                                 bool past, bool *found,
                                                 struct storage_branch_info *out);

/* The names of the spaces that have a live row in `view`, one after another in order of name:
 * `name` "" to start. `*found` false: no more; else the next one is written to `name`. */
STRATA_CHECKED strata_status storage_space_next(struct storage *storage,
                                                struct store_reader *reader,
                                                const struct storage_view *view,
                                                char name[BRANCH_NAME_SIZE_MAX + 1], bool *found);

/* ---- the log (commit_log.c) ---- */

struct storage_log_entry {
    uint64_t version;
    int64_t time_us;
    uint64_t rows;
    uint64_t branch;                          /* It was made on. */
    char message[BATCH_MESSAGE_SIZE_MAX + 1]; /* "": none. */
};

/* The last commit with version <= `version` and time <= `time_us` that `branch` sees; `*found` false:
 * none. Walks up the ancestors, where caps bound the versions. */
STRATA_CHECKED strata_status storage_log_find(struct storage *storage, struct store_reader *reader,
                                              const struct branch *branch, uint64_t version,
                                              int64_t time_us, bool *found,
                                              struct storage_log_entry *out);

/* The present name of a branch, "" if it was deleted. */
STRATA_CHECKED strata_status storage_branch_name(struct storage *storage,
                                                 struct store_reader *reader, uint64_t branch,
                                                 char out[BRANCH_NAME_SIZE_MAX + 1]);

#endif
