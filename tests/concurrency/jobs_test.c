/* Background work under a small budget, so that flushes and merges never stop, beside writers, readers
 * that hold on to their snapshots, forks and their deletion, and callers that maintain, compact and
 * check. What a snapshot has to show follows from two numbers in it, so every answer is checked. */
#include "model/temp_folder.h"

#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    WRITERS = 2,
    KEYS = 120,
    BATCH = 4,
    TURN = KEYS / BATCH,
    COMMITS = 1000,
    COMMITS_MAX = 50000,
    HELD_FORKS = 3
};
enum { KEY_SIZE = 16, VALUE_MAX = 900, LONG_VALUE = 70000, WHY_SIZE = 200 };

/* ---- what a branch shows ------------------------------------------------------------------------
 *
 * Commit n of a writer, from 1, writes its key "wN-serial" = n, its keys [4n, 4n + 4) modulo 120, and
 * now and then a long one. So the numbers of the last commits say what every key holds. */

struct moment {
    unsigned serials[WRITERS]; /* 0: nothing was written yet. */
};

static void serial_key(unsigned writer, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "w%u-serial", writer);
}

static void item_key(unsigned writer, unsigned item, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "w%u-%03u", writer, item);
}

/* The commit that wrote an item last; 0: none. */
static unsigned item_serial(unsigned serial, unsigned item)
{
    const unsigned first = item / BATCH == 0 ? TURN : item / BATCH;
    return serial < first ? 0 : serial - (serial - first) % TURN;
}

static bool item_deleted(unsigned serial, unsigned item)
{
    return (serial / TURN + item) % 5 == 0;
}

/* Some values are in frames of their own, some in objects of their own. */
static size_t item_size(unsigned serial, unsigned item)
{
    return item == 7 && serial / TURN % 4 == 0 ? LONG_VALUE : 100 + (serial * 7 + item * 13) % 800;
}

static unsigned char item_byte(unsigned writer, unsigned serial, unsigned item)
{
    return (unsigned char)(1 + (writer * 101 + serial * 31 + item) % 250);
}

struct shared {
    strata *db;
    _Atomic int stop;
    _Atomic uint64_t looks, forks, compactions, checks;
};

struct worker {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    unsigned written; /* The last commit's number. */
    unsigned char value[LONG_VALUE];
    char why[WHY_SIZE];
};

static bool wrong(struct worker *worker, const char *what, const char *key)
{
    worker->shared->stop = 1;
    if (worker->why[0] == '\0')
        snprintf(worker->why, WHY_SIZE, "%s: %.32s", what, key);
    return false;
}

static bool expect(struct worker *worker, const char *what, strata_status status)
{
    if (status == STRATA_OK)
        return true;
    worker->shared->stop = 1;
    if (worker->why[0] == '\0')
        snprintf(worker->why, WHY_SIZE, "%s: %s: %.120s", what, strata_status_name(status),
                 strata_error_message());
    return false;
}

/* ---- reading ---- */

static bool read_moment(struct worker *worker, strata_txn *txn, struct moment *out)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        char key[KEY_SIZE];
        strata_value value = {0};
        serial_key(i, key);
        const strata_status status = strata_kv_get(txn, NULL, strata_text(key), &value);
        out->serials[i] = 0;
        if (status == STRATA_OK && value.size == sizeof(unsigned))
            memcpy(&out->serials[i], value.data, sizeof(unsigned));
        strata_value_release(&value);
        if (status != STRATA_NOT_FOUND && !expect(worker, "read a serial", status))
            return false;
    }
    return true;
}

/* The next item that is there, in the order of keys; false: none is left. */
static bool next_item(const struct moment *moment, unsigned *writer, unsigned *item)
{
    for (; *writer < WRITERS; ++*writer, *item = 0) {
        for (; *item < KEYS; ++*item) {
            const unsigned serial = item_serial(moment->serials[*writer], *item);
            if (serial > 0 && !item_deleted(serial, *item))
                return true;
        }
    }
    return false;
}

static bool is_serial(strata_bytes key)
{
    return key.size > 3 && ((const char *)key.data)[3] == 's';
}

