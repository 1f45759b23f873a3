/* Keys of a memtable on their way into its tree.
 *
 * Going down the tree waits for memory at every level. So a new key goes down one level with each new
 * key after it: what it comes to is fetched in the meantime. Until it arrives, the hash table has it
 * for gets, and who reads in order adds the few that are on their way to what the tree has.
 *
 * One thread writes. A reader takes the names first and reads the tree then: a name that is gone, or has
 * made room for another, tells with acquire order that the tree has its key. Readers in order say that
 * there are some, and for a while keys go straight to the tree. */
#ifndef STRATA_TABLE_MEMTABLE_WAY_H
#define STRATA_TABLE_MEMTABLE_WAY_H

#include "table/memtable_tree.h"

/* Does not move. */
struct memtable_way {
    _Atomic uint32_t names[TREE_KEYS_AHEAD]; /* Of first versions; 0: none. */
    _Atomic bool walked_flag;
    _Atomic bool *walked; /* That flag, for readers: one of them met a key that was on its way. */
    /* The writer's. */
    unsigned next;     /* Whose turn it is to arrive. */
    unsigned straight; /* So many new keys do not go this way. */
    bool advanced;     /* For the next new key already. */
    struct memtable_place places[TREE_KEYS_AHEAD];
};

void memtable_way_init(struct memtable_way *way);

/* Takes all keys on, ahead of the next new key: for a writer that waits for other memory. Once for
 * each new key, however often it is called. */
void memtable_way_advance(struct memtable_way *way, struct memtable_tree *tree);

/* Puts the new key of a first version on its way, and takes the others on. Reserved before, as are
 * those on their way. */
void memtable_way_put(struct memtable_way *way, struct memtable_tree *tree, uint32_t name);

/* All keys arrive. */
void memtable_way_finish(struct memtable_way *way, struct memtable_tree *tree);

/* Names of those that the tree may not have yet: how many. Any thread. */
unsigned memtable_way_look(const struct memtable_way *way, uint32_t names[TREE_KEYS_AHEAD]);

#endif
