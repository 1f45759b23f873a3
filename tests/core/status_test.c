#include "core/status.h"
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static strata_error detail(void)
{
    strata_error error = {.size = sizeof(error)};
    strata_error_detail(&error);
    return error;
}

static void before_any_failure_the_message_is_empty(void **state)
{
    (void)state;
    assert_string_equal(strata_error_message(), "");
    assert_int_equal(detail().status, STRATA_OK);
}

static void a_failure_leaves_its_status_and_message(void **state)
{
    (void)state;
    assert_int_equal(failure(STRATA_INVALID, "key of %d bytes", 20000), STRATA_INVALID);
    assert_string_equal(strata_error_message(), "key of 20000 bytes");
    const strata_error error = detail();
    assert_int_equal(error.status, STRATA_INVALID);
    assert_string_equal(error.message, "key of 20000 bytes");
    assert_string_equal(error.object, "");
}

static void a_failure_clears_the_detail_of_the_one_before(void **state)
{
    (void)state;
    (void)failure_at(STRATA_CORRUPT, "wal/1", 4096, "wal/1 is torn");
    failure_system(EIO);
    failure_outcome(STRATA_COMMIT_UNKNOWN, 77);
    failure_holder(123, 456);
    strata_error error = detail();
    assert_string_equal(error.object, "wal/1");
    assert_int_equal(error.offset, 4096);
    assert_int_equal(error.system_error, EIO);
    assert_int_equal(error.outcome, STRATA_COMMIT_UNKNOWN);
    assert_int_equal(error.version, 77);
    assert_int_equal(error.holder_pid, 123);
    assert_int_equal(error.holder_since_us, 456);

    (void)failure(STRATA_INVALID, "no");
    const strata_error cleared = {
        .size = sizeof(cleared), .status = STRATA_INVALID, .message = "no"};
    error = detail();
    assert_memory_equal(&error, &cleared, sizeof(error));
}

static void every_status_has_its_retry_advice(void **state)
{
    (void)state;
    static const struct {
        strata_status status;
        strata_retry retry;
    } cases[] = {
        {STRATA_CONFLICT, STRATA_RETRY_NOW},    {STRATA_BUSY, STRATA_RETRY_LATER},
        {STRATA_TIMEOUT, STRATA_RETRY_LATER},   {STRATA_NO_SPACE, STRATA_RETRY_LATER},
        {STRATA_NO_MEMORY, STRATA_RETRY_LATER}, {STRATA_HALTED, STRATA_RETRY_REOPEN},
        {STRATA_IO, STRATA_RETRY_NEVER},        {STRATA_CORRUPT, STRATA_RETRY_NEVER},
        {STRATA_INVALID, STRATA_RETRY_NEVER},   {STRATA_NOT_FOUND, STRATA_RETRY_NEVER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)failure(cases[i].status, "case %zu", i);
        assert_int_equal(detail().retry, cases[i].retry);
    }
}

static void detail_fills_no_more_than_the_size_it_is_given(void **state)
{
    (void)state;
    (void)failure_at(STRATA_IO, "object", 9, "message");
    struct {
        strata_error error;
        unsigned char beyond[16];
    } newer;
    memset(&newer, 0xee, sizeof(newer));
    newer.error.size = offsetof(strata_error, retry);
    strata_error_detail(&newer.error);
    assert_int_equal(newer.error.size, offsetof(strata_error, retry));
    assert_int_equal(newer.error.status, STRATA_IO);
    assert_int_equal(newer.error.retry, 0xeeeeeeeeu);

    newer.error.size = sizeof(newer);
    strata_error_detail(&newer.error);
    assert_int_equal(newer.error.size, sizeof(newer));
    assert_string_equal(newer.error.message, "message");
    assert_int_equal(newer.beyond[0], 0xee);

    newer.error.size = 0;
    newer.error.status = 5;
    strata_error_detail(&newer.error);
    assert_int_equal(newer.error.status, 5);
}

