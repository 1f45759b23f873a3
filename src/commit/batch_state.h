/* A batch against the newest state: has anything that it writes been written since, and what do its
 * increments come to. Both under the commit lock, inside an epoch. */
#ifndef STRATA_COMMIT_BATCH_STATE_H
#define STRATA_COMMIT_BATCH_STATE_H

#include "branch/branches.h"
#include "format/batch.h"

/* The storage key of a batch's row, put together in `key`. */
STRATA_CHECKED strata_status batch_storage_key(uint64_t branch, const struct batch_row *row,
                                               struct buffer *key);

/* Whether a row that `batch` writes has a version above `since`: one of the same key, a deletion of
 * its whole space, or, where the batch deletes a space, any row of that. Blind increments and the
 * system's rows do not count. */
STRATA_CHECKED strata_status batch_changed(const struct tableset *set, struct bytes batch,
                                           uint64_t since, struct buffer *key, bool *out);

/* Turns every increment of the batch in `record`, behind the room for the log's header, into the
 * counter that it leads to from the newest version. STRATA_MISMATCH if there is another kind of
 * value, STRATA_INVALID on overflow. */
STRATA_CHECKED strata_status batch_resolve_increments(const struct tableset *set,
                                                      struct cache *cache,
                                                      const struct branch *branch, uint64_t version,
                                                      int64_t now_us, struct buffer *key,
                                                      struct buffer *record);

#endif
