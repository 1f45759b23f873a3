/* What every decoder must bear: changed bytes, missing ends, and bytes that someone else wrote and
 * sealed. Blocks have their exact size, so that the address sanitizer sees a read past the end. */
#ifndef STRATA_TESTS_FORMAT_HOSTILE_H
#define STRATA_TESTS_FORMAT_HOSTILE_H

#include "core/bytes.h"
#include "core/random.h"

/* Whether a decoder takes these bytes. */
typedef bool (*accepts_function)(void *context, struct bytes bytes);

/* Changes each byte in turn, in three ways. None of the results may be taken; the whole is. */
void assert_changes_are_refused(struct bytes whole, accepts_function accepts, void *context);

/* Cuts the end off, at every length. None of the results may be taken. */
void assert_cuts_are_refused(struct bytes whole, accepts_function accepts, void *context);

/* Gives `decode` `count` copies, each with a few bytes changed and, at times, its end cut off. It may
 * change them further, to seal them. */
void run_mutations(struct bytes whole, uint64_t seed, unsigned count,
                   void (*decode)(void *context, uint8_t *data, size_t length), void *context);

/* A number whose number of bits is evenly spread. */
uint64_t random_of_any_width(struct random *random);

#endif
