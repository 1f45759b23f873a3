#include "model/model.h"

#include <stdlib.h>
#include <string.h>

struct name_change {
    int branch;
    uint64_t version;
    char name[MODEL_NAME_SIZE];
};

struct kept_view {
    int branch;
    uint64_t version;
    struct model_view view;
};

/* Blocks are kept in one list until the end: rows are never freed one by one. */
struct block {
    struct block *next;
    unsigned char bytes[];
};

struct model {
    struct model_row **rows; /* In commit order. */
    size_t row_count, row_capacity;
    struct model_branch *branches;
    int branch_count;
    struct name_change *names; /* In commit order. */
    size_t name_count;
    int64_t *times; /* [version] */
    uint64_t version;
    struct kept_view *views; /* By hash of (branch, version), open addressing. */
    size_t view_count, view_capacity;
    struct block *blocks;
};

/* ---- memory ---------------------------------------------------------------------------------- */

static void *grow(void *block, size_t size)
{
    void *grown = realloc(block, size > 0 ? size : 1);
    if (grown == NULL)
        abort();
    return grown;
}

static void *keep(struct model *model, const void *data, size_t size)
{
    struct block *block = grow(NULL, sizeof(*block) + size + 1);
    block->next = model->blocks;
    model->blocks = block;
    if (size > 0 && data != NULL)
        memcpy(block->bytes, data, size);
    block->bytes[size] = 0;
    return block->bytes;
}

static void forget_views(struct model *model)
{
    for (size_t i = 0; i < model->view_capacity; i++)
        free((void *)(uintptr_t)model->views[i].view.rows);
    free(model->views);
    model->views = NULL;
    model->view_count = model->view_capacity = 0;
}

struct model *model_create(void)
{
    struct model *model = grow(NULL, sizeof(*model));
    *model = (struct model){0};
    model->times = grow(NULL, sizeof(model->times[0]));
    model->times[0] = 0;
    model_fork(model, MODEL_NO_BRANCH, 0, "main");
    return model;
}

void model_destroy(struct model *model)
{
    if (model == NULL)
        return;
    forget_views(model);
    while (model->blocks != NULL) {
        struct block *next = model->blocks->next;
        free(model->blocks);
        model->blocks = next;
    }
    free(model->rows);
    free(model->branches);
    free(model->names);
    free(model->times);
    free(model);
}

/* ---- commits --------------------------------------------------------------------------------- */

uint64_t model_begin(struct model *model, int64_t time_us)
{
    model->version++;
    model->times = grow(model->times, (size_t)(model->version + 1) * sizeof(model->times[0]));
    const int64_t before = model->times[model->version - 1];
    model->times[model->version] = time_us > before ? time_us : before;
    return model->version;
}

void model_cancel(struct model *model)
{
    const uint64_t version = model->version--;
    while (model->row_count > 0 && model->rows[model->row_count - 1]->version == version)
        model->row_count--;
    while (model->name_count > 0 && model->names[model->name_count - 1].version == version)
        model->name_count--;
    while (model->branch_count > 1 && model->branches[model->branch_count - 1].created == version)
        model->branch_count--;
    for (int i = 0; i < model->branch_count; i++) {
        if (model->branches[i].dropped == version)
            model->branches[i].dropped = 0;
    }
    forget_views(model);
}

