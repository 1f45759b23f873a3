#include "bench.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mix.h"
#include "common/process.h"

/* ---- Options ---- */

static void usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--scale smoke|quick|full] [--part NAME] [--dir DIR] [--json FILE]\n"
            "  --scale  how much: smoke only checks answers (quick)\n"
            "  --part   one part, by the name that its title begins with (all)\n"
            "  --dir    where databases are made and removed (.)\n"
            "  --json   JSON lines\n",
            name);
    exit(2);
}

static enum scale scale_of(const char *name, const char *word)
{
    if (strcmp(word, "smoke") == 0)
        return SCALE_SMOKE;
    if (strcmp(word, "quick") == 0)
        return SCALE_QUICK;
    if (strcmp(word, "full") != 0)
        usage(name);
    return SCALE_FULL;
}

void bench_begin(struct bench *bench, const char *name, int count, char **words)
{
    *bench = (struct bench){.name = name, .scale = SCALE_QUICK, .folder = "."};
    for (int i = 1; i < count; i += 2) {
        if (i + 1 == count)
            usage(name);
        if (strcmp(words[i], "--scale") == 0)
            bench->scale = scale_of(name, words[i + 1]);
        else if (strcmp(words[i], "--part") == 0)
            bench->part = words[i + 1];
        else if (strcmp(words[i], "--dir") == 0)
            bench->folder = words[i + 1];
        else if (strcmp(words[i], "--json") == 0)
            bench->json = fopen(words[i + 1], "w");
        else
            usage(name);
        if (strcmp(words[i], "--json") == 0 && bench->json == NULL)
            usage(name);
    }
    printf("%s: libstrata %s, durability standard unless said, every version kept, default options "
           "but for the budget and a counting allocator\n",
           name, strata_build_info());
}

int bench_end(struct bench *bench)
{
    if (bench->json != NULL)
        fclose(bench->json);
    if (bench->faults > 0)
        printf("%" PRIu64 " FAULTS: these figures are worth nothing.\n", bench->faults);
    return bench->faults > 0 ? 1 : 0;
}

bool bench_part(const struct bench *bench, const char *name, const char *title)
{
    if (bench->part != NULL && strcmp(bench->part, name) != 0)
        return false;
    printf("\n== %s: %s\n", name, title);
    fflush(stdout);
    return true;
}

uint64_t bench_size(const struct bench *bench, uint64_t smoke, uint64_t quick, uint64_t full)
{
    const uint64_t sizes[] = {smoke, quick, full};
    return sizes[bench->scale];
}

/* ---- Figures ---- */

void bench_value(struct bench *bench, const char *unit, double value, const char *format, ...)
{
    char name[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    printf("%-60s %14.6g %s\n", name, value, unit);
    fflush(stdout);
    if (bench->json != NULL)
        fprintf(bench->json, "{\"bench\":\"%s\",\"case\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"}\n",
                bench->name, name, value, unit);
}

void bench_missing(struct bench *bench, const char *name, const char *reason)
{
    printf("%-60s %14s %s\n", name, "missing:", reason);
    if (bench->json != NULL)
        fprintf(bench->json, "{\"bench\":\"%s\",\"case\":\"%s\",\"missing\":\"%s\"}\n", bench->name,
                name, reason);
}

void bench_check(struct bench *bench, bool right, const char *what)
{
    if (right)
        return;
    bench->faults++;
    printf("FAULT: %s\n", what);
    if (bench->json != NULL)
        fprintf(bench->json, "{\"bench\":\"%s\",\"fault\":\"%s\"}\n", bench->name, what);
}

static int double_order(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), double_order);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* ---- The database ---- */

void must(strata_status status, const char *call)
{
    if (status == STRATA_OK)
        return;
    printf("%s: %s: %s\n", call, strata_status_name(status), strata_error_message());
    exit(1);
}

void bench_create(struct bench *bench, uint64_t budget_bytes, bool synced)
{
    if (folder_make(bench->folder, bench->name, bench->path, sizeof(bench->path)) != 0)
        exit(1);
    bench->budget_bytes = budget_bytes;
    bench_open(bench, synced);
}

