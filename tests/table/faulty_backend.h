/* A backend in front of another one that fails, or lies, at a chosen point. */
#ifndef STRATA_TESTS_TABLE_FAULTY_BACKEND_H
#define STRATA_TESTS_TABLE_FAULTY_BACKEND_H

#include "backend/backend.h"

#include <stdatomic.h>

/* Set the fields in the middle between calls. */
struct faulty_backend {
    strata_backend backend; /* Give this to what is tested. */
    const strata_backend *inner;
    _Atomic uint64_t operations; /* Those that can fail, so far. */
    uint64_t fail_at;     /* The operation, from 1, that fails with EIO, as all later ones do. */
    uint64_t flip_offset; /* This byte of every object is read as */
    uint8_t flip_mask;    /* itself ^ flip_mask. */
    uint64_t cut_size;    /* Objects end here; 0: where they end. */
    void (*on_read)(struct faulty_backend *faulty); /* Called before each read; NULL: nothing. */
    void *on_read_context;
    char trace[256]; /* A letter for each operation: c o r a s n x. */
};

/* Everything opened through it is closed before `faulty` goes. */
void faulty_backend_init(struct faulty_backend *faulty, const strata_backend *inner);

#endif
