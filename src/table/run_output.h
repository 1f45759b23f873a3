/* Writing a run: rows in, parts and their artifacts out. */
#ifndef STRATA_TABLE_RUN_OUTPUT_H
#define STRATA_TABLE_RUN_OUTPUT_H

#include "table/artifact.h"
#include "table/part_writer.h"

enum { ARTIFACT_BUILDERS_MAX = 4 };

/* What all outputs of a database share. */
struct output_options {
    struct part_options part;
    uint64_t part_bytes_max;
    const struct artifact_builder *builders; /* [builder_count] */
    uint32_t builder_count;
    void *number_context;
    /* The number of a new table object. */
    strata_status (*take_number)(void *context, uint64_t *out);
};

/* Invariant: parts[0..part_count) are whole, synced and of rows before those in `writer`. */
struct run_output {
    const struct output_options *options;
    enum part_role role;
    struct arena *arena; /* For what `parts` points to. */
    struct part_writer writer;
    bool writing;
    void *builds[ARTIFACT_BUILDERS_MAX];
    struct manifest_part *parts;
    uint32_t part_count;
    uint32_t part_capacity;
    uint64_t bytes;
    struct buffer numbers; /* u64 of every object made, also of those of a failed attempt. */
};

void run_output_init(struct run_output *output, const struct output_options *options,
                     enum part_role role, struct arena *arena);

/* A value of more than FRAME_COPIED_MAX bytes stays where it is until run_output_keep or release. */
STRATA_CHECKED strata_status run_output_add(struct run_output *output, const struct row *row);
STRATA_CHECKED strata_status run_output_keep(struct run_output *output);

/* Ends the last part. Then all objects are durable but for their names. */
STRATA_CHECKED strata_status run_output_finish(struct run_output *output);

/* Syncs the folders of all objects made. */
STRATA_CHECKED strata_status run_output_sync_names(struct run_output *output);

void run_output_release(struct run_output *output);

#endif
