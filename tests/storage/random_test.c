#include "storage/storage_fixture.h"

#include "core/random.h"
#include "storage/oracle.h"

#include <stdio.h>

enum { CURSORS = 3, ROUNDS = 700, CHECK_GETS = 30, HISTORY_MAX = 4000 };

/* A scan that stays open while everything changes. */
struct open_cursor {
    bool made; /* `scan` has memory. */
    bool open;
    struct branch *handle;
    bool reverse;
    struct storage_scan scan;
    int branch, space;
    uint64_t version;
    int next; /* The first key that may be shown next. */
};

struct chaos {
    struct fixture fixture;
    struct oracle oracle;
    struct random random;
    int last_value;
    struct open_cursor cursors[CURSORS];
    bool deep; /* Forks are mostly of the newest branch, and handles stay open. */
    struct branch *kept[ORACLE_BRANCHES];
    unsigned room; /* For views of forks. */
};

static uint64_t below(struct chaos *chaos, uint64_t bound)
{
    return random_next(&chaos->random) % bound;
}

static const char *space_name(int space)
{
    static const char *const names[ORACLE_SPACES] = {"default", "notes", "files"};
    return names[space];
}

static const char *key_text(int key)
{
    static char text[400];
    const int length = snprintf(text, sizeof(text), "key-%02d", key);
    if (key % 7 == 3) { /* Some are too long for short ways. */
        memset(text + length, 'x', 300);
        text[length + 300] = '\0';
    }
    return text;
}

static const char *value_text(int value)
{
    static char text[32];
    snprintf(text, sizeof(text), "value-%d", value);
    return text;
}

static uint64_t newest(struct chaos *chaos)
{
    uint64_t version;
    int64_t time_us;
    storage_head(&chaos->fixture.storage, &version, &time_us);
    return version;
}

static int draw_branch(struct chaos *chaos)
{
    for (;;) {
        const int branch = (int)below(chaos, (uint64_t)chaos->oracle.branch_count);
        if (!chaos->oracle.branches[branch].deleted)
            return branch;
    }
}

static struct branch *branch_handle(struct chaos *chaos, int branch)
{
    return fixture_branch(&chaos->fixture, chaos->oracle.branches[branch].name);
}

/* ---- checks ---- */

static void check_get(struct chaos *chaos, const struct storage_view *view, int branch,
                      uint64_t version, int space, int key)
{
    const int expected = oracle_get(&chaos->oracle, branch, version, space, key);
    const char *found = fixture_get(
        &chaos->fixture, view, fixture_space(&chaos->fixture, space_name(space)), key_text(key));
    if (expected == 0)
        assert_null(found);
    else
        assert_string_equal(found == NULL ? "nothing" : found, value_text(expected));
}

/* Several keys at once, some of them twice. */
static void check_get_many(struct chaos *chaos, const struct storage_view *view, int branch,
                           uint64_t version, int space)
{
    static char texts[STORAGE_BATCH_MAX][400];
    struct store_reader *reader = &chaos->fixture.reader;
    struct bytes keys[STORAGE_BATCH_MAX];
    struct storage_row rows[STORAGE_BATCH_MAX];
    int drawn[STORAGE_BATCH_MAX];
    const uint32_t count = (uint32_t)below(chaos, STORAGE_BATCH_MAX + 1);
    for (uint32_t i = 0; i < count; i++) {
        drawn[i] = (int)below(chaos, ORACLE_KEYS);
        snprintf(texts[i], sizeof(texts[i]), "%s", key_text(drawn[i]));
        keys[i] = bytes_of(texts[i], strlen(texts[i]));
    }
    struct storage_space *sought = fixture_space(&chaos->fixture, space_name(space));
    storage_enter(reader);
    assert_int_equal(storage_get_many(reader, view, sought, KIND_KV, keys, count, rows), STRATA_OK);
    for (uint32_t i = 0; i < count; i++) {
        const int expected = oracle_get(&chaos->oracle, branch, version, space, drawn[i]);
        assert_int_equal(rows[i].found, expected != 0);
        if (rows[i].found)
            assert_true(bytes_equal(rows[i].row.value,
                                    bytes_of(value_text(expected), strlen(value_text(expected)))));
        storage_unpin(reader, &rows[i]);
    }
    storage_leave(reader);
}

