#define _XOPEN_SOURCE 700

#include "backend/local.h"
#include "backend/local_root.h"
#include "backend/scratch.h"

#include <errno.h>
#include <fcntl.h>

/* ---- In place of the system's fsync: what was synced, and what it should answer. ---- */

enum { SYNCS_MAX = 16 };

static struct {
    int count;
    ino_t inodes[SYNCS_MAX];
    int fail_at; /* Call number, from 1; 0: none. */
    int error;
} syncs;

int fsync(int file)
{
    struct stat attributes;
    assert_int_equal(fstat(file, &attributes), 0);
    assert_in_range(syncs.count, 0, SYNCS_MAX - 1);
    syncs.inodes[syncs.count++] = attributes.st_ino;
    if (syncs.count != syncs.fail_at)
        return 0;
    errno = syncs.error;
    return -1;
}

static void forget_syncs(void)
{
    memset(&syncs, 0, sizeof(syncs));
}

static int was_synced(const char *path)
{
    struct stat attributes;
    assert_int_equal(stat(path, &attributes), 0);
    int times = 0;
    for (int i = 0; i < syncs.count; i++)
        times += syncs.inodes[i] == attributes.st_ino;
    return times;
}

static int was_synced_below(const struct scratch *scratch, const char *folder)
{
    char path[2 * SCRATCH_PATH_SIZE];
    return was_synced(scratch_path(scratch, folder, path));
}

struct tree {
    struct scratch scratch;
    const strata_backend *backend;
};

static void tree_open(struct tree *tree)
{
    assert_int_equal(local_backend_create(tree->scratch.root, &heap, &tree->backend), STRATA_OK);
}

static void tree_init(struct tree *tree)
{
    scratch_init(&tree->scratch);
    tree_open(tree);
    static const char *const names[] = {"top", "wal/1", "tables/00/1", "tables/01/2"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct object object;
        assert_int_equal(object_create(tree->backend, names[i], 0, &object), STRATA_OK);
        object_close(&object);
    }
    forget_syncs();
}

static void tree_release(struct tree *tree)
{
    local_backend_destroy(tree->backend);
    scratch_release(&tree->scratch);
}

static void the_first_sync_reaches_up_to_the_name_of_the_root(void **state)
{
    (void)state;
    struct tree tree;
    tree_init(&tree);
    assert_int_equal(backend_sync_names(tree.backend, "tables/00"), STRATA_OK);
    assert_int_equal(syncs.count, 4);
    assert_int_equal(was_synced_below(&tree.scratch, "tables/00"), 1);
    assert_int_equal(was_synced_below(&tree.scratch, "tables"), 1);
    assert_int_equal(was_synced(tree.scratch.root), 1);
    assert_int_equal(was_synced(tree.scratch.folder), 1);
    tree_release(&tree);
}

static void later_syncs_do_what_is_still_to_do(void **state)
{
    (void)state;
    struct tree tree;
    tree_init(&tree);
    assert_int_equal(backend_sync_names(tree.backend, "tables/00"), STRATA_OK);

    forget_syncs();
    assert_int_equal(backend_sync_names(tree.backend, "tables/00"), STRATA_OK);
    assert_int_equal(syncs.count, 1);
    assert_int_equal(was_synced_below(&tree.scratch, "tables/00"), 1);

    forget_syncs();
    assert_int_equal(backend_sync_names(tree.backend, "tables/01"), STRATA_OK);
    assert_int_equal(syncs.count, 2);
    assert_int_equal(was_synced_below(&tree.scratch, "tables/01"), 1);
    assert_int_equal(was_synced_below(&tree.scratch, "tables"), 1);

    forget_syncs();
    assert_int_equal(backend_sync_names(tree.backend, ""), STRATA_OK);
    assert_int_equal(syncs.count, 1);
    assert_int_equal(was_synced(tree.scratch.root), 1);
    tree_release(&tree);
}

static void folders_of_an_earlier_process_are_synced_too(void **state)
{
    (void)state;
    struct tree tree;
    tree_init(&tree);
    local_backend_destroy(tree.backend);
    tree_open(&tree);
    assert_int_equal(backend_sync_names(tree.backend, "wal"), STRATA_OK);
    assert_int_equal(syncs.count, 3);
    assert_int_equal(was_synced(tree.scratch.root), 1);
    assert_int_equal(was_synced(tree.scratch.folder), 1);
    tree_release(&tree);
}

