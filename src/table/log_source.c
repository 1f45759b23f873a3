#include "table/log_source.h"

#include "core/memory.h"
#include "format/catalog.h"

#include <assert.h>
#include <stdlib.h>

static int log_order(const void *a, const void *b)
{
    const struct commit_stretch *first = *(const struct commit_stretch *const *)a;
    const struct commit_stretch *second = *(const struct commit_stretch *const *)b;
    if (first->branch != second->branch)
        return first->branch < second->branch ? -1 : 1;
    return (first->version > second->version) - (first->version < second->version);
}

/* To the next commit. */
static void log_source_pass(struct log_source *self)
{
    self->commit++;
    if (self->commit == commit_stretch_count(self->order[self->position])) {
        self->commit = 0;
        self->position++;
    }
}

/* Packs commits from there on into the next row. */
static strata_status log_source_pack(struct log_source *self)
{
    self->source.valid = false;
    buffer_truncate(&self->value, 0);
    if (self->position == self->count)
        return STRATA_OK;
    const struct memtable_commit first =
        commit_stretch_at(self->order[self->position], self->commit);
    struct commit_packer packer = {.started = false};
    size_t packed = 0;
    while (self->position < self->count && packed < LOG_COMMITS_PER_ROW &&
           self->value.length < LOG_ROW_BYTES) {
        const struct commit_stretch *stretch = self->order[self->position];
        if (stretch->branch != first.branch)
            break;
        const struct memtable_commit commit = commit_stretch_at(stretch, self->commit);
        TRY(commit_pack(&packer, &self->value,
                        &(struct packed_commit){.version = commit.version,
                                                .time_us = commit.time_us,
                                                .rows = commit.rows,
                                                .message = commit.message}));
        log_source_pass(self);
        packed++;
    }
    key_prefix_store(self->key, first.branch, SYSTEM_LOG);
    store_ordered_u64(self->key + KEY_PREFIX_SIZE, first.version);
    self->source.row = (struct row){.key = bytes_of(self->key, sizeof(self->key)),
                                    .value = buffer_view(&self->value),
                                    .from = first.version,
                                    .time_us = first.time_us,
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
    self->commit = 0;
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
    source->count = memtable->commits.stretch_count;
    if (source->count == 0)
        return STRATA_OK;
    source->order = allocate(allocator, source->count * sizeof(*source->order));
    if (source->order == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to sort %zu stretches of commits",
                       source->count);
    commit_index_list(&memtable->commits, source->order);
    /* Listed as they have to be where all are of one branch. */
    bool sorted = true;
    for (size_t i = 1; i < source->count; i++)
        sorted = sorted && source->order[i]->branch == source->order[0]->branch;
    if (!sorted)
        qsort(source->order, source->count, sizeof(*source->order), log_order);
    return STRATA_OK;
}
