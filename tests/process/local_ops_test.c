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

/* One sync of the list. */
struct asked {
    char name[128];
    bool folder;
    bool needed; /* False: the folder has no change since it was last synced. */
};

enum { FOLDERS_MAX = 128 };

static char changed[FOLDERS_MAX][128]; /* Folders with changes that are not synced; "/": free. */

static void note_change(const char *object)
{
    char folder[128] = "";
    const char *slash = strrchr(object, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 0 : (int)(slash - object), object);
    size_t at = 0;
    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        if (strcmp(changed[i], folder) == 0)
            return;
        if (changed[i][0] == '/')
            at = i;
    }
    snprintf(changed[at], sizeof(changed[at]), "%s", folder);
}

static bool take_change(const char *folder)
{
    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        if (strcmp(changed[i], folder) == 0) {
            snprintf(changed[i], sizeof(changed[i]), "/");
            return true;
        }
    }
    return false;
}

/* The next line of the list that is a sync; false at the end. */
static bool next_sync(const char **list, struct asked *out)
{
    while (**list != '\0') {
        char kind[32] = "", object[128] = "";
        const int fields = sscanf(*list, "%31s %127s", kind, object);
        const char *end = strchr(*list, '\n');
        *list = end == NULL ? *list + strlen(*list) : end + 1;
        if (fields != 2)
            continue;
        if (strcmp(kind, "create") == 0 || strcmp(kind, "remove") == 0)
            note_change(object);
        out->folder = strcmp(kind, "sync_names") == 0;
        snprintf(out->name, sizeof(out->name), "%s", strcmp(object, ".") == 0 ? "" : object);
        out->needed = !out->folder || take_change(out->name);
        if (out->folder || strcmp(kind, "sync") == 0)
            return true;
    }
    return false;
}

static bool is_asked(size_t at, const struct asked *asked)
{
    return at < sync_count && syncs[at].folder == asked->folder &&
           strcmp(syncs[at].name, asked->name) == 0;
}

/* A folder may be synced more often than asked, for its own name's sake; a file may not. */
static size_t skip_extra_folders(size_t at, const struct asked *asked)
{
    while (at < sync_count && !is_asked(at, asked) &&
           (syncs[at].folder || strncmp(syncs[at].name, "locks", 5) == 0))
        at++;
    return at;
}

/* Goes through both lists; returns how many syncs were needed. */
static size_t compare_lists(const char *list)
{
    struct asked asked;
    size_t at = 0, needed = 0;
    for (size_t i = 0; i < FOLDERS_MAX; i++)
        snprintf(changed[i], sizeof(changed[i]), "/");
    while (next_sync(&list, &asked)) {
        const size_t found = skip_extra_folders(at, &asked);
        if (is_asked(found, &asked))
            at = found + 1;
        else if (asked.needed)
            fail_msg("needed sync %zu, of %s '%s', did not come; there was %s '%s'", needed,
                     asked.folder ? "folder" : "file", asked.name,
                     syncs[found].folder ? "folder" : "file", syncs[found].name);
        needed += asked.needed;
    }
    return needed;
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

    const size_t needed = compare_lists(simdisk_recording(disk));
    print_message("%zu syncs needed, %zu made\n", needed, sync_count);
    assert_true(needed > 20);
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
