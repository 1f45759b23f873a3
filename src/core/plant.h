/* Planted bugs: one-line faults that only a test build has, so that it can be measured whether the
 * tests find them. `#if STRATA_PLANT == n` builds fault number n; 0, the default, builds none. */
#ifndef STRATA_CORE_PLANT_H
#define STRATA_CORE_PLANT_H

#ifndef STRATA_PLANT
#define STRATA_PLANT 0
#endif

#endif
