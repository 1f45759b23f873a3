/* Table objects by what they are for, a page of one folder at a time: what there is may be more than
 * memory holds. */
#ifndef STRATA_LIFECYCLE_OBJECTS_H
#define STRATA_LIFECYCLE_OBJECTS_H

#include "lifecycle/store.h"

enum { OBJECTS_PER_PAGE = 512 };

/* Of the uses that an object has, the first one here counts. */
enum object_use {
    OBJECT_LIVE = 1, /* Rows of live runs and memtables, and the values that they refer to. */
    OBJECT_HISTORY,
    OBJECT_DERIVED,
    OBJECT_HELD, /* Not listed any more, but somebody may still read it. */
    OBJECT_DEAD
};

/* The lowest numbers in [from, below) that one folder has, in order. */
struct object_page {
    uint64_t from;
    uint64_t below;
    bool more; /* The folder has higher ones. */
    uint32_t count;
    uint32_t known_count;
    uint64_t numbers[OBJECTS_PER_PAGE];
    uint64_t sizes[OBJECTS_PER_PAGE];
    uint8_t uses[OBJECTS_PER_PAGE]; /* enum object_use; 0: not known. */
};

/* Fills `page`, whose `from` and `below` are set, from folder number `folder`; all uses are unknown. */
STRATA_CHECKED strata_status object_page_fill(struct object_page *page, struct store *store,
                                              unsigned folder);

/* Whether the use of some object is not known. */
bool object_page_open(const struct object_page *page);

/* Where `number` is; false: not in the page. */
bool object_page_find(const struct object_page *page, uint64_t number, uint32_t *at_out);

/* Notes what `number` is for, if it is in the page and nothing has been noted of it. */
void object_page_note(struct object_page *page, uint64_t number, enum object_use use);

/* Notes all that `set` needs; reads footers only as long as the page is open. `*damaged` NULL: a part
 * that cannot be read fails; else it is passed over, with the values that it lists, and noted there.
 * Inside an epoch. */
STRATA_CHECKED strata_status object_page_note_set(struct object_page *page,
                                                  const struct tableset *set, bool *damaged);

#endif
