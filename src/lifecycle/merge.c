/* Choosing what to merge.
 *
 * Live runs have tiers: young (0) from flushes, middle (1) from merges of young ones, base (2), the
 * oldest, of which there is at most one. Too many young ones become a middle one; too many middle
 * ones, or as many bytes above the base as half of it, are merged into the base. History runs that
 * belong to the merged versions are merged beside them, but for the base's, which nothing displaced
 * anew; eight neighbours of one tier become one of the next. */
#include "lifecycle/store.h"

#include <assert.h>

enum { YOUNG_MAX = 3, MIDDLE_MAX = 3, HISTORY_FAN = 8, TIER_MIDDLE = 1, TIER_BASE = 2 };

/* The history runs that hold rows of versions above `min_version`: the newest ones. */
static uint32_t history_above(const struct tableset *set, uint64_t min_version)
{
    uint32_t count = 0;
    while (count < set->history_count && set->history[count]->min_version >= min_version)
        count++;
    return count;
}

/* The newest `live_count` live runs and the history that has to go with them. */
static struct merge_choice choose_live(const struct tableset *set, uint32_t live_count)
{
    assert(live_count > 0 && live_count <= set->live_count);
    const struct run *oldest = set->live[live_count - 1];
    /* A row of the base that is displaced now is displaced by a row above it. */
    const uint64_t above = oldest->tier == TIER_BASE ? oldest->max_version : oldest->min_version;
    return (struct merge_choice){.live_count = live_count,
                                 .history_count = history_above(set, above)};
}

/* Eight neighbours of one tier, oldest first. */
static bool choose_history(const struct tableset *set, struct merge_choice *out)
{
    uint32_t neighbours = 0;
    for (uint32_t i = set->history_count; i > 0; i--) {
        const bool same = neighbours > 0 && set->history[i - 1]->tier == set->history[i]->tier;
        neighbours = same ? neighbours + 1 : 1;
        if (neighbours == HISTORY_FAN) {
            *out = (struct merge_choice){.history_first = i - 1, .history_count = HISTORY_FAN};
            return true;
        }
    }
    return false;
}

/* Of the runs, newest first, those that hold versions up to `version`. */
static uint32_t runs_up_to(struct run *const *runs, uint32_t count, uint64_t version)
{
    uint32_t newer = 0;
    while (newer < count && runs[newer]->min_version >= version)
        newer++;
    return count - newer;
}

/* Everything up to a version into one live and one history run. History of the base is read again, too:
 * it may hold rows of branches that have been deleted since. */
static bool choose_all(const struct tableset *set, uint64_t version, struct merge_choice *out)
{
    const uint32_t live = runs_up_to(set->live, set->live_count, version);
    if (live > 1 || (live == 1 && set->live[set->live_count - 1]->tier != TIER_BASE)) {
        *out = (struct merge_choice){.live_count = set->live_count,
                                     .history_count = set->history_count};
        return true;
    }
    if (runs_up_to(set->history, set->history_count, version) > 1) {
        *out = (struct merge_choice){.history_count = set->history_count};
        return true;
    }
    return false;
}

bool store_compacted(struct store *store, uint64_t version, struct epoch_slot *slot)
{
    struct merge_choice choice;
    epoch_enter(&store->epochs, slot);
    const bool more = choose_all(atomic_load(&store->tables.current), version, &choice);
    epoch_leave(slot);
    return !more;
}

/* Whatever is too much: young runs, middle ones (where memory bounds the inputs, merges leave the oldest
 * out), or eight neighbours in history. */
static bool choose_due(const struct tableset *set, struct merge_choice *out)
{
    uint32_t young = 0;
    uint32_t middle = 0;
    uint64_t above = 0;
    uint64_t base = 0;
    for (uint32_t i = 0; i < set->live_count; i++) {
        const struct run *run = set->live[i];
        young += run->tier == 0;
        middle += run->tier == TIER_MIDDLE;
        *(run->tier == TIER_BASE ? &base : &above) += run->bytes;
    }
    if (young > YOUNG_MAX || middle > MIDDLE_MAX) {
        const bool all = middle >= MIDDLE_MAX || above >= base / 2;
        *out = choose_live(set, all ? set->live_count : young);
        return true;
    }
    return choose_history(set, out);
}

/* Fewer inputs, where memory bounds how many can be open. A live merge leaves out the oldest of the
 * runs chosen: what it makes must be newer than all that stays. If history alone is too much, that is
 * merged first. */
