#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Medians ---- */

enum measure { MEASURE_CPU, MEASURE_WALL };

static double nanoseconds(const struct phase_result *phase, enum measure measure)
{
    const double seconds = measure == MEASURE_CPU ? phase->cpu_s : phase->wall_s;
    return seconds * 1e9 / (double)phase->operations;
}

static int double_order(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), double_order);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double median_of(const struct comparison *comparison, size_t engine, size_t phase,
                        enum measure measure)
{
    double values[ROUNDS_MAX];
    for (size_t round = 0; round < comparison->round_count; round++)
        values[round] = nanoseconds(&comparison->results[engine][round].phases[phase], measure);
    return median(values, comparison->round_count);
}

/* How many times the throughput of `engine` the first engine's is. */
static double ratio_of(const struct comparison *comparison, size_t engine, size_t phase,
                       enum measure measure)
{
    return median_of(comparison, engine, phase, measure) / median_of(comparison, 0, phase, measure);
}

/* ---- JSON ---- */

/* "A 100B t1", "A long 100B t1", "P synced 100B t8" */
static void case_name(const struct plan *plan, char workload, char *out, size_t capacity)
{
    snprintf(out, capacity, "%c%s%s%s %zuB t%u", workload, plan->label[0] != '\0' ? " " : "",
             plan->label, plan->synced ? " synced" : "", plan->value_bytes, plan->threads);
}

static void result_json(const struct comparison *comparison, size_t phase, size_t engine,
                        size_t round, FILE *file)
{
    char name[64];
    const struct plan *plan = comparison->plan;
    const struct run_result *run = &comparison->results[engine][round];
    const struct phase_result *found = &run->phases[phase];
    case_name(plan, plan->workloads[phase], name, sizeof(name));
    fprintf(file,
            "{\"bench\":\"%s\",\"case\":\"%s\",\"engine\":\"%s\",\"round\":%" PRIu64
            ",\"value_bytes\":%zu,\"threads\":%u,\"synced\":%s,\"rows\":%" PRIu64
            ",\"budget_bytes\":%" PRIu64 ",\"operations\":%" PRIu64,
            comparison->bench, name, comparison->engines[engine]->name,
            comparison->round_first + round, plan->value_bytes, plan->threads,
            plan->synced ? "true" : "false", plan->rows, plan->budget_bytes, found->operations);
    fprintf(file,
            ",\"cpu_ns\":%.1f,\"wall_ns\":%.1f,\"p50_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f,"
            "\"most_ns\":%.0f,\"settle_s\":%.3f,\"hits\":%" PRIu64 ",\"rows_scanned\":%" PRIu64
            ",\"wrong\":%" PRIu64,
            nanoseconds(found, MEASURE_CPU), nanoseconds(found, MEASURE_WALL), found->p50_ns,
            found->p99_ns, found->p999_ns, found->most_ns, found->settle_s, found->hits,
            found->rows_scanned, found->wrong);
    fprintf(file,
            ",\"write_bytes\":%" PRIu64 ",\"own_write_bytes\":%" PRIu64 ",\"device_reads\":%" PRIu64
            ",\"disk_bytes\":%" PRIu64 ",\"memory_bytes\":%" PRIu64 ",\"heap_peak_bytes\":%" PRIu64
            "}\n",
            found->write_bytes, found->own_write_bytes, found->device_reads, run->disk_bytes,
            run->memory_bytes, run->heap_peak_bytes);
}

static void settings_json(const struct comparison *comparison, size_t engine, FILE *file)
{
    char settings[640];
    run_describe(comparison->engines[engine], comparison->plan, settings, sizeof(settings));
    fprintf(file, "{\"bench\":\"%s\",\"engine\":\"%s\",\"synced\":%s,\"settings\":\"%s\"}\n",
            comparison->bench, comparison->engines[engine]->name,
            comparison->plan->synced ? "true" : "false", settings);
}

void report_json(const struct comparison *comparison, FILE *file)
{
    for (size_t engine = 0; engine < comparison->engine_count; engine++) {
        settings_json(comparison, engine, file);
        for (size_t phase = 0; comparison->plan->workloads[phase] != '\0'; phase++) {
            for (size_t round = 0; round < comparison->round_count; round++)
                result_json(comparison, phase, engine, round, file);
        }
    }
    fflush(file);
}

/* ---- Tables ---- */

static const char *workload_title(char workload)
{
    static const char *const titles[] = {"L load",        "A 50 % update",  "B 5 % update",
                                         "C read",        "D read latest",  "E short scans",
                                         "F modify 50 %", "S settled scan", "M batch of 16",
                                         "P put",         "U uniform read"};
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (titles[i][0] == workload)
            return titles[i];
    }
    return "?";
}

static void figures_table(const struct comparison *comparison, enum measure measure, FILE *file)
{
    fprintf(file, "\n%-16s", measure == MEASURE_CPU ? "CPU ns/operation" : "wall ns/oper.");
    for (size_t i = 0; i < comparison->engine_count; i++)
        fprintf(file, "%14s", comparison->engines[i]->name);
    for (size_t i = 1; i < comparison->engine_count; i++)
        fprintf(file, "   x %-14s", comparison->engines[i]->name);
    fputc('\n', file);
    for (size_t phase = 0; comparison->plan->workloads[phase] != '\0'; phase++) {
        fprintf(file, "%-16s", workload_title(comparison->plan->workloads[phase]));
        for (size_t i = 0; i < comparison->engine_count; i++)
            fprintf(file, "%14.0f", median_of(comparison, i, phase, measure));
        for (size_t i = 1; i < comparison->engine_count; i++) {
            const double ratio = ratio_of(comparison, i, phase, measure);
            const double penalty = comparison->engines[i]->build_penalty;
            char corrected[32] = "";
            if (penalty > 0)
                snprintf(corrected, sizeof(corrected), "(%.2f)", ratio / penalty);
            fprintf(file, "   %6.2f %-9s", ratio, corrected);
        }
        fputc('\n', file);
    }
}

