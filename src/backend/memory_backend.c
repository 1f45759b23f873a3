#include "backend/memory_backend.h"
#include "core/lock.h"
#include "core/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { MEMORY_CHUNK_SIZE = 64 * 1024, MEMORY_OWNER_SIZE = 128, MEMORY_NAME_SIZE = 201 };

/* Lives as long as its name or a handle does, and is itself what a handle points to.
 * Invariant: the chunks hold `size` bytes; what a chunk has beyond them means nothing. */
struct memory_object {
    struct memory_object *next; /* By falling serial; valid while it is listed. */
    uint64_t serial;            /* Of its creation. */
    bool listed;                /* It has its name. */
    uint32_t handles;           /* Open, or in use by a list call. */
    uint64_t size;
    uint8_t **chunks;
    size_t chunk_count;
    size_t chunk_capacity;
    uint8_t *ring; /* Of a ring: its `size` bytes, in place of chunks. */
    char name[MEMORY_NAME_SIZE];
};

struct memory_root {
    strata_backend backend; /* What callers see; its context is this struct. */
    const strata_allocator *allocator;
    struct mutex lock; /* Guards what follows, and all objects. */
    struct memory_object *objects;
    uint64_t last_serial;
    uint32_t sharers;
    bool locked; /* Exclusively. */
    size_t owner_size;
    uint8_t owner[MEMORY_OWNER_SIZE];
};

static void memory_object_check(const struct memory_object *object)
{
    assert(object->listed || object->handles > 0);
    assert(object->chunk_count <= object->chunk_capacity);
    assert(object->ring != NULL ||
           object->size <= (uint64_t)object->chunk_count * MEMORY_CHUNK_SIZE);
    (void)object;
}

static struct memory_object *memory_object_of(strata_object *object)
{
    void *inside = object;
    assert(inside != NULL);
    return inside;
}

static strata_object *memory_handle_of(struct memory_object *object)
{
    object->handles++;
    memory_object_check(object);
    void *outside = object;
    return outside;
}

static struct memory_object *memory_object_find(const struct memory_root *root, const char *name)
{
    struct memory_object *object = root->objects;
    while (object != NULL && strcmp(object->name, name) != 0)
        object = object->next;
    return object;
}

static void memory_object_destroy(const strata_allocator *allocator, struct memory_object *object)
{
    assert(!object->listed);
    assert(object->handles == 0);
    for (size_t i = 0; i < object->chunk_count; i++)
        release(allocator, object->chunks[i], MEMORY_CHUNK_SIZE);
    release(allocator, object->chunks, object->chunk_capacity * sizeof(object->chunks[0]));
    if (object->ring != NULL)
        release(allocator, object->ring, (size_t)object->size);
    release(allocator, object, sizeof(*object));
}

/* Gives a handle back; the last one of an object without a name takes the bytes along. */
static void memory_handle_drop(struct memory_root *root, struct memory_object *object)
{
    memory_object_check(object);
    assert(object->handles > 0);
    object->handles--;
    if (object->handles == 0 && !object->listed)
        memory_object_destroy(root->allocator, object);
}

static int memory_error(int effect, int error, int *error_out)
{
    assert(effect != STRATA_EFFECT_DONE);
    *error_out = error;
    return effect;
}

/* An object of that name, with its first handle; NULL if the name is taken. Keeps `created`. */
static strata_object *memory_object_list(struct memory_root *root, struct memory_object *created,
                                         const char *name)
{
    strata_object *handle = NULL;
    memcpy(created->name, name, strlen(name) + 1);
    mutex_lock(&root->lock);
    if (memory_object_find(root, name) == NULL) {
        created->serial = ++root->last_serial;
        created->listed = true;
        created->next = root->objects;
        root->objects = created;
        handle = memory_handle_of(created);
    }
    mutex_unlock(&root->lock);
    return handle;
}

