#include "table/run_output.h"

#include "core/memory.h"
#include "core/plant.h"
#include "layout/key.h"
#include "layout/names.h"
#include "table/value_file.h"

#include <assert.h>

/* Sizes of runs fall off by half: with ten runs of each role these are not more than two dozen files. */
enum { PARTS_BY_KEYS = 6 };

void run_output_init(struct run_output *output, const struct output_options *options,
                     enum part_role role, struct arena *arena)
{
    assert(options->builder_count <= ARTIFACT_BUILDERS_MAX);
    *output = (struct run_output){.options = options, .role = role, .arena = arena};
    buffer_init(&output->numbers, options->part.allocator);
}

static void run_output_cancel_builds(struct run_output *output)
{
    for (uint32_t i = 0; i < output->options->builder_count; i++) {
        if (output->builds[i] != NULL)
            output->options->builders[i].cancel(output->builds[i]);
        output->builds[i] = NULL;
    }
}

void run_output_release(struct run_output *output)
{
    if (output->options == NULL)
        return;
    run_output_cancel_builds(output);
    if (output->writing)
        part_writer_release(&output->writer);
    output->writing = false;
    if (output->parts != NULL)
        release(output->options->part.allocator, output->parts,
                output->part_capacity * sizeof(*output->parts));
    output->parts = NULL;
    buffer_release(&output->numbers);
}

static strata_status run_output_take_number(struct run_output *output, uint64_t *out)
{
    TRY(buffer_reserve(&output->numbers, sizeof(*out)));
    TRY(output->options->take_number(output->options->number_context, out));
    return buffer_append_u64(&output->numbers, *out);
}

static strata_status run_output_begin_part(struct run_output *output)
{
    if (output->part_count == output->part_capacity) {
        const strata_allocator *allocator = output->options->part.allocator;
        const uint32_t capacity = output->part_capacity == 0 ? 4 : output->part_capacity * 2;
        struct manifest_part *parts =
            allocator->resize(allocator->context, output->parts,
                              output->part_capacity * sizeof(*parts), capacity * sizeof(*parts));
        if (parts == NULL)
            return failure(STRATA_NO_MEMORY, "no memory for a run of %u parts", capacity);
        output->parts = parts;
        output->part_capacity = capacity;
    }
    uint64_t number;
    TRY(run_output_take_number(output, &number));
    struct part_options options = output->options->part;
    options.role = output->role;
    output->writing = true;
    TRY(part_writer_open(&output->writer, &options, number));
    for (uint32_t i = 0; i < output->options->builder_count; i++)
        TRY(output->options->builders[i].begin(output->options->builders[i].context,
                                               options.allocator, &output->builds[i]));
    return STRATA_OK;
}

/* Writes the bytes that a builder gave as an object of their own. */
static strata_status run_output_write_artifact(struct run_output *output, struct bytes bytes,
                                               struct manifest_artifact *out)
{
    strata_status status = STRATA_OK;
    const struct part_options *options = &output->options->part;
    struct value_writer writer = {0};
    struct value_reference reference;
    uint64_t number;
    TRY(run_output_take_number(output, &number));
    TRY_OUT(value_writer_open(&writer, options->backend, options->allocator, &options->identity,
                              number));
    TRY_OUT(value_writer_append(&writer, bytes));
    TRY_OUT(value_writer_finish(&writer, true, &reference));
    out->number = number;
    out->size = reference.size;

out:
    value_writer_release(&writer);
    return status;
}

static strata_status run_output_finish_builds(struct run_output *output, struct manifest_part *part)
{
    strata_status status = STRATA_OK;
    struct manifest_artifact made[ARTIFACT_BUILDERS_MAX];
    uint32_t count = 0;
    struct buffer bytes;
    buffer_init(&bytes, output->options->part.allocator);
    for (uint32_t i = 0; i < output->options->builder_count; i++) {
        const struct artifact_builder *builder = &output->options->builders[i];
        void *build = output->builds[i];
        output->builds[i] = NULL;
        if (build == NULL)
            continue;
        buffer_truncate(&bytes, 0);
        TRY_OUT(builder->finish(build, &bytes));
        if (bytes.length == 0)
            continue;
        made[count].kind = builder->kind;
        TRY_OUT(run_output_write_artifact(output, buffer_view(&bytes), &made[count]));
        count++;
    }
    if (count > 0) {
        struct manifest_artifact *kept = arena_take(output->arena, count * sizeof(*kept));
        if (kept == NULL) {
            status = failure(STRATA_NO_MEMORY, "no memory for %u artifacts", count);
            goto out;
        }
        memcpy(kept, made, count * sizeof(*kept));
        part->artifacts = kept;
        part->artifact_count = count;
    }

out:
    buffer_release(&bytes);
    return status;
}

static strata_status run_output_end_part(struct run_output *output)
{
    struct manifest_part *part = &output->parts[output->part_count];
    assert(output->writing);
    TRY(part_writer_finish(&output->writer, output->arena, part));
    TRY(run_output_finish_builds(output, part));
    part_writer_release(&output->writer);
    output->writing = false;
    output->bytes += part->units * part->unit_size;
    output->part_count++;
    return STRATA_OK;
}

/* The first parts of a run end where their keys take too much memory, so that they have buckets. The others
 * go on, since there are to be few files. */
static bool run_output_part_full(const struct run_output *output)
{
    const uint64_t bytes_max = output->options->part_bytes_max;
    return part_writer_full(&output->writer, bytes_max,
                            output->part_count < PARTS_BY_KEYS ? 0 : bytes_max / 2);
}

strata_status run_output_add(struct run_output *output, const struct row *row)
{
    if (output->writing && run_output_part_full(output))
        TRY(run_output_end_part(output));
    if (!output->writing)
        TRY(run_output_begin_part(output));
    TRY(part_writer_add(&output->writer, row));
    for (uint32_t i = 0; i < output->options->builder_count; i++) {
        const struct artifact_builder *builder = &output->options->builders[i];
        if (output->builds[i] != NULL && builder->wants(builder->context, key_space(row->key.data)))
            TRY(builder->add(output->builds[i], row));
    }
    return STRATA_OK;
}

strata_status run_output_keep(struct run_output *output)
{
    return output->writing ? part_writer_keep(&output->writer) : STRATA_OK;
}

strata_status run_output_finish(struct run_output *output)
{
    return output->writing ? run_output_end_part(output) : STRATA_OK;
}

strata_status run_output_sync_names(struct run_output *output)
{
#if STRATA_PLANT == 3
    (void)output;
    return STRATA_OK;
#else
    bool synced[LAYOUT_TABLE_FOLDERS] = {false};
    for (size_t at = 0; at < output->numbers.length; at += sizeof(uint64_t)) {
        const uint64_t number = load_u64(output->numbers.data + at);
        const unsigned folder = layout_table_folder_index(number);
        if (synced[folder])
            continue;
        char name[LAYOUT_NAME_SIZE];
        layout_table_folder(number, name);
        TRY(backend_sync_names(output->options->part.backend, name));
        synced[folder] = true;
    }
    return STRATA_OK;
#endif
}
