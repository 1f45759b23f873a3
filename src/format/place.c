#include "format/place.h"

#include "core/hash.h"

#include <assert.h>

uint64_t place_seed(const struct identity *identity, enum object_family family, uint64_t number,
                    uint64_t offset)
{
    uint8_t place[UUID_SIZE + 24];
    memcpy(place, identity->uuid, UUID_SIZE);
    store_u64(place + 16, identity->incarnation);
    store_u64(place + 24, (uint64_t)family << 56 | number);
    store_u64(place + 32, offset);
    return hash64(bytes_of(place, sizeof(place)), 0);
}

uint64_t place_checksum(struct bytes bytes, uint64_t seed)
{
    assert(bytes.length >= 8);
    return hash64(bytes_after(bytes, 8), seed);
}
