/* Derived artifacts: bytes that the engine builds from the rows of a part and storage keeps beside
 * it, opaque and checksummed. Never needed: a missing or damaged one is built again.
 *
 * An artifact is an object of the form of a value (format/value_object.h), listed in the manifest
 * with its part. */
#ifndef STRATA_TABLE_ARTIFACT_H
#define STRATA_TABLE_ARTIFACT_H

#include "core/buffer.h"
#include "format/row.h"

/* Builds one kind of artifact. `begin` gives NULL where a part needs none. Rows come in order, all
 * rows of the storage spaces that `wants` accepts; `finish` appends the bytes (none: no artifact) and
 * ends the build, as `cancel` does. One build at a time per part; several parts at once. */
struct artifact_builder {
    uint32_t kind;
    void *context;
    bool (*wants)(void *context, uint32_t storage_space);
    strata_status (*begin)(void *context, const strata_allocator *allocator, void **build_out);
    strata_status (*add)(void *build, const struct row *row);
    strata_status (*finish)(void *build, struct buffer *out);
    void (*cancel)(void *build);
};

#endif
