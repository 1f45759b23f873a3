/* A program may start with its standard streams closed. Files of the database never take their
 * numbers, so that what such a program prints does not end up in them. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/temp_folder.h"

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether all three numbers are still free. */
static int streams_are_closed(void)
{
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++) {
        if (fcntl(number, F_GETFD) != -1 || errno != EBADF)
            return 0;
    }
    return 1;
}

/* The child: 0, or the number of the step that went wrong. */
static int use_database(const char *folder)
{
    strata *db = NULL;
    strata_txn *txn = NULL;
    static const unsigned char bytes[100000];
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++)
        (void)close(number);
    if (strata_open(folder, NULL, &db) != STRATA_OK)
        return 1;
    if (strata_txn_auto(db, "main", &txn) != STRATA_OK)
        return 2;
    if (strata_kv_put(txn, NULL, strata_text("long"), strata_view(bytes, sizeof(bytes))))
        return 3;
    if (strata_kv_put(txn, NULL, strata_text("k"), strata_text("v")) != STRATA_OK)
        return 4;
    if (strata_compact(db, NULL) != STRATA_OK)
        return 5;
    if (!streams_are_closed())
        return 6;
    strata_txn_close(txn);
    return strata_close(db) == STRATA_OK ? 0 : 7;
}

static void no_file_takes_their_numbers(void **state)
{
    (void)state;
    char folder[TEMP_FOLDER_SIZE];
    int ended = 0;
    temp_folder_create(folder);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(use_database(folder));
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 0);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_takes_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
