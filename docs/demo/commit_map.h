/* Which commit of git is which version of which branch, as a file: one line per commit,
 * "id<TAB>branch<TAB>version", in the order of loading. */
#ifndef STRATA_DEMO_COMMIT_MAP_H
#define STRATA_DEMO_COMMIT_MAP_H

#include "git_graph.h"

#include <stdbool.h>

/* Both complain themselves. */
bool commit_map_write(const char *path, const struct git_graph *graph);

/* Sets the versions and branches of `graph`, of which every commit must be there. */
bool commit_map_read(const char *path, struct git_graph *graph);

#endif
