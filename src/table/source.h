/* Where rows come from, one after another in row order: memtables, runs, and whatever else has rows,
 * are read through this alone. */
#ifndef STRATA_TABLE_SOURCE_H
#define STRATA_TABLE_SOURCE_H

#include "core/status.h"
#include "format/row.h"

struct source;

struct source_class {
    /* To the first row at or after (key, from) in row order. */
    strata_status (*seek)(struct source *source, struct bytes key, uint64_t from);
    /* To the last row before every row of `key`. */
    strata_status (*seek_before)(struct source *source, struct bytes key);
    /* From a valid position to the row after, or before. */
    strata_status (*next)(struct source *source);
    strata_status (*previous)(struct source *source);
    /* On its way to the newest row with `from` <= cap of the first key, at or after `key`, that has
     * one: to that row, or to one above the cap before it, which leaves the rest to the next call. So
     * no call takes long, however many rows are not seen. This and the next are NULL in sources that
     * scans never see. */
    strata_status (*seek_visible)(struct source *source, struct bytes key, uint64_t cap);
    /* Goes a step of that seek, if that asks for memory which the next step has to wait for, so that
     * many sources wait together; returns whether there is another. The seek itself follows before
     * any other move, or the release. NULL: no such steps. */
    bool (*look_ahead)(struct source *source, struct bytes key, uint64_t cap);
    /* The same as seek_visible, of the first key behind the one whose row it stands on; from a row
     * above the cap it goes on behind that row alone, and always moves. */
    strata_status (*next_visible)(struct source *source, uint64_t cap);
    /* Lets go of what it holds. Fine at any time, also twice. */
    void (*release)(struct source *source);
};

/* First member of every source. After a failure `valid` is false. */
struct source {
    const struct source_class *class;
    bool valid;     /* Whether it stands on a row. */
    struct row row; /* That row; its bytes live until the source moves or is released. */
};

STRATA_CHECKED static inline strata_status source_seek(struct source *source, struct bytes key,
                                                       uint64_t from)
{
    return source->class->seek(source, key, from);
}

STRATA_CHECKED static inline strata_status source_seek_before(struct source *source,
                                                              struct bytes key)
{
    return source->class->seek_before(source, key);
}

STRATA_CHECKED static inline strata_status source_next(struct source *source)
{
    return source->class->next(source);
}

STRATA_CHECKED static inline strata_status source_previous(struct source *source)
{
    return source->class->previous(source);
}

STRATA_CHECKED static inline strata_status source_seek_visible(struct source *source,
                                                               struct bytes key, uint64_t cap)
{
    return source->class->seek_visible(source, key, cap);
}

static inline bool source_look_ahead(struct source *source, struct bytes key, uint64_t cap)
{
    return source->class->look_ahead(source, key, cap);
}

STRATA_CHECKED static inline strata_status source_next_visible(struct source *source, uint64_t cap)
{
    return source->class->next_visible(source, cap);
}

/* The two above made of the others, for classes that have nothing quicker. `allocator` is for copies
 * of long keys. */
STRATA_CHECKED strata_status source_seek_visible_by_rows(struct source *source, struct bytes key,
                                                         uint64_t cap);
STRATA_CHECKED strata_status source_next_visible_by_rows(struct source *source,
                                                         const strata_allocator *allocator,
                                                         uint64_t cap);

static inline void source_release(struct source *source)
{
    if (source->class != NULL)
        source->class->release(source);
}

#endif
