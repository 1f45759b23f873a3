#include "table/part_reader.h"

#include "core/hash.h"
#include "core/memory.h"
#include "layout/key.h"
#include "layout/names.h"

#include <assert.h>
#include <inttypes.h>

enum {
    CACHED_FRAME_ALIGNMENT = 64, /* So that a bucket is one cache line. */
    PART_FRAME_BYTES_MAX = STORAGE_KEY_SIZE_MAX + INLINE_VALUE_SIZE_MAX + 256
};
static_assert((int)PART_FRAME_BYTES_MAX >= (int)FRAME_BYTES_MAX,
              "no frame is larger than one of a single row");
static_assert(BUCKETS_OFFSET % CACHED_FRAME_ALIGNMENT == 0, "buckets are aligned in a frame");

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

/* Where the bytes of a frame lie in its block. */
static uint8_t *cached_frame_bytes(struct cached_frame *frame)
{
    uint8_t *behind = (uint8_t *)(frame + 1);
    const size_t excess = (uintptr_t)behind % CACHED_FRAME_ALIGNMENT;
    return excess == 0 ? behind : behind + (CACHED_FRAME_ALIGNMENT - excess);
}

static struct cached_frame *cached_frame_create(const struct part *part, uint32_t unit,
                                                uint32_t units)
{
    assert(units > 0);
    const size_t size = sizeof(struct cached_frame) + CACHED_FRAME_ALIGNMENT - 1 +
                        (size_t)units * part->info.unit_size;
    struct cached_frame *frame = allocate(part->store->allocator, size);
    if (frame == NULL)
        return NULL;
    memset(frame, 0, sizeof(*frame));
    atomic_init(&frame->pins, 0);
    frame->part = part->info.number;
    frame->unit = unit;
    frame->size = (uint32_t)size;
    return frame;
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
    struct cached_frame *frame = cached_frame_create(part, unit, units);
    if (frame == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a frame of %zu bytes", units * unit_size);
    uint8_t *to = cached_frame_bytes(frame);
    const size_t size = units * unit_size;
    const size_t copied = known_units < units ? known_units * unit_size : size;
    if (copied > 0)
        memcpy(to, cached_frame_bytes(known), copied);
    strata_status status = STRATA_OK;
    if (copied < size)
        status = object_read(&part->object, unit * (uint64_t)unit_size + copied, to + copied,
                             size - copied);
    if (status != STRATA_OK) {
        release(part->store->allocator, frame, frame->size);
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
    if (first != NULL)
        release(part->store->allocator, first, first->size);
    if (frame != NULL)
        release(part->store->allocator, frame, frame->size);
    return status;
}

/* A row found, in the pinned frame. Nothing is found while `pin` is NULL. */
struct part_hit {
    struct cached_frame *pin;
    struct frame_row row;
};

static bool part_key_equals(const struct frame *frame, struct bytes suffix, struct bytes key)
{
    assert(frame->row_count > 0);
    return key.length == frame->prefix.length + suffix.length &&
           bytes_start_with(key, frame->prefix) &&
           bytes_equal(bytes_after(key, frame->prefix.length), suffix);
}

/* Looks where a bucket says that the newest row of `key` may lie. */
static strata_status part_try_place(struct part *part, uint32_t place, struct bytes key,
                                    struct part_hit *hit)
{
    assert(hit->pin == NULL);
    const uint32_t unit = row_place_unit(place);
    struct cached_frame *pin = NULL;
    struct frame_row row;
    strata_status status = STRATA_OK;
    TRY_OUT(cache_get(part->store->cache, part, unit, &pin));
    if (pin->frame.kind != FRAME_ROWS) {
        status =
            failure(STRATA_CORRUPT, "a bucket names unit %" PRIu32 ", which has no rows", unit);
        goto out;
    }
    status = frame_row_at_offset(&pin->frame, row_place_offset(place), &row);
    TRY_OUT(part_fault(part, unit, status));
    if (part_key_equals(&pin->frame, row.suffix, key)) {
        *hit = (struct part_hit){.pin = pin, .row = row};
        pin = NULL;
    }

out:
    cache_unpin(part->store->cache, pin);
    return status;
}

/* Tries what one bucket has; `*more` tells whether the next one has to be asked too. */
static strata_status part_try_bucket(struct part *part, uint64_t bucket, struct bytes key,
                                     uint64_t hash, struct part_hit *hit, bool *more)
{
    assert(bucket < part->bucket_count);
    assert(hit->pin == NULL);
    const uint32_t per_unit = buckets_per_unit(part->info.unit_size);
    const uint32_t unit = part->bucket_unit + (uint32_t)(bucket / per_unit);
    const size_t offset = BUCKETS_OFFSET + (size_t)(bucket % per_unit) * BUCKET_SIZE;
    struct cached_frame *pin = NULL;
    strata_status status = STRATA_OK;
    TRY_OUT(cache_get(part->store->cache, part, unit, &pin));
    if (pin->frame.kind != FRAME_BUCKETS || offset + BUCKET_SIZE > pin->frame.used) {
        status = failure(STRATA_CORRUPT, "bucket %" PRIu64 " is not there", bucket);
        goto out;
    }
    const uint8_t *bytes = pin->frame.bytes.data + offset;
    const uint32_t matches = bucket_match(bytes, hash);
    for (unsigned slot = 0; slot < BUCKET_SLOTS && hit->pin == NULL; slot++) {
        if ((matches >> slot & 1) != 0)
            TRY_OUT(part_try_place(part, bucket_place(bytes, slot), key, hit));
    }
    *more = hit->pin == NULL && bucket_overflows(bytes);

out:
    cache_unpin(part->store->cache, pin);
    return status;
}

static strata_status part_find_by_buckets(struct part *part, struct bytes key, uint64_t hash,
                                          struct part_hit *hit)
{
    assert(part->bucket_count > 0);
    assert(hit->pin == NULL);
    uint64_t bucket = bucket_of(hash, part->bucket_count);
    bool more = true;
    for (uint64_t tried = 0; more && tried < part->bucket_count; tried++) {
        assert(bucket < part->bucket_count);
        TRY(part_try_bucket(part, bucket, key, hash, hit, &more));
        bucket = bucket + 1 < part->bucket_count ? bucket + 1 : 0;
    }
    return STRATA_OK;
}

/* Finds the newest row of `key` with `from` <= cap through the index. */
static strata_status part_find_by_index(struct part *part, struct bytes key, uint64_t cap,
                                        struct part_hit *hit)
{
    assert(hit->pin == NULL);
    strata_status status = STRATA_OK;
    struct part_position position = part_position_of(part, FRAME_ROWS);
    TRY_OUT(part_position_seek(&position, key, cap));
    if (!part_position_valid(&position))
        goto out;
    struct frame_row row;
    TRY_OUT(part_position_row(&position, &row));
    if (part_key_equals(&position.pin->frame, row.suffix, key)) {
        *hit = (struct part_hit){.pin = position.pin, .row = row};
        position.pin = NULL;
    }

out:
    part_position_release(&position);
    return status;
}

/* Finds the newest row of `key`. Buckets are derived: where they are damaged, the index answers. */
static strata_status part_find_newest(struct part *part, struct bytes key, uint64_t hash,
                                      struct part_hit *hit)
{
    assert(hit->pin == NULL);
    if (part->bucket_count > 0) {
        const strata_status status = part_find_by_buckets(part, key, hash, hit);
        if (status != STRATA_CORRUPT && status != STRATA_UNSUPPORTED)
            return status;
        assert(hit->pin == NULL);
    }
    return part_find_by_index(part, key, UINT64_MAX, hit);
}

/* From the newest row of `key`, which is above `cap`, to the first one that is not; drops the hit if
 * there is none. Older rows lie behind it, mostly in the same frame. */
static strata_status part_find_older(struct part *part, struct bytes key, uint64_t cap,
                                     struct part_hit *hit)
{
    assert(hit->pin != NULL);
    assert(hit->row.from > cap);
    struct cached_frame *pin = hit->pin;
    const struct frame *frame = &pin->frame;
    hit->pin = NULL;
    strata_status status = STRATA_OK;
    unsigned index;
    struct frame_row row;
    TRY_OUT(part_fault(part, pin->unit, frame_lower_bound(frame, key, cap, &index)));
    if (index == frame->row_count) {
        status = part_find_by_index(part, key, cap, hit);
        goto out;
    }
    TRY_OUT(part_fault(part, pin->unit, frame_row_at(frame, index, &row)));
    if (part_key_equals(frame, row.suffix, key)) {
        *hit = (struct part_hit){.pin = pin, .row = row};
        pin = NULL;
    }

out:
    cache_unpin(part->store->cache, pin);
    return status;
}

strata_status part_find(struct part *part, struct bytes key, uint64_t hash, uint64_t cap,
                        bool *found, struct row *out, struct cached_frame **pin, bool *newer)
{
    assert(hash ==
           hash64_pair(bytes_of(key.data, KEY_PREFIX_SIZE), bytes_after(key, KEY_PREFIX_SIZE)));
    assert(key.length >= KEY_PREFIX_SIZE);
    TRY(part_ready(part));

    *found = false;
    struct part_hit hit = {.pin = NULL};
    TRY(part_find_newest(part, key, hash, &hit));
    if (hit.pin != NULL && hit.row.from > cap) {
        *newer = true;
        TRY(part_find_older(part, key, cap, &hit));
    }
    if (hit.pin == NULL)
        return STRATA_OK;
    *found = true;
    *pin = hit.pin;
    *out = (struct row){
        .key = key,
        .value = hit.row.value,
        .from = hit.row.from,
        .to = hit.row.to,
        .time_us = hit.row.time_us,
        .expires_us = hit.row.expires_us,
        .kind = hit.row.kind,
    };
    return STRATA_OK;
}

strata_status part_find_slice(struct part *part, struct bytes prefix, bool *found,
                              struct slice_entry *out)
{
    assert(prefix.length == KEY_PREFIX_SIZE);
    TRY(part_ready(part));

    *found = false;
    strata_status status = STRATA_OK;
    struct part_position position = part_position_of(part, FRAME_DIRECTORY);
    TRY_OUT(part_position_seek(&position, prefix, UINT64_MAX));
    if (!part_position_valid(&position))
        goto out;
    struct frame_row row;
    TRY_OUT(part_position_row(&position, &row));
    if (!part_key_equals(&position.pin->frame, row.suffix, prefix))
        goto out;
    TRY_OUT(part_fault(part, position.pin->unit, slice_entry_load(row.value, out)));
    *found = true;

out:
    part_position_release(&position);
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
