#include "model/state_check.h"

#include <stdio.h>
#include <string.h>

struct still_clock {
    int64_t wall_us;
    int64_t monotonic_us;
};

static int64_t still_wall(void *context)
{
    return ((struct still_clock *)context)->wall_us;
}

static int64_t still_monotonic(void *context)
{
    return ((struct still_clock *)context)->monotonic_us;
}

static void still_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    struct still_clock *clock = context;
    const bool woken = wake != NULL && *wake != 0;
    if (!woken && until_us > clock->monotonic_us)
        clock->monotonic_us = until_us;
}

/* One opening of the disk. */
struct opening {
    struct still_clock time;
    strata_clock clock;
    strata_open_options options;
    strata *db;
};

static bool fails(struct state_check *check, const char *what, strata_status status)
{
    if (status == STRATA_OK)
        return false;
    snprintf(check->why, sizeof(check->why), "%s: %s: %s", what, strata_status_name(status),
             strata_error_message());
    return true;
}

static bool open_disk(struct state_check *check, struct simdisk *disk, strata_open_mode mode,
                      struct opening *opening)
{
    opening->time = (struct still_clock){check->promise.wall_us, 1000000};
    opening->clock = (strata_clock){&opening->time, still_wall, still_monotonic, still_wait};
    opening->options = (strata_open_options){
        .size = sizeof(opening->options),
        .mode = (uint32_t)mode,
        .durability = check->promise.durability,
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = simdisk_backend(disk)->ring != NULL ? 16 << 20 : 1 << 20,
        .lock_wait_us = STRATA_NONE,
        .seed = check->seed | 1,
        .clock = &opening->clock,
        .backend = simdisk_backend(disk),
    };
    opening->db = NULL;
    return !fails(check, "open", strata_open("db", &opening->options, &opening->db));
}

/* Compares an open database with the model cut where it says it is. */
static bool compare(struct state_check *check, strata *db, const struct check_extra *extra,
                    bool full)
{
    const struct state_promise *promise = &check->promise;
    uint64_t version = 0;
    strata_watermarks(db, &version, NULL);
    struct model_check compared = {
        .model = promise->model,
        .db = db,
        .cut = version,
        .now_us = promise->wall_us,
        .full = full,
        .seed = check->seed,
        .why = check->why,
    };
    if (extra->branch != NULL && version == extra->version) {
        compared.extra = *extra;
        compared.cut = version - 1;
    }
    return model_check(&compared);
}

static bool recovered_well(struct state_check *check, strata *db, uint64_t *version_out)
{
    const struct state_promise *promise = &check->promise;
    if (!model_check_report(db, promise->floor, promise->begun, check->why))
        return false;
    strata_watermarks(db, version_out, NULL);
    const bool first = check->known != NULL && !check->known[*version_out];
    if (!compare(check, db, &promise->extra, check->full || first))
        return false;
    if (first)
        check->known[*version_out] = true;
    return !check->verify || !fails(check, "check", strata_check(db, NULL, NULL, NULL));
}

/* The branch that takes the commit after recovery: the first that there is. */
static const char *first_branch(const struct state_check *check, uint64_t version)
{
    for (int i = 0; i < model_branch_count(check->promise.model); i++) {
        const char *name = model_branch_name(check->promise.model, i, version);
        if (name != NULL)
            return name;
    }
    return NULL;
}

static bool commit_more(struct state_check *check, strata *db, const struct check_extra *extra)
{
    const strata_txn_options options = {.size = sizeof(options), .durability = STRATA_ALWAYS};
    strata_txn *txn = NULL;
    strata_commit commit = {0, 0};
    if (fails(check, "begin after recovery", strata_txn_begin(db, extra->branch, &options, &txn)))
        return false;
    bool done =
        !fails(check, "put after recovery",
               strata_kv_put(txn, NULL, strata_text(extra->key), strata_text(extra->value))) &&
        !fails(check, "commit after recovery", strata_txn_commit(txn, &commit));
    strata_txn_close(txn);
    if (done && commit.version != extra->version) {
        snprintf(check->why, sizeof(check->why), "the commit after recovery is %llu, not %llu",
                 (unsigned long long)commit.version, (unsigned long long)extra->version);
        done = false;
    }
    return done;
}

static void tell_opened(const struct state_check *check, strata *db)
{
    if (check->opened != NULL)
        check->opened(check->opened_context, db);
}

static bool first_life(struct state_check *check, struct opening *opening,
                       struct check_extra *extra, uint64_t *version_out)
{
    tell_opened(check, opening->db);
    if (!recovered_well(check, opening->db, version_out))
        return false;
    *extra = (struct check_extra){.branch = first_branch(check, *version_out),
                                  .key = "zz-after",
                                  .value = "written after the crash",
                                  .version = *version_out + 1};
    if (check->begun != NULL)
        check->begun(check->opened_context, extra);
    return commit_more(check, opening->db, extra);
}

static bool second_life(struct state_check *check, struct simdisk *disk,
                        const struct check_extra *extra)
{
    struct opening opening;
    if (!open_disk(check, disk, STRATA_OPEN_CREATE, &opening))
        return false;
    bool good = model_check_report(opening.db, extra->version, extra->version, check->why) &&
                compare(check, opening.db, extra, false);
    if (good)
        good = !fails(check, "second close", strata_close(opening.db));
    else
        strata_close(opening.db);
    return good;
}

/* Opening read-only shows the same and changes no byte; where nothing was ever written, there is
 * nothing to open. */
static bool look_only(struct state_check *check, struct simdisk *disk)
{
    struct opening opening;
    const uint64_t hash = simdisk_hash(disk);
    if (!open_disk(check, disk, STRATA_OPEN_READ_ONLY, &opening)) {
        strata_error error = {.size = sizeof(error)};
        strata_error_detail(&error);
        return error.status == STRATA_NOT_FOUND && check->promise.floor == 0 &&
               simdisk_hash(disk) == hash;
    }
    bool good =
        model_check_report(opening.db, check->promise.floor, check->promise.begun, check->why) &&
        compare(check, opening.db, &check->promise.extra, false);
    if (good)
        good = !fails(check, "close of a reader", strata_close(opening.db));
    else
        strata_close(opening.db);
    if (good && simdisk_hash(disk) != hash) {
        snprintf(check->why, sizeof(check->why), "opening read-only changed the disk");
        good = false;
    }
    return good;
}

bool state_check_run(struct state_check *check, struct simdisk *disk, uint64_t *version_out)
{
    struct opening opening;
    struct check_extra extra = {0};
    check->why[0] = '\0';
    if (check->verify && !look_only(check, disk))
        return false;
    if (!open_disk(check, disk, STRATA_OPEN_CREATE, &opening))
        return false;
    bool good = first_life(check, &opening, &extra, version_out);
    tell_opened(check, NULL);
    if (good)
        good = !fails(check, "close after recovery", strata_close(opening.db)) &&
               second_life(check, disk, &extra);
    else
        strata_close(opening.db);
    if (good && simdisk_misuse(disk)[0] != '\0') {
        snprintf(check->why, sizeof(check->why), "misuse: %s", simdisk_misuse(disk));
        good = false;
    }
    return good;
}

bool state_check_glance(struct state_check *check, struct simdisk *disk)
{
    struct opening opening;
    uint64_t version = 0;
    check->why[0] = '\0';
    if (!open_disk(check, disk, STRATA_OPEN_CREATE, &opening))
        return false;
    const bool good = recovered_well(check, opening.db, &version);
    simdisk_power_off(disk);
    strata_close(opening.db);
    return good;
}
