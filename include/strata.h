/* Strata: an embedded database that keeps every version and forks in microseconds.
 *
 * This header is the manual, and the only one to include. It reads top to bottom:
 *
 *     1 introduction   4 open and close    7 key-value         10 options by name, version
 *     2 status         5 points in time    8 branches, log     11 strata_backend.h: your own
 *     3 bytes, values  6 transactions,     9 operations           heap, clock, log, storage
 *                        spaces, cursors
 *
 * 1. INTRODUCTION
 *
 *     strata *db;
 *     strata_txn *main_branch;
 *     strata_open("agent.strata", NULL, &db);
 *     strata_txn_auto(db, "main", &main_branch);
 *     strata_kv_put(main_branch, NULL, strata_text("plan"), strata_text("write tests"));
 *
 * A database holds branches. A branch holds spaces. A space holds keys. Every commit has one version
 * (1, 2, 3, ... over all branches; forks, renames and drops of branches are commits too) and one
 * time (UTC microseconds since 1970, never decreasing; several commits may share one). A new
 * database has the branch "main"; every branch has the space "default", which is the one a NULL
 * space means.
 *
 * Every read and write takes a strata_txn. There are three ways to get one, and no second form of
 * any call:
 *
 *     strata_txn_auto      every call is its own commit, every read sees the head
 *     strata_txn_begin     a write transaction: one snapshot and its own writes, one commit
 *     strata_txn_snapshot  one branch at a version, time, tag or its head, never changing
 *
 * Threads. A `strata` and a `strata_space` may be used by any number of threads at once. A
 * strata_txn, strata_cursor, strata_kv_writer or strata_value is used by one thread at a time and may
 * move between threads. A cursor counts as use of its transaction. Exceptions say so.
 * No handle may be used in the child of a fork(); there every call fails with STRATA_CLOSED.
 *
 * Ownership. What an open, begin or scan function returns, the caller closes. Close and release
 * functions accept NULL, and cannot fail, except strata_close. `const` parameters and strata_bytes
 * are borrowed for the call; anything kept longer is copied unless the comment says "keeps".
 * Out-parameters come last, are named `out` or `x_out`, and are written only on STRATA_OK, or as
 * the comment says. Views (strata_bytes and `const char *` inside what a `_next` call fills) last
 * until the cursor moves or closes. In what the library fills, `data == NULL` means absent,
 * never empty.
 *
 * Structs are of two kinds. Those whose first member is `uint32_t size` may grow: set `size` to
 * sizeof the struct, every other byte zero means the default, and set bytes that this library does
 * not know are STRATA_INVALID. All others are frozen for the life of this major version. Where 0
 * would be a meaningful setting, write STRATA_NONE for it: 0 is always "the default".
 *
 * Limits. Keys: 1 to 16,384 bytes, any bytes, ordered as by memcmp. Values: 0 to 2^30 bytes.
 * Branch and space names: 1 to 255 bytes of valid UTF-8 without control characters or '@', not
 * starting with '-'. Messages and labels: valid UTF-8, any other is STRATA_INVALID. Units are in
 * names: _us, _ms, _bytes. Intervals are [first, end). Names and texts are NUL-terminated. */
#ifndef STRATA_H
#define STRATA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STRATA_VERSION_MAJOR  0
#define STRATA_VERSION_MINOR  1
#define STRATA_VERSION_PATCH  0
#define STRATA_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

/* May be defined beforehand, as `static` where strata.c is included in the only file using it. */
#ifndef STRATA_API
#if defined(STRATA_SHARED) && defined(__GNUC__)
#define STRATA_API __attribute__((visibility("default")))
#else
#define STRATA_API
#endif
#endif

#if defined(__GNUC__)
#define STRATA_CHECKED __attribute__((warn_unused_result))
#else
#define STRATA_CHECKED
#endif

#define STRATA_NONE    (-1) /* "zero, and I mean it", in a field where 0 is the default. */
#define STRATA_FOREVER ((int64_t)1 << 62) /* As a time limit: none. */

typedef struct strata strata;
typedef struct strata_txn strata_txn;
typedef struct strata_space strata_space;
typedef struct strata_cursor strata_cursor;
typedef struct strata_kv_writer strata_kv_writer;

typedef struct strata_allocator strata_allocator; /* Section 11. */
typedef struct strata_clock strata_clock;
typedef struct strata_logger strata_logger;
typedef struct strata_progress strata_progress;
struct strata_backend;

/* ---- 2. STATUS ---------------------------------------------------------------------------- */

