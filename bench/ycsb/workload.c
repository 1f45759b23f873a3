#include "workload.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mix.h"

/* ---- Random numbers ---- */

struct random {
    uint64_t state;
};

static uint64_t random_next(struct random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    return mixed(random->state);
}

static uint64_t random_below(struct random *random, uint64_t end)
{
    return random_next(random) % end;
}

static double random_share(struct random *random) /* [0, 1) */
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Ranks from 0, the frequent ones first. Source: J. Gray et al., Quickly Generating
 * Billion-Record Synthetic Databases (SIGMOD 1994), as in YCSB's ZipfianGenerator. */
struct zipfian {
    double items, theta, zeta, alpha, eta;
};

static const double ZIPFIAN_THETA = 0.99;

static double zeta_of(uint64_t items)
{
    double sum = 0;
    for (uint64_t i = 1; i <= items; i++)
        sum += 1 / pow((double)i, ZIPFIAN_THETA);
    return sum;
}

static struct zipfian zipfian_of(double items, double zeta)
{
    struct zipfian zipfian = {.items = items, .theta = ZIPFIAN_THETA, .zeta = zeta};
    const double zeta_of_two = 1 + pow(0.5, ZIPFIAN_THETA);
    zipfian.alpha = 1 / (1 - ZIPFIAN_THETA);
    zipfian.eta = (1 - pow(2 / items, 1 - ZIPFIAN_THETA)) / (1 - zeta_of_two / zeta);
    return zipfian;
}

static uint64_t zipfian_next(const struct zipfian *zipfian, struct random *random)
{
    const double u = random_share(random), uz = u * zipfian->zeta;
    if (uz < 1)
        return 0;
    if (uz < 1 + pow(0.5, zipfian->theta))
        return 1;
    return (uint64_t)(zipfian->items * pow(zipfian->eta * u - zipfian->eta + 1, zipfian->alpha));
}

/* YCSB scrambles a Zipfian over ten thousand million items onto the rows, so that the frequent rows
 * lie anywhere and stay frequent when rows are added. The second number is that one's zeta. */
static struct zipfian zipfian_scrambled(void)
{
    return zipfian_of(1e10, 26.46902820178302);
}

/* ---- Rows ---- */

static void key_fill(char out[KEY_BYTES], uint64_t row, uint64_t seed)
{
    uint64_t digits = mixed(row ^ seed);
    memcpy(out, "user", 4);
    for (size_t i = KEY_BYTES - 1; i >= 4; i--, digits /= 10)
        out[i] = (char)('0' + digits % 10);
}

static uint64_t value_hash(const char key[KEY_BYTES], uint64_t update)
{
    uint64_t words[KEY_BYTES / 8];
    memcpy(words, key, KEY_BYTES);
    return ((words[0] ^ words[1] * 0x9e3779b97f4a7c15u ^ words[2]) + update) * 0xbf58476d1ce4e5b9u;
}

static char filler[2 * VALUE_BYTES_MAX];

static void filler_init(void)
{
    struct random random = {1};
    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (char)(' ' + random_below(&random, 95));
}

/* Key, update, filler, hash of key and update. */
void value_fill(const char key[KEY_BYTES], uint64_t update, char *out, size_t size)
{
    assert(size >= VALUE_BYTES_MIN && size <= VALUE_BYTES_MAX);
    const uint64_t hash = value_hash(key, update);
    memcpy(out, key, KEY_BYTES);
    memcpy(out + KEY_BYTES, &update, 8);
    memcpy(out + KEY_BYTES + 8, filler + hash % VALUE_BYTES_MAX, size - KEY_BYTES - 16);
    memcpy(out + size - 8, &hash, 8);
}

bool value_is_of(const char key[KEY_BYTES], uint64_t update, size_t size, struct bytes value)
{
    const char *bytes = (const char *)value.data;
    uint64_t written, hash;
    if (value.size != size || memcmp(bytes, key, KEY_BYTES) != 0)
        return false;
    memcpy(&written, bytes + KEY_BYTES, 8);
    memcpy(&hash, bytes + size - 8, 8);
    return hash == value_hash(key, written) && (update == VALUE_ANY_UPDATE || update == written);
}

struct model *model_create(uint64_t rows_max, uint64_t seed)
{
    struct model *model = calloc(1, sizeof(*model));
    if (model == NULL)
        return NULL;
    filler_init();
    *model = (struct model){.rows_max = rows_max, .seed = mixed(seed)};
    model->updates = calloc(rows_max, sizeof(*model->updates));
    if (model->updates == NULL) {
        free(model);
        return NULL;
    }
    return model;
}

void model_destroy(struct model *model)
{
    if (model == NULL)
        return;
    free(model->updates);
    free(model);
}

/* ---- Workloads ---- */

enum distribution { SCRAMBLED, LATEST, UNIFORM };

