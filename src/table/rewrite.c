#include "table/rewrite.h"

#include "core/memory.h"
#include "core/plant.h"

#include <assert.h>

enum { REWRITE_PIECE_MIN = 8 * 1024, REWRITE_PIECE_MAX = 256 * 1024 };
enum { STAGE_START, STAGE_ROWS, STAGE_LIVE, STAGE_HISTORY, STAGE_NAMES, STAGE_DONE };

/* Bytes of a run that are read at a time: a frame or two at least. */
static uint32_t rewrite_piece(const struct rewrite_options *options)
{
    const uint64_t least = options->output->part.frame_size > REWRITE_PIECE_MIN / 2
                               ? 2 * (uint64_t)options->output->part.frame_size
                               : REWRITE_PIECE_MIN;
    const uint64_t share = options->run_count == 0 ? 0 : options->input_bytes / options->run_count;
    const uint64_t most = share < REWRITE_PIECE_MAX ? share : REWRITE_PIECE_MAX;
    return (uint32_t)(most > least ? most : least);
}

static strata_status rewrite_open_sources(struct rewrite *rewrite)
{
    const struct rewrite_options *options = &rewrite->options;
    const uint32_t count = options->run_count + (options->memtable == NULL ? 0 : 2);
    assert(count > 0);
    rewrite->sources = allocate_zeroed(rewrite->allocator, count * sizeof(*rewrite->sources));
    if (options->run_count > 0)
        rewrite->runs =
            allocate_zeroed(rewrite->allocator, options->run_count * sizeof(*rewrite->runs));
    if (rewrite->sources == NULL || (options->run_count > 0 && rewrite->runs == NULL))
        return failure(STRATA_NO_MEMORY, "no memory to merge %u runs", options->run_count);
    rewrite->source_count = count;
    uint32_t filled = 0;
    if (options->memtable != NULL) {
        memtable_source_init(&rewrite->memtable, options->memtable);
        rewrite->sources[filled++] = &rewrite->memtable.source;
        TRY(log_source_init(&rewrite->log, options->memtable, rewrite->allocator));
        rewrite->sources[filled++] = &rewrite->log.source;
    }
    for (uint32_t i = 0; i < options->run_count; i++) {
        run_input_init(&rewrite->runs[i], options->runs[i], rewrite_piece(options));
        rewrite->runs[i].room = &rewrite->room;
        rewrite->sources[filled++] = &rewrite->runs[i].source;
    }
    assert(filled == count);
    return STRATA_OK;
}

strata_status rewrite_open(struct rewrite *rewrite, const strata_allocator *allocator,
                           const struct rewrite_options *options)
{
    *rewrite = (struct rewrite){.allocator = allocator, .options = *options};
    rewrite->room.bytes_max = options->pieces_bytes_max > 0 ? options->pieces_bytes_max : SIZE_MAX;
    buffer_init(&rewrite->dropped_values, allocator);
    arena_init(&rewrite->arena, allocator, 4096);
    run_output_init(&rewrite->live, options->output, ROLE_LIVE, &rewrite->arena);
    run_output_init(&rewrite->history, options->output, ROLE_HISTORY, &rewrite->arena);
    return rewrite_open_sources(rewrite);
}

void rewrite_release(struct rewrite *rewrite)
{
    if (rewrite->allocator == NULL)
        return;
    source_release(&rewrite->memtable.source);
    source_release(&rewrite->log.source);
    if (rewrite->runs != NULL) {
        for (uint32_t i = 0; i < rewrite->options.run_count; i++)
            source_release(&rewrite->runs[i].source);
        release(rewrite->allocator, rewrite->runs,
                rewrite->options.run_count * sizeof(*rewrite->runs));
    }
    const uint32_t count = rewrite->options.run_count + (rewrite->options.memtable == NULL ? 0 : 2);
    if (rewrite->sources != NULL)
        release(rewrite->allocator, rewrite->sources, count * sizeof(*rewrite->sources));
    run_output_release(&rewrite->live);
    run_output_release(&rewrite->history);
    merge_release(&rewrite->merge);
    buffer_release(&rewrite->dropped_values);
    arena_release(&rewrite->arena);
    *rewrite = (struct rewrite){.allocator = NULL};
}

static strata_status rewrite_drop(struct rewrite *rewrite, const struct row *row)
{
    rewrite->rows_dropped++;
    if (row->kind != ROW_VALUE_REFERENCE)
        return STRATA_OK;
    return buffer_append_u64(&rewrite->dropped_values, value_reference_load(row->value).object);
}

