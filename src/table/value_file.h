/* Writing and reading long values in objects of their own. Bytes: format/value_object.h. */
#ifndef STRATA_TABLE_VALUE_FILE_H
#define STRATA_TABLE_VALUE_FILE_H

#include "backend/backend.h"
#include "format/place.h"
#include "format/row.h"

struct value_writer {
    const strata_allocator *allocator;
    struct identity identity;
    struct object object;
    uint64_t number;
    uint64_t size;  /* Of the value so far. */
    uint8_t *block; /* VALUE_BLOCK_SIZE bytes. */
    uint32_t used;
};

/* Makes the object `tables/<number>`. */
STRATA_CHECKED strata_status value_writer_open(struct value_writer *writer,
                                               const strata_backend *backend,
                                               const strata_allocator *allocator,
                                               const struct identity *identity, uint64_t number);
STRATA_CHECKED strata_status value_writer_append(struct value_writer *writer, struct bytes piece);

/* Writes the last block; with `sync` the object and its name are durable afterwards. There is at
 * least one byte. */
STRATA_CHECKED strata_status value_writer_finish(struct value_writer *writer, bool sync,
                                                 struct value_reference *out);

/* Fine on a zeroed struct, and in the middle; the object is garbage then. */
void value_writer_release(struct value_writer *writer);

/* Copies bytes [offset, offset + size) of the value to `to`; they lie inside it. Takes one block of
 * memory for the call. STRATA_CORRUPT names object and offset; a missing object is that too. */
STRATA_CHECKED strata_status value_file_read(const strata_backend *backend,
                                             const strata_allocator *allocator,
                                             const struct identity *identity,
                                             struct value_reference reference, uint64_t offset,
                                             void *to, size_t size);

#endif
