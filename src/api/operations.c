#include "api/argument.h"

#include "engine/database/metrics.h"

enum { FOOTPRINT_FIRST_SIZE = offsetof(strata_footprint, other_bytes) };

strata_status strata_sync(strata *db)
{
    TRY(argument_db(db));
    return store_sync(db->storage.store);
}

strata_status strata_wait_durable(strata *db, uint64_t version, int64_t wait_us)
{
    int64_t wait;
    TRY(argument_db(db));
    TRY(argument_setting(wait_us, 0, INT64_MAX, "wait_us", &wait));
    return database_wait_durable(db, version, wait);
}

void strata_watermarks(const strata *db, uint64_t *visible_out, uint64_t *durable_out)
{
    uint64_t visible = 0, durable = 0;
    if (argument_db(db) == STRATA_OK)
        database_watermarks(db, &visible, &durable);
    if (visible_out != NULL)
        *visible_out = visible;
    if (durable_out != NULL)
        *durable_out = durable;
}

strata_status strata_maintain(strata *db, int64_t budget_us, strata_work *out)
{
    strata_work work = {.idle_us = STRATA_FOREVER};
    TRY(argument_db(db));
    if (budget_us < 0)
        return failure(STRATA_INVALID, "budget_us is negative");
    const strata_status status = store_maintain(db->storage.store, budget_us, &work);
    if (out != NULL && (status == STRATA_OK || status == STRATA_DONE))
        *out = work;
    return status;
}

strata_status strata_checkpoint(strata *db)
{
    TRY(argument_writable_db(db));
    return store_flush_all(db->storage.store);
}

strata_status strata_compact(strata *db, const strata_progress *progress)
{
    TRY(argument_writable_db(db));
    TRY(argument_progress(progress));
    return store_compact(db->storage.store, progress);
}

static void finding_ignored(void *context, const strata_finding *finding)
{
    (void)context, (void)finding;
}

strata_status strata_check(strata *db, const strata_progress *progress,
                           void (*found)(void *context, const strata_finding *finding),
                           void *context)
{
    TRY(argument_db(db));
    TRY(argument_progress(progress));
    return database_check(db, progress, found != NULL ? found : finding_ignored, context);
}

/* ---- measuring ---- */

strata_status strata_metric_get(const strata *db, uint32_t index, strata_metric *out)
{
    TRY(argument_db(db));
    TRY(argument_given(out, "out"));
    if (index >= metrics_count())
        return failure(STRATA_NOT_FOUND, "there are %u metrics", metrics_count());
    return metrics_read(db, index, out);
}

strata_status strata_metric_find(const strata *db, const char *name, strata_metric *out)
{
    strata_metric metric;
    TRY(argument_db(db));
    TRY(argument_given(name, "name"));
    TRY(argument_given(out, "out"));
    for (uint32_t i = 0; i < metrics_count(); i++) {
        metrics_describe(i, &metric);
        if (strcmp(metric.name, name) == 0)
            return metrics_read(db, i, out);
    }
    return failure(STRATA_NOT_FOUND, "there is no metric of that name");
}

strata_status strata_footprint_get(strata *db, strata_footprint *out)
{
    strata_footprint footprint = {.size = sizeof(footprint)};
    TRY(argument_db(db));
    TRY(argument_filled(out, FOOTPRINT_FIRST_SIZE, "out"));
    TRY(database_footprint(db, &footprint));
    fill_struct(out, &footprint, sizeof(footprint));
    return STRATA_OK;
}
