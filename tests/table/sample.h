/* Random sets of rows in row order, and the answers that any store of them must give. */
#ifndef STRATA_TESTS_TABLE_SAMPLE_H
#define STRATA_TESTS_TABLE_SAMPLE_H

#include "core/arena.h"
#include "core/random.h"
#include "format/row.h"

/* How user keys look. */
enum sample_keys {
    SAMPLE_SHORT,   /* Of few different bytes, so that many begin alike. */
    SAMPLE_ORDERED, /* Numbers. */
    SAMPLE_LONG,    /* Up to the longest possible. */
    SAMPLE_ALIKE,   /* Thousands of equal bytes, then a number. */
    SAMPLE_NESTED,  /* Hundreds of equal bytes, then a number. */
    SAMPLE_FORKED   /* Up to sixty equal bytes, then a few random ones. */
};

struct sample_shape {
    uint64_t seed;
    unsigned key_count;
    unsigned versions_max; /* Of one key. */
    size_t value_size_max;
    enum sample_keys keys;
    bool closed; /* Rows have `to`. */
};

/* Invariant: rows[0..count) are in strict row order. */
struct sample {
    struct arena arena;
    struct row *rows;
    size_t count;
};

struct sample sample_create(const struct sample_shape *shape);
void sample_release(struct sample *sample);

/* The first row at or after (key, from); count if there is none. */
size_t sample_lower_bound(const struct sample *sample, struct bytes key, uint64_t from);

/* The newest row of `key` with `from` <= cap, or NULL. */
const struct row *sample_find(const struct sample *sample, struct bytes key, uint64_t cap);

/* A key to look for: mostly of the sample, at times a little beside. Lives as long as the sample. */
struct bytes sample_probe(struct sample *sample, struct random *random);

void assert_rows_equal(const struct row *actual, const struct row *expected);

/* hash64_pair of a storage key. */
uint64_t key_hash(struct bytes key);

#endif