static bool same_item(const struct moment *moment, unsigned writer, unsigned item,
                      strata_bytes value)
{
    const unsigned serial = item_serial(moment->serials[writer], item);
    const unsigned char *bytes = value.data;
    const unsigned char byte = item_byte(writer, serial, item);
    if (value.size != item_size(serial, item))
        return false;
    for (size_t i = 0; i < value.size; i += i < 8 || i + 8 >= value.size ? 1 : 61) {
        if (bytes[i] != byte)
            return false;
    }
    return true;
}

/* Goes on with a scan for at most `rows` items and compares; `*done`: to its end. */
static bool compare_rows(struct worker *worker, strata_cursor *cursor, const struct moment *moment,
                         unsigned place[2], unsigned rows, bool *done)
{
    *done = false;
    while (rows > 0) {
        strata_row row;
        char key[KEY_SIZE];
        const strata_status status = strata_kv_next(cursor, &row);
        const bool more = next_item(moment, &place[0], &place[1]);
        if (status == STRATA_OK && is_serial(row.key))
            continue;
        if (status == STRATA_DONE && !more) {
            *done = true;
            return true;
        }
        if (status == STRATA_DONE)
            return wrong(worker, "a scan ends early", "");
        if (!expect(worker, "scan", status))
            return false;
        item_key(place[0], place[1], key);
        if (!more || row.key.size != strlen(key) || memcmp(row.key.data, key, row.key.size) != 0)
            return wrong(worker, "a scan shows another key than", key);
        if (!same_item(moment, place[0], place[1], row.value))
            return wrong(worker, "a scan shows another value of", key);
        place[1]++;
        rows--;
    }
    return true;
}

static bool compare_item(struct worker *worker, strata_txn *txn, const struct moment *moment,
                         unsigned writer, unsigned item)
{
    char key[KEY_SIZE];
    strata_value value = {0};
    const unsigned serial = item_serial(moment->serials[writer], item);
    const bool there = serial > 0 && !item_deleted(serial, item);
    item_key(writer, item, key);
    const strata_status status = strata_kv_get(txn, NULL, strata_text(key), &value);
    bool good = status == (there ? STRATA_OK : STRATA_NOT_FOUND);
    if (!good && (status == STRATA_OK || status == STRATA_NOT_FOUND))
        wrong(worker, there ? "a get misses" : "a get shows a deleted", key);
    else if (!good)
        expect(worker, "get", status);
    else if (there && !same_item(moment, writer, item, strata_value_view(&value)))
        good = wrong(worker, "a get shows another value of", key);
    strata_value_release(&value);
    return good;
}

/* The whole of a snapshot, by a scan that pauses, with reads of single keys in the pauses. */
static bool compare_all(struct worker *worker, strata_txn *txn, const struct moment *moment)
{
    strata_cursor *cursor = NULL;
    unsigned place[2] = {0, 0};
    bool done = false;
    bool good = expect(worker, "scan", strata_kv_scan(txn, NULL, NULL, &cursor));
    for (unsigned i = 0; good && !done; i++) {
        good = compare_rows(worker, cursor, moment, place, 40, &done) &&
               compare_item(worker, txn, moment, i % WRITERS, i * 17 % KEYS);
        sched_yield();
    }
    strata_cursor_close(cursor);
    worker->shared->looks++;
    return good;
}

/* ---- the threads ---- */

static bool write_item(struct worker *worker, strata_txn *txn, unsigned serial, unsigned item)
{
    char key[KEY_SIZE];
    item_key(worker->number, item, key);
    if (item_deleted(serial, item))
        return expect(worker, "delete", strata_kv_delete(txn, NULL, strata_text(key)));
    const size_t size = item_size(serial, item);
    memset(worker->value, item_byte(worker->number, serial, item), size);
    return expect(worker, "put",
                  strata_kv_put(txn, NULL, strata_text(key), strata_view(worker->value, size)));
}

static bool write_commit(struct worker *worker, strata_txn *txn, unsigned serial)
{
    char key[KEY_SIZE];
    serial_key(worker->number, key);
    for (unsigned i = 0; i < BATCH; i++) {
        if (!write_item(worker, txn, serial, (serial * BATCH + i) % KEYS))
            return false;
    }
    return expect(
               worker, "put",
               strata_kv_put(txn, NULL, strata_text(key), strata_view(&serial, sizeof(serial)))) &&
           expect(worker, "commit", strata_txn_commit(txn, NULL)) &&
           (worker->written = serial) > 0 && expect(worker, "renew", strata_txn_renew(txn));
}

