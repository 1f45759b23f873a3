#include "core/epoch.h"
#include "core/memory.h"
#include "core/random.h"
#include "support.h"

enum { READERS = 3, SWAPS = 4000, MAGIC = 0x5eed };

/* A thing that is read without a lock. */
struct thing {
    struct epoch_retired retired;
    unsigned magic; /* MAGIC while it lives. */
    int *freed_count;
};

static void thing_free(struct epoch_retired *retired, void *context)
{
    struct thing *thing = context;
    assert_ptr_equal(retired, &thing->retired);
    assert_int_equal(thing->magic, MAGIC);
    thing->magic = 0;
    ++*thing->freed_count;
    release(&heap, thing, sizeof(*thing));
}

static struct thing *thing_create(int *freed_count)
{
    struct thing *thing = allocate_zeroed(&heap, sizeof(*thing));
    assert_non_null(thing);
    thing->magic = MAGIC;
    thing->freed_count = freed_count;
    thing->retired.free_thing = thing_free;
    thing->retired.context = thing;
    return thing;
}

static struct epoch_slot *taken_slot(struct epochs *epochs)
{
    struct epoch_slot *slot = NULL;
    assert_int_equal(epoch_slot_take(epochs, &slot), STRATA_OK);
    return slot;
}

static void a_thing_is_freed_when_nobody_is_inside(void **state)
{
    (void)state;
    struct epochs epochs;
    epochs_init(&epochs, &heap);
    int freed = 0;
    assert_false(epoch_reclaim(&epochs));
    epoch_retire(&epochs, &thing_create(&freed)->retired);
    assert_int_equal(freed, 0);
    assert_false(epoch_reclaim(&epochs));
    assert_int_equal(freed, 1);
    epochs_destroy(&epochs);
}

static void a_thing_waits_for_those_who_were_inside(void **state)
{
    (void)state;
    struct epochs epochs;
    epochs_init(&epochs, &heap);
    struct epoch_slot *early = taken_slot(&epochs);
    struct epoch_slot *late = taken_slot(&epochs);
    int freed = 0;

    epoch_enter(&epochs, early);
    epoch_retire(&epochs, &thing_create(&freed)->retired);
    epoch_enter(&epochs, late);
    assert_true(epoch_reclaim(&epochs));
    assert_int_equal(freed, 0);
    epoch_leave(early);
    assert_false(epoch_reclaim(&epochs)); /* Late came after it was unlinked. */
    assert_int_equal(freed, 1);

    epoch_retire(&epochs, &thing_create(&freed)->retired);
    epoch_enter(&epochs, early);
    epoch_retire(&epochs, &thing_create(&freed)->retired);
    epoch_leave(late);
    assert_true(epoch_reclaim(&epochs));
    assert_int_equal(freed, 2); /* The older of the two: early was not inside yet. */
    epoch_leave(early);
    epoch_slot_give(early);
    epoch_slot_give(late);
    epochs_destroy(&epochs);
    assert_int_equal(freed, 3);
}

static void entering_twice_needs_leaving_twice(void **state)
{
    (void)state;
    struct epochs epochs;
    epochs_init(&epochs, &heap);
    struct epoch_slot *slot = taken_slot(&epochs);
    int freed = 0;
    epoch_enter(&epochs, slot);
    epoch_retire(&epochs, &thing_create(&freed)->retired);
    epoch_enter(&epochs, slot);
    epoch_leave(slot);
    assert_true(epoch_reclaim(&epochs));
    assert_int_equal(freed, 0);
    epoch_leave(slot);
    assert_false(epoch_reclaim(&epochs));
    assert_int_equal(freed, 1);
    epoch_slot_give(slot);
    epochs_destroy(&epochs);
}

struct chain {
    struct epoch_retired retired;
    struct epochs *epochs;
    int left;
};

static void chain_free(struct epoch_retired *retired, void *context)
{
    struct chain *chain = context;
    if (--chain->left > 0)
        epoch_retire(chain->epochs, retired);
}

static void a_thing_may_retire_another_while_it_is_freed(void **state)
{
    (void)state;
    struct epochs epochs;
    epochs_init(&epochs, &heap);
    struct chain chain = {.epochs = &epochs, .left = 3};
    chain.retired.free_thing = chain_free;
    chain.retired.context = &chain;
    epoch_retire(&epochs, &chain.retired);
    (void)epoch_reclaim(&epochs);
    assert_int_equal(chain.left, 2);
    epochs_destroy(&epochs);
    assert_int_equal(chain.left, 0);
}

