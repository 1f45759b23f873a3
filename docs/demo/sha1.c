#include "sha1.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t rotated(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t big_endian_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* One step. The caller names the five words in turn, so that none has to move. */
static inline void sha1_step(uint32_t a, uint32_t *b, uint32_t *e, uint32_t mix, uint32_t word)
{
    *e += rotated(a, 5) + mix + word;
    *b = rotated(*b, 30);
}

/* Words 16 to 79 overwrite those of sixteen steps before. */
static inline uint32_t scheduled_word(uint32_t words[16], unsigned step)
{
    if (step < 16)
        return words[step];
    const uint32_t word = words[(step + 13) & 15] ^ words[(step + 8) & 15] ^
                          words[(step + 2) & 15] ^ words[step & 15];
    words[step & 15] = rotated(word, 1);
    return words[step & 15];
}

static inline uint32_t sha1_mix(unsigned step, uint32_t b, uint32_t c, uint32_t d)
{
    if (step < 20)
        return (d ^ (b & (c ^ d))) + 0x5a827999;
    if (step < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (step < 60)
        return ((b & c) | (d & (b | c))) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static inline void sha1_five_steps(uint32_t s[5], uint32_t words[16], unsigned step)
{
    sha1_step(s[0], &s[1], &s[4], sha1_mix(step, s[1], s[2], s[3]), scheduled_word(words, step));
    sha1_step(s[4], &s[0], &s[3], sha1_mix(step + 1, s[0], s[1], s[2]),
              scheduled_word(words, step + 1));
    sha1_step(s[3], &s[4], &s[2], sha1_mix(step + 2, s[4], s[0], s[1]),
              scheduled_word(words, step + 2));
    sha1_step(s[2], &s[3], &s[1], sha1_mix(step + 3, s[3], s[4], s[0]),
              scheduled_word(words, step + 3));
    sha1_step(s[1], &s[2], &s[0], sha1_mix(step + 4, s[2], s[3], s[4]),
              scheduled_word(words, step + 4));
}

static void sha1_compress(uint32_t state[5], const uint8_t block[SHA1_BLOCK_SIZE])
{
    uint32_t words[16], s[5];
    for (unsigned i = 0; i < 16; i++)
        words[i] = big_endian_word(block + (size_t)4 * i);
    for (unsigned i = 0; i < 5; i++)
        s[i] = state[i];
    /* Four loops, so that each knows its mix while compiling. */
    for (unsigned step = 0; step < 20; step += 5)
        sha1_five_steps(s, words, step);
    for (unsigned step = 20; step < 40; step += 5)
        sha1_five_steps(s, words, step);
    for (unsigned step = 40; step < 60; step += 5)
        sha1_five_steps(s, words, step);
    for (unsigned step = 60; step < 80; step += 5)
        sha1_five_steps(s, words, step);
    for (unsigned i = 0; i < 5; i++)
        state[i] += s[i];
}

void sha1_begin(struct sha1 *sha1)
{
    *sha1 = (struct sha1){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

void sha1_add(struct sha1 *sha1, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    assert(sha1->block_size < SHA1_BLOCK_SIZE);
    if (size == 0) /* Then `data` may be NULL. */
        return;
    sha1->total_size += size;
    if (sha1->block_size > 0) {
        const size_t room = SHA1_BLOCK_SIZE - sha1->block_size;
        const size_t taken = size < room ? size : room;
        memcpy(sha1->block + sha1->block_size, bytes, taken);
        sha1->block_size += (uint32_t)taken;
        bytes += taken;
        size -= taken;
        if (sha1->block_size < SHA1_BLOCK_SIZE)
            return;
        sha1_compress(sha1->state, sha1->block);
        sha1->block_size = 0;
    }
    for (; size >= SHA1_BLOCK_SIZE; bytes += SHA1_BLOCK_SIZE, size -= SHA1_BLOCK_SIZE)
        sha1_compress(sha1->state, bytes);
    memcpy(sha1->block, bytes, size);
    sha1->block_size = (uint32_t)size;
}

void sha1_end(struct sha1 *sha1, uint8_t out[SHA1_SIZE])
{
    const uint64_t bit_count = sha1->total_size * 8;
    uint8_t padding[SHA1_BLOCK_SIZE + 8] = {0x80};
    const size_t zeros_end = (sha1->block_size < 56 ? 56 : 120) - sha1->block_size;
    for (unsigned i = 0; i < 8; i++)
        padding[zeros_end + i] = (uint8_t)(bit_count >> (56 - 8 * i));
    sha1_add(sha1, padding, zeros_end + 8);
    assert(sha1->block_size == 0);
    for (unsigned i = 0; i < SHA1_SIZE; i++)
        out[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha1_begin_object(struct sha1 *sha1, const char *kind, uint64_t size)
{
    char header[64];
    const int length = snprintf(header, sizeof(header), "%s %" PRIu64, kind, size);
    assert(length > 0 && (size_t)length < sizeof(header));
    sha1_begin(sha1);
    sha1_add(sha1, header, (size_t)length + 1);
}

void sha1_to_hex(const uint8_t id[SHA1_SIZE], char out[SHA1_HEX_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < SHA1_SIZE; i++) {
        out[(size_t)2 * i] = digits[id[i] >> 4];
        out[(size_t)2 * i + 1] = digits[id[i] & 15];
    }
    out[SHA1_HEX_SIZE] = '\0';
}

bool sha1_from_hex(const char *text, uint8_t out[SHA1_SIZE])
{
    for (unsigned i = 0; i < SHA1_HEX_SIZE; i++) {
        const char digit = text[i];
        unsigned value;
        if (digit >= '0' && digit <= '9')
            value = (unsigned)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = (unsigned)(digit - 'a') + 10;
        else
            return false;
        out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
    }
    return true;
}