/* Writers go on until all others have done something. */
static bool enough(struct shared *shared)
{
    return shared->stop || (shared->looks >= 10 && shared->forks > HELD_FORKS &&
                            shared->compactions >= 2 && shared->checks >= 2);
}

static void *write_items(void *context)
{
    struct worker *worker = context;
    strata_txn *txn = NULL;
    if (!expect(worker, "begin", strata_txn_begin(worker->shared->db, "main", NULL, &txn)))
        return NULL;
    while (worker->written < COMMITS || !enough(worker->shared)) {
        if (worker->written == COMMITS_MAX || !write_commit(worker, txn, worker->written + 1))
            break;
    }
    strata_txn_close(txn);
    return NULL;
}

/* One snapshot several times over, and one of an earlier version of which the same is known. */
static bool read_snapshot(struct worker *worker, strata_txn *txn, strata_point *earlier)
{
    struct moment moment;
    bool good = read_moment(worker, txn, &moment);
    const uint64_t version = strata_txn_version(txn);
    for (unsigned i = 0; i < 3 && good; i++)
        good = compare_all(worker, txn, &moment);
    if (good && earlier->version > 0) {
        strata_txn *old = NULL;
        good = expect(worker, "an earlier version",
                      strata_txn_snapshot(worker->shared->db, *earlier, &old)) &&
               read_moment(worker, old, &moment) && compare_all(worker, old, &moment);
        strata_txn_close(old);
    }
    earlier->version = version;
    return good;
}

static void *read_items(void *context)
{
    struct worker *worker = context;
    strata_point earlier = strata_head("main");
    strata_txn *txn = NULL;
    if (!expect(worker, "snapshot",
                strata_txn_snapshot(worker->shared->db, strata_head("main"), &txn)))
        return NULL;
    while (!worker->shared->stop) {
        if (!read_snapshot(worker, txn, &earlier) ||
            !expect(worker, "renew", strata_txn_renew(txn)))
            break;
    }
    strata_txn_close(txn);
    return NULL;
}

/* A fork that goes on as a writer would, a fork of that, and a snapshot there; both branches are deleted,
 * the parent first. */
static strata_txn *fork_and_delete(struct worker *worker, unsigned round, struct moment *moment)
{
    strata *db = worker->shared->db;
    strata_txn *txn = NULL, *snapshot = NULL;
    char parent[32], child[32];
    snprintf(parent, sizeof(parent), "parent-%u", round % 2);
    snprintf(child, sizeof(child), "child-%u", round % 2);
    bool good = expect(worker, "fork", strata_branch_fork(db, strata_head("main"), parent, NULL)) &&
                expect(worker, "begin", strata_txn_begin(db, parent, NULL, &txn)) &&
                read_moment(worker, txn, moment);
    for (unsigned i = 0; i < TURN / 2 && good; i++)
        good = write_commit(worker, txn, ++moment->serials[worker->number]);
    strata_txn_close(txn);
    good = good &&
           expect(worker, "fork", strata_branch_fork(db, strata_head(parent), child, NULL)) &&
           expect(worker, "snapshot", strata_txn_snapshot(db, strata_head(child), &snapshot)) &&
           expect(worker, "delete", strata_branch_delete(db, parent)) &&
           compare_all(worker, snapshot, moment) &&
           expect(worker, "delete", strata_branch_delete(db, child));
    if (good)
        return snapshot;
    strata_txn_close(snapshot);
    return NULL;
}

static void *fork_branches(void *context)
{
    struct worker *worker = context;
    strata_txn *held[HELD_FORKS] = {NULL};
    struct moment moments[HELD_FORKS];
    bool good = true;
    for (unsigned round = 0; good && !worker->shared->stop; round++) {
        const unsigned at = round % HELD_FORKS;
        /* The snapshot outlives its branch and all that is done meanwhile. */
        good = held[at] == NULL || compare_all(worker, held[at], &moments[at]);
        strata_txn_close(held[at]);
        held[at] = good ? fork_and_delete(worker, round, &moments[at]) : NULL;
        good = held[at] != NULL;
        worker->shared->forks++;
    }
    for (unsigned i = 0; i < HELD_FORKS; i++)
        strata_txn_close(held[i]);
    return NULL;
}

