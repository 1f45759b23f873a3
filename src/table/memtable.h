/* The newest rows, in memory: every version of every key committed since the last freeze, and the
 * list of those commits (commit_index.h).
 *
 * A version is a piece of the memtable's region (memtable_node.h); those of a key are a chain, newest
 * first. The keys are in a tree, for their order (memtable_tree.h), and from MEMTABLE_HASHED_KEYS keys
 * on also in a hash table, for gets (memtable_hash.h), which leads to the newest version itself: a get
 * touches one line of the table, then the row. A new version of a present key changes neither the tree
 * nor the number of keys.
 *
 * One thread inserts at a time; any number read meanwhile without a lock. A version is complete before
 * it is linked, and nothing is ever unlinked. Readers must ignore rows above the version that they
 * read at; what was inserted at or below it before they began they see. */
#ifndef STRATA_TABLE_MEMTABLE_H
#define STRATA_TABLE_MEMTABLE_H

#include "table/commit_index.h"
#include "table/memtable_hash.h"
#include "table/memtable_way.h"
#include "table/source.h"

/* Below, the tree is as quick as the table, and smaller. */
enum { MEMTABLE_HASHED_KEYS = 1024 };

struct memtable_node; /* Private. */

/* Does not move. */
struct memtable {
    const strata_allocator *allocator;
    struct region region; /* Of all but the hash table, */
    struct region nodes;  /* and in large ones the tree: so few pages hold all of it. */
    struct memtable_tree tree;
    struct memtable_hash hash;
    struct memtable_way way; /* Empty but in large ones with a hash table. */
    uint64_t key_count;      /* The writer's, as is the next. */
    bool grows;              /* The last row was of a new key: a guess at what the next will be. */
    _Atomic uint64_t charge; /* Sum of row_charge, and what commits are charged. */
    _Atomic uint64_t rows;
    struct commit_index commits;
    int64_t last_time_us;          /* Of the last commit. The writer's. */
    uint64_t first_version;        /* Holds versions [first_version, last_version]; */
    _Atomic uint64_t last_version; /* none while last_version < first_version. */
    _Atomic size_t memory;         /* Bytes taken from the allocator. */
    _Atomic uint32_t references;
};

/* One reference. Takes its memory in chunks of at most `chunk_bytes`, but for what is larger. Fails with
 * STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status memtable_create(const strata_allocator *allocator, size_t chunk_bytes,
                                             uint64_t first_version, struct memtable **out);
void memtable_acquire(struct memtable *memtable);
void memtable_drop(struct memtable *memtable);

/* Makes sure that the next `rows` inserts, whose storage keys and values have `bytes` bytes in all,
 * cannot fail. */
STRATA_CHECKED strata_status memtable_reserve_rows(struct memtable *memtable, size_t rows,
                                                   size_t bytes);

/* The same, and of one commit with `message_bytes`. */
STRATA_CHECKED strata_status memtable_reserve(struct memtable *memtable, size_t rows, size_t bytes,
                                              size_t message_bytes);

/* What is known of a row's key before it is inserted. */
struct memtable_seat {
    uint64_t hash; /* hash64(key, 0) */
    bool guessed;  /* The next is known. */
    struct hash_guess guess;
};

/* An insert waits for memory that is seldom near, one line leading to the next. Who has other work
 * to do before it takes two steps in time, memtable_prefetch and this one: what each of them fetches has
 * then come when the next one needs it. The first is for any thread; between the second and the
 * insert there is no other. */
void memtable_approach(const struct memtable *memtable, size_t key_length, uint64_t hash,
                       struct memtable_seat *seat);

/* Copies the row; reserved before; `to` is 0, `from` is above that of every row of the key that is
 * there, and not below first_version. */
void memtable_insert_at(struct memtable *memtable, const struct row *row,
                        const struct memtable_seat *seat);

/* All of these steps. */
void memtable_insert(struct memtable *memtable, const struct row *row);

/* Nothing will be inserted any more: gives back what was reserved. */
void memtable_freeze(struct memtable *memtable);

/* What a commit is charged, without its message: no less than one by itself takes, though most take
 * far less. And a node of their index. */
enum { COMMIT_CHARGE = 64, COMMIT_NODE_CHARGE = 128 };

/* Copies the commit; it is the newest. Moves last_version. */
void memtable_add_commit(struct memtable *memtable, const struct memtable_commit *commit);

/* The newest row of `key` with `from` <= cap. Its bytes live as long as the memtable. `hash` is
 * hash64(key, 0). */
bool memtable_find(const struct memtable *memtable, struct bytes key, uint64_t hash, uint64_t cap,
                   struct row *out);

/* Fetches what finding, inserting or replacing the key will look at first. */
static inline void memtable_prefetch(const struct memtable *memtable, uint64_t hash)
{
    memtable_hash_prefetch(&memtable->hash, hash);
}

/* A source over all rows. Holds no reference. It stands on a version of the key at page.index. */
struct memtable_source {
    struct source source;
    const struct memtable *memtable;
    const struct memtable_node *first; /* Version of the key. */
    const struct memtable_node *node;
    unsigned ahead_count; /* Keys that the tree did not have when the last seek began. */
    uint32_t ahead[TREE_KEYS_AHEAD];
    struct memtable_page page;
};

void memtable_source_init(struct memtable_source *source, const struct memtable *memtable);

/* Bytes taken from the allocator. Any thread. */
size_t memtable_memory(const struct memtable *memtable);

#endif
