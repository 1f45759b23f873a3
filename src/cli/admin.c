#define _XOPEN_SOURCE 700 /* realpath */

#include "cli/cli.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/fields.h"

/* ---- Check ---- */

struct findings {
    struct cli *cli;
    struct table table;
    uint64_t count;
};

static const char *severity_name(uint32_t severity)
{
    if (severity == STRATA_LOG_ERROR)
        return "error";
    return severity == STRATA_LOG_WARNING ? "warning" : "info";
}

static void finding_show(void *context, const strata_finding *finding)
{
    struct findings *findings = (struct findings *)context;
    findings->count++;
    cli_progress_clear();
    if (findings->cli->json) {
        struct json json = {0};
        json_begin(&json, NULL);
        json_text(&json, "severity", severity_name(finding->severity));
        json_bool(&json, "derived", finding->derived != 0);
        json_text(&json, "object", finding->object);
        json_count(&json, "offset", finding->offset);
        json_text(&json, "message", finding->message);
        json_end(&json);
        return;
    }
    table_text(&findings->table, severity_name(finding->severity));
    table_text(&findings->table, finding->object);
    table_count(&findings->table, finding->offset);
    table_text(&findings->table, finding->message);
}

int admin_check(struct cli *cli)
{
    static const char *const titles[] = {"SEVERITY", "OBJECT", "OFFSET", "MESSAGE"};
    static struct findings findings;
    findings.cli = cli;
    table_begin(&findings.table, cli->aligned, titles, 4);
    const strata_status status = strata_check(cli->db, cli_progress(), finding_show, &findings);
    cli_progress_clear();
    const int code = cli_result(status);
    table_end(&findings.table);
    if (cli->json) {
        struct json json = {0};
        json_begin(&json, NULL);
        json_text(&json, "status", strata_status_name(status));
        json_count(&json, "findings", findings.count);
        json_end(&json);
    } else if (code == CLI_OK) {
        puts("ok");
    }
    return code;
}

/* ---- Stats ---- */

static void metric_write_json(const strata_metric *metric)
{
    struct json json = {0};
    json_begin(&json, NULL);
    json_text(&json, "name", metric->name);
    json_number(&json, "value", metric->value);
    json_text(&json, "unit", metric->unit);
    if (metric->samples > 0) {
        json_count(&json, "samples", metric->samples);
        json_number(&json, "p50", metric->p50);
        json_number(&json, "p99", metric->p99);
        json_number(&json, "p999", metric->p999);
        json_number(&json, "maximum", metric->maximum);
    }
    json_text(&json, "description", metric->description);
    json_end(&json);
}

static void metric_tabulate(const strata_metric *metric, struct table *table)
{
    table_text(table, metric->name);
    table_number(table, metric->value);
    table_text(table, metric->unit);
    if (metric->samples == 0) {
        for (int i = 0; i < 5; i++)
            table_text(table, "-");
        return;
    }
    table_count(table, metric->samples);
    table_number(table, metric->p50);
    table_number(table, metric->p99);
    table_number(table, metric->p999);
    table_number(table, metric->maximum);
}

int admin_stats(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "VALUE", "UNIT", "SAMPLES",
                                         "P50",  "P99",   "P999", "MAXIMUM"};
    static struct table table;
    strata_metric metric;
    uint32_t index = 0;
    strata_status status;
    table_begin(&table, cli->aligned, titles, 8);
    while ((status = strata_metric_get(cli->db, index, &metric)) == STRATA_OK) {
        index++;
        if (cli->json)
            metric_write_json(&metric);
        else
            metric_tabulate(&metric, &table);
    }
    const int code = cli_result(status == STRATA_NOT_FOUND ? STRATA_OK : status);
    table_end(&table);
    return code;
}

/* ---- Maintenance ---- */

int admin_compact(struct cli *cli)
{
    const strata_status status = strata_compact(cli->db, cli_progress());
    cli_progress_clear();
    return cli_result(status);
}

int admin_checkpoint(struct cli *cli)
{
    return cli_result(strata_checkpoint(cli->db));
}

/* ---- Info ---- */

static void path_show(struct fields *fields, const char *path)
{
    char *whole = realpath(path, NULL);
    fields_text(fields, "path", whole != NULL ? whole : path);
    free(whole);
}

