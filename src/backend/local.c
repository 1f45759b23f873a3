#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "backend/local.h"
#include "backend/local_file.h"
#include "backend/local_ring.h"
#include "backend/local_root.h"
#include "core/memory.h"
#include "core/plant.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECT_MODE = 0600, LOCK_TEXT_SIZE = 128 };

static_assert(sizeof(off_t) == sizeof(uint64_t), "offsets of objects are 64 bits");

#define LOCK_FOLDER "locks"
#define LOCK_NAME   "owner"

struct local {
    strata_backend backend; /* What callers see; its context is this struct. */
    struct local_root root;
    int lock_file; /* -1: not locked. Guarded by root.lock. */
    uint32_t lock_generation;
};

/* What a strata_object of this backend is. */
struct local_object {
    int file;
    struct local_ring ring; /* Of a ring. */
};

static struct local_object *local_object_of(strata_object *object)
{
    void *inside = object;
    assert(inside != NULL);
    return inside;
}

static int effect_of_error(int error, int *error_out)
{
    assert(error != 0);
    *error_out = error;
    return error == EIO ? STRATA_EFFECT_UNKNOWN : STRATA_EFFECT_NONE;
}

/* Gives the caller an open file as an object; `handle` was allocated before there was a file. */
static int give_object(struct local_object *handle, int file, strata_object **out)
{
    assert(file >= 0);
    *handle = (struct local_object){.file = file};
    void *outside = handle;
    *out = outside;
    return STRATA_EFFECT_DONE;
}

/* Makes the file in `folder`. On failure nothing is left of it, or the effect is unknown. */
static int create_in_folder(int folder, const char *base, uint64_t reserve_bytes, int *file_out,
                            int *error_out)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    const int file = local_file_apart(openat(folder, base, flags, OBJECT_MODE));
    int error = file < 0 ? errno : 0;
    if (file < 0) {
        const int effect = effect_of_error(error, error_out);
        return error == EEXIST ? STRATA_EFFECT_TAKEN : effect;
    }
    error = local_file_reserve(file, reserve_bytes);
    if (error == 0) {
        *file_out = file;
        return STRATA_EFFECT_DONE;
    }
    *error_out = error;
    (void)close(file);
    return unlinkat(folder, base, 0) == 0 ? STRATA_EFFECT_NONE : STRATA_EFFECT_UNKNOWN;
}

static int local_create(void *context, const char *name, uint64_t reserve_bytes,
                        strata_object **out, int *error_out)
{
    struct local *local = context;
    struct local_name split;
    if (!local_name_split(name, &split))
        return effect_of_error(EINVAL, error_out);
    if (reserve_bytes > INT64_MAX)
        return effect_of_error(EFBIG, error_out);

    struct local_object *handle = allocate(local->root.allocator, sizeof(*handle));
    if (handle == NULL)
        return effect_of_error(ENOMEM, error_out);
    int file = -1;
    int effect = STRATA_EFFECT_DONE;
    const int folder = local_folder_open(&local->root, split.folder, true);
    if (folder < 0) {
        effect = effect_of_error(errno, error_out);
    } else {
        effect = create_in_folder(folder, split.base, reserve_bytes, &file, error_out);
        (void)close(folder);
    }
    if (effect == STRATA_EFFECT_DONE)
        return give_object(handle, file, out);
    release(local->root.allocator, handle, sizeof(*handle));
    return effect;
}

/* Opens for reading what is a regular file; -1 with errno else. */
static int open_regular(struct local_root *root, const struct local_name *name, uint64_t *size_out)
{
    const int folder = local_folder_open(root, name->folder, false);
    if (folder < 0)
        return -1;
    /* O_NONBLOCK, since opening a pipe waits for its other end. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const int file = local_file_apart(openat(folder, name->base, flags));
    int error = file < 0 ? errno : 0;
    (void)close(folder);

    struct stat attributes = {0};
    if (error == 0 && fstat(file, &attributes) != 0)
        error = errno;
    else if (error == 0 && !S_ISREG(attributes.st_mode))
        error = S_ISDIR(attributes.st_mode) ? EISDIR : ENODEV;
    if (error == 0) {
        /* Reads come here and there, or in large pieces: more than is asked for would be read in vain.
         * A wish: what the system says to it makes no difference. */
#ifdef POSIX_FADV_RANDOM
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
#endif
        *size_out = (uint64_t)attributes.st_size;
        return file;
    }
    if (file >= 0)
        (void)close(file);
    errno = error;
    return -1;
}

