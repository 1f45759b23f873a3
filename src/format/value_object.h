/* Value objects: a long value in an object of its own, `tables/<number>`.
 *
 * Blocks of VALUE_BLOCK_SIZE, the last one shorter:
 *
 *     0   u64 checksum   place_checksum of the block
 *     8   u32 used       bytes of the value in it: VALUE_BLOCK_PAYLOAD, but in the last block
 *     12  u8 kind 6   13 u8 transform 0   14 u16 zero
 *     16  u64 index of the block
 *     24  the bytes */
#ifndef STRATA_FORMAT_VALUE_OBJECT_H
#define STRATA_FORMAT_VALUE_OBJECT_H

#include "core/buffer.h"

enum {
    VALUE_BLOCK_SIZE = 65536,
    VALUE_BLOCK_HEADER_SIZE = 24,
    VALUE_BLOCK_PAYLOAD = VALUE_BLOCK_SIZE - VALUE_BLOCK_HEADER_SIZE
};

static inline uint64_t value_block_offset(uint64_t index)
{
    return index * VALUE_BLOCK_SIZE;
}

/* Seals a block in place: `block` has the payload at VALUE_BLOCK_HEADER_SIZE, `used` bytes of it. */
void value_block_seal(uint8_t *block, uint64_t index, uint32_t used, uint64_t seed);

/* Checks one whole block, which must hold `expected` bytes of the value, and points `out` at them. */
STRATA_CHECKED strata_status value_block_open(struct bytes block, uint64_t index, uint32_t expected,
                                              uint64_t seed, struct bytes *out);

#endif
