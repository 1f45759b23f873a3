#include "table/memtable_hash.h"

#include "core/memory.h"
#include "core/prefetch.h"
#include "table/memtable_node.h"

#include <assert.h>

enum {
    HASH_LINE_SIZE = 64,
    HASH_PROBES = 4, /* Buckets that a key may be in. */
    HASH_ENTRIES_MAX = HASH_SEGMENT_BUCKETS * HASH_BUCKET_ENTRIES,
    HASH_CROWDED_COUNT = HASH_ENTRIES_MAX / 4, /* From here on a crowd is no accident. */
    HASH_DEPTH_MAX = 24,
    HASH_PLACES_MAX = 8, /* In the directory, for each segment: more are a crowd as well. */
    /* Flags of buckets. */
    HASH_MORE = 1,  /* A key of this bucket, or one before, is in a later one. */
    HASH_UNSURE = 2 /* Keys of this bucket may be nowhere but in the tree. */
};

struct hash_bucket {
    _Atomic uint32_t flags;
    uint32_t unused;
    _Atomic uint32_t hashes[HASH_BUCKET_ENTRIES];
    _Atomic uint32_t names[HASH_BUCKET_ENTRIES]; /* 0: free. */
};
static_assert(sizeof(struct hash_bucket) == HASH_LINE_SIZE, "a bucket is a line");

struct hash_segment {
    _Alignas(HASH_LINE_SIZE) struct hash_bucket buckets[HASH_SEGMENT_BUCKETS];
    uint32_t depth;
};

/* Memory of segments, followed by them. */
struct hash_slab {
    struct hash_slab *next;
    size_t size;
    size_t used_bytes;
};

enum {
    HASH_SLAB_SIZE_MAX = 2 << 20,
    HASH_SLAB_SEGMENTS_MAX = (HASH_SLAB_SIZE_MAX - (int)sizeof(struct hash_slab) - HASH_LINE_SIZE) /
                             (int)sizeof(struct hash_segment),
    HASH_SLAB_SHARE = 8,     /* A new one has room for one in so many segments that there are, */
    HASH_SMALL_SEGMENTS = 32 /* until there are so many, where a region has chunks as large. */
};

struct hash_directory {
    struct hash_directory *older;
    uint32_t depth;
    _Atomic(struct hash_segment *) segments[];
};

/* ---- life ---- */

void memtable_hash_init(struct memtable_hash *hash, const strata_allocator *allocator,
                        const struct region *region)
{
    assert(allocator != NULL);
    *hash = (struct memtable_hash){.allocator = allocator, .region = region};
    atomic_init(&hash->directory, NULL);
}

static size_t hash_directory_size(uint32_t depth)
{
    return sizeof(struct hash_directory) + (sizeof(struct hash_segment *) << depth);
}

void memtable_hash_release(struct memtable_hash *hash)
{
    struct hash_directory *older = NULL;
    for (struct hash_directory *at = hash->writing; at != NULL; at = older) {
        older = at->older;
        release(hash->allocator, at, hash_directory_size(at->depth));
    }
    struct hash_slab *next = NULL;
    for (struct hash_slab *at = hash->slabs; at != NULL; at = next) {
        next = at->next;
        release(hash->allocator, at, at->size);
    }
    hash->writing = NULL;
    hash->slabs = NULL;
    hash->bytes = 0;
}

/* Large pieces of memory have fewer pages, and may have huge ones: on pages of 4 KiB a fetch waits for
 * the address of its page. Small pieces waste less: so they grow with the table. */
static bool hash_slab_create(struct memtable_hash *hash)
{
    size_t segments = hash->segment_count / HASH_SLAB_SHARE + 1;
    const bool large = hash->segment_count >= HASH_SMALL_SEGMENTS &&
                       (size_t)1 << hash->region->shift >= HASH_SLAB_SIZE_MAX;
    if (large || segments > HASH_SLAB_SEGMENTS_MAX)
        segments = HASH_SLAB_SEGMENTS_MAX;
    const size_t size = segments == HASH_SLAB_SEGMENTS_MAX
                            ? HASH_SLAB_SIZE_MAX
                            : sizeof(struct hash_slab) + HASH_LINE_SIZE - 1 +
                                  segments * sizeof(struct hash_segment);
    struct hash_slab *slab = allocate(hash->allocator, size);
    if (slab == NULL)
        return false;
    const size_t past_line = ((uintptr_t)slab + sizeof(*slab)) % HASH_LINE_SIZE;
    slab->size = size;
    slab->used_bytes = sizeof(*slab) + (past_line == 0 ? 0 : HASH_LINE_SIZE - past_line);
    slab->next = hash->slabs;
    hash->slabs = slab;
    hash->bytes += size;
    return true;
}

