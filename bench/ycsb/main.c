/* ycsb: libstrata and its peers side by side in one run. See README.md. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static const struct engine *const engines[] = {
#ifdef YCSB_STRATA
    &engine_strata,
#endif
#ifdef YCSB_LMDB
    &engine_lmdb,
#endif
#ifdef YCSB_ROCKSDB
    &engine_rocksdb,
    &engine_rocksdb_mmap,
#endif
#ifdef YCSB_LEVELDB
    &engine_leveldb,
#endif
#ifdef YCSB_SQLITE
    &engine_sqlite,
#endif
#ifdef YCSB_WIREDTIGER
    &engine_wiredtiger,
#endif
    NULL,
};

/* Every engine there could be, with the Debian package that it needs. */
static const char *const known[][2] = {
    {"strata", ""},
    {"lmdb", "liblmdb-dev"},
    {"rocksdb", "librocksdb-dev"},
    {"rocksdb-mmap", "librocksdb-dev"},
    {"leveldb", "libleveldb-dev"},
    {"sqlite", "libsqlite3-dev"},
    {"wiredtiger", "libwiredtiger-dev"},
};

enum { CASES_MAX = 8, KNOWN = sizeof(known) / sizeof(known[0]) };

struct options {
    const struct engine *engines[ENGINES_MAX];
    size_t engine_count;
    char workloads[PHASES_MAX + 1];
    uint64_t rows[CASES_MAX]; /* For each value size; the last one goes on. */
    size_t row_count;
    uint64_t value_bytes[CASES_MAX];
    size_t value_count;
    uint64_t threads[CASES_MAX];
    size_t thread_count;
    uint64_t synced[CASES_MAX]; /* 0 or 1 */
    size_t synced_count;
    uint64_t operations;
    uint64_t synced_operations;
    uint64_t write_bytes;
    uint64_t rounds;
    uint64_t round_first;
    const char *bench;
    const char *label;
    bool tight;
    uint64_t budget_bytes;
    uint64_t seed;
    const char *folder;
    FILE *json;
    uint64_t faults;
};

static void usage(FILE *file)
{
    fputs("usage: ycsb [options]\n"
          "  --engines LIST      of",
          file);
    for (size_t i = 0; engines[i] != NULL; i++)
        fprintf(file, "%s %s", i > 0 ? "," : "", engines[i]->name);
    fputs(
        "; ratios are of the first (all)\n"
        "  --workloads LIST    of load, A, B, C, D, E, F and S (scans of 50 rows, settled data),\n"
        "                      M (reads in batches of 16), P (puts), U (uniform reads), run in "
        "the\n"
        "                      order given (load to F)\n"
        "  --rows LIST         rows loaded, for each value size (200000)\n"
        "  --ops N             operations of each workload (200000)\n"
        "  --sync-ops N        the same where writes are synced (1000)\n"
        "  --value-bytes LIST  (100)\n"
        "  --threads LIST      (1)\n"
        "  --sync LIST         of off, on (off)\n"
        "  --write-mib N       a workload that writes goes on until it wrote so much (0)\n"
        "  --rounds N          of every engine, in turn; medians are shown (3)\n"
        "  --round-first N     the number of the first round, from 0; odd ones go backwards (0)\n"
        "  --budget MIB        memory for each engine (1024)\n"
        "  --tight LIST        on: inside a control group that holds little more than that (off)\n"
        "  --bench NAME        what JSON lines call this benchmark (ycsb)\n"
        "  --label WORD        goes into the name of each case in JSON lines\n"
        "  --dir DIR           where databases are made and removed (.)\n"
        "  --json FILE         JSON lines, - for stdout\n"
        "  --seed N            (1)\n"
        "  --full              2000000 rows of 100 bytes and 1000000 of 1024, 1000000 operations,\n"
        "                      1 and 2 threads, both ways of sync, 4096 MiB; options after it "
        "hold\n",
        file);
}

/* ---- Options ---- */

