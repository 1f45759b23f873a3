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
    TREE_KEYS_AHEAD = 4, /* That a page has room for beside those of a leaf. */
    TREE_HEIGHT_MAX = 16,
    TREE_WORD_SIZE = sizeof(size_t),
    TREE_PREFIX_WORDS = 40 / TREE_WORD_SIZE
};

struct tree_node; /* Private. */

/* Does not move. */
struct memtable_tree {
    const struct region *region; /* Where the keys are. */
    struct region *nodes;        /* Where its nodes are: the same, or one of their own. */
    _Atomic uint32_t root;
    /* The writer's. */
    uint32_t height; /* Levels above the leaves. */
    uint32_t leaf_count;
    uint32_t inner_count;
    uint32_t split_count;              /* Places of before a split may lead to the wrong node. */
    const struct tree_node *last_leaf; /* Where the last key went; NULL before the first. */
    uint32_t last_index;
};

/* The keys that a leaf had at one moment, and a position among them; `index` is `count` when the
 * position is behind all of them. */
struct memtable_page {
    uint32_t next;
    uint32_t count;
    uint32_t index;
    uint32_t names[TREE_NODE_KEYS + TREE_KEYS_AHEAD];
};

/* Takes the first leaf; false when out of memory. */
bool memtable_tree_init(struct memtable_tree *tree, const struct region *region,
                        struct region *nodes);

/* At least the bytes of nodes that the next `rows` inserts take. */
size_t memtable_tree_reserve(const struct memtable_tree *tree, size_t rows);

/* A key that is looked for, with its first bytes as words. */
struct tree_probe {
    struct bytes key;
    size_t words[TREE_PREFIX_WORDS];
};

/* Where a key is or belongs: the nodes on the way there, by level, as far down as it has come. The
 * writer's. */
struct memtable_place {
    struct tree_probe probe;
    uint32_t split_count; /* Of the tree, when the way began. */
    unsigned level;       /* Of the last node. */
    struct tree_node *nodes[TREE_HEIGHT_MAX];
    uint8_t index[TREE_HEIGHT_MAX]; /* Of the child; in the leaf, of the key. */
};

/* Starts at the root for `key`, which it borrows. */
void memtable_tree_begin(const struct memtable_tree *tree, struct bytes key,
                         struct memtable_place *place);

/* Goes down one level, if it is not in vain, and fetches the node there. Between two steps of a key
 * there may be other inserts. */
void memtable_tree_step(const struct memtable_tree *tree, struct memtable_place *place);

/* The name of the key, or 0. Completes the place, until the next insert. */
uint32_t memtable_tree_arrive(const struct memtable_tree *tree, struct memtable_place *place);

/* Inserts the key, which is not there; its place is complete. Reserved before. */
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

/* The name at `index` in the leaf `next` of a page, 0 if there is none; as it is just now, for fetching. */
uint32_t memtable_tree_peek(const struct memtable_tree *tree, uint32_t next, uint32_t index);

/* To the first key of the next leaf that has one; false if there is none. */
bool memtable_tree_next_page(const struct memtable_tree *tree, struct memtable_page *page);

#endif
