/* Reading every byte and checking every rule. */
#include "lifecycle/store.h"

#include "layout/names.h"
#include "table/run_input.h"
#include "table/value_file.h"

#include <assert.h>

enum { CHECK_PIECE = 16 * 1024 }; /* Bytes read at a time. */

/* Where findings go. */
struct checker {
    struct store *store;
    void (*found)(void *context, const strata_finding *finding);
    void *context;
    const char *object; /* Of what is being checked. */
    uint64_t errors;
};

static void check_report(struct checker *checker, uint32_t severity, bool derived,
                         const char *object, uint64_t offset, const char *message)
{
    checker->errors += severity == STRATA_LOG_ERROR;
    if (checker->found != NULL)
        checker->found(checker->context, &(strata_finding){.severity = severity,
                                                           .derived = derived,
                                                           .object = object,
                                                           .offset = offset,
                                                           .message = message});
}

/* Turns damage into a finding; other failures stop the check. */
static strata_status check_judge(struct checker *checker, strata_status status, bool derived)
{
    if (status != STRATA_CORRUPT)
        return status;
    strata_error error;
    failure_save(&error);
    check_report(checker, derived ? STRATA_LOG_WARNING : STRATA_LOG_ERROR, derived,
                 error.object[0] == '\0' ? checker->object : error.object, error.offset,
                 error.message);
    return STRATA_OK;
}

static void check_derived(void *context, uint64_t offset, const char *message)
{
    struct checker *checker = context;
    check_report(checker, STRATA_LOG_WARNING, true, checker->object, offset, message);
}

