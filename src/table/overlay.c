#include "table/overlay.h"

#include "core/hash.h"
#include "core/memory.h"
#include "layout/key.h"

#include <assert.h>

enum { SLOT_ROW_BITS = 20, SLOTS_PER_ROW = 2, SLOT_COUNT_MIN = 8 };

static_assert(OVERLAY_ROWS_MAX < 1 << SLOT_ROW_BITS, "a slot has room for the number of a row");

/* ---- building ---- */

void overlay_builder_init(struct overlay_builder *builder, const strata_allocator *allocator)
{
    buffer_init(&builder->rows, allocator);
    buffer_init(&builder->bytes, allocator);
}

void overlay_builder_release(struct overlay_builder *builder)
{
    buffer_release(&builder->rows);
    buffer_release(&builder->bytes);
}

void overlay_builder_clear(struct overlay_builder *builder)
{
    buffer_truncate(&builder->rows, 0);
    buffer_truncate(&builder->bytes, 0);
}

static uint32_t overlay_slot_count(uint32_t row_count)
{
    uint32_t count = SLOT_COUNT_MIN;
    while (count < row_count * SLOTS_PER_ROW)
        count *= 2;
    return count;
}

size_t overlay_builder_size(const struct overlay_builder *builder)
{
    const uint32_t count = overlay_builder_count(builder);
    return sizeof(struct overlay) + builder->rows.length + builder->bytes.length +
           overlay_slot_count(count) * sizeof(uint32_t);
}

strata_status overlay_builder_add(struct overlay_builder *builder, const struct row *row)
{
    struct row draft = *row;
    uint8_t *to;
    assert(overlay_builder_count(builder) < OVERLAY_ROWS_MAX);
    assert(row->key.length <= USER_KEY_SIZE_MAX);
    TRY(buffer_reserve(&builder->rows, sizeof(draft)));
    TRY(buffer_extend(&builder->bytes, KEY_PREFIX_SIZE + row->key.length + row->value.length, &to));
    memset(to, 0, KEY_PREFIX_SIZE);
    memcpy(to + KEY_PREFIX_SIZE, row->key.data, row->key.length);
    if (row->value.length > 0)
        memcpy(to + KEY_PREFIX_SIZE + row->key.length, row->value.data, row->value.length);
    draft.key = bytes_of(NULL, KEY_PREFIX_SIZE + row->key.length);
    draft.value = bytes_of(NULL, row->value.length);
    draft.to = 0; /* Where it is seen from, it has not ended. */
    return buffer_append(&builder->rows, bytes_of(&draft, sizeof(draft)));
}

static void overlay_index(struct overlay *overlay)
{
    for (uint32_t i = 0; i < overlay->row_count; i++) {
        const uint64_t hash = overlay_hash(bytes_after(overlay->rows[i].key, KEY_PREFIX_SIZE));
        uint32_t at = (uint32_t)hash & (overlay->slot_count - 1);
        while (overlay->slots[at] != 0)
            at = (at + 1) & (overlay->slot_count - 1);
        overlay->slots[at] = (uint32_t)(hash >> 52) << SLOT_ROW_BITS | (i + 1);
    }
}

strata_status overlay_build(const struct overlay_builder *builder, uint64_t branch, uint32_t space,
                            struct overlay **out)
{
    const size_t size = overlay_builder_size(builder);
    struct overlay *overlay = allocate_zeroed(builder->rows.allocator, size);
    if (overlay == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for %u rows of a fork's ancestors",
                       overlay_builder_count(builder));
    overlay->allocator = builder->rows.allocator;
    overlay->size = size;
    overlay->branch = branch;
    overlay->space = space;
    overlay->row_count = overlay_builder_count(builder);
    overlay->slot_count = overlay_slot_count(overlay->row_count);
    overlay->rows = (struct row *)(overlay + 1);
    overlay->slots = (uint32_t *)(overlay->rows + overlay->row_count);
    uint8_t *bytes = (uint8_t *)(overlay->slots + overlay->slot_count);
    if (builder->rows.length > 0) {
        memcpy(overlay->rows, builder->rows.data, builder->rows.length);
        memcpy(bytes, builder->bytes.data, builder->bytes.length);
    }
    for (uint32_t i = 0; i < overlay->row_count; i++) {
        struct row *row = &overlay->rows[i];
        key_prefix_store(bytes, branch, space);
        row->key.data = bytes;
        bytes += row->key.length;
        row->value.data = bytes;
        bytes += row->value.length;
        assert(i == 0 || bytes_compare(row[-1].key, row->key) < 0);
    }
    overlay_index(overlay);
    *out = overlay;
    return STRATA_OK;
}