static int local_open(void *context, const char *name, strata_object **out, uint64_t *size_out,
                      int *error_out)
{
    struct local *local = context;
    struct local_name split;
    if (!local_name_split(name, &split))
        return effect_of_error(EINVAL, error_out);

    struct local_object *handle = allocate(local->root.allocator, sizeof(*handle));
    if (handle == NULL)
        return effect_of_error(ENOMEM, error_out);
    const int file = open_regular(&local->root, &split, size_out);
    if (file >= 0)
        return give_object(handle, file, out);
    const int error = errno;
    release(local->root.allocator, handle, sizeof(*handle));
    const int effect = effect_of_error(error, error_out);
    return error == ENOENT ? STRATA_EFFECT_MISSING : effect;
}

static void local_close(void *context, strata_object *object)
{
    struct local *local = context;
    struct local_object *handle = local_object_of(object);
    assert(handle->file >= 0);
    local_ring_unmap(&handle->ring);
    (void)close(handle->file);
    release(local->root.allocator, handle, sizeof(*handle));
}

static int local_read(void *context, strata_object *object, uint64_t offset, strata_buffer *out,
                      int *error_out)
{
    (void)context;
    const struct local_object *handle = local_object_of(object);
    uint8_t *to = out->data;
    assert(to != NULL || out->capacity == 0);

    out->size = 0;
    while (out->size < out->capacity && offset <= INT64_MAX - (uint64_t)out->capacity) {
        const ssize_t count = pread(handle->file, to + out->size, out->capacity - out->size,
                                    (off_t)(offset + out->size));
        if (count == 0)
            break;
        if (count > 0)
            out->size += (size_t)count;
        else if (errno != EINTR)
            return effect_of_error(errno, error_out);
    }
    return STRATA_EFFECT_DONE;
}

static int local_append(void *context, strata_object *object, uint64_t offset, strata_bytes data,
                        int *error_out)
{
    (void)context;
    const struct local_object *handle = local_object_of(object);
    assert(data.data != NULL || data.size == 0);

    if (offset > INT64_MAX || data.size > INT64_MAX - offset)
        return effect_of_error(EFBIG, error_out);
    size_t written = 0;
    const int error = local_file_write(handle->file, offset, data.data, data.size, &written);
    if (error == 0)
        return STRATA_EFFECT_DONE;
    const int effect = effect_of_error(error, error_out);
    return written > 0 ? STRATA_EFFECT_UNKNOWN : effect;
}

static int local_sync(void *context, strata_object *object, int *error_out)
{
    (void)context;
    const struct local_object *handle = local_object_of(object);
    int result = fdatasync(handle->file);
    while (result != 0 && errno == EINTR)
        result = fdatasync(handle->file);
    if (result == 0)
        return STRATA_EFFECT_DONE;
    *error_out = errno;
    return STRATA_EFFECT_UNKNOWN;
}

static int local_sync_names(void *context, const char *folder, int *error_out)
{
#if STRATA_PLANT == 2
    (void)context, (void)folder, (void)error_out;
    return STRATA_EFFECT_DONE;
#else
    struct local *local = context;
    if (!local_folder_is_valid(folder))
        return effect_of_error(EINVAL, error_out);
    const int error = local_folder_sync(&local->root, folder);
    if (error == 0)
        return STRATA_EFFECT_DONE;
    *error_out = error;
    return STRATA_EFFECT_UNKNOWN;
#endif
}

static int local_remove(void *context, const char *name, int *error_out)
{
    struct local *local = context;
    struct local_name split;
    if (!local_name_split(name, &split))
        return effect_of_error(EINVAL, error_out);

    const int folder = local_folder_open(&local->root, split.folder, false);
    int error = folder < 0 ? errno : 0;
    if (folder >= 0) {
        if (unlinkat(folder, split.base, 0) != 0)
            error = errno;
        (void)close(folder);
    }
    if (error == 0)
        return STRATA_EFFECT_DONE;
    const int effect = effect_of_error(error, error_out);
    return error == ENOENT ? STRATA_EFFECT_MISSING : effect;
}

