#include "format/value_object.h"

#include "format/place.h"

#include <assert.h>
#include <inttypes.h>

enum { VALUE_BLOCK_KIND = 6 };

void value_block_seal(uint8_t *block, uint64_t index, uint32_t used, uint64_t seed)
{
    assert(used > 0);
    assert(used <= VALUE_BLOCK_PAYLOAD);

    store_u32(block + 8, used);
    block[12] = VALUE_BLOCK_KIND;
    block[13] = 0;
    store_u16(block + 14, 0);
    store_u64(block + 16, index);
    store_u64(block, place_checksum(bytes_of(block, VALUE_BLOCK_HEADER_SIZE + used), seed));
}

strata_status value_block_open(struct bytes block, uint64_t index, uint32_t expected, uint64_t seed,
                               struct bytes *out)
{
    assert(expected > 0);
    assert(expected <= VALUE_BLOCK_PAYLOAD);

    if (block.length != VALUE_BLOCK_HEADER_SIZE + (size_t)expected)
        return failure(STRATA_CORRUPT, "value block %" PRIu64 " has %zu bytes, not %zu", index,
                       block.length, VALUE_BLOCK_HEADER_SIZE + (size_t)expected);
    if (load_u64(block.data) != place_checksum(block, seed))
        return failure(STRATA_CORRUPT, "value block %" PRIu64 " fails its checksum", index);
    if (block.data[13] != 0)
        return failure(STRATA_UNSUPPORTED, "value block has transform %u, which this library lacks",
                       (unsigned)block.data[13]);
    if (block.data[12] != VALUE_BLOCK_KIND || load_u16(block.data + 14) != 0)
        return failure(STRATA_CORRUPT, "value block %" PRIu64 " is of another kind", index);
    if (load_u64(block.data + 16) != index)
        return failure(STRATA_CORRUPT, "value block %" PRIu64 " stands where %" PRIu64 " should",
                       load_u64(block.data + 16), index);
    if (load_u32(block.data + 8) != expected)
        return failure(STRATA_CORRUPT,
                       "value block %" PRIu64 " uses %" PRIu32 " bytes, not %" PRIu32, index,
                       load_u32(block.data + 8), expected);
    *out = bytes_after(block, VALUE_BLOCK_HEADER_SIZE);
    return STRATA_OK;
}
