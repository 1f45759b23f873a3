/* What the branches of the database are called, given git's names.
 *
 *     refs/heads/topic      topic
 *     refs/tags/v1          refs/tags/v1
 *     refs/heads/a@b        a%40b: what a branch name may not hold, and '%', by percent and two digits
 *     a line without a ref  x- and the first digits of its first commit
 *
 * Different refs get different names: a head that would look like one of the other kinds has its
 * '/' or '-' escaped, and one too long ends in a part of its own SHA-1. */
#ifndef STRATA_DEMO_BRANCH_NAME_H
#define STRATA_DEMO_BRANCH_NAME_H

#include "sha1.h"

enum { BRANCH_NAME_SIZE = 256, BRANCH_LINE_DIGITS = 12 };

/* Writes at most 255 bytes and a NUL. */
void branch_name_of_ref(const char *ref, char out[BRANCH_NAME_SIZE]);

/* "x-" and the first `digits`, at most 40, of the commit. */
void branch_name_of_line(const uint8_t first_commit[SHA1_SIZE], unsigned digits,
                         char out[BRANCH_NAME_SIZE]);

#endif
