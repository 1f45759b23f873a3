/* A version of a key as a memtable holds it, in a piece of its region. All that a reader needs first
 * is in one run of memory: the head, the key, the value.
 *
 *     0   u64 stamp     bits 14 to 63: `from`, less the memtable's first version
 *                       bits 10 to 13: kind of row
 *                       bit 9: a later version; bit 8: expires
 *                       bits 5 to 7: place in its block of 8 versions
 *                       bits 0 to 4: rank, of the first in its block
 *     8   i64 time
 *     16  u32 lengths   bits 15 to 31: of the value; bits 0 to 14: of the key
 *     20  u32 link      first version: the newest one, itself if there is no other;
 *                       later version: the next older one
 *     24  u32 first     later versions only: the first version of the key
 *         u32 jump      later versions only: see below
 *         i64 expires   only of rows that expire
 *         key, value
 *
 * in the byte order of the machine. The first version of a key is what names the key in the tree. All
 * but its link is constant once others can see it.
 *
 * Jumps. The versions of a key are numbered from 0, the oldest; those with numbers that 8 divides begin
 * blocks. A version inside a block jumps to the one that begins it. Those that begin a block jump as
 * in a skew-binary random-access list of their own, the distance in blocks being 2^rank - 1; 0 is a
 * jump to nowhere. So from the newest of n versions every other is O(log n) steps away, and a new
 * one needs to look at no more than the newest, but for one in 8. Source: Myers, "An applicative
 * random-access stack", 1983. */
#ifndef STRATA_TABLE_MEMTABLE_NODE_H
#define STRATA_TABLE_MEMTABLE_NODE_H

#include "core/plant.h"
#include "core/region.h"
#include "format/row.h"
#include "layout/key.h"

#include <assert.h>

struct memtable_node {
    uint64_t stamp;
    int64_t time_us;
    uint32_t lengths;
    _Atomic uint32_t link;
};

/* What follows in later versions. */
struct memtable_later {
    uint32_t first;
    uint32_t jump;
};

enum {
    NODE_FROM_SHIFT = 14,
    NODE_KIND_SHIFT = 10,
    NODE_KIND_MAX = 15,
    NODE_LATER = 1 << 9,
    NODE_EXPIRES = 1 << 8,
    NODE_PLACE_SHIFT = 5,
    NODE_BLOCK_LENGTH = 8,
    NODE_RANK_MAX = 31,
    NODE_KEY_BITS = 15,
    /* At least what a version takes beside its key and value. */
    NODE_SIZE_MAX = sizeof(struct memtable_node) + sizeof(struct memtable_later) + 8 + 7
};

#define NODE_FROM_MAX (UINT64_MAX >> NODE_FROM_SHIFT)

static_assert(sizeof(struct memtable_node) == 24 && sizeof(struct memtable_later) == 8,
              "nodes have no holes");
static_assert(STORAGE_KEY_SIZE_MAX < 1 << NODE_KEY_BITS, "a key's length fits its field");
static_assert(INLINE_VALUE_SIZE_MAX < 1 << (32 - NODE_KEY_BITS), "a value's length fits its field");

static inline const struct memtable_node *node_at(const struct region *region, uint32_t name)
{
    return region_at(region, name);
}

/* The link, and with it all that was written before it. */
static inline uint32_t node_link(const struct memtable_node *node)
{
    return atomic_load_explicit(&node->link, memory_order_acquire);
}

static inline const struct memtable_later *node_later(const struct memtable_node *node)
{
    const void *behind = node + 1;
    return behind;
}

static inline uint64_t node_from(const struct memtable_node *node)
{
    return node->stamp >> NODE_FROM_SHIFT;
}

static inline size_t node_key_length(const struct memtable_node *node)
{
    return node->lengths & ((1u << NODE_KEY_BITS) - 1);
}

/* What comes before the key. */
static inline size_t node_head_size(uint64_t stamp)
{
    return sizeof(struct memtable_node) +
           ((stamp & NODE_LATER) != 0 ? sizeof(struct memtable_later) : 0) +
           ((stamp & NODE_EXPIRES) != 0 ? sizeof(int64_t) : 0);
}

static inline struct bytes node_key(const struct memtable_node *node)
{
    const uint8_t *bytes = (const uint8_t *)node;
    return bytes_of(bytes + node_head_size(node->stamp), node_key_length(node));
}

static inline unsigned node_place(const struct memtable_node *node)
{
    return node->stamp >> NODE_PLACE_SHIFT & (NODE_BLOCK_LENGTH - 1);
}

static inline unsigned node_rank(const struct memtable_node *node)
{
    return node->stamp & NODE_RANK_MAX;
}

/* The name of the first version of the key of `node`, whose own name is `name`. */
static inline uint32_t node_first(const struct memtable_node *node, uint32_t name)
{
    return (node->stamp & NODE_LATER) != 0 ? node_later(node)->first : name;
}

/* 0: nowhere. */
static inline uint32_t node_jump(const struct memtable_node *node)
{
    return (node->stamp & NODE_LATER) != 0 ? node_later(node)->jump : 0;
}

/* The next older version, NULL if this is the first. */
static inline const struct memtable_node *node_older(const struct region *region,
                                                     const struct memtable_node *node)
{
    return (node->stamp & NODE_LATER) != 0 ? node_at(region, node_link(node)) : NULL;
}

/* Whether the version that `node` jumps to is there and above `from`; that version. */
static inline bool node_jumps_above(const struct region *region, const struct memtable_node *node,
                                    uint64_t from, const struct memtable_node **out)
{
    const uint32_t jump = node_jump(node);
    if (jump == 0)
        return false;
    *out = node_at(region, jump);
#if STRATA_PLANT == 17
    return true;
#else
    return node_from(*out) > from;
#endif
}

/* The newest version of a chain with `from` <= cap, from `newest` on; NULL if there is none. Both count
 * from the memtable's first version. */
static inline const struct memtable_node *
version_at(const struct region *region, const struct memtable_node *newest, uint64_t cap)
{
    const struct memtable_node *node = newest;
    while (node != NULL && node_from(node) > cap) {
        const struct memtable_node *to;
        node = node_jumps_above(region, node, cap, &to) ? to : node_older(region, node);
    }
    return node;
}

/* The next newer version than `node`, which is in the chain; NULL if it is `newest`. */
static inline const struct memtable_node *version_after(const struct region *region,
                                                        const struct memtable_node *newest,
                                                        const struct memtable_node *node)
{
    const uint64_t from = node_from(node);
    const struct memtable_node *newer = NULL;
    const struct memtable_node *at = newest;
    while (at != NULL && node_from(at) > from) {
        const struct memtable_node *to;
        newer = at;
        at = node_jumps_above(region, at, from, &to) ? to : node_older(region, at);
    }
    return newer;
}

static inline struct row node_row(const struct memtable_node *node, uint64_t first_version)
{
    const struct bytes key = node_key(node);
    struct row row = {
        .key = key,
        .value = bytes_of(key.data + key.length, node->lengths >> NODE_KEY_BITS),
        .from = first_version + node_from(node),
        .time_us = node->time_us,
        .kind = (uint8_t)(node->stamp >> NODE_KIND_SHIFT & NODE_KIND_MAX),
    };
    if ((node->stamp & NODE_EXPIRES) != 0)
        memcpy(&row.expires_us, key.data - sizeof(row.expires_us), sizeof(row.expires_us));
    return row;
}

#endif
