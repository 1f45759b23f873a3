#include "model/model_check.h"
#include "model/world_inner.h"

#include <stdio.h>

/* ---- a snapshot that is held over other steps ---- */

static bool is_shown(const struct world *world, const struct model_row *row)
{
    return strcmp(row->space, "default") == 0 &&
           (row->expires_us == 0 || row->expires_us > world->held_us);
}

/* Compares what the snapshot shows of the default space with what it showed when it was taken. */
static void compare_held(struct world *world, strata_cursor *cursor)
{
    const struct model_view *view =
        model_view(world->model, world->held_branch, world->held_version);
    size_t at = 0;
    strata_row row;
    strata_status status;
    while ((status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        while (at < view->count && !is_shown(world, view->rows[at]))
            at++;
        if (at == view->count || !model_check_row(view->rows[at++], &row)) {
            world_stop(world, "a snapshot of version %llu shows another row of version %llu",
                       (unsigned long long)world->held_version, (unsigned long long)row.version);
            return;
        }
    }
    while (at < view->count && !is_shown(world, view->rows[at]))
        at++;
    if (status == STRATA_DONE && at < view->count)
        world_stop(world, "a snapshot of version %llu lost rows",
                   (unsigned long long)world->held_version);
    else if (status != STRATA_DONE)
        world_call(world, "scan of a snapshot", status);
}

static void look_at_held(struct world *world)
{
    strata_cursor *cursor = NULL;
    if (world->held != NULL &&
        world_call(world, "scan of a snapshot", strata_kv_scan(world->held, NULL, NULL, &cursor)))
        compare_held(world, cursor);
    strata_cursor_close(cursor);
}

void world_let_go(struct world *world)
{
    strata_txn_close(world->held);
    world->held = NULL;
}

void world_hold(struct world *world)
{
    look_at_held(world);
    world_let_go(world);
    if (world->stopped || world->unknown)
        return;
    world->held_branch = world_draw_branch(world);
    world->held_version = model_version(world->model);
    const int64_t last_us = model_time(world->model, world->held_version);
    world->held_us = world->wall_us > last_us ? world->wall_us : last_us;
    const strata_point point = strata_head(world_branch_name(world, world->held_branch));
    world_call(world, "snapshot", strata_txn_snapshot(world->db, point, &world->held));
}

void world_look(struct world *world)
{
    look_at_held(world);
}
