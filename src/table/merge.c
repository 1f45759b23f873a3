#include "table/merge.h"

#include <assert.h>

static void merge_pick(struct merge *merge)
{
    struct source *best = NULL;
    for (uint32_t i = 0; i < merge->count; i++) {
        struct source *source = merge->sources[i];
        if (source->valid && (best == NULL || row_order(source->row.key, source->row.from,
                                                        best->row.key, best->row.from) < 0))
            best = source;
    }
    merge->current = best;
}

strata_status merge_start(struct merge *merge, struct source *const *sources, uint32_t count)
{
    assert(count > 0);
    *merge = (struct merge){.sources = sources, .count = count};
    for (uint32_t i = 0; i < count; i++)
        TRY(source_seek(sources[i], (struct bytes){0}, UINT64_MAX));
    merge_pick(merge);
    return STRATA_OK;
}

strata_status merge_next(struct merge *merge)
{
    assert(merge->current != NULL);
    TRY(source_next(merge->current));
    merge_pick(merge);
    return STRATA_OK;
}