static void library_show(struct fields *fields)
{
    char text[NUMBER_TEXT_SIZE];
    const uint32_t number = strata_version();
    snprintf(text, sizeof(text), "%" PRIu32 ".%" PRIu32 ".%" PRIu32, number / 10000,
             number / 100 % 100, number % 100);
    fields_count(fields, "format_version", strata_format_version());
    fields_text(fields, "library_version", text);
    fields_text(fields, "build", strata_build_info());
}

static const char *health_name(uint32_t health)
{
    if (health == STRATA_HEALTHY)
        return "healthy";
    return health == STRATA_WRITES_HALTED ? "writes_halted" : "degraded";
}

/* The outcomes of recovery. Versions are ranges [first, end). */
static void recovery_show(struct fields *fields, const strata_report *report)
{
    fields_group(fields, "recovery");
    fields_count(fields, "replayed_commits", report->replayed_commits);
    fields_count(fields, "last_durable_version", report->last_durable_version);
    fields_count(fields, "unconfirmed_commits", report->unconfirmed_commits);
    fields_count(fields, "unknown_commits", report->unknown_commits);
    fields_count(fields, "lost_first_version", report->lost_first_version);
    fields_count(fields, "lost_end_version", report->lost_end_version);
    fields_text(fields, "lost_object", report->lost_object[0] != '\0' ? report->lost_object : NULL);
    fields_integer(fields, "clock_behind_us", report->clock_behind_us);
    fields_group_end(fields);
}

static void footprint_show(struct fields *fields, const strata_footprint *footprint)
{
    const bool reader = footprint->oldest_reader_us != 0;
    fields_group(fields, "footprint");
    fields_count(fields, "file_count", footprint->file_count);
    fields_count(fields, "live_bytes", footprint->live_bytes);
    fields_count(fields, "history_bytes", footprint->history_bytes);
    fields_count(fields, "derived_bytes", footprint->derived_bytes);
    fields_count(fields, "pinned_bytes", footprint->pinned_bytes);
    fields_count(fields, "dead_bytes", footprint->dead_bytes);
    fields_count(fields, "log_bytes", footprint->log_bytes);
    fields_count(fields, "other_bytes", footprint->other_bytes);
    fields_count(fields, "memory_bytes", footprint->memory_bytes);
    fields_count(fields, "held_value_bytes", footprint->held_value_bytes);
    fields_count(fields, "oldest_reader_version", footprint->oldest_reader_version);
    fields_time(fields, "oldest_reader_since", footprint->oldest_reader_us);
    fields_text(fields, "oldest_reader_label", reader ? footprint->oldest_reader_label : NULL);
    fields_group_end(fields);
}

int admin_info(struct cli *cli)
{
    static struct fields fields;
    strata_report report = {.size = sizeof(report)};
    strata_footprint footprint = {.size = sizeof(footprint)};
    strata_metric budget = {0};
    uint64_t head = 0, durable = 0;
    strata_status status = strata_open_report(cli->db, &report);
    if (status == STRATA_OK)
        status = strata_footprint_get(cli->db, &footprint);
    if (status != STRATA_OK)
        return cli_result(status);
    strata_watermarks(cli->db, &head, &durable);

    fields_begin(&fields, cli->json, cli->aligned);
    path_show(&fields, cli->database);
    library_show(&fields);
    fields_count(&fields, "head_version", head);
    fields_count(&fields, "durable_version", durable);
    fields_text(&fields, "health", health_name(report.health));
    if (strata_metric_find(cli->db, "memory.budget_bytes", &budget) == STRATA_OK)
        fields_count(&fields, "memory_budget_bytes", (uint64_t)budget.value);
    recovery_show(&fields, &report);
    footprint_show(&fields, &footprint);
    fields_end(&fields);
    return CLI_OK;
}

void admin_refused(struct cli *cli, const strata_report *report)
{
    static struct fields fields;
    fields_begin(&fields, cli->json, cli->aligned);
    path_show(&fields, cli->database);
    library_show(&fields);
    fields_text(&fields, "health", "refused");
    recovery_show(&fields, report);
    fields_end(&fields);
}
