/* A borrowed run of bytes: never owned, never freed, valid as long as its source. And the integers
 * that every durable format uses: little-endian, at any alignment. */
#ifndef STRATA_CORE_BYTES_H
#define STRATA_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* May be NULL when length is 0. */
    size_t length;
};

static inline struct bytes bytes_of(const void *data, size_t length)
{
    return (struct bytes){.data = data, .length = length};
}

/* Order as by memcmp, a prefix before what it begins. Negative, 0 or positive. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    const size_t shorter = a.length < b.length ? a.length : b.length;
    const int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool bytes_start_with(struct bytes whole, struct bytes prefix)
{
    return whole.length >= prefix.length &&
           (prefix.length == 0 || memcmp(whole.data, prefix.data, prefix.length) == 0);
}

/* `whole` without its first `count` bytes, which it must have. */
static inline struct bytes bytes_after(struct bytes whole, size_t count)
{
    return (struct bytes){.data = whole.data == NULL ? NULL : whole.data + count,
                          .length = whole.length - count};
}

/* Numbers between the host's order of bytes and the two fixed ones: each undoes itself. Where the host is
 * known they cost nothing or one instruction, and compilers that optimize for size can see that: a
 * number is not put together from its bytes there, which they would make a call. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

static inline uint32_t little_u32(uint32_t value)
{
    return value;
}

static inline uint32_t ordered_u32(uint32_t value)
{
    return __builtin_bswap32(value);
}

static inline uint64_t ordered_u64(uint64_t value)
{
    return __builtin_bswap64(value);
}

#else

static inline uint32_t little_u32(uint32_t value)
{
    uint8_t from[4];
    memcpy(from, &value, sizeof(from));
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static inline uint32_t ordered_u32(uint32_t value)
{
    uint8_t from[4];
    memcpy(from, &value, sizeof(from));
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
           (uint32_t)from[3];
}

static inline uint64_t ordered_u64(uint64_t value)
{
    uint32_t from[2];
    memcpy(from, &value, sizeof(from));
    return (uint64_t)ordered_u32(from[0]) << 32 | ordered_u32(from[1]);
}

#endif

static inline uint16_t load_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t load_u32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return little_u32(value);
}

static inline uint64_t load_u64(const uint8_t *from)
{
    return load_u32(from) | (uint64_t)load_u32(from + 4) << 32;
}

static inline void store_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void store_u32(uint8_t *to, uint32_t value)
{
    value = little_u32(value);
    memcpy(to, &value, sizeof(value));
}

static inline void store_u64(uint8_t *to, uint64_t value)
{
    store_u32(to, (uint32_t)value);
    store_u32(to + 4, (uint32_t)(value >> 32));
}

/* Big-endian, for integers inside keys: their byte order is their numeric order. */
static inline void store_ordered_u32(uint8_t *to, uint32_t value)
{
    value = ordered_u32(value);
    memcpy(to, &value, sizeof(value));
}

static inline void store_ordered_u64(uint8_t *to, uint64_t value)
{
    value = ordered_u64(value);
    memcpy(to, &value, sizeof(value));
}

static inline uint32_t load_ordered_u32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return ordered_u32(value);
}

static inline uint64_t load_ordered_u64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return ordered_u64(value);
}

/* The first eight bytes as a number, as if zeros followed fewer: where two differ, they order as the
 * bytes do. */
static inline uint64_t bytes_head(struct bytes bytes)
{
    if (bytes.length >= sizeof(uint64_t))
        return load_ordered_u64(bytes.data);
    uint64_t head = 0;
    for (size_t i = 0; i < bytes.length; i++)
        head |= (uint64_t)bytes.data[i] << (56 - 8 * i);
    return head;
}

#endif
