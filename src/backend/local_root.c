#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "backend/local_root.h"
#include "core/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MODE = 0700 };
enum { DIRECTORY_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* One of a list; the name follows. */
struct local_folder {
    struct local_folder *next;
    size_t size; /* As allocated. */
    char name[];
};

static void local_root_check(const struct local_root *root)
{
    assert(root->allocator != NULL);
    assert(root->path != NULL);
    (void)root;
}

strata_status local_root_init(struct local_root *root, const char *path,
                              const strata_allocator *allocator)
{
    char *copy = allocate_text(allocator, path);
    if (copy == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for the path of a backend");
    *root = (struct local_root){.allocator = allocator, .path = copy, .file = -1};
    mutex_init(&root->lock);
    local_root_check(root);
    return STRATA_OK;
}

void local_root_release(struct local_root *root)
{
    local_root_check(root);
    struct local_folder *next = NULL;
    for (struct local_folder *folder = root->durable; folder != NULL; folder = next) {
        next = folder->next;
        release(root->allocator, folder, folder->size);
    }
    if (root->file >= 0)
        (void)close(root->file);
    mutex_destroy(&root->lock);
    release(root->allocator, root->path, strlen(root->path) + 1);
}

/* One part of a name, between slashes. */
static bool part_is_valid(const char *part, size_t length)
{
    const bool is_dots = strncmp(part, "..", length) == 0 && length <= 2;
    if (length == 0 || is_dots)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char byte = part[i];
        const bool allowed = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                             byte == '-' || byte == '.';
        if (!allowed)
            return false;
    }
    return true;
}

bool local_folder_is_valid(const char *folder)
{
    const size_t length = strlen(folder);
    if (length >= LOCAL_NAME_SIZE)
        return false;
    if (length == 0)
        return true;
    const char *part = folder;
    for (;;) {
        const char *end = strchr(part, '/');
        const size_t part_length = end != NULL ? (size_t)(end - part) : strlen(part);
        if (!part_is_valid(part, part_length))
            return false;
        if (end == NULL)
            return true;
        part = end + 1;
    }
}

bool local_name_split(const char *name, struct local_name *out)
{
    static const char lock_folder[] = "locks/";
    if (name[0] == '\0' || !local_folder_is_valid(name))
        return false;
    if (strncmp(name, lock_folder, sizeof(lock_folder) - 1) == 0)
        return false;

    const char *slash = strrchr(name, '/');
    const char *base = slash != NULL ? slash + 1 : name;
    const size_t folder_length = slash != NULL ? (size_t)(slash - name) : 0;
    assert(strlen(name) < LOCAL_NAME_SIZE);
    memcpy(out->folder, name, folder_length);
    out->folder[folder_length] = '\0';
    memcpy(out->base, base, strlen(base) + 1);
    return true;
}

/* Closes without losing the errno of what went before. */
static void close_quietly(int file)
{
    const int error = errno;
    (void)close(file);
    errno = error;
}

int local_file_apart(int file)
{
    if (file < 0 || file > STDERR_FILENO)
        return file;
    const int apart = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close_quietly(file);
    return apart;
}

/* The root directory, opened once and kept, so that a relative path means what it meant then. */
static int root_file(struct local_root *root, bool make)
{
    local_root_check(root);
    mutex_lock(&root->lock);
    if (root->file < 0)
        root->file = local_file_apart(open(root->path, DIRECTORY_FLAGS));
    if (root->file < 0 && errno == ENOENT && make) {
        const bool made = mkdir(root->path, FOLDER_MODE) == 0;
        if (made || errno == EEXIST)
            root->file = local_file_apart(open(root->path, DIRECTORY_FLAGS));
        root->made = made;
    }
    const int file = root->file;
    const int error = errno;
    mutex_unlock(&root->lock);
    errno = error;
    return file;
}

/* The folder called `part` in the directory `parent`. */
static int open_part(int parent, const char *part, bool make)
{
    assert(parent >= 0);
    const int file = local_file_apart(openat(parent, part, DIRECTORY_FLAGS | O_NOFOLLOW));
    if (file >= 0 || errno != ENOENT || !make)
        return file;
    if (mkdirat(parent, part, FOLDER_MODE) != 0 && errno != EEXIST)
        return -1;
    return local_file_apart(openat(parent, part, DIRECTORY_FLAGS | O_NOFOLLOW));
}

int local_folder_open(struct local_root *root, const char *folder, bool make)
{
    assert(local_folder_is_valid(folder));
    const int top = root_file(root, make);
    if (top < 0)
        return -1;

    int file = local_file_apart(openat(top, ".", DIRECTORY_FLAGS));
    const char *part = folder;
    while (file >= 0 && *part != '\0') {
        const size_t length = strcspn(part, "/");
        char name[LOCAL_NAME_SIZE];
        memcpy(name, part, length);
        name[length] = '\0';
        const int child = open_part(file, name, make);
        close_quietly(file);
        file = child;
        part += length + (part[length] == '/');
    }
    return file;
}

static bool is_known_durable(struct local_root *root, const char *folder)
{
    mutex_lock(&root->lock);
    const struct local_folder *known = root->durable;
    while (known != NULL && strcmp(known->name, folder) != 0)
        known = known->next;
    mutex_unlock(&root->lock);
    return known != NULL;
}

/* Without memory it is synced again next time, which is no fault. */
static void remember_durable(struct local_root *root, const char *folder)
{
    const size_t name_size = strlen(folder) + 1;
    const size_t size = sizeof(struct local_folder) + name_size;
    struct local_folder *known = allocate(root->allocator, size);
    if (known == NULL)
        return;
    known->size = size;
    memcpy(known->name, folder, name_size);
    mutex_lock(&root->lock);
    known->next = root->durable;
    root->durable = known;
    mutex_unlock(&root->lock);
}

/* 0, or an errno. Closes `file`. */
static int sync_directory(int file)
{
    assert(file >= 0);
    int result = fsync(file);
    while (result != 0 && errno == EINTR)
        result = fsync(file);
    const int error = result == 0 ? 0 : errno;
    (void)close(file);
    /* So say file systems that keep directories in order by themselves. */
    return error == EINVAL ? 0 : error;
}

/* The name of the root lies in a directory that is not ours. One that we may not read can only be
 * passed over, unless we ourselves have just written to it. */
static int sync_parent_of_root(struct local_root *root)
{
    const int top = root_file(root, false);
    const int parent = top < 0 ? -1 : local_file_apart(openat(top, "..", DIRECTORY_FLAGS));
    if (parent >= 0)
        return sync_directory(parent);
    const int error = errno;
    mutex_lock(&root->lock);
    const bool made = root->made;
    mutex_unlock(&root->lock);
    return error == EACCES && !made ? 0 : error;
}

static int sync_one(struct local_root *root, const char *folder)
{
    const int file = local_folder_open(root, folder, false);
    return file < 0 ? errno : sync_directory(file);
}

/* Makes the name of `folder` durable, and those of the folders above it. Whoever made them, perhaps
 * a process that was killed before it came to sync, they are certain only once this one has synced. */
static int make_name_durable(struct local_root *root, const char *folder)
{
    if (is_known_durable(root, folder))
        return 0;

    int error = 0;
    if (folder[0] == '\0') {
        error = sync_parent_of_root(root);
    } else {
        char above[LOCAL_NAME_SIZE];
        memcpy(above, folder, strlen(folder) + 1);
        char *slash = strrchr(above, '/');
        *(slash != NULL ? slash : above) = '\0';
        error = sync_one(root, above);
        if (error == 0)
            error = make_name_durable(root, above);
    }
    if (error == 0)
        remember_durable(root, folder);
    return error;
}

int local_folder_sync(struct local_root *root, const char *folder)
{
    assert(local_folder_is_valid(folder));
    const int error = sync_one(root, folder);
    if (error == ENOENT)
        return 0;
    return error != 0 ? error : make_name_durable(root, folder);
}
