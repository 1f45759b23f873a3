#include "table/memtable.h"

#include "core/hash.h"
#include "core/memory.h"
#include "core/prefetch.h"
#include "table/memtable_node.h"

#include <assert.h>

/* Memtables of chunks of that size are large. */
enum { MEMTABLE_LARGE_CHUNK = 1 << 20 };

static void memtable_check(const struct memtable *memtable)
{
    assert(memtable->allocator != NULL);
    assert(memtable->tree.region == &memtable->region);
    assert(memtable->tree.nodes == &memtable->region || memtable->tree.nodes == &memtable->nodes);
    assert(memtable->first_version > 0);
    (void)memtable;
}

/* Larger than caches are: the tree has a region of its own, and new keys go down to it step by step. */
static bool memtable_is_large(const struct memtable *memtable)
{
    return memtable->tree.nodes != &memtable->region;
}

static void memtable_count_memory(struct memtable *memtable)
{
    atomic_store_explicit(&memtable->memory,
                          sizeof(*memtable) + memtable->region.total_bytes +
                              memtable->nodes.total_bytes + memtable->hash.bytes,
                          memory_order_relaxed);
}

strata_status memtable_create(const strata_allocator *allocator, size_t chunk_bytes,
                              uint64_t first_version, struct memtable **out)
{
    assert(first_version > 0);

    struct memtable *memtable = allocate_zeroed(allocator, sizeof(*memtable));
    if (memtable == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a memtable");
    memtable->allocator = allocator;
    region_init(&memtable->region, allocator, chunk_bytes);
    region_init(&memtable->nodes, allocator, chunk_bytes);
    memtable_hash_init(&memtable->hash, allocator, &memtable->region);
    memtable_way_init(&memtable->way);
    memtable->first_version = first_version;
    atomic_init(&memtable->last_version, first_version - 1);
    atomic_init(&memtable->references, 1);
    struct region *nodes =
        chunk_bytes < MEMTABLE_LARGE_CHUNK ? &memtable->region : &memtable->nodes;
    if (!memtable_tree_init(&memtable->tree, &memtable->region, nodes)) {
        memtable_drop(memtable);
        return failure(STRATA_NO_MEMORY, "no memory for a memtable");
    }
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
    memtable_hash_release(&memtable->hash);
    region_release(&memtable->nodes);
    region_release(&memtable->region);
    release(memtable->allocator, memtable, sizeof(*memtable));
}

/* Makes sure that what `rows` inserts and `more` bytes take is there. */
static strata_status memtable_reserve_size(struct memtable *memtable, size_t rows, size_t bytes,
                                           size_t more)
{
    /* A split that a row brings about takes less than this. */
    const size_t row_size_max = (size_t)16 * 1024;
    if (rows > SIZE_MAX / 4 / row_size_max || bytes > SIZE_MAX / 4 || more > SIZE_MAX / 4)
        return failure(STRATA_NO_MEMORY, "no memory for %zu rows of %zu bytes", rows, bytes);
    const bool apart = memtable_is_large(memtable);
    const size_t nodes =
        memtable_tree_reserve(&memtable->tree, apart ? rows + TREE_KEYS_AHEAD : rows);
    const size_t size = rows * NODE_SIZE_MAX + bytes + more;
    strata_status status = STRATA_OK;
    if (apart)
        status = region_reserve(&memtable->nodes, nodes);
    if (status == STRATA_OK)
        status = region_reserve(&memtable->region, apart ? size : size + nodes);
    memtable_count_memory(memtable);
    return status;
}

strata_status memtable_reserve_rows(struct memtable *memtable, size_t rows, size_t bytes)
{
    memtable_check(memtable);
    return memtable_reserve_size(memtable, rows, bytes, 0);
}

strata_status memtable_reserve(struct memtable *memtable, size_t rows, size_t bytes,
                               size_t message_bytes)
{
    memtable_check(memtable);
    if (message_bytes > SIZE_MAX / 4)
        return failure(STRATA_NO_MEMORY, "no memory for a message of %zu bytes", message_bytes);
    return memtable_reserve_size(memtable, rows, bytes, commit_index_add_size(message_bytes));
}

void memtable_freeze(struct memtable *memtable)
{
    memtable_check(memtable);
    memtable_way_finish(&memtable->way, &memtable->tree);
    region_trim(&memtable->nodes);
    region_trim(&memtable->region);
    memtable_count_memory(memtable);
}

/* One thread writes, so that reading and writing need not be one step. */
static void memtable_count_up(_Atomic uint64_t *counter, uint64_t by)
{
    const uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + by, memory_order_relaxed);
}

/* ---- versions ---- */