static struct hash_segment *hash_segment_create(struct memtable_hash *hash, uint32_t depth)
{
    const struct hash_slab *newest = hash->slabs;
    if (newest == NULL || newest->size - newest->used_bytes < sizeof(struct hash_segment)) {
        if (!hash_slab_create(hash))
            return NULL;
    }
    void *memory = (uint8_t *)hash->slabs + hash->slabs->used_bytes;
    hash->slabs->used_bytes += sizeof(struct hash_segment);
    hash->segment_count++;
    struct hash_segment *segment = memory;
    memset(segment, 0, sizeof(*segment));
    segment->depth = depth;
    return segment;
}

static struct hash_directory *hash_directory_create(struct memtable_hash *hash, uint32_t depth)
{
    struct hash_directory *directory = allocate(hash->allocator, hash_directory_size(depth));
    if (directory == NULL)
        return NULL;
    directory->older = hash->writing;
    directory->depth = depth;
    hash->bytes += hash_directory_size(depth);
    return directory;
}

/* What was taken before a failure stays for the next try and goes with the rest. */
bool memtable_hash_create(struct memtable_hash *hash)
{
    assert(hash->writing == NULL);
    if (hash->slabs == NULL && !hash_slab_create(hash))
        return false;
    struct hash_directory *directory = hash_directory_create(hash, 0);
    if (directory == NULL)
        return false;
    struct hash_segment *segment = hash_segment_create(hash, 0);
    assert(segment != NULL);
    atomic_init(&directory->segments[0], segment);
    hash->writing = directory;
    return true;
}

void memtable_hash_open(struct memtable_hash *hash)
{
    assert(hash->writing != NULL);
    atomic_store_explicit(&hash->directory, hash->writing, memory_order_release);
}

/* ---- reading ---- */

/* The bits that are used of a hash. */
static inline uint32_t hash_bits(uint64_t value)
{
    return (uint32_t)(value >> 32);
}

static inline size_t hash_place(const struct hash_directory *directory, uint32_t bits)
{
    return (size_t)((uint64_t)bits >> (32 - directory->depth));
}

static inline unsigned hash_home(uint32_t bits)
{
    return bits % HASH_SEGMENT_BUCKETS;
}

static inline struct hash_bucket *hash_bucket_at(struct hash_segment *segment, unsigned index)
{
    return &segment->buckets[index % HASH_SEGMENT_BUCKETS];
}

static struct hash_found hash_segment_find(const struct memtable_hash *hash,
                                           struct hash_segment *segment, struct bytes key,
                                           uint32_t bits)
{
    struct hash_found found = {.name = 0};
    for (unsigned probe = 0; probe < HASH_PROBES; probe++) {
        struct hash_bucket *bucket = hash_bucket_at(segment, hash_home(bits) + probe);
        const uint32_t flags = atomic_load_explicit(&bucket->flags, memory_order_acquire);
        if (probe == 0)
            found.unsure = (flags & HASH_UNSURE) != 0;
        for (unsigned i = 0; i < HASH_BUCKET_ENTRIES; i++) {
            if (atomic_load_explicit(&bucket->hashes[i], memory_order_relaxed) != bits)
                continue;
            const uint32_t name = atomic_load_explicit(&bucket->names[i], memory_order_acquire);
            if (name != 0 && bytes_equal(node_key(node_at(hash->region, name)), key))
                return (struct hash_found){.name = name};
        }
        if ((flags & HASH_MORE) == 0)
            break;
    }
    return found;
}

