/* The oracle: what a database must hold, in the simplest form that can hold it. Rows lie in one
 * array in commit order; branches in another, with parent and fork version. Everything else is found
 * by walking them. Shares no code with the library.
 *
 * Commits are begun, written and then acknowledged or cancelled; a view is cut at any version. Names
 * of branches may come again, so branches are meant by number; 0 is "main". */
#ifndef STRATA_TESTS_MODEL_H
#define STRATA_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef STRATA_EXPERIMENTAL
#define STRATA_EXPERIMENTAL
#endif

#include "strata.h"

enum { MODEL_NAME_SIZE = 64, MODEL_NO_BRANCH = -1 };

struct model_row {
    int branch;
    const char *space;
    strata_bytes key;
    uint64_t version;
    int64_t time_us;
    strata_bytes value;
    uint32_t flags; /* STRATA_ROW_ */
    int64_t expires_us;
    bool swept; /* A tombstone that came with the deletion of the whole space. */
};

struct model_branch {
    int parent;            /* MODEL_NO_BRANCH for one without. */
    uint64_t fork_version; /* Commits of the parent up to it are inherited. */
    uint64_t created;      /* The version of its creation; 0 for main. */
    uint64_t dropped;      /* The version of its deletion, or 0. */
};

/* The live rows that one branch shows at one version, by space and key. */
struct model_view {
    size_t count;
    const struct model_row *const *rows;
};

struct model;

struct model *model_create(void);
void model_destroy(struct model *model);

/* ---- commits --------------------------------------------------------------------------------- */

/* Begins the next commit; everything up to the next begin belongs to it. */
uint64_t model_begin(struct model *model, int64_t time_us);

/* The commit begun last did not happen: its writes are forgotten. */
void model_cancel(struct model *model);

/* A later write to the same key replaces an earlier one of the same commit. */
void model_put(struct model *model, int branch, const char *space, strata_bytes key,
               strata_bytes value, int64_t expires_us);

/* Writes nothing, and returns false, where the key is absent. */
bool model_delete(struct model *model, int branch, const char *space, strata_bytes key);
bool model_delete_space(struct model *model, int branch, const char *space);
int64_t model_increment(struct model *model, int branch, const char *space, strata_bytes key,
                        int64_t delta);

/* `parent` MODEL_NO_BRANCH makes an empty one. Returns its number. */
int model_fork(struct model *model, int parent, uint64_t fork_version, const char *name);
void model_drop(struct model *model, int branch);
void model_rename(struct model *model, int branch, const char *name);

/* The version begun last, 0 before the first. */
uint64_t model_version(const struct model *model);
int64_t model_time(const struct model *model, uint64_t version);

/* ---- what must be there ---------------------------------------------------------------------- */

int model_branch_count(const struct model *model); /* Dropped ones too. */
const struct model_branch *model_branch_at(const struct model *model, int branch);

/* Its name at `version`, or NULL if it did not exist then. Until the next fork or rename. */
const char *model_branch_name(const struct model *model, int branch, uint64_t version);
int model_branch_find(const struct model *model, const char *name, uint64_t version);

/* The last commit on the branch itself at or before `version`; its fork version without one. */
uint64_t model_branch_head(const struct model *model, int branch, uint64_t version);

/* Kept until model_destroy or model_cancel. Expired rows are among them. */
const struct model_view *model_view(struct model *model, int branch, uint64_t version);

/* The row of one key, a tombstone too, or NULL. */
const struct model_row *model_find(const struct model *model, int branch, const char *space,
                                   strata_bytes key, uint64_t version);

/* Every version of the key that the branch sees at `version`, newest first. Returns how many; only
 * `capacity` are written. */
size_t model_history(const struct model *model, int branch, const char *space, strata_bytes key,
                     uint64_t version, const struct model_row **out, size_t capacity);

#endif
