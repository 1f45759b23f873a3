#include "table/part_reader.h"

#include "core/memory.h"
#include "layout/key.h"
#include "layout/names.h"

#include <assert.h>
#include <inttypes.h>

enum { PART_FRAME_BYTES_MAX = STORAGE_KEY_SIZE_MAX + INLINE_VALUE_SIZE_MAX + 256 };
static_assert((int)PART_FRAME_BYTES_MAX >= (int)FRAME_BYTES_MAX,
              "no frame is larger than one of a single row");
static_assert(BUCKETS_OFFSET % CACHED_FRAME_ALIGNMENT == 0, "a bucket is one cache line");

static void part_assert_sound(const struct part *part)
{
    assert(part->store != NULL);
    assert(atomic_load_explicit(&part->references, memory_order_relaxed) > 0);
    (void)part;
}

/* A copy of `size` bytes; NULL for none, and when out of memory. */
static void *part_copy(const strata_allocator *allocator, const void *from, size_t size)
{
    assert(from != NULL || size == 0);
    void *copy = size > 0 ? allocate(allocator, size) : NULL;
    if (copy != NULL)
        memcpy(copy, from, size);
    return copy;
}

static void part_free(struct part *part)
{
    assert(atomic_load_explicit(&part->references, memory_order_relaxed) <= 1);
    const strata_allocator *allocator = part->store->allocator;
    const struct manifest_part *info = &part->info;
    frame_map_release(&part->frames, part->store->cache);
    object_close(&part->object);
    mutex_destroy(&part->open_lock);
    release(allocator, part->first_key, info->first_key.length);
    release(allocator, part->artifacts, info->artifact_count * sizeof(part->artifacts[0]));
    release(allocator, part, sizeof(*part));
}

strata_status part_create(struct part_store *store, const struct manifest_part *info,
                          struct part **out)
{
    assert(store->allocator != NULL);
    assert(info->unit_size >= FRAME_UNIT_SIZE_MIN);

