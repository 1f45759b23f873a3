#include "model/world_inner.h"

#include "simdisk/sim_random.h"

#include <stdio.h>

size_t world_live_branches(const struct world *world, int *out, size_t capacity)
{
    size_t count = 0;
    const uint64_t version = model_version(world->model);
    for (int i = 0; i < model_branch_count(world->model); i++) {
        if (model_branch_name(world->model, i, version) != NULL && count < capacity)
            out[count++] = i;
    }
    return count;
}

int world_draw_branch(struct world *world)
{
    int branches[64];
    const size_t count = world_live_branches(world, branches, 64);
    return branches[sim_below(&world->random, count)];
}

const char *world_branch_name(const struct world *world, int branch)
{
    return model_branch_name(world->model, branch, model_version(world->model));
}

static int depth_of(const struct world *world, int branch)
{
    int depth = 0;
    while ((branch = model_branch_at(world->model, branch)->parent) != MODEL_NO_BRANCH)
        depth++;
    return depth;
}

static void fork_branch(struct world *world, bool older)
{
    int branches[64];
    const size_t count = world_live_branches(world, branches, 64);
    int from = branches[sim_below(&world->random, count)];
    for (size_t i = 0; i < count && !older; i++) {
        if (depth_of(world, branches[i]) > depth_of(world, from))
            from = branches[i];
    }
    const uint64_t now = model_version(world->model);
    const uint64_t created = model_branch_at(world->model, from)->created;
    uint64_t version = now;
    if (older && now > created + 1)
        version = created + 1 + sim_below(&world->random, now - created);
    char from_name[MODEL_NAME_SIZE]; /* The model moves its names when it forks. */
    snprintf(from_name, sizeof(from_name), "%s", world_branch_name(world, from));
    strata_point point = strata_head(from_name);
    if (version != now)
        point.version = version;
    char name[MODEL_NAME_SIZE];
    snprintf(name, sizeof(name), "b%u", ++world->names_given);
    world_begin(world);
    model_fork(world->model, from, model_branch_head(world->model, from, version), name);
    world_end(world, "fork", strata_branch_fork(world->db, point, name, NULL), false);
}

void world_fork(struct world *world)
{
    fork_branch(world, false);
}

void world_fork_older(struct world *world)
{
    fork_branch(world, true);
}

void world_create_branch(struct world *world)
{
    char name[MODEL_NAME_SIZE];
    snprintf(name, sizeof(name), "n%u", ++world->names_given);
    world_begin(world);
    model_fork(world->model, MODEL_NO_BRANCH, 0, name);
    world_end(world, "create", strata_branch_create(world->db, name, NULL), false);
}

static bool has_live_child(const struct world *world, int branch)
{
    for (int i = 0; i < model_branch_count(world->model); i++) {
        if (model_branch_at(world->model, i)->parent == branch &&
            world_branch_name(world, i) != NULL)
            return true;
    }
    return false;
}

/* A branch other than main; one with children if there is one. */
static int draw_victim(struct world *world)
{
    int branches[64];
    const size_t count = world_live_branches(world, branches, 64);
    int victim = MODEL_NO_BRANCH;
    for (size_t i = 0; i < count; i++) {
        if (branches[i] != 0 && (victim == MODEL_NO_BRANCH || has_live_child(world, branches[i])))
            victim = branches[i];
    }
    return victim;
}

void world_drop(struct world *world)
{
    const int victim = draw_victim(world);
    if (victim == MODEL_NO_BRANCH)
        return;
    char name[MODEL_NAME_SIZE];
    snprintf(name, sizeof(name), "%s", world_branch_name(world, victim));
    world_begin(world);
    model_drop(world->model, victim);
    world_end(world, "drop", strata_branch_delete(world->db, name), false);
}

void world_rename(struct world *world)
{
    const int branch = draw_victim(world);
    if (branch == MODEL_NO_BRANCH)
        return;
    char name[MODEL_NAME_SIZE], new_name[MODEL_NAME_SIZE];
    snprintf(name, sizeof(name), "%s", world_branch_name(world, branch));
    snprintf(new_name, sizeof(new_name), "r%u", ++world->names_given);
    world_begin(world);
    model_rename(world->model, branch, new_name);
    world_end(world, "rename", strata_branch_rename(world->db, name, new_name), false);
}
