#include "table/memtable_tree.h"

#include "core/lock.h"
#include "core/prefetch.h"
#include "table/memtable_node.h"

#include <assert.h>

enum {
    TREE_PREFIX_SIZE_MAX = TREE_PREFIX_WORDS * TREE_WORD_SIZE,
    TREE_LINE_SIZE = 64,
    TREE_SPINS = 100 /* Before the writer gets the processor. */
};
static_assert(TREE_NODE_KEYS >= 8 && TREE_NODE_KEYS < UINT8_MAX, "counts fit their field");

struct tree_node {
    _Atomic uint32_t sequence;
    _Atomic uint32_t next;
    _Atomic uint8_t count;
    _Atomic uint8_t skip;
    uint8_t level; /* Constant. */
    _Atomic size_t prefix[TREE_PREFIX_WORDS];
    _Atomic size_t heads[TREE_NODE_KEYS];
    _Atomic uint32_t names[TREE_NODE_KEYS];
    _Atomic uint32_t below[]; /* TREE_NODE_KEYS + 1 in inner nodes, none in leaves. */
};

enum {
    TREE_LEAF_SIZE = (sizeof(struct tree_node) + 7) / 8 * 8,
    TREE_INNER_SIZE =
        (sizeof(struct tree_node) + (TREE_NODE_KEYS + 1) * sizeof(uint32_t) + 7) / 8 * 8
};

/* ---- fields of nodes ----
 *
 * Loads acquire and stores release, so that the sequence, loaded after them or stored before them,
 * needs no fence; and so that whoever has a name may look at what it names. */

static inline uint32_t load_name(const _Atomic uint32_t *name)
{
    return atomic_load_explicit(name, memory_order_acquire);
}

static inline void store_name(_Atomic uint32_t *name, uint32_t value)
{
    atomic_store_explicit(name, value, memory_order_release);
}

