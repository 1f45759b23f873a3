/* Threads that wait for something to be over, and are let go all at once: nobody who leaves takes a
 * lock, so they do not wait for each other. */
#ifndef STRATA_CORE_GATE_H
#define STRATA_CORE_GATE_H

#include "core/lock.h"

#include <stdatomic.h>
#include <stdint.h>

struct gate {
    _Atomic uint32_t passes; /* Wraps. */
    struct mutex mutex;      /* Where the system cannot wait for a number to change. */
    struct condition passed;
};

void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);

/* The present pass, which a later gate_wait names. What was true then and is to change has been looked
 * at under a lock that gate_pass comes after. */
uint32_t gate_look(struct gate *gate);

/* Returns once gate_pass has been called after `seen` was looked at. */
void gate_wait(struct gate *gate, uint32_t seen);

/* Lets everyone go who waits. What was written before is seen by them. */
void gate_pass(struct gate *gate);

#endif
