/* Readers beside writers, forks, flushes and merges: what a snapshot shows is one moment, does not
 * change, and moments only go forward. Values are written over and over, so that readers hold what
 * background work frees. */
#include "simdisk/simdisk.h"

#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    WRITERS = 2,
    READERS = 3,
    CHAINS = 2,
    CHAIN = 12,
    WORKERS = WRITERS + READERS + CHAINS + 1,
    PAIRS = 40,
    VALUE_SIZE = 700,
    COMMITS = 3000
};

struct shared {
    strata *db;
    _Atomic int stop;
    _Atomic uint64_t snapshots;
    _Atomic uint64_t forks;
};

struct worker {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    char why[200];
};

static bool expect(struct worker *worker, const char *what, strata_status status)
{
    if (status == STRATA_OK)
        return true;
    if (worker->why[0] == '\0')
        snprintf(worker->why, sizeof(worker->why), "%s: %s: %.120s", what,
                 strata_status_name(status), strata_error_message());
    return false;
}

/* Both halves of a pair always get the same value in one commit. */
static bool write_pair(struct worker *worker, strata_txn *txn, unsigned pair, unsigned round)
{
    char left[16], right[16], value[VALUE_SIZE];
    snprintf(left, sizeof(left), "l%02u", pair);
    snprintf(right, sizeof(right), "r%02u", pair);
    memset(value, 'a' + (int)(round % 26), sizeof(value));
    snprintf(value, sizeof(value), "%u/%u", worker->number, round);
    const strata_bytes bytes = strata_view(value, sizeof(value));
    return expect(worker, "put", strata_kv_put(txn, NULL, strata_text(left), bytes)) &&
           expect(worker, "put", strata_kv_put(txn, NULL, strata_text(right), bytes));
}

static void *write_pairs(void *context)
{
    struct worker *worker = context;
    strata_txn *txn = NULL;
    if (!expect(worker, "begin", strata_txn_begin(worker->shared->db, "main", NULL, &txn)))
        return NULL;
    for (unsigned round = 0; round < COMMITS; round++) {
        const unsigned pair = (round * 7 + worker->number) % PAIRS;
        if (!write_pair(worker, txn, pair, round))
            break;
        const strata_status status = strata_txn_commit(txn, NULL);
        if (status != STRATA_CONFLICT && !expect(worker, "commit", status))
            break;
        if (!expect(worker, "renew", strata_txn_renew(txn)))
            break;
    }
    strata_txn_close(txn);
    return NULL;
}

static bool same_value(const strata_value *left, const strata_value *right)
{
    return left->size == right->size && left->version == right->version &&
           (left->size == 0 || memcmp(left->data, right->data, left->size) == 0);
}

/* Reads one pair twice in one snapshot of version `newest` (0: of any), and holds the values over other
 * reads. */
static bool read_pair(struct worker *worker, strata_txn *txn, unsigned pair, uint64_t newest)
{
    char left[16], right[16];
    strata_value values[4] = {{0}, {0}, {0}, {0}};
    bool good = true;
    snprintf(left, sizeof(left), "l%02u", pair);
    snprintf(right, sizeof(right), "r%02u", pair);
    for (unsigned i = 0; i < 4 && good; i++) {
        const strata_status status =
            strata_kv_get(txn, NULL, strata_text(i % 2 == 0 ? left : right), &values[i]);
        good = status == STRATA_NOT_FOUND || expect(worker, "get", status);
    }
    for (unsigned i = 1; i < 4 && good; i++) {
        good = same_value(&values[0], &values[i]);
        if (!good)
            snprintf(worker->why, sizeof(worker->why),
                     "pair %u: read %u shows version %llu, the first %llu", pair, i,
                     (unsigned long long)values[i].version, (unsigned long long)values[0].version);
    }
    if (good && newest != 0 && values[0].size > 0 && values[0].version > newest) {
        snprintf(worker->why, sizeof(worker->why), "a row newer than its snapshot");
        good = false;
    }
    for (unsigned i = 0; i < 4; i++)
        strata_value_release(&values[i]);
    return good;
}

