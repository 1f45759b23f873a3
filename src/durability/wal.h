/* The write-ahead log: what makes a commit survive. Bytes: format/wal_record.h.
 *
 * Segments have rising numbers, never used again; a creation that failed leaves a gap. A segment is
 * created, its header written and synced, and its name synced, before a record goes into it; before
 * that, the segment before it is synced to its end. So whenever a segment's header is whole,
 * everything before the segment is durable, and its header says which one came before and where that
 * ended: what lies behind that end (a record whose append failed, stale bytes after a recovery), and
 * any segment between the two, is not part of the log.
 *
 * With a ring (wal_ring.h), a record goes there and into the segment later: when half the ring is
 * full, before a sync, before the next segment. A killed process leaves its records in both. */
#ifndef STRATA_DURABILITY_WAL_H
#define STRATA_DURABILITY_WAL_H

#include "backend/backend.h"
#include "core/buffer.h"
#include "core/lock.h"
#include "durability/wal_turns.h"
#include "format/wal_record.h"

#include <stdatomic.h>

/* A segment that exists. Versions in it: [first_version, first_version of the next). */
struct wal_segment {
    uint64_t number;
    uint64_t first_version;
    uint64_t bytes; /* Reserved ones included. */
    bool needed;    /* False: below the first, or a creation that did not finish; may go. */
};

/* The log grows no further than the limit less the spare: those are for starts, one each. */
enum { WAL_SEGMENTS_MAX = 256, WAL_SEGMENTS_SPARE = 64 };

/* The active segment's object, the next one's made ahead, and one that is being made. */
enum { WAL_SLOTS = 3 };

/* Three locks. Appending and rotating belong to one thread at a time, the holder of the commit lock.
 * Syncing goes beside it: one thread does it for all, without a lock but with `turns.syncing` set, and
 * the others wait. `sync_lock` guards that; rotation takes it too (after the commit lock), once nobody
 * syncs. The segment is appended to under `copy_lock`, the last of them.
 * Invariants: durable_version <= appended_version; active->appended = copied <= end. */
struct wal {
    const strata_backend *backend;
    const strata_allocator *allocator;
    struct identity identity;
    uint64_t segment_bytes;     /* Of the next segment. */
    uint64_t segment_bytes_max; /* Doubles up to it whenever a segment fills up. */
    struct object slots[WAL_SLOTS];
    struct object *active; /* Changes under both locks. */
    uint64_t active_number;
    uint64_t active_bytes;   /* Room in it, header included. */
    struct ring ring;        /* bytes NULL: there is none. */
    _Atomic uint64_t end;    /* Of the records in the active segment; moved by the appender. */
    _Atomic uint64_t copied; /* What lies behind it, up to `end`, only the ring has. */
    struct mutex copy_lock;
    uint64_t last_number;                          /* The highest ever tried. */
    uint64_t chain;                                /* Of the last record or header. */
    struct wal_segment segments[WAL_SEGMENTS_MAX]; /* Oldest first; the last is the active one. */
    uint32_t segment_count;                        /* Both guarded by sync_lock. */
    struct object *spare; /* The next segment's, without a header; NULL: none. */
    bool spare_ready;     /* False while it is being made. These are guarded by sync_lock. */
    uint64_t spare_number;
    uint64_t spare_bytes;
    uint64_t spare_after;       /* The segment that it was made after, or was to be. */
    bool spare_lazy;            /* Its bytes are not written ahead. */
    uint64_t sync_count_before; /* When the active segment began. */
    struct mutex sync_lock;
    struct wal_turns turns; /* While one syncs, without the lock, the active segment stays. */
    _Atomic uint64_t halted_number; /* The segment whose fault ended all writing; 0: none. */
    _Atomic uint64_t appended_version;
    _Atomic uint64_t durable_version;
    _Atomic uint64_t manifest; /* The newest known durable; goes into records. */
    _Atomic uint64_t sync_count;
    _Atomic uint64_t bytes_appended;
};

/* What the log held. */
struct wal_tail {
    uint64_t last_version;    /* Of the last record that counts; first_version - 1 if none. */
    int64_t last_time_us;     /* Of it; 0 if none. */
    uint64_t durable_version; /* The highest that any valid record or header knew. */
    uint64_t manifest;        /* Likewise. */
    uint64_t last_number;     /* The highest number seen; first_number - 1 if none. */
    uint64_t end_number;      /* The segment that the next one comes after; 0: none. */
    uint64_t end;             /* Where the log ends there. */
    uint64_t chain;
    uint64_t unknown_commits; /* Traces of records behind the end that do not count. */
    uint64_t lost_end; /* 0, or: versions (last_version, lost_end) were durable and are gone. */
    bool ring;         /* There is one, */
    bool ring_used;    /* and only it had some of the records that count. */
    char lost_object[OBJECT_NAME_SIZE];
    struct wal_segment segments[WAL_SEGMENTS_MAX]; /* By number. */
    uint32_t segment_count;
};

