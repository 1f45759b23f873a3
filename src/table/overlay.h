/* Rows of one storage space that were collected from elsewhere, in memory: at most one of each key, in
 * key order, with a hash of the keys. Immutable, one block of memory. */
#ifndef STRATA_TABLE_OVERLAY_H
#define STRATA_TABLE_OVERLAY_H

#include "core/buffer.h"
#include "table/source.h"

enum { OVERLAY_ROWS_MAX = (1 << 20) - 2 };

struct overlay {
    const strata_allocator *allocator;
    size_t size;     /* Of the block. */
    uint64_t branch; /* The one in its keys, wherever the rows are from. */
    uint32_t space;
    uint32_t row_count;
    uint32_t slot_count; /* A power of two. */
    struct row *rows;    /* Their keys are storage keys. */
    uint32_t *slots;     /* 12 bits of hash and the number of a row, from 1; 0: empty. */
};

/* Takes rows up. */
struct overlay_builder {
    struct buffer rows;  /* struct row of each, whose key and value are places in `bytes`. */
    struct buffer bytes; /* Keys and values. */
};

void overlay_builder_init(struct overlay_builder *builder, const strata_allocator *allocator);
void overlay_builder_release(struct overlay_builder *builder);

/* Forgets all rows and keeps the memory. */
void overlay_builder_clear(struct overlay_builder *builder);

static inline uint32_t overlay_builder_count(const struct overlay_builder *builder)
{
    return (uint32_t)(builder->rows.length / sizeof(struct row));
}

/* Bytes that an overlay of these rows comes to. */
size_t overlay_builder_size(const struct overlay_builder *builder);

/* Copies the row, whose key is a user key, greater than all before. Fewer than OVERLAY_ROWS_MAX. */
STRATA_CHECKED strata_status overlay_builder_add(struct overlay_builder *builder,
                                                 const struct row *row);
STRATA_CHECKED strata_status overlay_build(const struct overlay_builder *builder, uint64_t branch,
                                           uint32_t space, struct overlay **out);

/* NULL is fine. */
void overlay_destroy(struct overlay *overlay);

/* What overlay_find takes as the hash of a key. */
uint64_t overlay_hash(struct bytes user_key);

/* The row of a user key, or NULL. Lives as long as the overlay. */
const struct row *overlay_find(const struct overlay *overlay, struct bytes user_key, uint64_t hash);

/* A source over all rows, each of them visible whatever the cap. */
struct overlay_source {
    struct source source;
    const struct overlay *overlay;
    uint32_t index;
};

void overlay_source_init(struct overlay_source *source, const struct overlay *overlay);

#endif