/* Bytes are set aside when they come: a reservation in memory would only waste it. */
static int memory_create(void *context, const char *name, uint64_t reserve_bytes,
                         strata_object **out, int *error_out)
{
    struct memory_root *root = context;
    (void)reserve_bytes;
    if (name[0] == '\0' || strlen(name) >= MEMORY_NAME_SIZE)
        return memory_error(STRATA_EFFECT_NONE, EINVAL, error_out);

    struct memory_object *created = allocate_zeroed(root->allocator, sizeof(*created));
    if (created == NULL)
        return memory_error(STRATA_EFFECT_NONE, ENOMEM, error_out);
    strata_object *handle = memory_object_list(root, created, name);
    if (handle != NULL) {
        *out = handle;
        return STRATA_EFFECT_DONE;
    }
    release(root->allocator, created, sizeof(*created));
    return memory_error(STRATA_EFFECT_TAKEN, EEXIST, error_out);
}

static int memory_open(void *context, const char *name, strata_object **out, uint64_t *size_out,
                       int *error_out)
{
    struct memory_root *root = context;
    mutex_lock(&root->lock);
    struct memory_object *object = memory_object_find(root, name);
    if (object != NULL) {
        *out = memory_handle_of(object);
        *size_out = object->size;
    }
    mutex_unlock(&root->lock);
    if (object != NULL)
        return STRATA_EFFECT_DONE;
    return memory_error(STRATA_EFFECT_MISSING, ENOENT, error_out);
}

static void memory_close(void *context, strata_object *object)
{
    struct memory_root *root = context;
    mutex_lock(&root->lock);
    memory_handle_drop(root, memory_object_of(object));
    mutex_unlock(&root->lock);
}

/* The bytes of a ring that is there are kept, as the page cache keeps those of a file. */
static int memory_ring(void *context, const char *name, uint64_t size, strata_object **out,
                       void **bytes_out, uint64_t *size_out, int *error_out)
{
    struct memory_root *root = context;
    struct memory_object *created = NULL;
    uint8_t *bytes = NULL;
    uint64_t found_size = 0;
    if (name[0] == '\0' || strlen(name) >= MEMORY_NAME_SIZE || size == 0 || size > SIZE_MAX)
        return memory_error(STRATA_EFFECT_NONE, EINVAL, error_out);
    if (memory_open(context, name, out, &found_size, error_out) != STRATA_EFFECT_DONE) {
        *out = NULL;
        created = allocate_zeroed(root->allocator, sizeof(*created));
        bytes = created == NULL ? NULL : allocate_zeroed(root->allocator, (size_t)size);
    }
    if (bytes != NULL) {
        created->ring = bytes;
        created->size = size;
        *out = memory_object_list(root, created, name);
    }
    const struct memory_object *object = *out == NULL ? NULL : memory_object_of(*out);
    if (object != NULL && object->ring != NULL && object->size <= size) {
        *bytes_out = object->ring;
        *size_out = object->size;
        return STRATA_EFFECT_DONE;
    }
    if (object != NULL)
        memory_close(context, *out); /* No ring, or too large a one. */
    release(root->allocator, bytes, (size_t)size);
    release(root->allocator, created, sizeof(*created));
    return memory_error(STRATA_EFFECT_NONE, ENOMEM, error_out);
}

/* The part of [offset, offset + size) that lies in the chunk of `offset`. */
static size_t piece_in_chunk(uint64_t offset, size_t size)
{
    const size_t left = MEMORY_CHUNK_SIZE - (size_t)(offset % MEMORY_CHUNK_SIZE);
    return size < left ? size : left;
}

static uint8_t *memory_byte_at(const struct memory_object *object, uint64_t offset)
{
    const size_t chunk = (size_t)(offset / MEMORY_CHUNK_SIZE);
    assert(chunk < object->chunk_count);
    return object->chunks[chunk] + offset % MEMORY_CHUNK_SIZE;
}

static int memory_read(void *context, strata_object *handle, uint64_t offset, strata_buffer *out,
                       int *error_out)
{
    struct memory_root *root = context;
    const struct memory_object *object = memory_object_of(handle);
    uint8_t *to = out->data;
    assert(to != NULL || out->capacity == 0);
    (void)error_out;

    mutex_lock(&root->lock);
    memory_object_check(object);
    const uint64_t there = offset < object->size ? object->size - offset : 0;
    const size_t size = there < out->capacity ? (size_t)there : out->capacity;
    if (object->ring != NULL && size > 0)
        memcpy(to, object->ring + offset, size);
    for (size_t done = 0; done < size && object->ring == NULL;) {
        const size_t piece = piece_in_chunk(offset + done, size - done);
        memcpy(to + done, memory_byte_at(object, offset + done), piece);
        done += piece;
    }
    mutex_unlock(&root->lock);
    out->size = size;
    return STRATA_EFFECT_DONE;
}

