/* Many threads commit at once: the first committer wins, nothing is lost, nothing is counted
 * twice. */
#include "model/temp_folder.h"

#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 1000, COUNTERS = 2 };

struct worker {
    pthread_t thread;
    strata *db;
    unsigned number;
    uint64_t conflicts;
    uint64_t newest;
    strata_status failed; /* The first status that none of this test's threads may see. */
};

static strata *open_memory(void)
{
    const strata_open_options options = {
        .size = sizeof(options), .background_threads = 2, .memory_budget_bytes = 4 << 20};
    strata *db = NULL;
    assert_int_equal(strata_open(":memory:", &options, &db), STRATA_OK);
    return db;
}

static void run_workers(strata *db, struct worker workers[THREADS], void *(*body)(void *context))
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.db = db, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_string_equal(strata_status_name(workers[i].failed), "ok");
}

static uint64_t load_number(const strata_value *value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8 && i < value->size; i++)
        number |= (uint64_t)((const unsigned char *)value->data)[i] << (8 * i);
    return number;
}

static uint64_t read_number(strata *db, const char *key)
{
    strata_txn *txn = NULL;
    strata_value value = {0};
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    assert_int_equal(strata_kv_get(txn, NULL, strata_text(key), &value), STRATA_OK);
    const uint64_t number = load_number(&value);
    strata_value_release(&value);
    strata_txn_close(txn);
    return number;
}

static strata_status add_one(strata_txn *txn, strata_bytes key)
{
    strata_value value = {0};
    strata_status status = strata_kv_get(txn, NULL, key, &value);
    const uint64_t number = load_number(&value) + 1;
    strata_value_release(&value);
    if (status != STRATA_OK && status != STRATA_NOT_FOUND)
        return status;
    unsigned char bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    return strata_kv_put(txn, NULL, key, strata_view(bytes, 8));
}

/* Reads, adds one and writes back; on a conflict once more. */
static void *add_with_transactions(void *context)
{
    struct worker *worker = context;
    strata_txn *txn = NULL;
    worker->failed = strata_txn_begin(worker->db, "main", NULL, &txn);
    for (unsigned round = 0; round < ROUNDS && worker->failed == STRATA_OK;) {
        char key[16];
        strata_commit commit = {0, 0};
        snprintf(key, sizeof(key), "n%u", round % COUNTERS);
        worker->failed = add_one(txn, strata_text(key));
        sched_yield(); /* To let the others commit in between. */
        if (worker->failed != STRATA_OK)
            break;
        const strata_status status = strata_txn_commit(txn, &commit);
        if (status == STRATA_CONFLICT)
            worker->conflicts++;
        else if (status != STRATA_OK || commit.version <= worker->newest)
            worker->failed = status == STRATA_OK ? STRATA_INVALID : status;
        else
            worker->newest = commit.version;
        round += status == STRATA_OK;
        if (worker->failed == STRATA_OK)
            worker->failed = strata_txn_renew(txn);
    }
    strata_txn_close(txn);
    return NULL;
}

static void the_first_committer_wins_and_no_addition_is_lost(void **state)
{
    (void)state;
    strata *db = open_memory();
    struct worker workers[THREADS];
    run_workers(db, workers, add_with_transactions);
    uint64_t sum = 0, visible = 0, conflicts = 0;
    for (unsigned i = 0; i < COUNTERS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "n%u", i);
        sum += read_number(db, key);
    }
    for (unsigned i = 0; i < THREADS; i++)
        conflicts += workers[i].conflicts;
    assert_int_equal(sum, THREADS * ROUNDS);
    strata_watermarks(db, &visible, NULL);
    assert_int_equal(visible, THREADS * ROUNDS); /* A conflict makes no version. */
    print_message("%llu conflicts\n", (unsigned long long)conflicts);
    assert_true(conflicts > 0);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void *add_blindly(void *context)
{
    struct worker *worker = context;
    strata_txn *txn = NULL;
    worker->failed = strata_txn_auto(worker->db, "main", &txn);
    for (unsigned round = 0; round < ROUNDS && worker->failed == STRATA_OK; round++) {
        int64_t sum = 0;
        worker->failed =
            strata_kv_increment(txn, NULL, strata_text("c"), 1, round % 2 == 0 ? NULL : &sum);
    }
    strata_txn_close(txn);
    return NULL;
}

static void increments_never_conflict(void **state)
{
    (void)state;
    strata *db = open_memory();
    struct worker workers[THREADS];
    run_workers(db, workers, add_blindly);
    assert_int_equal(read_number(db, "c"), THREADS * ROUNDS);
    assert_int_equal(strata_close(db), STRATA_OK);
}

/* One thread's commits on keys of its own never conflict, and each is durable when it returns. */
static void *commit_durably(void *context)
{
    struct worker *worker = context;
    const strata_txn_options options = {.size = sizeof(options), .durability = STRATA_ALWAYS};
    strata_txn *txn = NULL;
    worker->failed = strata_txn_begin(worker->db, "main", &options, &txn);
    for (unsigned round = 0; round < ROUNDS / 4 && worker->failed == STRATA_OK; round++) {
        char key[32];
        strata_commit commit = {0, 0};
        uint64_t durable = 0;
        snprintf(key, sizeof(key), "t%u-%u", worker->number, round);
        worker->failed = strata_kv_put(txn, NULL, strata_text(key), strata_text("x"));
        if (worker->failed == STRATA_OK)
            worker->failed = strata_txn_commit(txn, &commit);
        strata_watermarks(worker->db, NULL, &durable);
        if (worker->failed == STRATA_OK && durable < commit.version)
            worker->failed = STRATA_DATA_LOSS;
        if (worker->failed == STRATA_OK)
            worker->failed = strata_txn_renew(txn);
    }
    strata_txn_close(txn);
    return NULL;
}

static void commits_that_are_always_durable_form_groups_and_lose_nothing(void **state)
{
    (void)state;
    char folder[TEMP_FOLDER_SIZE], path[TEMP_FOLDER_SIZE + 8];
    temp_folder_create(folder);
    snprintf(path, sizeof(path), "%s/db", folder);
    const strata_open_options options = {
        .size = sizeof(options), .background_threads = 2, .memory_budget_bytes = 4 << 20};
    strata *db = NULL;
    struct worker workers[THREADS];
    assert_int_equal(strata_open(path, &options, &db), STRATA_OK);
    run_workers(db, workers, commit_durably);
    assert_int_equal(strata_close(db), STRATA_OK);
    assert_int_equal(strata_open(path, &options, &db), STRATA_OK);
    strata_txn *txn = NULL;
    uint64_t count = 0;
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    assert_int_equal(strata_kv_count(txn, NULL, NULL, &count), STRATA_OK);
    assert_int_equal(count, THREADS * (ROUNDS / 4));
    strata_txn_close(txn);
    assert_int_equal(strata_close(db), STRATA_OK);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_committer_wins_and_no_addition_is_lost),
        cmocka_unit_test(increments_never_conflict),
        cmocka_unit_test(commits_that_are_always_durable_form_groups_and_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
