#include "table/run.h"

#include "core/memory.h"
#include "layout/key.h"

#include <assert.h>

static struct garbage_item *run_remains(const strata_allocator *allocator,
                                        const struct manifest_run *info)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < info->part_count; i++)
        count += 1 + info->parts[i].artifact_count;
    struct garbage_item *item = garbage_item_create(allocator, count);
    if (item == NULL)
        return NULL;
    for (uint32_t i = 0; i < info->part_count; i++) {
        const struct manifest_part *part = &info->parts[i];
        item->numbers[item->count++] = part->number;
        for (uint32_t j = 0; j < part->artifact_count; j++)
            item->numbers[item->count++] = part->artifacts[j].number;
    }
    assert(item->count == count);
    return item;
}

static void run_destroy(struct run *run)
{
    const strata_allocator *allocator = run->store->allocator;
    for (uint32_t i = 0; i < run->part_count; i++)
        part_drop(run->parts[i]);
    if (atomic_load(&run->obsolete)) {
        garbage_drop(run->garbage, run->remains);
        atomic_fetch_sub(&run->garbage->obsolete_runs, 1);
    } else {
        garbage_item_free(allocator, run->remains);
    }
    release(allocator, run, sizeof(*run) + run->part_count * sizeof(struct part *));
}

/* Bounds of the whole, from those of the parts. */
static void run_sum_up(struct run *run)
{
    run->min_from = UINT64_MAX;
    for (uint32_t i = 0; i < run->part_count; i++) {
        const struct manifest_part *info = &run->parts[i]->info;
        run->min_from = info->min_from < run->min_from ? info->min_from : run->min_from;
        run->max_to = info->max_to > run->max_to ? info->max_to : run->max_to;
        run->bytes += info->units * info->unit_size;
        run->rows += info->rows;
        run->logical_bytes += info->bytes;
    }
}