static void slots_lie_in_lines_of_their_own_and_are_used_again(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct epochs epochs;
    epochs_init(&epochs, &allocator);
    struct epoch_slot *slots[3 * EPOCH_SLOTS_PER_BLOCK];
    const size_t count = sizeof(slots) / sizeof(slots[0]);
    for (size_t i = 0; i < count; i++) {
        slots[i] = taken_slot(&epochs);
        assert_int_equal((uintptr_t)slots[i] % 64, 0);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(slots[i], slots[j]);
    }
    assert_int_equal(counted.blocks, 3);
    epoch_slot_give(slots[40]);
    assert_ptr_equal(taken_slot(&epochs), slots[40]);
    for (size_t i = 0; i < count; i++)
        epoch_slot_give(slots[i]);
    for (size_t i = 0; i < count; i++)
        slots[i] = taken_slot(&epochs);
    assert_int_equal(counted.blocks, 3);
    for (size_t i = 0; i < count; i++)
        epoch_slot_give(slots[i]);
    epoch_slot_give(NULL);
    epochs_destroy(&epochs);
    test_heap_assert_empty(&counted);
}

static void without_memory_no_slot_is_taken(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct epochs epochs;
    epochs_init(&epochs, &allocator);
    counted.fail_at = 1;
    struct epoch_slot *slot = NULL;
    assert_int_equal(epoch_slot_take(&epochs, &slot), STRATA_NO_MEMORY);
    assert_null(slot);
    counted.fail_at = 3;
    for (int i = 0; i < EPOCH_SLOTS_PER_BLOCK; i++)
        (void)taken_slot(&epochs);
    assert_int_equal(epoch_slot_take(&epochs, &slot), STRATA_NO_MEMORY);
    assert_int_equal(epoch_slot_take(&epochs, &slot), STRATA_OK);
    epochs_destroy(&epochs);
    test_heap_assert_empty(&counted);
}

struct shared {
    struct epochs epochs;
    _Atomic(struct thing *) thing;
    _Atomic int done;
    _Atomic int broken;
    _Atomic uint64_t reads;
};

/* A slot is taken for a few reads at a time, so that blocks come and slots change hands too. */
static void read_things(void *context)
{
    struct shared *shared = context;
    while (!shared->done) {
        struct epoch_slot *slot = NULL;
        if (epoch_slot_take(&shared->epochs, &slot) != STRATA_OK) {
            shared->broken = 1;
            return;
        }
        for (int i = 0; i < 20; i++) {
            epoch_enter(&shared->epochs, slot);
            const struct thing *thing = atomic_load_explicit(&shared->thing, memory_order_acquire);
            epoch_enter(&shared->epochs, slot);
            if (thing->magic != MAGIC)
                shared->broken = 1;
            epoch_leave(slot);
            if (thing->magic != MAGIC)
                shared->broken = 1;
            epoch_leave(slot);
            shared->reads++;
        }
        epoch_slot_give(slot);
    }
}

/* The sanitizers look on: a thing freed too early is a use after free, or a race. */
static void readers_never_see_a_freed_thing(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    int freed = 0;
    struct shared shared = {0};
    epochs_init(&shared.epochs, &allocator);
    shared.thing = thing_create(&freed);
    struct thread readers[READERS];
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(thread_start(&readers[i], read_things, &shared), STRATA_OK);

    struct random random = {.state = 1};
    for (int swaps = 0; swaps < SWAPS || shared.reads < SWAPS; swaps++) {
        struct thing *old =
            atomic_exchange_explicit(&shared.thing, thing_create(&freed), memory_order_acq_rel);
        epoch_retire(&shared.epochs, &old->retired);
        if (random_next(&random) % 4 == 0)
            (void)epoch_reclaim(&shared.epochs);
        if (shared.broken)
            break;
    }
    shared.done = 1;
    for (size_t i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    assert_false(shared.broken);
    assert_false(epoch_reclaim(&shared.epochs));
    assert_true(freed >= SWAPS);
    release(&heap, shared.thing, sizeof(struct thing));
    epochs_destroy(&shared.epochs);
    test_heap_assert_empty(&counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thing_is_freed_when_nobody_is_inside),
        cmocka_unit_test(a_thing_waits_for_those_who_were_inside),
        cmocka_unit_test(entering_twice_needs_leaving_twice),
        cmocka_unit_test(a_thing_may_retire_another_while_it_is_freed),
        cmocka_unit_test(slots_lie_in_lines_of_their_own_and_are_used_again),
        cmocka_unit_test(without_memory_no_slot_is_taken),
        cmocka_unit_test(readers_never_see_a_freed_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
