#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "core/clock.h"
#include "core/lock.h"
#include "support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 5000 };

struct counter {
    struct mutex mutex;
    struct condition changed;
    int value;
};

static void counter_init(struct counter *counter)
{
    mutex_init(&counter->mutex);
    condition_init(&counter->changed);
    counter->value = 0;
}

static void counter_release(struct counter *counter)
{
    condition_destroy(&counter->changed);
    mutex_destroy(&counter->mutex);
}

static int64_t monotonic_now_us(void)
{
    const strata_clock *clock = clock_system();
    return clock->monotonic_us(clock->context);
}

static void count_up(void *context)
{
    struct counter *counter = context;
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&counter->mutex);
        counter->value++;
        mutex_unlock(&counter->mutex);
    }
}

static void a_mutex_admits_one_thread_at_a_time(void **state)
{
    (void)state;
    struct counter counter;
    counter_init(&counter);
    struct thread threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(thread_start(&threads[i], count_up, &counter), STRATA_OK);
    for (size_t i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    assert_int_equal(counter.value, THREADS * ROUNDS);
    counter_release(&counter);
}

static void answer(void *context)
{
    struct counter *counter = context;
    mutex_lock(&counter->mutex);
    while (counter->value != 1)
        condition_wait(&counter->changed, &counter->mutex, STRATA_FOREVER);
    counter->value = 2;
    condition_signal_all(&counter->changed);
    mutex_unlock(&counter->mutex);
}

static void a_signal_ends_the_longest_wait(void **state)
{
    (void)state;
    struct counter counter;
    counter_init(&counter);
    struct thread thread;
    assert_int_equal(thread_start(&thread, answer, &counter), STRATA_OK);
    mutex_lock(&counter.mutex);
    counter.value = 1;
    condition_signal_all(&counter.changed);
    while (counter.value != 2)
        condition_wait(&counter.changed, &counter.mutex, INT64_MAX);
    mutex_unlock(&counter.mutex);
    thread_join(&thread);
    counter_release(&counter);
}

static void a_wait_without_a_signal_ends_by_itself(void **state)
{
    (void)state;
    struct counter counter;
    counter_init(&counter);
    mutex_lock(&counter.mutex);
    const int64_t until_us = monotonic_now_us() + 20000;
    for (int64_t left_us = 20000; left_us > 0; left_us = until_us - monotonic_now_us())
        condition_wait(&counter.changed, &counter.mutex, left_us);
    assert_true(monotonic_now_us() < until_us + 10 * 1000000);
    condition_wait(&counter.changed, &counter.mutex, 0);
    condition_wait(&counter.changed, &counter.mutex, -5);
    mutex_unlock(&counter.mutex);
    counter_release(&counter);
}

static void joining_a_thread_that_never_ran_is_fine(void **state)
{
    (void)state;
    struct thread thread = {.running = false};
    thread_join(&thread);
    thread_join(&thread);
}

static void note_mask(void *context)
{
    sigset_t *mask = context;
    pthread_sigmask(SIG_BLOCK, NULL, mask);
}

static void signals_of_the_application_stay_off_our_threads(void **state)
{
    (void)state;
    sigset_t before;
    sigset_t inside;
    sigset_t after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    struct thread thread;
    assert_int_equal(thread_start(&thread, note_mask, &inside), STRATA_OK);
    thread_join(&thread);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_true(sigismember(&inside, SIGINT) && sigismember(&inside, SIGTERM));
    assert_false(sigismember(&inside, SIGSEGV));
    assert_int_equal(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
}

static void the_generation_changes_in_a_child_and_not_in_the_parent(void **state)
{
    (void)state;
    const uint32_t before = process_generation();
    assert_int_equal(process_generation(), before);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(process_generation() != before ? 0 : 1);
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
    assert_int_equal(process_generation(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_admits_one_thread_at_a_time),
        cmocka_unit_test(a_signal_ends_the_longest_wait),
        cmocka_unit_test(a_wait_without_a_signal_ends_by_itself),
        cmocka_unit_test(joining_a_thread_that_never_ran_is_fine),
        cmocka_unit_test(signals_of_the_application_stay_off_our_threads),
        cmocka_unit_test(the_generation_changes_in_a_child_and_not_in_the_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
