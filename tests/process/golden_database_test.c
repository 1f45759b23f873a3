/* What version 1 of the format looks like as a whole: tests/golden/database/ is a small database that
 * must stay readable for ever. With STRATA_GOLDEN_WRITE=folder the program makes folder/database from
 * the script below instead, where there is none; a format change then adds it under a new name. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/temp_folder.h"

#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, FILE_BYTES_MAX = 1 << 20 };

/* 2026-01-01 00:00:00 UTC; a second passes with each commit. */
static const int64_t start_us = 1767225600000000;

static int64_t golden_wall_us;

static int64_t golden_wall(void *context)
{
    (void)context;
    return golden_wall_us;
}

static void golden_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    (void)context, (void)until_us, (void)wake;
}

static const strata_clock golden_clock = {NULL, golden_wall, golden_wall, golden_wait};

static strata *open_database(const char *path, uint32_t mode)
{
    const strata_open_options options = {
        .size = sizeof(options),
        .mode = mode,
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = 1 << 20,
        .seed = 1,
        .clock = &golden_clock,
    };
    strata *db = NULL;
    if (strata_open(path, &options, &db) != STRATA_OK)
        fail_msg("%s: %s", path, strata_error_message());
    return db;
}

#define OK(call) assert_int_equal((call), STRATA_OK)

static void put(strata_txn *txn, strata_space *space, const char *key, const char *value)
{
    golden_wall_us += 1000000;
    OK(strata_kv_put(txn, space, strata_text(key), strata_text(value)));
}

/* Versions in tables: two of a key, a deletion, a counter, an expiry, many rows, a second space. */
static void write_tables(strata *db, strata_txn *txn)
{
    strata_space *notes = NULL;
    int64_t count = 0;
    char key[16], value[64];
    put(txn, NULL, "agent/goal", "write tests");
    put(txn, NULL, "agent/plan", "none");
    OK(strata_kv_delete(txn, NULL, strata_text("agent/plan")));
    put(txn, NULL, "agent/goal", "ship");
    OK(strata_kv_increment(txn, NULL, strata_text("count"), -2, &count));
    const strata_kv_put_options soon = {.size = sizeof(soon), .ttl_us = 60000000};
    OK(strata_kv_put_with(txn, NULL, strata_text("soon"), strata_text("gone"), &soon));
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "row%03d", i);
        snprintf(value, sizeof(value), "value of row %d, not very long", i);
        put(txn, NULL, key, value);
    }
    OK(strata_space_open(db, "notes", &notes));
    put(txn, notes, "first", "in a space of its own");
    strata_space_close(notes);
}

/* In the log alone: rows of two branches. */
static void write_log(strata *db, strata_txn *txn)
{
    strata_txn *branch = NULL;
    OK(strata_branch_fork(db, strata_head("main"), "experiment", NULL));
    OK(strata_txn_auto(db, "experiment", &branch));
    put(branch, NULL, "agent/goal", "try something");
    OK(strata_kv_delete(branch, NULL, strata_text("row007")));
    put(txn, NULL, "agent/goal", "ship it");
    strata_txn_close(branch);
}

/* Ends the process like a crash, so that the log has something to say. */
static void run_script(const char *path)
{
    golden_wall_us = start_us;
    strata *db = open_database(path, STRATA_OPEN_NEW);
    strata_txn *txn = NULL;
    OK(strata_txn_auto(db, "main", &txn));
    write_tables(db, txn);
    OK(strata_checkpoint(db));
    write_log(db, txn);
    OK(strata_sync(db));
    _exit(0);
}

/* Takes the zeros off the end of a segment, and removes the lock. */
static int trim_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    static unsigned char bytes[FILE_BYTES_MAX];
    (void)status, (void)walk;
    if (strstr(path, "/locks") != NULL)
        return remove(path);
    if (kind != FTW_F || strstr(path, "/wal/") == NULL)
        return 0;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    return truncate(path, (off_t)((size + 7) / 8 * 8));
}