/* Writers that never pause can keep a compaction going for long under a small budget. */
static int give_up_in_time(void *context, const char *stage, uint64_t done, uint64_t total)
{
    unsigned *reports = context;
    (void)stage, (void)done, (void)total;
    return ++*reports > 300;
}

static bool compact(struct worker *worker)
{
    unsigned reports = 0;
    const strata_progress progress = {.context = &reports, .report = give_up_in_time};
    const strata_status status = strata_compact(worker->shared->db, &progress);
    worker->shared->compactions++;
    return status == STRATA_INTERRUPTED || expect(worker, "compact", status);
}

static void *maintain(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    bool good = true;
    for (unsigned round = 0; good && !shared->stop; round++) {
        strata_work work;
        const strata_status status = strata_maintain(shared->db, 2000, &work);
        good = status == STRATA_DONE || expect(worker, "maintain", status);
        if (good && round % 32 == 15)
            good = expect(worker, "checkpoint", strata_checkpoint(shared->db));
        if (good && round % 16 == 7)
            good = compact(worker);
        sched_yield();
    }
    return NULL;
}

static void note_finding(void *context, const strata_finding *finding)
{
    struct worker *worker = context;
    if (worker->why[0] == '\0')
        snprintf(worker->why, WHY_SIZE, "check: %.60s: %.120s", finding->object, finding->message);
}

static void *check_all(void *context)
{
    struct worker *worker = context;
    while (!worker->shared->stop) {
        if (!expect(worker, "check", strata_check(worker->shared->db, NULL, note_finding, worker)))
            break;
        worker->shared->checks++;
    }
    return NULL;
}

/* ---- the whole ---- */

static void start(struct worker *worker, struct shared *shared, unsigned number,
                  void *(*body)(void *context))
{
    worker->shared = shared;
    worker->number = number;
    assert_int_equal(pthread_create(&worker->thread, NULL, body, worker), 0);
}

static double metric(strata *db, const char *name)
{
    strata_metric found;
    assert_int_equal(strata_metric_find(db, name, &found), STRATA_OK);
    return found.value;
}

/* At the end everything is there that the writers have committed. */
static void compare_end(strata *db, struct worker *worker, const unsigned written[WRITERS])
{
    strata_txn *txn = NULL;
    struct moment moment;
    assert_int_equal(strata_txn_snapshot(db, strata_head("main"), &txn), STRATA_OK);
    assert_true(read_moment(worker, txn, &moment));
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(moment.serials[i], written[i]);
    compare_all(worker, txn, &moment);
    assert_string_equal(worker->why, "");
    strata_txn_close(txn);
}

static void run_all(strata *db, unsigned written[WRITERS])
{
    static void *(*const bodies[])(void *context) = {
        write_items, write_items, read_items, read_items, fork_branches, maintain, check_all};
    enum { THREADS = sizeof(bodies) / sizeof(bodies[0]) };
    struct shared shared = {.db = db};
    struct worker *workers = calloc(THREADS, sizeof(*workers));
    for (unsigned i = 0; i < THREADS; i++)
        start(&workers[i], &shared, i % WRITERS, bodies[i]);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        shared.stop = i + 1 >= WRITERS;
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_string_equal(workers[i].why, "");
    print_message("%.0f flushes, %.0f merges, %llu looks, %llu forks, %llu compactions, "
                  "%llu checks\n",
                  metric(db, "flush.count"), metric(db, "merge.count"),
                  (unsigned long long)shared.looks, (unsigned long long)shared.forks,
                  (unsigned long long)shared.compactions, (unsigned long long)shared.checks);
    assert_true(metric(db, "flush.count") > 10 && metric(db, "merge.count") > 3);
    assert_true(enough(&(struct shared){.looks = shared.looks,
                                        .forks = shared.forks,
                                        .compactions = shared.compactions,
                                        .checks = shared.checks}));
    for (unsigned i = 0; i < WRITERS; i++)
        written[i] = workers[i].written;
    compare_end(db, &workers[0], written);
    assert_int_equal(strata_sync(db), STRATA_OK);
    assert_int_equal(strata_compact(db, NULL), STRATA_OK);
    assert_true(metric(db, "rows.dropped") > 0); /* Those of the forks. */
    compare_end(db, &workers[0], written);
    free(workers);
}

