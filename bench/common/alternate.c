#include "alternate.h"

#include <assert.h>

#include "common/clock.h"

enum { ROUNDS_MAX = 32 };

static uint64_t read_wrong(const struct reader *reader, uint64_t row, uint64_t number,
                           strata_value *value)
{
    uint64_t update = reader->update, found = 0;
    strata_txn *txn = reader->txn;
    if (reader->scan > 0) {
        const bool any = update == READER_ANY_UPDATE;
        const uint64_t last = reader->update_last > update ? reader->update_last : update;
        return row_scan(txn, row, reader->scan, any ? 0 : update, any ? UINT64_MAX : last) == 0;
    }
    if (reader->moment_count > 0) {
        const uint64_t moment = number % reader->moment_count;
        txn = reader->moments[moment];
        update = reader->moment_first + moment * reader->moment_step;
    }
    if (!row_get_any(txn, row, value, &found))
        return 1;
    return update != READER_ANY_UPDATE && found != update;
}

static double round_ns(struct bench *bench, const struct reader *reader, uint64_t operations,
                       uint64_t seed)
{
    strata_value value = {0};
    uint64_t wrong = 0, state = seed;
    const double begin = clock_thread_cpu_seconds();
    for (uint64_t i = 0; i < operations; i++) {
        const uint64_t drawn = row_random(&state);
        const uint64_t row = reader->only != READER_EVERY_ROW ? reader->only : drawn % reader->rows;
        wrong += read_wrong(reader, row, drawn >> 32, &value);
    }
    const double seconds = clock_thread_cpu_seconds() - begin;
    strata_value_release(&value);
    bench_check(bench, wrong == 0, "reads gave wrong answers");
    return seconds * 1e9 / (double)operations;
}

void alternate(struct bench *bench, const struct reader *readers, size_t count, uint64_t operations,
               uint64_t rounds, double *ns_out)
{
    double ns[ALTERNATE_WAYS_MAX][ROUNDS_MAX];
    assert(count <= ALTERNATE_WAYS_MAX && rounds < ROUNDS_MAX && operations > 0);
    for (uint64_t round = 0; round <= rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            const size_t way = round % 2 == 0 ? i : count - 1 - i;
            const double found = round_ns(bench, &readers[way], operations, round);
            if (round > 0)
                ns[way][round - 1] = found;
        }
    }
    for (size_t i = 0; i < count; i++)
        ns_out[i] = bench_median(ns[i], (size_t)rounds);
}