static void check_scan(struct chaos *chaos, const struct storage_view *view, int branch,
                       uint64_t version, int space, bool reverse)
{
    static char text[ORACLE_KEYS * 400];
    const int low = (int)below(chaos, ORACLE_KEYS);
    const int high = (int)below(chaos, ORACLE_KEYS);
    char first[400], end[400];
    const bool ended = below(chaos, 2) == 0;
    snprintf(first, sizeof(first), "%s", key_text(low));
    snprintf(end, sizeof(end), "%s", key_text(high));
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; i < ORACLE_KEYS; i++) {
        const int key = reverse ? ORACLE_KEYS - 1 - i : i;
        const int value = oracle_get(&chaos->oracle, branch, version, space, key);
        if (key < low || (ended && key >= high) || value == 0)
            continue;
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "%s%s=", length > 0 ? " " : "", key_text(key));
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", value_text(value));
    }
    const char *found =
        fixture_scan(&chaos->fixture, view, fixture_space(&chaos->fixture, space_name(space)),
                     first, ended ? end : NULL, reverse);
    assert_string_equal(found, text);
}

static void check_history(struct chaos *chaos, const struct storage_view *view, int branch,
                          uint64_t version, int space, int key)
{
    static char text[HISTORY_MAX * 32];
    static struct oracle_write expected[HISTORY_MAX];
    size_t length = 0;
    const size_t count =
        oracle_history(&chaos->oracle, branch, version, space, key, expected, HISTORY_MAX);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const bool gone = expected[i].value == 0;
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%llu%s%s",
                                   length > 0 ? " " : "", (unsigned long long)expected[i].version,
                                   gone ? "-" : "=", gone ? "" : value_text(expected[i].value));
    }
    assert_string_equal(fixture_history(&chaos->fixture, view,
                                        fixture_space(&chaos->fixture, space_name(space)),
                                        key_text(key)),
                        text);
}

static void check_log(struct chaos *chaos, struct branch *handle, int branch, uint64_t version)
{
    const struct oracle *oracle = &chaos->oracle;
    struct storage_log_entry entry;
    bool found;
    const int64_t time_us =
        below(chaos, 2) == 0 ? INT64_MAX : (int64_t)below(chaos, (uint64_t)chaos->fixture.now_us);
    const struct oracle_commit *expected = oracle_log(oracle, branch, version, time_us);
    assert_int_equal(storage_log_find(&chaos->fixture.storage, &chaos->fixture.reader, handle,
                                      version, time_us, &found, &entry),
                     STRATA_OK);
    assert_int_equal(found, expected != NULL);
    if (found) {
        char name[BRANCH_NAME_SIZE_MAX + 1];
        assert_int_equal(entry.version, expected->version);
        assert_int_equal(entry.time_us, expected->time_us);
        assert_int_equal(storage_branch_name(&chaos->fixture.storage, &chaos->fixture.reader,
                                             entry.branch, name),
                         STRATA_OK);
        const struct oracle_branch *made_on = &oracle->branches[expected->branch];
        assert_string_equal(name, made_on->deleted ? "" : made_on->name);
    }
}