/* A scan shows every pair whole, too. */
static bool scan_pairs(struct worker *worker, strata_txn *txn)
{
    uint64_t versions[PAIRS] = {0};
    unsigned rows[2] = {0, 0};
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status = strata_kv_scan(txn, NULL, NULL, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        const char *key = row.key.data;
        const unsigned pair = (unsigned)(key[1] - '0') * 10 + (unsigned)(key[2] - '0');
        const bool right = key[0] == 'r';
        rows[right]++;
        if (right && versions[pair] != row.version)
            snprintf(worker->why, sizeof(worker->why), "scan: pair %u is of two commits", pair);
        versions[pair] = row.version;
    }
    strata_cursor_close(cursor);
    if (status != STRATA_DONE)
        return expect(worker, "scan", status);
    if (rows[0] != rows[1])
        snprintf(worker->why, sizeof(worker->why), "scan: half a pair is missing");
    return worker->why[0] == '\0';
}

static void *read_pairs(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    uint64_t newest = 0;
    strata_txn *txn = NULL;
    if (!expect(worker, "snapshot", strata_txn_snapshot(shared->db, strata_head("main"), &txn)))
        return NULL;
    for (unsigned round = 0; !shared->stop; round++) {
        const uint64_t version = strata_txn_version(txn);
        if (version < newest) {
            snprintf(worker->why, sizeof(worker->why), "snapshots went back");
            break;
        }
        newest = version;
        bool good = round % 8 != 0 || scan_pairs(worker, txn);
        for (unsigned i = 0; i < 10 && good; i++)
            good = read_pair(worker, txn, (round * 13 + i * 3) % PAIRS, version);
        shared->snapshots++;
        if (!good || !expect(worker, "renew", strata_txn_renew(txn)))
            break;
    }
    strata_txn_close(txn);
    return NULL;
}

/* Forks, writes to the fork, looks at both, drops it. */
static bool use_fork(struct worker *worker, const char *name)
{
    strata *db = worker->shared->db;
    strata_txn *txn = NULL;
    if (!expect(worker, "fork", strata_branch_fork(db, strata_head("main"), name, NULL)) ||
        !expect(worker, "auto", strata_txn_auto(db, name, &txn)))
        return false;
    bool good = expect(worker, "put in a fork",
                       strata_kv_put(txn, NULL, strata_text("l00"), strata_text("fork"))) &&
                expect(worker, "put in a fork",
                       strata_kv_put(txn, NULL, strata_text("r00"), strata_text("fork")));
    strata_value value = {0};
    good = good && expect(worker, "get", strata_kv_get(txn, NULL, strata_text("l00"), &value));
    if (good && (value.size != 4 || memcmp(value.data, "fork", 4) != 0)) {
        snprintf(worker->why, sizeof(worker->why), "a fork does not show its own write");
        good = false;
    }
    strata_value_release(&value);
    strata_txn_close(txn);
    return good && expect(worker, "delete", strata_branch_delete(db, name));
}

static void *fork_and_drop(void *context)
{
    struct worker *worker = context;
    for (unsigned round = 0; !worker->shared->stop; round++) {
        char name[32];
        snprintf(name, sizeof(name), "fork-%u", round % 5);
        if (!use_fork(worker, name))
            break;
        worker->shared->forks++;
        if (round % 16 == 15 &&
            !expect(worker, "checkpoint", strata_checkpoint(worker->shared->db)))
            break;
        if (round % 64 == 63 &&
            !expect(worker, "compact", strata_compact(worker->shared->db, NULL)))
            break;
    }
    return NULL;
}

/* Makes a chain of forks, each of which writes one pair. */
static bool make_chain(struct worker *worker)
{
    char parent[32] = "main";
    bool good = true;
    for (unsigned i = 0; i < CHAIN && good; i++) {
        char name[32];
        strata_txn *txn = NULL;
        snprintf(name, sizeof(name), "chain-%u-%u", worker->number, i);
        good = expect(worker, "fork",
                      strata_branch_fork(worker->shared->db, strata_head(parent), name, NULL)) &&
               expect(worker, "begin", strata_txn_begin(worker->shared->db, name, NULL, &txn)) &&
               write_pair(worker, txn, i, i) &&
               expect(worker, "commit", strata_txn_commit(txn, NULL));
        strata_txn_close(txn);
        memcpy(parent, name, sizeof(parent));
    }
    return good;
}

/* The versions of all pairs as one number. */
static uint64_t sum_of_versions(struct worker *worker, strata_txn *txn)
{
    uint64_t sum = 0;
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status = strata_kv_scan(txn, NULL, NULL, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &row)) == STRATA_OK)
        sum = sum * 31 + row.version;
    strata_cursor_close(cursor);
    return status == STRATA_DONE || expect(worker, "scan of a fork", status) ? sum : 0;
}

