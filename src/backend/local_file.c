#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "backend/local_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

enum { RESERVE_PIECE_SIZE = 64 * 1024 };

int local_file_write(int file, uint64_t offset, const void *data, size_t size, size_t *written_out)
{
    const uint8_t *from = data;
    size_t written = 0;
    int error = 0;
    while (written < size && error == 0) {
        const ssize_t count =
            pwrite(file, from + written, size - written, (off_t)(offset + written));
        if (count > 0)
            written += (size_t)count;
        else if (count == 0)
            error = EIO;
        else if (errno != EINTR)
            error = errno;
    }
    *written_out = written;
    return error;
}

int local_file_reserve(int file, uint64_t size)
{
    static uint8_t zeros[RESERVE_PIECE_SIZE]; /* Not const, to take no room in the program. */
    for (uint64_t offset = 0; offset < size; offset += RESERVE_PIECE_SIZE) {
        const uint64_t left = size - offset;
        const size_t piece = left < RESERVE_PIECE_SIZE ? (size_t)left : RESERVE_PIECE_SIZE;
        size_t written = 0;
        const int error = local_file_write(file, offset, zeros, piece, &written);
        if (error != 0)
            return error;
        assert(written == piece);
    }
    return 0;
}

int local_file_reserve_lazily(int file, uint64_t size)
{
#ifdef __linux__
    if (size == 0)
        return 0;
    const int error = posix_fallocate(file, 0, (off_t)size);
    if (error == 0 || error == ENOSPC || error == EDQUOT || error == EFBIG)
        return error;
#endif
    return local_file_reserve(file, size);
}
