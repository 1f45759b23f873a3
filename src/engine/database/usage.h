/* What a database takes: counted from what there is to read now. */
#ifndef STRATA_ENGINE_DATABASE_USAGE_H
#define STRATA_ENGINE_DATABASE_USAGE_H

#include "engine/database/database.h"

struct database_usage {
    uint64_t memtable_bytes;
    uint64_t backlog_bytes; /* In memtables that wait for their flush. */
    uint32_t live_runs;
    uint32_t history_runs;
};

/* Waits for nothing. */
STRATA_CHECKED strata_status database_usage(struct store *store, struct database_usage *out);

/* All heap of the database. */
uint64_t database_memory(const strata *db);

#endif
