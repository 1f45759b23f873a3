#include "engine/database/metrics.h"

#include "engine/database/usage.h"

#include <assert.h>

/* What most metrics are taken from. */
struct metric_source {
    const strata *db;
    const struct store *store;
    const struct store_counters *counters;
    struct database_usage usage;
};

struct metric_class {
    const char *name;
    const char *description;
    const char *unit;
    double (*read)(const struct metric_source *source); /* NULL: the histogram of commits. */
};

static double number_of(const _Atomic uint64_t *counter)
{
    return (double)atomic_load_explicit(counter, memory_order_relaxed);
}

static double metric_commits(const struct metric_source *source)
{
    return number_of(&source->store->committer.commit_count);
}

static double metric_conflicts(const struct metric_source *source)
{
    return number_of(&source->store->committer.conflict_count);
}

static double metric_flushes(const struct metric_source *source)
{
    return number_of(&source->counters->flushes);
}

static double metric_flush_bytes(const struct metric_source *source)
{
    return number_of(&source->counters->flush_bytes);
}

static double metric_merges(const struct metric_source *source)
{
    return number_of(&source->counters->merges);
}

static double metric_merge_bytes(const struct metric_source *source)
{
    return number_of(&source->counters->merge_bytes);
}

static double metric_merge_input(const struct metric_source *source)
{
    return number_of(&source->counters->merge_input_bytes);
}

static double metric_wal_bytes(const struct metric_source *source)
{
    return source->store->logged ? number_of(&source->store->wal.bytes_appended) : 0;
}

static double metric_wal_syncs(const struct metric_source *source)
{
    return source->store->logged ? number_of(&source->store->wal.sync_count) : 0;
}

static double metric_hits(const struct metric_source *source)
{
    return (double)cache_hits(&source->store->cache);
}

static double metric_misses(const struct metric_source *source)
{
    return (double)cache_misses(&source->store->cache);
}

static double metric_pinned(const struct metric_source *source)
{
    return (double)cache_pinned_bytes(&source->store->cache);
}

static double metric_budget(const struct metric_source *source)
{
    return (double)source->store->profile.budget;
}

static double metric_live_memory(const struct metric_source *source)
{
    return (double)database_memory(source->db);
}

static double metric_peak_memory(const struct metric_source *source)
{
    const size_t structs = sizeof(*source->store) + sizeof(*source->db);
    return (double)structs + (double)source->store->wal.ring.size +
           (double)atomic_load(&source->store->memory.peak_bytes) +
           (double)atomic_load(&source->db->memory.peak_bytes);
}

static double metric_held(const struct metric_source *source)
{
    return (double)value_holds_bytes(&source->db->holds);
}

static double metric_stalls(const struct metric_source *source)
{
    return number_of(&source->counters->stalls);
}

static double metric_stall_us(const struct metric_source *source)
{
    return number_of(&source->counters->stall_us);
}

static double metric_stall_longest(const struct metric_source *source)
{
    return number_of(&source->counters->stall_us_max);
}

static double metric_user_bytes(const struct metric_source *source)
{
    return number_of(&source->store->committer.user_bytes);
}

static double metric_amplification(const struct metric_source *source)
{
    const double user = metric_user_bytes(source);
    const double written =
        metric_wal_bytes(source) + metric_flush_bytes(source) + metric_merge_bytes(source);
    return user > 0 ? written / user : 0;
}

static double metric_rows_merged(const struct metric_source *source)
{
    return number_of(&source->counters->rows_merged);
}

static double metric_rows_dropped(const struct metric_source *source)
{
    return number_of(&source->counters->rows_dropped);
}

static double metric_objects_removed(const struct metric_source *source)
{
    return number_of(&source->counters->objects_removed);
}

static double metric_live_runs(const struct metric_source *source)
{
    return source->usage.live_runs;
}

static double metric_history_runs(const struct metric_source *source)
{
    return source->usage.history_runs;
}

