/* The system's clock as a strata_clock, used where the caller gives none. */
#ifndef STRATA_CORE_CLOCK_H
#define STRATA_CORE_CLOCK_H

#include "core/public.h"

/* Real time; `wait` sleeps in slices of at most 10 ms. The pointer is static. */
const strata_clock *clock_system(void);

enum { CLOCK_TEXT_SIZE = 24 };

/* UTC to the second, as "2026-11-20T07:30:00Z"; "an unknown time" outside of 1970 to 9999. */
void clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);

#endif
