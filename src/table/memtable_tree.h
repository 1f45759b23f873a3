/* The keys of a memtable in order: a B+tree of names of first versions (memtable_node.h).
 *
 * In a node lies, for each of its keys, the name and a head: the word of the key that follows the
 * bytes which all keys of the node share, so that most searches compare numbers and touch no key. The
 * first TREE_PREFIX_WORDS words of shared bytes at most are left out of the heads and lie in the node once.
 *
 *     node   u32 sequence   odd while the node is being changed
 *            u32 next       leaf: its right neighbour, 0 at the end
 *            u8  count      of keys
 *            u8  skip       bytes that all keys share and heads leave out
 *            u8  level      0: leaf
 *            words          those bytes, zeros behind them
 *            words          heads, ascending
 *            u32 names      keys; in inner nodes the first keys of the children but the first
 *            u32 below      inner nodes only: count + 1 children
 *
 * A word is a size_t whose numeric order is the order of its bytes in a key, zeros where a key ends.
 * Equal heads leave the order open; then keys are compared.
 *
 * One thread inserts; any number read meanwhile. A reader goes by the sequence of each node: what it
 * read counts if the number was even before and is the same after. Source: Boehm, "Can seqlocks get
 * along with programming language memory models?", 2012. A split holds every node that it changes
 * until the highest is changed, and a reader looks at the parent once more after it came to the child,
 * so nobody misses a key on the way down (optimistic lock coupling; Leis et al., "The ART of
 * practical synchronization", 2016). Nodes and keys are never removed, and a split moves keys to the
 * right only. */
#ifndef STRATA_TABLE_MEMTABLE_TREE_H
#define STRATA_TABLE_MEMTABLE_TREE_H

#include "core/bytes.h"
#include "core/region.h"

enum {
    TREE_NODE_KEYS = 48,
    TREE_HEIGHT_MAX = 16,
    TREE_WORD_SIZE = sizeof(size_t),
    TREE_PREFIX_WORDS = 40 / TREE_WORD_SIZE
};

struct tree_node; /* Private. */

/* Lies in `region`, as do the keys. Does not move. */
struct memtable_tree {
    struct region *region;
    _Atomic uint32_t root;
    /* The writer's. */
    uint32_t height; /* Levels above the leaves. */
    uint32_t leaf_count;
    uint32_t inner_count;
    const struct tree_node *last_leaf; /* Where the last key went; NULL before the first. */
    uint32_t last_index;
};

/* The keys that a leaf had at one moment, and a position among them; `index` is `count` when the
 * position is behind all of them. */
struct memtable_page {
    uint32_t next;
    uint32_t count;
    uint32_t index;
    uint32_t names[TREE_NODE_KEYS];
};

/* Takes the first leaf; false when out of memory. */
bool memtable_tree_init(struct memtable_tree *tree, struct region *region);

/* At least the bytes of the region that the next `rows` inserts take. */
size_t memtable_tree_reserve(const struct memtable_tree *tree, size_t rows);

/* A key that is looked for, with its first bytes as words. */
struct tree_probe {
    struct bytes key;
    size_t words[TREE_PREFIX_WORDS];
};

/* Where a key is or belongs, until the next insert: the nodes on the way, by level. The writer's. */
struct memtable_place {
    struct tree_probe probe;
    struct tree_node *nodes[TREE_HEIGHT_MAX];
    unsigned index[TREE_HEIGHT_MAX]; /* Of the child; in the leaf, of the key. */
};

/* Goes to the leaf of `key`, which it borrows, and fetches it. */
void memtable_tree_approach(struct memtable_tree *tree, struct bytes key,
                            struct memtable_place *place);

/* The name of the key, or 0. Completes the place. */
uint32_t memtable_tree_arrive(struct memtable_tree *tree, struct memtable_place *place);

/* Inserts the key, which is not there; its node is complete. Reserved before. */
void memtable_tree_insert(struct memtable_tree *tree, struct memtable_place *place, uint32_t name);

/* The name of `key`, or 0. */
uint32_t memtable_tree_find(const struct memtable_tree *tree, struct bytes key);

/* To the first key at or after `key`, which may be on a later page, or nowhere. Whether it is on this
 * one and equals `key`. */
bool memtable_tree_seek(const struct memtable_tree *tree, struct bytes key,
                        struct memtable_page *page);

/* To the last key before `key`; false if there is none. */
bool memtable_tree_seek_before(const struct memtable_tree *tree, struct bytes key,
                               struct memtable_page *page);

/* To the first key of the next leaf that has one; false if there is none. */
bool memtable_tree_next_page(const struct memtable_tree *tree, struct memtable_page *page);

#endif