struct hash_found memtable_hash_find(const struct memtable_hash *hash, struct bytes key,
                                     uint64_t value)
{
    const uint32_t bits = hash_bits(value);
    for (;;) {
        struct hash_directory *directory =
            atomic_load_explicit(&hash->directory, memory_order_acquire);
        if (directory == NULL)
            return (struct hash_found){.unsure = true};
        _Atomic(struct hash_segment *) *place = &directory->segments[hash_place(directory, bits)];
        struct hash_segment *segment = atomic_load_explicit(place, memory_order_acquire);
        const struct hash_found found = hash_segment_find(hash, segment, key, bits);
        if (found.name != 0 ||
            (atomic_load_explicit(&hash->directory, memory_order_acquire) == directory &&
             atomic_load_explicit(place, memory_order_acquire) == segment))
            return found;
    }
}

/* The segment that a key belongs to, NULL before there is a table. Any thread. */
static struct hash_segment *hash_segment_near(const struct memtable_hash *hash, uint32_t bits)
{
    struct hash_directory *directory = atomic_load_explicit(&hash->directory, memory_order_acquire);
    if (directory == NULL)
        return NULL;
    return atomic_load_explicit(&directory->segments[hash_place(directory, bits)],
                                memory_order_acquire);
}

void memtable_hash_prefetch(const struct memtable_hash *hash, uint64_t value)
{
    struct hash_segment *segment = hash_segment_near(hash, hash_bits(value));
    if (segment != NULL)
        prefetch(hash_bucket_at(segment, hash_home(hash_bits(value))));
}

/* ---- writing ---- */

static struct hash_segment *hash_segment_of(const struct memtable_hash *hash, uint32_t bits)
{
    return atomic_load_explicit(&hash->writing->segments[hash_place(hash->writing, bits)],
                                memory_order_relaxed);
}

struct hash_guess memtable_hash_guess(const struct memtable_hash *hash, uint64_t value)
{
    const uint32_t bits = hash_bits(value);
    const struct hash_bucket *bucket = hash_bucket_at(hash_segment_of(hash, bits), hash_home(bits));
    struct hash_guess guess = {.name = 0};
    for (unsigned i = 0; i < HASH_BUCKET_ENTRIES; i++) {
        if (atomic_load_explicit(&bucket->hashes[i], memory_order_relaxed) == bits)
            guess.name = atomic_load_explicit(&bucket->names[i], memory_order_relaxed);
        if (guess.name != 0)
            return guess;
    }
    guess.absent = atomic_load_explicit(&bucket->flags, memory_order_relaxed) == 0;
    return guess;
}

static void hash_set_flag(struct hash_bucket *bucket, uint32_t flag)
{
    const uint32_t flags = atomic_load_explicit(&bucket->flags, memory_order_relaxed);
    if ((flags & flag) == 0)
        atomic_store_explicit(&bucket->flags, flags | flag, memory_order_release);
}

static bool hash_bucket_put(struct hash_bucket *bucket, uint32_t bits, uint32_t name)
{
    for (unsigned i = 0; i < HASH_BUCKET_ENTRIES; i++) {
        if (atomic_load_explicit(&bucket->names[i], memory_order_relaxed) == 0) {
            atomic_store_explicit(&bucket->hashes[i], bits, memory_order_relaxed);
            atomic_store_explicit(&bucket->names[i], name, memory_order_release);
            return true;
        }
    }
    return false;
}

/* False if all buckets that the key may be in are full. */
static bool hash_segment_put(struct hash_segment *segment, uint32_t bits, uint32_t name)
{
    unsigned probe = 0;
    while (probe < HASH_PROBES) {
        if (hash_bucket_put(hash_bucket_at(segment, hash_home(bits) + probe), bits, name))
            break;
        probe++;
    }
    if (probe == HASH_PROBES)
        return false;
    for (; probe > 0; probe--)
        hash_set_flag(hash_bucket_at(segment, hash_home(bits) + probe - 1), HASH_MORE);
    return true;
}

/* A directory of twice the size; false when out of memory or out of proportion. */
static bool hash_double_directory(struct memtable_hash *hash)
{
    const struct hash_directory *old = hash->writing;
    if (old->depth == HASH_DEPTH_MAX ||
        (size_t)1 << old->depth >= HASH_PLACES_MAX * hash->segment_count)
        return false;
    struct hash_directory *directory = hash_directory_create(hash, old->depth + 1);
    if (directory == NULL)
        return false;
    for (size_t i = 0; i < (size_t)1 << directory->depth; i++)
        atomic_init(&directory->segments[i],
                    atomic_load_explicit(&old->segments[i / 2], memory_order_relaxed));
    hash->writing = directory;
    if (atomic_load_explicit(&hash->directory, memory_order_relaxed) != NULL)
        memtable_hash_open(hash);
    return true;
}

