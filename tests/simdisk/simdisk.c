#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "simdisk/simdisk_inner.h"
#include "simdisk/sim_random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GRAVES = 8 }; /* Removed objects whose bytes are kept, as garbage for later. */

struct strata_object {
    size_t file;
    bool writable;
};

static const char *const kind_names[SIM_KINDS] = {"create",     "open",   "read", "append", "sync",
                                                  "sync_names", "remove", "list", "lock",   "ring"};

/* ---- the disk -------------------------------------------------------------------------------- */

static void misuse(struct simdisk *disk, const char *what, const char *name)
{
    if (disk->misuse[0] == '\0')
        snprintf(disk->misuse, sizeof(disk->misuse), "operation %llu: %s: %s",
                 (unsigned long long)disk->operations, what, name);
}

static struct sim_file *find_named(struct simdisk *disk, const char *name)
{
    for (size_t i = 0; i < disk->files.count; i++) {
        struct sim_file *file = &disk->files.at[i];
        if (file->named && strcmp(file->name->text, name) == 0)
            return file;
    }
    return NULL;
}

static bool in_folder(const char *name, const char *folder)
{
    const char *slash = strrchr(name, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - name);
    return strlen(folder) == size && memcmp(name, folder, size) == 0;
}

/* The disk keeps one of the two references. */
static struct sim_pending *add_pending(struct simdisk *disk, enum sim_change change, size_t file,
                                       uint64_t offset, strata_bytes data)
{
    struct sim_pending *pending = sim_allocate(sizeof(*pending) + data.size);
    *pending = (struct sim_pending){
        .references = 1, .change = change, .file = file, .offset = offset, .size = data.size};
    if (data.size > 0)
        memcpy(pending->data, data.data, data.size);
    sim_pendings_add(&disk->pending, pending);
    return pending;
}

static void keep_written(struct simdisk *disk, struct sim_pending *pending)
{
    if (disk->written.count == SIM_WRITTEN_KEPT) {
        sim_pending_drop(disk->written.at[0]);
        memmove(disk->written.at, disk->written.at + 1,
                (SIM_WRITTEN_KEPT - 1) * sizeof(disk->written.at[0]));
        disk->written.count--;
    }
    pending->references++;
    sim_pendings_add(&disk->written, pending);
}

static void note_operation(struct simdisk *disk, const struct sim_operation *operation,
                           const void *data)
{
    const uint64_t fields[3] = {operation->kind, operation->offset, operation->size};
    for (size_t i = 0; i < 3; i++)
        disk->hash = sim_mix(disk->hash ^ fields[i]) + 0x9e3779b97f4a7c15u;
    disk->hash = sim_hash(operation->name, strlen(operation->name), disk->hash);
    if (data != NULL)
        disk->hash = sim_hash(data, (size_t)operation->size, disk->hash);
    if (!disk->recording)
        return;
    char line[300];
    const int size =
        snprintf(line, sizeof(line), "%s %s %llu %llu\n", kind_names[operation->kind],
                 operation->name[0] == '\0' ? "." : operation->name,
                 (unsigned long long)operation->offset, (unsigned long long)operation->size);
    if (disk->record_size + (size_t)size + 1 > disk->record_capacity) {
        disk->record_capacity = (disk->record_size + (size_t)size + 1) * 2;
        disk->record = sim_grow(disk->record, disk->record_capacity);
    }
    memcpy(disk->record + disk->record_size, line, (size_t)size + 1);
    disk->record_size += (size_t)size;
}

