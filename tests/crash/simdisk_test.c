/* The simulated disk itself: what it loses and what it must not lose. */
#include "simdisk/simdisk.h"

#include "support.h"

#include <errno.h>
#include <string.h>

static strata_object *create(struct simdisk *disk, const char *name, uint64_t reserve_bytes)
{
    const strata_backend *backend = simdisk_backend(disk);
    strata_object *object = NULL;
    int error = 0;
    assert_int_equal(backend->create(backend->context, name, reserve_bytes, &object, &error),
                     STRATA_EFFECT_DONE);
    return object;
}

static int append(struct simdisk *disk, strata_object *object, uint64_t offset, const char *text)
{
    const strata_backend *backend = simdisk_backend(disk);
    int error = 0;
    return backend->append(backend->context, object, offset, strata_text(text), &error);
}

static int sync_object(struct simdisk *disk, strata_object *object)
{
    const strata_backend *backend = simdisk_backend(disk);
    int error = 0;
    return backend->sync(backend->context, object, &error);
}

static int sync_names(struct simdisk *disk, const char *folder)
{
    const strata_backend *backend = simdisk_backend(disk);
    int error = 0;
    return backend->sync_names(backend->context, folder, &error);
}

static int remove_object(struct simdisk *disk, const char *name)
{
    const strata_backend *backend = simdisk_backend(disk);
    int error = 0;
    return backend->remove(backend->context, name, &error);
}

static void close_object(struct simdisk *disk, strata_object *object)
{
    const strata_backend *backend = simdisk_backend(disk);
    backend->close(backend->context, object);
}

/* The bytes of an object as text, "-" if there is none; zeros are shown as '0'. */
static const char *content(struct simdisk *disk, const char *name)
{
    static char text[128];
    const strata_backend *backend = simdisk_backend(disk);
    strata_object *object = NULL;
    uint64_t size = 0;
    int error = 0;
    if (backend->open(backend->context, name, &object, &size, &error) != STRATA_EFFECT_DONE)
        return "-";
    strata_buffer out = {.data = text, .capacity = sizeof(text) - 1};
    assert_int_equal(backend->read(backend->context, object, 0, &out, &error), STRATA_EFFECT_DONE);
    assert_int_equal(out.size, size);
    for (size_t i = 0; i < out.size; i++)
        text[i] = text[i] == '\0' ? '0' : text[i];
    text[out.size] = '\0';
    backend->close(backend->context, object);
    return text;
}

/* The disk after a power cut that loses the operations marked in `lost`. */
static struct simdisk *cut(struct simdisk *disk, const unsigned char *lost)
{
    struct simdisk_image *image = simdisk_capture(disk);
    const struct sim_survivors survivors = {.lost = lost, .torn = SIM_NOT_TORN};
    struct simdisk *after = simdisk_mount(image, &survivors);
    simdisk_release(image);
    simdisk_destroy(disk);
    return after;
}

static void what_is_synced_with_its_name_survives_the_loss_of_the_rest(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "wal/1", 0);
    append(disk, object, 0, "one");
    sync_object(disk, object);
    sync_names(disk, "wal");
    append(disk, object, 3, "two");
    close_object(disk, object);
    assert_string_equal(content(disk, "wal/1"), "onetwo");
    static const unsigned char all[1] = {1};
    disk = cut(disk, all);
    assert_string_equal(content(disk, "wal/1"), "one");
    simdisk_destroy(disk);
}

static void a_name_not_synced_may_vanish_with_synced_bytes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "tables/00/1", 0);
    append(disk, object, 0, "one");
    sync_object(disk, object);
    close_object(disk, object);
    sync_names(disk, "tables"); /* Another folder. */
    static const unsigned char all[1] = {1};
    disk = cut(disk, all);
    assert_string_equal(content(disk, "tables/00/1"), "-");
    simdisk_destroy(disk);
}