/* Calls `found` if the entry is an object of ours; other files and all else are passed over. */
static int report_entry(DIR *directory, const char *folder, const char *base,
                        int (*found)(void *found_context, const char *name, uint64_t object_size),
                        void *found_context)
{
    char name[2 * LOCAL_NAME_SIZE];
    struct local_name split;
    if (strlen(base) >= LOCAL_NAME_SIZE)
        return 0;
    snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] != '\0' ? "/" : "", base);
    if (!local_name_split(name, &split))
        return 0;
    struct stat attributes = {0};
    if (fstatat(dirfd(directory), base, &attributes, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(attributes.st_mode))
        return 0; /* Gone meanwhile, or no file. */
    assert(attributes.st_size >= 0);
    return found(found_context, name, (uint64_t)attributes.st_size);
}

static int local_list(void *context, const char *folder,
                      int (*found)(void *found_context, const char *name, uint64_t object_size),
                      void *found_context, int *error_out)
{
    struct local *local = context;
    if (!local_folder_is_valid(folder))
        return effect_of_error(EINVAL, error_out);
    const int file = local_folder_open(&local->root, folder, false);
    if (file < 0 && errno == ENOENT)
        return STRATA_EFFECT_DONE;
    DIR *directory = file < 0 ? NULL : fdopendir(file);
    if (directory == NULL) {
        const int effect = effect_of_error(errno, error_out);
        if (file >= 0)
            (void)close(file);
        return effect;
    }

    int stopped = 0;
    int error = 0;
    while (stopped == 0 && error == 0) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        error = errno;
        if (entry == NULL)
            break;
        stopped = report_entry(directory, folder, entry->d_name, found, found_context);
    }
    (void)closedir(directory);
    return error == 0 ? STRATA_EFFECT_DONE : effect_of_error(error, error_out);
}

/* A new file, since somebody may have the old one mapped, such as the child of a fork. On failure
 * nothing is left of it. 0, or an errno. */
static int ring_in_folder(int folder, const char *base, uint64_t size, int *file_out,
                          struct local_ring *out)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    if (!local_ring_safe(folder))
        return ENOTSUP;
    if (unlinkat(folder, base, 0) != 0 && errno != ENOENT)
        return errno;
    const int file = local_file_apart(openat(folder, base, flags, OBJECT_MODE));
    if (file < 0)
        return errno;
    const int error = local_ring_map(file, size, out);
    if (error == 0) {
        *file_out = file;
        return 0;
    }
    (void)close(file);
    (void)unlinkat(folder, base, 0);
    return error;
}

static int local_ring(void *context, const char *name, uint64_t size, strata_object **out,
                      void **bytes_out, uint64_t *size_out, int *error_out)
{
    struct local *local = context;
    struct local_name split;
    struct local_ring ring;
    int file = -1;
    if (!local_name_split(name, &split))
        return effect_of_error(EINVAL, error_out);
    struct local_object *handle = allocate(local->root.allocator, sizeof(*handle));
    if (handle == NULL)
        return effect_of_error(ENOMEM, error_out);
    const int folder = local_folder_open(&local->root, split.folder, true);
    int error = folder < 0 ? errno : 0;
    if (folder >= 0) {
        error = ring_in_folder(folder, split.base, size, &file, &ring);
        (void)close(folder);
    }
    if (error != 0) {
        release(local->root.allocator, handle, sizeof(*handle));
        return effect_of_error(error, error_out);
    }
    const int effect = give_object(handle, file, out);
    handle->ring = ring;
    *bytes_out = ring.bytes;
    *size_out = ring.size;
    return effect;
}

