/* What the parts of the world share: world.c runs scripts, the steps are in world_writes.c,
 * world_branches.c and world_held.c. */
#ifndef STRATA_TESTS_WORLD_INNER_H
#define STRATA_TESTS_WORLD_INNER_H

#include "model/world.h"

/* Always false. The first reason stays. */
bool world_stop(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The end of a call that is no commit. Returns whether it succeeded. */
bool world_call(struct world *world, const char *what, strata_status status);

/* A commit begins in the model before the call that makes it. */
void world_begin(struct world *world);

/* Ends the commit begun last. `durable`: its success promises that it survives a power cut. Returns
 * whether it succeeded. */
bool world_end(struct world *world, const char *what, strata_status status, bool durable);

/* Whether commits are durable when they return, unless they ask for less. Those of branches are not. */
bool world_is_always(const struct world *world);

/* Raises the floor to the durable watermark. */
void world_note_durable(struct world *world);

/* Branches that are not dropped. */
size_t world_live_branches(const struct world *world, int *out, size_t capacity);
int world_draw_branch(struct world *world);
const char *world_branch_name(const struct world *world, int branch);

/* The steps, as in world.h. */
void world_put(struct world *world);
void world_put_hot(struct world *world);
void world_put_big(struct world *world);
void world_delete(struct world *world);
void world_increment(struct world *world);
void world_expiring(struct world *world);
void world_many(struct world *world);
void world_standard(struct world *world);
void world_always(struct world *world);
void world_writer(struct world *world);
void world_big_transaction(struct world *world);
void world_delete_space(struct world *world);
void world_read(struct world *world);
void world_scan_often(struct world *world);
void world_fork(struct world *world);
void world_fork_older(struct world *world);
void world_create_branch(struct world *world);
void world_drop(struct world *world);
void world_rename(struct world *world);
void world_hold(struct world *world);
void world_look(struct world *world);

/* Closes the snapshot that is held. */
void world_let_go(struct world *world);

#endif