/* Numbers an operation and says whether it goes ahead: STRATA_EFFECT_DONE, or how it fails. */
static int begin_operation(struct simdisk *disk, enum sim_kind kind, const char *name,
                           uint64_t offset, strata_bytes data, int *error_out)
{
    const struct sim_operation operation = {.kind = kind,
                                            .number = ++disk->operations,
                                            .name = name,
                                            .offset = offset,
                                            .size = data.size};
    *error_out = 0;
    sim_rings_note(&disk->files);
    if (disk->dead) {
        *error_out = EIO;
        return STRATA_EFFECT_NONE;
    }
    note_operation(disk, &operation, data.data);
    const uint32_t changing = 1u << SIM_CREATE | 1u << SIM_APPEND | 1u << SIM_SYNC |
                              1u << SIM_SYNC_NAMES | 1u << SIM_REMOVE | 1u << SIM_RING;
    if (disk->before != NULL && (changing >> kind & 1u) != 0)
        disk->before(disk->before_context, disk, &operation);
    const struct sim_fault *fault = &disk->fault;
    const bool due =
        fault->operation != 0 && (operation.number == fault->operation ||
                                  (fault->forever && operation.number > fault->operation));
    if (!due || (fault->kinds != 0 && (fault->kinds >> kind & 1u) == 0))
        return STRATA_EFFECT_DONE;
    disk->failures++;
    *error_out = fault->error;
    return fault->effect;
}

static bool coin(struct simdisk *disk)
{
    return (sim_random(&disk->fault.seed) & 1u) != 0;
}

static bool exceeds_limit(struct simdisk *disk, uint64_t growth)
{
    return disk->limit != 0 && growth > 0 && simdisk_used(disk) + growth > disk->limit;
}

/* ---- operations ------------------------------------------------------------------------------ */