/* What became of a call. Values are stable; new ones may come, so a switch needs a default. */
typedef enum strata_status {
    STRATA_OK = 0,
    STRATA_NOT_FOUND = 1,    /* No such key, branch, tag, database. Not a fault. */
    STRATA_DONE = 2,         /* The cursor is past its last row, or nothing is left to do. */
    STRATA_EXISTS = 3,       /* The name is taken. */
    STRATA_CONFLICT = 4,     /* Another commit, or a condition, got in the way. Start over. */
    STRATA_INVALID = 6,      /* A caller's mistake. Repeating it will not help. */
    STRATA_MISMATCH = 7,     /* The key holds another kind of value, such as no counter. */
    STRATA_TOO_BIG = 8,      /* Beyond a stated limit, or beyond what the memory budget can hold. */
    STRATA_READ_ONLY = 9,    /* The handle, branch or file system takes no writes. */
    STRATA_BUSY = 10,        /* Someone holds it. The message says who, where, since when. */
    STRATA_TIMEOUT = 11,     /* The time limit passed. */
    STRATA_INTERRUPTED = 12, /* The caller asked to stop. Nothing was changed. */
    STRATA_HISTORY_UNAVAILABLE = 13, /* Below the retained floor, or beyond the head. */
    STRATA_CORRUPT = 14,             /* Bytes fail their check. Detail names object and offset. */
    STRATA_DATA_LOSS = 15,           /* Recovery found acknowledged commits missing. */
    STRATA_HALTED = 16,      /* Writes stopped after an earlier fault; reads go on. Reopen. */
    STRATA_UNSUPPORTED = 18, /* A newer format, or a part left out of this build. */
    STRATA_NO_SPACE = 19,
    STRATA_NO_MEMORY = 20,
    STRATA_IO = 21,
    STRATA_CLOSED = 22 /* The transaction or cursor has already ended. */
} strata_status;

/* The status as a word, such as "not_found". Static storage; never NULL. */
STRATA_API const char *strata_status_name(strata_status status);

/* One line on why this thread's last failing call failed. Means something only right after a
 * failure, on the thread that saw it. Holds no keys or values. Never NULL. */
STRATA_API const char *strata_error_message(void);

typedef enum strata_retry {
    STRATA_RETRY_NEVER = 0, /* Repeating gives the same. */
    STRATA_RETRY_NOW = 1,   /* Begin a new transaction and repeat. */
    STRATA_RETRY_LATER = 2, /* Wait for space, memory, or the holder. */
    STRATA_RETRY_REOPEN = 3 /* Close and open; recovery will decide. */
} strata_retry;

typedef enum strata_outcome {
    STRATA_OUTCOME_NONE = 0, /* The call was not a commit. */
    STRATA_COMMITTED = 1,
    STRATA_NOT_COMMITTED = 2,
    STRATA_COMMIT_UNKNOWN = 3 /* Reopen; the recovery report then says. */
} strata_outcome;

/* The facts behind strata_error_message(), for programs. Grows. */
typedef struct strata_error {
    uint32_t size;
    int32_t status;       /* strata_status */
    int32_t system_error; /* errno of the failing system call, or 0. */
    uint32_t retry;       /* strata_retry */
    uint32_t outcome;     /* strata_outcome */
    uint32_t holder_pid;  /* With STRATA_BUSY; 0 if unknown. */
    int64_t holder_since_us;
    uint64_t version;  /* The commit concerned, or 0. */
    uint64_t offset;   /* Bytes into `object`. */
    char object[128];  /* "tables/00/0000000000000123", a branch, a host. May be empty. */
    char message[256]; /* A copy of the message, to carry to another thread. */
} strata_error;

/* Fills `out`, whose size is set, from this thread's last failing call. */
STRATA_API void strata_error_detail(strata_error *out);

/* ---- 3. BYTES AND VALUES ------------------------------------------------------------------ */

/* A view of bytes that belong to someone else. Frozen. NULL with size 0 is the empty string. */
typedef struct strata_bytes {
    const void *data;
    size_t size;
} strata_bytes;

static inline strata_bytes strata_view(const void *data, size_t size)
{
    const strata_bytes bytes = {data, size};
    return bytes;
}

/* A view of a C string, without its NUL. */
static inline strata_bytes strata_text(const char *text)
{
    return strata_view(text, strlen(text));
}

enum {
    STRATA_ROW_TOMBSTONE = 1, /* A deletion; seen in histories and diffs only. */
    STRATA_ROW_COUNTER = 2, /* 8 bytes, little-endian two's complement: see strata_kv_increment. */
    STRATA_ROW_EXPIRES = 4
};

enum { STRATA_VALUE_INLINE_BYTES = 256 };

/* A result held in place. Start from all zero: `strata_value value = {0};`, in C++ `= {}`.
 * The bytes stay valid and unchanged until strata_value_release, or until the value is the
 * out-parameter of another read: across writes, compaction, and the end of the transaction.
 * Values of at most STRATA_VALUE_INLINE_BYTES are copied into the struct and hold nothing; larger
 * ones hold at most their own frame of a table in memory, or a copy. Do not copy the struct.
 * Frozen. */
