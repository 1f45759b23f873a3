/* A folder whose manifests are gone is a damaged database, not an empty one: it is refused in every
 * mode, and not a byte of it changes. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/temp_folder.h"

#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OK(call) assert_int_equal((call), STRATA_OK)

static void make_database(const char *folder, int with_tables)
{
    strata *db = NULL;
    strata_txn *txn = NULL;
    OK(strata_open(folder, NULL, &db));
    OK(strata_txn_auto(db, "main", &txn));
    OK(strata_kv_put(txn, NULL, strata_text("k"), strata_text("v")));
    if (with_tables)
        OK(strata_compact(db, NULL));
    strata_txn_close(txn);
    OK(strata_close(db));
}

static void remove_manifests(const char *folder)
{
    char path[TEMP_FOLDER_SIZE + 16];
    snprintf(path, sizeof(path), "%s/manifest", folder);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    unsigned removed = 0;
    for (;;) {
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            break;
        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
        removed++;
    }
    (void)closedir(directory);
    assert_true(removed > 0);
}

/* Of the logs and tables; the lock's folder is for owners to write in. */
static uint64_t fingerprint(const char *folder)
{
    static const char *const names[] = {"wal", "tables"};
    uint64_t sum = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[TEMP_FOLDER_SIZE + 16];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (access(path, F_OK) == 0)
            sum = sum * 31 + temp_folder_fingerprint(path);
    }
    return sum;
}

static void check_refused(const char *folder)
{
    const uint64_t before = fingerprint(folder);
    for (uint32_t mode = STRATA_OPEN_CREATE; mode <= STRATA_OPEN_READ_ONLY; mode++) {
        const strata_open_options options = {.size = sizeof(options), .mode = mode};
        strata *db = NULL;
        const strata_status status = strata_open(folder, &options, &db);
        if (mode == STRATA_OPEN_NEW)
            assert_true(status == STRATA_CORRUPT || status == STRATA_EXISTS);
        else
            assert_int_equal(status, STRATA_CORRUPT);
        assert_non_null(strstr(strata_error_message(), "manifest"));
    }
    assert_true(fingerprint(folder) == before);
}

static void check_without_manifests(int with_tables)
{
    char folder[TEMP_FOLDER_SIZE];
    temp_folder_create(folder);
    make_database(folder, with_tables);
    remove_manifests(folder);
    check_refused(folder);
    temp_folder_remove(folder);
}

static void a_log_alone_is_a_damaged_database(void **state)
{
    (void)state;
    check_without_manifests(0);
}

static void tables_alone_are_a_damaged_database(void **state)
{
    (void)state;
    check_without_manifests(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_alone_is_a_damaged_database),
        cmocka_unit_test(tables_alone_are_a_damaged_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
