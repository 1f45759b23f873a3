/* A directory for one test, gone with all that is in it when the test ends. Needs nftw and mkdtemp:
 * define _XOPEN_SOURCE 700 before the first include. */
#ifndef STRATA_TESTS_BACKEND_SCRATCH_H
#define STRATA_TESTS_BACKEND_SCRATCH_H

#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCRATCH_PATH_SIZE = 512 };

struct scratch {
    char folder[SCRATCH_PATH_SIZE / 2];
    char root[SCRATCH_PATH_SIZE]; /* In `folder`; does not exist yet. */
};

static inline void scratch_init(struct scratch *scratch)
{
    const char *parent = getenv("TMPDIR");
    snprintf(scratch->folder, sizeof(scratch->folder), "%s/strata-test-XXXXXX",
             parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(scratch->folder));
    snprintf(scratch->root, sizeof(scratch->root), "%s/db", scratch->folder);
}

/* The path of `name` below the root. */
static inline const char *scratch_path(const struct scratch *scratch, const char *name,
                                       char out[2 * SCRATCH_PATH_SIZE])
{
    snprintf(out, (size_t)2 * SCRATCH_PATH_SIZE, "%s/%s", scratch->root, name);
    return out;
}

static inline int scratch_remove_one(const char *path, const struct stat *attributes, int type,
                                     struct FTW *place)
{
    (void)attributes, (void)type, (void)place;
    return remove(path);
}

static inline void scratch_release(struct scratch *scratch)
{
    assert_int_equal(nftw(scratch->folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