static void check_point(struct chaos *chaos)
{
    const int branch = draw_branch(chaos);
    const uint64_t now = newest(chaos);
    const uint64_t version = below(chaos, 2) == 0 ? now : below(chaos, now + 1);
    struct branch *handle = branch_handle(chaos, branch);
    struct storage_view view = fixture_head(&chaos->fixture, handle);
    if (chaos->deep && chaos->kept[branch] == NULL)
        chaos->kept[branch] = branch_handle(chaos, branch);
    view.version = version;
    const int space = (int)below(chaos, ORACLE_SPACES);
    for (unsigned i = 0; i < CHECK_GETS; i++)
        check_get(chaos, &view, branch, version, space, (int)below(chaos, ORACLE_KEYS));
    check_get_many(chaos, &view, branch, version, space);
    check_scan(chaos, &view, branch, version, space, below(chaos, 2) == 0);
    check_history(chaos, &view, branch, version, space, (int)below(chaos, ORACLE_KEYS));
    check_log(chaos, handle, branch, version);
    fixture_leave_branch(&chaos->fixture, handle);
}

static void check_lists(struct chaos *chaos)
{
    struct fixture *fixture = &chaos->fixture;
    struct storage_branch_info info;
    char name[BRANCH_NAME_SIZE_MAX + 1] = "";
    bool found = true, past = false;
    int count = 0, expected = 0;
    for (int i = 0; i < chaos->oracle.branch_count; i++)
        expected += !chaos->oracle.branches[i].deleted;
    for (;;) {
        assert_int_equal(
            storage_branch_next(&fixture->storage, &fixture->reader, name, past, &found, &info),
            STRATA_OK);
        if (!found)
            break;
        assert_true(strcmp(name, info.branch.name) < 0);
        memcpy(name, info.branch.name, sizeof(name));
        past = true;
        count++;
        int branch = 0;
        while (chaos->oracle.branches[branch].deleted ||
               strcmp(chaos->oracle.branches[branch].name, name) != 0)
            branch++;
        const struct oracle_branch *known = &chaos->oracle.branches[branch];
        assert_int_equal(info.branch.cap, known->cap);
        assert_int_equal(info.head_version, oracle_head(&chaos->oracle, branch, UINT64_MAX));
        const bool orphan = known->parent < 0 || chaos->oracle.branches[known->parent].deleted;
        assert_string_equal(info.parent, orphan ? "" : chaos->oracle.branches[known->parent].name);
    }
    assert_int_equal(count, expected);
}

static void check_spaces(struct chaos *chaos)
{
    struct fixture *fixture = &chaos->fixture;
    const int branch = draw_branch(chaos);
    struct branch *handle = branch_handle(chaos, branch);
    const struct storage_view view = fixture_head(fixture, handle);
    static const int order[ORACLE_SPACES] = {0, 2, 1}; /* default, files, notes */
    char name[BRANCH_NAME_SIZE_MAX + 1] = "";
    bool found;
    for (unsigned i = 0; i < ORACLE_SPACES; i++) {
        bool live = false;
        for (int key = 0; key < ORACLE_KEYS; key++)
            live = live || oracle_get(&chaos->oracle, branch, UINT64_MAX, order[i], key) != 0;
        if (!live)
            continue;
        assert_int_equal(
            storage_space_next(&fixture->storage, &fixture->reader, &view, name, &found),
            STRATA_OK);
        assert_true(found);
        assert_string_equal(name, space_name(order[i]));
    }
    assert_int_equal(storage_space_next(&fixture->storage, &fixture->reader, &view, name, &found),
                     STRATA_OK);
    assert_false(found);
    fixture_leave_branch(fixture, handle);
}

/* ---- cursors that stay open ---- */

static void cursor_close(struct chaos *chaos, struct open_cursor *cursor)
{
    if (cursor->open) {
        storage_scan_close(&cursor->scan);
        fixture_leave_branch(&chaos->fixture, cursor->handle);
    }
    cursor->open = false;
}

/* Lets go of all that is open, before the storage goes. */
static void handles_release(struct chaos *chaos)
{
    for (unsigned i = 0; i < CURSORS; i++) {
        cursor_close(chaos, &chaos->cursors[i]);
        storage_scan_release(&chaos->cursors[i].scan);
        chaos->cursors[i].made = false;
    }
    for (unsigned i = 0; i < ORACLE_BRANCHES; i++) {
        if (chaos->kept[i] != NULL)
            fixture_leave_branch(&chaos->fixture, chaos->kept[i]);
        chaos->kept[i] = NULL;
    }
}