static void a_long_message_and_object_are_cut(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    (void)failure_at(STRATA_IO, text, 0, "%s", text);
    const strata_error error = detail();
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    assert_int_equal(strlen(error.object), sizeof(error.object) - 1);
}

static void a_message_may_quote_the_one_before(void **state)
{
    (void)state;
    (void)failure_at(STRATA_IO, "inner", 0, "disk is gone");
    (void)failure(STRATA_HALTED, "writes stopped: %s", strata_error_message());
    assert_string_equal(strata_error_message(), "writes stopped: disk is gone");
}

static void a_saved_failure_comes_back_whole(void **state)
{
    (void)state;
    (void)failure_at(STRATA_NO_SPACE, "tables/00/1", 512, "disk is full");
    failure_system(ENOSPC);
    strata_error saved;
    failure_save(&saved);
    (void)failure(STRATA_INVALID, "something else");
    assert_int_equal(failure_restore(&saved), STRATA_NO_SPACE);
    const strata_error error = detail();
    assert_memory_equal(&error, &saved, sizeof(error));
    assert_string_equal(strata_error_message(), "disk is full");
}

static void *fail_elsewhere(void *context)
{
    (void)context;
    const int is_clean = strata_error_message()[0] == '\0';
    (void)failure(STRATA_IO, "elsewhere");
    static int clean = 1;
    return is_clean ? &clean : NULL;
}

static void threads_do_not_see_each_others_failures(void **state)
{
    (void)state;
    (void)failure(STRATA_INVALID, "here");
    pthread_t thread;
    void *was_clean = NULL;
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, &was_clean), 0);
    assert_non_null(was_clean);
    assert_string_equal(strata_error_message(), "here");
}

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    static const int gaps[] = {5, 17};
    for (int i = STRATA_OK; i <= STRATA_CLOSED; i++) {
        const char *name = strata_status_name((strata_status)i);
        assert_int_equal(strcmp(name, "unknown") == 0, i == gaps[0] || i == gaps[1]);
        for (int j = STRATA_OK; j < i && i != gaps[1]; j++)
            assert_string_not_equal(name, strata_status_name((strata_status)j));
    }
    assert_string_equal(strata_status_name(STRATA_NOT_FOUND), "not_found");
    assert_string_equal(strata_status_name((strata_status)1000), "unknown");
}

static strata_status tried(strata_status first)
{
    TRY(first);
    return STRATA_DONE;
}

static strata_status tried_with_cleanup(strata_status first, int *cleanups)
{
    strata_status status = STRATA_OK;
    TRY_OUT(first);
    status = STRATA_DONE;
out:
    ++*cleanups;
    return status;
}

static void try_passes_a_failure_on_untouched(void **state)
{
    (void)state;
    int cleanups = 0;
    assert_int_equal(tried(STRATA_OK), STRATA_DONE);
    assert_int_equal(tried(STRATA_IO), STRATA_IO);
    assert_int_equal(tried_with_cleanup(STRATA_OK, &cleanups), STRATA_DONE);
    assert_int_equal(tried_with_cleanup(STRATA_IO, &cleanups), STRATA_IO);
    assert_int_equal(cleanups, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_any_failure_the_message_is_empty),
        cmocka_unit_test(a_failure_leaves_its_status_and_message),
        cmocka_unit_test(a_failure_clears_the_detail_of_the_one_before),
        cmocka_unit_test(every_status_has_its_retry_advice),
        cmocka_unit_test(detail_fills_no_more_than_the_size_it_is_given),
        cmocka_unit_test(a_long_message_and_object_are_cut),
        cmocka_unit_test(a_message_may_quote_the_one_before),
        cmocka_unit_test(a_saved_failure_comes_back_whole),
        cmocka_unit_test(threads_do_not_see_each_others_failures),
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(try_passes_a_failure_on_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
