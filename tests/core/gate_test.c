#include "core/gate.h"
#include "support.h"

enum { WALKERS = 4, ROUNDS = 100 };

struct walk {
    struct gate gate;
    struct mutex mutex;
    uint64_t round;      /* Guarded by the mutex; moves before the gate lets go. */
    _Atomic int arrived; /* Of this round's. */
    _Atomic bool mistaken;
};

static void walk_all_rounds(void *context)
{
    struct walk *walk = context;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        mutex_lock(&walk->mutex);
        const uint32_t seen = gate_look(&walk->gate);
        mutex_unlock(&walk->mutex);
        atomic_fetch_add(&walk->arrived, 1);
        gate_wait(&walk->gate, seen);
        mutex_lock(&walk->mutex);
        if (walk->round != round + 1)
            atomic_store(&walk->mistaken, true);
        mutex_unlock(&walk->mutex);
    }
}

static void a_pass_lets_everyone_go_once(void **state)
{
    (void)state;
    struct walk walk = {.round = 0};
    struct thread threads[WALKERS];
    gate_init(&walk.gate);
    mutex_init(&walk.mutex);
    for (size_t i = 0; i < WALKERS; i++)
        assert_int_equal(thread_start(&threads[i], walk_all_rounds, &walk), STRATA_OK);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        while (atomic_load(&walk.arrived) < WALKERS)
            thread_yield();
        atomic_store(&walk.arrived, 0);
        mutex_lock(&walk.mutex);
        walk.round++;
        mutex_unlock(&walk.mutex);
        gate_pass(&walk.gate);
    }
    for (size_t i = 0; i < WALKERS; i++)
        thread_join(&threads[i]);
    assert_false(atomic_load(&walk.mistaken));
    mutex_destroy(&walk.mutex);
    gate_destroy(&walk.gate);
}

static void who_comes_after_the_pass_does_not_wait(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate);
    const uint32_t seen = gate_look(&gate);
    gate_pass(&gate);
    gate_wait(&gate, seen);
    assert_int_not_equal(gate_look(&gate), seen);
    gate_destroy(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_lets_everyone_go_once),
        cmocka_unit_test(who_comes_after_the_pass_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
