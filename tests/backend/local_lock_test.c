/* The lock of a root: other backends, other processes, links, forks. */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64

#include "backend/local_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static void a_link_in_place_of_the_lock_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    char path[2 * SCRATCH_PATH_SIZE];
    assert_int_equal(mkdir(scratch_path(&fixture.scratch, "locks", path), 0700), 0);
    assert_int_equal(symlink("../wal/1", scratch_path(&fixture.scratch, "locks/owner", path)), 0);
    char holder[8];
    assert_int_equal(
        backend_lock(fixture.backend, NULL, true, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_IO);
    struct object object;
    char content[5];
    assert_int_equal(object_open(fixture.backend, "wal/1", &object), STRATA_OK);
    assert_int_equal(object_read(&object, 0, content, sizeof(content)), STRATA_OK);
    assert_memory_equal(content, "wal/1", sizeof(content));
    object_close(&object);
    fixture_release(&fixture);
}

static void a_second_backend_in_the_process_finds_the_lock_taken(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const strata_backend *second = NULL;
    assert_int_equal(local_backend_create(fixture.scratch.root, &fixture.allocator, &second),
                     STRATA_OK);
    char holder[129];
    const struct bytes first_owner = bytes_of("first", 5);
    const struct bytes other_owner = bytes_of("a longer text", 13);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, other_owner, holder, sizeof(holder)),
                     STRATA_OK);
    fixture.backend->unlock(fixture.backend->context);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, first_owner, holder, sizeof(holder)),
                     STRATA_OK);
    assert_int_equal(backend_lock(second, NULL, true, other_owner, holder, sizeof(holder)),
                     STRATA_BUSY);
    assert_string_equal(holder, "first");
    assert_int_equal(backend_lock(second, NULL, false, other_owner, holder, sizeof(holder)),
                     STRATA_BUSY);
    fixture.backend->unlock(fixture.backend->context);

    assert_int_equal(backend_lock(second, NULL, false, other_owner, holder, sizeof(holder)),
                     STRATA_OK);
    assert_int_equal(
        backend_lock(fixture.backend, NULL, false, first_owner, holder, sizeof(holder)), STRATA_OK);
    second->unlock(second->context);
    assert_int_equal(backend_lock(second, NULL, true, other_owner, holder, sizeof(holder)),
                     STRATA_BUSY);
    assert_string_equal(holder, "");
    local_backend_destroy(second);
    fixture_release(&fixture);
}

static void a_root_through_a_link_has_the_same_lock(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    char holder[129];
    assert_int_equal(
        backend_lock(fixture.backend, NULL, true, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_OK);
    char link_path[2 * SCRATCH_PATH_SIZE];
    snprintf(link_path, sizeof(link_path), "%s/link", fixture.scratch.folder);
    assert_int_equal(symlink("db", link_path), 0);
    const strata_backend *second = NULL;
    assert_int_equal(local_backend_create(link_path, &heap, &second), STRATA_OK);
    assert_int_equal(backend_lock(second, NULL, true, bytes_of("he", 2), holder, sizeof(holder)),
                     STRATA_BUSY);
    assert_string_equal(holder, "me");
    local_backend_destroy(second);
    fixture_release(&fixture);
}

/* Runs `body` in a child, which ends with its result. */
static pid_t start_child(int (*body)(struct fixture *fixture, int pipe_in, int pipe_out),
                         struct fixture *fixture, int *to_child, int *from_child)
{
    int down[2];
    int up[2];
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(down[1]);
        close(up[0]);
        _exit(body(fixture, down[0], up[1]));
    }
    close(down[0]);
    close(up[1]);
    *to_child = down[1];
    *from_child = up[0];
    return child;
}

static int hold_lock(struct fixture *fixture, int pipe_in, int pipe_out)
{
    const strata_backend *backend = NULL;
    char holder[8];
    char byte = 0;
    if (local_backend_create(fixture->scratch.root, &heap, &backend) != STRATA_OK)
        return 1;
    if (backend_lock(backend, NULL, true, bytes_of("child", 5), holder, sizeof(holder)) !=
        STRATA_OK)
        return 2;
    if (write(pipe_out, "x", 1) != 1 || read(pipe_in, &byte, 1) < 0)
        return 3;
    _exit(0); /* Without unlocking, as when it is killed. */
}

