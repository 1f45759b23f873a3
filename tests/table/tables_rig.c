#include "table/tables_rig.h"

#include "core/memory.h"
#include "support.h"

#include <stdio.h>

static strata_status rig_take_number(void *context, uint64_t *out)
{
    struct rig *rig = context;
    *out = rig->next_number++;
    return STRATA_OK;
}

static bool rig_keeps(void *context, uint64_t branch, uint32_t space, uint64_t from, uint64_t to)
{
    (void)context, (void)branch, (void)space;
    assert_true(from < to);
    return true;
}

static bool rig_inherits(void *context, uint64_t branch)
{
    (void)context;
    return branch > 1;
}

static void rig_install(struct rig *rig, const struct tableset_parts *parts)
{
    struct tableset *set;
    mutex_lock(&rig->tables.install_lock);
    assert_int_equal(tableset_create(&rig->tables, parts, &set), STRATA_OK);
    tables_install(&rig->tables, set, NULL);
    mutex_unlock(&rig->tables.install_lock);
    while (epoch_reclaim(&rig->epochs))
        ;
}

static struct memtable *rig_memtable(struct rig *rig)
{
    struct memtable *memtable;
    assert_int_equal(memtable_create(&rig->memory.allocator, 4096, rig->version + 1, &memtable),
                     STRATA_OK);
    return memtable;
}

void rig_open(struct rig *rig, uint64_t seed, uint32_t unit_size, bool large)
{
    memset(rig, 0, sizeof(*rig));
    memory_init(&rig->memory, NULL);
    const strata_allocator *allocator = &rig->memory.allocator;
    rig->random.state = seed;
    rig->next_number = 1;
    rig->next_run = 1;
    assert_int_equal(memory_backend_create(allocator, &rig->backend), STRATA_OK);
    epochs_init(&rig->epochs, allocator);
    assert_int_equal(epoch_slot_take(&rig->epochs, &rig->slot), STRATA_OK);
    garbage_init(&rig->garbage, allocator);
    assert_int_equal(
        cache_init(&rig->cache, allocator, &rig->epochs, large ? CACHE_LARGE_BYTES_MIN : 1 << 20),
        STRATA_OK);
    tables_init(&rig->tables, allocator, &rig->epochs, &rig->garbage);
    rig->store =
        (struct part_store){.backend = rig->backend, .allocator = allocator, .cache = &rig->cache};
    rig->output =
        (struct output_options){.part = {.backend = rig->backend,
                                         .allocator = allocator,
                                         .unit_size = unit_size,
                                         .with_buckets = random_next(&rig->random) % 4 > 0},
                                .part_bytes_max = 40 * 1024,
                                .number_context = rig,
                                .take_number = rig_take_number};
    rig->policy =
        (struct rewrite_policy){.context = rig, .keeps = rig_keeps, .inherits = rig_inherits};
    struct memtable *memtable = rig_memtable(rig);
    rig_install(rig, &(struct tableset_parts){.memtable_count = 1, .memtables = &memtable});
    memtable_drop(memtable);
}

void rig_close(struct rig *rig)
{
    epoch_slot_give(rig->slot);
    tables_destroy(&rig->tables);
    epochs_destroy(&rig->epochs);
    garbage_destroy(&rig->garbage);
    cache_destroy(&rig->cache);
    memory_backend_destroy(rig->backend);
    assert_int_equal(rig->memory.live_bytes, 0);
}

struct bytes rig_key(uint64_t branch, unsigned key, uint8_t to[32])
{
    key_prefix_store(to, branch, storage_space(SPACE_DEFAULT, KIND_KV));
    const int size = snprintf((char *)to + KEY_PREFIX_SIZE, 20, "key%03u", key * 7);
    return bytes_of(to, KEY_PREFIX_SIZE + (size_t)size);
}

