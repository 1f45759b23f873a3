#include "table/memtable.h"

#include "core/memory.h"
#include "layout/key.h"

#include <assert.h>

/* One in four nodes of a level is in the level above as well. */
enum { MEMTABLE_BRANCH_BITS = 2, MEMTABLE_HEAD_END = KEY_PREFIX_SIZE + 8 };
static_assert(MEMTABLE_HEIGHT_MAX * MEMTABLE_BRANCH_BITS <= 64, "one draw gives any height");

/* Followed by the links, then the key and the value. Only the links change once it is linked. */
struct memtable_node {
    uint64_t head; /* The first 8 bytes behind the key's prefix, as a number: see memtable_head. */
    uint64_t from;
    int64_t time_us;
    int64_t expires_us;
    uint32_t value_length;
    uint16_t key_length;
    uint8_t kind;
    uint8_t height;
    _Atomic(struct memtable_node *) next[];
};
static_assert(STORAGE_KEY_SIZE_MAX <= UINT16_MAX, "a key's length fits its field");
static_assert(sizeof(struct memtable_node) % 8 == 0, "links follow aligned");

/* What a search looks for: a place in row order. */
struct memtable_probe {
    struct bytes key;
    uint64_t from;
    uint64_t head;
};

/* Where a search came out: nodes that were neighbours. NULL at either end of the list. */
struct memtable_gap {
    const struct memtable_node *before;
    const struct memtable_node *after;
};

static size_t memtable_rounded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static const uint8_t *memtable_node_bytes(const struct memtable_node *node)
{
    const void *behind = node->next + node->height;
    return behind;
}

static struct bytes memtable_node_key(const struct memtable_node *node)
{
    return bytes_of(memtable_node_bytes(node), node->key_length);
}

/* Bytes [KEY_PREFIX_SIZE, MEMTABLE_HEAD_END) of a key, zeros where it has none. Among keys of one
 * prefix, a smaller head is a smaller key; equal heads leave it open. */
static uint64_t memtable_head(struct bytes key)
{
    if (key.length >= MEMTABLE_HEAD_END)
        return load_ordered_u64(key.data + KEY_PREFIX_SIZE);
    uint8_t padded[8] = {0};
    if (key.length > KEY_PREFIX_SIZE)
        memcpy(padded, key.data + KEY_PREFIX_SIZE, key.length - KEY_PREFIX_SIZE);
    return load_ordered_u64(padded);
}

static struct memtable_probe memtable_probe_of(struct bytes key, uint64_t from)
{
    return (struct memtable_probe){.key = key, .from = from, .head = memtable_head(key)};
}

static struct row memtable_node_row(const struct memtable_node *node)
{
    assert(node->height > 0);
    const struct bytes key = memtable_node_key(node);
    return (struct row){
        .key = key,
        .value = bytes_of(key.data + key.length, node->value_length),
        .from = node->from,
        .time_us = node->time_us,
        .expires_us = node->expires_us,
        .kind = node->kind,
    };
}

/* Whether the row of `node` comes before the probe in row order. */
static inline bool memtable_node_before(const struct memtable_node *node,
                                        const struct memtable_probe *probe)
{
    const struct bytes key = memtable_node_key(node);
    if (node->head != probe->head && probe->key.length >= KEY_PREFIX_SIZE &&
        memcmp(key.data, probe->key.data, KEY_PREFIX_SIZE) == 0)
        return node->head < probe->head;
    return row_order(key, node->from, probe->key, probe->from) < 0;
}

static void memtable_check(const struct memtable *memtable)
{
    assert(memtable->allocator != NULL);
    assert(memtable->head != NULL);
    assert(memtable->first_version > 0);
    (void)memtable;
}

static inline struct memtable_node *memtable_follow(const struct memtable_node *node,
                                                    unsigned level)
{
    assert(level < node->height);
    return atomic_load_explicit(&node->next[level], memory_order_acquire);
}

