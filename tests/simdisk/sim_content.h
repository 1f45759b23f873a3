/* The bytes of one simulated object, copied on write: whole contents and single pages are shared
 * between a disk, its crash images and the disks mounted from them. Not for several threads at
 * once, unless they hold the disk's lock. A failing malloc ends the program. */
#ifndef STRATA_TESTS_SIM_CONTENT_H
#define STRATA_TESTS_SIM_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_content;

/* Never NULL. */
void *sim_allocate(size_t size);
void *sim_grow(void *block, size_t size);

struct sim_content *sim_content_create(void);
struct sim_content *sim_content_share(struct sim_content *content);
void sim_content_drop(struct sim_content *content);

uint64_t sim_content_size(const struct sim_content *content);

/* Bytes at `offset`, fewer at the end; returns how many. */
size_t sim_content_read(const struct sim_content *content, uint64_t offset, void *to, size_t size);

/* Both change only what `*slot` refers to, and replace it if others share it. Bytes between the old
 * end and `offset` become zero. */
void sim_content_write(struct sim_content **slot, uint64_t offset, const void *data, size_t size);
void sim_content_extend(struct sim_content **slot, uint64_t size);

/* Equal bytes give equal hashes. Kept until the next change. */
uint64_t sim_content_hash(struct sim_content *content);

#endif