static void choice_bound(const struct tableset *set, uint32_t most, struct merge_choice *choice)
{
    while (choice->live_count > 2 && choice->live_count + choice->history_count > most)
        *choice = choose_live(set, choice->live_count - 1);
    if (choice->live_count + choice->history_count > most && choice->live_count > 0)
        *choice = (struct merge_choice){.history_count = set->history_count};
    if (choice->live_count == 0 && choice->history_count > most) {
        choice->history_first += choice->history_count - most;
        choice->history_count = most;
    }
}

bool merge_choose(const struct tableset *set, uint64_t compact_to, uint32_t sources_max,
                  struct merge_choice *out)
{
    assert(sources_max > 1 && sources_max <= JOB_INPUTS_MAX);
    const bool all = compact_to > 0 && choose_all(set, compact_to, out);
    if (!all && !choose_due(set, out))
        return false;
    choice_bound(set, sources_max, out);
    assert(out->live_count + out->history_count <= sources_max);
    return true;
}

static bool merge_choose_now(const struct store *store, const struct tableset *set,
                             struct merge_choice *out)
{
    return merge_choose(set, atomic_load(&store->compact_to), store->profile.merge_sources_max,
                        out);
}

bool store_merge_due(struct store *store, struct epoch_slot *slot)
{
    struct merge_choice choice;
    if (store->read_only)
        return false;
    epoch_enter(&store->epochs, slot);
    const bool due = merge_choose_now(store, atomic_load(&store->tables.current), &choice);
    epoch_leave(slot);
    return due;
}

static void job_take_run(struct job *job, struct run *run)
{
    assert(job->input_count < JOB_INPUTS_MAX);
    run_acquire(run);
    job->inputs[job->input_count++] = run;
    if (run->min_version < job->min_version)
        job->min_version = run->min_version;
    if (run->max_version > job->max_version)
        job->max_version = run->max_version;
}

/* Takes the chosen runs; false if there is nothing to merge. */
static bool merge_take(struct store *store, struct job *job, struct rewrite_options *options,
                       struct epoch_slot *slot)
{
    struct merge_choice choice;
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    const bool any = merge_choose_now(store, set, &choice);
    if (any) {
        job->min_version = UINT64_MAX;
        job->max_version = 0;
        job->history_tier = 0;
        for (uint32_t i = 0; i < choice.live_count; i++)
            job_take_run(job, set->live[i]);
        for (uint32_t i = 0; i < choice.history_count; i++) {
            struct run *run = set->history[choice.history_first + i];
            const bool only = choice.live_count == 0;
            if (only && run->tier < UINT8_MAX && run->tier + 1 > job->history_tier)
                job->history_tier = (uint8_t)(run->tier + 1);
            job_take_run(job, run);
        }
        options->to_bottom = choice.live_count == set->live_count && choice.live_count > 0;
        options->history_only = choice.live_count == 0;
        job->live_tier = options->to_bottom ? TIER_BASE : TIER_MIDDLE;
    }
    epoch_leave(slot);
    return any;
}

static strata_status merge_begin(struct store *store, struct job *job, struct epoch_slot *slot)
{
    struct rewrite_options options = {.output = &store->output, .policy = &store->policy};
    if (!merge_take(store, job, &options, slot))
        return STRATA_OK;
    options.runs = job->inputs;
    options.run_count = job->input_count;
    store->policy_known = false;
    job->running = true;
    return rewrite_open(&job->rewrite, store->memory_allocator, &options);
}

static strata_status merge_finish(struct store *store, struct job *job)
{
    struct run *outputs[2];
    struct store_counters *counters = &store->counters;
    TRY(store_job_outputs(store, job, outputs));
    const strata_status status = store_job_publish(store, job, outputs);
    if (status == STRATA_OK) {
        atomic_fetch_add(&counters->merges, 1);
        atomic_fetch_add(&counters->rows_merged, job->rewrite.rows_read);
        atomic_fetch_add(&counters->rows_dropped, job->rewrite.rows_dropped);
        for (unsigned i = 0; i < 2; i++)
            atomic_fetch_add(&counters->merge_bytes, outputs[i] == NULL ? 0 : outputs[i]->bytes);
        for (uint32_t i = 0; i < job->input_count; i++)
            atomic_fetch_add(&counters->merge_input_bytes, job->inputs[i]->bytes);
        store_end_job(store, job, false);
    }
    run_drop(outputs[0]);
    run_drop(outputs[1]);
    return status;
}

strata_status store_merge_step(struct store *store, struct job *job, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    bool done = false;
    if (!job->running)
        status = merge_begin(store, job, slot);
    else
        status = rewrite_step(&job->rewrite, JOB_CHARGE, &done);
    if (status == STRATA_OK && done)
        status = merge_finish(store, job);
    if (status != STRATA_OK)
        store_end_job(store, job, true);
    return status;
}
