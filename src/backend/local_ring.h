/* Files mapped into memory, for `ring` of the local backend: bytes that a killed process leaves to
 * the page cache. Only where a store can neither fail nor be lost with the process. */
#ifndef STRATA_BACKEND_LOCAL_RING_H
#define STRATA_BACKEND_LOCAL_RING_H

#include <stdint.h>

struct local_ring {
    void *bytes; /* NULL: none. */
    uint64_t size;
};

/* Whether stores into a mapped file of this file system are safe: on ext4, xfs and tmpfs a block that
 * was written keeps its place. On btrfs each change takes a new one, and on a full disk the process
 * would be killed for it; on network file systems another machine has its own idea of the bytes. */
int local_ring_safe(int file);

/* Maps the empty `file`, open for reading and writing, at `size` bytes of zeros that are written, so
 * that no store needs a block, and present. 0, or an errno. */
int local_ring_map(int file, uint64_t size, struct local_ring *out);

/* Fine if there is none. */
void local_ring_unmap(struct local_ring *ring);

#endif