static void cursor_open(struct chaos *chaos, struct open_cursor *cursor)
{
    struct fixture *fixture = &chaos->fixture;
    cursor->branch = draw_branch(chaos);
    cursor->space = (int)below(chaos, ORACLE_SPACES);
    cursor->reverse = below(chaos, 2) == 0;
    cursor->version = newest(chaos);
    cursor->handle = branch_handle(chaos, cursor->branch);
    const struct storage_scan_options options = {
        .view = fixture_head(fixture, cursor->handle),
        .space = fixture_space(fixture, space_name(cursor->space)),
        .kind = KIND_KV,
        .reverse = cursor->reverse};
    if (!cursor->made)
        storage_scan_init(&cursor->scan, &fixture->storage);
    cursor->made = true;
    assert_int_equal(storage_scan_open(&cursor->scan, &fixture->reader, &options), STRATA_OK);
    cursor->open = true;
    cursor->next = cursor->reverse ? ORACLE_KEYS - 1 : 0;
}

/* Whether the cursor stands on the row that comes next, which may be none; moves `next` behind it. */
static bool cursor_check(struct chaos *chaos, struct open_cursor *cursor)
{
    const int step = cursor->reverse ? -1 : 1;
    int value = 0;
    for (; cursor->next >= 0 && cursor->next < ORACLE_KEYS && value == 0; cursor->next += step)
        value = oracle_get(&chaos->oracle, cursor->branch, cursor->version, cursor->space,
                           cursor->next);
    assert_int_equal(cursor->scan.valid, value != 0);
    if (value != 0) {
        const struct row *row = cursor->scan.row;
        assert_true(bytes_equal(row->key, text_bytes(key_text(cursor->next - step))));
        assert_true(bytes_equal(row->value, text_bytes(value_text(value))));
    }
    return value != 0;
}

/* Reads on in the same stay. Sometimes the last row read is left for the next time. */
static bool cursor_read_on(struct chaos *chaos, struct open_cursor *cursor)
{
    const int step = cursor->reverse ? -1 : 1;
    bool valid = true;
    for (uint64_t left = below(chaos, 8); valid && left > 0; left--) {
        const int behind = cursor->next;
        assert_int_equal(storage_scan_reserve(&cursor->scan, cursor->scan.row->key.length),
                         STRATA_OK);
        assert_int_equal(storage_scan_step(&cursor->scan), STRATA_OK);
        valid = cursor_check(chaos, cursor);
        if (valid && left > 1)
            continue;
        if (valid && below(chaos, 2) == 0) {
            assert_int_equal(storage_scan_reserve(&cursor->scan, cursor->scan.row->key.length),
                             STRATA_OK);
            storage_scan_note(&cursor->scan, cursor->scan.row->key);
        } else if (valid) {
            storage_scan_go_back(&cursor->scan, text_bytes(key_text(behind - step)));
            cursor->next = behind;
        } else {
            storage_scan_note(&cursor->scan, text_bytes(key_text(behind - step)));
        }
    }
    return valid;
}

static void cursor_use(struct chaos *chaos, struct open_cursor *cursor)
{
    struct fixture *fixture = &chaos->fixture;
    if (!cursor->open)
        cursor_open(chaos, cursor);
    storage_enter(&fixture->reader);
    if (below(chaos, 6) == 0) {
        cursor->next = (int)below(chaos, ORACLE_KEYS);
        const bool past = below(chaos, 2) == 0;
        assert_int_equal(storage_scan_seek(&cursor->scan, text_bytes(key_text(cursor->next)), past),
                         STRATA_OK);
        cursor->next += !past ? 0 : cursor->reverse ? -1 : 1;
    } else {
        assert_int_equal(storage_scan_next(&cursor->scan), STRATA_OK);
    }
    const bool valid = cursor_check(chaos, cursor) && cursor_read_on(chaos, cursor);
    storage_leave(&fixture->reader);
    if (!valid && below(chaos, 2) == 0)
        cursor_close(chaos, cursor);
}

