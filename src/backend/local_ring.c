#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "backend/local_ring.h"

#include "backend/local_file.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

enum { LOCAL_RING_PAGE = 4096 };

#ifdef __linux__
int local_ring_safe(int file)
{
    /* As linux/magic.h has them: ext2 to ext4, xfs, tmpfs. */
    static const uint32_t safe[] = {0xef53, 0x58465342, 0x01021994};
    struct statfs attributes;
    if (fstatfs(file, &attributes) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
        if ((uint32_t)attributes.f_type == safe[i])
            return 1;
    }
    return 0;
}
#else
int local_ring_safe(int file)
{
    (void)file;
    return 0;
}
#endif

int local_ring_map(int file, uint64_t size, struct local_ring *out)
{
    assert(size > 0 && size % LOCAL_RING_PAGE == 0);
    if (size > SIZE_MAX)
        return EFBIG;
    const int error = local_file_reserve(file, size);
    if (error != 0)
        return error;
    void *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return errno;
    /* The first store to a page makes it present and writable: better here than in a commit. */
    volatile uint8_t *touched = bytes;
    for (uint64_t at = 0; at < size; at += LOCAL_RING_PAGE)
        touched[at] = 0;
    *out = (struct local_ring){.bytes = bytes, .size = size};
    return 0;
}

void local_ring_unmap(struct local_ring *ring)
{
    if (ring->bytes == NULL)
        return;
    (void)munmap(ring->bytes, (size_t)ring->size);
    *ring = (struct local_ring){.bytes = NULL};
}