static void check_new_name(struct simdisk *disk, const char *name)
{
    const size_t size = strlen(name);
    if (size == 0 || size > 200 || strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz/.-") != size)
        misuse(disk, "create with a bad name", name);
    for (size_t i = 0; i < disk->files.count; i++) {
        const struct sim_file *file = &disk->files.at[i];
        if (!file->named && file->published && strcmp(file->name->text, name) == 0)
            misuse(disk, "create of a name that was removed", name);
    }
}

static size_t add_file(struct simdisk *disk, const char *name, uint64_t reserve_bytes)
{
    struct sim_file *file = sim_files_add(&disk->files, sim_name_create(name));
    file->live = sim_content_create();
    file->durable = sim_content_create();
    file->named = true;
    const size_t index = disk->files.count - 1;
    add_pending(disk, SIM_NAMED, index, 0, strata_view(NULL, 0));
    if (reserve_bytes > 0) {
        sim_content_extend(&file->live, reserve_bytes);
        add_pending(disk, SIM_RESERVE, index, 0, strata_view(NULL, 0))->size = reserve_bytes;
    }
    disk->rooted = true;
    return index;
}

static strata_object *open_handle(size_t file, bool writable)
{
    strata_object *object = sim_allocate(sizeof(*object));
    *object = (strata_object){.file = file, .writable = writable};
    return object;
}

static int sim_create(void *context, const char *name, uint64_t reserve_bytes, strata_object **out,
                      int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    int effect =
        begin_operation(disk, SIM_CREATE, name, reserve_bytes, strata_view(NULL, 0), error_out);
    if (effect == STRATA_EFFECT_UNKNOWN && find_named(disk, name) == NULL && coin(disk))
        add_file(disk, name, coin(disk) ? reserve_bytes : 0);
    if (effect == STRATA_EFFECT_DONE && find_named(disk, name) != NULL) {
        effect = STRATA_EFFECT_TAKEN;
        *error_out = EEXIST;
    }
    if (effect == STRATA_EFFECT_DONE && exceeds_limit(disk, reserve_bytes)) {
        effect = STRATA_EFFECT_NONE;
        *error_out = ENOSPC;
        disk->failures++;
    }
    if (effect == STRATA_EFFECT_DONE) {
        check_new_name(disk, name);
        *out = open_handle(add_file(disk, name, reserve_bytes), true);
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static int sim_open(void *context, const char *name, strata_object **out, uint64_t *size_out,
                    int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    int effect = begin_operation(disk, SIM_OPEN, name, 0, strata_view(NULL, 0), error_out);
    const struct sim_file *file = find_named(disk, name);
    if (effect == STRATA_EFFECT_DONE && file == NULL) {
        effect = STRATA_EFFECT_MISSING;
        *error_out = ENOENT;
    }
    if (effect == STRATA_EFFECT_DONE) {
        *size_out = sim_content_size(file->live);
        *out = open_handle((size_t)(file - disk->files.at), false);
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static void sim_close(void *context, strata_object *object)
{
    (void)context;
    free(object);
}

static int sim_read(void *context, strata_object *object, uint64_t offset, strata_buffer *out,
                    int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    const char *name = disk->files.at[object->file].name->text;
    const int effect =
        begin_operation(disk, SIM_READ, name, offset, strata_view(NULL, out->capacity), error_out);
    if (effect == STRATA_EFFECT_DONE) {
        const struct sim_content *live = disk->files.at[object->file].live;
        out->size = sim_content_read(live, offset, out->data, out->capacity);
        out->total = sim_content_size(live);
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

/* Writes the first `size` bytes of `data`: all of it, but for a failing append. */
static void write_through(struct simdisk *disk, size_t index, uint64_t offset, strata_bytes data,
                          size_t size)
{
    if (size == 0)
        return;
    struct sim_file *file = &disk->files.at[index];
    sim_content_write(&file->live, offset, data.data, size);
    keep_written(disk, add_pending(disk, SIM_WRITE, index, offset, strata_view(data.data, size)));
    if (disk->misuse[0] == '\0' && file->append_end != offset)
        misuse(disk, "append elsewhere than at the end", file->name->text);
    file->append_end = offset + size;
}

static int sim_append(void *context, strata_object *object, uint64_t offset, strata_bytes data,
                      int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    const char *name = disk->files.at[object->file].name->text;
    int effect = begin_operation(disk, SIM_APPEND, name, offset, data, error_out);
    const struct sim_file *file = &disk->files.at[object->file];
    if (!object->writable)
        misuse(disk, "append to an object opened for reading", name);
    if (file->sealed)
        misuse(disk, "append after a failed sync", name);
    const uint64_t size = sim_content_size(file->live);
    const uint64_t growth = offset + data.size > size ? offset + data.size - size : 0;
    if (effect == STRATA_EFFECT_DONE && exceeds_limit(disk, growth)) {
        effect = STRATA_EFFECT_UNKNOWN;
        *error_out = ENOSPC;
        disk->failures++;
        const uint64_t used = simdisk_used(disk);
        const uint64_t room = used < disk->limit ? disk->limit - used : 0;
        write_through(disk, object->file, offset, data,
                      (size_t)(room + data.size - growth < data.size ? room + data.size - growth
                                                                     : data.size));
    } else if (effect == STRATA_EFFECT_UNKNOWN) {
        write_through(disk, object->file, offset, data,
                      (size_t)sim_below(&disk->fault.seed, data.size + 1));
    } else if (effect == STRATA_EFFECT_DONE) {
        write_through(disk, object->file, offset, data, data.size);
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static void make_durable(struct sim_file *file, const struct sim_pending *pending)
{
    if (pending->change == SIM_WRITE)
        sim_content_write(&file->durable, pending->offset, pending->data, (size_t)pending->size);
    else
        sim_content_extend(&file->durable, pending->size);
}

/* Makes the pending writes of one object durable; if the sync fails, some of them, and the others
 * never. */
static void settle_writes(struct simdisk *disk, size_t index, bool failing)
{
    size_t kept = 0;
    struct sim_file *file = &disk->files.at[index];
    for (size_t i = 0; i < disk->pending.count; i++) {
        struct sim_pending *pending = disk->pending.at[i];
        const bool concerned = pending->file == index &&
                               (pending->change == SIM_WRITE || pending->change == SIM_RESERVE);
        if (concerned && failing && !coin(disk))
            pending->doomed = true;
        if (!concerned || pending->doomed) {
            disk->pending.at[kept++] = pending;
            continue;
        }
        make_durable(file, pending);
        sim_pending_drop(pending);
    }
    disk->pending.count = kept;
}

static int sim_sync(void *context, strata_object *object, int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    struct sim_file *file = &disk->files.at[object->file];
    const int effect =
        begin_operation(disk, SIM_SYNC, file->name->text, 0, strata_view(NULL, 0), error_out);
    if (file->sealed)
        misuse(disk, "sync after a failed sync", file->name->text);
    if (effect == STRATA_EFFECT_DONE) {
        settle_writes(disk, object->file, false);
    } else {
        file->sealed = true;
        settle_writes(disk, object->file, true);
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

/* A removal became durable: its pending writes matter no more, and of old bytes only some are
 * kept. */
static void retire(struct simdisk *disk, size_t index)
{
    disk->files.at[index].named_durable = false;
    disk->files.at[index].retired = true;
    size_t kept = 0;
    for (size_t i = 0; i < disk->pending.count; i++) {
        if (disk->pending.at[i]->file == index)
            sim_pending_drop(disk->pending.at[i]);
        else
            disk->pending.at[kept++] = disk->pending.at[i];
    }
    disk->pending.count = kept;
    size_t graves = 0;
    for (size_t i = disk->files.count; i-- > 0;) {
        struct sim_file *file = &disk->files.at[i];
        if (!file->retired || ++graves <= GRAVES)
            continue;
        sim_content_drop(file->durable);
        file->durable = sim_content_create();
    }
}

static void settle_names(struct simdisk *disk, const char *folder, bool failing)
{
    size_t kept = 0;
    size_t retiring = 0;
    size_t *retired = sim_allocate((disk->pending.count + 1) * sizeof(*retired));
    for (size_t i = 0; i < disk->pending.count; i++) {
        struct sim_pending *pending = disk->pending.at[i];
        struct sim_file *file = &disk->files.at[pending->file];
        const bool concerned = (pending->change == SIM_NAMED || pending->change == SIM_UNNAMED) &&
                               in_folder(file->name->text, folder);
        if (!concerned || (failing && !coin(disk))) {
            disk->pending.at[kept++] = pending;
            continue;
        }
        if (file->ring != NULL) {
            file->named_durable = pending->change == SIM_NAMED;
            sim_pending_drop(pending);
            continue;
        }
        if (pending->change == SIM_NAMED) {
            file->named_durable = true;
            file->published = file->named && !failing;
        }
        if (pending->change == SIM_UNNAMED)
            retired[retiring++] = pending->file;
        sim_pending_drop(pending);
    }
    disk->pending.count = kept;
    for (size_t i = 0; i < retiring; i++)
        retire(disk, retired[i]);
    free(retired);
}

static int sim_sync_names(void *context, const char *folder, int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    const int effect =
        begin_operation(disk, SIM_SYNC_NAMES, folder, 0, strata_view(NULL, 0), error_out);
    if (effect != STRATA_EFFECT_NONE)
        settle_names(disk, folder, effect == STRATA_EFFECT_UNKNOWN);
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static int sim_remove(void *context, const char *name, int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    int effect = begin_operation(disk, SIM_REMOVE, name, 0, strata_view(NULL, 0), error_out);
    struct sim_file *file = find_named(disk, name);
    if (effect == STRATA_EFFECT_DONE && file == NULL) {
        effect = STRATA_EFFECT_MISSING;
        *error_out = ENOENT;
    }
    if (file != NULL &&
        (effect == STRATA_EFFECT_DONE || (effect == STRATA_EFFECT_UNKNOWN && coin(disk)))) {
        file->named = false;
        add_pending(disk, SIM_UNNAMED, (size_t)(file - disk->files.at), 0, strata_view(NULL, 0));
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static int sim_list(void *context, const char *folder,
                    int (*found)(void *found_context, const char *name, uint64_t object_size),
                    void *found_context, int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    const int effect = begin_operation(disk, SIM_LIST, folder, 0, strata_view(NULL, 0), error_out);
    struct sim_files files;
    sim_files_share(&files, &disk->files);
    pthread_mutex_unlock(&disk->mutex);
    for (size_t i = 0; i < files.count && effect == STRATA_EFFECT_DONE; i++) {
        const struct sim_file *file = &files.at[i];
        if (file->named && in_folder(file->name->text, folder) &&
            found(found_context, file->name->text, sim_content_size(file->live)) != 0)
            break;
    }
    pthread_mutex_lock(&disk->mutex);
    sim_files_release(&files);
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static int sim_lock(void *context, int exclusive, strata_bytes owner, strata_buffer *holder_out,
                    int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    int effect = begin_operation(disk, SIM_LOCK, exclusive ? "exclusive" : "shared", 0,
                                 strata_view(NULL, 0), error_out);
    if (effect == STRATA_EFFECT_DONE && !exclusive && !disk->rooted)
        effect = STRATA_EFFECT_MISSING;
    if (effect == STRATA_EFFECT_DONE && (disk->exclusive || (exclusive && disk->sharers > 0))) {
        effect = STRATA_EFFECT_TAKEN;
        const size_t size = strlen(disk->owner);
        holder_out->size = size < holder_out->capacity ? size : holder_out->capacity;
        holder_out->total = size;
        memcpy(holder_out->data, disk->owner, holder_out->size);
    }
    if (effect == STRATA_EFFECT_DONE) {
        if (owner.size > 128)
            misuse(disk, "lock with an owner of more than 128 bytes", "lock");
        const size_t size = owner.size < 128 ? owner.size : 128;
        if (size > 0)
            memcpy(disk->owner, owner.data, size);
        disk->owner[size] = '\0';
        disk->exclusive = exclusive != 0;
        disk->sharers += exclusive ? 0 : 1;
        disk->rooted = true;
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

static void sim_unlock(void *context)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    if (!disk->exclusive && disk->sharers == 0)
        misuse(disk, "unlock without a lock", "lock");
    if (disk->exclusive)
        disk->exclusive = false;
    else if (disk->sharers > 0)
        disk->sharers--;
    pthread_mutex_unlock(&disk->mutex);
}

/* The file of that name that is or was a ring. */
static struct sim_file *find_ring(struct simdisk *disk, const char *name)
{
    for (size_t i = 0; i < disk->files.count; i++) {
        if (disk->files.at[i].ring != NULL && strcmp(disk->files.at[i].name->text, name) == 0)
            return &disk->files.at[i];
    }
    return NULL;
}

/* A new ring is of zeros; one that is there keeps its bytes. */
static struct sim_file *name_ring(struct simdisk *disk, const char *name, uint64_t size)
{
    struct sim_file *file = find_ring(disk, name);
    if (file == NULL) {
        const size_t index = add_file(disk, name, 0);
        file = &disk->files.at[index];
        sim_content_extend(&file->live, size);
        file->ring = sim_allocate((size_t)size);
        memset(file->ring, 0, (size_t)size);
    } else if (!file->named) {
        memset(file->ring, 0, (size_t)sim_content_size(file->live));
        file->named = true;
        add_pending(disk, SIM_NAMED, (size_t)(file - disk->files.at), 0, strata_view(NULL, 0));
    }
    return file;
}

static int sim_ring(void *context, const char *name, uint64_t size, strata_object **out,
                    void **bytes_out, uint64_t *size_out, int *error_out)
{
    struct simdisk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    int effect = begin_operation(disk, SIM_RING, name, size, strata_view(NULL, 0), error_out);
    const struct sim_file *present = find_named(disk, name);
    const uint64_t given = size < disk->ring_bytes ? size : disk->ring_bytes;
    if (effect == STRATA_EFFECT_DONE && present == NULL && exceeds_limit(disk, given)) {
        effect = STRATA_EFFECT_NONE;
        *error_out = ENOSPC;
        disk->failures++;
    }
    if (effect == STRATA_EFFECT_DONE) {
        struct sim_file *file = name_ring(disk, name, given);
        *out = open_handle((size_t)(file - disk->files.at), false);
        *bytes_out = file->ring;
        *size_out = sim_content_size(file->live);
    }
    pthread_mutex_unlock(&disk->mutex);
    return effect;
}

/* ---- life and control ------------------------------------------------------------------------ */

struct simdisk *simdisk_create(void)
{
    struct simdisk *disk = sim_allocate(sizeof(*disk));
    *disk = (struct simdisk){0};
    disk->backend = (strata_backend){.size = sizeof(disk->backend),
                                     .context = disk,
                                     .create = sim_create,
                                     .open = sim_open,
                                     .close = sim_close,
                                     .read = sim_read,
                                     .append = sim_append,
                                     .sync = sim_sync,
                                     .sync_names = sim_sync_names,
                                     .remove = sim_remove,
                                     .list = sim_list,
                                     .lock = sim_lock,
                                     .unlock = sim_unlock};
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&disk->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return disk;
}

void simdisk_destroy(struct simdisk *disk)
{
    if (disk == NULL)
        return;
    sim_pendings_release(&disk->pending);
    sim_pendings_release(&disk->written);
    for (size_t i = 0; i < disk->files.count; i++)
        free(disk->files.at[i].ring);
    sim_files_release(&disk->files);
    pthread_mutex_destroy(&disk->mutex);
    free(disk->record);
    free(disk);
}

const strata_backend *simdisk_backend(struct simdisk *disk)
{
    return &disk->backend;
}

void simdisk_give_ring(struct simdisk *disk, uint64_t bytes)
{
    disk->ring_bytes = bytes;
    disk->backend.ring = bytes > 0 ? sim_ring : NULL;
}

uint64_t simdisk_operations(const struct simdisk *disk)
{
    return disk->operations;
}

uint64_t simdisk_operation_hash(const struct simdisk *disk)
{
    return disk->hash;
}

void simdisk_record(struct simdisk *disk)
{
    disk->recording = true;
}

const char *simdisk_recording(const struct simdisk *disk)
{
    return disk->record == NULL ? "" : disk->record;
}

void simdisk_watch(struct simdisk *disk,
                   void (*before)(void *context, struct simdisk *disk,
                                  const struct sim_operation *operation),
                   void *context)
{
    disk->before = before;
    disk->before_context = context;
}

const char *simdisk_misuse(const struct simdisk *disk)
{
    return disk->misuse;
}

void simdisk_fail(struct simdisk *disk, struct sim_fault fault)
{
    disk->fault = fault;
}

uint64_t simdisk_failures(const struct simdisk *disk)
{
    return disk->failures;
}

void simdisk_limit(struct simdisk *disk, uint64_t bytes)
{
    disk->limit = bytes;
}

uint64_t simdisk_used(const struct simdisk *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < disk->files.count; i++)
        used += disk->files.at[i].named ? sim_content_size(disk->files.at[i].live) : 0;
    return used;
}

void simdisk_power_off(struct simdisk *disk)
{
    disk->dead = true;
}

void simdisk_each(struct simdisk *disk,
                  void (*found)(void *context, const char *name, uint64_t size), void *context)
{
    for (size_t i = 0; i < disk->files.count; i++) {
        const struct sim_file *file = &disk->files.at[i];
        if (file->named)
            found(context, file->name->text, sim_content_size(file->live));
    }
}

bool simdisk_peek(struct simdisk *disk, const char *name, uint64_t offset, void *to, size_t size)
{
    const struct sim_file *file = find_named(disk, name);
    return file != NULL && sim_content_read(file->live, offset, to, size) == size;
}

bool simdisk_poke(struct simdisk *disk, const char *name, uint64_t offset, const void *from,
                  size_t size)
{
    struct sim_file *file = find_named(disk, name);
    if (file == NULL || offset + size > sim_content_size(file->live))
        return false;
    sim_content_write(&file->live, offset, from, size);
    if (file->ring != NULL)
        memcpy(file->ring + offset, from, size);
    if (offset + size <= sim_content_size(file->durable))
        sim_content_write(&file->durable, offset, from, size);
    return true;
}

bool simdisk_shorten(struct simdisk *disk, const char *name, uint64_t size)
{
    struct sim_file *file = find_named(disk, name);
    if (file == NULL || size > sim_content_size(file->live))
        return false;
    unsigned char *bytes = sim_allocate((size_t)size);
    const size_t kept = sim_content_read(file->live, 0, bytes, (size_t)size);
    struct sim_content *content = sim_content_create();
    sim_content_write(&content, 0, bytes, kept);
    free(bytes);
    sim_content_drop(file->live);
    sim_content_drop(file->durable);
    free(file->ring); /* What is cut off is no ring any more. */
    file->ring = NULL;
    file->live = content;
    file->durable = sim_content_share(content);
    return true;
}

bool simdisk_vanish(struct simdisk *disk, const char *name)
{
    struct sim_file *file = find_named(disk, name);
    if (file == NULL)
        return false;
    file->named = false;
    file->named_durable = false;
    return true;
}