static void a_sync_that_fails_half_way_up_is_done_again_in_full(void **state)
{
    (void)state;
    for (int fail_at = 1; fail_at <= 4; fail_at++) {
        struct tree tree;
        tree_init(&tree);
        syncs.fail_at = fail_at;
        syncs.error = EIO;
        int error = 0;
        assert_int_equal(tree.backend->sync_names(tree.backend->context, "tables/00", &error),
                         STRATA_EFFECT_UNKNOWN);
        assert_int_equal(error, EIO);
        assert_int_equal(syncs.count, fail_at);
        forget_syncs();
        assert_int_equal(backend_sync_names(tree.backend, "tables/00"), STRATA_OK);
        assert_int_equal(syncs.count, 4);
        tree_release(&tree);
    }
}

static void an_interrupted_sync_is_repeated(void **state)
{
    (void)state;
    struct tree tree;
    tree_init(&tree);
    syncs.fail_at = 2;
    syncs.error = EINTR;
    assert_int_equal(backend_sync_names(tree.backend, "wal"), STRATA_OK);
    assert_int_equal(syncs.count, 4);
    assert_int_equal(was_synced(tree.scratch.root), 2);
    tree_release(&tree);
}

static void a_file_system_that_syncs_no_directories_is_fine(void **state)
{
    (void)state;
    struct tree tree;
    tree_init(&tree);
    syncs.fail_at = 1;
    syncs.error = EINVAL;
    assert_int_equal(backend_sync_names(tree.backend, "wal"), STRATA_OK);
    tree_release(&tree);
}

static void a_folder_that_does_not_exist_is_durable(void **state)
{
    (void)state;
    struct tree tree;
    tree_init(&tree);
    assert_int_equal(backend_sync_names(tree.backend, "manifest"), STRATA_OK);
    assert_int_equal(syncs.count, 0);
    tree_release(&tree);
}

static void a_folder_is_found_or_made(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_init(&scratch);
    struct local_root root;
    assert_int_equal(local_root_init(&root, scratch.root, &heap), STRATA_OK);
    assert_int_equal(local_folder_open(&root, "a/b/c", false), -1);
    assert_int_equal(errno, ENOENT);
    const int made = local_folder_open(&root, "a/b/c", true);
    const int found = local_folder_open(&root, "a/b/c", false);
    assert_true(made >= 0 && found >= 0 && made != found);
    struct stat of_made;
    struct stat of_found;
    assert_int_equal(fstat(made, &of_made), 0);
    assert_int_equal(fstat(found, &of_found), 0);
    assert_int_equal(of_made.st_ino, of_found.st_ino);
    assert_int_equal(close(made), 0);
    assert_int_equal(close(found), 0);
    local_root_release(&root);
    scratch_release(&scratch);
}

static void a_name_is_split_at_its_last_slash(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"tables/07/x", "tables/07", "x"},
                                           {"x", "", "x"},
                                           {"a/b", "a", "b"},
                                           {"a.b-0", "", "a.b-0"},
                                           {".x", "", ".x"},
                                           {"a..b", "", "a..b"},
                                           {"...", "", "..."}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct local_name name;
        assert_true(local_name_split(cases[i][0], &name));
        assert_string_equal(name.folder, cases[i][1]);
        assert_string_equal(name.base, cases[i][2]);
    }
}

static void names_outside_the_root_or_the_alphabet_are_none(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",      "/", "/a",  "a/",  "a//b", ".",     "..",  "a/..", "../a",    "./a",
        "a/./b", "A", "a_b", "a b", "a\n",  "a\x80", "a:b", "a\\b", "locks/a", "locks/a/b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct local_name name;
        assert_false(local_name_split(names[i], &name));
    }
    struct local_name name;
    assert_true(local_name_split("locks", &name));
    assert_true(local_folder_is_valid(""));
    assert_true(local_folder_is_valid("a/b"));
    assert_false(local_folder_is_valid("a/../b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_sync_reaches_up_to_the_name_of_the_root),
        cmocka_unit_test(later_syncs_do_what_is_still_to_do),
        cmocka_unit_test(folders_of_an_earlier_process_are_synced_too),
        cmocka_unit_test(a_sync_that_fails_half_way_up_is_done_again_in_full),
        cmocka_unit_test(an_interrupted_sync_is_repeated),
        cmocka_unit_test(a_file_system_that_syncs_no_directories_is_fine),
        cmocka_unit_test(a_folder_that_does_not_exist_is_durable),
        cmocka_unit_test(a_folder_is_found_or_made),
        cmocka_unit_test(a_name_is_split_at_its_last_slash),
        cmocka_unit_test(names_outside_the_root_or_the_alphabet_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
