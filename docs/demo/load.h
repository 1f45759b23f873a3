/* Loads the export of a repository into a database, commit by commit. */
#ifndef STRATA_DEMO_LOAD_H
#define STRATA_DEMO_LOAD_H

#include "git_graph.h"
#include "history_store.h"

/* Runs git fast-export and fills `history`, which is open; afterwards every commit of `graph` has
 * its version. `git_ns_out` is the time spent waiting for git. Complains itself. */
bool load_history(const char *repository, struct git_graph *graph, struct history *history,
                  int64_t *git_ns_out);

#endif
