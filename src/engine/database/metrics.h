/* The measured things, by number. */
#ifndef STRATA_ENGINE_DATABASE_METRICS_H
#define STRATA_ENGINE_DATABASE_METRICS_H

#include "engine/database/database.h"

uint32_t metrics_count(void);

/* Name, description and unit of number `index`, below metrics_count. */
void metrics_describe(uint32_t index, strata_metric *out);

/* Its values as well. Waits for nothing. */
STRATA_CHECKED strata_status metrics_read(const strata *db, uint32_t index, strata_metric *out);

#endif
