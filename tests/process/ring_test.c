/* The log's ring in a real folder: it is there while a database is open for writing, does not matter
 * when it vanishes, and is read by those who only read. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/temp_folder.h"

#include "support.h"

#include "strata.h"

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = TEMP_FOLDER_SIZE + 32, ROWS = 500 };

struct place {
    char folder[TEMP_FOLDER_SIZE];
    char path[PATH_SIZE];
    char ring[PATH_SIZE];
};

static void make_place(struct place *place)
{
    temp_folder_create(place->folder);
    snprintf(place->path, sizeof(place->path), "%s/db", place->folder);
    snprintf(place->ring, sizeof(place->ring), "%s/db/wal/ring", place->folder);
}

static strata *open_place(const struct place *place, strata_open_mode mode)
{
    const strata_open_options options = {.size = sizeof(options),
                                         .mode = (uint32_t)mode,
                                         .background_threads = STRATA_NONE,
                                         .memory_budget_bytes = 32 << 20,
                                         .sync_interval_ms = 3600 * 1000};
    strata *db = NULL;
    assert_int_equal(strata_open(place->path, &options, &db), STRATA_OK);
    return db;
}

static void put_rows(strata *db, uint32_t first, uint32_t end)
{
    strata_txn *txn = NULL;
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    for (uint32_t i = first; i < end; i++)
        assert_int_equal(strata_kv_put(txn, NULL, strata_view(&i, sizeof(i)), strata_text("value")),
                         STRATA_OK);
    strata_txn_close(txn);
}

/* How many rows there are: those up to some number, and no other. */
static uint32_t count_rows(strata *db)
{
    strata_txn *txn = NULL;
    uint32_t count = 0;
    bool gap = false;
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    for (uint32_t i = 0; i < 2 * ROWS; i++) {
        const bool there = strata_kv_exists(txn, NULL, strata_view(&i, sizeof(i))) == STRATA_OK;
        assert_false(there && gap);
        gap = gap || !there;
        count += there;
    }
    strata_txn_close(txn);
    return count;
}

static bool is_there(const char *path)
{
    struct stat attributes;
    return stat(path, &attributes) == 0;
}

static uint64_t total_bytes;

static int add_bytes(const char *path, const struct stat *attributes, int type, struct FTW *at)
{
    (void)path, (void)at;
    total_bytes += type == FTW_F ? (uint64_t)attributes->st_size : 0;
    return 0;
}

static void a_closed_database_has_no_ring_and_is_small(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    for (int round = 0; round < 3; round++) {
        strata *db = open_place(&place, STRATA_OPEN_CREATE);
        const bool ring = is_there(place.ring);
        put_rows(db, 0, 10);
        assert_int_equal(is_there(place.ring), ring);
        assert_int_equal(strata_close(db), STRATA_OK);
        assert_false(is_there(place.ring));
        total_bytes = 0;
        assert_int_equal(nftw(place.path, add_bytes, 16, FTW_PHYS), 0);
        assert_true(total_bytes < 64 << 10);
    }
    temp_folder_remove(place.folder);
}

static void a_ring_that_vanishes_while_in_use_loses_nothing(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    strata *db = open_place(&place, STRATA_OPEN_CREATE);
    put_rows(db, 0, ROWS / 2);
    unlink(place.ring);
    put_rows(db, ROWS / 2, ROWS);
    assert_int_equal(strata_sync(db), STRATA_OK);
    assert_int_equal(strata_check(db, NULL, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    db = open_place(&place, STRATA_OPEN_EXISTING);
    assert_int_equal(count_rows(db), ROWS);
    assert_int_equal(strata_close(db), STRATA_OK);
    temp_folder_remove(place.folder);
}

/* A child syncs the first half, writes the second, and is killed. */
static void leave_by_kill(const struct place *place)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        strata *db = open_place(place, STRATA_OPEN_CREATE);
        put_rows(db, 0, ROWS / 2);
        if (strata_sync(db) != STRATA_OK)
            _exit(1);
        put_rows(db, ROWS / 2, ROWS);
        raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void readers_see_what_is_in_the_ring_and_change_nothing(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    leave_by_kill(&place);
    const uint64_t before = temp_folder_fingerprint(place.path);
    for (int round = 0; round < 2; round++) {
        strata *db = open_place(&place, STRATA_OPEN_READ_ONLY);
        assert_int_equal(count_rows(db), ROWS);
        assert_int_equal(strata_check(db, NULL, NULL, NULL), STRATA_OK);
        assert_int_equal(strata_close(db), STRATA_OK);
        assert_int_equal(temp_folder_fingerprint(place.path), before);
    }
    strata *db = open_place(&place, STRATA_OPEN_EXISTING);
    assert_int_equal(count_rows(db), ROWS);
    assert_int_equal(strata_close(db), STRATA_OK);
    temp_folder_remove(place.folder);
}

static void damage_ring(const struct place *place, int kind)
{
    FILE *file;
    if (kind == 0) {
        unlink(place->ring);
        return;
    }
    if (kind == 1) {
        assert_int_equal(truncate(place->ring, 5000), 0);
        return;
    }
    file = fopen(place->ring, "r+b");
    assert_non_null(file);
    for (int i = 0; i < 40960; i++)
        fputc(kind == 2 ? 0 : 0xa5, file);
    fclose(file);
}

static void without_its_ring_a_killed_database_has_what_was_durable(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct place place;
        make_place(&place);
        leave_by_kill(&place);
        if (is_there(place.ring)) {
            damage_ring(&place, kind);
            strata *db = open_place(&place, STRATA_OPEN_EXISTING);
            assert_int_equal(count_rows(db), ROWS / 2);
            put_rows(db, ROWS / 2, ROWS);
            assert_int_equal(strata_close(db), STRATA_OK);
            db = open_place(&place, STRATA_OPEN_READ_ONLY);
            assert_int_equal(count_rows(db), ROWS);
            assert_int_equal(strata_close(db), STRATA_OK);
        }
        temp_folder_remove(place.folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_database_has_no_ring_and_is_small),
        cmocka_unit_test(a_ring_that_vanishes_while_in_use_loses_nothing),
        cmocka_unit_test(readers_see_what_is_in_the_ring_and_change_nothing),
        cmocka_unit_test(without_its_ring_a_killed_database_has_what_was_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
