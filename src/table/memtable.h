/* The newest rows, in memory: every version of every key committed since the last freeze, and the
 * list of those commits.
 *
 * A skip list in row order. One thread inserts at a time; any number read meanwhile without a lock:
 * a node is complete before it is linked, and nothing is ever unlinked. Source: Pugh, "Skip Lists",
 * 1990. Readers must ignore rows above the version that they read at. */
#ifndef STRATA_TABLE_MEMTABLE_H
#define STRATA_TABLE_MEMTABLE_H

#include "core/arena.h"
#include "core/random.h"
#include "table/source.h"

#include <stdatomic.h>

enum { MEMTABLE_HEIGHT_MAX = 12 };

struct memtable_node; /* Private. */

/* A commit, as the log of branches shows it. */
struct memtable_commit {
    uint64_t version;
    int64_t time_us;
    uint64_t branch;
    uint64_t rows;
    struct bytes message; /* In the arena. */
};

enum { MEMTABLE_COMMITS_PER_BLOCK = 128 };

/* Newest block first. Entries [0, count) are complete once `count` says so. */
struct memtable_commits {
    struct memtable_commits *older;
    _Atomic uint32_t count;
    struct memtable_commit entries[MEMTABLE_COMMITS_PER_BLOCK];
};

struct memtable {
    const strata_allocator *allocator;
    struct arena arena;
    struct random random; /* Of node heights. */
    struct memtable_node *head;
    _Atomic uint32_t height;
    _Atomic uint64_t charge; /* Sum of row_charge, and 64 + message for each commit. */
    _Atomic uint64_t rows;
    _Atomic(struct memtable_commits *) commits;
    uint64_t first_version;        /* Holds versions [first_version, last_version]; */
    _Atomic uint64_t last_version; /* none while last_version < first_version. */
    _Atomic size_t memory;         /* Bytes taken from the allocator. */
    _Atomic uint32_t references;
};

/* One reference. Fails with STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status memtable_create(const strata_allocator *allocator, size_t chunk_bytes,
                                             uint64_t seed, uint64_t first_version,
                                             struct memtable **out);
void memtable_acquire(struct memtable *memtable);
void memtable_drop(struct memtable *memtable);

/* Makes sure that the next `rows` inserts, whose storage keys and values have `bytes` bytes in all, and one
 * commit with `message_bytes` cannot fail. */
STRATA_CHECKED strata_status memtable_reserve(struct memtable *memtable, size_t rows, size_t bytes,
                                              size_t message_bytes);

/* Copies the row; reserved before; `to` is 0. No row of the same key and `from` is there. */
void memtable_insert(struct memtable *memtable, const struct row *row);

/* Copies the commit; it is the newest. Moves last_version. */
void memtable_add_commit(struct memtable *memtable, const struct memtable_commit *commit);

/* The newest row of `key` with `from` <= cap. Its bytes live as long as the memtable. */
bool memtable_find(const struct memtable *memtable, struct bytes key, uint64_t cap,
                   struct row *out);

/* A source over all rows. Holds no reference. */
struct memtable_source {
    struct source source;
    const struct memtable *memtable;
    const struct memtable_node *node;
};

void memtable_source_init(struct memtable_source *source, const struct memtable *memtable);

/* Bytes taken from the allocator. Any thread. */
size_t memtable_memory(const struct memtable *memtable);

#endif
