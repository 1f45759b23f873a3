#include "model/world_inner.h"

#include "simdisk/sim_random.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    KEYS = 24,
    WORLD_WRITES_MAX = 8,
    SMALL_VALUE_MAX = 60,
    BIG_VALUE_MIN = 66 << 10,
    BIG_VALUE_MAX = 150 << 10,
    WRITER_PIECE = 20 << 10
};

static const char *const space_names[] = {"default", "default", "s1", "s2"};

/* ---- operands -------------------------------------------------------------------------------- */

struct operand {
    char key[32];
    unsigned char *value;
    size_t size;
};

static strata_bytes key_of(const struct operand *operand)
{
    return strata_text(operand->key);
}

static strata_bytes value_of(const struct operand *operand)
{
    return strata_view(operand->value, operand->size);
}

static struct operand draw_key(struct world *world, const char *prefix, unsigned keys)
{
    struct operand operand = {{0}, NULL, 0};
    snprintf(operand.key, sizeof(operand.key), "%s%02u", prefix,
             (unsigned)sim_below(&world->random, keys));
    return operand;
}

static void draw_value(struct world *world, struct operand *operand, size_t least, size_t most)
{
    operand->size = least + (size_t)sim_below(&world->random, most - least + 1);
    operand->value = malloc(operand->size + 1);
    if (operand->value == NULL)
        abort();
    uint64_t random = sim_random(&world->random);
    for (size_t i = 0; i < operand->size; i++)
        operand->value[i] = (unsigned char)((i & 7u) == 0 ? sim_random(&random) : random >> i % 8);
}

/* An auto transaction on a branch and a space, both drawn. */
struct place {
    int branch;
    const char *space_name;
    strata_txn *txn;
    strata_space *space;
};

static bool open_place(struct world *world, struct place *out)
{
    out->branch = world_draw_branch(world);
    out->space_name = space_names[sim_below(&world->random, 4)];
    out->txn = NULL;
    out->space = NULL;
    return world_call(
               world, "auto",
               strata_txn_auto(world->db, world_branch_name(world, out->branch), &out->txn)) &&
           world_call(world, "space", strata_space_open(world->db, out->space_name, &out->space));
}

static void close_place(struct place *place)
{
    strata_txn_close(place->txn);
    strata_space_close(place->space);
}

static void use_default_space(struct place *place)
{
    strata_space_close(place->space);
    place->space = NULL;
    place->space_name = "default";
}

/* ---- steps: one key -------------------------------------------------------------------------- */

static void put_value(struct world *world, unsigned keys, size_t least, size_t most)
{
    struct place place;
    struct operand operand = draw_key(world, "k", keys);
    draw_value(world, &operand, least, most);
    if (open_place(world, &place)) {
        world_begin(world);
        model_put(world->model, place.branch, place.space_name, key_of(&operand),
                  value_of(&operand), 0);
        world_end(world, "put",
                  strata_kv_put(place.txn, place.space, key_of(&operand), value_of(&operand)),
                  world_is_always(world));
    }
    close_place(&place);
    free(operand.value);
}

void world_put(struct world *world)
{
    put_value(world, KEYS, 0, SMALL_VALUE_MAX);
}

void world_put_hot(struct world *world)
{
    put_value(world, 3, 0, 8 * SMALL_VALUE_MAX);
}

void world_put_big(struct world *world)
{
    put_value(world, 4, BIG_VALUE_MIN, BIG_VALUE_MAX);
}

void world_delete(struct world *world)
{
    struct place place;
    const struct operand operand = draw_key(world, "k", KEYS);
    if (open_place(world, &place)) {
        const struct model_row *seen = model_find(world->model, place.branch, place.space_name,
                                                  key_of(&operand), model_version(world->model));
        const bool present = seen != NULL && (seen->flags & STRATA_ROW_TOMBSTONE) == 0;
        if (present) {
            world_begin(world);
            model_delete(world->model, place.branch, place.space_name, key_of(&operand));
        }
        const strata_status status = strata_kv_delete(place.txn, place.space, key_of(&operand));
        if (present)
            world_end(world, "delete", status, world_is_always(world));
        else
            world_call(world, "delete of nothing", status);
    }
    close_place(&place);
}