static bool grow_chunk_list(const strata_allocator *allocator, struct memory_object *object)
{
    assert(object->chunk_count == object->chunk_capacity);
    const size_t capacity = object->chunk_capacity == 0 ? 4 : object->chunk_capacity * 2;
    if (capacity > SIZE_MAX / sizeof(object->chunks[0]))
        return false;
    const size_t entry_size = sizeof(object->chunks[0]);
    uint8_t **chunks =
        allocator->resize(allocator->context, object->chunks, object->chunk_capacity * entry_size,
                          capacity * entry_size);
    if (chunks == NULL)
        return false;
    object->chunks = chunks;
    object->chunk_capacity = capacity;
    return true;
}

/* Makes room for `end` bytes in all. Without memory it may leave chunks that are not in use yet. */
static bool memory_object_grow(const strata_allocator *allocator, struct memory_object *object,
                               uint64_t end)
{
    while ((uint64_t)object->chunk_count * MEMORY_CHUNK_SIZE < end) {
        if (object->chunk_count == object->chunk_capacity && !grow_chunk_list(allocator, object))
            return false;
        uint8_t *chunk = allocate(allocator, MEMORY_CHUNK_SIZE);
        if (chunk == NULL)
            return false;
        object->chunks[object->chunk_count++] = chunk;
    }
    return true;
}

static int memory_append(void *context, strata_object *handle, uint64_t offset, strata_bytes data,
                         int *error_out)
{
    struct memory_root *root = context;
    struct memory_object *object = memory_object_of(handle);
    const uint8_t *from = data.data;
    assert(from != NULL || data.size == 0);

    mutex_lock(&root->lock);
    memory_object_check(object);
    const bool follows =
        object->ring == NULL && offset == object->size && data.size <= SIZE_MAX - offset;
    const bool has_room =
        follows && memory_object_grow(root->allocator, object, offset + data.size);
    if (has_room) {
        for (size_t done = 0; done < data.size;) {
            const size_t piece = piece_in_chunk(offset + done, data.size - done);
            memcpy(memory_byte_at(object, offset + done), from + done, piece);
            done += piece;
        }
        object->size = offset + data.size;
    }
    memory_object_check(object);
    mutex_unlock(&root->lock);
    if (has_room)
        return STRATA_EFFECT_DONE;
    return memory_error(STRATA_EFFECT_NONE, follows ? ENOMEM : EINVAL, error_out);
}

static int memory_sync(void *context, strata_object *object, int *error_out)
{
    (void)context, (void)object, (void)error_out;
    return STRATA_EFFECT_DONE;
}

static int memory_sync_names(void *context, const char *folder, int *error_out)
{
    (void)context, (void)folder, (void)error_out;
    return STRATA_EFFECT_DONE;
}