/* Calls for each entry of a bucket whose hash has the bit: copies it to `to`, or, if that is NULL,
 * takes it out. */
static void hash_bucket_move(struct hash_bucket *bucket, uint32_t bit, struct hash_segment *to)
{
    for (unsigned i = 0; i < HASH_BUCKET_ENTRIES; i++) {
        const uint32_t bits = atomic_load_explicit(&bucket->hashes[i], memory_order_relaxed);
        const uint32_t name = atomic_load_explicit(&bucket->names[i], memory_order_relaxed);
        if (name == 0 || (bits & bit) == 0)
            continue;
        if (to == NULL) {
            atomic_store_explicit(&bucket->names[i], 0, memory_order_release);
        } else if (!hash_segment_put(to, bits, name)) {
            hash_set_flag(hash_bucket_at(to, hash_home(bits)), HASH_UNSURE);
        }
    }
}

/* Moves the keys whose hash has the next bit to a segment of their own; false if it cannot. */
static bool hash_split(struct memtable_hash *hash, uint32_t bits)
{
    struct hash_segment *old = hash_segment_of(hash, bits);
    if (old->depth == hash->writing->depth && !hash_double_directory(hash))
        return false;
    struct hash_segment *fresh = hash_segment_create(hash, old->depth + 1);
    if (fresh == NULL)
        return false;
    const uint32_t bit = (uint32_t)1 << (31 - old->depth);
    for (unsigned i = 0; i < HASH_SEGMENT_BUCKETS; i++) {
        struct hash_bucket *bucket = &old->buckets[i];
        if ((atomic_load_explicit(&bucket->flags, memory_order_relaxed) & HASH_UNSURE) != 0)
            hash_set_flag(&fresh->buckets[i], HASH_UNSURE);
        hash_bucket_move(bucket, bit, fresh);
    }
    struct hash_directory *directory = hash->writing;
    const size_t covered = (size_t)1 << (directory->depth - old->depth);
    const size_t begin = hash_place(directory, bits) / covered * covered;
    for (size_t i = begin + covered / 2; i < begin + covered; i++)
        atomic_store_explicit(&directory->segments[i], fresh, memory_order_release);
    for (unsigned i = 0; i < HASH_SEGMENT_BUCKETS; i++)
        hash_bucket_move(&old->buckets[i], bit, NULL);
    old->depth++;
    return true;
}

/* Not kept beside the buckets: it would be one more line that every insert waits for. */
static unsigned hash_segment_count(const struct hash_segment *segment)
{
    unsigned count = 0;
    for (unsigned i = 0; i < HASH_SEGMENT_BUCKETS; i++) {
        for (unsigned k = 0; k < HASH_BUCKET_ENTRIES; k++)
            count += atomic_load_explicit(&segment->buckets[i].names[k], memory_order_relaxed) != 0;
    }
    return count;
}

bool memtable_hash_insert(struct memtable_hash *hash, uint64_t value, uint32_t name)
{
    const uint32_t bits = hash_bits(value);
    assert(hash->writing != NULL && name != 0);
    struct hash_segment *segment = hash_segment_of(hash, bits);
    while (!hash_segment_put(segment, bits, name)) {
        if (hash_segment_count(segment) < HASH_CROWDED_COUNT || !hash_split(hash, bits)) {
            hash_set_flag(hash_bucket_at(segment, hash_home(bits)), HASH_UNSURE);
            return false;
        }
        segment = hash_segment_of(hash, bits);
    }
    return true;
}

void memtable_hash_replace(struct memtable_hash *hash, uint64_t value, uint32_t old, uint32_t name)
{
    const uint32_t bits = hash_bits(value);
    struct hash_segment *segment = hash_segment_of(hash, bits);
    for (unsigned probe = 0; probe < HASH_PROBES; probe++) {
        struct hash_bucket *bucket = hash_bucket_at(segment, hash_home(bits) + probe);
        for (unsigned i = 0; i < HASH_BUCKET_ENTRIES; i++) {
            if (atomic_load_explicit(&bucket->names[i], memory_order_relaxed) == old) {
                atomic_store_explicit(&bucket->names[i], name, memory_order_release);
                return;
            }
        }
    }
}
