#include "table/faulty_backend.h"

#include <errno.h>

/* Counts an operation; true if it is to fail. */
static bool faulty_step(struct faulty_backend *faulty, char letter, int *error_out)
{
    const uint64_t operation = atomic_fetch_add(&faulty->operations, 1) + 1;
    if (operation < sizeof(faulty->trace) && letter != 'r')
        faulty->trace[strlen(faulty->trace)] = letter;
    *error_out = EIO;
    return faulty->fail_at != 0 && operation >= faulty->fail_at;
}

static int faulty_create(void *context, const char *name, uint64_t reserve_bytes,
                         strata_object **out, int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 'c', error_out))
        return STRATA_EFFECT_NONE;
    return faulty->inner->create(faulty->inner->context, name, reserve_bytes, out, error_out);
}

static int faulty_open(void *context, const char *name, strata_object **out, uint64_t *size_out,
                       int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 'o', error_out))
        return STRATA_EFFECT_NONE;
    const int effect = faulty->inner->open(faulty->inner->context, name, out, size_out, error_out);
    if (effect == STRATA_EFFECT_DONE && faulty->cut_size != 0 && faulty->cut_size < *size_out)
        *size_out = faulty->cut_size;
    return effect;
}

static void faulty_close(void *context, strata_object *object)
{
    struct faulty_backend *faulty = context;
    faulty->inner->close(faulty->inner->context, object);
}

static int faulty_read(void *context, strata_object *object, uint64_t offset, strata_buffer *out,
                       int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 'r', error_out))
        return STRATA_EFFECT_NONE;
    if (faulty->on_read != NULL)
        faulty->on_read(faulty);
    const int effect = faulty->inner->read(faulty->inner->context, object, offset, out, error_out);
    if (effect != STRATA_EFFECT_DONE)
        return effect;
    if (faulty->cut_size != 0 && offset + out->size > faulty->cut_size)
        out->size = offset < faulty->cut_size ? (size_t)(faulty->cut_size - offset) : 0;
    if (faulty->flip_offset >= offset && faulty->flip_offset - offset < out->size)
        ((uint8_t *)out->data)[faulty->flip_offset - offset] ^= faulty->flip_mask;
    return effect;
}

static int faulty_append(void *context, strata_object *object, uint64_t offset, strata_bytes data,
                         int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 'a', error_out))
        return STRATA_EFFECT_UNKNOWN;
    return faulty->inner->append(faulty->inner->context, object, offset, data, error_out);
}

static int faulty_sync(void *context, strata_object *object, int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 's', error_out))
        return STRATA_EFFECT_UNKNOWN;
    return faulty->inner->sync(faulty->inner->context, object, error_out);
}

static int faulty_sync_names(void *context, const char *folder, int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 'n', error_out))
        return STRATA_EFFECT_UNKNOWN;
    return faulty->inner->sync_names(faulty->inner->context, folder, error_out);
}

static int faulty_remove(void *context, const char *name, int *error_out)
{
    struct faulty_backend *faulty = context;
    if (faulty_step(faulty, 'x', error_out))
        return STRATA_EFFECT_NONE;
    return faulty->inner->remove(faulty->inner->context, name, error_out);
}

void faulty_backend_init(struct faulty_backend *faulty, const strata_backend *inner)
{
    *faulty = (struct faulty_backend){.inner = inner, .backend = *inner};
    faulty->backend.context = faulty;
    faulty->backend.create = faulty_create;
    faulty->backend.open = faulty_open;
    faulty->backend.close = faulty_close;
    faulty->backend.read = faulty_read;
    faulty->backend.append = faulty_append;
    faulty->backend.sync = faulty_sync;
    faulty->backend.sync_names = faulty_sync_names;
    faulty->backend.remove = faulty_remove;
}
