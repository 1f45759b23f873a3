/* What a database must do to take part. One file per engine fills one of these tables.
 *
 * A function that can fail prints why and returns -1. A session is one thread's access; what a get
 * gives stays valid until the session's next call. */
#ifndef STRATA_BENCH_YCSB_ENGINE_H
#define STRATA_BENCH_YCSB_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const void *data;
    size_t size;
};

struct settings {
    const char *folder;    /* Exists. */
    uint64_t budget_bytes; /* Memory for caches and buffers. */
    uint64_t data_bytes;   /* Keys and values that will be alive at the end, about. */
    size_t value_bytes;
    bool synced; /* A write returns when it would survive a power cut. */
    unsigned threads;
    bool tight; /* The process may hold little more than the budget, page cache included. */
};

/* Takes the rows of a scan in order. */
struct visitor {
    void (*row)(void *context, struct bytes key, struct bytes value);
    void *context;
};

struct engine {
    const char *name;
    const char *note;     /* A warning for readers of its figures, or NULL. */
    double build_penalty; /* A ratio against it is to be divided by this; 0: as it is. */
    void (*describe)(const struct settings *settings, char *out, size_t capacity);

    int (*open)(const struct settings *settings, void **database_out);
    /* Writes out what memory buffers and returns when no background work is left. */
    int (*settle)(void *database);
    /* Brings all data to where it would lie after long rest: everything is compacted. */
    int (*rest)(void *database);
    int (*close)(void *database);

    int (*session_open)(void *database, void **session_out);
    void (*session_close)(void *session);
    int (*put)(void *session, struct bytes key, struct bytes value);
    int (*get)(void *session, struct bytes key, struct bytes *value_out); /* 1 found, 0 absent. */
    /* All `count` at once, absent ones with data NULL; NULL where the engine has no such call. */
    int (*get_many)(void *session, const struct bytes *keys, size_t count, struct bytes *values);
    int (*scan)(void *session, struct bytes first, unsigned rows, const struct visitor *visitor);

    /* The most heap that was live, and bytes written, by the engine's own count; NULL: unknown. */
    uint64_t (*heap_peak_bytes)(void *database);
    uint64_t (*own_write_bytes)(void *database);
};

/* For engines that do not say whether they work: returns once the process has been idle for a
 * while. */
void engine_idle_wait(void);

#ifdef YCSB_STRATA
extern const struct engine engine_strata;
#endif
#ifdef YCSB_LMDB
extern const struct engine engine_lmdb;
#endif
#ifdef YCSB_ROCKSDB
extern const struct engine engine_rocksdb;
extern const struct engine engine_rocksdb_mmap;
#endif
#ifdef YCSB_LEVELDB
extern const struct engine engine_leveldb;
#endif
#ifdef YCSB_SQLITE
extern const struct engine engine_sqlite;
#endif
#ifdef YCSB_WIREDTIGER
extern const struct engine engine_wiredtiger;
#endif

#endif