void world_increment(struct world *world)
{
    struct place place;
    const struct operand operand = draw_key(world, "c", 4);
    const int64_t delta = (int64_t)sim_below(&world->random, 1000) - 300;
    const bool blind = sim_below(&world->random, 2) == 0;
    if (open_place(world, &place)) {
        int64_t sum = 0;
        world_begin(world);
        const int64_t expected =
            model_increment(world->model, place.branch, place.space_name, key_of(&operand), delta);
        if (world_end(world, "increment",
                      strata_kv_increment(place.txn, place.space, key_of(&operand), delta,
                                          blind ? NULL : &sum),
                      world_is_always(world)) &&
            !blind && sum != expected)
            world_stop(world, "increment gave %lld, not %lld", (long long)sum, (long long)expected);
    }
    close_place(&place);
}

void world_expiring(struct world *world)
{
    struct place place;
    struct operand operand = draw_key(world, "t", 6);
    draw_value(world, &operand, 1, SMALL_VALUE_MAX);
    const strata_kv_put_options options = {
        .size = sizeof(options),
        .ttl_us = 1000 + (int64_t)sim_below(&world->random, 400000),
    };
    if (open_place(world, &place)) {
        use_default_space(&place);
        world_begin(world);
        const int64_t time_us = model_time(world->model, model_version(world->model));
        model_put(world->model, place.branch, "default", key_of(&operand), value_of(&operand),
                  time_us + options.ttl_us);
        world_end(
            world, "put that expires",
            strata_kv_put_with(place.txn, NULL, key_of(&operand), value_of(&operand), &options),
            world_is_always(world));
    }
    close_place(&place);
    free(operand.value);
}

/* Background work goes on while a value is on its way; what becomes of it is of no interest here. */
static void work_meanwhile(struct world *world)
{
    if (sim_below(&world->random, 2) == 0)
        (void)!strata_maintain(world->db, 1000, NULL);
}

static strata_status write_in_pieces(struct world *world, const struct place *place,
                                     const struct operand *operand)
{
    strata_kv_writer *writer = NULL;
    strata_status status =
        strata_kv_write_open(place->txn, place->space, key_of(operand), NULL, &writer);
    for (size_t at = 0; status == STRATA_OK && at < operand->size; at += WRITER_PIECE) {
        const size_t left = operand->size - at;
        status = strata_kv_write_append(
            writer, strata_view(operand->value + at, left < WRITER_PIECE ? left : WRITER_PIECE));
        work_meanwhile(world);
    }
    if (writer == NULL)
        return status;
    const strata_status closed = strata_kv_write_close(writer, 1);
    return closed != STRATA_OK ? closed : status;
}

void world_writer(struct world *world)
{
    struct place place;
    struct operand operand = draw_key(world, "w", 3);
    draw_value(world, &operand, BIG_VALUE_MIN, BIG_VALUE_MAX);
    if (open_place(world, &place)) {
        world_begin(world);
        model_put(world->model, place.branch, place.space_name, key_of(&operand),
                  value_of(&operand), 0);
        world_end(world, "writer", write_in_pieces(world, &place, &operand),
                  world_is_always(world));
    }
    close_place(&place);
    free(operand.value);
}

/* ---- steps: many keys ------------------------------------------------------------------------ */

/* Distinct keys, with a value or for removal. */
struct batch {
    struct operand operands[WORLD_WRITES_MAX];
    strata_kv_write writes[WORLD_WRITES_MAX];
    size_t count;
};

