#include "table/source.h"

#include "core/buffer.h"
#include "layout/key.h"

#include <assert.h>

/* A jump costs about as much as this many steps. */
enum { SOURCE_STEPS_BEFORE_JUMP = 4 };

/* A key that outlives the source's next move. */
struct source_key {
    struct buffer far;
    uint8_t near[64];
    struct bytes bytes;
};

static strata_status source_key_keep(struct source_key *key, const strata_allocator *allocator,
                                     struct bytes bytes)
{
    buffer_init(&key->far, allocator);
    if (bytes.length <= sizeof(key->near)) {
        memcpy(key->near, bytes.data, bytes.length);
        key->bytes = bytes_of(key->near, bytes.length);
        return STRATA_OK;
    }
    TRY(buffer_append(&key->far, bytes));
    key->bytes = buffer_view(&key->far);
    return STRATA_OK;
}

static void source_key_drop(struct source_key *key)
{
    buffer_release(&key->far);
}

/* To (row.key, from), or behind it. */
static strata_status source_jump(struct source *source, const strata_allocator *allocator,
                                 uint64_t from)
{
    assert(source->valid);
    struct source_key key;
    strata_status status = source_key_keep(&key, allocator, source->row.key);
    if (status == STRATA_OK)
        status = source_seek(source, key.bytes, from);
    source_key_drop(&key);
    return status;
}

strata_status source_seek_visible_by_rows(struct source *source, struct bytes key, uint64_t cap)
{
    return source_seek(source, key, cap);
}

strata_status source_next_visible_by_rows(struct source *source, const strata_allocator *allocator,
                                          uint64_t cap)
{
    assert(source->valid);
    if (source->row.from > cap)
        return source_jump(source, allocator, cap);
    struct source_key key;
    strata_status status = source_key_keep(&key, allocator, source->row.key);
    unsigned steps = 0;
    while (status == STRATA_OK && source->valid && bytes_equal(source->row.key, key.bytes)) {
        if (++steps == SOURCE_STEPS_BEFORE_JUMP)
            status = source_seek(source, key.bytes, 0);
        else
            status = source_next(source);
    }
    source_key_drop(&key);
    return status;
}
