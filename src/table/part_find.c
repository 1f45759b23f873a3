#include "table/part_find.h"

#include "core/hash.h"
#include "core/prefetch.h"
#include "format/frame_row.h"
#include "layout/key.h"

#include <assert.h>
#include <inttypes.h>

static void found_row_check(const struct found_row *out)
{
    assert(!out->found || out->frame != NULL);
    assert(out->pin == NULL || out->pin == out->frame);
    (void)out;
}

static void found_row_fill(struct found_row *out, struct bytes key, const struct frame_row *row,
                           struct frame_loan loan)
{
    *out = (struct found_row){
        .found = true,
        .row = frame_row_whole(row, key),
        .pin = loan.pinned ? loan.frame : NULL,
        .frame = loan.frame,
    };
    found_row_check(out);
}

static inline bool part_key_equals(const struct frame *frame, struct bytes suffix, struct bytes key)
{
    assert(frame->row_count > 0);
    return key.length == frame->prefix.length + suffix.length &&
           bytes_start_with(key, frame->prefix) &&
           bytes_equal(bytes_after(key, frame->prefix.length), suffix);
}

/* Whether the buckets of a part, which is ready, are of use. */
static inline bool part_has_buckets(const struct part *part)
{
    return part->bucket_count > 0 && part->frames.pages != NULL &&
           !atomic_load_explicit(&part->by_index, memory_order_relaxed);
}

/* ---- as long as all is in memory ---- */

enum part_answer {
    PART_ABSENT,
    PART_FOUND,
    PART_UNSURE /* Something is not in memory, or not right. */
};

/* A bucket that is in memory, or NULL. */
static inline const uint8_t *part_bucket_at(struct part *part, uint64_t bucket)
{
    assert(bucket < part->bucket_count);
    const uint32_t per_unit = buckets_per_unit(part->info.unit_size);
    const uint32_t unit = part->bucket_unit + (uint32_t)(bucket / per_unit);
    const uintptr_t slot = frame_map_slot(&part->frames, unit);
    if ((slot & SLOT_BUCKETS) == 0)
        return NULL;
    if ((slot & SLOT_USED) == 0)
        frame_map_use(&part->frames, unit, slot);
    return cached_frame_bytes(slot_frame(slot)) + BUCKETS_OFFSET +
           (size_t)(bucket % per_unit) * BUCKET_SIZE;
}

static inline enum part_answer part_look_at_place(struct part *part, uint32_t place,
                                                  struct bytes key, struct found_row *out)
{
    const uint32_t unit = row_place_unit(place);
    const uintptr_t slot = frame_map_slot(&part->frames, unit);
    if ((slot & SLOT_ROWS) == 0)
        return PART_UNSURE;
    if ((slot & SLOT_USED) == 0)
        frame_map_use(&part->frames, unit, slot);
    struct cached_frame *cached = slot_frame(slot);
    const uint8_t *bytes = cached_frame_bytes(cached);
    for (unsigned line = 0; line < 3; line++)
        prefetch(bytes + row_place_offset(place) + (size_t)line * CACHE_LINE_BYTES);
    struct frame frame;
    frame_checked(bytes, &frame);
    struct frame_row row;
    if (!frame_take_row_at_offset(&frame, row_place_offset(place), &row))
        return PART_UNSURE;
    if (!part_key_equals(&frame, row.suffix, key))
        return PART_ABSENT;
    found_row_fill(out, key, &row, (struct frame_loan){.frame = cached});
    return PART_FOUND;
}

/* Looks through the buckets from that of `probe` on. */
static enum part_answer part_look(const struct part_probe *probe, struct bytes key, uint64_t hash,
                                  struct found_row *out)
{
    struct part *part = probe->part;
    const uint8_t *bytes = probe->bucket;
    uint64_t bucket = bucket_of(hash, part->bucket_count);
    for (uint64_t tried = 0; bytes != NULL && tried < part->bucket_count; tried++) {
        uint32_t matches = bucket_match(bytes, hash);
        for (unsigned slot = 0; matches != 0; slot++, matches >>= 1) {
            if ((matches & 1) == 0)
                continue;
            const enum part_answer answer =
                part_look_at_place(part, bucket_place(bytes, slot), key, out);
            if (answer != PART_ABSENT)
                return answer;
        }
        if (!bucket_overflows(bytes))
            return PART_ABSENT;
        bucket = bucket + 1 < part->bucket_count ? bucket + 1 : 0;
        bytes = part_bucket_at(part, bucket);
    }
    return PART_UNSURE;
}

