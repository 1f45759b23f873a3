#include "core/hash.h"

#include <assert.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Up to here joining the two runs costs less than setting up a streaming state. */
enum { JOINED_SIZE_MAX = 512 };

uint64_t hash64(struct bytes bytes, uint64_t seed)
{
    assert(bytes.data != NULL || bytes.length == 0);
    return XXH3_64bits_withSeed(bytes.data, bytes.length, seed);
}

static uint64_t hash_stream(struct bytes prefix, struct bytes rest)
{
    XXH3_state_t state;
    XXH_errorcode error = XXH3_64bits_reset(&state);
    /* The library refuses a NULL run, even an empty one. */
    if (prefix.length > 0)
        error |= XXH3_64bits_update(&state, prefix.data, prefix.length);
    if (rest.length > 0)
        error |= XXH3_64bits_update(&state, rest.data, rest.length);
    assert(error == XXH_OK);
    (void)error;
    return XXH3_64bits_digest(&state);
}

uint64_t hash64_pair(struct bytes prefix, struct bytes rest)
{
    assert(prefix.data != NULL || prefix.length == 0);
    assert(rest.data != NULL || rest.length == 0);

    if (prefix.length > JOINED_SIZE_MAX || rest.length > JOINED_SIZE_MAX - prefix.length)
        return hash_stream(prefix, rest);
    uint8_t joined[JOINED_SIZE_MAX];
    if (prefix.length > 0)
        memcpy(joined, prefix.data, prefix.length);
    if (rest.length > 0)
        memcpy(joined + prefix.length, rest.data, rest.length);
    return hash64(bytes_of(joined, prefix.length + rest.length), 0);
}
