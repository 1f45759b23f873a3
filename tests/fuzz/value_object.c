/* Blocks of value objects. The input is sealed; what it says of itself is expected, at times. */
#include "format/place.h"
#include "format/value_object.h"

#include <stdlib.h>

enum { SEED = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < VALUE_BLOCK_HEADER_SIZE || size > VALUE_BLOCK_SIZE)
        return 0;
    uint8_t *block = malloc(size);
    if (block == NULL)
        abort();
    memcpy(block, data, size);
    const struct bytes whole = bytes_of(block, size);
    store_u64(block, place_checksum(whole, SEED));

    const uint32_t said = load_u32(block + 8);
    const uint32_t expected = said > 0 && said <= VALUE_BLOCK_PAYLOAD ? said : 1;
    struct bytes value;
    if (value_block_open(whole, load_u64(block + 16), expected, SEED, &value) == STRATA_OK &&
        (value.length != expected || value.data != block + VALUE_BLOCK_HEADER_SIZE))
        abort();
    if (value_block_open(whole, 7, expected, SEED, &value) == STRATA_OK &&
        load_u64(block + 16) != 7)
        abort();
    free(block);
    return 0;
}
