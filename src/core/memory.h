/* The one door to the heap. Every byte of a database goes through its strata_allocator, counted. */
#ifndef STRATA_CORE_MEMORY_H
#define STRATA_CORE_MEMORY_H

#include "core/lock.h"
#include "core/status.h"

#include <stdatomic.h>
#include <stddef.h>

struct memory_block; /* Private. */

/* Counts what is allocated through `allocator`, which forwards to `base`. Of one size, blocks that are
 * freed are kept for whoever asks for that size next: what comes fresh from the system is cleared when
 * it is first touched, which costs as much as filling it.
 *
 * Invariants: live_bytes is the sum of the sizes asked for and not freed, peak_bytes its maximum; what
 * would make it more than live_bytes_max is refused; a request on its way counts already. While
 * anything is kept, live_bytes + kept_bytes <= peak_bytes: so keeping never raises what `base` has lent. */
struct memory {
    strata_allocator allocator; /* Give this to constructors. */
    strata_allocator base;
    size_t live_bytes_max; /* SIZE_MAX, until it is set before the memory is shared. */
    _Atomic size_t live_bytes;
    _Atomic size_t peak_bytes;
    size_t keep_size;  /* Blocks of this size are kept; 0: none. */
    struct mutex lock; /* Guards `kept` and changes of kept_bytes. */
    struct memory_block *kept;
    _Atomic size_t kept_bytes;
};

/* `base` NULL: the C library's heap. `memory` must not move afterwards. */
void memory_init(struct memory *memory, const strata_allocator *base);

/* For small machines: blocks of 128 KiB and more of the C library's heap are mapped, and gone when they are
 * freed. A heap keeps them: what lies below another block cannot be given back, and each thread has a heap
 * of its own. Each block costs two calls of the system and its page faults. Before the first block. */
void memory_map_large_blocks(struct memory *memory);
/* All is freed. */
void memory_destroy(struct memory *memory);

/* From now on blocks of this size, at least a pointer's, are kept. Nothing is allocated yet. */
void memory_keep(struct memory *memory, size_t size);

/* Gives back what is kept. Any thread. */
void memory_trim(struct memory *memory);

/* NULL when out of memory, without a failure message. `size` > 0. Not zeroed. */
void *allocate(const strata_allocator *allocator, size_t size);

/* As allocate(), of zero bytes. */
void *allocate_zeroed(const strata_allocator *allocator, size_t size);

/* Frees what allocate() gave, of the same size. NULL is fine. */
void release(const strata_allocator *allocator, void *block, size_t size);

/* A NUL-terminated copy of `text`, of size strlen + 1; NULL when out of memory. */
char *allocate_text(const strata_allocator *allocator, const char *text);

#endif