/* The file that is locked; -1 with errno. A sharer makes nothing. */
static int open_lock_file(struct local_root *root, bool exclusive)
{
    const int folder = local_folder_open(root, LOCK_FOLDER, exclusive);
    if (folder < 0)
        return -1;
    const int flags = (exclusive ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    const int file = local_file_apart(openat(folder, LOCK_NAME, flags | O_NONBLOCK, OBJECT_MODE));
    const int error = errno;
    (void)close(folder);
    errno = error;
    return file;
}

/* A root that no owner ever locked, such as a copy of the objects, can be shared without a lock. */
static int effect_without_lock_file(struct local_root *root, bool exclusive, int error,
                                    int *error_out)
{
    const int effect = effect_of_error(error, error_out);
    if (exclusive || error != ENOENT)
        return effect;
    const int folder = local_folder_open(root, "", false);
    if (folder < 0)
        return STRATA_EFFECT_MISSING;
    (void)close(folder);
    return STRATA_EFFECT_DONE;
}

/* The text of whoever holds the lock exclusively; empty if it is held by sharers, for then the text
 * is that of an owner who has gone. */
static void read_holder(int file, strata_buffer *out)
{
    out->size = 0;
    if (flock(file, LOCK_SH | LOCK_NB) == 0)
        return;
    char text[LOCK_TEXT_SIZE];
    const ssize_t size = pread(file, text, sizeof(text), 0);
    const size_t length = size > 0 ? strnlen(text, (size_t)size) : 0;
    out->size = length < out->capacity ? length : out->capacity;
    if (out->size > 0)
        memcpy(out->data, text, out->size);
}

/* In one write of one size, so that nobody reads half of it. Not certain to succeed on a full disk,
 * and no reason to refuse the lock. */
static void write_holder(int file, strata_bytes owner)
{
    char text[LOCK_TEXT_SIZE] = {0};
    const size_t size = owner.size < sizeof(text) ? owner.size : sizeof(text);
    if (size > 0)
        memcpy(text, owner.data, size);
    size_t written = 0;
    (void)local_file_write(file, 0, text, sizeof(text), &written);
}

/* 0, or an errno: EWOULDBLOCK if someone has it. */
static int flock_now(int file, bool exclusive)
{
    assert(file >= 0);
    const int operation = (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
    int result = flock(file, operation);
    while (result != 0 && errno == EINTR)
        result = flock(file, operation);
    return result == 0 ? 0 : errno;
}

static int local_lock(void *context, int exclusive, strata_bytes owner, strata_buffer *holder_out,
                      int *error_out)
{
    struct local *local = context;
    assert(owner.size <= LOCK_TEXT_SIZE);

    const int file = open_lock_file(&local->root, exclusive != 0);
    if (file < 0)
        return effect_without_lock_file(&local->root, exclusive != 0, errno, error_out);
    const int error = flock_now(file, exclusive != 0);
    mutex_lock(&local->root.lock);
    const bool mine = error == 0 && local->lock_file < 0;
    if (mine) {
        local->lock_file = file;
        local->lock_generation = process_generation();
    }
    mutex_unlock(&local->root.lock);
    if (mine) {
        if (exclusive != 0)
            write_holder(file, owner);
        return STRATA_EFFECT_DONE;
    }
    if (error == 0 || error == EWOULDBLOCK)
        read_holder(file, holder_out);
    (void)close(file);
    return error == 0 || error == EWOULDBLOCK ? STRATA_EFFECT_TAKEN
                                              : effect_of_error(error, error_out);
}

static void local_unlock(void *context)
{
    struct local *local = context;
    mutex_lock(&local->root.lock);
    const int file = local->lock_file;
    local->lock_file = -1;
    mutex_unlock(&local->root.lock);
    if (file < 0)
        return;
    /* A forked child has the file too: the lock goes at once, but not by the child's doing. */
    if (local->lock_generation == process_generation())
        (void)flock(file, LOCK_UN);
    (void)close(file);
}

strata_status local_backend_create(const char *path, const strata_allocator *allocator,
                                   const strata_backend **out)
{
    assert(path != NULL);
    assert(allocator != NULL);

    struct local *local = allocate(allocator, sizeof(*local));
    if (local == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a backend");
    const strata_status status = local_root_init(&local->root, path, allocator);
    if (status != STRATA_OK) {
        release(allocator, local, sizeof(*local));
        return status;
    }
    local->lock_file = -1;
    local->backend = (strata_backend){.size = sizeof(strata_backend),
                                      .context = local,
                                      .create = local_create,
                                      .open = local_open,
                                      .close = local_close,
                                      .read = local_read,
                                      .append = local_append,
                                      .sync = local_sync,
                                      .sync_names = local_sync_names,
                                      .remove = local_remove,
                                      .list = local_list,
                                      .lock = local_lock,
                                      .unlock = local_unlock,
                                      .ring = local_ring};
    *out = &local->backend;
    return STRATA_OK;
}

void local_backend_destroy(const strata_backend *backend)
{
    if (backend == NULL)
        return;
    struct local *local = backend->context;
    assert(backend == &local->backend);
    local_unlock(local);
    const strata_allocator *allocator = local->root.allocator;
    local_root_release(&local->root);
    release(allocator, local, sizeof(*local));
}
