#include "model/content.h"

#include "simdisk/sim_random.h"

#include <stdlib.h>

static void add_number(uint64_t *hash, uint64_t number)
{
    *hash = sim_mix(*hash ^ number) + 0x9e3779b97f4a7c15u;
}

static void add_bytes(uint64_t *hash, strata_bytes bytes)
{
    *hash = sim_hash(bytes.data, bytes.size, *hash);
}

static void add_row(uint64_t *hash, const strata_row *row)
{
    add_bytes(hash, row->key);
    add_bytes(hash, row->value);
    add_number(hash, row->version);
    add_number(hash, (uint64_t)row->time_us);
    add_number(hash, (uint64_t)row->expires_us);
    add_number(hash, row->flags);
}

static strata_status add_history(uint64_t *hash, strata_txn *txn, strata_space *space,
                                 strata_bytes key)
{
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status = strata_kv_history(txn, space, key, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &row)) == STRATA_OK)
        add_row(hash, &row);
    strata_cursor_close(cursor);
    return status == STRATA_DONE ? STRATA_OK : status;
}

static strata_status add_space(uint64_t *hash, strata_txn *txn, strata_space *space,
                               int with_histories)
{
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status = strata_kv_scan(txn, space, NULL, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        add_row(hash, &row);
        if (with_histories)
            status = add_history(hash, txn, space, row.key);
    }
    strata_cursor_close(cursor);
    return status == STRATA_DONE ? STRATA_OK : status;
}

static strata_status add_point(uint64_t *hash, strata *db, strata_point point, int with_histories)
{
    strata_txn *txn = NULL;
    strata_cursor *names = NULL;
    const char *name = NULL;
    strata_status status = strata_txn_snapshot(db, point, &txn);
    if (status == STRATA_OK)
        status = strata_space_list(txn, &names);
    while (status == STRATA_OK && (status = strata_name_next(names, &name)) == STRATA_OK) {
        strata_space *space = NULL;
        add_bytes(hash, strata_text(name));
        status = strata_space_open(db, name, &space);
        if (status == STRATA_OK)
            status = add_space(hash, txn, space, with_histories);
        strata_space_close(space);
    }
    strata_cursor_close(names);
    strata_txn_close(txn);
    return status == STRATA_DONE ? STRATA_OK : status;
}

static strata_status add_branch(uint64_t *hash, strata *db, const strata_branch_info *info,
                                uint64_t visible)
{
    add_bytes(hash, strata_text(info->name));
    add_bytes(hash, info->parent == NULL ? strata_view(NULL, 0) : strata_text(info->parent));
    add_number(hash, info->fork_version);
    add_number(hash, info->head_version);
    strata_status status = add_point(hash, db, strata_head(info->name), 1);
    for (uint64_t version = info->parent == NULL ? visible : 1;
         status == STRATA_OK && version <= visible; version++)
        status = add_point(hash, db, strata_at_version(info->name, version), 0);
    return status;
}

strata_status content_hash(strata *db, uint64_t *out)
{
    uint64_t visible = 0;
    uint64_t hash = 0;
    strata_cursor *branches = NULL;
    strata_branch_info info;
    strata_watermarks(db, &visible, NULL);
    add_number(&hash, visible);
    strata_status status = strata_branch_list(db, NULL, &branches);
    while (status == STRATA_OK && (status = strata_branch_next(branches, &info)) == STRATA_OK)
        status = add_branch(&hash, db, &info, visible);
    strata_cursor_close(branches);
    *out = hash;
    return status == STRATA_DONE ? STRATA_OK : status;
}
