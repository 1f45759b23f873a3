/* The ways in which a crash image may come back: which pending operations are lost, what is torn,
 * what garbage lies where bytes were lost. All subsets of up to ten pending operations; of more, the
 * systematic ones (none lost, all lost, one lost, one kept, every prefix) and some at random. Where
 * there is a ring, each with every fate of that. The first way is that of a killed process: nothing
 * is lost. */
#ifndef STRATA_TESTS_SURVIVORS_H
#define STRATA_TESTS_SURVIVORS_H

#include "simdisk/simdisk.h"

struct survivors {
    const struct simdisk_image *image;
    uint64_t random;
    uint64_t left;   /* Subsets not yet looked at, in each of their variants. */
    uint64_t next;   /* Index of the next. */
    unsigned budget; /* At most so many are given out. */
    unsigned fates;  /* Of a ring. */
    bool killed;     /* `now` is no power cut: only the process has gone. */
    unsigned char *lost;
    struct sim_survivors now;
};

void survivors_init(struct survivors *survivors, const struct simdisk_image *image, uint64_t seed,
                    unsigned budget);
void survivors_release(struct survivors *survivors);

/* The next way, in `now`; false when there are no more. */
bool survivors_next(struct survivors *survivors);

/* Any one way, drawn from the seed. */
void survivors_draw(struct survivors *survivors);

#endif