static int memory_remove(void *context, const char *name, int *error_out)
{
    struct memory_root *root = context;
    mutex_lock(&root->lock);
    struct memory_object **link = &root->objects;
    while (*link != NULL && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    struct memory_object *removed = *link;
    if (removed != NULL) {
        *link = removed->next;
        removed->handles++; /* Ours, dropped at once, so that there is one place that frees. */
        removed->listed = false;
        memory_handle_drop(root, removed);
    }
    mutex_unlock(&root->lock);
    if (removed != NULL)
        return STRATA_EFFECT_DONE;
    return memory_error(STRATA_EFFECT_MISSING, ENOENT, error_out);
}

/* Whether `name` lies in `folder` itself. */
static bool is_in_folder(const char *name, const char *folder)
{
    const size_t length = strlen(folder);
    if (length == 0)
        return strchr(name, '/') == NULL;
    return strncmp(name, folder, length) == 0 && name[length] == '/' &&
           strchr(name + length + 1, '/') == NULL;
}

/* The newest object in `folder` older than `serial`, held by a handle; NULL if there is none.
 * `after`, if it still has its name, is the object of that serial: a short cut. */
static struct memory_object *hold_next(struct memory_root *root, const char *folder,
                                       uint64_t serial, const struct memory_object *after)
{
    struct memory_object *object = after != NULL && after->listed ? after->next : root->objects;
    while (object != NULL && (object->serial >= serial || !is_in_folder(object->name, folder)))
        object = object->next;
    if (object != NULL)
        (void)memory_handle_of(object);
    return object;
}

/* `found` is called without the lock, so it may call the backend, and remove what it is told of. */
static int memory_list(void *context, const char *folder,
                       int (*found)(void *found_context, const char *name, uint64_t object_size),
                       void *found_context, int *error_out)
{
    struct memory_root *root = context;
    (void)error_out;
    assert(found != NULL);

    mutex_lock(&root->lock);
    struct memory_object *object = hold_next(root, folder, UINT64_MAX, NULL);
    while (object != NULL) {
        const uint64_t size = object->size;
        mutex_unlock(&root->lock);
        const int stop = found(found_context, object->name, size);
        mutex_lock(&root->lock);
        struct memory_object *next =
            stop != 0 ? NULL : hold_next(root, folder, object->serial, object);
        memory_handle_drop(root, object);
        object = next;
    }
    mutex_unlock(&root->lock);
    return STRATA_EFFECT_DONE;
}

static int memory_lock(void *context, int exclusive, strata_bytes owner, strata_buffer *holder_out,
                       int *error_out)
{
    struct memory_root *root = context;
    (void)error_out;
    assert(owner.size <= MEMORY_OWNER_SIZE);

    mutex_lock(&root->lock);
    const bool taken = root->locked || (exclusive != 0 && root->sharers > 0);
    if (taken) {
        const size_t size = root->locked ? root->owner_size : 0;
        holder_out->size = size < holder_out->capacity ? size : holder_out->capacity;
        if (holder_out->size > 0)
            memcpy(holder_out->data, root->owner, holder_out->size);
    } else if (exclusive != 0) {
        root->locked = true;
        root->owner_size = owner.size;
        if (owner.size > 0)
            memcpy(root->owner, owner.data, owner.size);
    } else {
        root->sharers++;
    }
    mutex_unlock(&root->lock);
    return taken ? STRATA_EFFECT_TAKEN : STRATA_EFFECT_DONE;
}

static void memory_unlock(void *context)
{
    struct memory_root *root = context;
    mutex_lock(&root->lock);
    assert(!root->locked || root->sharers == 0);
    if (root->locked)
        root->locked = false;
    else if (root->sharers > 0)
        root->sharers--;
    mutex_unlock(&root->lock);
}

strata_status memory_backend_create(const strata_allocator *allocator, const strata_backend **out)
{
    assert(allocator != NULL);
    assert(out != NULL);

    struct memory_root *root = allocate_zeroed(allocator, sizeof(*root));
    if (root == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a backend");
    root->allocator = allocator;
    mutex_init(&root->lock);
    root->backend = (strata_backend){.size = sizeof(strata_backend),
                                     .context = root,
                                     .create = memory_create,
                                     .open = memory_open,
                                     .close = memory_close,
                                     .read = memory_read,
                                     .append = memory_append,
                                     .sync = memory_sync,
                                     .sync_names = memory_sync_names,
                                     .remove = memory_remove,
                                     .list = memory_list,
                                     .lock = memory_lock,
                                     .unlock = memory_unlock,
                                     .ring = memory_ring};
    *out = &root->backend;
    return STRATA_OK;
}

void memory_backend_destroy(const strata_backend *backend)
{
    if (backend == NULL)
        return;
    struct memory_root *root = backend->context;
    assert(backend == &root->backend);
    struct memory_object *next = NULL;
    for (struct memory_object *object = root->objects; object != NULL; object = next) {
        next = object->next;
        assert(object->handles == 0);
        object->listed = false;
        memory_object_destroy(root->allocator, object);
    }
    mutex_destroy(&root->lock);
    const strata_allocator *allocator = root->allocator;
    release(allocator, root, sizeof(*root));
}
