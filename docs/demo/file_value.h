/* How a file of a commit is kept: its path is the key, and the value is its mode, a space, and its
 * bytes as git has them.
 *
 *     100644, 100755    the content
 *     120000            what the symbolic link points to
 *     160000            the commit of the submodule, 40 digits */
#ifndef STRATA_DEMO_FILE_VALUE_H
#define STRATA_DEMO_FILE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILE_VALUE_MODE_SIZE = 7,
    FILE_VALUE_SUBMODULE = 0160000,
    /* Values above this are written and read in pieces of at most this. */
    FILE_VALUE_PIECE_SIZE = 64 * 1024
};

/* Six octal digits and the space. */
void file_value_write_mode(uint32_t mode, uint8_t out[FILE_VALUE_MODE_SIZE]);

/* False if the value does not begin with one of the four modes. */
bool file_value_read_mode(const uint8_t *value, size_t size, uint32_t *out);

#endif