static void a_removal_not_synced_may_come_back(void **state)
{
    (void)state;
    static const unsigned char lost[2][1] = {{1}, {0}};
    static const char *const expected[2] = {"one", "-"};
    for (size_t i = 0; i < 2; i++) {
        struct simdisk *disk = simdisk_create();
        strata_object *object = create(disk, "a", 0);
        append(disk, object, 0, "one");
        sync_object(disk, object);
        close_object(disk, object);
        sync_names(disk, "");
        assert_int_equal(remove_object(disk, "a"), STRATA_EFFECT_DONE);
        assert_string_equal(content(disk, "a"), "-");
        disk = cut(disk, lost[i]);
        assert_string_equal(content(disk, "a"), expected[i]);
        simdisk_destroy(disk);
    }
}

static void writes_survive_in_any_order_and_leave_holes_of_zeros(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "a", 8);
    sync_object(disk, object);
    sync_names(disk, "");
    append(disk, object, 0, "one");
    append(disk, object, 3, "two");
    append(disk, object, 6, "six");
    close_object(disk, object);
    static const unsigned char lost[3] = {1, 0, 1};
    disk = cut(disk, lost);
    assert_string_equal(content(disk, "a"), "000two00");
    simdisk_destroy(disk);
}

static void reserved_zeros_are_no_more_durable_than_other_bytes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    close_object(disk, create(disk, "a", 4));
    assert_string_equal(content(disk, "a"), "0000");
    sync_names(disk, "");
    static const unsigned char lost[1] = {1};
    disk = cut(disk, lost);
    assert_string_equal(content(disk, "a"), "");
    simdisk_destroy(disk);
}

static void torn_writes_and_garbage_stay_inside_what_was_not_synced(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "a", 0);
    append(disk, object, 0, "safe");
    sync_object(disk, object);
    sync_names(disk, "");
    append(disk, object, 4, "torn");
    close_object(disk, object);
    struct simdisk_image *image = simdisk_capture(disk);
    const struct sim_survivors torn = {.torn = 0, .torn_size = 2};
    struct simdisk *after = simdisk_mount(image, &torn);
    assert_string_equal(content(after, "a"), "safeto");
    simdisk_destroy(after);
    for (unsigned garbage = SIM_ZEROS; garbage < SIM_GARBAGES; garbage++) {
        struct sim_survivors some = torn;
        some.garbage = (enum sim_garbage)garbage;
        some.seed = garbage;
        after = simdisk_mount(image, &some);
        const char *text = content(after, "a");
        assert_int_equal(strlen(text), 8);
        assert_memory_equal(text, "safeto", 6);
        simdisk_destroy(after);
    }
    simdisk_release(image);
    simdisk_destroy(disk);
}

static void a_failed_sync_is_final_for_its_object(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "a", 0);
    sync_names(disk, "");
    append(disk, object, 0, "one");
    simdisk_fail(disk, (struct sim_fault){.operation = simdisk_operations(disk) + 1,
                                          .error = EIO,
                                          .effect = STRATA_EFFECT_NONE,
                                          .seed = 5});
    assert_int_equal(sync_object(disk, object), STRATA_EFFECT_NONE);
    assert_string_equal(simdisk_misuse(disk), "");
    assert_int_equal(sync_object(disk, object), STRATA_EFFECT_DONE);
    assert_string_not_equal(simdisk_misuse(disk), "");
    close_object(disk, object);
    simdisk_destroy(disk);
}

static void faults_hit_the_chosen_operation_once_or_for_ever(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        struct simdisk *disk = simdisk_create();
        strata_object *object = create(disk, "a", 0);
        simdisk_fail(disk, (struct sim_fault){.operation = 3,
                                              .forever = forever != 0,
                                              .error = EIO,
                                              .effect = STRATA_EFFECT_NONE});
        assert_int_equal(append(disk, object, 0, "one"), STRATA_EFFECT_DONE);
        assert_int_equal(append(disk, object, 3, "two"), STRATA_EFFECT_NONE);
        assert_int_equal(append(disk, object, 3, "two"),
                         forever ? STRATA_EFFECT_NONE : STRATA_EFFECT_DONE);
        assert_int_equal(simdisk_failures(disk), 1 + forever);
        close_object(disk, object);
        simdisk_destroy(disk);
    }
}

