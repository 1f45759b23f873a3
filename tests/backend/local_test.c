/* Files and folders on a real file system, and system calls that fall short. */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64

#include "backend/local_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

/* ---- In place of the system's calls: they may be cut short, interrupted, or fail. ---- */

static struct {
    size_t piece_max;  /* Bytes that one call moves; 0: no limit. */
    int interruptions; /* Calls yet to be interrupted. */
    int sync_error;
    int syncs;
} faults;

static size_t piece_of(size_t size)
{
    return faults.piece_max != 0 && size > faults.piece_max ? faults.piece_max : size;
}

static int is_interrupted(void)
{
    if (faults.interruptions == 0)
        return 0;
    faults.interruptions--;
    errno = EINTR;
    return 1;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset)
{
    if (is_interrupted() || lseek(file, offset, SEEK_SET) != offset)
        return -1;
    return write(file, data, piece_of(size));
}

ssize_t pread(int file, void *data, size_t size, off_t offset)
{
    if (is_interrupted() || lseek(file, offset, SEEK_SET) != offset)
        return -1;
    return read(file, data, piece_of(size));
}

int fdatasync(int file)
{
    assert_true(file >= 0);
    faults.syncs++;
    if (is_interrupted())
        return -1;
    errno = faults.sync_error;
    return faults.sync_error == 0 ? 0 : -1;
}

static mode_t mode_of(const struct fixture *fixture, const char *name)
{
    char path[2 * SCRATCH_PATH_SIZE];
    struct stat attributes;
    assert_int_equal(lstat(scratch_path(&fixture->scratch, name, path), &attributes), 0);
    return attributes.st_mode;
}

static strata_error detail(void)
{
    strata_error error = {.size = sizeof(error)};
    strata_error_detail(&error);
    return error;
}

static int find_nothing(void *context, const char *name, uint64_t size)
{
    (void)size;
    print_message("found %s\n", name);
    ++*(int *)context;
    return 0;
}

static void reading_makes_no_directory(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct object object;
    int found = 0;
    char holder[8];
    assert_int_equal(object_open(fixture.backend, "wal/1", &object), STRATA_NOT_FOUND);
    assert_int_equal(backend_list(fixture.backend, "", find_nothing, &found), STRATA_OK);
    assert_int_equal(backend_remove(fixture.backend, "wal/1"), STRATA_OK);
    assert_int_equal(backend_sync_names(fixture.backend, "wal"), STRATA_OK);
    assert_int_equal(
        backend_lock(fixture.backend, NULL, false, bytes_of(NULL, 0), holder, sizeof(holder)),
        STRATA_NOT_FOUND);
    assert_int_equal(found, 0);
    assert_false(exists(&fixture, ""));
    fixture_release(&fixture);
}

