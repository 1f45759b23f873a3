/* Shared test helpers. cmocka.h needs the four standard headers before it. */
#ifndef STRATA_TESTS_SUPPORT_H
#define STRATA_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "strata.h"

static inline void *heap_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context;
    (void)old_size;
    if (new_size > 0)
        return realloc(block, new_size);
    free(block);
    return NULL;
}

static inline void *refuse_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context, (void)old_size;
    if (new_size == 0)
        free(block);
    return NULL;
}

/* The C heap, and a heap that is always full. */
static const strata_allocator heap = {.resize = heap_resize};
static const strata_allocator no_heap = {.resize = refuse_resize};

/* A heap that counts, and that can refuse one request or all from one on.
 *
 *     struct test_heap counted;
 *     strata_allocator allocator = test_heap_init(&counted);
 *     counted.fail_at = 3;
 *
 * To try every failure: raise fail_at from 1 until a run ends with fail_at > requests. */
struct test_heap {
    _Atomic uint64_t requests;     /* Calls that wanted memory. */
    _Atomic uint64_t bytes;        /* Held now, by the sizes the library stated. */
    _Atomic uint64_t bytes_peak;   /* The most ever held. */
    _Atomic uint64_t blocks;       /* Held now. */
    _Atomic uint64_t fail_at;      /* Request number, from 1, that fails; 0: none. */
    _Atomic int fail_from_then_on; /* 1: every later request fails as well. */
};

static inline int test_heap_refuses(struct test_heap *counted, uint64_t request)
{
    const uint64_t fail_at = counted->fail_at;
    return fail_at != 0 &&
           (request == fail_at || (request > fail_at && counted->fail_from_then_on));
}

static inline void *test_heap_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    struct test_heap *counted = context;
    if (new_size > 0 && test_heap_refuses(counted, atomic_fetch_add(&counted->requests, 1) + 1))
        return NULL;
    void *resized = heap_resize(NULL, block, old_size, new_size);
    if (new_size > 0 && resized == NULL)
        return NULL;

    const uint64_t change = (uint64_t)new_size - (uint64_t)old_size;
    const uint64_t held = atomic_fetch_add(&counted->bytes, change) + change;
    uint64_t peak = counted->bytes_peak;
    while (held > peak) {
        if (atomic_compare_exchange_weak(&counted->bytes_peak, &peak, held))
            break;
    }
    counted->blocks += (uint64_t)(new_size > 0 && block == NULL);
    counted->blocks -= (uint64_t)(new_size == 0 && block != NULL);
    return resized;
}

static inline strata_allocator test_heap_init(struct test_heap *counted)
{
    *counted = (struct test_heap){0};
    return (strata_allocator){.context = counted, .resize = test_heap_resize};
}

/* Everything given out came back, by the library's own account of the sizes. */
static inline void test_heap_assert_empty(struct test_heap *counted)
{
    assert_int_equal(counted->blocks, 0);
    assert_int_equal(counted->bytes, 0);
}

#endif
