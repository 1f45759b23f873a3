/* Manifests: what is taken encodes to the same bytes, and what a delta makes of a full one encodes to
 * something that is taken. The input is u16 size of the first, the first, the second; both are given
 * their size and sealed. */
#include "core/memory.h"
#include "format/manifest.h"

#include <stdlib.h>

enum { CHUNK = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that was decoded must be encodable, to the same bytes. */
static void encode_again(const struct manifest *manifest, const strata_allocator *allocator,
                         struct bytes expected)
{
    struct buffer out;
    buffer_init(&out, allocator);
    if (manifest_encode(manifest, &out) != STRATA_OK || !bytes_equal(buffer_view(&out), expected))
        abort();
    buffer_release(&out);
}

/* Decodes a sealed copy. */
static bool decode_sealed(struct bytes bytes, struct arena *arena, struct manifest *out)
{
    if (bytes.length < MANIFEST_HEADER_SIZE)
        return false;
    uint8_t *object = malloc(bytes.length);
    if (object == NULL)
        abort();
    memcpy(object, bytes.data, bytes.length);
    const struct identity nobody = {.incarnation = 0};
    const uint64_t number = load_u64(object + 48);
    const struct bytes whole = bytes_of(object, bytes.length);
    store_u32(object + 20, (uint32_t)bytes.length);
    store_u64(object, place_checksum(whole, place_seed(&nobody, FAMILY_MANIFEST, number, 0)));
    const bool decoded = manifest_decode(whole, number, arena, out) == STRATA_OK;
    if (decoded)
        encode_again(out, arena->allocator, whole);
    free(object);
    return decoded;
}

static void apply(const struct manifest *base, const struct manifest *delta, struct arena *arena)
{
    struct manifest whole, again;
    if (base->kind != MANIFEST_FULL || delta->kind != MANIFEST_DELTA ||
        manifest_apply(base, delta, arena, &whole) != STRATA_OK)
        return;
    struct buffer out;
    buffer_init(&out, arena->allocator);
    if (manifest_encode(&whole, &out) != STRATA_OK ||
        manifest_decode(buffer_view(&out), whole.number, arena, &again) != STRATA_OK)
        abort();
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct bytes both = bytes_of(data + 2, size - 2);
    const size_t first_size = load_u16(data) < both.length ? load_u16(data) : both.length;
    struct memory memory;
    struct arena arena;
    struct manifest base, delta;
    memory_init(&memory, NULL);
    arena_init(&arena, &memory.allocator, CHUNK);
    const bool has_base = decode_sealed(bytes_of(both.data, first_size), &arena, &base);
    const bool has_delta = decode_sealed(bytes_after(both, first_size), &arena, &delta);
    if (arena.total_bytes > 16 * size + 4 * (size_t)CHUNK)
        abort();
    if (has_base && has_delta)
        apply(&base, &delta, &arena);
    arena_release(&arena);
    return 0;
}
