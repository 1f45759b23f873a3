/* What opening makes of damage: refused by default, with the object's name and a report; opened for
 * reading only where the caller asks for what is left. Damage that loses no commit for certain is met
 * when it is read, whatever was asked for. */
#include "simdisk/simdisk.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 20, SYNCED = 12, BROKEN = 5, OBJECT_SIZE = 64, RECORD = 40 };

/* ---- a database and its disk ---- */

static strata_open_options plain_options(struct simdisk *disk, bool lossy)
{
    return (strata_open_options){.size = sizeof(strata_open_options),
                                 .background_threads = STRATA_NONE,
                                 .memory_budget_bytes = 1 << 20,
                                 .lock_wait_us = STRATA_NONE,
                                 .lossy = lossy,
                                 .seed = 7,
                                 .backend = simdisk_backend(disk)};
}

static strata_status look(struct simdisk *disk, bool lossy, strata **out)
{
    strata_open_options options = plain_options(disk, lossy);
    options.mode = STRATA_OPEN_READ_ONLY;
    return strata_open("db", &options, out);
}

static strata_status try_open(struct simdisk *disk, bool lossy, strata **out)
{
    const strata_open_options options = plain_options(disk, lossy);
    return strata_open("db", &options, out);
}

static strata *open_plain(struct simdisk *disk)
{
    strata *db = NULL;
    if (try_open(disk, false, &db) != STRATA_OK)
        fail_msg("open: %s", strata_error_message());
    return db;
}

static strata_report report_of(strata *db)
{
    strata_report report = {.size = sizeof(report)};
    assert_int_equal(strata_open_report(db, &report), STRATA_OK);
    return report;
}

static strata_error last_error(void)
{
    strata_error error = {.size = sizeof(error)};
    strata_error_detail(&error);
    return error;
}

/* Commits "key-N" with a value of `size` bytes for N in [first, end); the version of each is N + 1. */
static void put_rows(strata *db, unsigned first, unsigned end, size_t size)
{
    strata_txn *txn = NULL;
    char *value = calloc(1, size);
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    for (unsigned i = first; i < end; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        memset(value, 'a' + (int)(i % 26), size);
        assert_int_equal(strata_kv_put(txn, NULL, strata_text(key), strata_view(value, size)),
                         STRATA_OK);
    }
    strata_txn_close(txn);
    free(value);
}

static strata_status get_row(strata_txn *txn, unsigned number)
{
    char key[32];
    strata_value value = {0};
    snprintf(key, sizeof(key), "key-%05u", number);
    const strata_status status = strata_kv_get(txn, NULL, strata_text(key), &value);
    if (status == STRATA_OK) {
        assert_int_equal(value.version, number + 1);
        assert_int_equal(*(const char *)value.data, 'a' + (int)(number % 26));
    }
    strata_value_release(&value);
    return status;
}

/* Rows [0, end) are there and nothing else is. */
static void check_rows(strata *db, unsigned end)
{
    strata_txn *txn = NULL;
    uint64_t count = 0;
    assert_int_equal(strata_txn_snapshot(db, strata_head("main"), &txn), STRATA_OK);
    for (unsigned i = 0; i < end; i++)
        assert_int_equal(get_row(txn, i), STRATA_OK);
    assert_int_equal(strata_kv_count(txn, NULL, NULL, &count), STRATA_OK);
    assert_int_equal(count, end);
    strata_txn_close(txn);
}

/* The disk as a crash leaves it that loses nothing. The database goes on beside it until its close. */
static struct simdisk *crash(struct simdisk *disk, strata *db)
{
    const struct sim_survivors all = {.torn = SIM_NOT_TORN};
    struct simdisk_image *image = simdisk_capture(disk);
    struct simdisk *crashed = simdisk_mount(image, &all);
    simdisk_release(image);
    assert_int_equal(strata_close(db), STRATA_OK);
    simdisk_destroy(disk);
    return crashed;
}

/* The newest object of a folder, by its name; of those that hold `text`, if that is not NULL. */
struct newest {
    struct simdisk *disk;
    const char *folder;
    const char *text;
    unsigned count;
    char name[OBJECT_SIZE];
    uint64_t size;
    uint64_t at; /* Of the text. */
};

static bool find_text(const struct newest *newest, const char *name, uint64_t size, uint64_t *at)
{
    *at = 0;
    if (newest->text == NULL)
        return true;
    const size_t length = strlen(newest->text);
    char *bytes = malloc((size_t)size);
    assert_true(simdisk_peek(newest->disk, name, 0, bytes, (size_t)size));
    while (*at + length <= size && memcmp(bytes + *at, newest->text, length) != 0)
        ++*at;
    free(bytes);
    return *at + length <= size;
}