static void the_lock_of_another_process_ends_with_it(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    int to_child = -1;
    int from_child = -1;
    char byte = 0;
    const pid_t child = start_child(hold_lock, &fixture, &to_child, &from_child);
    assert_int_equal(read(from_child, &byte, 1), 1);

    char holder[129];
    const struct bytes me = bytes_of("me", 2);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, me, holder, sizeof(holder)),
                     STRATA_BUSY);
    assert_string_equal(holder, "child");
    assert_string_equal(strata_error_message(), "another owner has the database: child");
    assert_int_equal(backend_lock(fixture.backend, NULL, false, me, holder, sizeof(holder)),
                     STRATA_BUSY);

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, me, holder, sizeof(holder)),
                     STRATA_OK);
    close(to_child);
    close(from_child);
    fixture_release(&fixture);
}

static int unlock_in_child(struct fixture *fixture, int pipe_in, int pipe_out)
{
    char byte = 0;
    fixture->backend->unlock(fixture->backend->context);
    if (write(pipe_out, "x", 1) != 1 || read(pipe_in, &byte, 1) < 0)
        return 3;
    return 0;
}

static void a_forked_child_cannot_undo_the_lock(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    char holder[129];
    const struct bytes me = bytes_of("me", 2);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, me, holder, sizeof(holder)),
                     STRATA_OK);
    int to_child = -1;
    int from_child = -1;
    char byte = 0;
    const pid_t child = start_child(unlock_in_child, &fixture, &to_child, &from_child);
    assert_int_equal(read(from_child, &byte, 1), 1);
    const strata_backend *second = NULL;
    assert_int_equal(local_backend_create(fixture.scratch.root, &heap, &second), STRATA_OK);
    assert_int_equal(backend_lock(second, NULL, true, me, holder, sizeof(holder)), STRATA_BUSY);
    close(to_child);
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    local_backend_destroy(second);
    close(from_child);
    fixture_release(&fixture);
}

static int wait_in_child(struct fixture *fixture, int pipe_in, int pipe_out)
{
    char byte = 0;
    (void)fixture;
    return write(pipe_out, "x", 1) == 1 && read(pipe_in, &byte, 1) >= 0 ? 0 : 3;
}

static void a_forked_child_does_not_keep_the_lock(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    char holder[129];
    const struct bytes me = bytes_of("me", 2);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, me, holder, sizeof(holder)),
                     STRATA_OK);
    int to_child = -1;
    int from_child = -1;
    char byte = 0;
    const pid_t child = start_child(wait_in_child, &fixture, &to_child, &from_child);
    assert_int_equal(read(from_child, &byte, 1), 1);
    fixture.backend->unlock(fixture.backend->context);
    assert_int_equal(backend_lock(fixture.backend, NULL, true, me, holder, sizeof(holder)),
                     STRATA_OK);
    close(to_child);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(from_child);
    fixture_release(&fixture);
}

static void a_shared_lock_changes_no_byte(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    char holder[8];
    const struct bytes me = bytes_of("me", 2);
    assert_int_equal(backend_lock(fixture.backend, NULL, false, me, holder, sizeof(holder)),
                     STRATA_OK);
    assert_false(exists(&fixture, "locks"));
    fixture.backend->unlock(fixture.backend->context);

    assert_int_equal(backend_lock(fixture.backend, NULL, true, me, holder, sizeof(holder)),
                     STRATA_OK);
    fixture.backend->unlock(fixture.backend->context);
    char path[2 * SCRATCH_PATH_SIZE];
    assert_int_equal(chmod(scratch_path(&fixture.scratch, "locks/owner", path), 0400), 0);
    struct stat before;
    struct stat after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(backend_lock(fixture.backend, NULL, false, me, holder, sizeof(holder)),
                     STRATA_OK);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_size, after.st_size);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_in_place_of_the_lock_is_refused),
        cmocka_unit_test(a_second_backend_in_the_process_finds_the_lock_taken),
        cmocka_unit_test(a_root_through_a_link_has_the_same_lock),
        cmocka_unit_test(the_lock_of_another_process_ends_with_it),
        cmocka_unit_test(a_forked_child_cannot_undo_the_lock),
        cmocka_unit_test(a_forked_child_does_not_keep_the_lock),
        cmocka_unit_test(a_shared_lock_changes_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
