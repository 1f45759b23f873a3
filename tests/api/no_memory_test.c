/* A heap that refuses the nth request, for every n, in every kind of call: the call says so, nothing
 * is lost or leaked, and the same call works afterwards. */
#include "api/scene.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONG_VALUE = 70000, MANY = 20 };

static unsigned char long_bytes[LONG_VALUE];

/* One round of work; the first call that fails ends it. */
typedef strata_status (*work)(struct scene *scene, unsigned round);

static strata_status write_alone(struct scene *scene, unsigned round)
{
    char key[32];
    snprintf(key, sizeof(key), "key%u", round);
    const strata_kv_put_options options = {.size = sizeof(options), .condition = STRATA_IF_ABSENT};
    strata_status status = strata_kv_put(scene->txn, NULL, strata_text(key), strata_text("v"));
    if (status == STRATA_OK)
        status = strata_kv_increment(scene->txn, NULL, strata_text("n"), 1, NULL);
    if (status == STRATA_OK)
        status = strata_kv_delete(scene->txn, NULL, strata_text(key));
    if (status == STRATA_OK)
        status = strata_kv_put_with(scene->txn, NULL, strata_text(key), strata_text("w"), &options);
    return status;
}

static strata_status write_long(struct scene *scene, unsigned round)
{
    (void)round;
    return strata_kv_put(scene->txn, NULL, strata_text("long"),
                         strata_view(long_bytes, LONG_VALUE));
}

static strata_status write_pieces(struct scene *scene, unsigned round)
{
    strata_kv_writer *writer = NULL;
    (void)round;
    strata_status status =
        strata_kv_write_open(scene->txn, NULL, strata_text("pieces"), NULL, &writer);
    for (int i = 0; i < 7 && status == STRATA_OK; i++)
        status = strata_kv_write_append(writer, strata_view(long_bytes, LONG_VALUE / 7));
    const strata_status closed = strata_kv_write_close(writer, status == STRATA_OK);
    return status != STRATA_OK ? status : closed;
}

static strata_status write_many(struct scene *scene, unsigned round)
{
    strata_kv_write writes[MANY];
    char keys[MANY][32];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof(keys[i]), "many%u-%u", round, i);
        writes[i] = (strata_kv_write){.key = strata_text(keys[i]), .value = strata_text("v")};
    }
    return strata_kv_put_many(scene->txn, NULL, writes, MANY);
}

static strata_status transact(struct scene *scene, unsigned round)
{
    strata_txn *txn = NULL;
    uint32_t mark = 0;
    (void)round;
    const strata_txn_options options = {.size = sizeof(options), .message = "a message"};
    strata_status status = strata_txn_begin(scene->db, "main", &options, &txn);
    if (status == STRATA_OK)
        status = strata_kv_put(txn, NULL, strata_text("a"), strata_text("1"));
    if (status == STRATA_OK)
        status = strata_txn_mark(txn, &mark);
    if (status == STRATA_OK)
        status = strata_kv_increment(txn, NULL, strata_text("n"), 1, NULL);
    if (status == STRATA_OK)
        status = strata_kv_put(txn, NULL, strata_text("b"), strata_view(long_bytes, LONG_VALUE));
    if (status == STRATA_OK)
        status = strata_txn_undo(txn, mark);
    if (status == STRATA_OK)
        status = strata_txn_commit(txn, NULL);
    strata_txn_close(txn);
    return status;
}

static strata_status read_all(struct scene *scene, unsigned round)
{
    strata_cursor *cursor = NULL, *history = NULL;
    strata_row row;
    strata_value value = {0}, kept = {0};
    uint64_t count = 0;
    (void)round;
    strata_status status = strata_kv_get(scene->txn, NULL, strata_text("long"), &value);
    if (status == STRATA_OK)
        status = strata_kv_scan(scene->txn, NULL, NULL, &cursor);
    while (status == STRATA_OK && (status = strata_kv_next(cursor, &row)) == STRATA_OK)
        status = strata_cursor_keep(cursor, &kept);
    if (status == STRATA_DONE)
        status = strata_kv_history(scene->txn, NULL, strata_text("long"), &history);
    while (status == STRATA_OK && (status = strata_kv_next(history, &row)) == STRATA_OK)
        continue;
    if (status == STRATA_DONE)
        status = strata_kv_count(scene->txn, NULL, NULL, &count);
    strata_cursor_close(cursor);
    strata_cursor_close(history);
    strata_value_release(&value);
    strata_value_release(&kept);
    return status;
}

static strata_status use_branches(struct scene *scene, unsigned round)
{
    strata_txn *txn = NULL;
    strata_space *space = NULL;
    strata_cursor *cursor = NULL;
    strata_branch_info info;
    strata_log_entry entry;
    char name[32];
    snprintf(name, sizeof(name), "branch%u", round);
    strata_status status = strata_branch_fork(scene->db, strata_head("main"), name, NULL);
    if (status == STRATA_OK)
        status = strata_txn_auto(scene->db, name, &txn);
    if (status == STRATA_OK)
        status = strata_space_open(scene->db, name, &space);
    if (status == STRATA_OK)
        status = strata_kv_put(txn, space, strata_text("a"), strata_text("1"));
    if (status == STRATA_OK)
        status = strata_branch_list(scene->db, name, &cursor);
    while (status == STRATA_OK && (status = strata_branch_next(cursor, &info)) == STRATA_OK)
        continue;
    strata_cursor_close(cursor);
    cursor = NULL;
    if (status == STRATA_DONE)
        status = strata_log_open(scene->db, strata_head(name), &cursor);
    for (int i = 0; i < 3 && status == STRATA_OK; i++)
        status = strata_log_next(cursor, &entry);
    strata_cursor_close(cursor);
    strata_txn_close(txn);
    if (status == STRATA_OK)
        status = strata_branch_delete(scene->db, name);
    return status;
}

static strata_status reopen(struct scene *scene, unsigned round)
{
    strata *db = NULL;
    (void)round;
    strata_status status = strata_open(":memory:", &scene->options, &db);
    if (status == STRATA_OK)
        status = strata_close(db);
    return status;
}

static void refuse_each_request(struct scene *scene, work run, size_t number)
{
    static unsigned round; /* Names are not used again. */
    for (uint64_t n = 1;; n++) {
        const uint64_t before = scene->heap.requests;
        scene->heap.fail_at = before + n;
        const strata_status status = run(scene, round++);
        const bool refused = scene->heap.requests >= scene->heap.fail_at;
        scene->heap.fail_at = 0;
        if (status != STRATA_OK)
            expect(status, STRATA_NO_MEMORY);
        expect_ok(run(scene, round++));
        if (!refused)
            return;
        if (n == 2000)
            fail_msg("work %zu takes ever more requests: %llu", number,
                     (unsigned long long)(scene->heap.requests - before));
    }
}

static void every_refusal_is_survived(void **state)
{
    struct scene *scene = *state;
    static const work works[] = {write_alone, write_long,   write_pieces, write_many,
                                 transact,    use_branches, read_all,     reopen};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
            refuse_each_request(scene, works[i], i);
        expect_ok(strata_checkpoint(scene->db));
    }
    expect_ok(strata_check(scene->db, NULL, NULL, NULL));
    assert_string_equal(get(scene->txn, "a"), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_refusal_is_survived, scene_set_up_folder,
                                        scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
