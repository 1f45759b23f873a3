#include "api/scene.h"

#include "model/temp_folder.h"

#include <stdio.h>

static int64_t scene_wall(void *context)
{
    return ((struct scene_clock *)context)->wall_us;
}

static int64_t scene_monotonic(void *context)
{
    return ((struct scene_clock *)context)->monotonic_us;
}

static void scene_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    struct scene_clock *clock = context;
    const bool woken = wake != NULL && *wake != 0;
    if (!woken && until_us > clock->monotonic_us) {
        clock->wall_us += until_us - clock->monotonic_us;
        clock->monotonic_us = until_us;
    }
}

static void open_again(struct scene *scene)
{
    expect_ok(strata_open(scene->path, &scene->options, &scene->db));
    expect_ok(strata_txn_auto(scene->db, "main", &scene->txn));
}

void scene_open(struct scene *scene, bool folder, uint64_t budget)
{
    memset(scene, 0, sizeof(*scene));
    scene->time.wall_us = SCENE_START_US;
    scene->time.monotonic_us = 1000000;
    scene->clock = (strata_clock){&scene->time, scene_wall, scene_monotonic, scene_wait};
    scene->allocator = test_heap_init(&scene->heap);
    scene->options = (strata_open_options){
        .size = sizeof(scene->options),
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = budget,
        .seed = 1,
        .allocator = &scene->allocator,
        .clock = &scene->clock,
    };
    scene->folder = folder;
    snprintf(scene->path, sizeof(scene->path), ":memory:");
    if (folder)
        temp_folder_create(scene->path);
    open_again(scene);
}

void scene_close(struct scene *scene)
{
    strata_txn_close(scene->txn);
    expect_ok(strata_close(scene->db));
    test_heap_assert_empty(&scene->heap);
    if (scene->folder)
        temp_folder_remove(scene->path);
}

void scene_reopen(struct scene *scene)
{
    strata_txn_close(scene->txn);
    expect_ok(strata_close(scene->db));
    test_heap_assert_empty(&scene->heap);
    open_again(scene);
}

void scene_pass(struct scene *scene, int64_t us)
{
    scene->time.wall_us += us;
    scene->time.monotonic_us += us;
}

static int set_up(void **state, bool folder, uint64_t budget)
{
    struct scene *scene = malloc(sizeof(*scene));
    if (scene == NULL)
        return -1;
    *state = scene;
    scene_open(scene, folder, budget);
    return 0;
}

int scene_set_up(void **state)
{
    return set_up(state, false, 0);
}

int scene_set_up_folder(void **state)
{
    return set_up(state, true, 0);
}

int scene_set_up_small(void **state)
{
    return set_up(state, false, 1 << 20);
}

int scene_set_up_small_folder(void **state)
{
    return set_up(state, true, 1 << 20);
}

int scene_tear_down(void **state)
{
    scene_close(*state);
    free(*state);
    return 0;
}

void expect_status(strata_status status, strata_status wanted, const char *call, const char *file,
                   int line)
{
    if (status == wanted)
        return;
    print_error("%s: %s (%s), not %s\n", call, strata_status_name(status),
                status == STRATA_OK ? "" : strata_error_message(), strata_status_name(wanted));
    _fail(file, line);
}

void expect_invalid_status(strata_status status, const char *word, const char *call,
                           const char *file, int line)
{
    expect_status(status, STRATA_INVALID, call, file, line);
    if (strstr(strata_error_message(), word) != NULL)
        return;
    print_error("%s: \"%s\" does not say \"%s\"\n", call, strata_error_message(), word);
    _fail(file, line);
}

void put(strata_txn *txn, const char *key, const char *value)
{
    expect_ok(strata_kv_put(txn, NULL, strata_text(key), strata_text(value)));
}

const char *get(strata_txn *txn, const char *key)
{
    static char text[STRATA_VALUE_INLINE_BYTES + 1];
    strata_value value = {0};
    const strata_status status = strata_kv_get(txn, NULL, strata_text(key), &value);
    if (status == STRATA_NOT_FOUND)
        return NULL;
    expect_ok(status);
    assert_true(value.size < sizeof(text));
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    strata_value_release(&value);
    return text;
}

const char *keys_of(strata_txn *txn, strata_space *space, const strata_scan_options *options)
{
    static char keys[4096];
    size_t length = 0;
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status;
    expect_ok(strata_kv_scan(txn, space, options, &cursor));
    while ((status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        assert_true(length + row.key.size + 2 < sizeof(keys));
        memcpy(keys + length, row.key.data, row.key.size);
        length += row.key.size;
        keys[length++] = ' ';
    }
    expect(status, STRATA_DONE);
    strata_cursor_close(cursor);
    keys[length] = '\0';
    return keys;
}

strata_txn *begin(const struct scene *scene)
{
    strata_txn *txn = NULL;
    expect_ok(strata_txn_begin(scene->db, "main", NULL, &txn));
    return txn;
}

strata_txn *snapshot(const struct scene *scene, strata_point point)
{
    strata_txn *txn = NULL;
    expect_ok(strata_txn_snapshot(scene->db, point, &txn));
    return txn;
}

void fill_bytes(unsigned char *to, size_t size, unsigned seed)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < size; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        to[i] = (unsigned char)(random >> 56);
    }
}