/* ---- changes ---- */

static void transact(struct chaos *chaos)
{
    struct fixture *fixture = &chaos->fixture;
    struct oracle *oracle = &chaos->oracle;
    const int branch = draw_branch(chaos);
    const size_t written = oracle->write_count;
    struct branch *handle = branch_handle(chaos, branch);
    struct storage_view view = fixture_head(fixture, handle);
    struct storage_writes writes;
    strata_commit commit;
    const int space = (int)below(chaos, ORACLE_SPACES);
    storage_writes_init(&writes, &fixture->storage, handle->id);
    view.writes = &writes;
    for (uint64_t left = 1 + below(chaos, 12); left > 0; left--) {
        const int key = below(chaos, 25) == 0 ? -1 : (int)below(chaos, ORACLE_KEYS);
        const int value = key < 0 || below(chaos, 4) == 0 ? 0 : ++chaos->last_value;
        struct storage_write write = fixture_write(fixture, key < 0 ? "" : key_text(key),
                                                   value == 0 ? NULL : value_text(value));
        write.space = fixture_space(fixture, space_name(space));
        assert_int_equal(storage_writes_add(&writes, &write, fixture->now_us), STRATA_OK);
        oracle_write(oracle, branch, space, key, UINT64_MAX, value);
        if (below(chaos, 12) == 0) {
            const uint64_t kept = below(chaos, writes.count + 1);
            assert_int_equal(storage_writes_undo(&writes, kept), STRATA_OK);
            oracle->write_count = written + kept;
        }
    }
    view.own_cap = storage_writes_cap(&writes);
    for (unsigned i = 0; i < CHECK_GETS; i++)
        check_get(chaos, &view, branch, UINT64_MAX, space, (int)below(chaos, ORACLE_KEYS));
    check_scan(chaos, &view, branch, UINT64_MAX, space, below(chaos, 2) == 0);
    if (below(chaos, 8) == 0) {
        oracle->write_count = written;
    } else {
        assert_int_equal(fixture_commit(fixture, &writes, handle, view.version, &commit),
                         STRATA_OK);
        assert_int_equal(commit.version != 0, oracle->write_count > written);
        for (size_t i = written; i < oracle->write_count; i++)
            oracle->writes[i].version = commit.version;
        if (commit.version != 0)
            oracle_commit(oracle, commit.version, commit.time_us, branch);
    }
    storage_writes_release(&writes);
    fixture_leave_branch(fixture, handle);
}

static int newest_branch(const struct oracle *oracle)
{
    int branch = oracle->branch_count - 1;
    while (oracle->branches[branch].deleted)
        branch--;
    return branch;
}

static void fork_branch(struct chaos *chaos)
{
    struct fixture *fixture = &chaos->fixture;
    struct oracle *oracle = &chaos->oracle;
    if (oracle->branch_count == ORACLE_BRANCHES)
        return;
    int parent = below(chaos, 8) == 0 ? -1 : draw_branch(chaos);
    if (chaos->deep && below(chaos, 4) > 0)
        parent = newest_branch(oracle);
    const uint64_t now = newest(chaos);
    const uint64_t version = below(chaos, 3) == 0 ? below(chaos, now + 1) : UINT64_MAX;
    struct oracle_branch *child = &oracle->branches[oracle->branch_count];
    *child = (struct oracle_branch){.parent = parent, .created = now + 1};
    snprintf(child->name, sizeof(child->name), "branch-%d", oracle->branch_count);
    if (parent < 0) {
        assert_int_equal(
            storage_branch_create(&fixture->storage, &fixture->reader, child->name, NULL),
            STRATA_OK);
    } else {
        struct branch *handle = branch_handle(chaos, parent);
        child->cap = oracle_head(oracle, parent, version < now ? version : now);
        assert_int_equal(storage_branch_fork(&fixture->storage, &fixture->reader, handle, version,
                                             child->name, "forked"),
                         STRATA_OK);
        fixture_leave_branch(fixture, handle);
    }
    oracle_commit(oracle, now + 1, fixture->now_us, oracle->branch_count);
    oracle->branch_count++;
}