static void note_object(void *context, const char *name, uint64_t size)
{
    struct newest *newest = context;
    uint64_t at;
    if (strncmp(name, newest->folder, strlen(newest->folder)) != 0 || size == 0)
        return;
    if (!find_text(newest, name, size, &at))
        return;
    newest->count++;
    if (strcmp(name, newest->name) <= 0)
        return;
    snprintf(newest->name, sizeof(newest->name), "%s", name);
    newest->size = size;
    newest->at = at;
}

static struct newest newest_in(struct simdisk *disk, const char *folder, const char *text)
{
    struct newest newest = {.disk = disk, .folder = folder, .text = text};
    simdisk_each(disk, note_object, &newest);
    assert_true(newest.count > 0);
    return newest;
}

static void flip_bit(struct simdisk *disk, const char *name, uint64_t offset)
{
    unsigned char byte = 0;
    assert_true(simdisk_peek(disk, name, offset, &byte, 1));
    byte ^= 1;
    assert_true(simdisk_poke(disk, name, offset, &byte, 1));
}

/* Damages the row of a key in the log. Returns the segment. */
static struct newest damage_log(struct simdisk *disk, unsigned number)
{
    char key[32];
    snprintf(key, sizeof(key), "key-%05u", number);
    const struct newest segment = newest_in(disk, "wal/", key);
    assert_int_equal(segment.count, 1);
    flip_bit(disk, segment.name, segment.at);
    return segment;
}

/* ---- the log ---- */

/* Everything that writes says so. */
static void check_read_only(strata *db)
{
    strata_txn *txn = NULL;
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    assert_int_equal(strata_kv_put(txn, NULL, strata_text("k"), strata_text("v")),
                     STRATA_READ_ONLY);
    assert_int_equal(strata_kv_delete(txn, NULL, strata_text("key-00000")), STRATA_READ_ONLY);
    strata_txn_close(txn);
    assert_int_equal(strata_branch_fork(db, strata_head("main"), "fork", NULL), STRATA_READ_ONLY);
    assert_int_equal(strata_checkpoint(db), STRATA_READ_ONLY);
    assert_int_equal(strata_compact(db, NULL), STRATA_READ_ONLY);
    assert_int_equal(strata_maintain(db, 1000000, NULL), STRATA_DONE);
}

/* What is lost: versions (left, end), of which up to `durable` are known to have been durable. */
struct loss {
    const char *object;
    unsigned left; /* Rows; as many versions. */
    uint64_t durable;
    uint64_t end;
};

static void check_report(const struct loss *loss, const strata_report *report)
{
    assert_int_equal(report->health, STRATA_DEGRADED);
    assert_int_equal(report->lost_first_version, loss->left + 1);
    assert_int_equal(report->lost_end_version, loss->end);
    assert_string_equal(report->lost_object, loss->object);
    assert_int_equal(report->last_durable_version, loss->durable);
    assert_int_equal(report->unconfirmed_commits, 0);
}

/* Who only looks meets the same, and changes nothing. */
static void check_loss_looking(struct simdisk *disk, const struct loss *loss)
{
    strata *db = NULL;
    const uint64_t before = simdisk_hash(disk);
    assert_int_equal(look(disk, false, &db), STRATA_DATA_LOSS);
    const strata_report refused = report_of(NULL);
    check_report(loss, &refused);
    assert_int_equal(look(disk, true, &db), STRATA_OK);
    check_rows(db, loss->left);
    check_read_only(db);
    assert_int_equal(strata_close(db), STRATA_OK);
    assert_int_equal(simdisk_hash(disk), before);
}

/* The refusal and its report are the same each time; lossy opens what is left and changes nothing. */
static void check_loss(struct simdisk *disk, const struct loss *loss)
{
    strata *db = NULL;
    check_loss_looking(disk, loss);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(try_open(disk, false, &db), STRATA_DATA_LOSS);
        assert_null(db);
        assert_string_equal(last_error().object, loss->object);
        assert_non_null(strstr(strata_error_message(), loss->object));
        const strata_report refused = report_of(NULL);
        check_report(loss, &refused);
    }
    const uint64_t before = simdisk_hash(disk);
    assert_int_equal(try_open(disk, true, &db), STRATA_OK);
    const strata_report opened = report_of(db);
    check_report(loss, &opened);
    check_rows(db, loss->left);
    check_read_only(db);
    assert_int_equal(strata_close(db), STRATA_OK);
    assert_int_equal(simdisk_hash(disk), before);
    assert_int_equal(try_open(disk, false, &db), STRATA_DATA_LOSS);
}

