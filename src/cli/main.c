/* The program `strata`: one command on one database. */
#define _POSIX_C_SOURCE 200809L /* isatty, fileno, open, fcntl */

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/arguments.h"

int cli_complain(int code, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("strata: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    return code;
}

int cli_result(strata_status status)
{
    if (status == STRATA_OK)
        return CLI_OK;
    return cli_complain(status == STRATA_NOT_FOUND ? CLI_NOT_FOUND : CLI_ERROR, "%s",
                        strata_error_message());
}

/* ---- Progress ---- */

enum { BAR_WIDTH = 40 };

static int progress_draw(void *context, const char *stage, uint64_t done, uint64_t total)
{
    (void)context;
    char bar[BAR_WIDTH + 1];
    const double share = total == 0 ? 0 : (double)done / (double)total;
    const size_t filled = (size_t)((share > 1 ? 1 : share) * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    if (total == 0)
        fprintf(stderr, "\r\033[K%s %" PRIu64, stage, done);
    else
        fprintf(stderr, "\r\033[K[%s] %3.0f %% %s", bar, share * 100, stage);
    fflush(stderr);
    return 0;
}

const strata_progress *cli_progress(void)
{
    static const strata_progress progress = {NULL, progress_draw};
    return isatty(fileno(stderr)) ? &progress : NULL;
}

void cli_progress_clear(void)
{
    if (isatty(fileno(stderr)))
        fputs("\r\033[K", stderr);
}

/* ---- Running ---- */

static int version_print(void)
{
    const uint32_t number = strata_version();
    printf("strata %" PRIu32 ".%" PRIu32 ".%" PRIu32 " (format %" PRIu32 "; %s)\n", number / 10000,
           number / 100 % 100, number % 100, strata_format_version(), strata_build_info());
    return CLI_OK;
}

/* Info and check tell of a damaged database what recovery could find out. */
static int refused(struct cli *cli, strata_status status)
{
    const bool damaged = status == STRATA_DATA_LOSS || status == STRATA_CORRUPT;
    const bool reports = cli->command->run == admin_info || cli->command->run == admin_check;
    const int code = cli_result(status);
    strata_report report = {.size = sizeof(report)};
    if (damaged && reports && strata_open_report(NULL, &report) == STRATA_OK)
        admin_refused(cli, &report);
    return code;
}

/* A standard stream that was closed is taken by the next file that is opened, which what is printed
 * would then go to. What stands in cannot be read or written: the stream fails as if it were closed. */
static bool streams_hold(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++) {
        if (fcntl(file, F_GETFD) != -1)
            continue;
        if (open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY) != file)
            return false;
    }
    return true;
}

static int command_run(struct cli *cli)
{
    static const uint32_t modes[] = {
        [ACCESS_READ] = STRATA_OPEN_READ_ONLY,
        [ACCESS_CHANGE] = STRATA_OPEN_EXISTING,
        [ACCESS_CREATE] = STRATA_OPEN_CREATE,
    };
    const enum access access = cli->command->access;
    strata_open_options options = {.size = sizeof(options), .durability = STRATA_ALWAYS};
    if (access == ACCESS_NONE)
        return cli->command->run(cli);

    options.mode = modes[access];
    strata_status status = strata_open(cli->database, &options, &cli->db);
    if (status != STRATA_OK)
        return refused(cli, status);
    if (cli->space_name != NULL)
        status = strata_space_open(cli->db, cli->space_name, &cli->space);
    int code = status == STRATA_OK ? cli->command->run(cli) : cli_result(status);

    strata_space_close(cli->space);
    status = strata_close(cli->db);
    if (status != STRATA_OK && code == CLI_OK)
        code = cli_result(status);
    return code;
}

int main(int count, char **words)
{
    struct cli cli = {.database = "agent.strata", .branch = "main"};
    if (!streams_hold())
        return CLI_ERROR;
    int code = arguments_read(count, words, &cli);
    if (code != CLI_OK)
        return code;

    cli.aligned = !cli.json && isatty(fileno(stdout));
    if ((cli.given & OPTION_VERSION) != 0)
        code = version_print();
    else if ((cli.given & OPTION_HELP) != 0)
        code = help_run(&cli); /* The words, if any, name the command. */
    else
        code = command_run(&cli);

    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK)
        code = cli_complain(CLI_ERROR, "the output cannot be written: %s", strerror(errno));
    return code;
}