static void change_branch(struct chaos *chaos)
{
    struct fixture *fixture = &chaos->fixture;
    struct oracle *oracle = &chaos->oracle;
    const int branch = draw_branch(chaos);
    struct oracle_branch *known = &oracle->branches[branch];
    if (below(chaos, 2) == 0) {
        char name[16];
        snprintf(name, sizeof(name), "new-%d", ++chaos->last_value);
        assert_int_equal(storage_branch_rename(&fixture->storage, &fixture->reader, known->name,
                                               branch == 0 ? "main" : name),
                         STRATA_OK);
        if (branch == 0)
            return;
        memcpy(known->name, name, sizeof(name));
    } else if (branch != 0) {
        assert_int_equal(storage_branch_delete(&fixture->storage, &fixture->reader, known->name),
                         STRATA_OK);
        known->deleted = true;
    } else {
        return;
    }
    oracle_commit(oracle, newest(chaos), fixture->now_us, -1);
}

/* For views of forks: none, some, all that they want. */
static void give_room(struct chaos *chaos)
{
    static const size_t rooms[] = {0, 24 << 10, 1 << 20};
    chaos->fixture.storage.store->branches.fork_views.bytes_max = rooms[chaos->room];
}

static void disturb(struct chaos *chaos)
{
    struct fixture *fixture = &chaos->fixture;
    const uint64_t what = below(chaos, 12);
    if (what < 6) {
        fixture_flush(fixture);
    } else if (what < 8) {
        fixture_compact(fixture);
    } else if (what < 10) {
        assert_true(store_maintain(fixture->storage.store, 0, NULL) <= STRATA_DONE);
    } else {
        handles_release(chaos);
        if (what == 10)
            fixture_close(fixture), fixture_open(fixture);
        else
            fixture_crash(fixture);
        give_room(chaos);
    }
}

static void run(uint64_t seed)
{
    struct chaos *chaos = calloc(1, sizeof(*chaos));
    chaos->random.state = seed;
    oracle_init(&chaos->oracle);
    /* Small ones have no hash buckets. */
    fixture_create_sized(&chaos->fixture, seed % 2 == 0 ? 1 << 20 : 64 << 20);
    chaos->room = (unsigned)(seed % 3);
    chaos->deep = seed % 4 < 2;
    give_room(chaos);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t what = below(chaos, 40);
        chaos->fixture.now_us += (int64_t)below(chaos, 3);
        if (what < 24)
            transact(chaos);
        else if (what < 27)
            fork_branch(chaos);
        else if (what < 29)
            change_branch(chaos);
        else if (what < 31)
            disturb(chaos);
        else if (what < 37)
            check_point(chaos);
        else if (what == 37)
            check_lists(chaos);
        else
            check_spaces(chaos);
        for (unsigned i = 0; i < CURSORS; i++)
            cursor_use(chaos, &chaos->cursors[i]);
    }
    handles_release(chaos);
    fixture_destroy(&chaos->fixture);
    free(chaos);
}

static void everything_is_as_the_oracle_says(void **state)
{
    (void)state;
    const char *seed = getenv("STORAGE_SEED");
    const char *runs = getenv("STORAGE_RUNS");
    const uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    const uint64_t count = runs == NULL ? 6 : strtoull(runs, NULL, 10);
    for (uint64_t i = 0; i < count; i++) {
        print_message("seed %llu\n", (unsigned long long)(first + i));
        run(first + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_as_the_oracle_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