/* Finds the gap that the probe falls in. What lies after the gap is at or after the probe. */
static struct memtable_gap memtable_search(const struct memtable *memtable,
                                           const struct memtable_probe *probe)
{
    memtable_check(memtable);
    const struct memtable_node *before = memtable->head;
    const struct memtable_node *after = NULL;
    unsigned level = atomic_load_explicit(&memtable->height, memory_order_relaxed);
    while (level > 0) {
        level--;
        const struct memtable_node *next = memtable_follow(before, level);
        /* What stopped the level above stops this one too. */
        while (next != NULL && next != after && memtable_node_before(next, probe)) {
            before = next;
            next = memtable_follow(before, level);
        }
        after = next;
    }
    return (struct memtable_gap){.before = before == memtable->head ? NULL : before,
                                 .after = after};
}

static void memtable_count_memory(struct memtable *memtable)
{
    atomic_store_explicit(&memtable->memory, sizeof(*memtable) + memtable->arena.total_bytes,
                          memory_order_relaxed);
}

strata_status memtable_create(const strata_allocator *allocator, size_t chunk_bytes, uint64_t seed,
                              uint64_t first_version, struct memtable **out)
{
    assert(first_version > 0);

    struct memtable *memtable = allocate_zeroed(allocator, sizeof(*memtable));
    if (memtable == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a memtable");
    memtable->allocator = allocator;
    arena_init(&memtable->arena, allocator, chunk_bytes);
    memtable->random.state = seed;
    memtable->first_version = first_version;
    atomic_init(&memtable->height, 1);
    atomic_init(&memtable->last_version, first_version - 1);
    atomic_init(&memtable->references, 1);

    const size_t size =
        sizeof(struct memtable_node) + MEMTABLE_HEIGHT_MAX * sizeof(struct memtable_node *);
    memtable->head = arena_take(&memtable->arena, size);
    if (memtable->head == NULL) {
        memtable_drop(memtable);
        return failure(STRATA_NO_MEMORY, "no memory for a memtable");
    }
    memset(memtable->head, 0, sizeof(*memtable->head));
    memtable->head->height = MEMTABLE_HEIGHT_MAX;
    for (unsigned level = 0; level < MEMTABLE_HEIGHT_MAX; level++)
        atomic_init(&memtable->head->next[level], NULL);
    memtable_count_memory(memtable);
    memtable_check(memtable);
    *out = memtable;
    return STRATA_OK;
}

void memtable_acquire(struct memtable *memtable)
{
    const uint32_t before =
        atomic_fetch_add_explicit(&memtable->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

void memtable_drop(struct memtable *memtable)
{
    const uint32_t before =
        atomic_fetch_sub_explicit(&memtable->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    arena_release(&memtable->arena);
    release(memtable->allocator, memtable, sizeof(*memtable));
}

/* The block that has room for one more commit, or NULL. */
static struct memtable_commits *memtable_commits_open(const struct memtable *memtable)
{
    struct memtable_commits *newest =
        atomic_load_explicit(&memtable->commits, memory_order_relaxed);
    if (newest == NULL)
        return NULL;
    const uint32_t count = atomic_load_explicit(&newest->count, memory_order_relaxed);
    assert(count <= MEMTABLE_COMMITS_PER_BLOCK);
    return count < MEMTABLE_COMMITS_PER_BLOCK ? newest : NULL;
}

strata_status memtable_reserve(struct memtable *memtable, size_t rows, size_t bytes,
                               size_t message_bytes)
{
    memtable_check(memtable);

    const size_t row_size =
        sizeof(struct memtable_node) + MEMTABLE_HEIGHT_MAX * sizeof(struct memtable_node *) + 7;
    const size_t commit_size =
        memtable_rounded(message_bytes) + (memtable_commits_open(memtable) != NULL
                                               ? 0
                                               : memtable_rounded(sizeof(struct memtable_commits)));
    if (rows > SIZE_MAX / 4 / row_size || bytes > SIZE_MAX / 4 || message_bytes > SIZE_MAX / 4)
        return failure(STRATA_NO_MEMORY, "no memory for %zu rows of %zu bytes", rows, bytes);
    TRY(arena_reserve(&memtable->arena, rows * row_size + bytes + commit_size));
    memtable_count_memory(memtable);
    return STRATA_OK;
}

static uint8_t memtable_random_height(struct memtable *memtable)
{
    uint64_t bits = random_next(&memtable->random);
    unsigned height = 1;
    while (height < MEMTABLE_HEIGHT_MAX && (bits & ((1u << MEMTABLE_BRANCH_BITS) - 1)) == 0) {
        bits >>= MEMTABLE_BRANCH_BITS;
        height++;
    }
    return (uint8_t)height;
}

/* A copy of `row`, not linked yet. */
static struct memtable_node *memtable_node_create(struct memtable *memtable, const struct row *row)
{
    const uint8_t height = memtable_random_height(memtable);
    const size_t links = height * sizeof(struct memtable_node *);
    struct memtable_node *node =
        arena_take(&memtable->arena, sizeof(*node) + links + row->key.length + row->value.length);
    assert(node != NULL);

    node->head = memtable_head(row->key);
    node->from = row->from;
    node->time_us = row->time_us;
    node->expires_us = row->expires_us;
    node->value_length = (uint32_t)row->value.length;
    node->key_length = (uint16_t)row->key.length;
    node->kind = row->kind;
    node->height = height;
    uint8_t *to = (uint8_t *)node + sizeof(*node) + links;
    memcpy(to, row->key.data, row->key.length);
    if (row->value.length > 0)
        memcpy(to + row->key.length, row->value.data, row->value.length);
    return node;
}

/* Fills before[level] with the last node of each level that comes before the probe. */
static void memtable_search_all(struct memtable *memtable, const struct memtable_probe *probe,
                                struct memtable_node *before[MEMTABLE_HEIGHT_MAX])
{
    assert(probe->key.length >= KEY_PREFIX_SIZE);
    struct memtable_node *node = memtable->head;
    const struct memtable_node *stop = NULL;
    const unsigned height = atomic_load_explicit(&memtable->height, memory_order_relaxed);
    for (unsigned level = MEMTABLE_HEIGHT_MAX; level > height; level--)
        before[level - 1] = memtable->head;
    for (unsigned level = height; level > 0; level--) {
        struct memtable_node *next = memtable_follow(node, level - 1);
        while (next != NULL && next != stop && memtable_node_before(next, probe)) {
            node = next;
            next = memtable_follow(node, level - 1);
        }
        stop = next;
        before[level - 1] = node;
    }
    assert(stop == NULL || row_order(memtable_node_key(stop), stop->from, probe->key, probe->from));
}

/* One thread writes, so that reading and writing need not be one step. */
static void memtable_count_up(_Atomic uint64_t *counter, uint64_t by)
{
    const uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + by, memory_order_relaxed);
}

void memtable_insert(struct memtable *memtable, const struct row *row)
{
    memtable_check(memtable);
    assert(row->key.length >= KEY_PREFIX_SIZE);
    assert(row->key.length <= STORAGE_KEY_SIZE_MAX);
    assert(row->value.length <= INLINE_VALUE_SIZE_MAX);
    assert(row->to == 0);

    struct memtable_node *before[MEMTABLE_HEIGHT_MAX];
    const struct memtable_probe probe = memtable_probe_of(row->key, row->from);
    memtable_search_all(memtable, &probe, before);
    struct memtable_node *node = memtable_node_create(memtable, row);
    for (unsigned level = 0; level < node->height; level++)
        atomic_init(&node->next[level],
                    atomic_load_explicit(&before[level]->next[level], memory_order_relaxed));

    /* From the bottom up: whoever meets the node on a level finds it on all below. */
    for (unsigned level = 0; level < node->height; level++)
        atomic_store_explicit(&before[level]->next[level], node, memory_order_release);
    if (node->height > atomic_load_explicit(&memtable->height, memory_order_relaxed))
        atomic_store_explicit(&memtable->height, node->height, memory_order_relaxed);
    memtable_count_up(&memtable->charge, row_charge(row));
    memtable_count_up(&memtable->rows, 1);
}

/* Begins a block of commits; reserved before. */
static struct memtable_commits *memtable_commits_create(struct memtable *memtable)
{
    assert(memtable_commits_open(memtable) == NULL);
    struct memtable_commits *block = arena_take(&memtable->arena, sizeof(*block));
    assert(block != NULL);
    block->older = atomic_load_explicit(&memtable->commits, memory_order_relaxed);
    atomic_init(&block->count, 0);
    atomic_store_explicit(&memtable->commits, block, memory_order_release);
    return block;
}

void memtable_add_commit(struct memtable *memtable, const struct memtable_commit *commit)
{
    memtable_check(memtable);
    assert(commit->version >= memtable->first_version);
    assert(commit->version > atomic_load_explicit(&memtable->last_version, memory_order_relaxed));

    struct memtable_commit copy = *commit;
    copy.message = (struct bytes){0};
    if (commit->message.length > 0) {
        void *message = arena_take(&memtable->arena, commit->message.length);
        assert(message != NULL);
        memcpy(message, commit->message.data, commit->message.length);
        copy.message = bytes_of(message, commit->message.length);
    }

    struct memtable_commits *block = memtable_commits_open(memtable);
    if (block == NULL)
        block = memtable_commits_create(memtable);
    const uint32_t count = atomic_load_explicit(&block->count, memory_order_relaxed);
    block->entries[count] = copy;
    atomic_store_explicit(&block->count, count + 1, memory_order_release);
    memtable_count_up(&memtable->charge, 64 + commit->message.length);
    atomic_store_explicit(&memtable->last_version, commit->version, memory_order_release);
}

bool memtable_find(const struct memtable *memtable, struct bytes key, uint64_t cap, struct row *out)
{
    const struct memtable_probe probe = memtable_probe_of(key, cap);
    const struct memtable_node *node = memtable_search(memtable, &probe).after;
    if (node == NULL || !bytes_equal(memtable_node_key(node), key))
        return false;
    assert(node->from <= cap);
    *out = memtable_node_row(node);
    return true;
}

size_t memtable_memory(const struct memtable *memtable)
{
    memtable_check(memtable);
    return atomic_load_explicit(&memtable->memory, memory_order_relaxed);
}

static struct memtable_source *memtable_source_of(struct source *source)
{
    void *self = source;
    return self;
}

static strata_status memtable_source_show(struct memtable_source *self,
                                          const struct memtable_node *node)
{
    assert(node == NULL || node->key_length >= KEY_PREFIX_SIZE);
    self->node = node;
    self->source.valid = node != NULL;
    if (node != NULL)
        self->source.row = memtable_node_row(node);
    return STRATA_OK;
}

static strata_status memtable_source_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct memtable_source *self = memtable_source_of(source);
    const struct memtable_probe probe = memtable_probe_of(key, from);
    return memtable_source_show(self, memtable_search(self->memtable, &probe).after);
}

static strata_status memtable_source_seek_before(struct source *source, struct bytes key)
{
    struct memtable_source *self = memtable_source_of(source);
    const struct memtable_probe probe = memtable_probe_of(key, UINT64_MAX);
    return memtable_source_show(self, memtable_search(self->memtable, &probe).before);
}

static strata_status memtable_source_next(struct source *source)
{
    assert(source->valid);
    struct memtable_source *self = memtable_source_of(source);
    return memtable_source_show(self, memtable_follow(self->node, 0));
}

static strata_status memtable_source_previous(struct source *source)
{
    assert(source->valid);
    struct memtable_source *self = memtable_source_of(source);
    const struct memtable_probe probe =
        memtable_probe_of(memtable_node_key(self->node), self->node->from);
    return memtable_source_show(self, memtable_search(self->memtable, &probe).before);
}

static void memtable_source_release(struct source *source)
{
    source->valid = false;
    memtable_source_of(source)->node = NULL;
}

static const struct source_class memtable_source_class = {
    .seek = memtable_source_seek,
    .seek_before = memtable_source_seek_before,
    .next = memtable_source_next,
    .previous = memtable_source_previous,
    .release = memtable_source_release,
};

void memtable_source_init(struct memtable_source *source, const struct memtable *memtable)
{
    memtable_check(memtable);
    *source =
        (struct memtable_source){.source = {.class = &memtable_source_class}, .memtable = memtable};
}
