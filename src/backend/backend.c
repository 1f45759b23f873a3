#include "backend/backend.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Of a lock's holder, as in strata.h. */
enum { HOLDER_TEXT_SIZE = 128 };

static void object_check(const struct object *object)
{
    assert(object->backend != NULL);
    assert(object->handle != NULL);
    assert(memchr(object->name, '\0', sizeof(object->name)) != NULL);
    (void)object;
}

static strata_bytes bytes_outward(struct bytes bytes)
{
    return (strata_bytes){.data = bytes.data, .size = bytes.length};
}

static strata_status status_of_error(int error)
{
    if (error == ENOSPC || error == EDQUOT)
        return STRATA_NO_SPACE;
    if (error == ENOMEM)
        return STRATA_NO_MEMORY;
    return error == EROFS ? STRATA_READ_ONLY : STRATA_IO;
}

static const char *error_text(int error)
{
    if (error == 0)
        return "the backend gave no reason";
    if (error == ENOTDIR)
        return "the root, or a folder in it, is not a directory";
    if (error == ELOOP)
        return "it is a symbolic link";
    return strerror(error);
}

/* What the system's error means for `what`, such as "wal/00000000000000000001". */
static strata_status backend_failure(const char *what, uint64_t offset, const char *verb, int error)
{
    assert(what != NULL);
    assert(verb != NULL);
    const strata_status status = failure_at(status_of_error(error), what, offset,
                                            "%s cannot be %s: %s", what, verb, error_text(error));
    failure_system(error);
    return status;
}

static const char *folder_text(const char *folder)
{
    return folder[0] == '\0' ? "the root" : folder;
}

static struct object opened_object(const strata_backend *backend, const char *name,
                                   strata_object *handle, uint64_t size)
{
    assert(handle != NULL);
    assert(strlen(name) < OBJECT_NAME_SIZE);
    struct object object = {.backend = backend, .handle = handle, .size = size};
    snprintf(object.name, sizeof(object.name), "%s", name);
    object_check(&object);
    return object;
}

static int backend_create_lazy(const strata_backend *backend, const char *name,
                               uint64_t reserve_bytes, strata_object **out, int *error_out)
{
    if (backend->size < offsetof(strata_backend, create_lazy) + sizeof(backend->create_lazy) ||
        backend->create_lazy == NULL)
        return backend->create(backend->context, name, reserve_bytes, out, error_out);
    return backend->create_lazy(backend->context, name, reserve_bytes, out, error_out);
}

static strata_status object_create_as(const strata_backend *backend, const char *name,
                                      uint64_t reserve_bytes, bool lazy, struct object *out)
{
    assert(strlen(name) < OBJECT_NAME_SIZE);

    strata_object *handle = NULL;
    int error = 0;
    const int effect =
        lazy ? backend_create_lazy(backend, name, reserve_bytes, &handle, &error)
             : backend->create(backend->context, name, reserve_bytes, &handle, &error);
    if (effect == STRATA_EFFECT_TAKEN)
        return failure_at(STRATA_EXISTS, name, 0, "%s exists already", name);
    if (effect != STRATA_EFFECT_DONE)
        return backend_failure(name, 0, "created", error);
    *out = opened_object(backend, name, handle, 0);
    return STRATA_OK;
}

strata_status object_create(const strata_backend *backend, const char *name, uint64_t reserve_bytes,
                            struct object *out)
{
    return object_create_as(backend, name, reserve_bytes, false, out);
}

strata_status object_create_lazy(const strata_backend *backend, const char *name,
                                 uint64_t reserve_bytes, struct object *out)
{
    return object_create_as(backend, name, reserve_bytes, true, out);
}

strata_status object_open(const strata_backend *backend, const char *name, struct object *out)
{
    assert(strlen(name) < OBJECT_NAME_SIZE);

    strata_object *handle = NULL;
    uint64_t size = 0;
    int error = 0;
    const int effect = backend->open(backend->context, name, &handle, &size, &error);
    if (effect == STRATA_EFFECT_MISSING)
        return failure_at(STRATA_NOT_FOUND, name, 0, "%s does not exist", name);
    if (effect != STRATA_EFFECT_DONE)
        return backend_failure(name, 0, "opened", error);
    *out = opened_object(backend, name, handle, size);
    return STRATA_OK;
}

void object_close(struct object *object)
{
    if (object->handle == NULL)
        return;
    object_check(object);
    object->backend->close(object->backend->context, object->handle);
    object->handle = NULL;
}

strata_status object_read_some(const struct object *object, uint64_t offset, void *to, size_t size,
                               size_t *size_out)
{
    object_check(object);
    assert(to != NULL || size == 0);

    strata_buffer buffer = {.data = to, .capacity = size};
    int error = 0;
    const strata_backend *backend = object->backend;
    const int effect = backend->read(backend->context, object->handle, offset, &buffer, &error);
    if (effect != STRATA_EFFECT_DONE)
        return backend_failure(object->name, offset, "read", error);
    if (buffer.size > size)
        return failure_at(STRATA_IO, object->name, offset,
                          "%s gave %zu bytes where %zu were asked for", object->name, buffer.size,
                          size);
    *size_out = buffer.size;
    return STRATA_OK;
}

