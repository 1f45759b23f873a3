#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>

const struct command commands[] = {
    {"kv", "put", "KEY VALUE", "set a key; VALUE - is read from standard input", "bv", 2, 0,
     ACCESS_CREATE, kv_put},
    {"kv", "get", "KEY", "write the value of a key", "b", 1, OPTION_AS_OF, ACCESS_READ, kv_get},
    {"kv", "delete", "KEY", "delete a key; its history stays", "b", 1, 0, ACCESS_CHANGE, kv_delete},
    {"kv", "list", "[PREFIX] [--limit N] [--reverse] [--after KEY]",
     "keys and values, in key order", "b", 0,
     OPTION_AS_OF | OPTION_LIMIT | OPTION_REVERSE | OPTION_AFTER, ACCESS_READ, kv_list},
    {"kv", "history", "KEY [--limit N]", "every version of a key, newest first", "b", 1,
     OPTION_AS_OF | OPTION_LIMIT, ACCESS_READ, kv_history},
    {"kv", "count", "[PREFIX]", "how many keys there are", "b", 0, OPTION_AS_OF, ACCESS_READ,
     kv_count},
    {"kv", "exists", "KEY", "exit code 0 if there is such a key, else 1", "b", 1, OPTION_AS_OF,
     ACCESS_READ, kv_exists},
    {"kv", "increment", "KEY [DELTA]", "add to a counter and write its new value", "bi", 1, 0,
     ACCESS_CREATE, kv_increment},
    {"branch", "list", "", "all branches", "", 0, 0, ACCESS_READ, branch_list},
    {"branch", "create", "NAME", "a branch with nothing in it", "n", 1, 0, ACCESS_CREATE,
     branch_create},
    {"branch", "fork", "FROM NEW [--at VERSION|TIME]", "a branch that starts as another", "pn", 2,
     OPTION_AT, ACCESS_CREATE, branch_fork},
    {"branch", "delete", "NAME", "delete a branch; branches forked from it stay", "n", 1, 0,
     ACCESS_CHANGE, branch_delete},
    {"branch", "rename", "OLD NEW", "give a branch another name", "nn", 2, 0, ACCESS_CHANGE,
     branch_rename},
    {"branch", "log", "[NAME] [--limit N]", "the commits that made a branch, newest first", "n", 0,
     OPTION_AS_OF | OPTION_LIMIT, ACCESS_READ, branch_log},
    {NULL, "check", "", "read every byte and check every rule", "", 0, 0, ACCESS_READ, admin_check},
    {NULL, "stats", "", "everything that is measured", "", 0, 0, ACCESS_READ, admin_stats},
    {NULL, "compact", "", "merge what can be merged and give space back", "", 0, 0, ACCESS_CHANGE,
     admin_compact},
    {NULL, "checkpoint", "", "bound the work of the next recovery", "", 0, 0, ACCESS_CHANGE,
     admin_checkpoint},
    {NULL, "info", "", "versions, health, what recovery found, sizes", "", 0, 0, ACCESS_READ,
     admin_info},
    {NULL, "help", "[COMMAND]", "this text", "n", 0, 0, ACCESS_NONE, help_run},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, ACCESS_NONE, NULL},
};

/* "help kv" and "help compact" are about those only. */
static bool help_wanted(const struct cli *cli, const struct command *command)
{
    if (cli->argument_count == 0)
        return true;
    const char *word = cli->arguments[0];
    return strcmp(word, command->name) == 0 ||
           (command->group != NULL && strcmp(word, command->group) == 0);
}

static void command_help(const struct command *command)
{
    printf("  %s%s%s%s%s\n        %s\n", command->group != NULL ? command->group : "",
           command->group != NULL ? " " : "", command->name, command->usage[0] != '\0' ? " " : "",
           command->usage, command->summary);
}

int help_run(struct cli *cli)
{
    fputs("usage: strata [options] COMMAND [arguments]\n"
          "\n"
          "commands:\n",
          stdout);
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (help_wanted(cli, command))
            command_help(command);
    }
    fputs("\n"
          "options:\n"
          "  --db DIR               the database (agent.strata)\n"
          "  --branch NAME          the branch (main)\n"
          "  --space NAME           the space (default)\n"
          "  --as-of VERSION|TIME   read as it was then, such as 42 or 2026-11-20T07:30:00Z\n"
          "  --read-only            refuse commands that write\n"
          "  --json                 one JSON object per line\n"
          "  --help, --version\n"
          "  --                     no options after this\n"
          "\n"
          "Bytes that are not plain text are written, and may be given, as hex: and digits.\n"
          "exit codes: 0 done, 1 not found, 2 wrong usage, 3 error\n",
          stdout);
    return CLI_OK;
}
