/* What the program says to people: faults, progress, large numbers; and the time it takes. */
#ifndef STRATA_DEMO_REPORT_H
#define STRATA_DEMO_REPORT_H

#include "strata.h"

#include <stdbool.h>
#include <stdint.h>

/* One line on stderr, after the program's name. Returns false, for `return complain(...)`. */
bool complain(const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

/* The same for a call of the library that answered `status`, right after it did. */
bool complain_strata(const char *what, strata_status status);

/* A counter on stderr if that is a terminal, at most ten times a second; total 0 is unknown. */
struct progress {
    const char *stage;
    uint64_t total;
    int64_t shown_us;
    bool shown;
};

struct progress progress_begin(const char *stage, uint64_t total);
void progress_step(struct progress *progress, uint64_t done);
void progress_end(struct progress *progress);

/* Of a clock that only goes forward. */
int64_t now_ns(void);

/* "14,732", for printf. The text lasts until the eighth call after this one. */
const char *thousands(uint64_t number);

#endif
