/* The public header with its experimental section, which the library itself always needs. Nothing
 * inside includes strata.h in another way. */
#ifndef STRATA_CORE_PUBLIC_H
#define STRATA_CORE_PUBLIC_H

#ifndef STRATA_EXPERIMENTAL
#define STRATA_EXPERIMENTAL
#endif
#include "strata.h"

#endif
