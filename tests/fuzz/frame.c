/* Frames: whatever opens is read and searched within its bounds. The input is padded to whole units and
 * sealed. */
#include "format/frame.h"
#include "format/part.h"
#include "format/place.h"

#include <stdlib.h>

enum { UNIT = 4096, UNITS_MAX = 32, SEED = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_rows(const struct frame *frame)
{
    for (unsigned i = 0; i < frame->row_count; i++) {
        struct frame_row row;
        if (frame_row_at(frame, i, &row) != STRATA_OK)
            continue;
        if (row.to != 0 && row.to <= row.from)
            abort();
        struct index_entry index;
        struct slice_entry slice;
        (void)!index_entry_load(row.value, &index);
        (void)!slice_entry_load(row.value, &slice);
    }
}

/* Reads a row at every offset: what is there lies within the frame. */
static void read_offsets(const struct frame *frame)
{
    for (uint32_t offset = 0; offset <= frame->used + 4; offset++) {
        struct frame_row row;
        if (frame_row_at_offset(frame, offset, &row) != STRATA_OK)
            continue;
        if (row.suffix.data < frame->bytes.data ||
            row.value.data + row.value.length > frame->bytes.data + frame->used)
            abort();
    }
}

/* Looks for bytes of the frame itself. */
static void search_rows(const struct frame *frame)
{
    for (size_t at = 0; at < frame->used; at += 7) {
        const size_t left = frame->used - at;
        const struct bytes key = bytes_of(frame->bytes.data + at, left < 20 ? left : 20);
        const unsigned near = (unsigned)(at % (frame->row_count + 1u));
        unsigned found;
        if (frame_lower_bound(frame, key, at, &found) == STRATA_OK && found > frame->row_count)
            abort();
        if (frame_lower_bound_near(frame, key, at, near, &found) == STRATA_OK &&
            found > frame->row_count)
            abort();
    }
}

/* The same with heads. */
static void search_heads(struct frame frame)
{
    void *heads = malloc(frame_heads_size((enum frame_kind)frame.kind, frame.row_count));
    if (heads == NULL)
        abort();
    frame_add_heads(&frame, heads);
    read_rows(&frame);
    search_rows(&frame);
    free(heads);
}

static void read_buckets(const struct frame *frame)
{
    for (size_t at = BUCKETS_OFFSET; at < frame->used; at += BUCKET_SIZE) {
        if (bucket_match(frame->bytes.data + at, at) >= 1 << BUCKET_SLOTS)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t units = size == 0 ? 1 : (size + UNIT - 1) / UNIT;
    if (units > UNITS_MAX)
        return 0;
    uint8_t *bytes = calloc(units, UNIT);
    if (bytes == NULL)
        abort();
    if (size > 0)
        memcpy(bytes, data, size);
    const struct bytes whole = bytes_of(bytes, units * UNIT);
    store_u64(bytes, place_checksum(whole, SEED));

    struct frame frame;
    if (frame_open(whole, UNIT, SEED, &frame) == STRATA_OK) {
        read_rows(&frame);
        (void)!frame_check_padding(&frame);
        if (frame.row_count > 0) {
            read_offsets(&frame);
            search_rows(&frame);
            search_heads(frame);
        }
        if (frame.kind == FRAME_BUCKETS)
            read_buckets(&frame);
    }
    free(bytes);
    return 0;
}