void bench_open(struct bench *bench, bool synced)
{
    bench->heap = calloc(1, sizeof(*bench->heap));
    if (bench->heap == NULL)
        exit(1);
    heap_init(bench->heap);
    const strata_open_options options = {
        .size = sizeof(options),
        .durability = synced ? STRATA_ALWAYS : STRATA_STANDARD,
        .memory_budget_bytes = bench->budget_bytes,
        .background_threads = bench->alone ? STRATA_NONE : 0,
        .allocator = bench->library_heap ? NULL : &bench->heap->allocator,
    };
    process_resident_peak_reset();
    bench->resident_before = process_resident_bytes();
    must(strata_open(bench->path, &options, &bench->db), "open");
    must(strata_txn_auto(bench->db, "main", &bench->main), "auto");
}

uint64_t bench_heap_peak(struct bench *bench)
{
    return bench->library_heap ? (uint64_t)bench_metric(bench, "memory.peak_bytes")
                               : atomic_load(&bench->heap->peak_bytes);
}

void bench_close(struct bench *bench)
{
    char what[128];
    const uint64_t peak = bench_heap_peak(bench);
    strata_txn_close(bench->main);
    bench->main = NULL;
    must(strata_close(bench->db), "close");
    bench->db = NULL;
    snprintf(what, sizeof(what), "%" PRIu64 " bytes of heap were live, with a budget of %" PRIu64,
             peak, bench->budget_bytes);
    bench_check(bench, peak <= bench->budget_bytes, what);
    bench_check(bench, atomic_load(&bench->heap->live_bytes) == 0, "heap is live after the close");
    free(bench->heap);
    bench->heap = NULL;
}

void bench_remove(struct bench *bench)
{
    folder_remove(bench->path);
}

void bench_settle(struct bench *bench)
{
    strata_status status = strata_checkpoint(bench->db);
    while (status == STRATA_OK)
        status = strata_maintain(bench->db, 100000, NULL);
    must(status == STRATA_DONE ? STRATA_OK : status, "settle");
}

/* Objects go a little after the compaction that made them needless. */
void bench_rest(struct bench *bench)
{
    enum { LOOK_EVERY_MS = 100, SAME_LOOKS = 5, LOOKS_MAX = 100 };
    const strata_status status = strata_compact(bench->db, NULL);
    must(status == STRATA_DONE ? STRATA_OK : status, "compact");
    bench_settle(bench);
    uint64_t files = folder_measure(bench->path).files;
    for (int same = 0, looks = 0; same < SAME_LOOKS && looks < LOOKS_MAX; same++, looks++) {
        clock_sleep_ms(LOOK_EVERY_MS);
        const uint64_t now = folder_measure(bench->path).files;
        same = now == files ? same : -1;
        files = now;
    }
}

double bench_metric(const struct bench *bench, const char *name)
{
    strata_metric metric;
    must(strata_metric_find(bench->db, name, &metric), name);
    return metric.value;
}

strata_txn *bench_branch(const struct bench *bench, const char *format, uint64_t number)
{
    char name[64];
    strata_txn *txn = NULL;
    snprintf(name, sizeof(name), "%s-%" PRIu64, format, number);
    must(strata_txn_auto(bench->db, name, &txn), "auto");
    return txn;
}

strata_txn *bench_snapshot(const struct bench *bench, uint64_t version)
{
    strata_txn *txn = NULL;
    must(strata_txn_snapshot(bench->db, strata_at_version("main", version), &txn), "snapshot");
    return txn;
}

/* ---- Rows ---- */

uint64_t row_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return mixed(*state);
}

void row_key(uint64_t row, char out[ROW_KEY_BYTES])
{
    uint64_t digits = mixed(row + 1);
    memcpy(out, "user", 4);
    for (size_t i = ROW_KEY_BYTES - 1; i >= 4; i--, digits /= 10)
        out[i] = (char)('0' + digits % 10);
}

