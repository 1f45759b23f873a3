#include "backend/memory_backend.h"
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int count_found(void *context, const char *name, uint64_t size)
{
    (void)name, (void)size;
    ++*(int *)context;
    return 0;
}

static strata_status use_objects(const strata_backend *backend)
{
    static uint8_t bytes[100000];
    strata_status status = STRATA_OK;
    struct object first = {0};
    struct object second = {0};
    TRY_OUT(object_create(backend, "wal/1", 0, &first));
    for (int i = 0; i < 5; i++)
        TRY_OUT(object_append(&first, bytes_of(bytes, sizeof(bytes))));
    TRY_OUT(object_create(backend, "wal/2", 0, &second));
    TRY_OUT(object_append(&second, bytes_of(bytes, 1)));
    TRY_OUT(backend_remove(backend, "wal/2"));
    TRY_OUT(object_read(&first, 5, bytes, sizeof(bytes)));
out:
    object_close(&first);
    object_close(&second);
    return status;
}

static void every_refused_request_is_reported_and_nothing_leaks(void **state)
{
    (void)state;
    struct test_heap counted;
    for (uint64_t fail_at = 1;; fail_at++) {
        const strata_allocator allocator = test_heap_init(&counted);
        counted.fail_at = fail_at;
        const strata_backend *backend = NULL;
        strata_status status = memory_backend_create(&allocator, &backend);
        if (status == STRATA_OK)
            status = use_objects(backend);
        const int ended = counted.requests < fail_at;
        assert_int_equal(status, ended ? STRATA_OK : STRATA_NO_MEMORY);
        memory_backend_destroy(backend);
        test_heap_assert_empty(&counted);
        if (ended)
            break;
    }
}

static void an_append_without_memory_can_be_repeated(void **state)
{
    (void)state;
    static uint8_t bytes[200000];
    memset(bytes, 'x', sizeof(bytes));
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&allocator, &backend), STRATA_OK);
    struct object object;
    assert_int_equal(object_create(backend, "wal/1", 0, &object), STRATA_OK);
    assert_int_equal(object_append(&object, bytes_of("abc", 3)), STRATA_OK);
    counted.fail_at = counted.requests + 2;
    assert_int_equal(object_append(&object, bytes_of(bytes, sizeof(bytes))), STRATA_NO_MEMORY);
    uint8_t read[4];
    size_t size = 0;
    assert_int_equal(object_read_some(&object, 0, read, sizeof(read), &size), STRATA_OK);
    assert_int_equal(size, 3);
    assert_int_equal(object_append(&object, bytes_of(bytes, sizeof(bytes))), STRATA_OK);
    assert_int_equal(object_read(&object, 0, read, sizeof(read)), STRATA_OK);
    assert_memory_equal(read, "abcx", sizeof(read));
    object_close(&object);
    memory_backend_destroy(backend);
    test_heap_assert_empty(&counted);
}

static void a_reservation_takes_no_memory(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&allocator, &backend), STRATA_OK);
    struct object object;
    assert_int_equal(object_create(backend, "wal/1", (uint64_t)1 << 40, &object), STRATA_OK);
    assert_in_range(counted.bytes, 1, 10000);
    object_close(&object);
    memory_backend_destroy(backend);
    test_heap_assert_empty(&counted);
}

static void an_append_elsewhere_than_at_the_end_is_refused(void **state)
{
    (void)state;
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&heap, &backend), STRATA_OK);
    struct object object;
    assert_int_equal(object_create(backend, "wal/1", 0, &object), STRATA_OK);
    object.appended = 1;
    assert_int_equal(object_append(&object, bytes_of("abc", 3)), STRATA_IO);
    object.appended = UINT64_MAX;
    assert_int_equal(object_append(&object, bytes_of("abc", 3)), STRATA_IO);
    object_close(&object);
    memory_backend_destroy(backend);
}

static void names_out_of_bounds_are_refused(void **state)
{
    (void)state;
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&heap, &backend), STRATA_OK);
    char name[300];
    memset(name, 'n', sizeof(name));
    name[201] = '\0';
    strata_object *object = NULL;
    int error = 0;
    assert_int_equal(backend->create(backend->context, name, 0, &object, &error),
                     STRATA_EFFECT_NONE);
    assert_int_equal(backend->create(backend->context, "", 0, &object, &error), STRATA_EFFECT_NONE);
    name[200] = '\0';
    assert_int_equal(backend->create(backend->context, name, 0, &object, &error),
                     STRATA_EFFECT_DONE);
    backend->close(backend->context, object);
    memory_backend_destroy(backend);
}

