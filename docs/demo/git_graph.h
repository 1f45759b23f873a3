/* The commits and refs of a repository, cut into lines: each commit belongs to one line, and in a
 * line every commit is the first parent of the next. A line becomes a branch of the database.
 *
 * refs/heads/main is followed down its first parents to the root, then master, then every other ref
 * by name, each as far as nobody was before; what is left, which only merges reach, makes lines
 * without a ref. So a ref's line ends at the ref, and the line of main never starts as a fork.
 *
 * Memory: about 60 bytes per commit. */
#ifndef STRATA_DEMO_GIT_GRAPH_H
#define STRATA_DEMO_GIT_GRAPH_H

#include "branch_name.h"

#include <stdbool.h>

#define GIT_NONE UINT32_MAX

struct git_commit {
    uint8_t id[SHA1_SIZE];
    uint8_t tree[SHA1_SIZE];
    uint32_t parent; /* The first one's index, or GIT_NONE. */
    uint32_t line;
    uint64_t version; /* In the database; 0 until it is there. */
};

struct git_line {
    char *branch;
    uint32_t first; /* Commit. */
};

struct git_ref {
    char *name; /* "refs/heads/main" */
    uint32_t commit;
    uint32_t line; /* That ends at it, or GIT_NONE. */
};

struct git_graph {
    struct git_commit *commits; /* [commit_count], parents before children. */
    uint32_t commit_count;
    uint32_t commit_capacity;
    struct git_line *lines; /* [line_count] */
    uint32_t line_count;
    uint32_t line_capacity;
    struct git_ref *refs; /* [ref_count], by name; those of commits only. */
    uint32_t ref_count;
    uint32_t ref_capacity;
    uint32_t *table; /* [table_size] of commit indexes by id. */
    uint32_t table_size;
};

/* Asks git. Complains itself; `out` is to be released either way. */
bool git_graph_read(const char *repository, struct git_graph *out);
void git_graph_release(struct git_graph *graph);

/* The commit's index, or GIT_NONE. */
uint32_t git_graph_find(const struct git_graph *graph, const uint8_t id[SHA1_SIZE]);

/* The branch of the commit's line. */
const char *git_graph_branch(const struct git_graph *graph, uint32_t commit);

#endif