static void a_log_damaged_in_its_middle_is_refused_and_read_up_to_there(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata *db = open_plain(disk);
    put_rows(db, 0, SYNCED, RECORD);
    assert_int_equal(strata_sync(db), STRATA_OK);
    put_rows(db, SYNCED, ROWS, RECORD); /* These know that the first ones are durable. */
    disk = crash(disk, db);
    const struct newest segment = damage_log(disk, BROKEN);
    check_loss(disk, &(struct loss){segment.name, BROKEN, SYNCED, SYNCED + 1});
    simdisk_destroy(disk);
}

/* The same damage, to what nobody was promised. */
static void a_damaged_end_of_the_log_that_was_not_durable_is_no_loss(void **state)
{
    (void)state;
    for (unsigned lossy = 0; lossy < 2; lossy++) {
        struct simdisk *disk = simdisk_create();
        strata *db = open_plain(disk);
        put_rows(db, 0, SYNCED, RECORD);
        assert_int_equal(strata_sync(db), STRATA_OK);
        put_rows(db, SYNCED, ROWS, RECORD);
        disk = crash(disk, db);
        damage_log(disk, SYNCED + 1);
        assert_int_equal(try_open(disk, lossy == 1, &db), STRATA_OK);
        const strata_report report = report_of(db);
        assert_int_equal(report.health, STRATA_HEALTHY);
        assert_int_equal(report.lost_first_version, 0);
        assert_int_equal(report.last_durable_version, SYNCED);
        assert_int_equal(report.unconfirmed_commits, 1);
        assert_int_equal(report.unknown_commits, ROWS - SYNCED - 2);
        check_rows(db, SYNCED + 1);
        put_rows(db, SYNCED + 1, ROWS, RECORD); /* Lossy or not, it can be written to. */
        check_rows(db, ROWS);
        assert_int_equal(strata_close(db), STRATA_OK);
        simdisk_destroy(disk);
    }
}

/* More rows than memory holds: what comes before the damage goes to tables while the log is read. */
static void a_long_log_is_reported_alike_each_time_it_is_opened(void **state)
{
    (void)state;
    enum { LONG = 600, LOST = 500, VALUE = 1000 };
    struct simdisk *disk = simdisk_create();
    strata_open_options options = plain_options(disk, false);
    options.memory_budget_bytes = 16 << 20; /* Nothing is flushed before the crash. */
    strata *db = NULL;
    assert_int_equal(strata_open("db", &options, &db), STRATA_OK);
    put_rows(db, 0, LONG - 1, VALUE);
    assert_int_equal(strata_sync(db), STRATA_OK);
    put_rows(db, LONG - 1, LONG, VALUE);
    disk = crash(disk, db);
    assert_true(newest_in(disk, "wal/", NULL).count > 1);
    const struct newest segment = damage_log(disk, LOST);
    check_loss(disk, &(struct loss){segment.name, LOST, LONG - 1, LONG});
    simdisk_destroy(disk);
}

static void a_log_that_is_gone_loses_nobody_knows_how_much(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata *db = open_plain(disk);
    put_rows(db, 0, SYNCED, RECORD);
    assert_int_equal(strata_checkpoint(db), STRATA_OK);
    put_rows(db, SYNCED, ROWS, RECORD);
    assert_int_equal(strata_sync(db), STRATA_OK);
    disk = crash(disk, db);
    const struct newest segment = newest_in(disk, "wal/", NULL);
    assert_int_equal(segment.count, 1);
    assert_true(simdisk_vanish(disk, segment.name));
    check_loss(disk, &(struct loss){segment.name, SYNCED, SYNCED, UINT64_MAX});
    simdisk_destroy(disk);
}

/* ---- tables ---- */

struct findings {
    unsigned errors;
    char object[OBJECT_SIZE];
};

static void note_finding(void *context, const strata_finding *finding)
{
    struct findings *findings = context;
    findings->errors += finding->severity == STRATA_LOG_ERROR;
    snprintf(findings->object, sizeof(findings->object), "%s", finding->object);
}

