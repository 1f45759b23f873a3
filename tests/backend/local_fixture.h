/* A local backend on a directory of its own, with a heap that counts. As for scratch.h, define
 * _XOPEN_SOURCE 700 before the first include. */
#ifndef STRATA_TESTS_BACKEND_LOCAL_FIXTURE_H
#define STRATA_TESTS_BACKEND_LOCAL_FIXTURE_H

#include "backend/local.h"
#include "backend/scratch.h"

struct fixture {
    struct scratch scratch;
    struct test_heap counted;
    strata_allocator allocator;
    const strata_backend *backend;
};

static inline void fixture_init(struct fixture *fixture)
{
    scratch_init(&fixture->scratch);
    fixture->allocator = test_heap_init(&fixture->counted);
    assert_int_equal(
        local_backend_create(fixture->scratch.root, &fixture->allocator, &fixture->backend),
        STRATA_OK);
}

static inline void fixture_release(struct fixture *fixture)
{
    local_backend_destroy(fixture->backend);
    test_heap_assert_empty(&fixture->counted);
    scratch_release(&fixture->scratch);
}

/* An object that holds its own name. */
static inline void create_object(const strata_backend *backend, const char *name)
{
    struct object object;
    assert_int_equal(object_create(backend, name, 0, &object), STRATA_OK);
    assert_int_equal(object_append(&object, bytes_of(name, strlen(name))), STRATA_OK);
    object_close(&object);
}

/* Whether the root has anything of that name. */
static inline int exists(const struct fixture *fixture, const char *name)
{
    char path[2 * SCRATCH_PATH_SIZE];
    struct stat attributes;
    return lstat(scratch_path(&fixture->scratch, name, path), &attributes) == 0;
}

#endif
