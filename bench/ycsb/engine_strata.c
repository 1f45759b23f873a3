#include "engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "strata.h"

enum { STRATA_BATCH_MAX = 16 };

struct strata_session {
    strata_txn *txn;
    strata_value value;                    /* Of the last get. */
    strata_value values[STRATA_BATCH_MAX]; /* Of the last get of many. */
};

static int strata_failure(const char *call, strata_status status)
{
    fprintf(stderr, "strata: %s: %s: %s\n", call, strata_status_name(status),
            strata_error_message());
    return -1;
}

static void strata_describe(const struct settings *settings, char *out, size_t capacity)
{
    const uint32_t number = strata_version();
    snprintf(out, capacity,
             "%" PRIu32 ".%" PRIu32 ".%" PRIu32 ", durability %s, every version kept, memory budget"
             " %" PRIu64 " MiB, else defaults (%s)",
             number / 10000, number / 100 % 100, number % 100,
             settings->synced ? "always" : "standard", settings->budget_bytes >> 20,
             strata_build_info());
}

static int strata_engine_open(const struct settings *settings, void **database_out)
{
    const strata_open_options options = {
        .size = sizeof(options),
        .durability = settings->synced ? STRATA_ALWAYS : STRATA_STANDARD,
        .memory_budget_bytes = settings->budget_bytes,
    };
    strata *db = NULL;
    const strata_status status = strata_open(settings->folder, &options, &db);
    if (status != STRATA_OK)
        return strata_failure("open", status);
    *database_out = db;
    return 0;
}

static int strata_settle(void *database)
{
    const int64_t slice_us = 100000;
    strata_work work = {.backlog_bytes = 1};
    strata_status status = strata_checkpoint((strata *)database);
    while (status == STRATA_OK && work.backlog_bytes > 0)
        status = strata_maintain((strata *)database, slice_us, &work);
    return status == STRATA_OK || status == STRATA_DONE ? 0 : strata_failure("maintain", status);
}

static int strata_rest(void *database)
{
    const strata_status status = strata_compact((strata *)database, NULL);
    return status == STRATA_OK || status == STRATA_DONE ? strata_settle(database)
                                                        : strata_failure("compact", status);
}

static uint64_t metric_of(void *database, const char *name)
{
    strata_metric metric;
    const strata_status status = strata_metric_find((strata *)database, name, &metric);
    return status == STRATA_OK ? (uint64_t)metric.value : 0;
}

/* An allocator of ours would not be the default one, which is what is measured. */
static uint64_t strata_heap_peak(void *database)
{
    return metric_of(database, "memory.peak_bytes");
}

static uint64_t strata_own_writes(void *database)
{
    return metric_of(database, "wal.bytes") + metric_of(database, "flush.bytes") +
           metric_of(database, "merge.bytes");
}

static int strata_engine_close(void *database)
{
    const strata_status status = strata_close((strata *)database);
    return status == STRATA_OK ? 0 : strata_failure("close", status);
}

static int strata_session_open(void *database, void **session_out)
{
    struct strata_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -1;
    const strata_status status = strata_txn_auto((strata *)database, "main", &session->txn);
    if (status != STRATA_OK) {
        free(session);
        return strata_failure("auto", status);
    }
    *session_out = session;
    return 0;
}

static void strata_session_close(void *session)
{
    struct strata_session *own = (struct strata_session *)session;
    strata_value_release(&own->value);
    for (size_t i = 0; i < STRATA_BATCH_MAX; i++)
        strata_value_release(&own->values[i]);
    strata_txn_close(own->txn);
    free(own);
}

static int strata_put(void *session, struct bytes key, struct bytes value)
{
    const struct strata_session *own = (const struct strata_session *)session;
    const strata_status status = strata_kv_put(own->txn, NULL, strata_view(key.data, key.size),
                                               strata_view(value.data, value.size));
    return status == STRATA_OK ? 0 : strata_failure("put", status);
}

static int strata_get(void *session, struct bytes key, struct bytes *value_out)
{
    struct strata_session *own = (struct strata_session *)session;
    const strata_status status =
        strata_kv_get(own->txn, NULL, strata_view(key.data, key.size), &own->value);
    if (status == STRATA_NOT_FOUND)
        return 0;
    if (status != STRATA_OK)
        return strata_failure("get", status);
    *value_out = (struct bytes){own->value.data, own->value.size};
    return 1;
}

static int strata_get_many(void *session, const struct bytes *keys, size_t count,
                           struct bytes *values)
{
    struct strata_session *own = (struct strata_session *)session;
    strata_bytes raw[STRATA_BATCH_MAX] = {{NULL, 0}};
    for (size_t i = 0; i < count; i++)
        raw[i] = strata_view(keys[i].data, keys[i].size);
    const strata_status status = strata_kv_get_many(own->txn, NULL, raw, count, own->values);
    if (status != STRATA_OK)
        return strata_failure("get_many", status);
    for (size_t i = 0; i < count; i++)
        values[i] = (struct bytes){own->values[i].data, own->values[i].size};
    return 0;
}

static int strata_scan(void *session, struct bytes first, unsigned rows,
                       const struct visitor *visitor)
{
    const struct strata_session *own = (const struct strata_session *)session;
    const strata_scan_options options = {
        .size = sizeof(options), .first = strata_view(first.data, first.size), .limit = rows};
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status = strata_kv_scan(own->txn, NULL, &options, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &row)) == STRATA_OK)
        visitor->row(visitor->context, (struct bytes){row.key.data, row.key.size},
                     (struct bytes){row.value.data, row.value.size});
    strata_cursor_close(cursor);
    return status == STRATA_DONE ? 0 : strata_failure("scan", status);
}

const struct engine engine_strata = {
    .name = "strata",
    .describe = strata_describe,
    .open = strata_engine_open,
    .settle = strata_settle,
    .rest = strata_rest,
    .close = strata_engine_close,
    .session_open = strata_session_open,
    .session_close = strata_session_close,
    .put = strata_put,
    .get = strata_get,
    .get_many = strata_get_many,
    .scan = strata_scan,
    .heap_peak_bytes = strata_heap_peak,
    .own_write_bytes = strata_own_writes,
};