strata_status run_create(struct part_store *store, struct garbage *garbage,
                         const struct manifest_run *info, struct run **out)
{
    assert(info->part_count > 0);

    const strata_allocator *allocator = store->allocator;
    const size_t size = sizeof(struct run) + info->part_count * sizeof(struct part *);
    struct run *run = allocate_zeroed(allocator, size);
    if (run == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a run of %u parts", info->part_count);
    run->store = store;
    run->garbage = garbage;
    run->id = info->id;
    run->role = info->role;
    run->tier = info->tier;
    run->min_version = info->min_version;
    run->max_version = info->max_version;
    run->parts = (struct part **)(run + 1);
    atomic_init(&run->references, 1);
    run->remains = run_remains(allocator, info);
    if (run->remains == NULL) {
        release(allocator, run, size);
        return failure(STRATA_NO_MEMORY, "no memory for a run of %u parts", info->part_count);
    }
    for (uint32_t i = 0; i < info->part_count; i++) {
        const strata_status status = part_create(store, &info->parts[i], &run->parts[i]);
        if (status != STRATA_OK) {
            for (uint32_t j = 0; j < i; j++)
                part_drop(run->parts[j]);
            garbage_item_free(allocator, run->remains);
            release(allocator, run, size);
            return status;
        }
    }
    run->part_count = info->part_count;
    run_sum_up(run);
    *out = run;
    return STRATA_OK;
}

void run_acquire(struct run *run)
{
    const uint32_t before = atomic_fetch_add(&run->references, 1);
    assert(before > 0);
    (void)before;
}

void run_drop(struct run *run)
{
    if (run == NULL)
        return;
    const uint32_t before = atomic_fetch_sub(&run->references, 1);
    assert(before > 0);
    if (before == 1)
        run_destroy(run);
}

void run_retire(struct run *run)
{
    assert(!atomic_load(&run->obsolete));
    atomic_fetch_add(&run->garbage->obsolete_runs, 1);
    garbage_hold(run->garbage, run->remains);
    atomic_store(&run->obsolete, true);
}

strata_status run_describe(const struct run *run, struct arena *arena, struct manifest_run *out)
{
    struct manifest_part *parts = arena_take(arena, run->part_count * sizeof(*parts));
    if (parts == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to describe a run");
    for (uint32_t i = 0; i < run->part_count; i++)
        parts[i] = run->parts[i]->info;
    *out = (struct manifest_run){.id = run->id,
                                 .role = run->role,
                                 .tier = run->tier,
                                 .min_version = run->min_version,
                                 .max_version = run->max_version,
                                 .part_count = run->part_count,
                                 .parts = parts};
    return STRATA_OK;
}

/* The last part whose first row is at or before (key, from); the first part if none is. */
static uint32_t run_part_of(const struct run *run, struct bytes key, uint64_t from)
{
    uint32_t low = 0;
    uint32_t high = run->part_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        const struct manifest_part *info = &run->parts[middle]->info;
        if (row_order(info->first_key, info->first_from, key, from) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void run_probe_begin(struct run_probe *probe, struct run *run, struct bytes key, uint64_t hash)
{
    probe->run = run;
    probe->index = run_part_of(run, key, UINT64_MAX);
    part_probe_begin(&probe->part, run->parts[probe->index], hash);
}

strata_status run_find_probed(const struct run_probe *probe, struct bytes key, uint64_t hash,
                              uint64_t cap, struct found_row *out, bool *newer)
{
    const struct run *run = probe->run;
    struct part_probe part = probe->part;
    out->found = false;
    for (uint32_t i = probe->index;;) {
        /* Versions of one key may go on in the parts that follow. */
        if (bytes_compare(part.part->info.first_key, key) > 0)
            return STRATA_OK;
        if (part.part->info.min_from > cap)
            *newer = true;
        else
            TRY(part_find_probed(&part, key, hash, cap, out, newer));
        if (out->found || ++i == run->part_count)
            return STRATA_OK;
        part_probe_begin(&part, run->parts[i], hash);
    }
}

strata_status run_find(struct run *run, struct bytes key, uint64_t hash, uint64_t cap,
                       struct found_row *out, bool *newer)
{
    struct run_probe probe;
    run_probe_begin(&probe, run, key, hash);
    return run_find_probed(&probe, key, hash, cap, out, newer);
}

static void run_source_use(struct run_source *self, uint32_t index)
{
    assert(index < self->run->part_count);
    if (self->initialized && self->index == index)
        return;
    if (self->initialized)
        part_source_release(&self->part);
    const struct source_class *class = self->source.class;
    part_source_init(&self->part, self->run->parts[index], false);
    self->source.class = class;
    self->initialized = true;
    self->index = index;
}

static strata_status run_source_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct run_source *self = (struct run_source *)source;
    source->valid = false;
    run_source_use(self, run_part_of(self->run, key, from));
    TRY(part_source_seek(&self->part, key, from));
    while (!source->valid && self->index + 1 < self->run->part_count) {
        run_source_use(self, self->index + 1);
        TRY(part_source_seek(&self->part, key, from));
    }
    return STRATA_OK;
}

static strata_status run_source_seek_before(struct source *source, struct bytes key)
{
    struct run_source *self = (struct run_source *)source;
    source->valid = false;
    run_source_use(self, run_part_of(self->run, key, UINT64_MAX));
    TRY(part_source_seek_before(&self->part, key));
    while (!source->valid && self->index > 0) {
        run_source_use(self, self->index - 1);
        TRY(part_source_seek_before(&self->part, key));
    }
    return STRATA_OK;
}

static strata_status run_source_next(struct source *source)
{
    struct run_source *self = (struct run_source *)source;
    assert(source->valid);
    TRY(part_source_next(&self->part));
    if (!source->valid && self->index + 1 < self->run->part_count) {
        run_source_use(self, self->index + 1);
        TRY(part_source_seek(&self->part, (struct bytes){0}, UINT64_MAX));
    }
    return STRATA_OK;
}

static strata_status run_source_previous(struct source *source)
{
    struct run_source *self = (struct run_source *)source;
    assert(source->valid);
    TRY(part_source_previous(&self->part));
    while (!source->valid && self->index > 0) {
        static const uint8_t highest[KEY_PREFIX_SIZE] = {255, 255, 255, 255, 255, 255,
                                                         255, 255, 255, 255, 255, 255};
        run_source_use(self, self->index - 1);
        TRY(part_source_seek_before(&self->part, bytes_of(highest, sizeof(highest))));
    }
    return STRATA_OK;
}

static bool run_source_look_ahead(struct source *source, struct bytes key, uint64_t cap)
{
    struct run_source *self = (struct run_source *)source;
    if (!self->initialized)
        run_source_use(self, run_part_of(self->run, key, cap));
    return part_source_look_ahead(&self->part, key, cap);
}

static strata_status run_source_next_visible(struct source *source, uint64_t cap)
{
    struct run_source *self = (struct run_source *)source;
    assert(source->valid);
    if (part_source_step(&self->part, cap))
        return STRATA_OK;
    return source_next_visible_by_rows(source, self->run->store->allocator, cap);
}

static void run_source_release(struct source *source)
{
    struct run_source *self = (struct run_source *)source;
    if (self->initialized)
        part_source_release(&self->part);
    self->initialized = false;
    source->valid = false;
}

void run_source_init(struct run_source *source, struct run *run)
{
    static const struct source_class run_source_class = {
        .seek = run_source_seek,
        .seek_before = run_source_seek_before,
        .next = run_source_next,
        .previous = run_source_previous,
        .seek_visible = source_seek_visible_by_rows,
        .look_ahead = run_source_look_ahead,
        .next_visible = run_source_next_visible,
        .release = run_source_release,
    };
    source->source = (struct source){.class = &run_source_class};
    source->run = run;
    source->index = 0;
    source->initialized = false;
}
