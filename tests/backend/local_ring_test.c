/* Rings: memory that outlives the process. */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64

#include "backend/local_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { RING_SIZE = 65536 };

/* Not every file system that tests run on has rings. */
static bool has_ring(struct fixture *fixture, struct ring *out)
{
    create_object(fixture->backend, "wal/1");
    ring_open(fixture->backend, "wal/ring", RING_SIZE, out);
    if (out->bytes == NULL)
        assert_false(exists(fixture, "wal/ring"));
    return out->bytes != NULL;
}

static void what_a_ring_holds_is_there_for_readers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct ring ring;
    fixture_init(&fixture);
    if (has_ring(&fixture, &ring)) {
        struct object object;
        uint8_t read[8] = {0};
        assert_int_equal(ring.size, RING_SIZE);
        memcpy(ring.bytes + 8190, "straddle", 8);
        assert_int_equal(object_open(fixture.backend, "wal/ring", &object), STRATA_OK);
        assert_int_equal(object.size, RING_SIZE);
        assert_int_equal(object_read(&object, 8190, read, sizeof(read)), STRATA_OK);
        assert_memory_equal(read, "straddle", 8);
        ring_close(&ring);
        ring_close(&ring); /* A closed one is fine. */
        assert_int_equal(object_read(&object, 8190, read, sizeof(read)), STRATA_OK);
        assert_memory_equal(read, "straddle", 8);
        object_close(&object);
    }
    fixture_release(&fixture);
}

static void a_new_ring_shares_nothing_with_an_old_mapping(void **state)
{
    (void)state;
    struct fixture fixture;
    struct ring first, second;
    fixture_init(&fixture);
    if (has_ring(&fixture, &first)) {
        memset(first.bytes, 'a', RING_SIZE);
        ring_open(fixture.backend, "wal/ring", RING_SIZE / 2, &second);
        assert_int_equal(second.size, RING_SIZE / 2);
        assert_int_equal(second.bytes[0], 0);
        memset(second.bytes, 'b', RING_SIZE / 2);
        assert_int_equal(first.bytes[RING_SIZE - 1], 'a');
        assert_int_equal(first.bytes[0], 'a');
        ring_close(&first);
        assert_int_equal(backend_remove(fixture.backend, "wal/ring"), STRATA_OK);
        second.bytes[5] = 'c'; /* Without a name it is still memory. */
        ring_close(&second);
        assert_false(exists(&fixture, "wal/ring"));
    }
    fixture_release(&fixture);
}

static void a_ring_without_room_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    struct ring ring;
    struct rlimit limit, low;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = limit;
    low.rlim_cur = RING_SIZE / 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    ring_open(fixture.backend, "wal/ring", RING_SIZE, &ring);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_null(ring.bytes);
    assert_false(exists(&fixture, "wal/ring"));
    fixture_release(&fixture);
}

static void a_killed_process_leaves_its_ring(void **state)
{
    (void)state;
    struct fixture fixture;
    struct ring ring;
    fixture_init(&fixture);
    if (has_ring(&fixture, &ring)) {
        struct object object;
        uint8_t read[4] = {0};
        int status = 0;
        const pid_t child = fork();
        if (child == 0) {
            memcpy(ring.bytes + 70, "left", 4);
            raise(SIGKILL);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        ring_close(&ring);
        assert_int_equal(object_open(fixture.backend, "wal/ring", &object), STRATA_OK);
        assert_int_equal(object_read(&object, 70, read, sizeof(read)), STRATA_OK);
        assert_memory_equal(read, "left", 4);
        object_close(&object);
    }
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_ring_holds_is_there_for_readers),
        cmocka_unit_test(a_new_ring_shares_nothing_with_an_old_mapping),
        cmocka_unit_test(a_ring_without_room_leaves_nothing),
        cmocka_unit_test(a_killed_process_leaves_its_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