    struct part *part = allocate_zeroed(store->allocator, sizeof(*part));
    if (part == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a part");
    part->store = store;
    part->info = *info;
    part->identity.incarnation = info->incarnation;
    memcpy(part->identity.uuid, store->uuid, UUID_SIZE);
    layout_table_name(info->number, part->name);
    mutex_init(&part->open_lock);
    atomic_init(&part->references, 1);

    const size_t artifacts_size = info->artifact_count * sizeof(part->artifacts[0]);
    part->first_key = part_copy(store->allocator, info->first_key.data, info->first_key.length);
    part->artifacts = part_copy(store->allocator, info->artifacts, artifacts_size);
    part->info.first_key.data = part->first_key;
    part->info.artifacts = part->artifacts;
    if ((part->first_key == NULL && info->first_key.length > 0) ||
        (part->artifacts == NULL && artifacts_size > 0)) {
        part_free(part);
        return failure(STRATA_NO_MEMORY, "no memory for a part");
    }
    part_assert_sound(part);
    *out = part;
    return STRATA_OK;
}

void part_acquire(struct part *part)
{
    part_assert_sound(part);
    atomic_fetch_add_explicit(&part->references, 1, memory_order_relaxed);
}

void part_drop(struct part *part)
{
    part_assert_sound(part);
    if (atomic_fetch_sub_explicit(&part->references, 1, memory_order_acq_rel) == 1)
        part_free(part);
}

strata_status part_fault(const struct part *part, uint32_t unit, strata_status status)
{
    assert(part->info.unit_size > 0);
    const uint64_t offset = (uint64_t)unit * part->info.unit_size;
    if (status != STRATA_CORRUPT && status != STRATA_UNSUPPORTED)
        return status;
    return failure_at(status, part->name, offset, "%s, at byte %" PRIu64 ": %s", part->name, offset,
                      strata_error_message());
}

static uint64_t part_seed(const struct part *part, uint32_t unit)
{
    assert(part->info.unit_size > 0);
    return place_seed(&part->identity, FAMILY_TABLE, part->info.number,
                      (uint64_t)unit * part->info.unit_size);
}

strata_status part_read_footer(struct part *part, struct buffer *bytes, struct part_footer *out)
{
    assert(part->object.handle != NULL);
    assert(part->info.units > 0);
    const uint32_t unit_size = part->info.unit_size;
    const uint32_t unit = (uint32_t)(part->info.units - 1);
    uint8_t *to;
    TRY(buffer_extend(bytes, unit_size, &to));
    TRY(object_read(&part->object, (uint64_t)unit * unit_size, to, unit_size));

    struct frame frame;
    strata_status status =
        frame_open(bytes_of(to, unit_size), unit_size, part_seed(part, unit), &frame);
    if (status == STRATA_OK && frame.kind != FRAME_FOOTER)
        status = failure(STRATA_CORRUPT, "there is a frame of kind %u in place of the footer",
                         (unsigned)frame.kind);
    if (status != STRATA_OK)
        return part_fault(part, unit, status);
    const struct bytes content = bytes_of(to + FRAME_HEADER_SIZE, frame.used - FRAME_HEADER_SIZE);
    return part_fault(part, unit, part_footer_decode(content, out));
}

/* Whether the footer says what the manifest says. */
static strata_status part_footer_matches(const struct part *part, const struct part_footer *footer)
{
    assert(footer->units > 0);
    const struct manifest_part *info = &part->info;
    if (footer->number != info->number || footer->units != info->units ||
        footer->unit_size != info->unit_size)
        return failure(STRATA_CORRUPT, "the footer is of part %" PRIu64 " of %" PRIu64 " units",
                       footer->number, footer->units);
    if (footer->rows != info->rows || footer->bytes != info->bytes)
        return failure(STRATA_CORRUPT,
                       "the footer counts %" PRIu64 " rows of %" PRIu64 " bytes, the manifest "
                       "%" PRIu64 " of %" PRIu64,
                       footer->rows, footer->bytes, info->rows, info->bytes);
    if (footer->min_from != info->min_from || footer->max_from != info->max_from ||
        footer->max_to != info->max_to)
        return failure(STRATA_CORRUPT, "footer and manifest differ about the versions in it");
    return STRATA_OK;
}

/* The units of most leaves, roughly: a root lies behind all of them, but where it is the only one. */
static uint32_t part_average_leaf(const struct part *part)
{
    assert(part->leaf_count > 0);
    const uint64_t end = part->rows_root > 0 ? part->rows_root : part->directory_root;
    const uint64_t units = (end + part->leaf_count / 2) / part->leaf_count;
    const uint64_t units_max = FRAME_BYTES_MAX / part->info.unit_size;
    return (uint32_t)(units == 0 ? 1 : units < units_max ? units : units_max);
}

/* What the heads of a leaf take, on average. */
static size_t part_average_heads(const struct part *part)
{
    assert(part->leaf_count > 0);
    const uint64_t rows = part->info.rows / part->leaf_count;
    return frame_heads_size(FRAME_ROWS, rows < FRAME_ROWS_MAX ? (size_t)rows : FRAME_ROWS_MAX);
}

/* Takes over what the footer says. */
static strata_status part_use_footer(struct part *part, const struct part_footer *footer)
{
    assert(atomic_load_explicit(&part->ready, memory_order_relaxed) == 0);
    TRY(part_footer_matches(part, footer));
    const struct part_section *rows = part_section_find(footer, SECTION_ROWS);
    const struct part_section *directory = part_section_find(footer, SECTION_DIRECTORY);
    const struct part_section *buckets = part_section_find(footer, SECTION_BUCKETS);
    if (rows == NULL || directory == NULL)
        return failure(STRATA_CORRUPT, "the footer lacks a section");
    part->role = footer->role;
    part->rows_root = rows->unit;
    part->leaf_count = rows->count;
    part->directory_root = directory->unit;
    part->slice_count = directory->count;
    part->leaf_end = (uint32_t)(footer->units - 1);
    if (buckets != NULL) {
        part->bucket_unit = buckets->unit;
        part->bucket_count = buckets->count;
        part->leaf_end = buckets->unit;
    }
    part->leaf_units = part_average_leaf(part);
    part->leaf_heads_size = (uint32_t)part_average_heads(part);
    return STRATA_OK;
}

/* Opens the object and fills in the part. Under the lock. */
static strata_status part_open(struct part *part)
{
    assert(part->object.handle == NULL);
    assert(part->store->backend != NULL);
    const struct manifest_part *info = &part->info;
    strata_status status = STRATA_OK;
    struct part_footer footer;
    struct buffer bytes;
    buffer_init(&bytes, part->store->allocator);

    status = object_open(part->store->backend, part->name, &part->object);
    if (status == STRATA_NOT_FOUND)
        status = failure_at(STRATA_CORRUPT, part->name, 0, "%s is missing", part->name);
    TRY_OUT(status);
    if (info->units == 0 || info->units > UINT32_MAX ||
        part->object.size != info->units * info->unit_size) {
        status = failure_at(STRATA_CORRUPT, part->name, 0,
                            "%s has %" PRIu64 " bytes, not %" PRIu64 " units of %" PRIu32,
                            part->name, part->object.size, info->units, info->unit_size);
        goto out;
    }
    TRY_OUT(part_read_footer(part, &bytes, &footer));
    TRY_OUT(part_fault(part, (uint32_t)(info->units - 1), part_use_footer(part, &footer)));
    TRY_OUT(frame_map_init(&part->frames, part->store->cache, info->units));

out:
    buffer_release(&bytes);
    if (status != STRATA_OK)
        object_close(&part->object);
    return status;
}

strata_status part_ready(struct part *part)
{
    part_assert_sound(part);
    if (atomic_load_explicit(&part->ready, memory_order_acquire) == 1)
        return STRATA_OK;

    strata_status status = STRATA_OK;
    mutex_lock(&part->open_lock);
    if (atomic_load_explicit(&part->ready, memory_order_relaxed) == 0)
        status = part_open(part);
    if (status == STRATA_OK)
        atomic_store_explicit(&part->ready, 1, memory_order_release);
    mutex_unlock(&part->open_lock);
    return status;
}

/* Reads `units` units at `unit`, of which `known`, if there is one, may have the first `known_units`
 * already. */
static strata_status part_read_units(const struct part *part, uint32_t unit, uint32_t units,
                                     struct cached_frame *known, uint32_t known_units,
                                     struct cached_frame **out)
{
    assert(units > 0);
    assert(known != NULL || known_units == 0);
    const size_t unit_size = part->info.unit_size;
    const size_t size = units * unit_size;
    struct cached_frame *frame =
        cached_frame_create(part->store->allocator, part->info.number, unit, size);
    if (frame == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a frame of %zu bytes", size);
    uint8_t *to = cached_frame_bytes(frame);
    const size_t copied = known_units < units ? known_units * unit_size : size;
    if (copied > 0)
        memcpy(to, cached_frame_bytes(known), copied);
    strata_status status = STRATA_OK;
    if (copied < size)
        status = object_read(&part->object, unit * (uint64_t)unit_size + copied, to + copied,
                             size - copied);
    if (status != STRATA_OK) {
        cached_frame_free(part->store->allocator, frame);
        return status;
    }
    *out = frame;
    return STRATA_OK;
}

/* How many units to read of the frame at `unit`, before it says itself. */
static uint32_t part_guess_units(const struct part *part, uint32_t unit)
{
    assert(part->leaf_units > 0);
    if (unit >= part->leaf_end)
        return 1;
    const uint32_t left = part->leaf_end - unit;
    return left < part->leaf_units ? left : part->leaf_units;
}

/* Checks the number of units that the frame whose beginning is in `first` says it has. */
static strata_status part_frame_units(const struct part *part, struct cached_frame *first,
                                      uint32_t *out)
{
    assert(first->unit < part->info.units);
    const uint32_t unit_size = part->info.unit_size;
    const uint32_t units = frame_units_claimed(cached_frame_bytes(first));
    if (units > PART_FRAME_BYTES_MAX / unit_size + 1 || units > part->info.units - first->unit)
        return failure(STRATA_CORRUPT, "the frame says that it has %" PRIu32 " units", units);
    *out = units;
    return STRATA_OK;
}

strata_status part_read_frame(struct part *part, uint32_t unit, struct cached_frame **out)
{
    TRY(part_ready(part));
    if (unit >= part->info.units)
        return failure_at(STRATA_CORRUPT, part->name, 0,
                          "%s of %" PRIu64 " units refers to unit %" PRIu32, part->name,
                          part->info.units, unit);

    strata_status status = STRATA_OK;
    const uint32_t guess = part_guess_units(part, unit);
    uint32_t units = guess;
    struct cached_frame *first = NULL, *frame = NULL;
    TRY_OUT(part_read_units(part, unit, guess, NULL, 0, &frame));
    TRY_OUT(part_fault(part, unit, part_frame_units(part, frame, &units)));
    if (units != guess) {
        first = frame;
        frame = NULL;
        TRY_OUT(part_read_units(part, unit, units, first, guess, &frame));
    }
    const size_t unit_size = part->info.unit_size;
    const struct bytes bytes = bytes_of(cached_frame_bytes(frame), units * unit_size);
    status = frame_open(bytes, unit_size, part_seed(part, unit), &frame->frame);
    TRY_OUT(part_fault(part, unit, status));
    *out = frame;
    frame = NULL;

out:
    cached_frame_free(part->store->allocator, first);
    cached_frame_free(part->store->allocator, frame);
    return status;
}

strata_status part_values(struct part *part,
                          strata_status (*visit)(void *context, uint64_t object,
                                                 uint64_t live_bytes),
                          void *context)
{
    assert(visit != NULL);
    TRY(part_ready(part));

    strata_status status = STRATA_OK;
    struct part_footer footer;
    struct buffer bytes;
    buffer_init(&bytes, part->store->allocator);
    TRY_OUT(part_read_footer(part, &bytes, &footer));
    struct bytes list = footer.value_list;
    for (;;) {
        bool found;
        uint64_t object, live_bytes;
        TRY_OUT(part_values_next(&list, &found, &object, &live_bytes));
        if (!found)
            break;
        TRY_OUT(visit(context, object, live_bytes));
    }

out:
    buffer_release(&bytes);
    return status;
}

strata_status part_derived_bytes(struct part *part, uint64_t *out)
{
    TRY(part_ready(part));
    const uint32_t per_unit = buckets_per_unit(part->info.unit_size);
    assert(per_unit > 0);
    *out = (part->bucket_count + per_unit - 1) / per_unit * part->info.unit_size;
    return STRATA_OK;
}
