/* SHA-1, which is how git names things. Source: FIPS 180-4. Good for names, not for secrets. */
#ifndef STRATA_DEMO_SHA1_H
#define STRATA_DEMO_SHA1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA1_SIZE = 20, SHA1_HEX_SIZE = 40, SHA1_BLOCK_SIZE = 64 };

struct sha1 {
    uint32_t state[5];
    uint32_t block_size;
    uint64_t total_size;
    uint8_t block[SHA1_BLOCK_SIZE];
};

void sha1_begin(struct sha1 *sha1);
void sha1_add(struct sha1 *sha1, const void *data, size_t size);
void sha1_end(struct sha1 *sha1, uint8_t out[SHA1_SIZE]);

/* Begins the name of a git object: the hash of "kind size\0", to be followed by the content. */
void sha1_begin_object(struct sha1 *sha1, const char *kind, uint64_t size);

/* Lower-case digits and a NUL. */
void sha1_to_hex(const uint8_t id[SHA1_SIZE], char out[SHA1_HEX_SIZE + 1]);

/* False, and `out` unspecified, unless `text` starts with 40 lower-case hex digits. The caller
 * answers for `text` having that many bytes. */
bool sha1_from_hex(const char *text, uint8_t out[SHA1_SIZE]);

#endif
