#include "lifecycle/store.h"

#include <assert.h>

/* ---- what flush and merge share ---- */

static void job_drop_inputs(struct job *job)
{
    for (uint32_t i = 0; i < job->input_count; i++)
        run_drop(job->inputs[i]);
    job->input_count = 0;
    if (job->memtable != NULL)
        memtable_drop(job->memtable);
    job->memtable = NULL;
}

static void job_discard_objects(struct store *store, const struct job *job)
{
    /* What a publication of unknown outcome lists may be what the next open finds. */
    if (atomic_load(&store->committer.halted))
        return;
    struct garbage_item *item = rewrite_objects(&job->rewrite);
    if (item == NULL)
        atomic_store(&store->untidy, true);
    garbage_add(&store->garbage, item);
}

void store_end_job(struct store *store, struct job *job, bool abandoned)
{
    if (abandoned && job->running)
        job_discard_objects(store, job);
    rewrite_release(&job->rewrite);
    job_drop_inputs(job);
    run_warm_release(&job->warm);
    job->running = false;
}

void store_warm_begin(struct store *store, struct job *job, struct run *run)
{
    if (run != NULL && !atomic_load(&store->pressed))
        run_warm_begin(&job->warm, run);
}

/* What cannot be read here, a reader or a check will report. */
void store_warm_step(struct store *store, struct job *job)
{
    bool done;
    const strata_status status = run_warm_step(&job->warm, store->profile.step_charge, &done);
    if (status != STRATA_OK || done)
        run_warm_release(&job->warm);
}

static strata_status job_output(struct store *store, const struct job *job,
                                const struct run_output *output, uint8_t tier, struct run **out)
{
    *out = NULL;
    if (output->part_count == 0)
        return STRATA_OK;
    const struct manifest_run info = {.id = atomic_fetch_add(&store->next_run, 1),
                                      .role = (uint8_t)output->role,
                                      .tier = tier,
                                      .min_version = job->min_version,
                                      .max_version = job->max_version,
                                      .part_count = output->part_count,
                                      .parts = output->parts};
    return run_create(&store->part_store, &store->garbage, &info, out);
}

strata_status store_job_outputs(struct store *store, struct job *job, struct run *out[2])
{
    TRY(job_output(store, job, &job->rewrite.live, job->live_tier, &out[0]));
    const strata_status status =
        job_output(store, job, &job->rewrite.history, job->history_tier, &out[1]);
    if (status != STRATA_OK)
        run_drop(out[0]);
    return status;
}

/* The value objects whose rows were dropped, as garbage to be; NULL if there are none. */
static strata_status job_values(struct store *store, const struct job *job,
                                struct garbage_item **out)
{
    const struct buffer *dropped = &job->rewrite.dropped_values;
    *out = NULL;
    if (dropped->length == 0)
        return STRATA_OK;
    const uint32_t count = (uint32_t)(dropped->length / sizeof(uint64_t));
    *out = garbage_item_create(store->memory_allocator, count);
    if (*out == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to list %u values", count);
    for (; (*out)->count < count; (*out)->count++)
        (*out)->numbers[(*out)->count] = load_u64(dropped->data + (*out)->count * sizeof(uint64_t));
    return STRATA_OK;
}

strata_status store_job_publish(struct store *store, struct job *job, struct run *outputs[2])
{
    struct run *added[2];
    struct store_change change = {.removed = job->inputs,
                                  .removed_count = job->input_count,
                                  .added = added,
                                  .memtable = job->memtable};
    for (unsigned i = 0; i < 2; i++) {
        if (outputs[i] != NULL)
            added[change.added_count++] = outputs[i];
    }
    if (job->memtable != NULL)
        change.flushed_time_us = job->memtable->commits.stretch_count == 0
                                     ? store->flushed_time_us
                                     : job->memtable->last_time_us;
    TRY(job_values(store, job, &change.values));
    const strata_status status = store_publish(store, &change);
    if (status != STRATA_OK)
        garbage_item_free(store->memory_allocator, change.values);
    return status;
}

/* ---- flush ---- */

bool store_flush_due(struct store *store, struct epoch_slot *slot)
{
    epoch_enter(&store->epochs, slot);
    const bool due = atomic_load(&store->tables.current)->memtable_count > 1;
    epoch_leave(slot);
    return due && !store->read_only;
}

static strata_status flush_begin(struct store *store, struct job *job, struct epoch_slot *slot)
{
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    if (set->memtable_count > 1) {
        job->memtable = set->memtables[set->memtable_count - 1];
        memtable_acquire(job->memtable);
    }
    epoch_leave(slot);
    if (job->memtable == NULL)
        return STRATA_OK;
    job->min_version = job->memtable->first_version - 1;
    job->max_version = atomic_load(&job->memtable->last_version);
    job->live_tier = 0;
    job->history_tier = 0;
    job->running = true;
    return rewrite_open(
        &job->rewrite, store->memory_allocator,
        &(struct rewrite_options){.output = &store->output, .memtable = job->memtable});
}

static strata_status flush_finish(struct store *store, struct job *job)
{
    struct run *outputs[2];
    TRY(store_job_outputs(store, job, outputs));
    const strata_status status = store_job_publish(store, job, outputs);
    if (status == STRATA_OK) {
        atomic_fetch_add(&store->counters.flushes, 1);
        for (unsigned i = 0; i < 2; i++)
            atomic_fetch_add(&store->counters.flush_bytes,
                             outputs[i] == NULL ? 0 : outputs[i]->bytes);
        store_end_job(store, job, false);
        store_warm_begin(store, job, outputs[0]);
    }
    run_drop(outputs[0]);
    run_drop(outputs[1]);
    return status;
}

strata_status store_flush_step(struct store *store, struct job *job, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    bool done = false;
    if (!job->running && job->warm.run != NULL) {
        if (!store_flush_due(store, slot)) {
            store_warm_step(store, job);
            return STRATA_OK;
        }
        run_warm_release(&job->warm); /* Writers are more urgent. */
    }
    if (!job->running)
        status = flush_begin(store, job, slot);
    else
        status = rewrite_step(&job->rewrite, store->profile.step_charge, &done);
    if (status == STRATA_OK && done)
        status = flush_finish(store, job);
    if (status != STRATA_OK)
        store_end_job(store, job, true);
    return status;
}