typedef struct strata_value {
    const void *data; /* NULL when empty-handed; never NULL after a successful read. */
    size_t size;
    uint64_t version; /* Of the commit that wrote it; 0 for this transaction's own write. */
    int64_t time_us;
    int64_t expires_us; /* 0: never. */
    uint32_t flags;     /* STRATA_ROW_ */
    uint32_t reserved;
    void *pin[2]; /* The library's. */
    unsigned char inline_bytes[STRATA_VALUE_INLINE_BYTES];
} strata_value;

/* Lets go of the bytes and makes `value` all zero. NULL and zero are fine. Any thread. In the child of a
 * fork() the bytes stay, as does all memory of the database: its locks and the caller's allocator may
 * be held there by threads that are gone. */
STRATA_API void strata_value_release(strata_value *value);

static inline strata_bytes strata_value_view(const strata_value *value)
{
    return strata_view(value->data, value->size);
}

/* A caller's own memory, for the `_copy` calls. Frozen. */
typedef struct strata_buffer {
    void *data;
    size_t capacity; /* Bytes at `data`. */
    size_t size;     /* Out: bytes written. */
    uint64_t total;  /* Out: bytes in the whole value, which may be more. */
} strata_buffer;

/* ---- 4. OPEN AND CLOSE -------------------------------------------------------------------- */

typedef enum strata_durability {
    STRATA_DURABILITY_DEFAULT = 0, /* In a transaction: the database's. In a database: standard. */
    STRATA_STANDARD = 1, /* Survives a process crash at once, a power cut after sync_interval_ms. */
    STRATA_ALWAYS = 2,   /* Synced, with every commit before it, when the commit returns. */
    STRATA_CACHE = 3     /* For a whole database only: lives in memory, nothing is written. */
} strata_durability;

typedef enum strata_open_mode {
    STRATA_OPEN_CREATE = 0,   /* Read and write; create if there is none. */
    STRATA_OPEN_EXISTING = 1, /* Read and write; STRATA_NOT_FOUND if there is none. */
    STRATA_OPEN_NEW = 2,      /* STRATA_EXISTS if there is one. */
    STRATA_OPEN_READ_ONLY = 3 /* Changes no byte. STRATA_BUSY while a writer has it. */
} strata_open_mode;

/* Grows. All pointers are kept until strata_close and must stay valid, except `path` strings. */
typedef struct strata_open_options {
    uint32_t size;
    uint32_t mode;                /* strata_open_mode */
    uint32_t durability;          /* strata_durability */
    int32_t background_threads;   /* Default 2. STRATA_NONE: strata_maintain does the work. */
    uint64_t memory_budget_bytes; /* All heap. Default min(RAM / 4, 256 MiB); at least 1 MiB. */
    int64_t lock_wait_us;     /* For another owner to go. Default 5 s. STRATA_NONE: do not wait. */
    int32_t sync_interval_ms; /* Default 100. Without threads: see strata_maintain. */
    uint32_t lossy;           /* 1: open read-only over lost data instead of refusing. */
    uint64_t seed;            /* Of every random choice. Default: from the system. */
    const strata_allocator *allocator;
    const strata_clock *clock;
    const strata_logger *logger;
    const strata_progress *progress;      /* Of recovery. */
    const struct strata_backend *backend; /* Default: local files. Else `path` is a name to it. */
    void *reserved;                       /* NULL. */
} strata_open_options;

/* Opens the database in the directory `path`; ":memory:" is a new one that lives in memory and ends
 * with strata_close, as is any path with STRATA_CACHE (STRATA_EXISTS if a database is there). Options
 * may be NULL. STRATA_BUSY names the process that has it. STRATA_DATA_LOSS refuses what lossy would
 * open; the report can then be read with strata_open_report. STRATA_CORRUPT and STRATA_UNSUPPORTED
 * name the object. One handle per database and process. */
STRATA_API STRATA_CHECKED strata_status strata_open(const char *path,
                                                    const strata_open_options *options,
                                                    strata **out);

/* Ends the background work, syncs, closes. STRATA_BUSY while a transaction, cursor, writer or held
 * value is open: nothing is done and the message counts them. After any other status `db` is gone;
 * STRATA_IO means that commits since the last sync may not survive a power cut. NULL is fine. */
STRATA_API strata_status strata_close(strata *db);

typedef enum strata_health {
    STRATA_HEALTHY = 0,
    STRATA_DEGRADED = 1,     /* Acknowledged commits or objects are missing; read-only. */
    STRATA_WRITES_HALTED = 2 /* A sync failed; committed data is still readable. */
} strata_health;

/* What opening found. Grows. */
typedef struct strata_report {
    uint32_t size;
    uint32_t health; /* strata_health */
    uint64_t replayed_commits;
    uint64_t last_durable_version;
    uint64_t unconfirmed_commits; /* Visible again, durability unconfirmed: (last_durable, head]. */
    uint64_t unknown_commits;     /* Begun; not there now. */
    uint64_t lost_first_version;  /* 0: none. Lost are [first, end). */
    uint64_t lost_end_version;
    int64_t clock_behind_us; /* The wall clock is this far behind the last commit; 0 if not. */
    char lost_object[128];
} strata_report;

