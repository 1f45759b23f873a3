#include "table/versions.h"

#include "core/memory.h"

#include <assert.h>

enum { VERSIONS_STEPS = 4 }; /* Before a seek is cheaper. */

void versions_init(struct versions *versions, const strata_allocator *allocator)
{
    *versions = (struct versions){.allocator = allocator};
    buffer_init(&versions->key, allocator);
}

static strata_status versions_reserve(struct versions *versions, uint32_t capacity)
{
    if (capacity <= versions->capacity)
        return STRATA_OK;
    const size_t each = sizeof(*versions->sources);
    struct versions_source *sources = allocate(versions->allocator, capacity * each);
    if (sources == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for the history of a key in %u tables",
                       capacity);
    release(versions->allocator, versions->sources, versions->capacity * each);
    versions->sources = sources;
    versions->capacity = capacity;
    return STRATA_OK;
}

/* Behind all that may have newer rows. */
static void versions_add_run(struct versions *versions, struct run *run)
{
    uint32_t at = versions->count++;
    assert(at < versions->capacity);
    for (; at > 0 && versions->sources[at - 1].newest < run->max_version; at--)
        versions->sources[at] = versions->sources[at - 1];
    versions->sources[at].newest = run->max_version;
    versions->sources[at].placed = false;
    run_source_init(&versions->sources[at].of.run, run);
}

strata_status versions_open(struct versions *versions, const struct tableset *set, struct bytes key)
{
    assert(!versions->open);
    assert(versions->count == 0);
    TRY(buffer_set(&versions->key, key));
    TRY(versions_reserve(versions, tableset_source_count(set)));
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        struct versions_source *self = &versions->sources[versions->count++];
        self->newest = i == 0 ? UINT64_MAX : set->memtables[i - 1]->first_version - 1;
        self->placed = false;
        memtable_source_init(&self->of.memtable, set->memtables[i]);
    }
    for (uint32_t i = 0; i < set->live_count; i++)
        versions_add_run(versions, set->live[i]);
    for (uint32_t i = 0; i < set->history_count; i++)
        versions_add_run(versions, set->history[i]);
    versions->open = true;
    return STRATA_OK;
}

/* Whether it stands on a version of the key. */
static bool versions_stands(const struct versions *versions, const struct versions_source *self)
{
    const struct source *source = &self->of.source;
    return source->valid && bytes_equal(source->row.key, buffer_view(&versions->key));
}

/* To its newest version at or below the cap. */
static strata_status versions_place(const struct versions *versions, struct versions_source *self,
                                    uint64_t cap)
{
    struct source *source = &self->of.source;
    const struct bytes key = buffer_view(&versions->key);
    if (!self->placed)
        TRY(source_seek(source, key, cap));
    self->placed = true;
    unsigned steps = 0;
    while (versions_stands(versions, self) && source->row.from > cap) {
        if (++steps == VERSIONS_STEPS)
            TRY(source_seek(source, key, cap));
        else
            TRY(source_next(source));
    }
    if (!versions_stands(versions, self))
        source_release(source);
    return STRATA_OK;
}

strata_status versions_find(struct versions *versions, uint64_t cap, const struct row **out)
{
    assert(versions->open);
    const struct row *best = NULL;
    for (uint32_t i = versions->first; i < versions->count; i++) {
        struct versions_source *self = &versions->sources[i];
        if (best != NULL && self->newest <= best->from)
            break;
        const struct source *source = &self->of.source;
        if (!self->placed || source->valid)
            TRY(versions_place(versions, self, cap));
        if (!source->valid && i == versions->first)
            versions->first++;
        if (source->valid && (best == NULL || source->row.from > best->from))
            best = &source->row;
    }
    *out = best;
    return STRATA_OK;
}

void versions_close(struct versions *versions)
{
    for (uint32_t i = 0; i < versions->count; i++)
        source_release(&versions->sources[i].of.source);
    versions->first = 0;
    versions->count = 0;
    versions->open = false;
}

void versions_release(struct versions *versions)
{
    if (versions->allocator == NULL)
        return;
    versions_close(versions);
    release(versions->allocator, versions->sources,
            versions->capacity * sizeof(*versions->sources));
    versions->sources = NULL;
    versions->capacity = 0;
    buffer_release(&versions->key);
}