/* A copy of `row` that nobody sees yet. `later` is NULL for the first version of its key. */
static struct memtable_node *memtable_node_create(struct memtable *memtable, const struct row *row,
                                                  const struct memtable_later *later,
                                                  uint32_t *name)
{
    const uint64_t from = row->from - memtable->first_version;
    assert(row->from >= memtable->first_version && from <= NODE_FROM_MAX);
    assert(row->kind <= NODE_KIND_MAX);
    const uint64_t stamp = from << NODE_FROM_SHIFT | (uint64_t)row->kind << NODE_KIND_SHIFT |
                           (later != NULL ? NODE_LATER : 0) |
                           (row->expires_us != 0 ? NODE_EXPIRES : 0);
    const size_t head = node_head_size(stamp);
    uint8_t *bytes =
        region_take(&memtable->region, head + row->key.length + row->value.length, name);
    assert(bytes != NULL);
    uint8_t *to = bytes + sizeof(struct memtable_node);
    if (later != NULL) {
        memcpy(to, later, sizeof(*later));
        to += sizeof(*later);
    }
    if (row->expires_us != 0)
        memcpy(to, &row->expires_us, sizeof(row->expires_us));
    memcpy(bytes + head, row->key.data, row->key.length);
    if (row->value.length > 0)
        memcpy(bytes + head + row->key.length, row->value.data, row->value.length);

    void *start = bytes;
    struct memtable_node *node = start;
    node->stamp = stamp;
    node->time_us = row->time_us;
    node->lengths = (uint32_t)(row->value.length << NODE_KEY_BITS | row->key.length);
    return node;
}

/* The version that begins the block of `node`, which may be itself. */
static uint32_t version_block(const struct memtable_node *node, uint32_t name)
{
    return node_place(node) == 0 ? name : node_later(node)->jump;
}

/* Place and rank of the version after `newest`, and where it jumps to. */
static uint64_t version_jump(const struct region *region, const struct memtable_node *newest,
                             uint32_t newest_name, uint32_t *jump)
{
    const unsigned place = (node_place(newest) + 1) % NODE_BLOCK_LENGTH;
    *jump = version_block(newest, newest_name);
    if (place > 0)
        return (uint64_t)place << NODE_PLACE_SHIFT;
    /* It begins a block. Two trees of one rank become one of the next. */
    const struct memtable_node *block = node_at(region, *jump);
    const uint32_t behind = node_jump(block);
    unsigned rank = 1;
    if (behind != 0 && node_rank(block) == node_rank(node_at(region, behind))) {
        rank = node_rank(block) + 1;
        *jump = node_jump(node_at(region, behind));
    }
    assert(rank <= NODE_RANK_MAX);
    return rank;
}

/* `place` is complete if there is no hash table. */
static void memtable_insert_first(struct memtable *memtable, const struct row *row, uint64_t hash,
                                  struct memtable_place *place)
{
    uint32_t name;
    struct memtable_node *node = memtable_node_create(memtable, row, NULL, &name);
    node->stamp |= 1; /* Its rank: it begins the first block. */
    atomic_init(&node->link, name);
    memtable->key_count++;
    if (memtable->hash.writing == NULL) {
        memtable_tree_insert(&memtable->tree, place, name);
        return;
    }
    if (memtable_hash_insert(&memtable->hash, hash, name) && memtable_is_large(memtable)) {
        memtable_way_put(&memtable->way, &memtable->tree, name);
        return;
    }
    memtable_tree_begin(&memtable->tree, row->key, place);
    const uint32_t present = memtable_tree_arrive(&memtable->tree, place);
    assert(present == 0);
    (void)present;
    memtable_tree_insert(&memtable->tree, place, name);
}

/* `newest` is the newest version of the key. */
static void memtable_insert_later(struct memtable *memtable, const struct row *row, uint64_t hash,
                                  uint32_t newest_name)
{
    const struct region *region = &memtable->region;
    const struct memtable_node *newest = node_at(region, newest_name);
    assert(node_from(newest) < row->from - memtable->first_version);
    struct memtable_later later = {.first = node_first(newest, newest_name)};
    const uint64_t marks = version_jump(region, newest, newest_name, &later.jump);
    uint32_t name;
    struct memtable_node *node = memtable_node_create(memtable, row, &later, &name);
    node->stamp |= marks;
    atomic_init(&node->link, newest_name);
    struct memtable_node *first = region_at(region, later.first);
    atomic_store_explicit(&first->link, name, memory_order_release);
    if (memtable->hash.writing != NULL)
        memtable_hash_replace(&memtable->hash, hash, newest_name, name);
}

/* Puts all keys into a hash table. Without memory for one the tree goes on alone. */
static void memtable_begin_hash(struct memtable *memtable)
{
    struct memtable_page page;
    if (!memtable_hash_create(&memtable->hash))
        return;
    memtable_tree_seek(&memtable->tree, (struct bytes){0}, &page);
    do {
        for (; page.index < page.count; page.index++) {
            const struct memtable_node *first = node_at(&memtable->region, page.names[page.index]);
            memtable_hash_insert(&memtable->hash, hash64(node_key(first), 0), node_link(first));
        }
    } while (memtable_tree_next_page(&memtable->tree, &page));
    memtable_hash_open(&memtable->hash);
}

