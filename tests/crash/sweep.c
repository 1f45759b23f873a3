/* The long crash run.
 *
 *     sweep [--quick] [--seed N] [--only WORKLOAD] [--replay WORKLOAD:POINT] [--states-per-point N]
 *
 * Prints one line a workload and the totals; the exit status is 1 if there was a violation. The same
 * arguments give the same output but for the times. */
#include "crash/sweeper.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct arguments {
    struct sweep_options options;
    const struct workload *only;
};

static int usage(void)
{
    fprintf(stderr, "usage: sweep [--quick] [--seed N] [--only WORKLOAD] "
                    "[--replay WORKLOAD:POINT] [--states-per-point N]\n");
    return 2;
}

static bool parse_replay(const char *text, struct arguments *out)
{
    const char *colon = strchr(text, ':');
    const size_t size = colon == NULL ? strlen(text) : (size_t)(colon - text);
    out->only = workload_find(text, size);
    if (colon != NULL)
        out->options.only_point = strtol(colon + 1, NULL, 10);
    return out->only != NULL;
}

static bool parse(int count, char **texts, struct arguments *out)
{
    out->options = sweep_full(1);
    for (int i = 1; i < count; i++) {
        if (strcmp(texts[i], "--quick") == 0)
            out->options = sweep_quick(out->options.seed);
    }
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? texts[i + 1] : "";
        if (strcmp(texts[i], "--quick") == 0)
            continue;
        if (strcmp(texts[i], "--seed") == 0)
            out->options.seed = strtoull(value, NULL, 10);
        else if (strcmp(texts[i], "--states-per-point") == 0)
            out->options.states_per_point = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(texts[i], "--replay") != 0 && strcmp(texts[i], "--only") != 0)
            return false;
        else if (!parse_replay(value, out))
            return false;
        i++;
    }
    return true;
}

static void print_line(const char *name, const struct sweep_result *result)
{
    printf("%-14s %10llu %8llu %10llu %10llu %10llu %10llu\n", name,
           (unsigned long long)result->operations, (unsigned long long)result->points,
           (unsigned long long)result->subsets, (unsigned long long)result->states,
           (unsigned long long)result->compound, (unsigned long long)result->violations);
    fflush(stdout);
}

static void add_result(struct sweep_result *total, const struct sweep_result *result)
{
    total->operations += result->operations;
    total->points += result->points;
    total->subsets += result->subsets;
    total->states += result->states;
    total->compound += result->compound;
    total->violations += result->violations;
}

int main(int count, char **texts)
{
    struct arguments arguments = {.only = NULL};
    if (!parse(count, texts, &arguments))
        return usage();
    struct sweep_result total = {0};
    const time_t start = time(NULL);
    printf("seed %llu, at most %u survivors a crash point\n",
           (unsigned long long)arguments.options.seed, arguments.options.states_per_point);
    printf("%-14s %10s %8s %10s %10s %10s %10s\n", "workload", "operations", "points", "subsets",
           "states", "compound", "violations");
    for (size_t i = 0; i < WORKLOAD_COUNT; i++) {
        struct sweep_result result;
        if (arguments.only != NULL && arguments.only != &workloads[i])
            continue;
        sweep_workload(&workloads[i], &arguments.options, &result);
        print_line(workloads[i].name, &result);
        add_result(&total, &result);
    }
    print_line("total", &total);
    printf("%llu states, %llu violations, %ld seconds\n",
           (unsigned long long)(total.states + total.compound),
           (unsigned long long)total.violations, (long)(time(NULL) - start));
    return total.violations == 0 ? 0 : 1;
}
