#include "api/argument.h"

#include "core/clock.h"
#include "core/random.h"

#include <assert.h>
#include <stddef.h>

enum {
    THREADS_DEFAULT = 2,
    LOCK_WAIT_DEFAULT_US = 5 * 1000 * 1000,
    SYNC_INTERVAL_DEFAULT_MS = 100,
    MEMORY_BUDGET_MIN = 1 << 20
};

/* Sizes of the growing structs in the first version of this library. */
enum {
    OPEN_OPTIONS_FIRST_SIZE = sizeof(strata_open_options),
    REPORT_FIRST_SIZE = sizeof(strata_report),
    BACKEND_FIRST_SIZE = offsetof(strata_backend, ring)
};

static_assert(offsetof(strata_open_options, reserved) + sizeof(void *) ==
                  sizeof(strata_open_options),
              "no padding at the end of a struct that grows");

static strata_status open_check_backend(const strata_backend *backend)
{
    if (backend == NULL)
        return STRATA_OK;
    TRY(argument_filled(backend, BACKEND_FIRST_SIZE, "options.backend"));
    if (backend->reserved != 0)
        return failure(STRATA_INVALID, "options.backend.reserved is not 0");
    const bool complete = backend->create != NULL && backend->open != NULL &&
                          backend->close != NULL && backend->read != NULL &&
                          backend->append != NULL && backend->sync != NULL &&
                          backend->sync_names != NULL && backend->remove != NULL &&
                          backend->list != NULL && backend->lock != NULL && backend->unlock != NULL;
    return complete ? STRATA_OK
                    : failure(STRATA_INVALID, "options.backend lacks one of its functions");
}

static strata_status open_check_injected(const strata_open_options *options)
{
    if (options->allocator != NULL && options->allocator->resize == NULL)
        return failure(STRATA_INVALID, "options.allocator.resize is NULL");
    const strata_clock *clock = options->clock;
    if (clock != NULL &&
        (clock->wall_us == NULL || clock->monotonic_us == NULL || clock->wait == NULL))
        return failure(STRATA_INVALID, "options.clock lacks one of its functions");
    if (options->logger != NULL && options->logger->write == NULL)
        return failure(STRATA_INVALID, "options.logger.write is NULL");
    if (options->reserved != NULL)
        return failure(STRATA_INVALID, "options.reserved is not NULL");
    TRY(argument_progress(options->progress));
    return open_check_backend(options->backend);
}

static strata_status open_check_numbers(const strata_open_options *options,
                                        struct store_options *out)
{
    int64_t threads, interval_ms;
    TRY(argument_number(options->mode, STRATA_OPEN_READ_ONLY, "options.mode"));
    TRY(argument_number(options->durability, STRATA_CACHE, "options.durability"));
    TRY(argument_number(options->lossy, 1, "options.lossy"));
    TRY(argument_setting(options->background_threads, THREADS_DEFAULT, STORE_THREADS_MAX,
                         "options.background_threads", &threads));
    TRY(argument_setting(options->lock_wait_us, LOCK_WAIT_DEFAULT_US, STRATA_FOREVER,
                         "options.lock_wait_us", &out->lock_wait_us));
    TRY(argument_setting(options->sync_interval_ms, SYNC_INTERVAL_DEFAULT_MS, INT32_MAX,
                         "options.sync_interval_ms", &interval_ms));
    if (options->memory_budget_bytes != 0 && options->memory_budget_bytes < MEMORY_BUDGET_MIN)
        return failure(STRATA_INVALID, "options.memory_budget_bytes is below 1 MiB");
    out->background_threads = (int)threads;
    out->sync_interval_us = interval_ms * 1000;
    return STRATA_OK;
}

/* ":memory:" is no place, unless a backend says what its name means. */
static strata_status open_check_place(const char *path, struct store_options *out)
{
    if (strcmp(path, ":memory:") != 0 || out->backend != NULL)
        return STRATA_OK;
    if (out->mode == STRATA_OPEN_EXISTING || out->mode == STRATA_OPEN_READ_ONLY)
        return failure(STRATA_NOT_FOUND, "a database in memory is always a new one");
    out->cache = true;
    return STRATA_OK;
}

static strata_status open_options(const char *path, const strata_open_options *given,
                                  struct store_options *out)
{
    strata_open_options options;
    TRY(argument_options(given, OPEN_OPTIONS_FIRST_SIZE, &options, sizeof(options), "options"));
    TRY(open_check_numbers(&options, out));
    TRY(open_check_injected(&options));
    out->path = path;
    out->mode = (strata_open_mode)options.mode;
    out->cache = options.durability == STRATA_CACHE;
    out->always = options.durability == STRATA_ALWAYS;
    out->lossy = options.lossy != 0;
    out->memory_budget =
        options.memory_budget_bytes != 0 ? options.memory_budget_bytes : database_default_budget();
    out->seed = options.seed != 0 ? options.seed : random_system_seed();
    out->allocator = options.allocator;
    out->clock = options.clock != NULL ? options.clock : clock_system();
    out->logger = options.logger;
    out->progress = options.progress;
    out->backend = options.backend;
    return open_check_place(path, out);
}

strata_status strata_open(const char *path, const strata_open_options *options, strata **out)
{
    struct store_options checked = {.path = path};
    TRY(argument_given(path, "path"));
    TRY(argument_given(out, "out"));
    if (path[0] == '\0')
        return failure(STRATA_INVALID, "path is empty");
    TRY(open_options(path, options, &checked));
    return database_open(&checked, out);
}

strata_status strata_close(strata *db)
{
    if (db == NULL)
        return STRATA_OK;
    TRY(argument_db(db));
    return database_close(db);
}

strata_status strata_open_report(strata *db, strata_report *out)
{
    strata_report report = {.size = 0};
    TRY(argument_filled(out, REPORT_FIRST_SIZE, "out"));
    if (db == NULL) {
        store_refused_report(&report);
    } else {
        TRY(argument_db(db));
        report = db->storage.store->report;
        if (atomic_load(&db->storage.store->committer.halted))
            report.health = STRATA_WRITES_HALTED;
    }
    fill_struct(out, &report, sizeof(report));
    return STRATA_OK;
}