/* Fills `out`, whose size is set. `db` NULL: that of this thread's last refused open. */
STRATA_API STRATA_CHECKED strata_status strata_open_report(strata *db, strata_report *out);

/* ---- 5. POINTS IN TIME -------------------------------------------------------------------- */

/* A branch at a moment. At most one of version, time_us and tag is set; none means the head when
 * the call is made. A time means the last commit at or before it. branch NULL is "main". Frozen. */
typedef struct strata_point {
    const char *branch;
    const char *tag;
    uint64_t version;
    int64_t time_us;
} strata_point;

static inline strata_point strata_head(const char *branch)
{
    const strata_point point = {branch, NULL, 0, 0};
    return point;
}

static inline strata_point strata_at_version(const char *branch, uint64_t version)
{
    const strata_point point = {branch, NULL, version, 0};
    return point;
}

static inline strata_point strata_at_time(const char *branch, int64_t time_us)
{
    const strata_point point = {branch, NULL, 0, time_us};
    return point;
}

/* A tag names branch and version. */
static inline strata_point strata_at_tag(const char *tag)
{
    const strata_point point = {NULL, tag, 0, 0};
    return point;
}

/* Reads "main", "main@1234", "main@2026-11-20T07:30:00Z" (up to six decimals of a second), "@tag".
 * Writes the branch or tag name to `name`, at least 256 bytes, which `out` points into.
 * STRATA_INVALID says where it is wrong. */
STRATA_API STRATA_CHECKED strata_status strata_point_parse(const char *text, char *name,
                                                           strata_point *out);

/* What a point means now: branch is left as it is; version is that of the last commit at or before
 * the point that the branch sees (0: none), time_us is that commit's. STRATA_NOT_FOUND: no such
 * branch or tag. STRATA_HISTORY_UNAVAILABLE: a version beyond the newest commit. */
STRATA_API STRATA_CHECKED strata_status strata_point_resolve(strata *db, strata_point point,
                                                             strata_point *out);

/* ---- 6. TRANSACTIONS, SPACES, CURSORS ----------------------------------------------------- */

/* Isolation is that of snapshots, the first committer wins: a commit fails if a key it writes was
 * written on its branch since the transaction began. */

/* Grows. */
typedef struct strata_txn_options {
    uint32_t size;
    uint32_t durability;   /* strata_durability, but not STRATA_CACHE. */
    int64_t stall_wait_us; /* For memory, under back-pressure. Default 30 s, then STRATA_TIMEOUT. */
    const char *label;     /* Shown with the oldest reader in strata_footprint. Copied, 31 bytes. */
    const char *message;   /* Shown in the log of the branch. Copied, at most 1,023 bytes. */
} strata_txn_options;

/* A handle whose every call is a transaction of its own at the head of `branch`: the normal way for
 * single reads and writes. A call on many keys is one commit. A cursor keeps the snapshot it opened
 * at. A write never fails with STRATA_CONFLICT except by its own condition. Make one per thread and
 * keep it: no call allocates once warm. Follows the branch through renames; once it is deleted,
 * STRATA_NOT_FOUND. */
STRATA_API STRATA_CHECKED strata_status strata_txn_auto(strata *db, const char *branch,
                                                        strata_txn **out);

/* A write transaction on the head of `branch`. Options may be NULL. Its writes are held in memory up
 * to the commit: together, values that have gone to objects of their own excepted, they may come to
 * an eighth of the memory budget, below 16 MiB of it to a sixteenth, and never to more than 256 MiB.
 * The write that would go beyond is STRATA_TOO_BIG and not made; the transaction stays open. */
STRATA_API STRATA_CHECKED strata_status strata_txn_begin(strata *db, const char *branch,
                                                         const strata_txn_options *options,
                                                         strata_txn **out);

/* A read-only view of `point`, over all primitives and spaces. Never waits and makes nobody wait.
 * STRATA_HISTORY_UNAVAILABLE below the retained floor. Writes give STRATA_READ_ONLY. */
STRATA_API STRATA_CHECKED strata_status strata_txn_snapshot(strata *db, strata_point point,
                                                            strata_txn **out);

/* A commit's place in history. Frozen. */
typedef struct strata_commit {
    uint64_t version; /* 0: there was nothing to write, so no commit was made. */
    int64_t time_us;
} strata_commit;

/* Makes all writes visible at once, or none. On success `out`, if not NULL, is filled: a commit
 * without writes makes no version.
 * STRATA_CONFLICT: another commit came first, or the branch was deleted; renew and repeat. STRATA_IO and STRATA_HALTED may be
 * followed by an unknown outcome: see strata_error.outcome. Either way the transaction has ended
 * and waits for renew or close. On an auto handle or a snapshot, STRATA_INVALID. */
STRATA_API STRATA_CHECKED strata_status strata_txn_commit(strata_txn *txn, strata_commit *out);