static void draw_batch(struct world *world, struct batch *out)
{
    out->count = 0;
    const size_t wanted = 2 + (size_t)sim_below(&world->random, WORLD_WRITES_MAX - 1);
    const unsigned first = (unsigned)sim_below(&world->random, KEYS);
    for (size_t i = 0; i < wanted && i < WORLD_WRITES_MAX; i++) {
        struct operand operand = {{0}, NULL, 0};
        snprintf(operand.key, sizeof(operand.key), "k%02u", (first + 5 * (unsigned)i) % KEYS);
        draw_value(world, &operand, 0, SMALL_VALUE_MAX);
        out->operands[out->count++] = operand;
    }
    for (size_t i = 0; i < out->count; i++) {
        const bool remove = sim_below(&world->random, 4) == 0;
        out->writes[i] =
            (strata_kv_write){.key = key_of(&out->operands[i]),
                              .value = remove ? strata_view(NULL, 0) : value_of(&out->operands[i]),
                              .remove = remove};
    }
}

static void free_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->operands[i].value);
}

/* Begins a commit with the writes [0, count). False, and nothing begun, if it would be empty. */
static bool begin_batch(struct world *world, const struct place *place, const struct batch *batch,
                        size_t count)
{
    bool any = false;
    world_begin(world);
    for (size_t i = 0; i < count; i++) {
        const strata_kv_write *write = &batch->writes[i];
        if (write->remove) {
            any |= model_delete(world->model, place->branch, place->space_name, write->key);
        } else {
            model_put(world->model, place->branch, place->space_name, write->key, write->value, 0);
            any = true;
        }
    }
    if (!any)
        model_cancel(world->model);
    return any;
}

void world_many(struct world *world)
{
    struct place place;
    struct batch batch;
    draw_batch(world, &batch);
    if (open_place(world, &place)) {
        const bool any = begin_batch(world, &place, &batch, batch.count);
        const strata_status status =
            strata_kv_put_many(place.txn, place.space, batch.writes, batch.count);
        if (any)
            world_end(world, "many", status, world_is_always(world));
        else
            world_call(world, "many deletes of nothing", status);
    }
    close_place(&place);
    free_batch(&batch);
}

static strata_status write_all(strata_txn *txn, strata_space *space, const struct batch *batch,
                               size_t first, size_t end_index)
{
    strata_status status = STRATA_OK;
    for (size_t i = first; i < end_index && status == STRATA_OK; i++) {
        const strata_kv_write *write = &batch->writes[i];
        status = write->remove ? strata_kv_delete(txn, space, write->key)
                               : strata_kv_put(txn, space, write->key, write->value);
    }
    return status;
}

/* The second half of the writes is undone by a mark every other time. */
static strata_status fill_transaction(strata_txn *txn, strata_space *space,
                                      const struct batch *batch, size_t kept)
{
    uint32_t mark = 0;
    strata_status status = write_all(txn, space, batch, 0, kept);
    if (status == STRATA_OK && kept < batch->count)
        status = strata_txn_mark(txn, &mark);
    if (status == STRATA_OK)
        status = write_all(txn, space, batch, kept, batch->count);
    if (status == STRATA_OK && kept < batch->count)
        status = strata_txn_undo(txn, mark);
    return status;
}

static void transaction_step(struct world *world, uint32_t durability)
{
    struct place place;
    struct batch batch;
    draw_batch(world, &batch);
    const size_t kept = sim_below(&world->random, 2) == 0 ? batch.count : batch.count / 2;
    const strata_txn_options options = {.size = sizeof(options), .durability = durability};
    strata_txn *txn = NULL;
    if (open_place(world, &place) &&
        world_call(
            world, "begin",
            strata_txn_begin(world->db, world_branch_name(world, place.branch), &options, &txn)) &&
        world_call(world, "writes", fill_transaction(txn, place.space, &batch, kept))) {
        strata_commit commit = {0, 0};
        const bool any = begin_batch(world, &place, &batch, kept);
        const strata_status status = strata_txn_commit(txn, &commit);
        if (!any)
            world_call(world, "empty commit", status);
        else if (world_end(world, "commit", status, durability == STRATA_ALWAYS) &&
                 (commit.version != world->returned ||
                  commit.time_us != model_time(world->model, world->returned)))
            world_stop(world, "commit is %llu at %lld, not %llu",
                       (unsigned long long)commit.version, (long long)commit.time_us,
                       (unsigned long long)world->returned);
    }
    strata_txn_close(txn);
    close_place(&place);
    free_batch(&batch);
}