static int refuse(const char *what, const char *text)
{
    fprintf(stderr, "ycsb: %s: %s\n", what, text);
    usage(stderr);
    return -1;
}

static int number_read(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || text[0] == '-')
        return refuse("not a number", text);
    *out = number;
    return 0;
}

/* Copies the next word of a list with commas to `out`; moves *list past it. False at the end. */
static bool word_next(const char **list, char *out, size_t capacity)
{
    const size_t size = strcspn(*list, ",");
    if (size == 0 || size >= capacity)
        return false;
    memcpy(out, *list, size);
    out[size] = '\0';
    *list += size + ((*list)[size] == ',');
    return true;
}

static int numbers_read(const char *list, uint64_t *out, size_t *count_out)
{
    char word[32];
    size_t count = 0;
    while (count < CASES_MAX && word_next(&list, word, sizeof(word))) {
        if (strcmp(word, "off") == 0 || strcmp(word, "on") == 0)
            out[count] = strcmp(word, "on") == 0;
        else if (number_read(word, &out[count]) != 0)
            return -1;
        count++;
    }
    *count_out = count;
    return *list == '\0' && count > 0 ? 0 : refuse("not a list of numbers", list);
}

static int engines_read(const char *list, struct options *out)
{
    char word[32];
    out->engine_count = 0;
    while (out->engine_count < ENGINES_MAX && word_next(&list, word, sizeof(word))) {
        size_t i = 0, name = 0;
        while (engines[i] != NULL && strcmp(engines[i]->name, word) != 0)
            i++;
        while (name < KNOWN && strcmp(known[name][0], word) != 0)
            name++;
        if (name == KNOWN)
            return refuse("no such engine", word);
        if (engines[i] != NULL)
            out->engines[out->engine_count++] = engines[i];
    }
    return *list == '\0' && out->engine_count > 0 ? 0 : refuse("not a list of engines", list);
}

static int workloads_read(const char *list, struct options *out)
{
    char word[32];
    size_t count = 0;
    while (count < PHASES_MAX && word_next(&list, word, sizeof(word))) {
        const char name = strcmp(word, "load") == 0 ? 'L' : word[0];
        if ((name != 'L' && word[1] != '\0') || workload_write_share(name) < 0)
            return refuse("no such workload", word);
        if (name == 'L' && count > 0)
            return refuse("the load comes first", word);
        out->workloads[count++] = name;
    }
    out->workloads[count] = '\0';
    return *list == '\0' && count > 0 ? 0 : refuse("not a list of workloads", list);
}

static void full_set(struct options *out)
{
    static const uint64_t rows[] = {2000000, 1000000}, values[] = {100, 1024};
    static const uint64_t threads[] = {1, 2}, synced[] = {0, 1};
    memcpy(out->rows, rows, sizeof(rows));
    memcpy(out->value_bytes, values, sizeof(values));
    memcpy(out->threads, threads, sizeof(threads));
    memcpy(out->synced, synced, sizeof(synced));
    out->row_count = out->value_count = out->thread_count = out->synced_count = 2;
    out->operations = 1000000;
    out->budget_bytes = (uint64_t)4096 << 20;
}

static int json_open(const char *name, struct options *out)
{
    out->json = strcmp(name, "-") == 0 ? stdout : fopen(name, "w");
    return out->json != NULL ? 0 : refuse(name, strerror(errno));
}

static int mebibytes_read(const char *text, uint64_t *out)
{
    const int status = number_read(text, out);
    *out <<= 20;
    return status;
}

static int word_option_read(const char *name, const char *value, struct options *out)
{
    if (strcmp(name, "--budget") == 0)
        return mebibytes_read(value, &out->budget_bytes);
    if (strcmp(name, "--write-mib") == 0)
        return mebibytes_read(value, &out->write_bytes);
    if (strcmp(name, "--dir") == 0)
        out->folder = value;
    else if (strcmp(name, "--bench") == 0)
        out->bench = value;
    else if (strcmp(name, "--label") == 0)
        out->label = value;
    else if (strcmp(name, "--tight") == 0)
        out->tight = strcmp(value, "on") == 0;
    else
        return refuse("no such option", name);
    return 0;
}

