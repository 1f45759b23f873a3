#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "core/lock.h"

#include <assert.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/* A wait may end early, so a longer one is cut to what no clock overflows on. */
#define CONDITION_WAIT_US_MAX ((int64_t)3600 * 1000000)

/* Pthreads fail on these only for misuse: our bug. */
static void must_succeed(int error)
{
    assert(error == 0);
    (void)error;
}

void mutex_init(struct mutex *mutex)
{
    must_succeed(pthread_mutex_init(&mutex->native, NULL));
}

void mutex_destroy(struct mutex *mutex)
{
    must_succeed(pthread_mutex_destroy(&mutex->native));
}

void mutex_lock(struct mutex *mutex)
{
    must_succeed(pthread_mutex_lock(&mutex->native));
}

void mutex_unlock(struct mutex *mutex)
{
    must_succeed(pthread_mutex_unlock(&mutex->native));
}

void condition_init(struct condition *condition)
{
    pthread_condattr_t attributes;
    must_succeed(pthread_condattr_init(&attributes));
    must_succeed(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must_succeed(pthread_cond_init(&condition->native, &attributes));
    must_succeed(pthread_condattr_destroy(&attributes));
}

void condition_destroy(struct condition *condition)
{
    must_succeed(pthread_cond_destroy(&condition->native));
}

void condition_signal_all(struct condition *condition)
{
    must_succeed(pthread_cond_broadcast(&condition->native));
}

void condition_wait(struct condition *condition, struct mutex *mutex, int64_t wait_us)
{
    if (wait_us <= 0)
        wait_us = 0;
    if (wait_us > CONDITION_WAIT_US_MAX)
        wait_us = CONDITION_WAIT_US_MAX;

    struct timespec until = {0};
    must_succeed(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += (time_t)(wait_us / 1000000);
    until.tv_nsec += (long)(wait_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    /* The only result besides 0 is that the time is up, which callers see by looking. */
    (void)pthread_cond_timedwait(&condition->native, &mutex->native, &until);
}

static void *thread_main(void *context)
{
    struct thread *thread = context;
    thread->body(thread->context);
    return NULL;
}

/* Signals that the application handles are not for our threads; faults in our code are. */
static void signals_of_others(sigset_t *out)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigfillset(out);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(out, faults[i]);
}

strata_status thread_start(struct thread *thread, void (*body)(void *context), void *context)
{
    assert(body != NULL);

    *thread = (struct thread){.body = body, .context = context};
    sigset_t blocked;
    sigset_t before;
    signals_of_others(&blocked);
    must_succeed(pthread_sigmask(SIG_BLOCK, &blocked, &before));
    const int error = pthread_create(&thread->native, NULL, thread_main, thread);
    must_succeed(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (error != 0) {
        const strata_status status = failure(STRATA_NO_MEMORY, "the system has no thread to give");
        failure_system(error);
        return status;
    }
    thread->running = true;
    return STRATA_OK;
}

void thread_yield(void)
{
    (void)sched_yield();
}

void thread_join(struct thread *thread)
{
    if (!thread->running)
        return;
    must_succeed(pthread_join(thread->native, NULL));
    thread->running = false;
}

/* 0 until the first call has asked to be told of forks. */
static _Atomic uint32_t generation;
static pthread_once_t generation_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void generation_begin(void)
{
    /* Without memory for the handler a fork goes unseen, which only a misbehaving child notices. */
    (void)pthread_atfork(NULL, NULL, count_fork);
    atomic_store_explicit(&generation, 1, memory_order_relaxed);
}

uint32_t process_generation(void)
{
    const uint32_t known = atomic_load_explicit(&generation, memory_order_relaxed);
    if (known != 0)
        return known;
    must_succeed(pthread_once(&generation_once, generation_begin));
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