/* Opening reads no table, so it opens; the reads that meet the damage name it, and so does a check. */
static void check_damaged_part(struct simdisk *disk, bool lossy, const char *object)
{
    strata *db = NULL;
    strata_txn *txn = NULL;
    struct findings findings = {0};
    assert_int_equal(try_open(disk, lossy, &db), STRATA_OK);
    assert_int_equal(report_of(db).lost_first_version, 0);
    assert_int_equal(strata_txn_snapshot(db, strata_head("main"), &txn), STRATA_OK);
    assert_int_equal(get_row(txn, 0), STRATA_CORRUPT);
    assert_string_equal(last_error().object, object);
    assert_int_equal(get_row(txn, ROWS), STRATA_OK); /* In another table. */
    strata_txn_close(txn);
    assert_int_equal(strata_check(db, NULL, note_finding, &findings), STRATA_CORRUPT);
    assert_true(findings.errors > 0);
    assert_string_equal(findings.object, object);
    put_rows(db, ROWS + 1, ROWS + 2, RECORD);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void a_damaged_part_is_named_by_the_reads_that_meet_it(void **state)
{
    (void)state;
    for (unsigned damage = 0; damage < 6; damage++) {
        struct simdisk *disk = simdisk_create();
        strata *db = open_plain(disk);
        put_rows(db, 0, ROWS, RECORD);
        assert_int_equal(strata_checkpoint(db), STRATA_OK);
        char text[RECORD + 1] = "";
        memset(text, 'a', RECORD); /* The value of row 0. */
        const struct newest part = newest_in(disk, "tables/", text);
        put_rows(db, ROWS, ROWS + 1, RECORD);
        assert_int_equal(strata_close(db), STRATA_OK);
        if (damage / 2 == 0)
            flip_bit(disk, part.name, part.at);
        else if (damage / 2 == 1)
            assert_true(simdisk_shorten(disk, part.name, part.size / 2));
        else
            assert_true(simdisk_vanish(disk, part.name));
        check_damaged_part(disk, damage % 2 == 1, part.name);
        simdisk_destroy(disk);
    }
}

/* ---- manifests ---- */

/* The newest was torn in a crash, as all that the one before needs is there: both say the same. */
static void a_manifest_torn_at_birth_gives_way_to_the_one_before(void **state)
{
    (void)state;
    for (unsigned lossy = 0; lossy < 2; lossy++) {
        struct simdisk *disk = simdisk_create();
        strata *db = open_plain(disk);
        put_rows(db, 0, ROWS, RECORD);
        assert_int_equal(strata_sync(db), STRATA_OK);
        disk = crash(disk, db);
        const struct newest manifest = newest_in(disk, "manifest/", NULL);
        assert_true(manifest.count > 1);
        flip_bit(disk, manifest.name, manifest.size / 2);
        assert_int_equal(try_open(disk, lossy == 1, &db), STRATA_OK);
        assert_int_equal(report_of(db).health, STRATA_HEALTHY);
        check_rows(db, ROWS);
        put_rows(db, ROWS, ROWS + 1, RECORD);
        assert_int_equal(strata_close(db), STRATA_OK);
        db = open_plain(disk);
        check_rows(db, ROWS + 1);
        assert_int_equal(strata_close(db), STRATA_OK);
        simdisk_destroy(disk);
    }
}

/* What the one before needs is gone, so the newest was whole once: without it nobody knows which
 * tables there are, and lossy opens nothing either. */
static void a_manifest_damaged_later_is_refused_by_its_name(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata *db = open_plain(disk);
    put_rows(db, 0, SYNCED, RECORD);
    assert_int_equal(strata_checkpoint(db), STRATA_OK);
    put_rows(db, SYNCED, ROWS, RECORD);
    assert_int_equal(strata_compact(db, NULL), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    const struct newest manifest = newest_in(disk, "manifest/", NULL);
    flip_bit(disk, manifest.name, manifest.size / 2);
    const uint64_t before = simdisk_hash(disk);
    for (unsigned lossy = 0; lossy < 2; lossy++) {
        assert_int_equal(try_open(disk, lossy == 1, &db), STRATA_CORRUPT);
        assert_string_equal(last_error().object, manifest.name);
        assert_int_equal(report_of(NULL).lost_first_version, 0);
        assert_int_equal(simdisk_hash(disk), before);
    }
    flip_bit(disk, manifest.name, manifest.size / 2);
    db = open_plain(disk);
    check_rows(db, ROWS);
    assert_int_equal(strata_close(db), STRATA_OK);
    simdisk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_damaged_in_its_middle_is_refused_and_read_up_to_there),
        cmocka_unit_test(a_damaged_end_of_the_log_that_was_not_durable_is_no_loss),
        cmocka_unit_test(a_long_log_is_reported_alike_each_time_it_is_opened),
        cmocka_unit_test(a_log_that_is_gone_loses_nobody_knows_how_much),
        cmocka_unit_test(a_damaged_part_is_named_by_the_reads_that_meet_it),
        cmocka_unit_test(a_manifest_torn_at_birth_gives_way_to_the_one_before),
        cmocka_unit_test(a_manifest_damaged_later_is_refused_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