void part_probe_begin(struct part_probe *probe, struct part *part, uint64_t hash)
{
    *probe = (struct part_probe){.part = part};
    if (atomic_load_explicit(&part->ready, memory_order_acquire) == 0 || !part_has_buckets(part))
        return;
    probe->bucket = part_bucket_at(part, bucket_of(hash, part->bucket_count));
    prefetch(probe->bucket);
}

void part_probe_row(const struct part_probe *probe, uint64_t hash)
{
    if (probe->bucket == NULL)
        return;
    const uint32_t matches = bucket_match(probe->bucket, hash);
    if (matches == 0)
        return;
    const uint32_t place = bucket_place(probe->bucket, (unsigned)__builtin_ctz(matches));
    const uintptr_t slot = frame_map_slot(&probe->part->frames, row_place_unit(place));
    if ((slot & SLOT_ROWS) == 0)
        return;
    const uint8_t *bytes = cached_frame_bytes(slot_frame(slot));
    prefetch(bytes);
    prefetch(bytes + CACHE_LINE_BYTES);
    prefetch(bytes + row_place_offset(place));
    prefetch(bytes + row_place_offset(place) + CACHE_LINE_BYTES);
}

/* ---- otherwise ---- */

/* Looks where a bucket says that the newest row of `key` may lie. */
static strata_status part_try_place(struct part *part, uint32_t place, struct bytes key,
                                    struct found_row *out)
{
    assert(!out->found);
    const uint32_t unit = row_place_unit(place);
    struct cache *cache = part->store->cache;
    struct frame_loan loan;
    struct frame_row row;
    TRY(cache_borrow(cache, part, unit, &loan));
    const struct frame *frame = &loan.frame->frame;
    strata_status status = STRATA_OK;
    if (frame->kind != FRAME_ROWS)
        status =
            failure(STRATA_CORRUPT, "a bucket names unit %" PRIu32 ", which has no rows", unit);
    else
        status = part_fault(part, unit, frame_row_at_offset(frame, row_place_offset(place), &row));
    if (status == STRATA_OK && part_key_equals(frame, row.suffix, key))
        found_row_fill(out, key, &row, loan);
    else
        cache_return(cache, loan);
    return status;
}

/* Tries what one bucket has; `*more` tells whether the next one has to be asked too. */
static strata_status part_try_bucket(struct part *part, uint64_t bucket, struct bytes key,
                                     uint64_t hash, struct found_row *out, bool *more)
{
    assert(bucket < part->bucket_count);
    assert(!out->found);
    const uint32_t per_unit = buckets_per_unit(part->info.unit_size);
    const uint32_t unit = part->bucket_unit + (uint32_t)(bucket / per_unit);
    const size_t offset = BUCKETS_OFFSET + (size_t)(bucket % per_unit) * BUCKET_SIZE;
    struct frame_loan loan;
    strata_status status = STRATA_OK;
    TRY(cache_borrow(part->store->cache, part, unit, &loan));
    const struct frame *frame = &loan.frame->frame;
    if (frame->kind != FRAME_BUCKETS || offset + BUCKET_SIZE > frame->used) {
        status = failure(STRATA_CORRUPT, "bucket %" PRIu64 " is not there", bucket);
        goto out;
    }
    const uint8_t *bytes = frame->bytes.data + offset;
    const uint32_t matches = bucket_match(bytes, hash);
    for (unsigned slot = 0; slot < BUCKET_SLOTS && !out->found; slot++) {
        if ((matches >> slot & 1) != 0)
            TRY_OUT(part_try_place(part, bucket_place(bytes, slot), key, out));
    }
    *more = !out->found && bucket_overflows(bytes);

out:
    cache_return(part->store->cache, loan);
    return status;
}

static strata_status part_find_by_buckets(struct part *part, struct bytes key, uint64_t hash,
                                          struct found_row *out)
{
    assert(part_has_buckets(part));
    assert(!out->found);
    uint64_t bucket = bucket_of(hash, part->bucket_count);
    bool more = true;
    for (uint64_t tried = 0; more && tried < part->bucket_count; tried++) {
        assert(bucket < part->bucket_count);
        TRY(part_try_bucket(part, bucket, key, hash, out, &more));
        bucket = bucket + 1 < part->bucket_count ? bucket + 1 : 0;
    }
    return STRATA_OK;
}