static bool same_bytes(strata_bytes a, strata_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool same_key(const struct model_row *row, const char *space, strata_bytes key)
{
    return same_bytes(row->key, key) && strcmp(row->space, space) == 0;
}

/* A new row of the present commit, or its earlier one for the same key. */
static struct model_row *write_row(struct model *model, int branch, const char *space,
                                   strata_bytes key)
{
    for (size_t i = model->row_count; i-- > 0;) {
        struct model_row *row = model->rows[i];
        if (row->version != model->version)
            break;
        if (row->branch == branch && same_key(row, space, key))
            return row;
    }
    if (model->row_count == model->row_capacity) {
        model->row_capacity = model->row_capacity == 0 ? 64 : model->row_capacity * 2;
        model->rows = grow(model->rows, model->row_capacity * sizeof(struct model_row *));
    }
    const struct model_row empty = {
        .branch = branch,
        .space = keep(model, space, strlen(space)),
        .key = {keep(model, key.data, key.size), key.size},
        .version = model->version,
        .time_us = model->times[model->version],
    };
    struct model_row *row = keep(model, &empty, sizeof(empty));
    model->rows[model->row_count++] = row;
    return row;
}

void model_put(struct model *model, int branch, const char *space, strata_bytes key,
               strata_bytes value, int64_t expires_us)
{
    struct model_row *row = write_row(model, branch, space, key);
    row->value = (strata_bytes){keep(model, value.data, value.size), value.size};
    row->flags = expires_us != 0 ? STRATA_ROW_EXPIRES : 0;
    row->expires_us = expires_us;
    row->swept = false;
}

bool model_delete(struct model *model, int branch, const char *space, strata_bytes key)
{
    const struct model_row *seen = model_find(model, branch, space, key, model->version);
    if (seen == NULL || (seen->flags & STRATA_ROW_TOMBSTONE) != 0)
        return false;
    struct model_row *row = write_row(model, branch, space, key);
    row->value = (strata_bytes){NULL, 0};
    row->flags = STRATA_ROW_TOMBSTONE;
    row->expires_us = 0;
    return true;
}

bool model_delete_space(struct model *model, int branch, const char *space)
{
    bool any = false;
    const size_t count = model->row_count;
    for (size_t i = 0; i < count; i++) {
        const struct model_row *row = model->rows[i];
        if (strcmp(row->space, space) == 0 && model_delete(model, branch, space, row->key)) {
            write_row(model, branch, space, row->key)->swept = true;
            any = true;
        }
    }
    return any;
}

int64_t model_increment(struct model *model, int branch, const char *space, strata_bytes key,
                        int64_t delta)
{
    uint64_t sum = (uint64_t)delta;
    const struct model_row *seen = model_find(model, branch, space, key, model->version);
    if (seen != NULL && (seen->flags & STRATA_ROW_TOMBSTONE) == 0) {
        for (unsigned i = 0; i < 8; i++)
            sum += (uint64_t)((const unsigned char *)seen->value.data)[i] << (8 * i);
    }
    unsigned char bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(sum >> (8 * i));
    model_put(model, branch, space, key, (strata_bytes){bytes, 8}, 0);
    write_row(model, branch, space, key)->flags = STRATA_ROW_COUNTER;
    return (int64_t)sum;
}

void model_rename(struct model *model, int branch, const char *name)
{
    model->names = grow(model->names, (model->name_count + 1) * sizeof(model->names[0]));
    struct name_change *change = &model->names[model->name_count++];
    *change = (struct name_change){.branch = branch, .version = model->version};
    strncpy(change->name, name, MODEL_NAME_SIZE - 1);
}

int model_fork(struct model *model, int parent, uint64_t fork_version, const char *name)
{
    model->branches =
        grow(model->branches, (size_t)(model->branch_count + 1) * sizeof(model->branches[0]));
    model->branches[model->branch_count] = (struct model_branch){
        .parent = parent, .fork_version = fork_version, .created = model->version};
    model_rename(model, model->branch_count, name);
    return model->branch_count++;
}

void model_drop(struct model *model, int branch)
{
    model->branches[branch].dropped = model->version;
}

uint64_t model_version(const struct model *model)
{
    return model->version;
}

int64_t model_time(const struct model *model, uint64_t version)
{
    return model->times[version];
}

/* ---- what must be there ---------------------------------------------------------------------- */

int model_branch_count(const struct model *model)
{
    return model->branch_count;
}

const struct model_branch *model_branch_at(const struct model *model, int branch)
{
    return &model->branches[branch];
}

const char *model_branch_name(const struct model *model, int branch, uint64_t version)
{
    const struct model_branch *found = &model->branches[branch];
    if (found->created > version || (found->dropped != 0 && found->dropped <= version))
        return NULL;
    const char *name = NULL;
    for (size_t i = 0; i < model->name_count && model->names[i].version <= version; i++) {
        if (model->names[i].branch == branch)
            name = model->names[i].name;
    }
    return name;
}

int model_branch_find(const struct model *model, const char *name, uint64_t version)
{
    for (int i = 0; i < model->branch_count; i++) {
        const char *found = model_branch_name(model, i, version);
        if (found != NULL && strcmp(found, name) == 0)
            return i;
    }
    return MODEL_NO_BRANCH;
}

uint64_t model_branch_head(const struct model *model, int branch, uint64_t version)
{
    for (size_t i = model->row_count; i-- > 0;) {
        if (model->rows[i]->branch == branch && model->rows[i]->version <= version)
            return model->rows[i]->version;
    }
    return model->branches[branch].fork_version;
}

/* Whether `branch` at `version` sees the commits of `row`. */
static bool sees(const struct model *model, int branch, uint64_t version,
                 const struct model_row *row)
{
    while (branch != MODEL_NO_BRANCH) {
        if (row->branch == branch)
            return row->version <= version;
        const struct model_branch *at = &model->branches[branch];
        if (at->fork_version < version)
            version = at->fork_version;
        branch = at->parent;
    }
    return false;
}

/* Rows of a child are younger than what it inherits, so the newest row that is seen wins. */
size_t model_history(const struct model *model, int branch, const char *space, strata_bytes key,
                     uint64_t version, const struct model_row **out, size_t capacity)
{
    size_t count = 0;
    for (size_t i = model->row_count; i-- > 0;) {
        const struct model_row *row = model->rows[i];
        if (!same_key(row, space, key) || !sees(model, branch, version, row))
            continue;
        if (count < capacity)
            out[count] = row;
        count++;
    }
    return count;
}

const struct model_row *model_find(const struct model *model, int branch, const char *space,
                                   strata_bytes key, uint64_t version)
{
    const struct model_row *row = NULL;
    return model_history(model, branch, space, key, version, &row, 1) > 0 ? row : NULL;
}

/* By space and key, newest first. */
static int compare_rows(const void *a, const void *b)
{
    const struct model_row *left = *(const struct model_row *const *)a;
    const struct model_row *right = *(const struct model_row *const *)b;
    int order = strcmp(left->space, right->space);
    const size_t size = left->key.size < right->key.size ? left->key.size : right->key.size;
    if (order == 0)
        order = memcmp(left->key.data, right->key.data, size);
    if (order == 0 && left->key.size != right->key.size)
        order = left->key.size < right->key.size ? -1 : 1;
    if (order == 0)
        order = left->version > right->version ? -1 : left->version < right->version;
    return order;
}

static struct model_view build_view(const struct model *model, int branch, uint64_t version)
{
    const struct model_row **rows = grow(NULL, (model->row_count + 1) * sizeof(*rows));
    size_t seen = 0, kept = 0;
    for (size_t i = 0; i < model->row_count; i++) {
        if (sees(model, branch, version, model->rows[i]))
            rows[seen++] = model->rows[i];
    }
    qsort(rows, seen, sizeof(*rows), compare_rows);
    const struct model_row *previous = NULL;
    for (size_t i = 0; i < seen; i++) {
        const bool newest = previous == NULL || !same_key(previous, rows[i]->space, rows[i]->key);
        previous = rows[i];
        if (newest && (rows[i]->flags & STRATA_ROW_TOMBSTONE) == 0)
            rows[kept++] = rows[i];
    }
    return (struct model_view){.count = kept, .rows = rows};
}

static struct kept_view *view_slot(struct kept_view *views, size_t capacity, int branch,
                                   uint64_t version)
{
    size_t at = (size_t)((version * 31 + (uint64_t)branch) * 0x9e3779b97f4a7c15u >> 20) % capacity;
    while (views[at].view.rows != NULL &&
           (views[at].branch != branch || views[at].version != version))
        at = (at + 1) % capacity;
    return &views[at];
}

const struct model_view *model_view(struct model *model, int branch, uint64_t version)
{
    if (model->view_count * 2 >= model->view_capacity) {
        const size_t capacity = model->view_capacity == 0 ? 256 : model->view_capacity * 2;
        struct kept_view *views = grow(NULL, capacity * sizeof(*views));
        memset(views, 0, capacity * sizeof(*views));
        for (size_t i = 0; i < model->view_capacity; i++) {
            const struct kept_view *old = &model->views[i];
            if (old->view.rows != NULL)
                *view_slot(views, capacity, old->branch, old->version) = *old;
        }
        free(model->views);
        model->views = views;
        model->view_capacity = capacity;
    }
    struct kept_view *slot = view_slot(model->views, model->view_capacity, branch, version);
    if (slot->view.rows == NULL) {
        *slot = (struct kept_view){branch, version, build_view(model, branch, version)};
        model->view_count++;
    }
    return &slot->view;
}