static void files_and_folders_are_private(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const mode_t before = umask(0);
    char holder[8];
    create_object(fixture.backend, "tables/07/0000000000007001");
    assert_int_equal(
        backend_lock(fixture.backend, NULL, true, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_OK);
    umask(before);
    assert_int_equal(mode_of(&fixture, ""), S_IFDIR | 0700);
    assert_int_equal(mode_of(&fixture, "tables"), S_IFDIR | 0700);
    assert_int_equal(mode_of(&fixture, "tables/07"), S_IFDIR | 0700);
    assert_int_equal(mode_of(&fixture, "tables/07/0000000000007001"), S_IFREG | 0600);
    assert_int_equal(mode_of(&fixture, "locks"), S_IFDIR | 0700);
    assert_int_equal(mode_of(&fixture, "locks/owner"), S_IFREG | 0600);
    fixture_release(&fixture);
}

static void files_are_closed_on_exec(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct object written;
    struct object read;
    char holder[8];
    assert_int_equal(object_create(fixture.backend, "wal/1", 0, &written), STRATA_OK);
    assert_int_equal(object_open(fixture.backend, "wal/1", &read), STRATA_OK);
    assert_int_equal(
        backend_lock(fixture.backend, NULL, true, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_OK);
    int closed = 0;
    struct stat of_root;
    struct stat attributes;
    assert_int_equal(stat(fixture.scratch.folder, &of_root), 0);
    for (int file = 3; file < 64; file++) {
        if (fstat(file, &attributes) != 0 || attributes.st_uid != geteuid())
            continue;
        if (S_ISREG(attributes.st_mode) || S_ISDIR(attributes.st_mode))
            closed += attributes.st_dev == of_root.st_dev && (fcntl(file, F_GETFD) & FD_CLOEXEC);
    }
    assert_in_range(closed, 4, 64); /* Root, lock, and two objects. */
    object_close(&written);
    object_close(&read);
    fixture_release(&fixture);
}

static void a_file_in_the_way_is_never_overwritten(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    struct object object;
    assert_int_equal(object_create(fixture.backend, "wal/1", 65536, &object), STRATA_EXISTS);
    assert_int_equal(object_open(fixture.backend, "wal/1", &object), STRATA_OK);
    assert_int_equal(object.size, 5);
    object_close(&object);
    fixture_release(&fixture);
}

static void symbolic_links_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    char path[2 * SCRATCH_PATH_SIZE];
    assert_int_equal(symlink("1", scratch_path(&fixture.scratch, "wal/2", path)), 0);
    assert_int_equal(symlink("nowhere", scratch_path(&fixture.scratch, "wal/3", path)), 0);
    assert_int_equal(symlink("wal", scratch_path(&fixture.scratch, "other", path)), 0);

    struct object object;
    int found = 0;
    assert_int_equal(object_open(fixture.backend, "wal/2", &object), STRATA_IO);
    assert_non_null(
        strstr(strata_error_message(), "wal/2 cannot be opened: it is a symbolic link"));
    assert_int_equal(object_create(fixture.backend, "wal/3", 0, &object), STRATA_EXISTS);
    assert_int_equal(object_open(fixture.backend, "other/1", &object), STRATA_IO);
    assert_int_equal(object_create(fixture.backend, "other/5", 0, &object), STRATA_IO);
    assert_int_equal(backend_remove(fixture.backend, "other/1"), STRATA_IO);
    assert_int_equal(backend_list(fixture.backend, "other", find_nothing, &found), STRATA_IO);
    assert_int_equal(backend_sync_names(fixture.backend, "other"), STRATA_IO);
    assert_int_equal(backend_list(fixture.backend, "wal", find_nothing, &found), STRATA_OK);
    assert_int_equal(found, 1);
    assert_true(exists(&fixture, "wal/1") && !exists(&fixture, "wal/5"));
    fixture_release(&fixture);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    char path[2 * SCRATCH_PATH_SIZE];
    assert_int_equal(mkfifo(scratch_path(&fixture.scratch, "wal/2", path), 0600), 0);
    assert_int_equal(mkdir(scratch_path(&fixture.scratch, "wal/3", path), 0700), 0);
    struct object object;
    int found = 0;
    assert_int_equal(object_open(fixture.backend, "wal/2", &object), STRATA_IO);
    assert_int_equal(object_open(fixture.backend, "wal/3", &object), STRATA_IO);
    assert_int_equal(detail().system_error, EISDIR);
    assert_int_equal(object_open(fixture.backend, "wal/1/2", &object), STRATA_IO);
    assert_int_equal(object_create(fixture.backend, "wal/1/2", 0, &object), STRATA_IO);
    assert_int_equal(detail().system_error, ENOTDIR);
    assert_int_equal(backend_list(fixture.backend, "wal", find_nothing, &found), STRATA_OK);
    assert_int_equal(found, 1);
    fixture_release(&fixture);
}

static void a_root_that_is_a_file_is_an_error_with_a_clear_message(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const int file = open(fixture.scratch.root, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    struct object object;
    char holder[8];
    assert_int_equal(object_create(fixture.backend, "wal/1", 0, &object), STRATA_IO);
    assert_string_equal(strata_error_message(),
                        "wal/1 cannot be created: the root, or a folder in it, is not a directory");
    assert_int_equal(detail().system_error, ENOTDIR);
    assert_int_equal(
        backend_lock(fixture.backend, NULL, true, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_IO);
    assert_int_equal(
        backend_lock(fixture.backend, NULL, false, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_IO);
    assert_non_null(strstr(strata_error_message(), "is not a directory"));
    fixture_release(&fixture);
}

static void the_parent_of_the_root_must_exist(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_init(&scratch);
    char path[2 * SCRATCH_PATH_SIZE];
    const strata_backend *backend = NULL;
    assert_int_equal(local_backend_create(scratch_path(&scratch, "deeper", path), &heap, &backend),
                     STRATA_OK);
    struct object object;
    assert_int_equal(object_create(backend, "wal/1", 0, &object), STRATA_IO);
    assert_int_equal(detail().system_error, ENOENT);
    local_backend_destroy(backend);
    scratch_release(&scratch);
}

static void names_that_try_to_escape_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    static const char *const names[] = {
        "",       "/etc/passwd", "../x",   "wal/../../x", "wal/..",  "wal/./1", ".",
        "..",     "wal/",        "wal//1", "/wal/1",      "Wal/1",   "wal/a b", "wal/\n",
        "wal\\1", "wal/é",       "~",      "locks/owner", "locks/1", "wal/1*",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct object object;
        assert_int_equal(object_create(fixture.backend, names[i], 0, &object), STRATA_IO);
        assert_int_equal(detail().system_error, EINVAL);
        assert_int_equal(object_open(fixture.backend, names[i], &object), STRATA_IO);
        assert_int_equal(backend_remove(fixture.backend, names[i]), STRATA_IO);
    }
    static const char *const folders[] = {"..", "/", "wal/..", "wal/", "/etc", "."};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        int found = 0;
        assert_int_equal(backend_list(fixture.backend, folders[i], find_nothing, &found),
                         STRATA_IO);
        assert_int_equal(backend_sync_names(fixture.backend, folders[i]), STRATA_IO);
        assert_int_equal(found, 0);
    }
    fixture_release(&fixture);
}

static void a_name_may_have_two_hundred_bytes(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    char name[202];
    memset(name, 'n', sizeof(name));
    name[100] = '/';
    name[201] = '\0';
    strata_object *object = NULL;
    int error = 0;
    const strata_backend *backend = fixture.backend;
    assert_int_equal(backend->create(backend->context, name, 0, &object, &error),
                     STRATA_EFFECT_NONE);
    assert_int_equal(error, EINVAL);
    name[200] = '\0';
    assert_int_equal(backend->create(backend->context, name, 0, &object, &error),
                     STRATA_EFFECT_DONE);
    backend->close(backend->context, object);
    fixture_release(&fixture);
}

static void check_reservation(strata_status (*create)(const strata_backend *backend,
                                                      const char *name, uint64_t reserve_bytes,
                                                      struct object *out))
{
    struct fixture fixture;
    fixture_init(&fixture);
    enum { RESERVED = 3 * 65536 + 777 };
    static uint8_t bytes[RESERVED];
    static const uint8_t zeros[RESERVED];
    struct object written;
    struct object read;
    assert_int_equal(create(fixture.backend, "wal/1", RESERVED, &written), STRATA_OK);
    assert_int_equal(object_append(&written, bytes_of("abc", 3)), STRATA_OK);
    assert_int_equal(object_open(fixture.backend, "wal/1", &read), STRATA_OK);
    assert_int_equal(read.size, RESERVED);
    assert_int_equal(object_read(&read, 0, bytes, RESERVED), STRATA_OK);
    assert_memory_equal(bytes, "abc", 3);
    assert_memory_equal(bytes + 3, zeros, RESERVED - 3);

    char path[2 * SCRATCH_PATH_SIZE];
    struct stat attributes;
    assert_int_equal(stat(scratch_path(&fixture.scratch, "wal/1", path), &attributes), 0);
    assert_true((uint64_t)attributes.st_blocks * 512 >= RESERVED); /* No hole. */
    assert_int_equal(create(fixture.backend, "wal/1", RESERVED, &written), STRATA_EXISTS);
    object_close(&written);
    object_close(&read);
    fixture_release(&fixture);
}

static void a_reservation_reads_as_zero_until_it_is_appended_over(void **state)
{
    (void)state;
    check_reservation(object_create);
    check_reservation(object_create_lazy);
}

static void list_passes_over_what_is_not_ours(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    create_object(fixture.backend, "wal/1");
    static const char *const others[] = {"wal/README", "wal/a b", "wal/#1#"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char path[2 * SCRATCH_PATH_SIZE];
        const int file =
            open(scratch_path(&fixture.scratch, others[i], path), O_CREAT | O_WRONLY, 0600);
        assert_true(file >= 0);
        assert_int_equal(close(file), 0);
    }
    char holder[8];
    int found = 0;
    assert_int_equal(
        backend_lock(fixture.backend, NULL, true, bytes_of("me", 2), holder, sizeof(holder)),
        STRATA_OK);
    assert_int_equal(backend_list(fixture.backend, "wal", find_nothing, &found), STRATA_OK);
    assert_int_equal(backend_list(fixture.backend, "locks", find_nothing, &found), STRATA_OK);
    assert_int_equal(found, 1);
    fixture_release(&fixture);
}

static void short_and_interrupted_calls_are_continued(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    faults.piece_max = 7;
    faults.interruptions = 3;
    struct object object;
    char bytes[100];
    memset(bytes, 'b', sizeof(bytes));
    assert_int_equal(object_create(fixture.backend, "wal/1", 50, &object), STRATA_OK);
    faults.interruptions = 3;
    assert_int_equal(object_append(&object, bytes_of("a", 1)), STRATA_OK);
    assert_int_equal(object_append(&object, bytes_of(bytes, sizeof(bytes))), STRATA_OK);
    faults.interruptions = 3;
    assert_int_equal(object_sync(&object), STRATA_OK);
    assert_int_equal(faults.syncs, 4);
    faults.interruptions = 3;
    char read_bytes[101];
    assert_int_equal(object_read(&object, 0, read_bytes, sizeof(read_bytes)), STRATA_OK);
    memset(&faults, 0, sizeof(faults));
    assert_int_equal(read_bytes[0], 'a');
    assert_memory_equal(read_bytes + 1, bytes, sizeof(bytes));
    object_close(&object);
    fixture_release(&fixture);
}

static void a_sync_that_fails_leaves_the_effect_unknown(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const strata_backend *backend = fixture.backend;
    strata_object *object = NULL;
    int error = 0;
    assert_int_equal(backend->create(backend->context, "wal/1", 0, &object, &error),
                     STRATA_EFFECT_DONE);
    faults.sync_error = ENOSPC;
    assert_int_equal(backend->sync(backend->context, object, &error), STRATA_EFFECT_UNKNOWN);
    assert_int_equal(error, ENOSPC);
    assert_int_equal(faults.syncs, 1);
    memset(&faults, 0, sizeof(faults));
    backend->close(backend->context, object);
    fixture_release(&fixture);
}

/* A limit on the size of files stands in for a full disk. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_create_that_cannot_reserve_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    (void)signal(SIGXFSZ, SIG_IGN);
    strata_object *object = NULL;
    int error = 0;
    const strata_backend *backend = fixture.backend;
    limit_file_size(100000);
    const int effect = backend->create(backend->context, "wal/1", 200000, &object, &error);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(effect, STRATA_EFFECT_NONE);
    assert_int_equal(error, EFBIG);
    assert_null(object);
    assert_false(exists(&fixture, "wal/1"));
    create_object(backend, "wal/1");
    fixture_release(&fixture);
}

static void an_append_that_ends_half_way_is_unknown(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    (void)signal(SIGXFSZ, SIG_IGN);
    static uint8_t bytes[100000];
    strata_object *object = NULL;
    int error = 0;
    const strata_backend *backend = fixture.backend;
    assert_int_equal(backend->create(backend->context, "wal/1", 0, &object, &error),
                     STRATA_EFFECT_DONE);
    limit_file_size(65536);
    const strata_bytes data = {.data = bytes, .size = sizeof(bytes)};
    const int half = backend->append(backend->context, object, 0, data, &error);
    const int half_error = error;
    const int none = backend->append(backend->context, object, 65536, data, &error);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(half, STRATA_EFFECT_UNKNOWN);
    assert_int_equal(half_error, EFBIG);
    assert_int_equal(none, STRATA_EFFECT_NONE);
    assert_int_equal(error, EFBIG);
    assert_int_equal(backend->append(backend->context, object, UINT64_MAX, data, &error),
                     STRATA_EFFECT_NONE);
    backend->close(backend->context, object);
    fixture_release(&fixture);
}

static strata_status use_backend(struct fixture *fixture)
{
    strata_status status = STRATA_OK;
    struct object written = {0};
    struct object read = {0};
    TRY_OUT(object_create(fixture->backend, "tables/00/1", 100, &written));
    TRY_OUT(object_append(&written, bytes_of("abc", 3)));
    TRY_OUT(object_sync(&written));
    TRY_OUT(backend_sync_names(fixture->backend, "tables/00"));
    TRY_OUT(object_open(fixture->backend, "tables/00/1", &read));
    TRY_OUT(backend_remove(fixture->backend, "tables/00/1"));
out:
    object_close(&written);
    object_close(&read);
    return status;
}

static void a_refused_request_is_reported_or_needless_and_nothing_leaks(void **state)
{
    (void)state;
    uint64_t refusals = 0;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct fixture fixture = {0};
        scratch_init(&fixture.scratch);
        fixture.allocator = test_heap_init(&fixture.counted);
        fixture.counted.fail_at = fail_at;
        strata_status status =
            local_backend_create(fixture.scratch.root, &fixture.allocator, &fixture.backend);
        if (status == STRATA_OK)
            status = use_backend(&fixture);
        const int ended = fixture.counted.requests < fail_at;
        /* What is known to be durable need not be remembered. */
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
        refusals += status == STRATA_NO_MEMORY;
        if (fixture.backend != NULL && status != STRATA_OK) {
            assert_int_equal(backend_remove(fixture.backend, "tables/00/1"), STRATA_OK);
            assert_int_equal(use_backend(&fixture), STRATA_OK);
        }
        fixture_release(&fixture);
        if (ended)
            break;
    }
    assert_in_range(refusals, 4, 20);
}