/* Drops any writes and starts the same kind of transaction again, at the present head (a snapshot
 * of a version or time: at the same point). Ends its cursors. Tens of nanoseconds; allocates
 * nothing. */
STRATA_API STRATA_CHECKED strata_status strata_txn_renew(strata_txn *txn);

/* Lets go of the snapshot without giving up the handle, so that it holds back no history; renew
 * comes next. */
STRATA_API void strata_txn_reset(strata_txn *txn);

/* Marks a place among the writes, to go back to. Marks are numbered by the library and nest. */
STRATA_API STRATA_CHECKED strata_status strata_txn_mark(strata_txn *txn, uint32_t *out);
STRATA_API STRATA_CHECKED strata_status strata_txn_undo(strata_txn *txn, uint32_t mark);

/* Drops what was not committed, ends the cursors, frees the handle. Held values stay valid. */
STRATA_API void strata_txn_close(strata_txn *txn);

/* The version that `txn` reads; on an auto handle that of its last commit, or 0 before one. */
STRATA_API uint64_t strata_txn_version(const strata_txn *txn);

/* A space's name, looked up once. Reads and writes nothing: a space comes to be in a branch with
 * its first row there, and the same handle serves every branch and thread. Ends with
 * strata_space_close or strata_close. Everywhere, NULL is the space "default". */
STRATA_API STRATA_CHECKED strata_status strata_space_open(strata *db, const char *name,
                                                          strata_space **out);
STRATA_API void strata_space_close(strata_space *space);
STRATA_API const char *strata_space_name(const strata_space *space);

/* Deletes every row of the space in this branch, in one small write. History stays. */
STRATA_API STRATA_CHECKED strata_status strata_space_delete(strata_txn *txn, strata_space *space);

/* Cursors. Each `_open` or `_scan` call says which `_next` reads its rows; another is
 * STRATA_INVALID.
 *
 *     while ((status = strata_kv_next(cursor, &row)) == STRATA_OK) { ... }
 *     if (status != STRATA_DONE) { ... a fault ... }
 *
 * A new cursor stands before its first row. STRATA_DONE repeats until a seek. A cursor sees its
 * transaction's writes made before it was opened and none after, so deleting while scanning is
 * safe. When the transaction ends, its cursors give STRATA_CLOSED and are still to be closed. */
STRATA_API void strata_cursor_close(strata_cursor *cursor);

/* Places a key-value cursor just before the first row at or past `key` in its direction, inside its
 * bounds. */
STRATA_API STRATA_CHECKED strata_status strata_cursor_seek(strata_cursor *cursor, strata_bytes key);

/* Holds the value of the present row beyond the next move, without a copy. */
STRATA_API STRATA_CHECKED strata_status strata_cursor_keep(strata_cursor *cursor,
                                                           strata_value *out);

/* The names of the branch's spaces, in order. Read with strata_name_next. */
STRATA_API STRATA_CHECKED strata_status strata_space_list(strata_txn *txn, strata_cursor **out);
STRATA_API STRATA_CHECKED strata_status strata_name_next(strata_cursor *cursor, const char **out);

/* ---- 7. KEY-VALUE ------------------------------------------------------------------------- */

/* STRATA_NOT_FOUND if there is no live row; `out` is then released and all zero. */
STRATA_API STRATA_CHECKED strata_status strata_kv_get(strata_txn *txn, strata_space *space,
                                                      strata_bytes key, strata_value *out);

/* Copies from `offset` as much as `out` has room for: a value larger than memory can be read in
 * pieces. Holds nothing. An offset at or past the end gives 0 bytes and STRATA_OK. */
STRATA_API STRATA_CHECKED strata_status strata_kv_copy(strata_txn *txn, strata_space *space,
                                                       strata_bytes key, uint64_t offset,
                                                       strata_buffer *out);

/* `values[count]` start zero or held. Absent keys leave theirs zero; that is not a failure. Several
 * times faster than single gets. On failure all are released. */
STRATA_API STRATA_CHECKED strata_status strata_kv_get_many(strata_txn *txn, strata_space *space,
                                                           const strata_bytes *keys, size_t count,
                                                           strata_value *values);

/* STRATA_OK or STRATA_NOT_FOUND, without touching the value. */
STRATA_API STRATA_CHECKED strata_status strata_kv_exists(strata_txn *txn, strata_space *space,
                                                         strata_bytes key);

/* The value as it was `back` versions of this key ago; 0 is what strata_kv_get finds.
 * STRATA_NOT_FOUND if that version is a deletion or never was; STRATA_HISTORY_UNAVAILABLE if it was
 * not retained. */
STRATA_API STRATA_CHECKED strata_status strata_kv_getv(strata_txn *txn, strata_space *space,
                                                       strata_bytes key, uint64_t back,
                                                       strata_value *out);

STRATA_API STRATA_CHECKED strata_status strata_kv_put(strata_txn *txn, strata_space *space,
                                                      strata_bytes key, strata_bytes value);

