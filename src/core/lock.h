/* Mutual exclusion, waiting and threads, over pthreads. */
#ifndef STRATA_CORE_LOCK_H
#define STRATA_CORE_LOCK_H

#include "core/status.h"

#include <pthread.h>
#include <stdbool.h>

struct mutex {
    pthread_mutex_t native;
};

struct condition {
    pthread_cond_t native;
};

/* Does not move while it runs. */
struct thread {
    pthread_t native;
    void (*body)(void *context);
    void *context;
    bool running;
};

void mutex_init(struct mutex *mutex);
void mutex_destroy(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

void condition_init(struct condition *condition);
void condition_destroy(struct condition *condition);
void condition_signal_all(struct condition *condition);

/* Returns after a signal, or after about `wait_us` (CLOCK_MONOTONIC); wakes spuriously. */
void condition_wait(struct condition *condition, struct mutex *mutex, int64_t wait_us);

/* Fails with STRATA_NO_MEMORY where the system has no thread to give. */
STRATA_CHECKED strata_status thread_start(struct thread *thread, void (*body)(void *context),
                                          void *context);

/* Lets another thread run that is ready to. */
void thread_yield(void);

/* Waits for its end. Fine if it was never started. */
void thread_join(struct thread *thread);

/* Changes in the child of a fork(): a handle that remembers another value is not this process's.
 * One relaxed load. */
uint32_t process_generation(void);

#endif