/* Row, update, hash of both, filler. */
static void value_fill(uint64_t row, uint64_t update, char *out, size_t size)
{
    const uint64_t words[3] = {row, update, mixed(row * 31 + update)};
    assert(size >= ROW_VALUE_BYTES_MIN && size <= ROW_VALUE_BYTES_MAX);
    for (size_t i = sizeof(words); i < size; i += 8) {
        const uint64_t filler = words[2] * (i + 1);
        memcpy(out + i, &filler, size - i < 8 ? size - i : 8);
    }
    memcpy(out, words, sizeof(words));
}

static bool value_is_right(strata_bytes value, uint64_t *row_out, uint64_t *update_out)
{
    uint64_t words[3];
    if (value.size < sizeof(words))
        return false;
    memcpy(words, value.data, sizeof(words));
    *row_out = words[0];
    *update_out = words[1];
    return words[2] == mixed(words[0] * 31 + words[1]);
}

void row_put(strata_txn *txn, uint64_t row, uint64_t update, size_t size)
{
    char key[ROW_KEY_BYTES], value[ROW_VALUE_BYTES_MAX];
    row_key(row, key);
    value_fill(row, update, value, size);
    must(strata_kv_put(txn, NULL, strata_view(key, sizeof(key)), strata_view(value, size)), "put");
}

void rows_load(struct bench *bench, uint64_t first, uint64_t count, size_t size)
{
    enum { LOAD_BATCH = 64 };
    static char keys[LOAD_BATCH][ROW_KEY_BYTES], values[LOAD_BATCH][ROW_VALUE_BYTES_MAX];
    strata_kv_write writes[LOAD_BATCH] = {{.ttl_us = 0}};
    const uint64_t batch_most = bench->budget_bytes < (8u << 20) ? 8 : LOAD_BATCH;
    for (uint64_t done = 0; done < count;) {
        const uint64_t batch = count - done < batch_most ? count - done : batch_most;
        for (uint64_t i = 0; i < batch; i++) {
            row_key(first + done + i, keys[i]);
            value_fill(first + done + i, 0, values[i], size);
            writes[i].key = strata_view(keys[i], ROW_KEY_BYTES);
            writes[i].value = strata_view(values[i], size);
        }
        must(strata_kv_put_many(bench->main, NULL, writes, (size_t)batch), "put_many");
        done += batch;
    }
}

bool row_get_any(strata_txn *txn, uint64_t row, strata_value *value, uint64_t *update_out)
{
    char key[ROW_KEY_BYTES];
    uint64_t found = 0;
    row_key(row, key);
    const strata_status status = strata_kv_get(txn, NULL, strata_view(key, sizeof(key)), value);
    if (status == STRATA_NOT_FOUND)
        return false;
    must(status, "get");
    return value_is_right(strata_value_view(value), &found, update_out) && found == row;
}

bool row_get(strata_txn *txn, uint64_t row, uint64_t update, strata_value *value)
{
    uint64_t found = 0;
    return row_get_any(txn, row, value, &found) && found == update;
}

uint64_t row_scan(strata_txn *txn, uint64_t row, uint64_t limit, uint64_t first, uint64_t last)
{
    char key[ROW_KEY_BYTES], before[ROW_KEY_BYTES];
    row_key(row, key);
    memcpy(before, key, sizeof(before));
    const strata_scan_options options = {
        .size = sizeof(options), .first = strata_view(key, sizeof(key)), .limit = limit};
    strata_cursor *cursor = NULL;
    strata_row found;
    uint64_t rows = 0, wrong = 0;
    strata_status status = strata_kv_scan(txn, NULL, &options, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &found)) == STRATA_OK) {
        uint64_t number = 0, update = 0;
        const int order =
            found.key.size == sizeof(before) ? memcmp(found.key.data, before, sizeof(before)) : -1;
        const bool right =
            value_is_right(found.value, &number, &update) && update >= first && update <= last;
        wrong += !right || order < 0 || (order == 0 && rows > 0) || (rows == 0 && number != row);
        if (order >= 0)
            memcpy(before, found.key.data, sizeof(before));
        rows++;
    }
    strata_cursor_close(cursor);
    must(status == STRATA_DONE ? STRATA_OK : status, "scan");
    return wrong == 0 && rows <= limit ? rows : 0;
}
