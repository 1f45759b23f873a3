/* Fields taken off the front of bytes that nobody vouches for. Every function fails with
 * STRATA_CORRUPT, and leaves `input` alone, if its field is not there. `what` names the field. */
#ifndef STRATA_FORMAT_TAKE_H
#define STRATA_FORMAT_TAKE_H

#include "core/varint.h"
#include "format/place.h"

#include <inttypes.h>

STRATA_CHECKED static inline strata_status take_bytes(struct bytes *input, uint64_t length,
                                                      const char *what, struct bytes *out)
{
    if (length > input->length || (length > 0 && input->data == NULL))
        return failure(STRATA_CORRUPT, "%s of %" PRIu64 " bytes where %zu are left", what, length,
                       input->length);
    *out = bytes_of(input->data, (size_t)length);
    *input = bytes_after(*input, (size_t)length);
    return STRATA_OK;
}

STRATA_CHECKED static inline strata_status take_u8(struct bytes *input, const char *what,
                                                   uint8_t *out)
{
    struct bytes field;
    TRY(take_bytes(input, 1, what, &field));
    *out = field.data[0];
    return STRATA_OK;
}

STRATA_CHECKED static inline strata_status take_u32(struct bytes *input, const char *what,
                                                    uint32_t *out)
{
    struct bytes field;
    TRY(take_bytes(input, 4, what, &field));
    *out = load_u32(field.data);
    return STRATA_OK;
}

STRATA_CHECKED static inline strata_status take_u64(struct bytes *input, const char *what,
                                                    uint64_t *out)
{
    struct bytes field;
    TRY(take_bytes(input, 8, what, &field));
    *out = load_u64(field.data);
    return STRATA_OK;
}

/* As varint_decode, quick about the one-byte integers that most are. */
STRATA_CHECKED static inline strata_status take_varint(struct bytes *input, uint64_t *out)
{
    if (input->length == 0 || input->data[0] >= 0x80)
        return varint_decode(input, out);
    *out = input->data[0];
    *input = bytes_after(*input, 1);
    return STRATA_OK;
}

STRATA_CHECKED static inline strata_status take_varint_to(struct bytes *input, uint64_t maximum,
                                                          const char *what, uint64_t *out)
{
    struct bytes rest = *input;
    uint64_t value;
    TRY(take_varint(&rest, &value));
    if (value > maximum)
        return failure(STRATA_CORRUPT, "%s is %" PRIu64 ", limit %" PRIu64, what, value, maximum);
    *input = rest;
    *out = value;
    return STRATA_OK;
}

/* Whether objects of that format can be read. Call it once the checksum has passed. */
STRATA_CHECKED static inline strata_status format_version_check(uint32_t version)
{
    if (version > FORMAT_VERSION)
        return failure(STRATA_UNSUPPORTED, "format %" PRIu32 " is newer than this library's %d",
                       version, FORMAT_VERSION);
    if (version == 0)
        return failure(STRATA_CORRUPT, "format version is 0");
    return STRATA_OK;
}

#endif