static strata *open_small(const char *path, int32_t threads)
{
    const strata_open_options options = {.size = sizeof(options),
                                         .background_threads = threads,
                                         .memory_budget_bytes = 1 << 20,
                                         .sync_interval_ms = 5};
    strata *db = NULL;
    assert_int_equal(strata_open(path, &options, &db), STRATA_OK);
    return db;
}

static void answers_are_right_while_jobs_run_in_memory(void **state)
{
    (void)state;
    unsigned written[WRITERS];
    strata *db = open_small(":memory:", 2);
    run_all(db, written);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void answers_are_right_while_jobs_run_on_files(void **state)
{
    (void)state;
    char folder[TEMP_FOLDER_SIZE], path[TEMP_FOLDER_SIZE + 8];
    struct worker *worker = calloc(1, sizeof(*worker));
    struct shared shared = {0};
    unsigned written[WRITERS];
    temp_folder_create(folder);
    snprintf(path, sizeof(path), "%s/db", folder);
    strata *db = open_small(path, 2);
    run_all(db, written);
    assert_int_equal(strata_close(db), STRATA_OK);
    db = open_small(path, 2);
    worker->shared = &shared;
    compare_end(db, worker, written);
    assert_int_equal(strata_check(db, NULL, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    free(worker);
    temp_folder_remove(folder);
}

/* ---- compactions at once ---- */

static void *compact_often(void *context)
{
    struct worker *worker = context;
    for (unsigned round = 0; round < 20; round++) {
        if (!expect(worker, "compact", strata_compact(worker->shared->db, NULL)))
            break;
        worker->shared->compactions++;
    }
    return NULL;
}

static void *write_half(void *context)
{
    struct worker *worker = context;
    strata_txn *txn = NULL;
    bool good = expect(worker, "begin", strata_txn_begin(worker->shared->db, "main", NULL, &txn));
    for (unsigned serial = 1; good && serial <= COMMITS; serial++)
        good = write_commit(worker, txn, serial);
    strata_txn_close(txn);
    return NULL;
}

/* Two that compact, over what two write meanwhile: each ends, and leaves what it should. */
static void compact_at_once(int32_t threads)
{
    strata *db = open_small(":memory:", threads);
    struct shared shared = {.db = db};
    struct worker *workers = calloc(4, sizeof(*workers));
    for (unsigned i = 0; i < 4; i++)
        start(&workers[i], &shared, i % WRITERS, i < WRITERS ? write_half : compact_often);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_string_equal(workers[i].why, "");
    assert_int_equal(shared.compactions, 40);

    /* Nobody writes: both find all of it, whoever does the work. */
    for (unsigned i = 2; i < 4; i++)
        start(&workers[i], &shared, 0, compact_often);
    for (unsigned i = 2; i < 4; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(shared.compactions, 80);
    assert_true(metric(db, "runs.live") == 1);
    assert_true(metric(db, "runs.history") == 1);
    compare_end(db, &workers[0], (const unsigned[WRITERS]){COMMITS, COMMITS});
    assert_int_equal(strata_check(db, NULL, NULL, NULL), STRATA_OK);
    free(workers);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void two_compactions_at_once_both_end_and_leave_one_run(void **state)
{
    (void)state;
    compact_at_once(2);
}

static void two_compactions_at_once_do_their_own_work_without_threads(void **state)
{
    (void)state;
    compact_at_once(STRATA_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_right_while_jobs_run_in_memory),
        cmocka_unit_test(answers_are_right_while_jobs_run_on_files),
        cmocka_unit_test(two_compactions_at_once_both_end_and_leave_one_run),
        cmocka_unit_test(two_compactions_at_once_do_their_own_work_without_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
