#include "model/model_check.h"

#include "simdisk/sim_random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_MAX = 512, SAMPLED_VIEWS = 3, SAMPLED_KEYS = 3 };

/* Always false, so that a caller can return it. */
static bool differs(const struct model_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool differs(const struct model_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->why, CHECK_WHY_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

static bool same_view(strata_bytes a, strata_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool model_check_row(const struct model_row *expected, const strata_row *row)
{
    const bool dead = (expected->flags & STRATA_ROW_TOMBSTONE) != 0;
    return same_view(expected->key, row->key) && expected->version == row->version &&
           expected->time_us == row->time_us && expected->flags == row->flags &&
           expected->expires_us == row->expires_us &&
           (dead || same_view(expected->value, row->value));
}

/* Whether a read on a damaged database may end like this. */
static bool refused(const struct model_check *check, strata_status status)
{
    return check->damaged && status == STRATA_CORRUPT;
}

static bool row_differs(const struct model_check *check, const char *where,
                        const struct model_row *expected, const strata_row *row)
{
    return differs(check,
                   "%s: key %.40s: version %llu time %lld flags %x expires %lld size %zu, not "
                   "version %llu time %lld flags %x expires %lld size %zu",
                   where, expected->key.size > 0 ? (const char *)expected->key.data : "",
                   (unsigned long long)row->version, (long long)row->time_us, row->flags,
                   (long long)row->expires_us, row->value.size,
                   (unsigned long long)expected->version, (long long)expected->time_us,
                   expected->flags, (long long)expected->expires_us, expected->value.size);
}

static bool is_extra(const struct model_check *check, const strata_row *row, bool present)
{
    const struct check_extra *extra = &check->extra;
    return present && row->version == extra->version &&
           same_view(row->key, strata_text(extra->key)) &&
           same_view(row->value, strata_text(extra->value));
}

/* ---- the log --------------------------------------------------------------------------------- */

/* The commits that made a branch what it is, newest first: its own, its creation, then those that it
 * inherits. */
struct lineage {
    const struct model *model;
    int branch;
    uint64_t version; /* The next is at or before it. */
};

static bool next_commit(struct lineage *at, uint64_t *version_out)
{
    while (at->branch != MODEL_NO_BRANCH) {
        const struct model_branch *branch = model_branch_at(at->model, at->branch);
        const uint64_t head = model_branch_head(at->model, at->branch, at->version);
        if (head > branch->created) {
            *version_out = head;
            at->version = head - 1;
            return true;
        }
        const bool created = branch->created > 0 && branch->created <= at->version;
        if (branch->fork_version < at->version)
            at->version = branch->fork_version;
        at->branch = branch->parent;
        if (created) {
            *version_out = branch->created;
            return true;
        }
    }
    return false;
}

/* Expiries as of a version are judged at the time of the last commit that the branch saw then. */
static int64_t seen_time(const struct model_check *check, int branch, uint64_t version)
{
    struct lineage at = {check->model, branch, version};
    uint64_t seen = 0;
    return next_commit(&at, &seen) ? model_time(check->model, seen) : 0;
}

static bool check_log(const struct model_check *check, int branch)
{
    const char *name = model_branch_name(check->model, branch, check->cut);
    struct lineage at = {check->model, branch, check->cut};
    bool extra = check->extra.branch != NULL && strcmp(name, check->extra.branch) == 0;
    strata_cursor *cursor = NULL;
    strata_log_entry entry;
    uint64_t expected = 0;
    strata_status status = strata_log_open(check->db, strata_head(name), &cursor);
    while (status == STRATA_OK && (status = strata_log_next(cursor, &entry)) == STRATA_OK) {
        const bool more = !extra && next_commit(&at, &expected);
        if (extra)
            expected = check->extra.version;
        if ((!more && !extra) || entry.version != expected) {
            const unsigned long long shown = entry.version;
            strata_cursor_close(cursor);
            return differs(check, "cut %llu: log of %s: version %llu, not %llu",
                           (unsigned long long)check->cut, name, shown,
                           (unsigned long long)(more || extra ? expected : 0));
        }
        extra = false;
    }
    strata_cursor_close(cursor);
    if (refused(check, status))
        return true;
    if (status != STRATA_DONE || next_commit(&at, &expected))
        return differs(check, "cut %llu: log of %s ends early: %s", (unsigned long long)check->cut,
                       name, strata_status_name(status));
    return true;
}

/* ---- one scan -------------------------------------------------------------------------------- */

struct scan {
    strata_txn *txn;
    strata_space *space;
    const char *space_name;
    const struct model_view *view;
    int64_t time_us; /* Rows that expired by then are not shown. */
    bool extra;      /* The extra row is among them. */
    const char *where;
};

/* The rows that the scan must show, in its order. */
static const struct model_row *next_expected(const struct scan *scan, bool reverse, size_t *at)
{
    while (*at < scan->view->count) {
        const size_t index = (*at)++;
        const struct model_row *row =
            scan->view->rows[reverse ? scan->view->count - 1 - index : index];
        const bool expired = row->expires_us != 0 && row->expires_us <= scan->time_us;
        if (strcmp(row->space, scan->space_name) == 0 && !expired)
            return row;
    }
    return NULL;
}

static bool check_rows(const struct model_check *check, const struct scan *scan, bool reverse,
                       strata_cursor *cursor)
{
    size_t at = 0;
    bool extra = scan->extra;
    strata_row row;
    strata_status status;
    while ((status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        if (is_extra(check, &row, extra)) {
            extra = false;
            continue;
        }
        const struct model_row *expected = next_expected(scan, reverse, &at);
        if (expected == NULL)
            return differs(check, "%s: a row too many: %.*s of version %llu", scan->where,
                           (int)(row.key.size < 40 ? row.key.size : 40), (const char *)row.key.data,
                           (unsigned long long)row.version);
        if (!model_check_row(expected, &row))
            return row_differs(check, scan->where, expected, &row);
    }
    if (refused(check, status))
        return true;
    if (status != STRATA_DONE)
        return differs(check, "%s: scan: %s: %s", scan->where, strata_status_name(status),
                       strata_error_message());
    const struct model_row *missing = next_expected(scan, reverse, &at);
    if (missing != NULL)
        return differs(check, "%s: no row %.40s of version %llu", scan->where,
                       (const char *)missing->key.data, (unsigned long long)missing->version);
    if (extra)
        return differs(check, "%s: the commit after recovery is missing", scan->where);
    return true;
}

static bool check_scan(const struct model_check *check, const struct scan *scan, bool reverse)
{
    strata_cursor *cursor = NULL;
    const strata_scan_options options = {.size = sizeof(options), .reverse = reverse};
    const strata_status status = strata_kv_scan(scan->txn, scan->space, &options, &cursor);
    if (refused(check, status))
        return true;
    if (status != STRATA_OK)
        return differs(check, "%s: cannot scan: %s: %s", scan->where, strata_status_name(status),
                       strata_error_message());
    const bool same = check_rows(check, scan, reverse, cursor);
    strata_cursor_close(cursor);
    return same;
}

/* Gets of a few keys, some of which are absent. */
static bool check_gets(const struct model_check *check, const struct scan *scan)
{
    static const char *const keys[] = {"k01", "k07", "k13", "c02", "t03", "absent"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        strata_value value = {0};
        const struct model_row *expected = NULL;
        size_t at = 0;
        do {
            expected = next_expected(scan, false, &at);
        } while (expected != NULL && !same_view(expected->key, strata_text(keys[i])));
        const strata_status status =
            strata_kv_get(scan->txn, scan->space, strata_text(keys[i]), &value);
        const bool same =
            status == (expected == NULL ? STRATA_NOT_FOUND : STRATA_OK) &&
            (expected == NULL || (value.version == expected->version &&
                                  same_view(strata_value_view(&value), expected->value)));
        const unsigned long long version = value.version;
        strata_value_release(&value);
        if (!same && !refused(check, status))
            return differs(check, "%s: get of %s: %s, version %llu, not %llu", scan->where, keys[i],
                           strata_status_name(status), version,
                           (unsigned long long)(expected == NULL ? 0 : expected->version));
    }
    return true;
}

/* The spaces that ever had a row, and the default one. */
struct spaces {
    const char *names[16];
    size_t count;
};

static void add_space(struct spaces *spaces, const char *name)
{
    for (size_t i = 0; i < spaces->count; i++) {
        if (strcmp(spaces->names[i], name) == 0)
            return;
    }
    if (spaces->count < sizeof(spaces->names) / sizeof(spaces->names[0]))
        spaces->names[spaces->count++] = name;
}

static struct spaces used_spaces(const struct model_check *check)
{
    struct spaces spaces = {{"default"}, 1};
    for (int branch = 0; branch < model_branch_count(check->model); branch++) {
        const struct model_view *view = model_view(check->model, branch, check->cut);
        for (size_t i = 0; i < view->count; i++)
            add_space(&spaces, view->rows[i]->space);
    }
    return spaces;
}

/* All spaces of one branch at one point. */
static bool check_point(const struct model_check *check, int branch, strata_point point,
                        uint64_t version, int64_t time_us)
{
    char where[160];
    snprintf(where, sizeof(where), "cut %llu: %s@%llu%s", (unsigned long long)check->cut,
             point.branch, (unsigned long long)version,
             point.time_us != 0 ? " by time" : (point.version == 0 ? " (head)" : ""));
    strata_txn *txn = NULL;
    strata_status status = strata_txn_snapshot(check->db, point, &txn);
    if (refused(check, status))
        return true;
    if (status != STRATA_OK)
        return differs(check, "%s: no snapshot: %s: %s", where, strata_status_name(status),
                       strata_error_message());
    bool same = true;
    const struct spaces spaces = used_spaces(check);
    const bool extra = check->extra.branch != NULL && point.version == 0 && point.time_us == 0 &&
                       strcmp(point.branch, check->extra.branch) == 0;
    for (size_t i = 0; i < spaces.count && same; i++) {
        strata_space *space = NULL;
        status = strata_space_open(check->db, spaces.names[i], &space);
        if (refused(check, status))
            break;
        if (status != STRATA_OK) {
            same = differs(check, "%s: no space %s: %s", where, spaces.names[i],
                           strata_error_message());
            break;
        }
        const struct scan scan = {
            .txn = txn,
            .space = space,
            .space_name = spaces.names[i],
            .view = model_view(check->model, branch, version),
            .time_us = time_us,
            .extra = extra && i == 0,
            .where = where,
        };
        same = check_scan(check, &scan, false) && check_gets(check, &scan) &&
               (!check->full || check_scan(check, &scan, true));
        strata_space_close(space);
    }
    strata_txn_close(txn);
    return same;
}

/* ---- branches -------------------------------------------------------------------------------- */

static bool check_branch_info(const struct model_check *check, const strata_branch_info *info)
{
    const int branch = model_branch_find(check->model, info->name, check->cut);
    if (branch == MODEL_NO_BRANCH)
        return differs(check, "cut %llu: a branch too many: %s", (unsigned long long)check->cut,
                       info->name);
    const struct model_branch *expected = model_branch_at(check->model, branch);
    const char *parent = expected->parent == MODEL_NO_BRANCH
                             ? NULL
                             : model_branch_name(check->model, expected->parent, check->cut);
    if ((parent == NULL) != (info->parent == NULL) ||
        (parent != NULL && strcmp(parent, info->parent) != 0))
        return differs(check, "cut %llu: branch %s: parent %s, not %s",
                       (unsigned long long)check->cut, info->name,
                       info->parent == NULL ? "none" : info->parent,
                       parent == NULL ? "none" : parent);
    uint64_t head = model_branch_head(check->model, branch, check->cut);
    if (check->extra.branch != NULL && strcmp(info->name, check->extra.branch) == 0)
        head = check->extra.version;
    const bool lineage =
        expected->parent == MODEL_NO_BRANCH || info->fork_version == expected->fork_version;
    const bool rootless = expected->parent == MODEL_NO_BRANCH && head <= expected->created;
    if (!lineage || (info->head_version != head && !rootless))
        return differs(check, "cut %llu: branch %s: fork %llu head %llu, not fork %llu head %llu",
                       (unsigned long long)check->cut, info->name,
                       (unsigned long long)info->fork_version,
                       (unsigned long long)info->head_version,
                       (unsigned long long)expected->fork_version, (unsigned long long)head);
    return true;
}

static bool check_branch_list(const struct model_check *check)
{
    int expected = 0;
    for (int branch = 0; branch < model_branch_count(check->model); branch++)
        expected += model_branch_name(check->model, branch, check->cut) != NULL;
    strata_cursor *cursor = NULL;
    strata_status status = strata_branch_list(check->db, NULL, &cursor);
    if (refused(check, status))
        return true;
    if (status != STRATA_OK)
        return differs(check, "cut %llu: no list of branches: %s", (unsigned long long)check->cut,
                       strata_error_message());
    strata_branch_info info;
    bool same = true;
    int count = 0;
    while (same && (status = strata_branch_next(cursor, &info)) == STRATA_OK) {
        same = check_branch_info(check, &info);
        count++;
    }
    strata_cursor_close(cursor);
    if (same && refused(check, status))
        return true;
    if (same && (status != STRATA_DONE || count != expected))
        return differs(check, "cut %llu: %d branches, not %d (%s)", (unsigned long long)check->cut,
                       count, expected, strata_status_name(status));
    return same;
}

/* ---- histories ------------------------------------------------------------------------------- */

static bool check_history(const struct model_check *check, strata_txn *txn,
                          const struct model_row *key, int branch)
{
    char where[200];
    snprintf(where, sizeof(where), "cut %llu: %s: history of %s/%.40s",
             (unsigned long long)check->cut, model_branch_name(check->model, branch, check->cut),
             key->space, (const char *)key->key.data);
    const struct model_row *expected[HISTORY_MAX];
    const size_t count = model_history(check->model, branch, key->space, key->key, check->cut,
                                       expected, HISTORY_MAX);
    strata_space *space = NULL;
    strata_cursor *cursor = NULL;
    strata_status status = strata_space_open(check->db, key->space, &space);
    if (status == STRATA_OK)
        status = strata_kv_history(txn, space, key->key, &cursor);
    bool same = true;
    strata_row row;
    size_t at = 0;
    while (status == STRATA_OK && same && (status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        if (at >= count || at >= HISTORY_MAX)
            same = differs(check, "%s: a version too many: %llu", where,
                           (unsigned long long)row.version);
        else if (!model_check_row(expected[at], &row))
            same = row_differs(check, where, expected[at], &row);
        at++;
    }
    strata_cursor_close(cursor);
    strata_space_close(space);
    if (same && refused(check, status))
        return true;
    if (same && (status != STRATA_DONE || at != count))
        return differs(check, "%s: %zu versions, not %zu (%s)", where, at, count,
                       strata_status_name(status));
    return same;
}

/* Histories of the rows that the branch shows, and of the keys that it showed one commit ago. */
static bool check_histories(const struct model_check *check, int branch, uint64_t *random)
{
    strata_txn *txn = NULL;
    const char *name = model_branch_name(check->model, branch, check->cut);
    const strata_status status = strata_txn_snapshot(check->db, strata_head(name), &txn);
    if (refused(check, status))
        return true;
    if (status != STRATA_OK)
        return differs(check, "cut %llu: %s: no snapshot", (unsigned long long)check->cut, name);
    bool same = true;
    const uint64_t earlier = check->cut == 0 ? 0 : sim_below(random, check->cut);
    const uint64_t versions[2] = {check->cut, earlier};
    for (size_t which = 0; which < 2 && same; which++) {
        const struct model_view *view = model_view(check->model, branch, versions[which]);
        size_t left = check->full ? view->count : SAMPLED_KEYS;
        for (size_t i = 0; i < view->count && left > 0 && same; i++, left--) {
            const size_t at = check->full ? i : (size_t)sim_below(random, view->count);
            same = check_history(check, txn, view->rows[at], branch);
        }
    }
    strata_txn_close(txn);
    return same;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool check_past(const struct model_check *check, int branch, uint64_t version)
{
    const char *name = model_branch_name(check->model, branch, check->cut);
    const struct model_branch *at = model_branch_at(check->model, branch);
    if (version == 0 || (at->parent == MODEL_NO_BRANCH && version < at->created))
        return true;
    const int64_t time_us = model_time(check->model, version);
    const int64_t seen_us = seen_time(check, branch, version);
    if (!check_point(check, branch, strata_at_version(name, version), version, seen_us))
        return false;
    uint64_t last = version; /* Of several commits at one time, that time means the last. */
    while (last < check->cut && model_time(check->model, last + 1) == time_us)
        last++;
    if (last == check->cut && check->extra.branch != NULL)
        return true;
    return check_point(check, branch, strata_at_time(name, time_us), last, time_us);
}

bool model_check(const struct model_check *check)
{
    uint64_t random = check->seed;
    const int64_t last_us = model_time(check->model, check->cut);
    const int64_t now_us = check->now_us > last_us ? check->now_us : last_us;
    check->why[0] = '\0';
    if (!check_branch_list(check))
        return false;
    for (int branch = 0; branch < model_branch_count(check->model); branch++) {
        const char *name = model_branch_name(check->model, branch, check->cut);
        if (name == NULL)
            continue;
        if (!check_point(check, branch, strata_head(name), check->cut, now_us) ||
            !check_histories(check, branch, &random) || !check_log(check, branch))
            return false;
        for (uint64_t version = 1; check->full && version <= check->cut; version++) {
            if (!check_past(check, branch, version))
                return false;
        }
        for (unsigned i = 0; !check->full && i < SAMPLED_VIEWS && check->cut > 0; i++) {
            if (!check_past(check, branch, 1 + sim_below(&random, check->cut)))
                return false;
        }
    }
    return true;
}

bool model_check_report(strata *db, uint64_t floor, uint64_t begun, char *why)
{
    uint64_t visible = 0, durable = 0;
    strata_watermarks(db, &visible, &durable);
    strata_report report = {.size = sizeof(report)};
    const char *fault = NULL;
    if (strata_open_report(db, &report) != STRATA_OK)
        fault = "no opening report";
    else if (visible < floor)
        fault = "an acknowledged commit is lost";
    else if (visible > begun)
        fault = "a commit that was never begun";
    else if (durable > visible)
        fault = "durable beyond visible";
    else if (report.health != STRATA_HEALTHY || report.lost_first_version != 0)
        fault = "not healthy";
    else if (report.last_durable_version > visible ||
             report.last_durable_version + report.unconfirmed_commits != visible)
        fault = "unconfirmed commits are not (last durable, head]";
    if (fault == NULL)
        return true;
    snprintf(
        why, CHECK_WHY_SIZE,
        "%s: visible %llu durable %llu, floor %llu begun %llu; report: health %u last durable "
        "%llu unconfirmed %llu lost [%llu, %llu)",
        fault, (unsigned long long)visible, (unsigned long long)durable, (unsigned long long)floor,
        (unsigned long long)begun, report.health, (unsigned long long)report.last_durable_version,
        (unsigned long long)report.unconfirmed_commits,
        (unsigned long long)report.lost_first_version, (unsigned long long)report.lost_end_version);
    return false;
}
