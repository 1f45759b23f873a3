/* The system's clock as a strata_clock, used where the caller gives none. */
#ifndef STRATA_CORE_CLOCK_H
#define STRATA_CORE_CLOCK_H

#include "core/public.h"

/* Real time; `wait` sleeps in slices of at most 10 ms. The pointer is static. */
const strata_clock *clock_system(void);

#endif