static void a_full_disk_takes_what_fits(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "a", 0);
    simdisk_limit(disk, 5);
    assert_int_equal(append(disk, object, 0, "abc"), STRATA_EFFECT_DONE);
    assert_int_equal(append(disk, object, 3, "def"), STRATA_EFFECT_UNKNOWN);
    assert_string_equal(content(disk, "a"), "abcde");
    close_object(disk, object);
    simdisk_destroy(disk);
}

static void equal_operations_have_equal_hashes_and_lists(void **state)
{
    (void)state;
    uint64_t hashes[3];
    for (size_t i = 0; i < 3; i++) {
        struct simdisk *disk = simdisk_create();
        simdisk_record(disk);
        strata_object *object = create(disk, "a", 0);
        append(disk, object, 0, i < 2 ? "abc" : "abd");
        assert_string_equal(simdisk_recording(disk), "create a 0 0\nappend a 0 3\n");
        hashes[i] = simdisk_operation_hash(disk);
        close_object(disk, object);
        simdisk_destroy(disk);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] != hashes[2]);
}

static void a_capture_is_not_changed_by_what_comes_later(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "a", 0);
    append(disk, object, 0, "one");
    sync_names(disk, "");
    struct simdisk_image *image = simdisk_capture(disk);
    append(disk, object, 3, "two");
    sync_object(disk, object);
    close_object(disk, object);
    simdisk_destroy(disk);
    const struct sim_survivors all = {.torn = SIM_NOT_TORN};
    struct simdisk *first = simdisk_mount(image, &all);
    struct simdisk *second = simdisk_mount(image, &all);
    assert_string_equal(content(first, "a"), "one");
    assert_true(simdisk_hash(first) == simdisk_hash(second));
    simdisk_poke(first, "a", 1, "x", 1);
    assert_string_equal(content(first, "a"), "oxe");
    assert_string_equal(content(second, "a"), "one");
    assert_true(simdisk_hash(first) != simdisk_hash(second));
    simdisk_destroy(first);
    simdisk_destroy(second);
    simdisk_release(image);
}

static void misuse_of_the_contract_is_noted(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    strata_object *object = create(disk, "a", 0);
    append(disk, object, 0, "one");
    assert_string_equal(simdisk_misuse(disk), "");
    append(disk, object, 7, "two");
    assert_string_not_equal(simdisk_misuse(disk), "");
    close_object(disk, object);
    simdisk_destroy(disk);
    disk = simdisk_create();
    close_object(disk, create(disk, "a", 0));
    remove_object(disk, "a"); /* No sync of names made it certain. */
    close_object(disk, create(disk, "a", 0));
    assert_string_equal(simdisk_misuse(disk), "");
    sync_names(disk, "");
    remove_object(disk, "a");
    close_object(disk, create(disk, "a", 0));
    assert_string_not_equal(simdisk_misuse(disk), "");
    simdisk_destroy(disk);
}

static void one_holder_or_many_sharers(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    const strata_backend *backend = simdisk_backend(disk);
    char text[16];
    strata_buffer holder = {.data = text, .capacity = sizeof(text)};
    int error = 0;
    void *context = backend->context;
    const strata_bytes owner = strata_text("me");
    assert_int_equal(backend->lock(context, 0, owner, &holder, &error), STRATA_EFFECT_MISSING);
    assert_int_equal(backend->lock(context, 1, owner, &holder, &error), STRATA_EFFECT_DONE);
    assert_int_equal(backend->lock(context, 0, owner, &holder, &error), STRATA_EFFECT_TAKEN);
    assert_int_equal(holder.size, 2);
    backend->unlock(context);
    assert_int_equal(backend->lock(context, 0, owner, &holder, &error), STRATA_EFFECT_DONE);
    assert_int_equal(backend->lock(context, 0, owner, &holder, &error), STRATA_EFFECT_DONE);
    assert_int_equal(backend->lock(context, 1, owner, &holder, &error), STRATA_EFFECT_TAKEN);
    backend->unlock(context);
    backend->unlock(context);
    assert_string_equal(simdisk_misuse(disk), "");
    simdisk_destroy(disk);
}