void world_standard(struct world *world)
{
    transaction_step(world, STRATA_STANDARD);
}

void world_always(struct world *world)
{
    transaction_step(world, STRATA_ALWAYS);
}

/* A value of over 64 KiB, put long before its commit. */
void world_big_transaction(struct world *world)
{
    struct place place;
    struct operand operand = draw_key(world, "w", 3);
    draw_value(world, &operand, BIG_VALUE_MIN, BIG_VALUE_MAX);
    const strata_txn_options options = {.size = sizeof(options), .durability = STRATA_STANDARD};
    strata_txn *txn = NULL;
    if (open_place(world, &place) &&
        world_call(
            world, "begin",
            strata_txn_begin(world->db, world_branch_name(world, place.branch), &options, &txn)) &&
        world_call(world, "put",
                   strata_kv_put(txn, place.space, key_of(&operand), value_of(&operand)))) {
        work_meanwhile(world);
        world_begin(world);
        model_put(world->model, place.branch, place.space_name, key_of(&operand),
                  value_of(&operand), 0);
        world_end(world, "commit", strata_txn_commit(txn, NULL), false);
    }
    strata_txn_close(txn);
    close_place(&place);
    free(operand.value);
}

void world_delete_space(struct world *world)
{
    struct place place;
    if (open_place(world, &place) && strcmp(place.space_name, "default") != 0) {
        world_begin(world);
        if (!model_delete_space(world->model, place.branch, place.space_name))
            model_cancel(world->model);
        else
            world_end(world, "delete of a space", strata_space_delete(place.txn, place.space),
                      world_is_always(world));
    }
    close_place(&place);
}

/* ---- steps: reading ---------------------------------------------------------------------- */

void world_read(struct world *world)
{
    struct place place;
    strata_value value = {0};
    const struct operand operand = draw_key(world, "k", KEYS);
    if (open_place(world, &place)) {
        const struct model_row *row = model_find(world->model, place.branch, place.space_name,
                                                 key_of(&operand), model_version(world->model));
        const bool present = row != NULL && (row->flags & STRATA_ROW_TOMBSTONE) == 0;
        const strata_status status =
            strata_kv_get(place.txn, place.space, key_of(&operand), &value);
        const bool found = status == STRATA_OK;
        if (!found && status != STRATA_NOT_FOUND)
            world_call(world, "get", status);
        else if (!world->unknown && found != present)
            world_stop(world, "get of %s: %s", operand.key, found ? "found" : "not found");
        else if (!world->unknown && found &&
                 (value.version != row->version || value.size != row->value.size ||
                  (value.size > 0 && memcmp(value.data, row->value.data, value.size) != 0)))
            world_stop(world, "get of %s: version %llu of %zu bytes, not %llu of %zu", operand.key,
                       (unsigned long long)value.version, value.size,
                       (unsigned long long)row->version, row->value.size);
    }
    strata_value_release(&value);
    close_place(&place);
}

/* Draws nothing. Rows are compared elsewhere: here there have to be as many each time. */
void world_scan_often(struct world *world)
{
    enum { SCANS = 200 };
    strata_txn *txn = NULL;
    uint64_t first = 0;
    if (world->scans_little ||
        !world_call(world, "auto", strata_txn_auto(world->db, world_branch_name(world, 0), &txn)))
        return;
    for (unsigned i = 0; i < SCANS && !world->stopped; i++) {
        uint64_t count = 0;
        if (!world_call(world, "count", strata_kv_count(txn, NULL, NULL, &count)))
            break;
        if (i > 0 && count != first)
            world_stop(world, "%llu rows are %llu of a sudden", (unsigned long long)first,
                       (unsigned long long)count);
        first = count;
    }
    strata_txn_close(txn);
}