static double metric_memtables(const struct metric_source *source)
{
    return (double)source->usage.memtable_bytes;
}

static double metric_backlog(const struct metric_source *source)
{
    return (double)source->usage.backlog_bytes;
}

static double metric_transactions(const struct metric_source *source)
{
    return number_of(&source->db->txn_count);
}

static const struct metric_class metric_classes[] = {
    {"commit.count", "commits made", "count", metric_commits},
    {"commit.conflicts", "commits refused because another came first", "count", metric_conflicts},
    {"commit.latency_us", "from the call of a commit to its return", "us", NULL},
    {"flush.count", "memtables written out", "count", metric_flushes},
    {"flush.bytes", "bytes written by flushes", "bytes", metric_flush_bytes},
    {"merge.count", "merges finished", "count", metric_merges},
    {"merge.bytes", "bytes written by merges", "bytes", metric_merge_bytes},
    {"merge.input_bytes", "bytes that merges read", "bytes", metric_merge_input},
    {"wal.bytes", "bytes appended to the log", "bytes", metric_wal_bytes},
    {"wal.syncs", "syncs of the log", "count", metric_wal_syncs},
    {"cache.hits", "frames found in memory", "count", metric_hits},
    {"cache.misses", "frames read", "count", metric_misses},
    {"cache.pinned_bytes", "bytes of frames that are in use", "bytes", metric_pinned},
    {"memory.budget_bytes", "what the heap may come to", "bytes", metric_budget},
    {"memory.live_bytes", "heap in use", "bytes", metric_live_memory},
    {"memory.peak_bytes", "the most heap that was in use", "bytes", metric_peak_memory},
    {"memory.held_value_bytes", "bytes of values that are held", "bytes", metric_held},
    {"stall.count", "writers that waited for memory", "count", metric_stalls},
    {"stall.total_us", "what they waited in all", "us", metric_stall_us},
    {"stall.longest_us", "the longest that one waited", "us", metric_stall_longest},
    {"write.user_bytes", "keys and values committed", "bytes", metric_user_bytes},
    {"write.amplification", "bytes written for each byte of keys and values", "ratio",
     metric_amplification},
    {"rows.merged", "rows that merges read", "count", metric_rows_merged},
    {"rows.dropped", "rows that merges left out", "count", metric_rows_dropped},
    {"objects.removed", "objects removed", "count", metric_objects_removed},
    {"runs.live", "runs of newest rows", "count", metric_live_runs},
    {"runs.history", "runs of older versions", "count", metric_history_runs},
    {"memtable.bytes", "memory of memtables", "bytes", metric_memtables},
    {"backlog.bytes", "bytes that wait for a flush", "bytes", metric_backlog},
    {"transaction.open", "transactions that are open", "count", metric_transactions},
};

uint32_t metrics_count(void)
{
    return sizeof(metric_classes) / sizeof(metric_classes[0]);
}

void metrics_describe(uint32_t index, strata_metric *out)
{
    assert(index < metrics_count());
    const struct metric_class *class = &metric_classes[index];
    *out = (strata_metric){
        .name = class->name, .description = class->description, .unit = class->unit};
}

static void metric_read_commits(const strata *db, strata_metric *out)
{
    struct latency_summary summary;
    latency_summarize(&db->commits, &summary);
    out->samples = summary.samples;
    out->value = summary.mean;
    out->p50 = summary.p50;
    out->p99 = summary.p99;
    out->p999 = summary.p999;
    out->maximum = summary.maximum;
}

strata_status metrics_read(const strata *db, uint32_t index, strata_metric *out)
{
    strata_metric metric;
    metrics_describe(index, &metric);
    struct metric_source source = {
        .db = db, .store = db->storage.store, .counters = &db->storage.store->counters};
    TRY(database_usage(db->storage.store, &source.usage));
    if (metric_classes[index].read == NULL)
        metric_read_commits(db, &metric);
    else
        metric.value = metric_classes[index].read(&source);
    *out = metric;
    return STRATA_OK;
}