static void a_path_relative_to_another_directory_stays_what_it_was(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_init(&scratch);
    char before[SCRATCH_PATH_SIZE];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(scratch.folder), 0);
    const strata_backend *backend = NULL;
    assert_int_equal(local_backend_create("db", &heap, &backend), STRATA_OK);
    create_object(backend, "wal/1");
    assert_int_equal(chdir(before), 0);
    create_object(backend, "wal/2");
    char path[2 * SCRATCH_PATH_SIZE];
    assert_int_equal(access(scratch_path(&scratch, "wal/2", path), F_OK), 0);
    local_backend_destroy(backend);
    scratch_release(&scratch);
}

static void destroying_nothing_is_fine(void **state)
{
    (void)state;
    local_backend_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_makes_no_directory),
        cmocka_unit_test(files_and_folders_are_private),
        cmocka_unit_test(files_are_closed_on_exec),
        cmocka_unit_test(a_file_in_the_way_is_never_overwritten),
        cmocka_unit_test(symbolic_links_are_refused),
        cmocka_unit_test(what_is_no_regular_file_is_refused),
        cmocka_unit_test(a_root_that_is_a_file_is_an_error_with_a_clear_message),
        cmocka_unit_test(the_parent_of_the_root_must_exist),
        cmocka_unit_test(names_that_try_to_escape_are_refused),
        cmocka_unit_test(a_name_may_have_two_hundred_bytes),
        cmocka_unit_test(a_reservation_reads_as_zero_until_it_is_appended_over),
        cmocka_unit_test(list_passes_over_what_is_not_ours),
        cmocka_unit_test(short_and_interrupted_calls_are_continued),
        cmocka_unit_test(a_sync_that_fails_leaves_the_effect_unknown),
        cmocka_unit_test(a_create_that_cannot_reserve_leaves_nothing),
        cmocka_unit_test(an_append_that_ends_half_way_is_unknown),
        cmocka_unit_test(a_refused_request_is_reported_or_needless_and_nothing_leaks),
        cmocka_unit_test(a_path_relative_to_another_directory_stays_what_it_was),
        cmocka_unit_test(destroying_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
