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

static void rounds_json(const struct comparison *comparison, size_t engine, size_t phase,
                        enum measure measure, FILE *file)
{
    for (size_t round = 0; round < comparison->round_count; round++)
        fprintf(file, "%s%.1f", round > 0 ? "," : "",
                nanoseconds(&comparison->results[engine][round].phases[phase], measure));
}

static void ratios_json(const struct comparison *comparison, size_t phase, FILE *file)
{
    fputs(",\"ratios\":{", file);
    for (size_t peer = 1; peer < comparison->engine_count; peer++) {
        const double penalty = comparison->engines[peer]->build_penalty;
        const double cpu = ratio_of(comparison, peer, phase, MEASURE_CPU);
        const double wall = ratio_of(comparison, peer, phase, MEASURE_WALL);
        fprintf(file, "%s\"%s\":{\"cpu\":%.3f,\"wall\":%.3f", peer > 1 ? "," : "",
                comparison->engines[peer]->name, cpu, wall);
        if (penalty > 0)
            fprintf(file, ",\"build_penalty\":%.2f,\"cpu_corrected\":%.3f,\"wall_corrected\":%.3f",
                    penalty, cpu / penalty, wall / penalty);
        fputs("}", file);
    }
    fputs("}", file);
}

void report_json(const struct comparison *comparison, FILE *file)
{
    const struct plan *plan = comparison->plan;
    for (size_t phase = 0; plan->workloads[phase] != '\0'; phase++) {
        for (size_t engine = 0; engine < comparison->engine_count; engine++) {
            const struct run_result *last =
                &comparison->results[engine][comparison->round_count - 1];
            fprintf(file,
                    "{\"workload\":\"%c\",\"engine\":\"%s\",\"value_bytes\":%zu,\"threads\":%u,"
                    "\"synced\":%s,\"rows\":%" PRIu64 ",\"operations\":%" PRIu64
                    ",\"cpu_ns\":%.1f,\"wall_ns\":%.1f,\"cpu_ns_rounds\":[",
                    plan->workloads[phase], comparison->engines[engine]->name, plan->value_bytes,
                    plan->threads, plan->synced ? "true" : "false", plan->rows,
                    last->phases[phase].operations,
                    median_of(comparison, engine, phase, MEASURE_CPU),
                    median_of(comparison, engine, phase, MEASURE_WALL));
            rounds_json(comparison, engine, phase, MEASURE_CPU, file);
            fputs("],\"wall_ns_rounds\":[", file);
            rounds_json(comparison, engine, phase, MEASURE_WALL, file);
            fprintf(file,
                    "],\"settle_s\":%.3f,\"hits\":%" PRIu64 ",\"rows_scanned\":%" PRIu64
                    ",\"wrong\":%" PRIu64 ",\"disk_bytes\":%" PRIu64 ",\"memory_bytes\":%" PRIu64,
                    last->phases[phase].settle_s, last->phases[phase].hits,
                    last->phases[phase].rows_scanned, last->phases[phase].wrong, last->disk_bytes,
                    last->memory_bytes);
            if (engine == 0 && comparison->engine_count > 1)
                ratios_json(comparison, phase, file);
            fputs("}\n", file);
        }
    }
    fflush(file);
}

/* ---- Tables ---- */

static const char *workload_title(char workload)
{
    static const char *const titles[] = {"L load",        "A 50 % update", "B 5 % update", "C read",
                                         "D read latest", "E short scans", "F modify 50 %"};
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

static void sizes_table(const struct comparison *comparison, FILE *file)
{
    fprintf(file, "\n%-16s", "MiB, last round");
    for (size_t i = 0; i < comparison->engine_count; i++)
        fprintf(file, "%14s", comparison->engines[i]->name);
    fprintf(file, "\n%-16s", "on disk");
    for (size_t i = 0; i < comparison->engine_count; i++)
        fprintf(file, "%14" PRIu64,
                comparison->results[i][comparison->round_count - 1].disk_bytes >> 20);
    fprintf(file, "\n%-16s", "resident, most");
    for (size_t i = 0; i < comparison->engine_count; i++)
        fprintf(file, "%14" PRIu64,
                comparison->results[i][comparison->round_count - 1].memory_bytes >> 20);
    fputc('\n', file);
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
        char settings[512];
        run_describe(comparison->engines[i], plan, settings, sizeof(settings));
        fprintf(file, "   %s: %s\n", comparison->engines[i]->name, settings);
    }
    figures_table(comparison, MEASURE_CPU, file);
    figures_table(comparison, MEASURE_WALL, file);
    sizes_table(comparison, file);
    fflush(file);
}

/* ---- Faults ---- */

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
    return faults;
}
