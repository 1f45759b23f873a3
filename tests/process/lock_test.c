/* One owner at a time: other processes, other handles, other names of the same folder. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/temp_folder.h"

#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct place {
    char folder[TEMP_FOLDER_SIZE];
    char path[TEMP_FOLDER_SIZE + 8];
};

static int make_place(void **state)
{
    struct place *place = malloc(sizeof(*place));
    if (place == NULL)
        return -1;
    temp_folder_create(place->folder);
    snprintf(place->path, sizeof(place->path), "%s/db", place->folder);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    temp_folder_remove(place->folder);
    free(place);
    return 0;
}

static strata_open_options impatient(void)
{
    return (strata_open_options){.size = sizeof(strata_open_options),
                                 .background_threads = STRATA_NONE,
                                 .lock_wait_us = STRATA_NONE};
}

static strata *must_open(const char *path)
{
    const strata_open_options options = impatient();
    strata *db = NULL;
    const strata_status status = strata_open(path, &options, &db);
    if (status != STRATA_OK)
        fail_msg("open: %s: %s", strata_status_name(status), strata_error_message());
    return db;
}

static strata_status put_one(strata *db, const char *key)
{
    strata_txn *txn = NULL;
    strata_status status = strata_txn_auto(db, "main", &txn);
    if (status == STRATA_OK)
        status = strata_kv_put(txn, NULL, strata_text(key), strata_text("value"));
    strata_txn_close(txn);
    return status;
}

/* A child that opens `path` and holds it for `hold_us`, or until it is killed (0). Returns when the
 * child has it. */
static pid_t start_holder(const char *path, long hold_us)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const strata_open_options options = impatient();
        strata *db = NULL;
        const strata_status status = strata_open(path, &options, &db);
        const char said = status == STRATA_OK && put_one(db, "held") == STRATA_OK ? 'y' : 'n';
        if (write(ends[1], &said, 1) != 1 || said == 'n')
            _exit(1);
        if (hold_us == 0)
            pause();
        const struct timespec hold = {0, hold_us * 1000};
        nanosleep(&hold, NULL);
        _exit(strata_close(db) == STRATA_OK ? 0 : 1);
    }
    close(ends[1]);
    char said = 'n';
    assert_int_equal(read(ends[0], &said, 1), 1);
    assert_int_equal(said, 'y');
    close(ends[0]);
    return child;
}

static void end_holder(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void assert_busy_by(const char *path, pid_t holder)
{
    const strata_open_options options = impatient();
    strata *db = NULL;
    strata_error error = {.size = sizeof(error)};
    assert_int_equal(strata_open(path, &options, &db), STRATA_BUSY);
    strata_error_detail(&error);
    assert_int_equal(error.status, STRATA_BUSY);
    assert_int_equal(error.holder_pid, holder);
    assert_true(error.holder_since_us > 0);
    assert_int_equal(error.retry, STRATA_RETRY_LATER);

    char wanted[64];
    const time_t since = (time_t)(error.holder_since_us / 1000000);
    struct tm parts;
    assert_non_null(gmtime_r(&since, &parts));
    const int length = snprintf(wanted, sizeof(wanted), "in use by pid %ld since ", (long)holder);
    strftime(wanted + length, sizeof(wanted) - (size_t)length, "%Y-%m-%dT%H:%M:%SZ host ", &parts);
    assert_non_null(strstr(error.message, wanted));
}

static void a_root_that_cannot_be_locked_is_named(void **state)
{
    const struct place *place = *state;
    const strata_open_options options = impatient();
    char path[TEMP_FOLDER_SIZE + 32];
    strata_error error = {.size = sizeof(error)};
    strata *db = NULL;
    snprintf(path, sizeof(path), "%s/nowhere/db", place->folder);
    assert_int_equal(strata_open(path, &options, &db), STRATA_IO);
    strata_error_detail(&error);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "No such file or directory"));
}

