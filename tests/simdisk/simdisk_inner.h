/* What the parts of the simulated disk share: simdisk.c runs it, simdisk_image.c cuts its power,
 * simdisk_tables.c has what both are made of. */
#ifndef STRATA_TESTS_SIMDISK_INNER_H
#define STRATA_TESTS_SIMDISK_INNER_H

#include "simdisk/sim_content.h"
#include "simdisk/simdisk.h"

#include <pthread.h>

/* A name that was ever given to an object. Shared by all disks and images that came from one. */
struct sim_name {
    uint32_t references;
    char text[];
};

enum { SIM_PAGE = 4096, SIM_PAST_KEPT = 6 };

/* One object. Its index in the disk's table is its identity there and in images of the disk. */
struct sim_file {
    struct sim_name *name;
    struct sim_content *live;    /* What the running process reads. */
    struct sim_content *durable; /* What a power cut cannot take. */
    uint64_t append_end;
    bool named;          /* In its folder, for the running process. */
    bool named_durable;  /* In its folder, whatever happens. */
    bool published;      /* A sync of names returned DONE while it had its name. */
    bool retired;        /* Removed for good: if published, the name must not come again. */
    bool sealed;         /* A sync of it failed, or it came from an earlier life of the disk. */
    unsigned char *ring; /* A ring's bytes: `live` is what they were at the last operation. */
    struct sim_content *past[SIM_PAST_KEPT]; /* And before that; NULL: not that many changes. */
};

enum sim_change { SIM_WRITE, SIM_RESERVE, SIM_NAMED, SIM_UNNAMED };

/* A change that a power cut may lose. Shared by images. */
struct sim_pending {
    uint32_t references;
    enum sim_change change;
    size_t file;
    uint64_t offset;
    uint64_t size; /* Of a reservation: all of it, from 0. */
    bool doomed;   /* A sync over it failed: no later one makes it durable. */
    unsigned char data[];
};

struct sim_files {
    struct sim_file *at;
    size_t count;
    size_t capacity;
};

struct sim_pendings {
    struct sim_pending **at;
    size_t count;
    size_t capacity;
};

struct simdisk_image {
    struct sim_files files;
    struct sim_pendings pending;
    struct sim_pendings written; /* The last writes, durable or not: a store of valid old bytes. */
    uint64_t ring_bytes;
};

enum { SIM_WRITTEN_KEPT = 24 };

struct simdisk {
    strata_backend backend;
    pthread_mutex_t mutex; /* Recursive: guards all of the below. */
    struct sim_files files;
    struct sim_pendings pending;
    struct sim_pendings written;
    bool exclusive;
    unsigned sharers;
    bool rooted;
    char owner[129];
    uint64_t operations;
    uint64_t hash;
    struct sim_fault fault;
    uint64_t failures;
    uint64_t limit;
    uint64_t ring_bytes;
    bool dead;
    bool recording;
    char *record;
    size_t record_size;
    size_t record_capacity;
    void (*before)(void *context, struct simdisk *disk, const struct sim_operation *operation);
    void *before_context;
    char misuse[200];
};

/* Takes note of what has changed in rings. */
void sim_rings_note(struct sim_files *files);

struct sim_file *sim_files_add(struct sim_files *files, struct sim_name *name);
void sim_files_share(struct sim_files *to, const struct sim_files *from);
void sim_files_release(struct sim_files *files);

void sim_pendings_add(struct sim_pendings *list, struct sim_pending *pending);
void sim_pendings_share(struct sim_pendings *to, const struct sim_pendings *from);
void sim_pendings_release(struct sim_pendings *list);
void sim_pending_drop(struct sim_pending *pending);

struct sim_name *sim_name_create(const char *text);
struct sim_name *sim_name_share(struct sim_name *name);

#endif