static inline size_t load_word(const _Atomic size_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void store_word(_Atomic size_t *word, size_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline unsigned node_count(const struct tree_node *node)
{
    return atomic_load_explicit(&node->count, memory_order_acquire);
}

static inline void node_set_count(struct tree_node *node, unsigned count)
{
    assert(count <= TREE_NODE_KEYS);
    atomic_store_explicit(&node->count, (uint8_t)count, memory_order_release);
}

static inline unsigned node_skip(const struct tree_node *node)
{
    return atomic_load_explicit(&node->skip, memory_order_acquire);
}

static inline void node_set_skip(struct tree_node *node, unsigned skip)
{
    assert(skip <= TREE_PREFIX_SIZE_MAX);
    atomic_store_explicit(&node->skip, (uint8_t)skip, memory_order_release);
}

static inline struct tree_node *tree_at(const struct memtable_tree *tree, uint32_t name)
{
    return region_at(tree->nodes, name);
}

static inline struct bytes tree_key(const struct memtable_tree *tree, uint32_t name)
{
    return node_key(node_at(tree->region, name));
}

/* ---- words of keys ---- */

static inline size_t word_of(const uint8_t *from)
{
    return TREE_WORD_SIZE == 8 ? (size_t)load_ordered_u64(from) : (size_t)load_ordered_u32(from);
}

/* The word at `offset`, zeros where the key has ended. */
static inline size_t key_word(struct bytes key, size_t offset)
{
    if (key.length >= offset + TREE_WORD_SIZE)
        return word_of(key.data + offset);
    uint8_t padded[TREE_WORD_SIZE] = {0};
    if (key.length > offset)
        memcpy(padded, key.data + offset, key.length - offset);
    return word_of(padded);
}

/* A word of which the first `size` bytes count, more than 0. */
static inline size_t word_begin(size_t word, unsigned size)
{
    return size >= TREE_WORD_SIZE ? word : word & ~(SIZE_MAX >> (8 * size));
}

static struct tree_probe probe_of(struct bytes key)
{
    struct tree_probe probe = {.key = key};
    for (unsigned i = 0; i < TREE_PREFIX_WORDS; i++)
        probe.words[i] = key_word(key, i * TREE_WORD_SIZE);
    return probe;
}

static unsigned shared_length(struct bytes a, struct bytes b, unsigned limit)
{
    unsigned length = 0;
    while (length < limit && length < a.length && length < b.length &&
           a.data[length] == b.data[length])
        length++;
    return length;
}

/* ---- reading ---- */

/* The sequence of a node that is not being changed. */
static uint32_t node_enter(const struct tree_node *node)
{
    unsigned spins = 0;
    for (;;) {
        const uint32_t sequence = load_name(&node->sequence);
        if ((sequence & 1) == 0)
            return sequence;
        if (++spins % TREE_SPINS == 0)
            thread_yield();
    }
}

/* Whether all that was read since node_enter is of one state. */
static inline bool node_stayed(const struct tree_node *node, uint32_t sequence)
{
    return atomic_load_explicit(&node->sequence, memory_order_relaxed) == sequence;
}

/* How the probe compares with the bytes that all keys of the node share: 0 if it shares them. */
static inline int node_compare_prefix(const struct tree_node *node, const struct tree_probe *probe,
                                      unsigned skip)
{
    unsigned left = skip;
    for (unsigned i = 0; left > 0; i++) {
        const unsigned size = left < TREE_WORD_SIZE ? left : TREE_WORD_SIZE;
        const size_t mine = word_begin(probe->words[i], size);
        const size_t theirs = load_word(&node->prefix[i]);
        if (mine != theirs)
            return mine < theirs ? -1 : 1;
        left -= size;
    }
    /* A key that ends within them comes before all. */
    return probe->key.length < skip ? -1 : 0;
}

/* The number of heads below `head`. */
static inline unsigned node_heads_below(const struct tree_node *node, unsigned count, size_t head)
{
    unsigned base = 0;
    while (count > 1) {
        const unsigned half = count / 2;
        base += load_word(&node->heads[base + half - 1]) < head ? half : 0;
        count -= half;
    }
    return base + (count == 1 && load_word(&node->heads[base]) < head);
}

/* Among the keys [low, count) whose head is that of the probe: the first at or after it. */
static unsigned node_search_equal(const struct memtable_tree *tree, const struct tree_node *node,
                                  unsigned low, unsigned count, const struct tree_probe *probe,
                                  size_t head, bool *equal)
{
    unsigned high = low + 1;
    while (high < count && load_word(&node->heads[high]) == head)
        high++;
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        const int order =
            bytes_compare(tree_key(tree, load_name(&node->names[middle])), probe->key);
        if (order == 0) {
            *equal = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The number of keys before the probe; whether the next one equals it. */
static inline unsigned node_search(const struct memtable_tree *tree, const struct tree_node *node,
                                   const struct tree_probe *probe, bool *equal)
{
    const unsigned count = node_count(node);
    const unsigned skip = node_skip(node);
    *equal = false;
    if (count == 0)
        return 0;
    const int order = node_compare_prefix(node, probe, skip);
    if (order != 0)
        return order < 0 ? 0 : count;
    const size_t head = key_word(probe->key, skip);
    const unsigned low = node_heads_below(node, count, head);
    if (low == count || load_word(&node->heads[low]) != head)
        return low;
    return node_search_equal(tree, node, low, count, probe, head, equal);
}

/* What a search of the node at `level` may touch: in inner nodes not the names, which only ties need,
 * but the children. */
static inline void node_prefetch(const struct tree_node *node, unsigned level)
{
    const uint8_t *bytes = (const uint8_t *)node;
    for (size_t at = 0; at < offsetof(struct tree_node, names); at += TREE_LINE_SIZE)
        prefetch(bytes + at);
    const size_t first =
        level > 0 ? offsetof(struct tree_node, below) : offsetof(struct tree_node, names);
    const size_t end = level > 0 ? TREE_INNER_SIZE : TREE_LEAF_SIZE;
    for (size_t at = first; at < end; at += TREE_LINE_SIZE)
        prefetch(bytes + at);
    prefetch(bytes + end - 1);
}

/* From the root to the leaf that the probe belongs to, or, if `before`, to the one that the last key
 * before it is in. */
static const struct tree_node *tree_descend(const struct memtable_tree *tree,
                                            const struct tree_probe *probe, bool before,
                                            uint32_t *sequence)
{
restart:;
    const uint32_t root = load_name(&tree->root);
    const struct tree_node *node = tree_at(tree, root);
    *sequence = node_enter(node);
    if (load_name(&tree->root) != root)
        goto restart;
    while (node->level > 0) {
        bool equal;
        unsigned index = node_search(tree, node, probe, &equal);
        index += equal && !before;
        const struct tree_node *child = tree_at(tree, load_name(&node->below[index]));
        node_prefetch(child, node->level - 1u);
        if (!node_stayed(node, *sequence))
            goto restart;
        const uint32_t entered = node_enter(child);
        if (!node_stayed(node, *sequence))
            goto restart;
        node = child;
        *sequence = entered;
    }
    return node;
}

uint32_t memtable_tree_find(const struct memtable_tree *tree, struct bytes key)
{
    const struct tree_probe probe = probe_of(key);
    for (;;) {
        uint32_t sequence;
        bool equal;
        const struct tree_node *leaf = tree_descend(tree, &probe, false, &sequence);
        const unsigned index = node_search(tree, leaf, &probe, &equal);
        const uint32_t name = equal ? load_name(&leaf->names[index]) : 0;
        if (node_stayed(leaf, sequence))
            return name;
    }
}

static void page_copy(struct memtable_page *page, const struct tree_node *leaf)
{
    const unsigned count = node_count(leaf);
    page->next = load_name(&leaf->next);
    page->count = count;
    for (unsigned i = 0; i < count; i++)
        page->names[i] = load_name(&leaf->names[i]);
}

/* What moving on from this page will touch. */
static void page_prefetch_next(const struct memtable_tree *tree, const struct memtable_page *page)
{
    if (page->next == 0)
        return;
    const struct tree_node *next = tree_at(tree, page->next);
    prefetch(next);
    prefetch(&next->names[0]);
    prefetch(&next->names[TREE_LINE_SIZE / sizeof(uint32_t)]);
}

bool memtable_tree_seek(const struct memtable_tree *tree, struct bytes key,
                        struct memtable_page *page)
{
    const struct tree_probe probe = probe_of(key);
    for (;;) {
        uint32_t sequence;
        bool equal;
        const struct tree_node *leaf = tree_descend(tree, &probe, false, &sequence);
        page->index = node_search(tree, leaf, &probe, &equal);
        page_copy(page, leaf);
        if (node_stayed(leaf, sequence)) {
            page_prefetch_next(tree, page);
            return equal;
        }
    }
}

bool memtable_tree_seek_before(const struct memtable_tree *tree, struct bytes key,
                               struct memtable_page *page)
{
    const struct tree_probe probe = probe_of(key);
    for (;;) {
        uint32_t sequence;
        bool equal;
        const struct tree_node *leaf = tree_descend(tree, &probe, true, &sequence);
        const unsigned index = node_search(tree, leaf, &probe, &equal);
        page_copy(page, leaf);
        if (!node_stayed(leaf, sequence))
            continue;
        /* Only the first leaf can have nothing before the key: the key that every other node
         * was split at is in it, or right below it, and before. */
        page->index = index > 0 ? index - 1 : page->count;
        return index > 0;
    }
}

uint32_t memtable_tree_peek(const struct memtable_tree *tree, uint32_t next, uint32_t index)
{
    if (next == 0)
        return 0;
    const struct tree_node *leaf = tree_at(tree, next);
    return index < node_count(leaf) ? load_name(&leaf->names[index]) : 0;
}

bool memtable_tree_next_page(const struct memtable_tree *tree, struct memtable_page *page)
{
    while (page->next != 0) {
        const struct tree_node *leaf = tree_at(tree, page->next);
        uint32_t sequence;
        do {
            sequence = node_enter(leaf);
            page_copy(page, leaf);
        } while (!node_stayed(leaf, sequence));
        page->index = 0;
        page_prefetch_next(tree, page);
        if (page->count > 0)
            return true;
    }
    return false;
}

/* ---- writing ---- */

static void node_open(struct tree_node *node)
{
    const uint32_t sequence = atomic_load_explicit(&node->sequence, memory_order_relaxed);
    assert(sequence % 2 == 0);
    atomic_store_explicit(&node->sequence, sequence + 1, memory_order_relaxed);
}

static void node_close(struct tree_node *node)
{
    const uint32_t sequence = atomic_load_explicit(&node->sequence, memory_order_relaxed);
    assert(sequence % 2 == 1);
    atomic_store_explicit(&node->sequence, sequence + 1, memory_order_release);
}

/* An empty node that nobody sees yet. */
static struct tree_node *node_create(struct memtable_tree *tree, unsigned level, uint32_t *name)
{
    const size_t size = level > 0 ? TREE_INNER_SIZE : TREE_LEAF_SIZE;
    struct tree_node *node = region_take(tree->nodes, size, name);
    if (node == NULL)
        return NULL;
    memset(node, 0, size);
    node->level = (uint8_t)level;
    if (level > 0)
        tree->inner_count++;
    else
        tree->leaf_count++;
    return node;
}

bool memtable_tree_init(struct memtable_tree *tree, const struct region *region,
                        struct region *nodes)
{
    *tree = (struct memtable_tree){.region = region, .nodes = nodes};
    uint32_t root;
    if (node_create(tree, 0, &root) == NULL)
        return false;
    atomic_init(&tree->root, root);
    return true;
}

/* Every leaf that there is may be full and split once, and once more if the last key filled it. After
 * that it takes half of a leaf's keys until a leaf is full again, and then it may be split twice: at
 * its end and in the middle. So it is on every level above, for the splits of the one below. */
size_t memtable_tree_reserve(const struct memtable_tree *tree, size_t rows)
{
    const size_t half = TREE_NODE_KEYS / 2 - 1;
    size_t leaves = 2 * ((size_t)tree->leaf_count + rows / half + 1);
    if (leaves > rows)
        leaves = rows;
    size_t inner = 2 * (size_t)tree->inner_count + leaves / 4 + 2 * (tree->height + (size_t)8);
    if (leaves * (tree->height + (size_t)1) < inner)
        inner = leaves * (tree->height + (size_t)1);
    return leaves * TREE_LEAF_SIZE + inner * TREE_INNER_SIZE;
}

static void node_set_prefix(struct tree_node *node, struct bytes key, unsigned skip)
{
    assert(skip <= key.length);
    for (unsigned i = 0; i < TREE_PREFIX_WORDS; i++) {
        const unsigned at = i * TREE_WORD_SIZE;
        store_word(&node->prefix[i], at < skip ? word_begin(key_word(key, at), skip - at) : 0);
    }
    node_set_skip(node, skip);
}

/* Makes all heads anew, behind the first `skip` bytes, which all keys share. */
static void node_take_heads(const struct memtable_tree *tree, struct tree_node *node, unsigned skip)
{
    const unsigned count = node_count(node);
    for (unsigned i = 0; i < count; i++)
        prefetch(node_at(tree->region, load_name(&node->names[i])));
    for (unsigned i = 0; i < count; i++)
        store_word(&node->heads[i], key_word(tree_key(tree, load_name(&node->names[i])), skip));
    if (count > 0)
        node_set_prefix(node, tree_key(tree, load_name(&node->names[0])), skip);
}

/* Makes sure that the prefix of the node is one of the probe's too. */
static void node_admit(const struct memtable_tree *tree, struct tree_node *node,
                       const struct tree_probe *probe)
{
    const unsigned skip = node_skip(node);
    if (node_count(node) == 0) {
        const size_t length = probe->key.length;
        node_set_prefix(node, probe->key,
                        length < TREE_PREFIX_SIZE_MAX ? (unsigned)length : TREE_PREFIX_SIZE_MAX);
    } else if (node_compare_prefix(node, probe, skip) != 0) {
        const struct bytes other = tree_key(tree, load_name(&node->names[0]));
        node_take_heads(tree, node, shared_length(probe->key, other, skip));
    }
}

/* When half of every head is the same, heads from further back tell more. */
static void node_tighten(const struct memtable_tree *tree, struct tree_node *node)
{
    const unsigned count = node_count(node);
    const unsigned skip = node_skip(node);
    if (count < 2 || skip == TREE_PREFIX_SIZE_MAX)
        return;
    const size_t differ = load_word(&node->heads[0]) ^ load_word(&node->heads[count - 1]);
    if (differ >> (4 * TREE_WORD_SIZE) != 0)
        return;
    const struct bytes first = tree_key(tree, load_name(&node->names[0]));
    const struct bytes last = tree_key(tree, load_name(&node->names[count - 1]));
    const unsigned shared = shared_length(first, last, TREE_PREFIX_SIZE_MAX);
    assert(shared >= skip);
    if (shared > skip)
        node_take_heads(tree, node, shared);
}

/* Adds a key to an open node with room, and, to an inner one, the child that begins with it. */
static void node_put(const struct memtable_tree *tree, struct tree_node *node, unsigned index,
                     const struct tree_probe *probe, uint32_t name, uint32_t below)
{
    const unsigned count = node_count(node);
    assert(index <= count && count < TREE_NODE_KEYS);
    node_admit(tree, node, probe);
    for (unsigned i = count; i > index; i--) {
        store_word(&node->heads[i], load_word(&node->heads[i - 1]));
        store_name(&node->names[i], load_name(&node->names[i - 1]));
    }
    store_word(&node->heads[index], key_word(probe->key, node_skip(node)));
    store_name(&node->names[index], name);
    if (node->level > 0) {
        for (unsigned i = count + 1; i > index + 1; i--)
            store_name(&node->below[i], load_name(&node->below[i - 1]));
        store_name(&node->below[index + 1], below);
    }
    node_set_count(node, count + 1);
}

/* Copies the keys from `first` on to an empty node, which nobody sees yet. */
static void node_move(const struct memtable_tree *tree, struct tree_node *from, unsigned first,
                      struct tree_node *to)
{
    const unsigned count = node_count(from);
    assert(first <= count && node_count(to) == 0);
    for (unsigned i = first; i < count; i++) {
        store_word(&to->heads[i - first], load_word(&from->heads[i]));
        store_name(&to->names[i - first], load_name(&from->names[i]));
    }
    for (unsigned i = 0; i < TREE_PREFIX_WORDS; i++)
        store_word(&to->prefix[i], load_word(&from->prefix[i]));
    node_set_skip(to, node_skip(from));
    node_set_count(to, count - first);
    node_tighten(tree, to);
}

void memtable_tree_begin(const struct memtable_tree *tree, struct bytes key,
                         struct memtable_place *place)
{
    struct tree_node *root = tree_at(tree, atomic_load_explicit(&tree->root, memory_order_relaxed));
    assert(root->level == tree->height && tree->height < TREE_HEIGHT_MAX);
    place->probe = probe_of(key);
    place->split_count = tree->split_count;
    place->level = tree->height;
    place->nodes[place->level] = root;
}

static void place_descend(const struct memtable_tree *tree, struct memtable_place *place)
{
    assert(place->level > 0);
    bool equal;
    const struct tree_node *node = place->nodes[place->level];
    const unsigned index = node_search(tree, node, &place->probe, &equal) + equal;
    struct tree_node *child = tree_at(tree, load_name(&node->below[index]));
    place->index[place->level] = (uint8_t)index;
    place->level--;
    place->nodes[place->level] = child;
    node_prefetch(child, place->level);
}

void memtable_tree_step(const struct memtable_tree *tree, struct memtable_place *place)
{
    if (place->level > 0 && place->split_count == tree->split_count)
        place_descend(tree, place);
}

uint32_t memtable_tree_arrive(const struct memtable_tree *tree, struct memtable_place *place)
{
    bool equal;
    if (place->split_count != tree->split_count)
        memtable_tree_begin(tree, place->probe.key, place);
    while (place->level > 0)
        place_descend(tree, place);
    place->index[0] = (uint8_t)node_search(tree, place->nodes[0], &place->probe, &equal);
    return equal ? load_name(&place->nodes[0]->names[place->index[0]]) : 0;
}

/* Splits a full, open leaf; returns the new right one. The key goes to `*target`. */
static uint32_t leaf_split(struct memtable_tree *tree, struct tree_node *leaf, unsigned *index,
                           bool append, struct tree_node **target)
{
    uint32_t name;
    struct tree_node *right = node_create(tree, 0, &name);
    assert(right != NULL);
    /* Keys that come in order leave full leaves behind. */
    const unsigned kept = append ? TREE_NODE_KEYS : TREE_NODE_KEYS / 2;
    if (!append)
        node_move(tree, leaf, kept, right);
    store_name(&right->next, load_name(&leaf->next));
    store_name(&leaf->next, name);
    node_set_count(leaf, kept);
    node_tighten(tree, leaf);
    *target = append || *index > kept ? right : leaf;
    *index -= *target == right ? kept : 0;
    return name;
}

/* Splits a full, open inner node. The key between the two goes up and is returned. */
static uint32_t inner_split(struct memtable_tree *tree, struct tree_node *node, unsigned *index,
                            bool append, struct tree_node **target, uint32_t *right_name)
{
    struct tree_node *right = node_create(tree, node->level, right_name);
    assert(right != NULL);
    const unsigned kept = append ? TREE_NODE_KEYS - 1 : TREE_NODE_KEYS / 2;
    const uint32_t between = load_name(&node->names[kept]);
    for (unsigned i = kept + 1; i <= TREE_NODE_KEYS; i++)
        store_name(&right->below[i - kept - 1], load_name(&node->below[i]));
    node_move(tree, node, kept + 1, right);
    node_set_count(node, kept);
    node_tighten(tree, node);
    *target = *index > kept ? right : node;
    *index -= *target == right ? kept + 1 : 0;
    return between;
}

/* A root above the old one, which was split and is still open. */
static void tree_grow(struct memtable_tree *tree, uint32_t between, uint32_t right)
{
    uint32_t name;
    struct tree_node *root = node_create(tree, tree->height + 1, &name);
    assert(root != NULL);
    store_name(&root->below[0], atomic_load_explicit(&tree->root, memory_order_relaxed));
    const struct tree_probe probe = probe_of(tree_key(tree, between));
    node_put(tree, root, 0, &probe, between, right);
    tree->height++;
    assert(tree->height < TREE_HEIGHT_MAX);
    store_name(&tree->root, name);
}

/* Puts the key, and what splits bring about, into the nodes of the place. They stay open until all are
 * done: whoever came through a parent before its change waits at the child, then finds the parent
 * changed. */
static void tree_insert_split(struct memtable_tree *tree, struct memtable_place *place,
                              uint32_t name, bool append)
{
    unsigned level = 0;
    struct tree_node *target;
    tree->split_count++;
    node_open(place->nodes[0]);
    unsigned leaf_index = place->index[0];
    uint32_t right = leaf_split(tree, place->nodes[0], &leaf_index, append, &target);
    node_put(tree, target, leaf_index, &place->probe, name, 0);
    tree->last_leaf = target;
    tree->last_index = leaf_index;
    uint32_t between = load_name(&tree_at(tree, right)->names[0]);
    for (;;) {
        if (level == tree->height) {
            tree_grow(tree, between, right);
            break;
        }
        level++;
        struct tree_node *node = place->nodes[level];
        const struct tree_probe separator = probe_of(tree_key(tree, between));
        const uint32_t below = right;
        const uint32_t key = between;
        unsigned index = place->index[level];
        const bool full = node_count(node) == TREE_NODE_KEYS;
        node_open(node);
        target = node;
        if (full)
            between =
                inner_split(tree, node, &index, append && index == TREE_NODE_KEYS, &target, &right);
        node_put(tree, target, index, &separator, key, below);
        if (!full)
            break;
    }
    for (unsigned i = level + 1; i > 0; i--)
        node_close(place->nodes[i - 1]);
}

void memtable_tree_insert(struct memtable_tree *tree, struct memtable_place *place, uint32_t name)
{
    struct tree_node *leaf = place->nodes[0];
    const unsigned index = place->index[0];
    assert(place->level == 0 && place->split_count == tree->split_count);
    if (node_count(leaf) == TREE_NODE_KEYS) {
        const bool append =
            index == TREE_NODE_KEYS && tree->last_leaf == leaf && tree->last_index == index - 1;
        tree_insert_split(tree, place, name, append);
        return;
    }
    node_open(leaf);
    node_put(tree, leaf, index, &place->probe, name, 0);
    node_close(leaf);
    tree->last_leaf = leaf;
    tree->last_index = index;
}