static void a_second_process_is_told_who_holds_the_database(void **state)
{
    const struct place *place = *state;
    const pid_t holder = start_holder(place->path, 0);
    assert_busy_by(place->path, holder);
    end_holder(holder);
    strata *db = must_open(place->path); /* The lock ended with its process; the commit did not. */
    uint64_t visible = 0;
    strata_watermarks(db, &visible, NULL);
    assert_int_equal(visible, 1);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void a_second_handle_of_the_same_process_is_refused(void **state)
{
    const struct place *place = *state;
    strata *db = must_open(place->path);
    assert_busy_by(place->path, getpid());
    assert_int_equal(put_one(db, "a"), STRATA_OK);
    assert_busy_by(place->path, getpid()); /* The refusal did not let go of the first one's lock. */
    const pid_t child = fork();
    if (child == 0) {
        const strata_open_options options = impatient();
        strata *other = NULL;
        _exit(strata_open(place->path, &options, &other) == STRATA_BUSY ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void another_name_of_the_folder_is_the_same_database(void **state)
{
    const struct place *place = *state;
    char link_path[TEMP_FOLDER_SIZE + 8];
    snprintf(link_path, sizeof(link_path), "%s/link", place->folder);
    strata *db = must_open(place->path);
    assert_int_equal(symlink(place->path, link_path), 0);
    assert_busy_by(link_path, getpid());
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void an_open_waits_for_the_holder_to_go(void **state)
{
    const struct place *place = *state;
    const pid_t holder = start_holder(place->path, 200000);
    strata_open_options options = impatient();
    options.lock_wait_us = 20000000;
    strata *db = NULL;
    assert_int_equal(strata_open(place->path, &options, &db), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    int status = 0;
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_int_equal(status, 0);
}

static void readers_share_and_change_no_byte(void **state)
{
    const struct place *place = *state;
    strata *db = must_open(place->path);
    assert_int_equal(put_one(db, "a"), STRATA_OK);
    strata_open_options options = impatient();
    options.mode = STRATA_OPEN_READ_ONLY;
    strata *reader = NULL;
    assert_int_equal(strata_open(place->path, &options, &reader), STRATA_BUSY);
    assert_int_equal(strata_close(db), STRATA_OK);

    const uint64_t before = temp_folder_fingerprint(place->folder);
    assert_int_equal(strata_open(place->path, &options, &reader), STRATA_OK);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        strata *other = NULL;
        _exit(strata_open(place->path, &options, &other) == STRATA_OK &&
                      strata_close(other) == STRATA_OK
                  ? 0
                  : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(put_one(reader, "b"), STRATA_READ_ONLY);
    assert_int_equal(strata_close(reader), STRATA_OK);
    assert_true(temp_folder_fingerprint(place->folder) == before);
}

static void a_read_only_folder_can_be_read(void **state)
{
    const struct place *place = *state;
    strata *db = must_open(place->path);
    assert_int_equal(put_one(db, "a"), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    assert_int_equal(chmod(place->path, 0500), 0);
    strata_open_options options = impatient();
    options.mode = STRATA_OPEN_READ_ONLY;
    assert_int_equal(strata_open(place->path, &options, &db), STRATA_OK);
    strata_txn *txn = NULL;
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    assert_int_equal(strata_kv_exists(txn, NULL, strata_text("a")), STRATA_OK);
    strata_txn_close(txn);
    assert_int_equal(strata_close(db), STRATA_OK);
    assert_int_equal(chmod(place->path, 0700), 0);
}

/* In the child of a fork(), where every call is to fail. Returns the number of those that do not. */
static int use_inherited(strata *db, strata_txn *txn, strata_space *space)
{
    int wrong = 0;
    strata_value value = {0};
    strata_cursor *cursor = NULL;
    strata_txn *other = NULL;
    const strata_bytes key = strata_text("a");
    wrong += strata_kv_get(txn, space, key, &value) != STRATA_CLOSED;
    wrong += strata_kv_put(txn, space, key, key) != STRATA_CLOSED;
    wrong += strata_kv_scan(txn, space, NULL, &cursor) != STRATA_CLOSED;
    wrong += strata_txn_begin(db, "main", NULL, &other) != STRATA_CLOSED;
    wrong += strata_txn_auto(db, "main", &other) != STRATA_CLOSED;
    wrong += strata_branch_fork(db, strata_head("main"), "x", NULL) != STRATA_CLOSED;
    wrong += strata_sync(db) != STRATA_CLOSED;
    wrong += strata_checkpoint(db) != STRATA_CLOSED;
    wrong += strata_compact(db, NULL) != STRATA_CLOSED;
    wrong += strata_close(db) != STRATA_CLOSED;
    return wrong;
}

static void handles_are_closed_in_the_child_of_a_fork(void **state)
{
    const struct place *place = *state;
    strata *db = must_open(place->path);
    strata_txn *txn = NULL;
    strata_space *space = NULL;
    assert_int_equal(put_one(db, "a"), STRATA_OK);
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    assert_int_equal(strata_space_open(db, "s", &space), STRATA_OK);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(use_inherited(db, txn, space));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(strata_kv_put(txn, space, strata_text("b"), strata_text("c")), STRATA_OK);
    strata_txn_close(txn);
    strata_space_close(space);
    assert_busy_by(place->path, getpid()); /* The child's end did not take the lock along. */
    assert_int_equal(strata_close(db), STRATA_OK);
}

/* In the child: 0 if the value becomes empty and nothing else happens to it. */
static int release_inherited(strata_value *value)
{
    strata_value_release(value);
    return value->data != NULL || value->size != 0 || value->pin[0] != NULL;
}

static void a_value_released_in_the_child_of_a_fork_is_still_the_parents(void **state)
{
    static char bytes[100000];
    const struct place *place = *state;
    strata *db = must_open(place->path);
    strata_txn *txn = NULL;
    strata_value values[2] = {{0}, {0}};
    memset(bytes, 'v', sizeof(bytes));
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    for (int i = 0; i < 2; i++) {
        const strata_bytes key = strata_text(i == 0 ? "frame" : "copy");
        const size_t size = i == 0 ? 5000 : sizeof(bytes);
        assert_int_equal(strata_kv_put(txn, NULL, key, strata_view(bytes, size)), STRATA_OK);
        assert_int_equal(strata_checkpoint(db), STRATA_OK);
        assert_int_equal(strata_kv_get(txn, NULL, key, &values[i]), STRATA_OK);
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(release_inherited(&values[0]) + release_inherited(&values[1]));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    strata_txn_close(txn);
    assert_int_equal(strata_close(db), STRATA_BUSY);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(values[i].data, bytes, values[i].size);
        strata_value_release(&values[i]);
    }
    assert_int_equal(strata_close(db), STRATA_OK);
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_place(a_second_process_is_told_who_holds_the_database),
        with_place(a_root_that_cannot_be_locked_is_named),
        with_place(a_second_handle_of_the_same_process_is_refused),
        with_place(another_name_of_the_folder_is_the_same_database),
        with_place(an_open_waits_for_the_holder_to_go),
        with_place(readers_share_and_change_no_byte),
        with_place(a_read_only_folder_can_be_read),
        with_place(handles_are_closed_in_the_child_of_a_fork),
        with_place(a_value_released_in_the_child_of_a_fork_is_still_the_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