static int remove_all(void *context, const char *name, uint64_t size)
{
    (void)size;
    const strata_backend *backend = *(const strata_backend **)context;
    assert_non_null(name);
    static const char *const names[] = {"wal/3", "wal/2", "wal/1", "wal/2", "wal/3"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(backend_remove(backend, names[i]), STRATA_OK);
    return 0;
}

static void removing_all_that_is_yet_to_be_listed_ends_the_listing(void **state)
{
    (void)state;
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&heap, &backend), STRATA_OK);
    static const char *const names[] = {"wal/1", "wal/2", "wal/3"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct object object;
        assert_int_equal(object_create(backend, names[i], 0, &object), STRATA_OK);
        object_close(&object);
    }
    assert_int_equal(backend_list(backend, "wal", remove_all, &backend), STRATA_OK);
    int found = 0;
    assert_int_equal(backend_list(backend, "wal", count_found, &found), STRATA_OK);
    assert_int_equal(found, 0);
    memory_backend_destroy(backend);
}

static void destroying_nothing_is_fine(void **state)
{
    (void)state;
    memory_backend_destroy(NULL);
}

enum { THREADS = 3, ROUNDS = 60 };

struct worker {
    const strata_backend *backend;
    int number;
    int failures;
};

/* Each thread makes and removes objects of its own while it lists those of all. */
static void *work(void *context)
{
    struct worker *worker = context;
    for (int round = 0; round < ROUNDS; round++) {
        char name[32];
        snprintf(name, sizeof(name), "wal/%d-%d", worker->number, round);
        struct object object = {0};
        worker->failures += object_create(worker->backend, name, 0, &object) != STRATA_OK;
        worker->failures += object_append(&object, bytes_of(name, sizeof(name))) != STRATA_OK;
        char read[sizeof(name)];
        worker->failures += object_read(&object, 0, read, sizeof(read)) != STRATA_OK;
        worker->failures += memcmp(read, name, sizeof(name)) != 0;
        int found = 0;
        worker->failures += backend_list(worker->backend, "wal", count_found, &found) != STRATA_OK;
        worker->failures += found < 1;
        worker->failures += backend_remove(worker->backend, name) != STRATA_OK;
        object_close(&object);
    }
    return NULL;
}

static void threads_may_work_side_by_side(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&allocator, &backend), STRATA_OK);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.backend = backend, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].failures, 0);
    }
    int found = 0;
    assert_int_equal(backend_list(backend, "wal", count_found, &found), STRATA_OK);
    assert_int_equal(found, 0);
    memory_backend_destroy(backend);
    test_heap_assert_empty(&counted);
}

static void a_ring_keeps_its_bytes_until_it_is_removed(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_backend *backend = NULL;
    struct ring ring;
    struct object object;
    uint8_t read[6] = {0};
    assert_int_equal(memory_backend_create(&allocator, &backend), STRATA_OK);
    ring_open(backend, "wal/ring", 16384, &ring);
    assert_int_equal(ring.size, 16384);
    memcpy(ring.bytes + 9000, "stored", 6);
    ring_close(&ring);
    assert_int_equal(object_open(backend, "wal/ring", &object), STRATA_OK);
    assert_int_equal(object_read(&object, 9000, read, sizeof(read)), STRATA_OK);
    assert_memory_equal(read, "stored", 6);
    ring_open(backend, "wal/ring", 65536, &ring); /* It stays as small as it is. */
    assert_int_equal(ring.size, 16384);
    assert_memory_equal(ring.bytes + 9000, "stored", 6);
    ring_close(&ring);
    ring_open(backend, "wal/ring", 8192, &ring);
    assert_null(ring.bytes);
    object_close(&object);
    assert_int_equal(backend_remove(backend, "wal/ring"), STRATA_OK);
    ring_open(backend, "wal/ring", 8192, &ring);
    assert_int_equal(ring.size, 8192);
    assert_int_equal(ring.bytes[0], 0);
    ring_close(&ring);
    for (uint64_t fail_at = 1; fail_at <= 2; fail_at++) {
        counted.requests = 0;
        counted.fail_at = fail_at;
        ring_open(backend, "wal/other", 8192, &ring);
        assert_null(ring.bytes);
    }
    counted.fail_at = 0;
    memory_backend_destroy(backend);
    test_heap_assert_empty(&counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_keeps_its_bytes_until_it_is_removed),
        cmocka_unit_test(every_refused_request_is_reported_and_nothing_leaks),
        cmocka_unit_test(an_append_without_memory_can_be_repeated),
        cmocka_unit_test(a_reservation_takes_no_memory),
        cmocka_unit_test(an_append_elsewhere_than_at_the_end_is_refused),
        cmocka_unit_test(names_out_of_bounds_are_refused),
        cmocka_unit_test(removing_all_that_is_yet_to_be_listed_ends_the_listing),
        cmocka_unit_test(destroying_nothing_is_fine),
        cmocka_unit_test(threads_may_work_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