/* A deletion of an absent key is STRATA_OK and writes nothing. */
STRATA_API STRATA_CHECKED strata_status strata_kv_delete(strata_txn *txn, strata_space *space,
                                                         strata_bytes key);

typedef enum strata_condition {
    STRATA_IF_ANYTHING = 0,
    STRATA_IF_ABSENT = 1,
    STRATA_IF_PRESENT = 2,
    STRATA_IF_VERSION = 3, /* The live row is of expected_version. */
    STRATA_IF_VALUE = 4    /* The live row equals expected_value, byte for byte. */
} strata_condition;

/* Grows. */
typedef struct strata_kv_put_options {
    uint32_t size;
    uint32_t condition; /* strata_condition */
    uint64_t expected_version;
    strata_bytes expected_value;
    int64_t ttl_us;     /* From the commit's time on. Not together with expires_us. */
    int64_t expires_us; /* UTC. Reads as of an earlier time still see the row. */
    uint32_t remove;    /* 1: delete instead of put; the value is not looked at. */
    uint32_t reserved;
} strata_kv_put_options;

/* A put, or with `remove` a delete, with a condition or a time to live. If the condition does not
 * hold, STRATA_CONFLICT, nothing is written, and a write transaction stays open. */
STRATA_API STRATA_CHECKED strata_status strata_kv_put_with(strata_txn *txn, strata_space *space,
                                                           strata_bytes key, strata_bytes value,
                                                           const strata_kv_put_options *options);

/* One of many writes. A value of NULL data and size 0 is an empty value; set `remove` to delete.
 * Frozen. */
typedef struct strata_kv_write {
    strata_bytes key;
    strata_bytes value;
    int64_t ttl_us; /* 0: none. */
    uint32_t remove;
    uint32_t reserved;
} strata_kv_write;

/* All or nothing, also on an auto handle. A later write to the same key wins. */
STRATA_API STRATA_CHECKED strata_status strata_kv_put_many(strata_txn *txn, strata_space *space,
                                                           const strata_kv_write *writes,
                                                           size_t count);

/* A put of a value in pieces, up to 2^30 bytes with any memory budget. Its bytes go to the database
 * as they come and become a write of `txn` at close: on an auto handle one commit, in a write
 * transaction one of its writes. Options as of strata_kv_put_with, `remove` excepted, may be NULL;
 * the condition is judged at close. */
STRATA_API STRATA_CHECKED strata_status strata_kv_write_open(strata_txn *txn, strata_space *space,
                                                             strata_bytes key,
                                                             const strata_kv_put_options *options,
                                                             strata_kv_writer **out);
STRATA_API STRATA_CHECKED strata_status strata_kv_write_append(strata_kv_writer *writer,
                                                               strata_bytes piece);

/* Ends the writer, whatever is returned. keep 0 drops what was written. After a failed append the
 * value is dropped and keep gives that failure again. NULL is fine. */
STRATA_API strata_status strata_kv_write_close(strata_kv_writer *writer, int keep);

/* Adds to a counter; an absent key counts as 0.
 * With `out` NULL the present value is not read and concurrent increments do not conflict.
 * STRATA_MISMATCH if the key holds no counter, STRATA_INVALID on overflow of int64. */
STRATA_API STRATA_CHECKED strata_status strata_kv_increment(strata_txn *txn, strata_space *space,
                                                            strata_bytes key, int64_t delta,
                                                            int64_t *out);

/* Which rows. All bounds that are set must hold. A bound of size 0 is not set. Grows. */
typedef struct strata_scan_options {
    uint32_t size;
    uint32_t reverse;   /* 1: from high keys to low. */
    strata_bytes first; /* Keys in [first, end), whatever the direction. */
    strata_bytes end;
    strata_bytes prefix;
    strata_bytes after; /* Continue past this key, in the direction of the scan. */
    uint64_t limit;     /* Rows; 0: no limit. Deleted rows do not count. */
    uint32_t keys_only; /* 1: values are absent and are not read. */
    uint32_t reserved;
} strata_scan_options;

/* Frozen. */
typedef struct strata_row {
    strata_bytes key;
    strata_bytes value;
    uint64_t version;
    int64_t time_us;
    int64_t expires_us;
    uint32_t flags; /* STRATA_ROW_ */
    uint32_t reserved;
} strata_row;

/* Rows in key order. Read with strata_kv_next. Options may be NULL and are copied. */
STRATA_API STRATA_CHECKED strata_status strata_kv_scan(strata_txn *txn, strata_space *space,
                                                       const strata_scan_options *options,
                                                       strata_cursor **out);

/* Every retained version of one key, newest first, deletions too. Read with strata_kv_next. */
STRATA_API STRATA_CHECKED strata_status strata_kv_history(strata_txn *txn, strata_space *space,
                                                          strata_bytes key, strata_cursor **out);
