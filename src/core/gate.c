#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* For syscall. */
#endif

#include "core/gate.h"

#include <assert.h>

#ifdef __linux__
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__linux__) && defined(SYS_futex)
enum { GATE_NATIVE = 1 };

static void gate_sleep(struct gate *gate, uint32_t seen)
{
    /* Returns at once if the number has changed, and for no reason now and then. */
    (void)syscall(SYS_futex, &gate->passes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void gate_wake(struct gate *gate)
{
    (void)syscall(SYS_futex, &gate->passes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
#else
enum { GATE_NATIVE = 0 };

static void gate_sleep(struct gate *gate, uint32_t seen)
{
    mutex_lock(&gate->mutex);
    if (atomic_load(&gate->passes) == seen)
        condition_wait(&gate->passed, &gate->mutex, STRATA_FOREVER);
    mutex_unlock(&gate->mutex);
}

static void gate_wake(struct gate *gate)
{
    mutex_lock(&gate->mutex); /* Whoever looked at the number before waits by now. */
    condition_signal_all(&gate->passed);
    mutex_unlock(&gate->mutex);
}
#endif

static_assert(sizeof(_Atomic uint32_t) == 4, "the system looks at the number itself");

void gate_init(struct gate *gate)
{
    atomic_init(&gate->passes, 0);
    if (GATE_NATIVE == 0) {
        mutex_init(&gate->mutex);
        condition_init(&gate->passed);
    }
}

void gate_destroy(struct gate *gate)
{
    if (GATE_NATIVE == 0) {
        condition_destroy(&gate->passed);
        mutex_destroy(&gate->mutex);
    }
}

uint32_t gate_look(struct gate *gate)
{
    return atomic_load(&gate->passes);
}

void gate_wait(struct gate *gate, uint32_t seen)
{
    while (atomic_load(&gate->passes) == seen)
        gate_sleep(gate, seen);
}

void gate_pass(struct gate *gate)
{
    atomic_fetch_add(&gate->passes, 1);
    gate_wake(gate);
}
