/* Choosing what to merge.
 *
 * There are at most LIVE_RUNS_MAX live runs, apart from what came while a merge was running. When there
 * are more, the newest are merged: as many as it takes until the next older one is RUN_RATIO times as
 * large as all of them. So sizes fall off at least by that factor from run to run: the oldest, the base,
 * has most of the rows, and a row is rewritten about as often as sizes double between the memtable and
 * the base, divided by what the number of runs allows. A smaller LIVE_RUNS_MAX spares each get a probe
 * and each scan a source, a larger one merges; tests/lifecycle/merge_test.c computes both.
 *
 * Reads that had to look into more than one run pay for the merge that spares them that: toll.c. So where
 * much is read there is one run soon, and what nobody reads is left as it is.
 *
 * Live merges leave history alone: what they displace goes to a history run of its own, once. History
 * runs are merged by the same rule among themselves. One with more than VERSIONS_MAX versions of a key is
 * left in peace, since every key has to be sought in it only once for many versions, until there are more
 * than HISTORY_ALL_MAX runs in all. It waits for live runs, which cost every read, but not for ever: with
 * HISTORY_PILED runs it comes first, and with twice as many also where writers are held up, so that
 * whoever writes without a break does not make files without end. */
#include "lifecycle/store.h"

#include <assert.h>

enum {
    MERGE_SOURCES_MIN = 3,
    LIVE_RUNS_MAX = 5,
    HISTORY_RUNS_MAX = 8,
    HISTORY_ALL_MAX = 32,
    HISTORY_PILED = 20,
    RUN_RATIO = 2,
    VERSIONS_MAX = 16,
    TIER_MIDDLE = 1,
    TIER_BASE = 2
};

uint32_t merge_newest(const uint64_t *bytes, uint32_t count, uint32_t most)
{
    uint64_t sum = 0;
    uint32_t chosen = 0;
    if (count <= most)
        return 0;
    while (chosen < count && (chosen < 2 || bytes[chosen] / RUN_RATIO < sum))
        sum += bytes[chosen++];
    return chosen;
}

/* merge_newest of runs, where memory bounds how many can be open: what a merge of live runs makes must be
 * newer than all that stays, so the oldest are left out. */
static uint32_t choose_newest(struct run *const *runs, uint32_t count, uint32_t most,
                              const struct merge_bounds *bounds)
{
    uint64_t bytes[JOB_INPUTS_MAX];
    const uint32_t known = count < JOB_INPUTS_MAX ? count : JOB_INPUTS_MAX;
    for (uint32_t i = 0; i < known; i++)
        bytes[i] = runs[i]->bytes;
    const uint32_t chosen = merge_newest(bytes, known, most);
    return chosen < bounds->sources_max ? chosen : bounds->sources_max;
}

/* The newest history runs, up to the first that has as many versions of a key as it may. */
static uint32_t choose_history(const struct tableset *set, const struct merge_bounds *bounds)
{
    uint64_t live_rows = 0;
    uint32_t open = 0;
    for (uint32_t i = 0; i < set->live_count; i++)
        live_rows += set->live[i]->rows;
    while (open < set->history_count && set->history[open]->rows / VERSIONS_MAX <= live_rows)
        open++;
    const uint32_t chosen = choose_newest(set->history, open, HISTORY_RUNS_MAX, bounds);
    return chosen > 0 ? chosen
                      : choose_newest(set->history, set->history_count, HISTORY_ALL_MAX, bounds);
}

static bool choose_due(const struct tableset *set, const struct merge_bounds *bounds,
                       struct merge_choice *out)
{
    const uint32_t due = choose_newest(set->live, set->live_count, LIVE_RUNS_MAX, bounds);
    /* Where writers are held up, what makes room for them comes first. */
    const uint32_t paid =
        set->live_count > PACE_RUNS_FREE ? 0 : toll_paid(set, bounds->sources_max);
    const uint32_t piled = set->live_count > PACE_RUNS_FREE ? 2 * HISTORY_PILED : HISTORY_PILED;
    *out = (struct merge_choice){.live_count = due > paid ? due : paid};
    if (out->live_count == 0 || set->history_count > piled)
        out->history_count = choose_history(set, bounds);
    if (out->history_count > 0)
        out->live_count = 0;
    return out->live_count + out->history_count > 0;
}