size_t rig_value(const struct rig_row *row, uint8_t to[600])
{
    const size_t size = 8 + row->version * 37 % 500;
    memset(to, (int)(row->version & 0xff), size);
    store_u64(to, row->version);
    return size;
}

void rig_write(struct rig *rig)
{
    uint8_t key[32];
    uint8_t value[600];
    struct memtable *memtable = atomic_load(&rig->tables.current)->memtables[0];
    assert_true(rig->row_count < RIG_ROWS_MAX);
    struct rig_row *row = &rig->rows[rig->row_count++];
    *row = (struct rig_row){.branch = 1 + random_next(&rig->random) % RIG_BRANCHES,
                            .key = (unsigned)(random_next(&rig->random) % RIG_KEYS),
                            .version = ++rig->version,
                            .deleted = random_next(&rig->random) % 4 == 0};
    while (row->branch > 1 && row->version <= rig_fork_version(row->branch))
        row->branch--;
    const size_t size = row->deleted ? 0 : rig_value(row, value);
    assert_int_equal(memtable_reserve(memtable, 1, sizeof(key) + size, 0), STRATA_OK);
    memtable_insert(memtable, &(struct row){.key = rig_key(row->branch, row->key, key),
                                            .value = bytes_of(value, size),
                                            .from = row->version,
                                            .time_us = (int64_t)row->version * 1000,
                                            .kind = row->deleted ? ROW_DELETE : ROW_PUT});
    memtable_add_commit(memtable, &(struct memtable_commit){.version = row->version,
                                                            .time_us = (int64_t)row->version * 1000,
                                                            .branch = row->branch,
                                                            .rows = 1});
}

static struct run *rig_make_run(struct rig *rig, const struct run_output *output, uint8_t tier,
                                uint64_t min_version, uint64_t max_version)
{
    struct run *run = NULL;
    const struct manifest_run info = {.id = rig->next_run++,
                                      .role = (uint8_t)output->role,
                                      .tier = tier,
                                      .min_version = min_version,
                                      .max_version = max_version,
                                      .part_count = output->part_count,
                                      .parts = output->parts};
    if (output->part_count > 0)
        assert_int_equal(run_create(&rig->store, &rig->garbage, &info, &run), STRATA_OK);
    return run;
}

static void rig_rewrite(struct rig *rig, struct rewrite *rewrite,
                        const struct rewrite_options *options)
{
    bool done = false;
    assert_int_equal(rewrite_open(rewrite, &rig->memory.allocator, options), STRATA_OK);
    while (!done)
        assert_int_equal(rewrite_step(rewrite, 2000, &done), STRATA_OK);
}

void rig_flush(struct rig *rig)
{
    struct tableset *set = atomic_load(&rig->tables.current);
    struct run *live[RIG_RUNS_MAX];
    struct run *history[RIG_RUNS_MAX];
    struct memtable *old = set->memtables[0];
    struct rewrite rewrite;
    if (old->last_version < old->first_version || set->live_count + 1 >= RIG_RUNS_MAX)
        return;
    rig_rewrite(rig, &rewrite, &(struct rewrite_options){.output = &rig->output, .memtable = old});
    const uint64_t from = old->first_version - 1;
    live[0] = rig_make_run(rig, &rewrite.live, 0, from, old->last_version);
    history[0] = rig_make_run(rig, &rewrite.history, 0, from, old->last_version);
    const uint32_t added = history[0] != NULL;
    memcpy(live + 1, set->live, set->live_count * sizeof(*live));
    memcpy(history + added, set->history, set->history_count * sizeof(*history));
    struct memtable *fresh = rig_memtable(rig);
    struct run *mine[2] = {live[0], added ? history[0] : NULL};
    rewrite_release(&rewrite);
    rig_install(rig, &(struct tableset_parts){.memtable_count = 1,
                                              .memtables = &fresh,
                                              .live_count = set->live_count + 1,
                                              .live = live,
                                              .history_count = set->history_count + added,
                                              .history = history});
    memtable_drop(fresh);
    run_drop(mine[0]);
    run_drop(mine[1]);
}

