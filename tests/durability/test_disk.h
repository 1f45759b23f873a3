/* A backend for tests: the memory backend, whose operations can be made to fail, whose objects can be
 * damaged, and which knows what a power cut would leave. */
#ifndef STRATA_TESTS_DURABILITY_TEST_DISK_H
#define STRATA_TESTS_DURABILITY_TEST_DISK_H

#include "backend/backend.h"
#include "core/lock.h"

#include "support.h"

enum { DISK_OBJECTS_MAX = 512 };

/* Kinds of operations, for test_disk.fail_kinds. Those that change something come first. */
enum {
    DISK_CREATE = 1,
    DISK_APPEND = 2,
    DISK_SYNC = 4,
    DISK_SYNC_NAMES = 8,
    DISK_REMOVE = 16,
    DISK_OPEN = 32,
    DISK_READ = 64,
    DISK_LIST = 128,
    DISK_RING = 256,
    DISK_ALL = 511
};

/* What a power cut would leave of an object. */
struct disk_entry {
    char name[OBJECT_NAME_SIZE];
    uint64_t appended;
    uint64_t durable; /* Of those bytes. */
    uint64_t reserved;
    bool name_durable;
};

struct test_disk {
    strata_backend backend; /* Give this to what is tested. */
    const strata_backend *inner;
    struct mutex lock; /* Guards what follows against appending and syncing at once. */
    struct disk_entry entries[DISK_OBJECTS_MAX];
    uint32_t entry_count;
    uint64_t operations; /* Of the kinds that may fail. */
    uint64_t fail_at;    /* The number of the operation, from 1, that fails; 0: none. */
    bool fail_from_then_on;
    uint32_t fail_kinds;
    int fail_error;
    size_t torn_bytes;  /* A failed append leaves at most as many. */
    bool hidden_effect; /* A failed sync_names or remove has worked all the same. */
    uint64_t syncs;
    uint64_t lazy_count;            /* Objects made lazily. */
    void (*in_sync)(void *context); /* Called in a sync once it is clear what will be durable. */
    void *in_sync_context;
    uint64_t ring_bytes; /* Of a ring; 0, as at first: there is none. */
    uint8_t *ring;       /* The bytes of the one that was given last. */
};

void disk_init(struct test_disk *disk);
void disk_release(struct test_disk *disk);

/* Fails operation `at` from now on of the given kinds, with errno `error`. */
void disk_fail(struct test_disk *disk, uint64_t at, uint32_t kinds, int error);
void disk_heal(struct test_disk *disk);

/* Throws away what is not durable. Nothing may be open. */
void disk_cut_power(struct test_disk *disk);

bool disk_has(struct test_disk *disk, const char *name);
uint64_t disk_size(struct test_disk *disk, const char *name);

/* The whole object, to be released; `size` bytes. */
uint8_t *disk_take(struct test_disk *disk, const char *name, size_t *size);

/* Replaces or creates an object with these bytes, durable. */
void disk_put(struct test_disk *disk, const char *name, const uint8_t *data, size_t size);
void disk_remove(struct test_disk *disk, const char *name);
void disk_flip(struct test_disk *disk, const char *name, uint64_t offset, uint8_t bits);
void disk_cut(struct test_disk *disk, const char *name, uint64_t size);

/* Gives every object whose name begins so the zeros that were reserved for it. */
void disk_pad(struct test_disk *disk, const char *prefix);

/* Makes `to` hold the same objects. */
void disk_copy(struct test_disk *disk, struct test_disk *to);

#endif
