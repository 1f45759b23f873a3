/* Rows for the tests of frames: in row order, of all kinds, from a seed. */
#ifndef STRATA_TESTS_FORMAT_SAMPLES_H
#define STRATA_TESTS_FORMAT_SAMPLES_H

#include "core/arena.h"
#include "core/random.h"
#include "format/row.h"

struct sample {
    struct arena arena;
    struct row *rows;
    unsigned count;
};

/* What a sample is made of. */
struct sample_shape {
    unsigned keys;
    size_t user_key_max;
    size_t value_max;
    bool wide; /* Versions and times over their whole range, not close together. */
};

/* One to three versions of each key; some keys have a common beginning, some rows have `to`, some
 * expire. With a range deletion of one storage space. */
void sample_create(struct sample *sample, const struct sample_shape *shape, uint64_t seed);
void sample_release(struct sample *sample);

/* A row whose user key and value have those sizes. */
struct row sample_row(struct sample *sample, size_t user_key_size, size_t value_size);

#endif
