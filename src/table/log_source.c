#include "table/log_source.h"

#include "core/memory.h"
#include "format/catalog.h"

#include <assert.h>
#include <stdlib.h>

static int log_order(const void *a, const void *b)
{
    const struct memtable_commit *first = *(const struct memtable_commit *const *)a;
    const struct memtable_commit *second = *(const struct memtable_commit *const *)b;
    if (first->branch != second->branch)
        return first->branch < second->branch ? -1 : 1;
    return (first->version > second->version) - (first->version < second->version);
}

/* Packs commits from `position` on into the next row. */
static strata_status log_source_pack(struct log_source *self)
{
    self->source.valid = false;
    buffer_truncate(&self->value, 0);
    if (self->position == self->count)
        return STRATA_OK;
    const struct memtable_commit *first = self->order[self->position];
    struct commit_packer packer = {.started = false};
    size_t packed = 0;
    while (self->position < self->count && packed < LOG_COMMITS_PER_ROW &&
           self->value.length < LOG_ROW_BYTES) {
        const struct memtable_commit *commit = self->order[self->position];
        if (commit->branch != first->branch)
            break;
        TRY(commit_pack(&packer, &self->value,
                        &(struct packed_commit){.version = commit->version,
                                                .time_us = commit->time_us,
                                                .rows = commit->rows,
                                                .message = commit->message}));
        self->position++;
        packed++;
    }
    key_prefix_store(self->key, first->branch, SYSTEM_LOG);
    store_ordered_u64(self->key + KEY_PREFIX_SIZE, first->version);
    self->source.row = (struct row){.key = bytes_of(self->key, sizeof(self->key)),
                                    .value = buffer_view(&self->value),
                                    .from = first->version,
                                    .time_us = first->time_us,
                                    .kind = ROW_PUT};
    self->source.valid = true;
    return STRATA_OK;
}

static strata_status log_source_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct log_source *self = (struct log_source *)source;
    assert(key.length == 0);
    (void)key, (void)from;
    self->position = 0;
    return log_source_pack(self);
}

static strata_status log_source_seek_before(struct source *source, struct bytes key)
{
    (void)source, (void)key;
    return failure(STRATA_INVALID, "the commits of a memtable are read forward only");
}

static strata_status log_source_next(struct source *source)
{
    assert(source->valid);
    return log_source_pack((struct log_source *)source);
}

static strata_status log_source_previous(struct source *source)
{
    return log_source_seek_before(source, (struct bytes){0});
}

static void log_source_release(struct source *source)
{
    struct log_source *self = (struct log_source *)source;
    if (self->order != NULL)
        release(self->allocator, self->order, self->count * sizeof(*self->order));
    self->order = NULL;
    buffer_release(&self->value);
    source->valid = false;
}

strata_status log_source_init(struct log_source *source, const struct memtable *memtable,
                              const strata_allocator *allocator)
{
    static const struct source_class log_source_class = {
        .seek = log_source_seek,
        .seek_before = log_source_seek_before,
        .next = log_source_next,
        .previous = log_source_previous,
        .release = log_source_release,
    };
    *source = (struct log_source){.source = {.class = &log_source_class}, .allocator = allocator};
    buffer_init(&source->value, allocator);
    const struct memtable_commits *block;
    for (block = atomic_load(&memtable->commits); block != NULL; block = block->older)
        source->count += atomic_load(&block->count);
    if (source->count == 0)
        return STRATA_OK;
    source->order = allocate(allocator, source->count * sizeof(*source->order));
    if (source->order == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to sort %zu commits", source->count);
    /* Newest first, filled in from the end: in order of version. That is all there is to do where all
     * commits are of one branch. */
    size_t left = source->count;
    bool sorted = true;
    for (block = atomic_load(&memtable->commits); block != NULL; block = block->older) {
        for (uint32_t i = atomic_load(&block->count); i > 0; i--) {
            source->order[--left] = &block->entries[i - 1];
            sorted =
                sorted && block->entries[i - 1].branch == source->order[source->count - 1]->branch;
        }
    }
    assert(left == 0);
    if (!sorted)
        qsort(source->order, source->count, sizeof(*source->order), log_order);
    return STRATA_OK;
}