strata_status object_read(const struct object *object, uint64_t offset, void *to, size_t size)
{
    size_t read_size = 0;
    TRY(object_read_some(object, offset, to, size, &read_size));
    if (read_size < size)
        return failure_at(STRATA_CORRUPT, object->name, offset,
                          "%s is cut short: it has %zu of %zu bytes at offset %llu", object->name,
                          read_size, size, (unsigned long long)offset);
    return STRATA_OK;
}

strata_status object_append(struct object *object, struct bytes data)
{
    object_check(object);
    assert(data.data != NULL || data.length == 0);

    if (data.length == 0)
        return STRATA_OK;
    int error = 0;
    const strata_backend *backend = object->backend;
    const int effect = backend->append(backend->context, object->handle, object->appended,
                                       bytes_outward(data), &error);
    if (effect != STRATA_EFFECT_DONE)
        return backend_failure(object->name, object->appended, "appended to", error);
    object->appended += data.length;
    return STRATA_OK;
}

strata_status object_sync(struct object *object)
{
    object_check(object);

    int error = 0;
    const strata_backend *backend = object->backend;
    if (backend->sync(backend->context, object->handle, &error) != STRATA_EFFECT_DONE)
        return backend_failure(object->name, 0, "synced", error);
    return STRATA_OK;
}

strata_status backend_sync_names(const strata_backend *backend, const char *folder)
{
    assert(folder != NULL);

    int error = 0;
    if (backend->sync_names(backend->context, folder, &error) != STRATA_EFFECT_DONE)
        return backend_failure(folder_text(folder), 0, "synced", error);
    return STRATA_OK;
}

strata_status backend_remove(const strata_backend *backend, const char *name)
{
    assert(strlen(name) < OBJECT_NAME_SIZE);

    int error = 0;
    const int effect = backend->remove(backend->context, name, &error);
    if (effect != STRATA_EFFECT_DONE && effect != STRATA_EFFECT_MISSING)
        return backend_failure(name, 0, "removed", error);
    return STRATA_OK;
}

strata_status backend_list(const strata_backend *backend, const char *folder,
                           int (*found)(void *context, const char *name, uint64_t size),
                           void *context)
{
    assert(folder != NULL);
    assert(found != NULL);

    int error = 0;
    const int effect = backend->list(backend->context, folder, found, context, &error);
    if (effect != STRATA_EFFECT_DONE && effect != STRATA_EFFECT_MISSING)
        return backend_failure(folder_text(folder), 0, "listed", error);
    return STRATA_OK;
}

/* A caller's struct may be of a library that knew no rings. */
static bool backend_has_ring(const strata_backend *backend)
{
    return backend->size >= offsetof(strata_backend, ring) + sizeof(backend->ring) &&
           backend->ring != NULL;
}

void ring_open(const strata_backend *backend, const char *name, uint64_t size, struct ring *out)
{
    assert(strlen(name) < OBJECT_NAME_SIZE);
    assert(size % (2 * RING_PAGE_SIZE) == 0);

    strata_object *handle = NULL;
    void *bytes = NULL;
    uint64_t given = 0;
    int error = 0;
    *out = (struct ring){.bytes = NULL};
    if (size == 0 || !backend_has_ring(backend) ||
        backend->ring(backend->context, name, size, &handle, &bytes, &given, &error) !=
            STRATA_EFFECT_DONE)
        return;
    const bool usable =
        bytes != NULL && given > 0 && given <= size && given % (2 * RING_PAGE_SIZE) == 0;
    if (usable)
        *out = (struct ring){.backend = backend, .handle = handle, .bytes = bytes, .size = given};
    else
        backend->close(backend->context, handle);
}

void ring_close(struct ring *ring)
{
    if (ring->bytes == NULL)
        return;
    ring->backend->close(ring->backend->context, ring->handle);
    *ring = (struct ring){.bytes = NULL};
}

/* The holder's text comes from a file: for a message it becomes one line. */
static strata_status busy_failure(const char *text)
{
    char line[HOLDER_TEXT_SIZE + 1];
    snprintf(line, sizeof(line), "%s", text);
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    }
    if (line[0] == '\0')
        return failure(STRATA_BUSY, "another process has the database");
    return failure(STRATA_BUSY, "another owner has the database: %s", line);
}

strata_status backend_lock(const strata_backend *backend, const char *path, bool exclusive,
                           struct bytes owner, char *holder, size_t holder_size)
{
    const char *root = path != NULL ? path : "the database";
    assert(owner.length <= HOLDER_TEXT_SIZE);
    assert(holder != NULL && holder_size > 0);

    char text[HOLDER_TEXT_SIZE + 1] = "";
    strata_buffer buffer = {.data = text, .capacity = HOLDER_TEXT_SIZE};
    int error = 0;
    const int effect =
        backend->lock(backend->context, exclusive, bytes_outward(owner), &buffer, &error);
    if (effect == STRATA_EFFECT_DONE)
        return STRATA_OK;
    if (effect == STRATA_EFFECT_MISSING)
        return failure(STRATA_NOT_FOUND, "there is no database in %s",
                       path != NULL ? path : "the backend");
    if (effect != STRATA_EFFECT_TAKEN)
        return backend_failure(root, 0, "locked", error);

    text[buffer.size < HOLDER_TEXT_SIZE ? buffer.size : HOLDER_TEXT_SIZE] = '\0';
    snprintf(holder, holder_size, "%s", text);
    return busy_failure(text);
}