static int option_read(const char *name, const char *value, struct options *out)
{
    if (strcmp(name, "--engines") == 0)
        return engines_read(value, out);
    if (strcmp(name, "--workloads") == 0)
        return workloads_read(value, out);
    if (strcmp(name, "--rows") == 0)
        return numbers_read(value, out->rows, &out->row_count);
    if (strcmp(name, "--value-bytes") == 0)
        return numbers_read(value, out->value_bytes, &out->value_count);
    if (strcmp(name, "--threads") == 0)
        return numbers_read(value, out->threads, &out->thread_count);
    if (strcmp(name, "--sync") == 0)
        return numbers_read(value, out->synced, &out->synced_count);
    if (strcmp(name, "--ops") == 0)
        return number_read(value, &out->operations);
    if (strcmp(name, "--sync-ops") == 0)
        return number_read(value, &out->synced_operations);
    if (strcmp(name, "--rounds") == 0)
        return number_read(value, &out->rounds);
    if (strcmp(name, "--round-first") == 0)
        return number_read(value, &out->round_first);
    if (strcmp(name, "--seed") == 0)
        return number_read(value, &out->seed);
    if (strcmp(name, "--json") == 0)
        return json_open(value, out);
    return word_option_read(name, value, out);
}

static int options_check(const struct options *options)
{
    if (options->engine_count == 0)
        return refuse("no engine is built in", "--engines");
    if (options->rounds == 0 || options->rounds > ROUNDS_MAX)
        return refuse("out of range", "--rounds");
    if (options->operations == 0 || options->synced_operations == 0)
        return refuse("out of range", "--ops");
    for (size_t i = 0; i < options->row_count; i++) {
        if (options->rows[i] == 0)
            return refuse("out of range", "--rows");
    }
    for (size_t i = 0; i < options->value_count; i++) {
        if (options->value_bytes[i] < VALUE_BYTES_MIN || options->value_bytes[i] > VALUE_BYTES_MAX)
            return refuse("48 to 65536", "--value-bytes");
    }
    for (size_t i = 0; i < options->thread_count; i++) {
        if (options->threads[i] == 0 || options->threads[i] > THREADS_MAX)
            return refuse("out of range", "--threads");
    }
    return 0;
}

static int options_read(int count, char **words, struct options *out)
{
    *out = (struct options){
        .workloads = "LABCDEF",
        .rows = {200000},
        .row_count = 1,
        .value_bytes = {100},
        .value_count = 1,
        .threads = {1},
        .thread_count = 1,
        .synced_count = 1,
        .operations = 200000,
        .synced_operations = 1000,
        .rounds = 3,
        .budget_bytes = (uint64_t)1024 << 20,
        .seed = 1,
        .folder = ".",
        .bench = "ycsb",
        .label = "",
    };
    for (size_t i = 0; engines[i] != NULL; i++)
        out->engines[out->engine_count++] = engines[i];
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--full") == 0) {
            full_set(out);
            continue;
        }
        if (strcmp(words[i], "--help") == 0) {
            usage(stdout);
            exit(0);
        }
        if (i + 1 == count)
            return refuse("needs a value, or is not an option", words[i]);
        if (option_read(words[i], words[i + 1], out) != 0)
            return -1;
        i++;
    }
    return options_check(out);
}

/* ---- Running ---- */

/* A peer that is not built in is said, and counted as missing by whoever reads the JSON lines. */
static void missing_report(const struct options *options)
{
    for (size_t name = 0; name < KNOWN; name++) {
        size_t i = 0;
        while (engines[i] != NULL && strcmp(engines[i]->name, known[name][0]) != 0)
            i++;
        if (engines[i] != NULL)
            continue;
        fprintf(stderr, "%s: not built in, needs %s: skipped\n", known[name][0], known[name][1]);
        if (options->json != NULL)
            fprintf(options->json, "{\"bench\":\"%s\",\"skipped\":\"%s\"}\n", options->bench,
                    known[name][0]);
    }
}

