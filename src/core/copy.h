/* Copying what is mostly short, such as keys, without a call. */
#ifndef STRATA_CORE_COPY_H
#define STRATA_CORE_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { COPY_BLOCK = 16, COPY_SHORT_MAX = 64 };

/* As memcpy. The two do not overlap. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length < COPY_BLOCK || length > COPY_SHORT_MAX) {
        if (length > 0)
            memcpy(to, from, length);
        return;
    }
    for (size_t at = 0; at + COPY_BLOCK < length; at += COPY_BLOCK)
        memcpy(to + at, from + at, COPY_BLOCK);
    memcpy(to + length - COPY_BLOCK, from + length - COPY_BLOCK, COPY_BLOCK);
}

#endif
