/* What the library asks of its backend really reaches the file system: the same script runs on the
 * simulated disk, which lists each sync, and on local files, where this program's own fsync and
 * fdatasync stand before those of the C library and list theirs. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "model/world.h"
#include "model/temp_folder.h"
#include "simdisk/simdisk.h"

#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SYNCS_MAX = 4096 };

struct synced {
    char name[128]; /* Relative to the root; "" is the root itself. */
    bool folder;
};

static struct synced syncs[SYNCS_MAX];
static size_t sync_count;
static char root[512]; /* "": nothing is noted. */

static void note_sync(int file)
{
    char link[64], path[512];
    struct stat status;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    const ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (root[0] == '\0' || size < 0 || fstat(file, &status) != 0 || sync_count == SYNCS_MAX)
        return;
    path[size] = '\0';
    const size_t root_size = strlen(root);
    if (strncmp(path, root, root_size) != 0)
        return;
    struct synced *synced = &syncs[sync_count++];
    synced->folder = S_ISDIR(status.st_mode);
    snprintf(synced->name, sizeof(synced->name), "%.100s",
             path[root_size] == '/' ? path + root_size + 1 : path + root_size);
}

int fdatasync(int file)
{
    note_sync(file);
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
    note_sync(file);
    return (int)syscall(SYS_fsync, file);
}

static const char script[] = "6pyCf4pdafkvwC3pf2ipaDM3pyR3pC2kaF+p.p";

static void run(struct world *world, const char *path, const strata_backend *backend)
{
    const strata_open_options options = {
        .size = sizeof(options),
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = 1 << 20,
        .backend = backend,
    };
    world_init(world, path, &options, 5);
    if (!world_open(world) || !world_run(world, script) || !world_close(world))
        fail_msg("%s", world->why);
    world_release(world);
}

/* The next line of the list that is a sync, split into its parts; false at the end. */
static bool next_sync(const char **list, char name[128], bool *folder)
{
    while (**list != '\0') {
        char kind[32] = "", object[128] = "";
        const int fields = sscanf(*list, "%31s %127s", kind, object);
        const char *end = strchr(*list, '\n');
        *list = end == NULL ? *list + strlen(*list) : end + 1;
        *folder = strcmp(kind, "sync_names") == 0;
        if (fields == 2 && (*folder || strcmp(kind, "sync") == 0)) {
            snprintf(name, 128, "%s", strcmp(object, ".") == 0 ? "" : object);
            return true;
        }
    }
    return false;
}

/* A folder may be synced more often than asked, for its own name's sake; a file may not. */
static size_t skip_extra_folders(size_t at, const char *name, bool folder)
{
    while (at < sync_count && syncs[at].folder && !(folder && strcmp(syncs[at].name, name) == 0))
        at++;
    return at;
}

static void every_sync_asked_for_reaches_the_file_system(void **state)
{
    (void)state;
    struct world world;
    struct simdisk *disk = simdisk_create();
    simdisk_record(disk);
    run(&world, "db", simdisk_backend(disk));

    char folder[TEMP_FOLDER_SIZE], path[TEMP_FOLDER_SIZE + 8];
    temp_folder_create(folder);
    snprintf(path, sizeof(path), "%s/db", folder);
    snprintf(root, sizeof(root), "%s", path);
    run(&world, path, NULL);
    root[0] = '\0';

    const char *list = simdisk_recording(disk);
    char name[128];
    bool is_folder = false;
    size_t at = 0, asked = 0;
    while (next_sync(&list, name, &is_folder)) {
        while (at < sync_count && strncmp(syncs[at].name, "locks", 5) == 0)
            at++;
        at = skip_extra_folders(at, name, is_folder);
        if (at == sync_count)
            fail_msg("sync %zu, of %s %s: it never came", asked, is_folder ? "folder" : "file",
                     name);
        if (syncs[at].folder != is_folder || strcmp(syncs[at].name, name) != 0)
            fail_msg("sync %zu is of %s, not of %s %s", asked, syncs[at].name,
                     is_folder ? "folder" : "file", name);
        at++;
        asked++;
    }
    print_message("%zu syncs asked for, %zu made\n", asked, sync_count);
    assert_true(asked > 20);
    temp_folder_remove(folder);
    simdisk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sync_asked_for_reaches_the_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