/* Where writes are synced, workloads that hardly write would show nothing of it. */
static void plan_workloads(struct plan *plan, const char *workloads)
{
    const int write_share_min = plan->synced ? 25 : 0;
    size_t count = 0;
    for (size_t i = 0; workloads[i] != '\0'; i++) {
        if (workload_write_share(workloads[i]) >= write_share_min)
            plan->workloads[count++] = workloads[i];
    }
    plan->workloads[count] = '\0';
}

static int compare(struct options *options, const struct plan *plan)
{
    static struct comparison comparison;
    comparison.plan = plan;
    comparison.engines = options->engines;
    comparison.engine_count = options->engine_count;
    comparison.bench = options->bench;
    comparison.round_first = options->round_first;
    comparison.round_count = (size_t)options->rounds;
    for (size_t round = 0; round < comparison.round_count; round++) {
        for (size_t i = 0; i < comparison.engine_count; i++) {
            /* Every other round goes backwards, so that no engine always follows the same one. */
            const bool forward = (round + options->round_first) % 2 == 0;
            const size_t engine = forward ? i : comparison.engine_count - 1 - i;
            fprintf(stderr, "round %zu of %zu: %s\n", round + 1, comparison.round_count,
                    options->engines[engine]->name);
            if (run(options->engines[engine], plan, &comparison.results[engine][round]) != 0)
                return -1;
        }
    }
    options->faults += report_faults(&comparison, stderr);
    if (options->json != NULL)
        report_json(&comparison, options->json);
    report_table(&comparison, options->json == stdout ? stderr : stdout);
    return 0;
}

static int compare_all(struct options *options)
{
    for (size_t value = 0; value < options->value_count; value++) {
        const size_t rows = value < options->row_count ? value : options->row_count - 1;
        for (size_t thread = 0; thread < options->thread_count; thread++) {
            for (size_t sync = 0; sync < options->synced_count; sync++) {
                const bool synced = options->synced[sync] != 0;
                struct plan plan = {
                    .parent_folder = options->folder,
                    .label = options->label,
                    .write_bytes = synced ? 0 : options->write_bytes,
                    .tight = options->tight,
                    .rows = options->rows[rows],
                    .operations = synced ? options->synced_operations : options->operations,
                    .value_bytes = (size_t)options->value_bytes[value],
                    .threads = (unsigned)options->threads[thread],
                    .synced = synced,
                    .budget_bytes = options->budget_bytes,
                    .seed = options->seed + options->round_first,
                };
                plan_workloads(&plan, options->workloads);
                if (plan.workloads[0] != '\0' && compare(options, &plan) != 0)
                    return -1;
            }
        }
    }
    return 0;
}

int main(int count, char **words)
{
    static struct options options;
    if (options_read(count, words, &options) != 0)
        return 2;
    missing_report(&options);
    if (compare_all(&options) != 0)
        return 1;

    FILE *text = options.json == stdout ? stderr : stdout;
    const char *note = NULL;
    fputs("\nx: throughput of the first engine over the peer's; above 1 the first is faster.\n"
          "CPU is that of all threads until all is flushed and background work has ended; wall is "
          "the operations' alone.\n",
          text);
    for (size_t i = 0; i < options.engine_count; i++) {
        if (options.engines[i]->note != NULL && options.engines[i]->note != note) {
            note = options.engines[i]->note;
            fprintf(text, "WARNING: %s, as (in brackets).\n", note);
        }
    }
    if (options.faults > 0)
        fprintf(text, "%" PRIu64 " FAULTS: these figures are worth nothing.\n", options.faults);
    return options.faults > 0 ? 1 : 0;
}