/* The inputs of a merge, and what is left of the set without them. */
struct rig_choice {
    struct run *inputs[2 * RIG_RUNS_MAX];
    uint32_t input_count;
    uint64_t min_version, max_version;
    uint32_t history_count;
    bool to_bottom;
};

/* With all history of the live runs chosen, or without any, as the merges of a store: then `to` of a row
 * may be later than the next version. */
static void rig_choose(const struct tableset *set, uint32_t live_count, bool with_history,
                       struct rig_choice *choice)
{
    *choice = (struct rig_choice){.min_version = UINT64_MAX};
    choice->to_bottom = live_count == set->live_count && live_count > 0;
    uint64_t above = 0;
    for (uint32_t i = 0; i < live_count; i++) {
        choice->inputs[choice->input_count++] = set->live[i];
        above = set->live[i]->tier == 2 ? set->live[i]->max_version : set->live[i]->min_version;
    }
    while (with_history && choice->history_count < set->history_count &&
           set->history[choice->history_count]->min_version >= above)
        choice->inputs[choice->input_count++] = set->history[choice->history_count++];
    for (uint32_t i = 0; i < choice->input_count; i++) {
        const struct run *run = choice->inputs[i];
        if (run->min_version < choice->min_version)
            choice->min_version = run->min_version;
        if (run->max_version > choice->max_version)
            choice->max_version = run->max_version;
    }
}

void rig_merge(struct rig *rig, uint32_t live_count)
{
    struct tableset *set = atomic_load(&rig->tables.current);
    struct rig_choice choice;
    struct rewrite rewrite;
    struct run *live[RIG_RUNS_MAX];
    struct run *history[RIG_RUNS_MAX];
    if (live_count > set->live_count)
        live_count = set->live_count;
    const bool with_history = live_count == 0 || set->history_count + 2 > RIG_RUNS_MAX / 2 ||
                              random_next(&rig->random) % 2 == 0;
    rig_choose(set, live_count, with_history, &choice);
    if (choice.input_count < 2)
        return;
    rig_rewrite(rig, &rewrite,
                &(struct rewrite_options){.output = &rig->output,
                                          .policy = &rig->policy,
                                          .runs = choice.inputs,
                                          .run_count = choice.input_count,
                                          .to_bottom = choice.to_bottom,
                                          .history_only = live_count == 0});
    struct run *made_live = rig_make_run(rig, &rewrite.live, choice.to_bottom ? 2 : 1,
                                         choice.min_version, choice.max_version);
    struct run *made_history =
        rig_make_run(rig, &rewrite.history, 1, choice.min_version, choice.max_version);
    uint32_t live_total = 0;
    uint32_t history_total = 0;
    if (made_live != NULL)
        live[live_total++] = made_live;
    if (made_history != NULL)
        history[history_total++] = made_history;
    for (uint32_t i = live_count; i < set->live_count; i++)
        live[live_total++] = set->live[i];
    for (uint32_t i = choice.history_count; i < set->history_count; i++)
        history[history_total++] = set->history[i];
    rewrite_release(&rewrite);
    for (uint32_t i = 0; i < choice.input_count; i++)
        run_retire(choice.inputs[i]);
    rig_install(rig, &(struct tableset_parts){.memtable_count = 1,
                                              .memtables = set->memtables,
                                              .live_count = live_total,
                                              .live = live,
                                              .history_count = history_total,
                                              .history = history});
    run_drop(made_live);
    run_drop(made_history);
}

const struct rig_row *rig_expected(const struct rig *rig, uint64_t branch, unsigned key,
                                   uint64_t cap)
{
    for (uint32_t i = rig->row_count; i > 0; i--) {
        const struct rig_row *row = &rig->rows[i - 1];
        if (row->branch == branch && row->key == key && row->version <= cap)
            return row;
    }
    return NULL;
}
