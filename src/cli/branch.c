#include "cli/cli.h"

#include "cli/table.h"

/* ---- Changing ---- */

/* Branch calls are of standard durability; the command returns when its commit is durable. */
static int change_finish(struct cli *cli, strata_status status, const char *name)
{
    if (status == STRATA_OK)
        status = strata_sync(cli->db);
    if (status != STRATA_OK)
        return cli_result(status);
    if (cli->json) {
        uint64_t version = 0;
        struct json json = {0};
        strata_watermarks(cli->db, &version, NULL);
        json_begin(&json, NULL);
        json_text(&json, "branch", name);
        json_count(&json, "version", version);
        json_end(&json);
    }
    return CLI_OK;
}

int branch_create(struct cli *cli)
{
    const char *name = cli->arguments[0];
    return change_finish(cli, strata_branch_create(cli->db, name, NULL), name);
}

int branch_fork(struct cli *cli)
{
    const char *name = cli->arguments[1];
    return change_finish(cli, strata_branch_fork(cli->db, cli->from, name, NULL), name);
}

int branch_delete(struct cli *cli)
{
    const char *name = cli->arguments[0];
    return change_finish(cli, strata_branch_delete(cli->db, name), name);
}

int branch_rename(struct cli *cli)
{
    const char *name = cli->arguments[1];
    return change_finish(cli, strata_branch_rename(cli->db, cli->arguments[0], name), name);
}

/* ---- Listing ---- */

static void branch_write_json(const strata_branch_info *info)
{
    struct json json = {0};
    json_begin(&json, NULL);
    json_text(&json, "name", info->name);
    json_text(&json, "parent", info->parent);
    json_count(&json, "fork_version", info->fork_version);
    json_count(&json, "head_version", info->head_version);
    json_count(&json, "floor_version", info->floor_version);
    json_time(&json, "created", info->created_us);
    json_time(&json, "head_time", info->head_us);
    if (info->expires_us != 0)
        json_time(&json, "expires", info->expires_us);
    json_bool(&json, "protected", info->protect != 0);
    json_end(&json);
}

static void branch_tabulate(const strata_branch_info *info, struct table *table)
{
    table_text(table, info->name);
    table_text(table, info->parent != NULL ? info->parent : "-");
    table_count(table, info->fork_version);
    table_count(table, info->head_version);
    table_time(table, info->head_us);
}

int branch_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "PARENT", "FORK", "HEAD", "TIME"};
    static struct table table;
    strata_cursor *cursor = NULL;
    strata_branch_info info;
    table_begin(&table, cli->aligned, titles, 5);
    strata_status status = strata_branch_list(cli->db, NULL, &cursor);
    while (status == STRATA_OK && (status = strata_branch_next(cursor, &info)) == STRATA_OK) {
        if (cli->json)
            branch_write_json(&info);
        else
            branch_tabulate(&info, &table);
    }
    const int code = cli_result(status == STRATA_DONE ? STRATA_OK : status);
    table_end(&table);
    strata_cursor_close(cursor);
    return code;
}

/* ---- Log ---- */

static void entry_write_json(const strata_log_entry *entry)
{
    struct json json = {0};
    json_begin(&json, NULL);
    json_count(&json, "version", entry->version);
    json_time(&json, "time", entry->time_us);
    json_text(&json, "branch", entry->branch);
    json_text(&json, "name", entry->name);
    json_text(&json, "message", entry->message);
    if (entry->metadata.data != NULL)
        json_shown(&json, "metadata", entry->metadata);
    if (entry->merged_version != 0)
        json_count(&json, "merged_version", entry->merged_version);
    json_count(&json, "rows", entry->rows);
    json_end(&json);
}

static void entry_tabulate(const strata_log_entry *entry, struct table *table)
{
    table_count(table, entry->version);
    table_time(table, entry->time_us);
    table_text(table, entry->branch);
    table_count(table, entry->rows);
    table_text(table, entry->name != NULL ? entry->name : "-");
    table_shown(table, strata_text(entry->message != NULL ? entry->message : ""));
}

int branch_log(struct cli *cli)
{
    static const char *const titles[] = {"VERSION", "TIME", "BRANCH", "ROWS", "NAME", "MESSAGE"};
    static struct table table;
    strata_cursor *cursor = NULL;
    strata_log_entry entry;
    strata_point from = cli->point;
    if (cli->argument_count > 0)
        from.branch = cli->arguments[0];

    table_begin(&table, cli->aligned, titles, 6);
    strata_status status = strata_log_open(cli->db, from, &cursor);
    for (uint64_t rows = 0; status == STRATA_OK && (cli->limit == 0 || rows < cli->limit); rows++) {
        status = strata_log_next(cursor, &entry);
        if (status == STRATA_OK && cli->json)
            entry_write_json(&entry);
        else if (status == STRATA_OK)
            entry_tabulate(&entry, &table);
    }
    const int code = cli_result(status == STRATA_DONE ? STRATA_OK : status);
    table_end(&table);
    strata_cursor_close(cursor);
    return code;
}
