/* A value that comes in pieces. Short ones stay in memory until the end and become an ordinary put;
 * long ones go to an object of their own as they come. */
#ifndef STRATA_ENGINE_KV_KV_WRITER_H
#define STRATA_ENGINE_KV_KV_WRITER_H

#include "engine/kv/kv.h"

struct kv_writer {
    struct kv_context *context; /* NULL: released. */
    struct storage_space *space;
    strata_kv_put_options options;
    struct buffer key;
    struct buffer expected; /* What options.expected_value points to. */
    struct buffer start;    /* The value, while it is short. */
    struct value_writer object;
    bool long_value; /* `object` is open. */
    uint64_t size;
    strata_error fault; /* Of the first append that failed; status 0: none. */
};

/* Copies key and options (NULL: none). */
STRATA_CHECKED strata_status kv_writer_open(struct kv_context *context, struct storage_space *space,
                                            struct bytes key, const strata_kv_put_options *options,
                                            struct kv_writer *out);

/* After a failure the value is dropped and every further call gives that failure again. */
STRATA_CHECKED strata_status kv_writer_append(struct kv_writer *writer, struct bytes piece);

/* Makes the write. The writer is still to be released. */
STRATA_CHECKED strata_status kv_writer_finish(struct kv_writer *writer);

/* Drops what was not finished. Fine at any time, also twice. */
void kv_writer_release(struct kv_writer *writer);

#endif