static void make_database(const char *path)
{
    const pid_t child = fork();
    if (child == 0)
        run_script(path);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(nftw(path, trim_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void assert_value(strata_txn *txn, strata_space *space, const char *key,
                         const char *expected)
{
    strata_value value = {0};
    const strata_status status = strata_kv_get(txn, space, strata_text(key), &value);
    if (expected == NULL) {
        assert_int_equal(status, STRATA_NOT_FOUND);
        return;
    }
    assert_int_equal(status, STRATA_OK);
    assert_int_equal(value.size, strlen(expected));
    assert_memory_equal(value.data, expected, value.size);
    strata_value_release(&value);
}

static void assert_history(strata_txn *txn, const char *key, const char *const *values)
{
    strata_cursor *cursor = NULL;
    strata_row row;
    OK(strata_kv_history(txn, NULL, strata_text(key), &cursor));
    for (; *values != NULL; values++) {
        OK(strata_kv_next(cursor, &row));
        assert_int_equal(row.value.size, strlen(*values));
        assert_memory_equal(row.value.data, *values, row.value.size);
    }
    assert_int_equal(strata_kv_next(cursor, &row), STRATA_DONE);
    strata_cursor_close(cursor);
}

static void assert_branches(strata *db)
{
    static const char *const goals[] = {"ship it", "ship", "write tests", NULL};
    strata_txn *main_txn = NULL, *branch = NULL, *past = NULL;
    strata_space *notes = NULL;
    int64_t count = 0;
    strata_value value = {0};
    OK(strata_txn_auto(db, "main", &main_txn));
    OK(strata_txn_auto(db, "experiment", &branch));
    OK(strata_space_open(db, "notes", &notes));
    assert_value(main_txn, NULL, "agent/goal", "ship it");
    assert_value(main_txn, NULL, "agent/plan", NULL);
    assert_value(main_txn, NULL, "soon", NULL);
    assert_value(main_txn, NULL, "row007", "value of row 7, not very long");
    assert_value(main_txn, notes, "first", "in a space of its own");
    assert_history(main_txn, "agent/goal", goals);
    assert_value(branch, NULL, "agent/goal", "try something");
    assert_value(branch, NULL, "row007", NULL);
    assert_value(branch, NULL, "row008", "value of row 8, not very long");
    OK(strata_kv_get(main_txn, NULL, strata_text("count"), &value));
    assert_int_equal(value.flags & STRATA_ROW_COUNTER, STRATA_ROW_COUNTER);
    memcpy(&count, value.data, sizeof(count)); /* The hosts of tests are little-endian. */
    assert_int_equal(count, -2);
    strata_value_release(&value);

    OK(strata_txn_snapshot(db, strata_at_time("main", start_us + 2500000), &past));
    assert_value(past, NULL, "agent/goal", "write tests");
    strata_txn_close(past);
    strata_space_close(notes);
    strata_txn_close(branch);
    strata_txn_close(main_txn);
}

static void refuse_finding(void *context, const strata_finding *finding)
{
    (void)context;
    fail_msg("%s: %s", finding->object, finding->message);
}

static char copy_from[PATH_SIZE], copy_to[PATH_SIZE]; /* nftw has no context. */

static int copy_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    static unsigned char bytes[FILE_BYTES_MAX];
    char to[2 * PATH_SIZE];
    (void)status, (void)walk;
    snprintf(to, sizeof(to), "%s%s", copy_to, path + strlen(copy_from));
    if (kind == FTW_D)
        return mkdir(to, 0777);
    FILE *in = fopen(path, "rb"), *out = fopen(to, "wb");
    assert_true(in != NULL && out != NULL);
    const size_t size = fread(bytes, 1, sizeof(bytes), in);
    assert_true(size < sizeof(bytes));
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    fclose(in);
    return 0;
}

static void a_database_of_version_1_is_read(void **state)
{
    (void)state;
    const char *root = getenv("SOURCE_DIR");
    char folder[TEMP_FOLDER_SIZE];
    temp_folder_create(folder);
    snprintf(copy_from, sizeof(copy_from), "%s/tests/golden/database", root != NULL ? root : ".");
    snprintf(copy_to, sizeof(copy_to), "%s/database", folder);
    assert_int_equal(nftw(copy_from, copy_entry, 8, FTW_PHYS), 0);
    golden_wall_us = start_us + 600000000;

    static const uint32_t modes[] = {STRATA_OPEN_READ_ONLY, STRATA_OPEN_EXISTING};
    for (size_t i = 0; i < 2; i++) {
        strata *db = open_database(copy_to, modes[i]);
        strata_report report = {.size = sizeof(report)};
        OK(strata_open_report(db, &report));
        assert_int_equal(report.health, STRATA_HEALTHY);
        assert_true(i > 0 || report.replayed_commits > 3);
        OK(strata_check(db, NULL, refuse_finding, NULL));
        assert_branches(db);
        OK(strata_close(db));
    }

    strata *db = open_database(copy_to, STRATA_OPEN_EXISTING);
    OK(strata_checkpoint(db));
    OK(strata_compact(db, NULL));
    OK(strata_check(db, NULL, refuse_finding, NULL));
    assert_branches(db);
    OK(strata_close(db));
    temp_folder_remove(folder);
}

int main(void)
{
    const char *folder = getenv("STRATA_GOLDEN_WRITE");
    char path[PATH_SIZE];
    if (folder != NULL) {
        snprintf(path, sizeof(path), "%s/database", folder);
        make_database(path);
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_database_of_version_1_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
