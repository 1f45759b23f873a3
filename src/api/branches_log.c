#include "api/argument.h"

enum { BRANCH_OPTIONS_FIRST_SIZE = sizeof(strata_branch_options) };

/* ---- branches ---- */

static strata_status argument_branch(const strata_branch_options *given, const char **message_out)
{
    strata_branch_options options;
    TRY(argument_options(given, BRANCH_OPTIONS_FIRST_SIZE, &options, sizeof(options), "options"));
    TRY(argument_number(options.reserved, 0, "options.reserved"));
    TRY(argument_message(options.message));
    *message_out = options.message != NULL && options.message[0] != '\0' ? options.message : NULL;
    return STRATA_OK;
}

strata_status strata_branch_fork(strata *db, strata_point from, const char *name,
                                 const strata_branch_options *options)
{
    const char *message;
    TRY(argument_writable_db(db));
    TRY(argument_point(&from));
    TRY(argument_name(name, "name"));
    TRY(argument_branch(options, &message));
    return database_fork(db, &from, name, message);
}

strata_status strata_branch_create(strata *db, const char *name,
                                   const strata_branch_options *options)
{
    const char *message;
    TRY(argument_writable_db(db));
    TRY(argument_name(name, "name"));
    TRY(argument_branch(options, &message));
    return database_create_branch(db, name, message);
}

strata_status strata_branch_delete(strata *db, const char *name)
{
    TRY(argument_writable_db(db));
    TRY(argument_name(name, "name"));
    return database_delete_branch(db, name);
}

strata_status strata_branch_rename(strata *db, const char *name, const char *new_name)
{
    TRY(argument_writable_db(db));
    TRY(argument_name(name, "name"));
    TRY(argument_name(new_name, "new_name"));
    return database_rename_branch(db, name, new_name);
}

strata_status strata_branch_list(strata *db, const char *prefix, strata_cursor **out)
{
    TRY(argument_db(db));
    TRY(argument_given(out, "out"));
    if (prefix != NULL && prefix[0] != '\0')
        TRY(argument_name(prefix, "prefix"));
    return cursor_branches(db, prefix != NULL ? prefix : "", out);
}

strata_status strata_branch_next(strata_cursor *cursor, strata_branch_info *out)
{
    TRY(argument_cursor(cursor, CURSOR_BRANCHES, CURSOR_BRANCHES));
    TRY(argument_given(out, "out"));
    TRY(cursor_next_branch(cursor));
    if (cursor->done)
        return STRATA_DONE;
    const struct storage_branch_info *info = &cursor->of.branches.info;
    *out = (strata_branch_info){.name = info->branch.name,
                                .parent = info->parent[0] != '\0' ? info->parent : NULL,
                                .fork_version = info->branch.cap,
                                .head_version = info->head_version,
                                .created_us = info->branch.created_us,
                                .head_us = info->head_us};
    return STRATA_OK;
}

/* ---- the log ---- */

strata_status strata_log_open(strata *db, strata_point from, strata_cursor **out)
{
    TRY(argument_db(db));
    TRY(argument_given(out, "out"));
    TRY(argument_point(&from));
    return cursor_log(db, &from, out);
}

strata_status strata_log_next(strata_cursor *cursor, strata_log_entry *out)
{
    TRY(argument_cursor(cursor, CURSOR_LOG, CURSOR_LOG));
    TRY(argument_given(out, "out"));
    TRY(cursor_next_commit(cursor));
    if (cursor->done)
        return STRATA_DONE;
    const struct log_cursor *log = &cursor->of.log;
    *out = (strata_log_entry){.version = log->entry.version,
                              .time_us = log->entry.time_us,
                              .branch = log->name[0] != '\0' ? log->name : NULL,
                              .message = log->entry.message[0] != '\0' ? log->entry.message : NULL,
                              .rows = log->entry.rows};
    return STRATA_OK;
}