static void row_begin(const struct comparison *comparison, const char *title, FILE *file)
{
    fprintf(file, "\n%-16s", title);
    for (size_t i = 0; i < comparison->engine_count; i++)
        fprintf(file, "%14s", comparison->engines[i]->name);
    fputc('\n', file);
}

static void latency_table(const struct comparison *comparison, FILE *file)
{
    const size_t round = comparison->round_count - 1;
    fprintf(file, "\n%-16s", "p50/p99/p99.9 us");
    for (size_t i = 0; i < comparison->engine_count; i++)
        fprintf(file, "%22s", comparison->engines[i]->name);
    fputc('\n', file);
    for (size_t phase = 0; comparison->plan->workloads[phase] != '\0'; phase++) {
        fprintf(file, "%-16s", workload_title(comparison->plan->workloads[phase]));
        for (size_t i = 0; i < comparison->engine_count; i++) {
            const struct phase_result *found = &comparison->results[i][round].phases[phase];
            char text[64];
            snprintf(text, sizeof(text), "%.1f/%.1f/%.0f", found->p50_ns * 1e-3,
                     found->p99_ns * 1e-3, found->p999_ns * 1e-3);
            fprintf(file, "%22s", text);
        }
        fputc('\n', file);
    }
}

static void sizes_table(const struct comparison *comparison, FILE *file)
{
    enum { SIZES = 4 };
    static const char *const titles[SIZES] = {"on disk", "resident, grown", "heap, most",
                                              "written"};
    row_begin(comparison, "MiB, last round", file);
    for (size_t size = 0; size < SIZES; size++) {
        fprintf(file, "%-16s", titles[size]);
        for (size_t i = 0; i < comparison->engine_count; i++) {
            const struct run_result *run = &comparison->results[i][comparison->round_count - 1];
            uint64_t written = 0;
            for (size_t phase = 0; comparison->plan->workloads[phase] != '\0'; phase++)
                written += run->phases[phase].write_bytes;
            const uint64_t bytes[SIZES] = {run->disk_bytes, run->memory_bytes, run->heap_peak_bytes,
                                           written};
            fprintf(file, "%14" PRIu64, bytes[size] >> 20);
        }
        fputc('\n', file);
    }
}

void report_table(const struct comparison *comparison, FILE *file)
{
    const struct plan *plan = comparison->plan;
    fprintf(file,
            "\n== %zu-byte values, %" PRIu64 " rows, %" PRIu64 " operations, %u thread%s, %s, "
            "median of %zu round%s\n",
            plan->value_bytes, plan->rows, plan->operations, plan->threads,
            plan->threads == 1 ? "" : "s", plan->synced ? "synced" : "not synced",
            comparison->round_count, comparison->round_count == 1 ? "" : "s");
    for (size_t i = 0; i < comparison->engine_count; i++) {
        char settings[640];
        run_describe(comparison->engines[i], plan, settings, sizeof(settings));
        fprintf(file, "   %s: %s\n", comparison->engines[i]->name, settings);
    }
    figures_table(comparison, MEASURE_CPU, file);
    figures_table(comparison, MEASURE_WALL, file);
    latency_table(comparison, file);
    sizes_table(comparison, file);
    fflush(file);
}

/* ---- Faults ---- */

/* Live heap must never have been more than the budget. */
static uint64_t heap_faults(const struct comparison *comparison, FILE *file)
{
    uint64_t faults = 0;
    for (size_t engine = 0; engine < comparison->engine_count; engine++) {
        for (size_t round = 0; round < comparison->round_count; round++) {
            const uint64_t peak = comparison->results[engine][round].heap_peak_bytes;
            if (peak <= comparison->plan->budget_bytes)
                continue;
            faults++;
            fprintf(file, "FAULT: %s, round %zu: %" PRIu64 " bytes of heap, budget %" PRIu64 "\n",
                    comparison->engines[engine]->name, round + 1, peak,
                    comparison->plan->budget_bytes);
        }
    }
    return faults;
}

uint64_t report_faults(const struct comparison *comparison, FILE *file)
{
    uint64_t faults = 0;
    const bool comparable = comparison->plan->threads == 1;
    for (size_t phase = 0; comparison->plan->workloads[phase] != '\0'; phase++) {
        const struct phase_result *first = &comparison->results[0][0].phases[phase];
        for (size_t engine = 0; engine < comparison->engine_count; engine++) {
            for (size_t round = 0; round < comparison->round_count; round++) {
                const struct phase_result *found =
                    &comparison->results[engine][round].phases[phase];
                const bool differs = found->hits != first->hits ||
                                     (comparable && found->rows_scanned != first->rows_scanned);
                if (found->wrong == 0 && !differs)
                    continue;
                faults++;
                fprintf(file,
                        "FAULT: %s, workload %c, round %zu: %" PRIu64 " wrong answers, %" PRIu64
                        " hits, %" PRIu64 " rows scanned (%s: %" PRIu64 ", %" PRIu64 ")\n",
                        comparison->engines[engine]->name, comparison->plan->workloads[phase],
                        round + 1, found->wrong, found->hits, found->rows_scanned,
                        comparison->engines[0]->name, first->hits, first->rows_scanned);
            }
        }
    }
    return faults + heap_faults(comparison, file);
}