/* What the last of a chain shows stays, while what it inherits from is written and merged. */
static void *read_chain(void *context)
{
    struct worker *worker = context;
    char name[32];
    strata_txn *txn = NULL;
    snprintf(name, sizeof(name), "chain-%u-%u", worker->number, CHAIN - 1);
    if (!make_chain(worker) ||
        !expect(worker, "auto", strata_txn_auto(worker->shared->db, name, &txn)))
        return NULL;
    const uint64_t sum = sum_of_versions(worker, txn);
    for (unsigned round = 0; !worker->shared->stop && worker->why[0] == '\0'; round++) {
        bool good = round % 4 != 0 || scan_pairs(worker, txn);
        for (unsigned i = 0; i < 10 && good; i++)
            good = read_pair(worker, txn, (round * 13 + i * 3) % PAIRS, 0);
        if (good && round % 4 == 0 && sum_of_versions(worker, txn) != sum)
            snprintf(worker->why, sizeof(worker->why), "what a fork inherits has changed");
    }
    strata_txn_close(txn);
    return NULL;
}

static void start(struct worker *worker, struct shared *shared, unsigned number,
                  void *(*body)(void *context))
{
    *worker = (struct worker){.shared = shared, .number = number};
    assert_int_equal(pthread_create(&worker->thread, NULL, body, worker), 0);
}

static void run_all(const strata_open_options *options, const char *path)
{
    struct shared shared = {0};
    struct worker workers[WORKERS];
    assert_int_equal(strata_open(path, options, &shared.db), STRATA_OK);
    for (unsigned i = 0; i < READERS; i++)
        start(&workers[WRITERS + i], &shared, i, read_pairs);
    for (unsigned i = 0; i < CHAINS; i++)
        start(&workers[WRITERS + READERS + i], &shared, i, read_chain);
    start(&workers[WORKERS - 1], &shared, 0, fork_and_drop);
    for (unsigned i = 0; i < WRITERS; i++)
        start(&workers[i], &shared, i, write_pairs);
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    shared.stop = 1;
    for (unsigned i = WRITERS; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_string_equal(workers[i].why, "");
    print_message("%llu snapshots, %llu forks\n", (unsigned long long)shared.snapshots,
                  (unsigned long long)shared.forks);
    assert_true(shared.snapshots > 0 && shared.forks > 0);
    strata_metric peak;
    assert_int_equal(strata_metric_find(shared.db, "memory.peak_bytes", &peak), STRATA_OK);
    /* In memory the data count, too; a small budget may be exceeded for a moment. */
    if (strcmp(path, ":memory:") != 0)
        assert_true(peak.value <= 2 * (double)options->memory_budget_bytes);
    assert_int_equal(strata_check(shared.db, NULL, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_close(shared.db), STRATA_OK);
}

static void snapshots_show_one_moment_in_memory(void **state)
{
    (void)state;
    const strata_open_options options = {
        .size = sizeof(options), .background_threads = 2, .memory_budget_bytes = 2 << 20};
    run_all(&options, ":memory:");
}

/* Frames are found without locks there. */
static void snapshots_show_one_moment_under_a_large_budget(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    const strata_open_options options = {.size = sizeof(options),
                                         .background_threads = 2,
                                         .memory_budget_bytes = 16 << 20,
                                         .backend = simdisk_backend(disk)};
    run_all(&options, "db");
    simdisk_destroy(disk);
}

static void snapshots_show_one_moment_on_a_disk(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    const strata_open_options options = {.size = sizeof(options),
                                         .background_threads = 2,
                                         .memory_budget_bytes = 1 << 20,
                                         .backend = simdisk_backend(disk)};
    run_all(&options, "db");
    assert_string_equal(simdisk_misuse(disk), "");
    simdisk_destroy(disk);
}

static void snapshots_show_one_moment_while_threads_maintain_by_hand(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    const strata_open_options options = {.size = sizeof(options),
                                         .background_threads = STRATA_NONE,
                                         .memory_budget_bytes = 1 << 20,
                                         .backend = simdisk_backend(disk)};
    run_all(&options, "db");
    simdisk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_show_one_moment_in_memory),
        cmocka_unit_test(snapshots_show_one_moment_on_a_disk),
        cmocka_unit_test(snapshots_show_one_moment_under_a_large_budget),
        cmocka_unit_test(snapshots_show_one_moment_while_threads_maintain_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