STRATA_API STRATA_CHECKED strata_status strata_kv_next(strata_cursor *cursor, strata_row *out);

/* Exact. Counts without reading values; costs as much as a scan of the keys. */
STRATA_API STRATA_CHECKED strata_status strata_kv_count(strata_txn *txn, strata_space *space,
                                                        const strata_scan_options *options,
                                                        uint64_t *out);

/* ---- 8. BRANCHES, LOG --------------------------------------------------------------------- */

/* Branch calls are commits of their own, of standard durability; strata_sync makes them certain. */

/* Grows. */
typedef struct strata_branch_options {
    uint32_t size;
    uint32_t reserved;   /* 0. */
    const char *message; /* Shown in the log of the new branch. Copied, at most 1,023 bytes. */
} strata_branch_options;

/* A new branch that starts as `from`: microseconds, at any size. STRATA_EXISTS if the name is
 * taken. Open transactions on `from` are not part of it. Options may be NULL. */
STRATA_API STRATA_CHECKED strata_status strata_branch_fork(strata *db, strata_point from,
                                                           const char *name,
                                                           const strata_branch_options *options);

/* A new branch with nothing in it and no common ancestor. */
STRATA_API STRATA_CHECKED strata_status strata_branch_create(strata *db, const char *name,
                                                             const strata_branch_options *options);

/* The name is free at once, children live on, snapshots go on reading, and open write transactions
 * fail with STRATA_CONFLICT. */
STRATA_API STRATA_CHECKED strata_status strata_branch_delete(strata *db, const char *name);
STRATA_API STRATA_CHECKED strata_status strata_branch_rename(strata *db, const char *name,
                                                             const char *new_name);

/* Frozen. */
typedef struct strata_branch_info {
    const char *name;
    const char *parent; /* NULL: none, or deleted. */
    uint64_t fork_version;
    uint64_t head_version; /* Its last own commit, or fork_version if it has none. */
    int64_t created_us;
    int64_t head_us;
    int64_t expires_us;     /* 0: never. */
    uint64_t floor_version; /* Reads below it are STRATA_HISTORY_UNAVAILABLE. */
    uint32_t protect;
    uint32_t reserved;
    void *reserved_words[4];
} strata_branch_info;

/* Branches by name. Read with strata_branch_next; parent gives the tree. `prefix` may be NULL. */
STRATA_API STRATA_CHECKED strata_status strata_branch_list(strata *db, const char *prefix,
                                                           strata_cursor **out);
STRATA_API STRATA_CHECKED strata_status strata_branch_next(strata_cursor *cursor,
                                                           strata_branch_info *out);

/* One commit. Frozen. */
typedef struct strata_log_entry {
    uint64_t version;
    int64_t time_us;
    uint64_t merged_version; /* The second parent of a merge, or 0. */
    const char *branch;
    const char *name;    /* NULL for a commit. */
    const char *message; /* Or NULL. */
    strata_bytes metadata;
    uint64_t rows; /* Written by the commit. */
    void *reserved_words[4];
} strata_log_entry;

/* The commits that made `from` what it is, newest first, through the ancestors. The entry's branch is
 * the one it was made on. Read with strata_log_next. */
STRATA_API STRATA_CHECKED strata_status strata_log_open(strata *db, strata_point from,
                                                        strata_cursor **out);
STRATA_API STRATA_CHECKED strata_status strata_log_next(strata_cursor *cursor,
                                                        strata_log_entry *out);

/* ---- 9. OPERATIONS ------------------------------------------------------------------------ */

/* Returns when every commit visible at the call is durable. */
STRATA_API STRATA_CHECKED strata_status strata_sync(strata *db);

/* Waits until `version` is durable. STRATA_TIMEOUT after wait_us. */
STRATA_API STRATA_CHECKED strata_status strata_wait_durable(strata *db, uint64_t version,
                                                            int64_t wait_us);

/* Either may be NULL. durable <= visible. Never waits. */
STRATA_API void strata_watermarks(const strata *db, uint64_t *visible_out, uint64_t *durable_out);

/* What background work is left. Frozen. */
typedef struct strata_work {
    /* May pass before the next call if nobody writes or reads much; 0: more to do now. STRATA_FOREVER:
     * idle. */
    int64_t idle_us;
    uint64_t backlog_bytes; /* Waiting for flush and compaction. */
} strata_work;

/* Does background work for about `budget_us`, most urgent first, in steps that each stay under
 * 1 ms of CPU and one I/O. STRATA_DONE if nothing was left. `out` may be NULL. Needed when
 * background_threads is STRATA_NONE: there the bound sync_interval_ms holds from call to call, a
 * commit that finds it passed syncs itself, and a writer out of memory does the work it needs. Any
 * thread; with background threads it helps them. */
STRATA_API STRATA_CHECKED strata_status strata_maintain(strata *db, int64_t budget_us,
                                                        strata_work *out);

