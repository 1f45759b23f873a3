/* What the commands of the program share. A command is a row in the table of commands.c and a
 * function that gets everything opened and returns the exit code. */
#ifndef STRATA_CLI_CLI_H
#define STRATA_CLI_CLI_H

#include <stdbool.h>

#include "strata.h"

enum cli_exit { CLI_OK = 0, CLI_NOT_FOUND = 1, CLI_USAGE = 2, CLI_ERROR = 3 };

/* Options as bits: those given, and those that a command takes. */
enum {
    OPTION_DB = 1 << 0,
    OPTION_BRANCH = 1 << 1,
    OPTION_SPACE = 1 << 2,
    OPTION_READ_ONLY = 1 << 3,
    OPTION_JSON = 1 << 4,
    OPTION_AS_OF = 1 << 5,
    OPTION_LIMIT = 1 << 6,
    OPTION_REVERSE = 1 << 7,
    OPTION_AFTER = 1 << 8,
    OPTION_AT = 1 << 9,
    OPTION_HELP = 1 << 10,
    OPTION_VERSION = 1 << 11
};

/* What a command does to the database. */
enum access {
    ACCESS_NONE,   /* Opens nothing. */
    ACCESS_READ,   /* Changes no byte. */
    ACCESS_CHANGE, /* Writes; there must be a database. */
    ACCESS_CREATE  /* Writes; makes the database if there is none. */
};

/* Forms of arguments, all read before anything is opened. */
enum {
    FORM_NAME = 'n',    /* Left to the library. */
    FORM_BYTES = 'b',   /* Text, or "hex:" and digits: to cli.bytes. */
    FORM_VALUE = 'v',   /* The same, or "-" for standard input. */
    FORM_INTEGER = 'i', /* To cli.integer. */
    FORM_POINT = 'p'    /* A branch, or branch@moment, or @tag: to cli.from. */
};

enum { ARGUMENTS_MAX = 2 };

struct cli;

struct command {
    const char *group; /* First word, or NULL. */
    const char *name;
    const char *usage; /* Its arguments and options. */
    const char *summary;
    const char *forms; /* What its arguments are, a letter each: FORM_. */
    int arguments_min;
    unsigned options; /* OPTION_ bits that are not for all. */
    enum access access;
    int (*run)(struct cli *cli);
};

struct cli {
    const struct command *command;
    char **arguments; /* Those after the command's words. */
    int argument_count;
    unsigned given; /* OPTION_ bits. */

    /* Arguments by their form. */
    strata_bytes bytes[ARGUMENTS_MAX];
    int64_t integer;
    strata_point from;
    char from_name[256]; /* What from.branch or from.tag points to. */

    const char *database;
    const char *branch;
    const char *space_name;
    strata_point point; /* The branch as of when. */
    strata_point at;    /* Of --at; no branch. */
    uint64_t limit;     /* 0: none. */
    strata_bytes after;

    bool json;
    bool aligned; /* stdout is a terminal and takes tables. */
    strata *db;   /* NULL with ACCESS_NONE, and while a damaged one is reported. */
    strata_space *space;
};

/* Writes "strata: " and one line to stderr; returns `code`. */
int cli_complain(int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* The exit code of a status; if it is a failure, its message goes to stderr. Right after the call
 * that gave it. */
int cli_result(strata_status status);

/* For long work: a bar on stderr if that is a terminal, else NULL. */
const strata_progress *cli_progress(void);
void cli_progress_clear(void);

/* The commands, ended by one without a name. */
extern const struct command commands[];

int help_run(struct cli *cli);

int kv_put(struct cli *cli);
int kv_get(struct cli *cli);
int kv_delete(struct cli *cli);
int kv_list(struct cli *cli);
int kv_history(struct cli *cli);
int kv_count(struct cli *cli);
int kv_exists(struct cli *cli);
int kv_increment(struct cli *cli);

int branch_list(struct cli *cli);
int branch_create(struct cli *cli);
int branch_fork(struct cli *cli);
int branch_delete(struct cli *cli);
int branch_rename(struct cli *cli);
int branch_log(struct cli *cli);

int admin_check(struct cli *cli);
int admin_stats(struct cli *cli);
int admin_compact(struct cli *cli);
int admin_checkpoint(struct cli *cli);
int admin_info(struct cli *cli);

/* What info and check say of a database that would not open: the report of recovery. */
void admin_refused(struct cli *cli, const strata_report *report);

#endif
