/* A database that is being filled with the commits of a repository: everything this program asks of
 * libstrata while loading, and what that cost.
 *
 * Between history_begin and history_commit lies one write transaction on one branch. Files are keys
 * of the default space. All functions complain themselves; after a failure only history_close is of
 * use. */
#ifndef STRATA_DEMO_HISTORY_STORE_H
#define STRATA_DEMO_HISTORY_STORE_H

#include "blob_store.h"
#include "file_value.h"
#include "strata.h"

/* The space with one row per commit: its id, and the text of git's commit object. */
#define HISTORY_COMMIT_SPACE "git"

enum { HISTORY_HANDLES_MAX = 64, HISTORY_FORK_SAMPLES = 1000, HISTORY_KEY_SIZE_MAX = 16384 };

/* A transaction handle kept for the next commit on the same branch. */
struct history_handle {
    strata_txn *txn; /* NULL: unused. */
    uint32_t line;
    uint64_t used_at;
};

struct history_totals {
    uint64_t commits;
    uint64_t puts;
    uint64_t deletes;
    uint64_t raw_bytes; /* Keys and values of all rows written. */
    uint64_t forks;
    int64_t library_ns; /* Spent inside calls of the library. */
    double flushes;
    double merges;
    uint32_t first_fork_ns[HISTORY_FORK_SAMPLES];
    uint32_t last_fork_ns[HISTORY_FORK_SAMPLES]; /* In a ring. */
};

/* Paths of files that a newer path has as a folder. */
struct history_conflicts {
    char **paths;
    size_t *sizes;
    size_t count;
    size_t capacity;
};

struct history {
    strata *db;
    strata_space *commit_space;
    strata_txn *txn; /* Of the present commit; one of the handles'. */
    struct history_handle handles[HISTORY_HANDLES_MAX];
    uint64_t use_count;
    int64_t entered_ns;
    struct history_conflicts conflicts;
    struct history_totals totals;
    uint8_t piece[FILE_VALUE_PIECE_SIZE];
    char key[HISTORY_KEY_SIZE_MAX + 1];
};

/* Sets the memory budget from a size with a unit, such as "1MiB". */
bool history_parse_budget(const char *budget, strata_open_options *options);

/* Opens the database in `folder`: a new one, or with `existing` one that is there. `budget` may be NULL,
 * which is the library's default. */
bool history_open_database(const char *folder, const char *budget, bool existing, strata **out);

/* `history` starts all zero. */
bool history_open(struct history *history, const char *folder, const char *budget);

/* Also sets the totals of the metrics. Closes whatever there is; false if that fails. */
bool history_close(struct history *history);

/* A branch that starts as `parent` was at `version`. `taken`, with true, if there is one already. */
bool history_fork(struct history *history, const char *parent, uint64_t version, const char *name,
                  bool *taken);

/* A branch with nothing in it; the one named "main" is there from the start. */
bool history_create(struct history *history, const char *name, bool *taken);

/* `line` stands for the branch, and is the same for every commit on it. */
bool history_begin(struct history *history, uint32_t line, const char *branch);
bool history_put_blob(struct history *history, strata_bytes path, uint32_t mode,
                      struct blob_store *store, struct blob blob);
bool history_put_submodule(struct history *history, strata_bytes path, const char *id);

/* A file, or all files below a folder; or neither. */
bool history_delete(struct history *history, strata_bytes path);
bool history_delete_all(struct history *history);

/* A file or a folder. Of folders neither may lie inside the other. */
bool history_copy(struct history *history, strata_bytes source, strata_bytes target, bool rename);

/* Adds the row of the commit and commits. */
bool history_commit(struct history *history, strata_bytes id, strata_bytes text,
                    uint64_t *version_out);

#endif