/* A deletion that nothing below could contradict is of use to history alone. */
static bool rewrite_moves_deletion(const struct rewrite *rewrite, const struct row *row)
{
    const struct rewrite_policy *policy = rewrite->options.policy;
#if STRATA_PLANT == 14
    return row->kind == ROW_DELETE && rewrite->options.to_bottom && policy != NULL;
#endif
    return row->kind == ROW_DELETE && rewrite->options.to_bottom && policy != NULL &&
           !policy->inherits(policy->context, key_branch(row->key.data));
}

/* May set `row->to`. */
static strata_status rewrite_row(struct rewrite *rewrite, struct row *row)
{
    const struct rewrite_policy *policy = rewrite->options.policy;
    const bool displaced = rewrite->merge.repeats;
    const uint64_t newer = rewrite->merge.last_from;
    if (displaced && (row->to == 0 ? !rewrite->options.history_only : row->to > newer))
        row->to = newer;
#if STRATA_PLANT == 7
    if (displaced && row->to > row->from + 1)
        row->to--;
#endif
    rewrite->rows_read++;
#if STRATA_PLANT == 6
    if (row->kind == ROW_DELETE && row->to == 0 && rewrite->options.memtable == NULL)
        return STRATA_OK;
#endif
    if (policy != NULL &&
        !policy->keeps(policy->context, key_branch(row->key.data), key_space(row->key.data),
                       row->from, row->to == 0 ? TO_OPEN : row->to))
        return rewrite_drop(rewrite, row);
    if (rewrite->options.history_only || row->to != 0 || rewrite_moves_deletion(rewrite, row))
        return run_output_add(&rewrite->history, row);
    return run_output_add(&rewrite->live, row);
}

/* Whether the next move takes the values that the outputs borrow. Those of a memtable stay as long as
 * it does. */
static bool rewrite_moves_values(const struct rewrite *rewrite, struct source *source)
{
    if (source == &rewrite->memtable.source)
        return false;
    if (source == &rewrite->log.source)
        return true;
    const void *input = source;
    return ((const struct run_input *)input)->moves;
}

static strata_status rewrite_rows(struct rewrite *rewrite, uint64_t charge_max, bool *ended)
{
    uint64_t charge = 0;
    while (rewrite->merge.current != NULL && charge < charge_max) {
        struct row *row = &rewrite->merge.current->row;
        charge += row_charge(row);
        TRY(rewrite_row(rewrite, row));
        if (rewrite_moves_values(rewrite, rewrite->merge.current)) {
            TRY(run_output_keep(&rewrite->live));
            TRY(run_output_keep(&rewrite->history));
        }
        TRY(merge_next(&rewrite->merge));
    }
    *ended = rewrite->merge.current == NULL;
    return STRATA_OK;
}

strata_status rewrite_step(struct rewrite *rewrite, uint64_t charge_max, bool *done)
{
    bool ended;
    *done = false;
    switch (rewrite->stage) {
    case STAGE_START:
        TRY(merge_start(&rewrite->merge, rewrite->allocator, rewrite->sources,
                        rewrite->source_count));
        rewrite->stage = STAGE_ROWS;
        return STRATA_OK;
    case STAGE_ROWS:
        TRY(rewrite_rows(rewrite, charge_max, &ended));
        if (ended)
            rewrite->stage = STAGE_LIVE;
        return STRATA_OK;
    case STAGE_LIVE:
        TRY(run_output_finish(&rewrite->live));
        rewrite->stage = STAGE_HISTORY;
        return STRATA_OK;
    case STAGE_HISTORY:
        TRY(run_output_finish(&rewrite->history));
        rewrite->stage = STAGE_NAMES;
        return STRATA_OK;
    case STAGE_NAMES:
        TRY(run_output_sync_names(&rewrite->live));
        TRY(run_output_sync_names(&rewrite->history));
        rewrite->stage = STAGE_DONE;
        *done = true;
        return STRATA_OK;
    default:
        assert(rewrite->stage == STAGE_DONE);
        *done = true;
        return STRATA_OK;
    }
}

struct garbage_item *rewrite_objects(const struct rewrite *rewrite)
{
    const struct buffer *lists[2] = {&rewrite->live.numbers, &rewrite->history.numbers};
    const size_t bytes = lists[0]->length + lists[1]->length;
    struct garbage_item *item =
        garbage_item_create(rewrite->allocator, (uint32_t)(bytes / sizeof(uint64_t)));
    if (item == NULL)
        return NULL;
    for (unsigned i = 0; i < 2; i++) {
        for (size_t at = 0; at < lists[i]->length; at += sizeof(uint64_t))
            item->numbers[item->count++] = load_u64(lists[i]->data + at);
    }
    return item;
}