/* Finds the newest row of `key` with `from` <= cap through the index. */
static strata_status part_find_by_index(struct part *part, struct bytes key, uint64_t cap,
                                        struct found_row *out)
{
    assert(!out->found);
    strata_status status = STRATA_OK;
    struct part_position position;
    part_position_init(&position, part, FRAME_ROWS);
    TRY_OUT(part_position_seek(&position, key, cap));
    if (!part_position_valid(&position))
        goto out;
    struct frame_row row;
    TRY_OUT(part_position_row(&position, &row));
    if (part_key_equals(&position.pin->frame, row.suffix, key)) {
        found_row_fill(out, key, &row, (struct frame_loan){.frame = position.pin, .pinned = true});
        position.pin = NULL;
    }

out:
    part_position_release(&position);
    return status;
}

/* Finds the newest row of `key`. Buckets are derived: where they are damaged, the index answers. */
static strata_status part_find_newest(const struct part_probe *probe, struct bytes key,
                                      uint64_t hash, struct found_row *out)
{
    assert(!out->found);
    struct part *part = probe->part;
    if (probe->bucket != NULL) {
        const enum part_answer answer = part_look(probe, key, hash, out);
        if (answer != PART_UNSURE) {
            cache_count_hits(part->store->cache, 1 + (answer == PART_FOUND));
            return STRATA_OK;
        }
    }
    TRY(part_ready(part));
    if (part_has_buckets(part)) {
        const strata_status status = part_find_by_buckets(part, key, hash, out);
        if (status != STRATA_CORRUPT && status != STRATA_UNSUPPORTED)
            return status;
        assert(!out->found);
    }
    return part_find_by_index(part, key, UINT64_MAX, out);
}

/* From the newest row of `key`, which is above `cap`, to the first one that is not; lets go of it if
 * there is none. Older rows lie behind it, mostly in the same frame. */
static strata_status part_find_older(struct part *part, struct bytes key, uint64_t cap,
                                     struct found_row *out)
{
    assert(out->found);
    assert(out->row.from > cap);
    const struct frame_loan loan = {.frame = out->frame, .pinned = out->pin != NULL};
    const struct frame *frame = &loan.frame->frame;
    const uint32_t unit = loan.frame->unit;
    *out = (struct found_row){.found = false};
    strata_status status = STRATA_OK;
    unsigned index;
    struct frame_row row;
    TRY_OUT(part_fault(part, unit, frame_lower_bound(frame, key, cap, &index)));
    if (index == frame->row_count) {
        status = part_find_by_index(part, key, cap, out);
        goto out;
    }
    TRY_OUT(part_fault(part, unit, frame_row_at(frame, index, &row)));
    if (part_key_equals(frame, row.suffix, key)) {
        found_row_fill(out, key, &row, loan);
        return STRATA_OK;
    }

out:
    cache_return(part->store->cache, loan);
    return status;
}

strata_status part_find_probed(const struct part_probe *probe, struct bytes key, uint64_t hash,
                               uint64_t cap, struct found_row *out, bool *newer)
{
    assert(hash ==
           hash64_pair(bytes_of(key.data, KEY_PREFIX_SIZE), bytes_after(key, KEY_PREFIX_SIZE)));
    assert(key.length >= KEY_PREFIX_SIZE);
    *out = (struct found_row){.found = false};
    TRY(part_find_newest(probe, key, hash, out));
    if (!out->found || out->row.from <= cap)
        return STRATA_OK;
    *newer = true;
    return part_find_older(probe->part, key, cap, out);
}

strata_status part_find(struct part *part, struct bytes key, uint64_t hash, uint64_t cap,
                        struct found_row *out, bool *newer)
{
    struct part_probe probe;
    part_probe_begin(&probe, part, hash);
    return part_find_probed(&probe, key, hash, cap, out, newer);
}

strata_status part_find_slice(struct part *part, struct bytes prefix, bool *found,
                              struct slice_entry *out)
{
    assert(prefix.length == KEY_PREFIX_SIZE);
    TRY(part_ready(part));

    *found = false;
    strata_status status = STRATA_OK;
    struct part_position position;
    part_position_init(&position, part, FRAME_DIRECTORY);
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