void memtable_approach(const struct memtable *memtable, size_t key_length, uint64_t hash,
                       struct memtable_seat *seat)
{
    memtable_check(memtable);
    *seat = (struct memtable_seat){.hash = hash};
    /* Of a new key there is no row to fetch: no need to wait for the bucket yet. */
    if (memtable->hash.writing == NULL || memtable->grows)
        return;
    seat->guess = memtable_hash_guess(&memtable->hash, hash);
    seat->guessed = true;
    if (seat->guess.name != 0)
        prefetch_bytes(region_at(&memtable->region, seat->guess.name),
                       sizeof(struct memtable_node) + sizeof(struct memtable_later) + key_length);
}

/* The newest version of a key, 0 if there is none; without a hash table the place is complete then. */
static uint32_t memtable_look(struct memtable *memtable, struct bytes key,
                              const struct memtable_seat *seat, struct memtable_place *place)
{
    struct hash_found found = {.unsure = true};
    if (memtable->hash.writing != NULL) {
        const struct hash_guess guess =
            seat->guessed ? seat->guess : memtable_hash_guess(&memtable->hash, seat->hash);
        if (guess.absent)
            return 0;
        found = memtable_hash_find(&memtable->hash, key, seat->hash);
    }
    if (found.name != 0 || !found.unsure)
        return found.name;
    memtable_tree_begin(&memtable->tree, key, place);
    const uint32_t first = memtable_tree_arrive(&memtable->tree, place);
    return first == 0 ? 0 : node_link(node_at(&memtable->region, first));
}

void memtable_insert_at(struct memtable *memtable, const struct row *row,
                        const struct memtable_seat *seat)
{
    memtable_check(memtable);
    assert(row->key.length >= KEY_PREFIX_SIZE);
    assert(row->key.length <= STORAGE_KEY_SIZE_MAX);
    assert(row->value.length <= INLINE_VALUE_SIZE_MAX);
    assert(row->to == 0);
    assert(memtable->hash.writing == NULL || seat->hash == hash64(row->key, 0));

    struct memtable_place place;
    const size_t hash_bytes = memtable->hash.bytes;
    if (memtable->grows) /* The bucket, asked for long before, comes meanwhile. */
        memtable_way_advance(&memtable->way, &memtable->tree);
    const uint32_t newest = memtable_look(memtable, row->key, seat, &place);
    memtable->grows = newest == 0;
    if (newest != 0)
        memtable_insert_later(memtable, row, seat->hash, newest);
    else
        memtable_insert_first(memtable, row, seat->hash, &place);
    if (memtable->hash.writing == NULL && memtable->key_count >= MEMTABLE_HASHED_KEYS &&
        memtable->key_count % MEMTABLE_HASHED_KEYS == 0)
        memtable_begin_hash(memtable);
    if (memtable->hash.bytes != hash_bytes)
        memtable_count_memory(memtable);
    memtable_count_up(&memtable->charge, row_charge(row));
    memtable_count_up(&memtable->rows, 1);
}

void memtable_insert(struct memtable *memtable, const struct row *row)
{
    struct memtable_seat seat;
    const uint64_t hash = memtable->hash.writing != NULL ? hash64(row->key, 0) : 0;
    memtable_approach(memtable, row->key.length, hash, &seat);
    memtable_insert_at(memtable, row, &seat);
}

/* ---- commits ---- */

static_assert(offsetof(struct commit_stretch, steps) + sizeof(struct commit_step) <= COMMIT_CHARGE,
              "a commit alone in a stretch with room for two takes no more than it is charged");

void memtable_add_commit(struct memtable *memtable, const struct memtable_commit *commit)
{
    memtable_check(memtable);
    assert(commit->version >= memtable->first_version);
    assert(commit->version > atomic_load_explicit(&memtable->last_version, memory_order_relaxed));

    const unsigned nodes = commit_index_add(&memtable->commits, &memtable->region, commit);
    memtable->last_time_us = commit->time_us;
    memtable_count_up(&memtable->charge,
                      COMMIT_CHARGE + nodes * COMMIT_NODE_CHARGE + commit->message.length);
    atomic_store_explicit(&memtable->last_version, commit->version, memory_order_release);
}

/* ---- reading ---- */

/* The newest version of a key, 0 if there is none. */
static uint32_t memtable_newest(const struct memtable *memtable, struct bytes key, uint64_t hash)
{
    const struct hash_found found = memtable_hash_find(&memtable->hash, key, hash);
    if (!found.unsure)
        return found.name;
    const uint32_t first = memtable_tree_find(&memtable->tree, key);
    return first == 0 ? 0 : node_link(node_at(&memtable->region, first));
}

bool memtable_find(const struct memtable *memtable, struct bytes key, uint64_t hash, uint64_t cap,
                   struct row *out)
{
    memtable_check(memtable);
    if (cap < memtable->first_version)
        return false;
    const uint32_t newest = memtable_newest(memtable, key, hash);
    if (newest == 0)
        return false;
    const struct memtable_node *node = version_at(
        &memtable->region, node_at(&memtable->region, newest), cap - memtable->first_version);
    if (node == NULL)
        return false;
    *out = node_row(node, memtable->first_version);
    return true;
}

size_t memtable_memory(const struct memtable *memtable)
{
    memtable_check(memtable);
    return atomic_load_explicit(&memtable->memory, memory_order_relaxed);
}