/* ---- rings ---- */

static unsigned char *open_ring(struct simdisk *disk, strata_object **handle)
{
    const strata_backend *backend = simdisk_backend(disk);
    void *bytes = NULL;
    uint64_t size = 0;
    int error = 0;
    assert_non_null(backend->ring);
    assert_int_equal(
        backend->ring(backend->context, "wal/ring", 1 << 20, handle, &bytes, &size, &error),
        STRATA_EFFECT_DONE);
    assert_int_equal(size, 8192);
    return bytes;
}

/* Each page is of some moment; returns whether the two are of different ones. */
static bool pages_differ(const struct simdisk_image *image, enum sim_ring_fate fate, uint64_t seed)
{
    const struct sim_survivors survivors = {.torn = SIM_NOT_TORN, .ring = fate, .seed = seed};
    struct simdisk *disk = simdisk_mount(image, &survivors);
    strata_object *handle = NULL;
    const unsigned char *ring = open_ring(disk, &handle);
    for (size_t page = 0; page < 2; page++)
        assert_true(ring[page * 4096] == '0' || ring[page * 4096] == 0 ||
                    (ring[page * 4096] >= 'a' && ring[page * 4096] <= 'c'));
    const bool differ = ring[0] != ring[4096];
    if (fate == SIM_RING_NEW)
        assert_true(ring[0] == 'c' && ring[4096] == 'c');
    close_object(disk, handle);
    simdisk_destroy(disk);
    return differ;
}

static void a_ring_survives_a_kill_and_ages_in_a_power_cut(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_create();
    assert_null(simdisk_backend(disk)->ring);
    simdisk_give_ring(disk, 8192);
    strata_object *handle = NULL;
    unsigned char *ring = open_ring(disk, &handle);
    for (char moment = 'a'; moment <= 'c'; moment++) {
        memset(ring, moment, 8192);
        sync_names(disk, "wal"); /* Any operation takes note. */
    }
    struct simdisk_image *image = simdisk_capture(disk);
    assert_true(simdisk_has_ring(image));
    memset(ring, 'd', 8192); /* Too late for the image. */
    unsigned mixed = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        assert_false(pages_differ(image, SIM_RING_NEW, seed));
        assert_false(pages_differ(image, SIM_RING_OLD, seed));
        mixed += pages_differ(image, SIM_RING_MIXED, seed);
    }
    assert_true(mixed > 10);
    simdisk_release(image);
    close_object(disk, handle);
    assert_int_equal(remove_object(disk, "wal/ring"), STRATA_EFFECT_DONE);
    ring = open_ring(disk, &handle); /* A name of a ring may come again, empty. */
    assert_int_equal(ring[0], 0);
    close_object(disk, handle);
    assert_string_equal(simdisk_misuse(disk), "");
    simdisk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_survives_a_kill_and_ages_in_a_power_cut),
        cmocka_unit_test(what_is_synced_with_its_name_survives_the_loss_of_the_rest),
        cmocka_unit_test(a_name_not_synced_may_vanish_with_synced_bytes),
        cmocka_unit_test(a_removal_not_synced_may_come_back),
        cmocka_unit_test(writes_survive_in_any_order_and_leave_holes_of_zeros),
        cmocka_unit_test(reserved_zeros_are_no_more_durable_than_other_bytes),
        cmocka_unit_test(torn_writes_and_garbage_stay_inside_what_was_not_synced),
        cmocka_unit_test(a_failed_sync_is_final_for_its_object),
        cmocka_unit_test(faults_hit_the_chosen_operation_once_or_for_ever),
        cmocka_unit_test(a_full_disk_takes_what_fits),
        cmocka_unit_test(equal_operations_have_equal_hashes_and_lists),
        cmocka_unit_test(a_capture_is_not_changed_by_what_comes_later),
        cmocka_unit_test(misuse_of_the_contract_is_noted),
        cmocka_unit_test(one_holder_or_many_sharers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
