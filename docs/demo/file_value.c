#include "file_value.h"

#include <string.h>

static const uint32_t file_modes[] = {0100644, 0100755, 0120000, FILE_VALUE_SUBMODULE};

void file_value_write_mode(uint32_t mode, uint8_t out[FILE_VALUE_MODE_SIZE])
{
    for (unsigned i = 0; i < FILE_VALUE_MODE_SIZE - 1; i++)
        out[i] = (uint8_t)('0' + (mode >> (3 * (FILE_VALUE_MODE_SIZE - 2 - i)) & 7));
    out[FILE_VALUE_MODE_SIZE - 1] = ' ';
}

bool file_value_read_mode(const uint8_t *value, size_t size, uint32_t *out)
{
    uint8_t expected[FILE_VALUE_MODE_SIZE];
    if (size < FILE_VALUE_MODE_SIZE)
        return false;
    for (size_t i = 0; i < sizeof(file_modes) / sizeof(file_modes[0]); i++) {
        file_value_write_mode(file_modes[i], expected);
        if (memcmp(value, expected, FILE_VALUE_MODE_SIZE) == 0) {
            *out = file_modes[i];
            return true;
        }
    }
    return false;
}