/* Reads a value or artifact from end to end. */
static strata_status check_value(struct store *store, struct value_reference reference)
{
    strata_status status = STRATA_OK;
    uint8_t *piece = allocate(store->memory_allocator, CHECK_PIECE);
    if (piece == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to check a value");
    for (uint64_t at = 0; at < reference.size && status == STRATA_OK; at += CHECK_PIECE) {
        const uint64_t left = reference.size - at;
        status =
            value_file_read(store->backend, store->memory_allocator, &store->identity, reference,
                            at, piece, left < CHECK_PIECE ? (size_t)left : CHECK_PIECE);
    }
    release(store->memory_allocator, piece, CHECK_PIECE);
    return status;
}

/* A value goes when a merge drops its row: then the run that still has the row is obsolete. */
static strata_status check_value_of(struct checker *checker, const struct run *run,
                                    const struct row *row)
{
    const strata_status status = check_value(checker->store, value_reference_load(row->value));
    if (status == STRATA_CORRUPT && atomic_load(&run->obsolete))
        return STRATA_OK;
    return check_judge(checker, status, false);
}

/* Every long value that rows of a run refer to. */
static strata_status check_values(struct checker *checker, struct run *run)
{
    struct run_input rows;
    run_input_init(&rows, run, CHECK_PIECE);
    strata_status status = source_seek(&rows.source, (struct bytes){0}, UINT64_MAX);
    while (status == STRATA_OK && rows.source.valid) {
        if (rows.source.row.kind == ROW_VALUE_REFERENCE)
            status = check_value_of(checker, run, &rows.source.row);
        if (status == STRATA_OK)
            status = source_next(&rows.source);
    }
    source_release(&rows.source);
    /* Damage of the rows themselves has been found by part_check. */
    return status == STRATA_CORRUPT ? STRATA_OK : status;
}

static strata_status check_run(struct checker *checker, struct run *run)
{
    for (uint32_t i = 0; i < run->part_count; i++) {
        struct part *part = run->parts[i];
        checker->object = part->name;
        TRY(check_judge(checker, part_check(part, check_derived, checker), false));
        for (uint32_t j = 0; j < part->info.artifact_count; j++) {
            const struct value_reference artifact = {.object = part->info.artifacts[j].number,
                                                     .size = part->info.artifacts[j].size};
            TRY(check_judge(checker, check_value(checker->store, artifact), true));
        }
    }
    return check_values(checker, run);
}

static strata_status check_record(void *context, const struct wal_record *record)
{
    struct bytes batch = record->payload;
    struct batch_header header;
    (void)context;
    TRY(batch_header_take(&batch, &header));
    for (uint64_t i = 0; i < header.row_count; i++) {
        struct batch_row row;
        TRY(batch_row_take(&batch, &row));
    }
    return STRATA_OK;
}

static strata_status check_read_log(struct store *store, struct wal_tail *tail)
{
    struct wal_reading reading = {.backend = store->backend,
                                  .allocator = store->memory_allocator,
                                  .identity = &store->identity,
                                  .apply = check_record};
    mutex_lock(&store->publish_lock);
    reading.first_number = atomic_load(&store->first_wal);
    reading.first_version = store->flushed_version + 1;
    if (store->logged)
        wal_mark(&store->wal, &reading.last_number, &reading.last_end);
    const strata_status status = wal_read(&reading, tail);
    mutex_unlock(&store->publish_lock);
    return status;
}

static strata_status check_log(struct checker *checker)
{
    struct store *store = checker->store;
    struct wal_tail *tail = allocate_zeroed(store->memory_allocator, sizeof(*tail));
    if (tail == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to check the log");
    checker->object = LAYOUT_WAL_FOLDER;
    strata_status status = check_read_log(store, tail);
    if (status != STRATA_OK || tail->lost_end > 0) {
        /* Commits went on meanwhile: a later part of the log may have been read with more in it than an
         * earlier one. So once more while there are none. */
        tail->lost_end = 0;
        mutex_lock(&store->committer.lock);
        status = check_read_log(store, tail);
        mutex_unlock(&store->committer.lock);
    }
    status = check_judge(checker, status, false);
    if (status == STRATA_OK && tail->lost_end > 0)
        check_report(checker, STRATA_LOG_ERROR, false, tail->lost_object, 0,
                     "durable commits are missing");
    release(store->memory_allocator, tail, sizeof(*tail));
    return status;
}

static strata_status check_manifest(struct checker *checker)
{
    struct store *store = checker->store;
    struct manifests manifests;
    struct manifest manifest;
    struct arena arena;
    bool found = false;
    arena_init(&arena, store->memory_allocator, 1024);
    checker->object = LAYOUT_MANIFEST_FOLDER;
    mutex_lock(&store->publish_lock);
    strata_status status = manifests_load(&manifests, store->backend, store->memory_allocator,
                                          &arena, &found, &manifest);
    if (status == STRATA_OK && (!found || manifest.number != store->published.number))
        check_report(checker, STRATA_LOG_ERROR, false, LAYOUT_MANIFEST_FOLDER, 0,
                     "the manifest in use is not the newest that can be read");
    mutex_unlock(&store->publish_lock);
    arena_release(&arena);
    return check_judge(checker, status, false);
}

/* Holds all runs of the present set for the time of the check. */
static strata_status check_runs(struct checker *checker, struct epoch_slot *slot,
                                const strata_progress *progress)
{
    struct store *store = checker->store;
    strata_status status = STRATA_OK;
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    const uint32_t count = set->live_count + set->history_count;
    struct run **runs = allocate(store->memory_allocator, (count + 1) * sizeof(struct run *));
    for (uint32_t i = 0; runs != NULL && i < count; i++) {
        runs[i] = set->live[i];
        run_acquire(runs[i]);
    }
    epoch_leave(slot);
    if (runs == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to check %u runs", count);
    for (uint32_t i = 0; i < count && status == STRATA_OK; i++) {
        status = check_run(checker, runs[i]);
        if (status == STRATA_OK && progress != NULL &&
            progress->report(progress->context, "check", i + 1, count) != 0)
            status = failure(STRATA_INTERRUPTED, "the check was interrupted");
    }
    for (uint32_t i = 0; i < count; i++)
        run_drop(runs[i]);
    release(store->memory_allocator, runs, (count + 1) * sizeof(struct run *));
    return status;
}

strata_status store_check(struct store *store, struct epoch_slot *slot,
                          const strata_progress *progress,
                          void (*found)(void *context, const strata_finding *finding),
                          void *context)
{
    struct checker checker = {.store = store, .found = found, .context = context};
    if (!store->options.cache) {
        TRY(check_manifest(&checker));
        TRY(check_log(&checker));
    }
    TRY(check_runs(&checker, slot, progress));
    if (checker.errors > 0)
        return failure(STRATA_CORRUPT, "the check found %llu faults",
                       (unsigned long long)checker.errors);
    return STRATA_OK;
}
