/* What a checksum is bound to: a database, an incarnation of it, an object and an offset. Bytes that
 * are whole but in the wrong place, or of another time, fail their check. */
#ifndef STRATA_FORMAT_PLACE_H
#define STRATA_FORMAT_PLACE_H

#include "core/bytes.h"

enum { FORMAT_VERSION = 1, UUID_SIZE = 16 };

/* Numbers of objects leave the top byte to the family. Decoders refuse higher ones. */
#define OBJECT_NUMBER_MAX (((uint64_t)1 << 56) - 1)

/* Who a database is. The incarnation is drawn at creation, and anew when a copy becomes a database
 * of its own; objects keep the one that they were written under. */
struct identity {
    uint8_t uuid[UUID_SIZE];
    uint64_t incarnation;
};

/* Numbers of different families never meet: the family is the top byte of the object in a seed. */
enum object_family { FAMILY_TABLE = 1, FAMILY_WAL = 2, FAMILY_MANIFEST = 3 };

/* The seed of the checksum of what lies at `offset` of object `number` in `family`: hash64, seed 0,
 * of these 40 bytes: uuid, u64 incarnation, u64 (family << 56 | number), u64 offset. */
uint64_t place_seed(const struct identity *identity, enum object_family family, uint64_t number,
                    uint64_t offset);

/* hash64 of `bytes` after its first 8, which hold the result, seeded so. */
uint64_t place_checksum(struct bytes bytes, uint64_t seed);

#endif