/* Shares in percent; what is left are reads. */
static const struct workload {
    char name;
    uint8_t update, insert, scan, modify;
    enum distribution distribution;
    uint8_t batch;     /* Share of reads that go in batches. */
    uint8_t scan_rows; /* 0: drawn. */
} workloads[] = {
    {.name = 'L', .insert = 100},
    {.name = 'A', .update = 50},
    {.name = 'B', .update = 5},
    {.name = 'C'},
    {.name = 'D', .insert = 5, .distribution = LATEST},
    {.name = 'E', .insert = 5, .scan = 95},
    {.name = 'F', .modify = 50},
    {.name = 'S', .scan = 100, .scan_rows = 50},
    {.name = 'M', .batch = 100},
    {.name = 'P', .update = 100},
    {.name = 'U', .distribution = UNIFORM},
};

static const struct workload *workload_find(char name)
{
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (workloads[i].name == name)
            return &workloads[i];
    }
    return NULL;
}

int workload_write_share(char workload)
{
    const struct workload *found = workload_find(workload);
    return found == NULL ? -1 : found->update + found->insert + found->modify;
}

static enum operation_kind kind_draw(const struct workload *workload, struct random *random)
{
    const unsigned draw = (unsigned)random_below(random, 100);
    unsigned end = workload->update;
    if (draw < end)
        return OPERATION_UPDATE;
    end += workload->insert;
    if (draw < end)
        return OPERATION_INSERT;
    end += workload->scan;
    if (draw < end)
        return OPERATION_SCAN;
    end += workload->modify;
    if (draw < end)
        return OPERATION_MODIFY;
    return draw < end + workload->batch ? OPERATION_BATCH : OPERATION_READ;
}

/* One thread's drawing. Rows it has inserted itself are there; those of other threads may not be
 * yet, so they are not drawn. */
struct drawing {
    const struct workload *workload;
    struct random random;
    struct zipfian zipfian;
    uint64_t rows_before; /* There before the run. */
    uint64_t insert_first;
    uint64_t inserted; /* By this thread in this run. */
};

static uint64_t row_draw(struct drawing *drawing)
{
    if (drawing->workload->distribution == UNIFORM)
        return random_below(&drawing->random, drawing->rows_before);
    const uint64_t rank = zipfian_next(&drawing->zipfian, &drawing->random);
    if (drawing->workload->distribution == SCRAMBLED)
        return mixed(rank + 1) % drawing->rows_before;
    if (rank < drawing->inserted)
        return drawing->insert_first + drawing->inserted - 1 - rank;
    const uint64_t back = (rank - drawing->inserted) % drawing->rows_before;
    return drawing->rows_before - 1 - back;
}

static void operation_draw(struct drawing *drawing, struct model *model, struct operation *out)
{
    const enum operation_kind kind = kind_draw(drawing->workload, &drawing->random);
    uint64_t row;
    out->kind = (uint16_t)kind;
    out->scan_rows = (uint16_t)(1 + random_below(&drawing->random, SCAN_ROWS_MAX));
    if (drawing->workload->scan_rows > 0)
        out->scan_rows = drawing->workload->scan_rows;
    if (kind == OPERATION_INSERT) {
        if (model->rows_next >= model->rows_max)
            abort(); /* run.c has counted wrong. */
        row = model->rows_next++;
        drawing->inserted++;
    } else {
        row = row_draw(drawing);
    }
    key_fill(out->key, row, model->seed);
    out->read_update = model->updates[row];
    if (kind == OPERATION_UPDATE || kind == OPERATION_MODIFY)
        model->updates[row]++;
    out->write_update = model->updates[row];
}

struct operation *operations_create(struct model *model, char workload, uint64_t count,
                                    unsigned thread, unsigned threads, uint64_t *count_out)
{
    const uint64_t mine = count / threads + (thread < count % threads ? 1 : 0);
    struct operation *operations = calloc(mine + 1, sizeof(*operations));
    struct drawing drawing = {.workload = workload_find(workload)};
    if (operations == NULL)
        return NULL;
    if (thread == 0) {
        model->rows = model->rows_next;
        model->draws++;
    }
    drawing.rows_before = model->rows;
    drawing.insert_first = model->rows_next;
    drawing.random.state =
        mixed(model->seed + (uint64_t)workload * 1000 + thread + model->draws * 1000003);
    assert(drawing.workload != NULL && (drawing.rows_before > 0 || workload == 'L'));
    if (drawing.workload->distribution == LATEST)
        drawing.zipfian = zipfian_of((double)model->rows, zeta_of(model->rows));
    else
        drawing.zipfian = zipfian_scrambled();

    for (uint64_t i = 0; i < mine; i++)
        operation_draw(&drawing, model, &operations[i]);
    *count_out = mine;
    return operations;
}