/* What is to be read. */
struct wal_reading {
    const strata_backend *backend;
    const strata_allocator *allocator;
    const struct identity *identity;
    uint64_t first_number;
    uint64_t first_version; /* Of the first record of that segment. */
    uint64_t last_number;   /* 0, or read only up to `last_end` in this segment, and no ring: */
    uint64_t last_end;      /* of a log that is written to meanwhile, see wal_mark. */
    strata_status (*apply)(void *context, const struct wal_record *record);
    void *context;
};

/* Calls `apply` for each record that counts, in order. `record->payload` is valid during the call. A
 * segment `first_number` that does not exist, with none after it, is an empty log. Loss of durable
 * records is no failure here: see `lost_end`. Memory: one record and 64 KiB; twice that where a ring
 * was left. Creates and changes nothing.
 * Fails with the status of `apply`, STRATA_IO, STRATA_NO_MEMORY, STRATA_UNSUPPORTED, and
 * STRATA_CORRUPT only for more than WAL_SEGMENTS_MAX segments. */
STRATA_CHECKED strata_status wal_read(const struct wal_reading *reading, struct wal_tail *out);

/* Starts segment tail->last_number + 1, for versions from tail->last_version + 1 on; what the tail's
 * segments hold has been synced again (a crash may have left it in the page cache only), so
 * everything read is durable from here; where only the ring had some of it, it has been made so
 * elsewhere, and tail->end_number is 0. STRATA_NO_SPACE if there are WAL_SEGMENTS_MAX already. On
 * failure `wal` is closed, and starting again takes a new wal_read. Keeps `backend`, `allocator`. */
STRATA_CHECKED strata_status wal_start(struct wal *wal, const strata_backend *backend,
                                       const strata_allocator *allocator,
                                       const struct identity *identity, uint64_t segment_bytes,
                                       const struct wal_tail *tail, uint64_t manifest);

/* Makes the next segment ahead, if a quarter of the active one is in use: its bytes are written and
 * synced here, not when a commit needs it; where syncs are few they are only set aside. Does not
 * fail: without it, that commit makes one. Any thread. */
void wal_prepare(struct wal *wal);

/* Removes what was made ahead: before a clean end. */
void wal_drop_spare(struct wal *wal);

/* Lets records go through a ring of at most `bytes`, if the backend has one to give. What it held is
 * gone. Before the first append. */
void wal_use_ring(struct wal *wal, uint64_t bytes);

/* Closes handles; syncs nothing. Fine on a zeroed struct. */
void wal_close(struct wal *wal);

/* Appends a commit whose payload lies in `record` after WAL_RECORD_HEADER_SIZE bytes of room; pads
 * and seals `record` in place. `version` is appended_version + 1. Starts a new segment if there is
 * no room. On failure nothing is appended and detail's outcome is STRATA_NOT_COMMITTED if it is
 * certain that no recovery will find the record, else STRATA_COMMIT_UNKNOWN with STRATA_HALTED. Halts
 * too if the ring cannot be copied: a power cut may then take what it holds, and nothing else. */
STRATA_CHECKED strata_status wal_append(struct wal *wal, uint64_t version, int64_t time_us,
                                        struct buffer *record);

/* Starts a new segment, so that the ones before can go once their versions are flushed; all of them
 * are durable then. Does nothing if the active one is empty. STRATA_NO_SPACE also if too many are
 * left. On failure the old one goes on as if nothing had been tried, unless it is STRATA_HALTED. */
STRATA_CHECKED strata_status wal_rotate(struct wal *wal);

/* Returns when `version` is durable; one sync serves all that were appended before it. After a failed sync, always
 * STRATA_HALTED. Any thread. */
STRATA_CHECKED strata_status wal_sync(struct wal *wal, uint64_t version);

/* How far the segments can be read now. Any thread. */
void wal_mark(struct wal *wal, uint64_t *number, uint64_t *end);

/* The segment in which versions after `version` begin: what a manifest that has flushed `version`
 * needs first. The holder of the commit lock. */
uint64_t wal_first_needed(struct wal *wal, uint64_t version);

/* Removes one segment that is not needed or below `first_needed`, if there is one; `*more` says
 * whether another is left. The manifest that does not need it is durable. Takes the sync lock only
 * for the list. One thread at a time. */
STRATA_CHECKED strata_status wal_drop_step(struct wal *wal, uint64_t first_needed, bool *more);

/* Bytes of the segments, reserved ones included, and of the ring. */
uint64_t wal_bytes(struct wal *wal);

#endif
