/* The keys of a memtable by their hash: a guess at the name of the newest version of a key.
 *
 * An extendible hash table: a directory of segments of 64 buckets, each bucket one cache line of seven
 * entries (hash, name). The upper bits of the hash choose the segment, the lower ones the bucket; a key
 * that finds its bucket full goes to one of the next three, and the full ones say so. A segment where
 * these are full too, which has about 7 in 10 of its entries in use, is split in two: about a
 * microsecond's work, so that growing never stalls a writer.
 * Source: Fagin, Nievergelt, Pippenger, Strong, "Extendible hashing", 1979.
 *
 * The table grows in memory of its own and may fail to: then, or when too many keys have the same
 * hash, a bucket says that there may be keys which only the tree has. So inserting cannot fail.
 *
 * One thread writes; any number read meanwhile. A split fills the new segment, then puts it into the
 * directory, then takes what it moved out of the old one; a reader that finds nothing looks at the
 * directory again. Directories that were outgrown stay for their readers. */
#ifndef STRATA_TABLE_MEMTABLE_HASH_H
#define STRATA_TABLE_MEMTABLE_HASH_H

#include "core/bytes.h"
#include "core/region.h"

#include <stdatomic.h>

enum { HASH_BUCKET_ENTRIES = 7, HASH_SEGMENT_BUCKETS = 64 };

struct hash_directory; /* Private. */
struct hash_slab;      /* Private. */

struct memtable_hash {
    const strata_allocator *allocator;
    const struct region *region;                /* Where the keys are. */
    _Atomic(struct hash_directory *) directory; /* NULL before memtable_hash_open. */
    struct hash_directory *writing;             /* The newest; the writer's. */
    struct hash_slab *slabs;                    /* All memory of segments, newest first. */
    size_t segment_count;
    size_t bytes; /* Taken from the allocator. */
};

void memtable_hash_init(struct memtable_hash *hash, const strata_allocator *allocator,
                        const struct region *region);
void memtable_hash_release(struct memtable_hash *hash);

/* Takes an empty table, which readers do not see before memtable_hash_open; false when out of memory. */
bool memtable_hash_create(struct memtable_hash *hash);
void memtable_hash_open(struct memtable_hash *hash);

/* What is known of a key. */
struct hash_found {
    uint32_t name; /* Of the newest version, 0: not found. */
    bool unsure;   /* Not found, but the tree may have it. */
};

/* `value` is hash64(key, 0). */
struct hash_found memtable_hash_find(const struct memtable_hash *hash, struct bytes key,
                                     uint64_t value);

/* Fetches what finding the key, inserting it or replacing its name will look at first. */
void memtable_hash_prefetch(const struct memtable_hash *hash, uint64_t value);

/* What a key's first bucket says, without a look at any key. */
struct hash_guess {
    uint32_t name; /* Newest version of a key of the same hash, mostly of this one; 0: none. */
    bool absent;   /* For certain, in the tree too. */
};

/* The writer's, of a table that has been created. */
struct hash_guess memtable_hash_guess(const struct memtable_hash *hash, uint64_t value);

/* Adds a key that is not there; false if there is no room: then a bucket says so. */
bool memtable_hash_insert(struct memtable_hash *hash, uint64_t value, uint32_t name);

/* Replaces the name of a key; nothing happens if it is not there. */
void memtable_hash_replace(struct memtable_hash *hash, uint64_t value, uint32_t old, uint32_t name);

#endif
