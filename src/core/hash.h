/* 64-bit hashes: of keys, and as checksums of everything durable. The same on every platform.
 * Source: XXH3, https://github.com/Cyan4973/xxHash, used as a header. */
#ifndef STRATA_CORE_HASH_H
#define STRATA_CORE_HASH_H

#include "core/bytes.h"

/* XXH3_64bits_withSeed. */
uint64_t hash64(struct bytes bytes, uint64_t seed);

/* Of two runs as if they were one: prefix then rest. For composite keys. */
uint64_t hash64_pair(struct bytes prefix, struct bytes rest);

#endif