/* Bounds what recovery must replay: flushes, then drops the log behind it. */
STRATA_API STRATA_CHECKED strata_status strata_checkpoint(strata *db);

/* Merges everything that can be, and gives the space back. Progress may be NULL, here and below. */
STRATA_API STRATA_CHECKED strata_status strata_compact(strata *db, const strata_progress *progress);

/* Frozen. */
typedef struct strata_finding {
    uint32_t severity; /* strata_log_level */
    uint32_t derived;  /* 1: rebuilt from rows by itself; no data is concerned. */
    const char *object;
    uint64_t offset;
    const char *message;
} strata_finding;

/* Reads every byte and checks every rule; changes nothing. `found` is called for each fault, on
 * this thread. STRATA_CORRUPT if there was one of severity error. */
STRATA_API STRATA_CHECKED strata_status strata_check(strata *db, const strata_progress *progress,
                                                     void (*found)(void *context,
                                                                   const strata_finding *finding),
                                                     void *context);

/* One measured thing. Names are stable: "commit.count", "commit.latency_us", "write.amplification".
 * Frozen. */
typedef struct strata_metric {
    const char *name; /* Static. */
    const char *description;
    const char *unit;               /* "bytes", "us", "count", "ratio". */
    double value;                   /* Of a histogram, its mean. */
    double p50, p99, p999, maximum; /* Of a histogram; else 0. */
    uint64_t samples;
} strata_metric;

/* Metric number `index`, from 0; STRATA_NOT_FOUND past the last. Never waits. */
STRATA_API STRATA_CHECKED strata_status strata_metric_get(const strata *db, uint32_t index,
                                                          strata_metric *out);
STRATA_API STRATA_CHECKED strata_status strata_metric_find(const strata *db, const char *name,
                                                           strata_metric *out);

/* Bytes of all files of the database but its lock: live, history, derived, pinned, dead, log and other
 * add up to them. A large value in a file of its own is live if a live table or a commit not yet in
 * tables refers to it, else history. Rows that no branch needs any more cannot be told from others:
 * they count with their table until a merge drops them. Grows. */
typedef struct strata_footprint {
    uint32_t size;
    uint32_t file_count;
    uint64_t live_bytes;    /* Tables of the newest rows of keys. */
    uint64_t history_bytes; /* Tables of older versions. */
    uint64_t derived_bytes; /* Indexes; can be rebuilt. */
    uint64_t pinned_bytes;  /* Replaced; would go, but for a call in progress that reads them. */
    uint64_t dead_bytes;    /* Read by nobody; maintenance removes them. */
    uint64_t log_bytes;     /* With what is set aside for commits to come. */
    uint64_t oldest_reader_version;
    int64_t oldest_reader_us; /* Since when it has been open. */
    char oldest_reader_label[32];
    uint64_t memory_bytes;
    uint64_t held_value_bytes;
    uint64_t other_bytes; /* Manifests, and tables and values being written. */
} strata_footprint;

/* Looks at every file's name and size: meant for people, not for every commit. */
STRATA_API STRATA_CHECKED strata_status strata_footprint_get(strata *db, strata_footprint *out);

/* ---- 10. OPTIONS BY NAME, VERSION --------------------------------------------------------- */

typedef enum strata_options_kind {
    STRATA_OPTIONS_OPEN = 1,
    STRATA_OPTIONS_TXN = 2,
    STRATA_OPTIONS_BRANCH = 3
} strata_options_kind;

/* Sets fields of an options struct, whose size is set, from "background_threads=0
 * memory_budget=4MiB". Names are those of the fields without unit; sizes take KiB, MiB, GiB; times
 * take us, ms, s, min, h, d; words as in the enums: durability=always. A plain 0 means zero. Only
 * what has a text form can be set. STRATA_INVALID names the word at fault and leaves the struct as
 * it was. */
STRATA_API STRATA_CHECKED strata_status strata_options_parse(strata_options_kind kind,
                                                             const char *text, void *options);

/* Frozen. All static. */
typedef struct strata_option_info {
    const char *name;
    const char *type; /* "size", "duration", "integer", "flag", "one of a|b|c" */
    const char *default_text;
    const char *description;
} strata_option_info;

/* Option number `index`, from 0; STRATA_NOT_FOUND past the last. */
STRATA_API STRATA_CHECKED strata_status strata_option_get(strata_options_kind kind, uint32_t index,
                                                          strata_option_info *out);

/* STRATA_VERSION_NUMBER of the library, which may differ from the header's. */
STRATA_API uint32_t strata_version(void);

/* The newest file format that this library writes. It seldom changes. */
STRATA_API uint32_t strata_format_version(void);

/* Commit, compiler, and parts built in, as "key=value" words. Static. */
STRATA_API const char *strata_build_info(void);

/* ---- 11. YOUR OWN HEAP, CLOCK, LOG, STORAGE ----------------------------------------------- */

#ifdef __cplusplus
}
#endif

#include "strata_backend.h"

#endif