void overlay_destroy(struct overlay *overlay)
{
    if (overlay != NULL)
        release(overlay->allocator, overlay, overlay->size);
}

/* ---- reading ---- */

uint64_t overlay_hash(struct bytes user_key)
{
    return hash64(user_key, 0);
}

const struct row *overlay_find(const struct overlay *overlay, struct bytes user_key, uint64_t hash)
{
    const uint32_t mask = overlay->slot_count - 1;
    const uint32_t tag = (uint32_t)(hash >> 52);
    for (uint32_t at = (uint32_t)hash & mask; overlay->slots[at] != 0; at = (at + 1) & mask) {
        const uint32_t slot = overlay->slots[at];
        if (slot >> SLOT_ROW_BITS != tag)
            continue;
        const struct row *row = &overlay->rows[(slot & ((1 << SLOT_ROW_BITS) - 1)) - 1];
        if (bytes_equal(bytes_after(row->key, KEY_PREFIX_SIZE), user_key))
            return row;
    }
    return NULL;
}

static struct overlay_source *overlay_source_of(struct source *source)
{
    void *self = source;
    return self;
}

/* Stands on row `index`, or on none if that is not one. */
static strata_status overlay_source_show(struct overlay_source *self, uint32_t index)
{
    self->index = index;
    self->source.valid = index < self->overlay->row_count;
    if (self->source.valid)
        self->source.row = self->overlay->rows[index];
    return STRATA_OK;
}

/* The first row at or after `key`. */
static uint32_t overlay_lower_bound(const struct overlay *overlay, struct bytes key)
{
    uint32_t low = 0;
    uint32_t high = overlay->row_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(overlay->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static strata_status overlay_source_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct overlay_source *self = overlay_source_of(source);
    const struct overlay *overlay = self->overlay;
    uint32_t index = overlay_lower_bound(overlay, key);
    if (index < overlay->row_count && overlay->rows[index].from > from &&
        bytes_equal(overlay->rows[index].key, key))
        index++;
    return overlay_source_show(self, index);
}

static strata_status overlay_source_seek_before(struct source *source, struct bytes key)
{
    struct overlay_source *self = overlay_source_of(source);
    const uint32_t index = overlay_lower_bound(self->overlay, key);
    return overlay_source_show(self, index > 0 ? index - 1 : UINT32_MAX);
}

static strata_status overlay_source_next(struct source *source)
{
    assert(source->valid);
    struct overlay_source *self = overlay_source_of(source);
    return overlay_source_show(self, self->index + 1);
}

static strata_status overlay_source_previous(struct source *source)
{
    assert(source->valid);
    struct overlay_source *self = overlay_source_of(source);
    return overlay_source_show(self, self->index > 0 ? self->index - 1 : UINT32_MAX);
}

static strata_status overlay_source_seek_visible(struct source *source, struct bytes key,
                                                 uint64_t cap)
{
    (void)cap;
    struct overlay_source *self = overlay_source_of(source);
    return overlay_source_show(self, overlay_lower_bound(self->overlay, key));
}

static strata_status overlay_source_next_visible(struct source *source, uint64_t cap)
{
    (void)cap;
    return overlay_source_next(source);
}

static void overlay_source_release(struct source *source)
{
    source->valid = false;
}

void overlay_source_init(struct overlay_source *source, const struct overlay *overlay)
{
    static const struct source_class overlay_source_class = {
        .seek = overlay_source_seek,
        .seek_before = overlay_source_seek_before,
        .next = overlay_source_next,
        .previous = overlay_source_previous,
        .seek_visible = overlay_source_seek_visible,
        .next_visible = overlay_source_next_visible,
        .release = overlay_source_release,
    };
    *source =
        (struct overlay_source){.source = {.class = &overlay_source_class}, .overlay = overlay};
}