/* How many of the runs hold versions up to `version`. */
static uint32_t runs_up_to(struct run *const *runs, uint32_t count, uint64_t version)
{
    uint32_t old = 0;
    for (uint32_t i = 0; i < count; i++)
        old += runs[i]->min_version < version;
    return old;
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

/* Fewer inputs of a compaction. Live runs go without history, which is merged by itself when they are
 * one; a single run of it waits until it fits. Of history the oldest goes first: what is written
 * meanwhile cannot keep that from coming to an end. */
static void choice_bound(uint32_t most, struct merge_choice *choice)
{
    if (choice->live_count + choice->history_count <= most)
        return;
    if (choice->live_count == 0) {
        choice->history_first = choice->history_count - most;
        choice->history_count = most;
        return;
    }
    const uint32_t live_most = choice->history_count == 1 ? most - 1 : most;
    if (choice->live_count > live_most)
        choice->live_count = live_most;
    choice->history_count = 0;
}

bool store_compacted(struct store *store, uint64_t version, struct epoch_slot *slot)
{
    struct merge_choice choice;
    epoch_enter(&store->epochs, slot);
    const bool more = choose_all(atomic_load(&store->tables.current), version, &choice);
    epoch_leave(slot);
    return !more;
}

bool merge_choose(const struct tableset *set, const struct merge_bounds *bounds,
                  struct merge_choice *out)
{
    assert(bounds->sources_max > 2 && bounds->sources_max <= JOB_INPUTS_MAX);
    const bool all = bounds->compact_to > 0 && choose_all(set, bounds->compact_to, out);
    if (!all && !choose_due(set, bounds, out))
        return false;
    choice_bound(bounds->sources_max, out);
    assert(out->live_count + out->history_count <= bounds->sources_max);
    return true;
}

static bool merge_choose_now(struct store *store, const struct tableset *set,
                             struct merge_choice *out)
{
    const struct merge_bounds bounds = {.compact_to = atomic_load(&store->compact_to),
                                        .sources_max = atomic_load(&store->merge_sources)};
    return merge_choose(set, &bounds, out);
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
    struct rewrite_options options = {.output = &store->output,
                                      .policy = &store->policy,
                                      .input_bytes = store->profile.input_bytes,
                                      .pieces_bytes_max = store->profile.pieces_bytes_max};
    if (!merge_take(store, job, &options, slot))
        return STRATA_OK;
    options.runs = job->inputs;
    options.run_count = job->input_count;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < job->input_count; i++)
        bytes += job->inputs[i]->bytes;
    if (bytes > cache_bytes_max(&store->cache))
        options.output = &store->output_beyond;
    store->policy_known = false;
    job->running = true;
    return rewrite_open(&job->rewrite, store->memory_allocator, &options);
}

/* What reads paid for the oldest input has bought nothing yet: what comes of the merge takes its place
 * among the runs. */
static void merge_hand_toll(const struct job *job, struct run *output)
{
    for (uint32_t i = job->input_count; i-- > 0 && output != NULL;) {
        if (job->inputs[i]->role != ROLE_LIVE)
            continue;
        atomic_store(&output->toll_ns, atomic_load(&job->inputs[i]->toll_ns));
        return;
    }
}

/* Fewer inputs after a merge that had no memory for its inputs; more again after one that needed little. */
static bool merge_take_fewer(struct store *store)
{
    const uint32_t sources = atomic_load(&store->merge_sources);
    atomic_store(&store->merge_sources,
                 sources / 2 > MERGE_SOURCES_MIN ? sources / 2 : MERGE_SOURCES_MIN);
    return sources > MERGE_SOURCES_MIN;
}

static void merge_take_more(struct store *store, const struct rewrite *rewrite)
{
    const uint32_t sources = atomic_load(&store->merge_sources);
    const uint32_t most = store->profile.merge_sources_max;
    const size_t bytes_max = store->profile.pieces_bytes_max;
    if (sources < most && (bytes_max == 0 || rewrite->room.bytes <= bytes_max / 3))
        atomic_store(&store->merge_sources, 2 * sources < most ? 2 * sources : most);
}

static strata_status merge_finish(struct store *store, struct job *job)
{
    struct run *outputs[2];
    struct store_counters *counters = &store->counters;
    TRY(store_job_outputs(store, job, outputs));
    merge_hand_toll(job, outputs[0]);
    const strata_status status = store_job_publish(store, job, outputs);
    if (status == STRATA_OK) {
        atomic_fetch_add(&counters->merges, 1);
        atomic_fetch_add(&counters->rows_merged, job->rewrite.rows_read);
        atomic_fetch_add(&counters->rows_dropped, job->rewrite.rows_dropped);
        for (unsigned i = 0; i < 2; i++)
            atomic_fetch_add(&counters->merge_bytes, outputs[i] == NULL ? 0 : outputs[i]->bytes);
        for (uint32_t i = 0; i < job->input_count; i++)
            atomic_fetch_add(&counters->merge_input_bytes, job->inputs[i]->bytes);
        merge_take_more(store, &job->rewrite);
        store_end_job(store, job, false);
        store_warm_begin(store, job, outputs[0]);
    }
    run_drop(outputs[0]);
    run_drop(outputs[1]);
    return status;
}

strata_status store_merge_step(struct store *store, struct job *job, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    bool done = false;
    if (!job->running && job->warm.run != NULL) {
        store_warm_step(store, job);
        return STRATA_OK;
    }
    if (!job->running)
        status = merge_begin(store, job, slot);
    else
        status = rewrite_step(&job->rewrite, store->profile.step_charge, &done);
    if (status == STRATA_OK && done)
        status = merge_finish(store, job);
    if (status == STRATA_OK)
        return status;
    store_end_job(store, job, true);
    /* Which is tried again at once. */
    return status == STRATA_NO_MEMORY && merge_take_fewer(store) ? STRATA_OK : status;
}
