#include "cli/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Forms ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Digits are decoded over the text itself. */
static int argument_bytes(char *text, strata_bytes *out)
{
    if (strncmp(text, "hex:", 4) != 0) {
        *out = strata_text(text);
        return CLI_OK;
    }
    const char *digits = text + 4;
    size_t size = 0;
    for (; digits[0] != '\0'; digits += 2) {
        const int high = hex_digit(digits[0]);
        const int low = high < 0 ? -1 : hex_digit(digits[1]);
        if (low < 0)
            return cli_complain(CLI_USAGE, "hex: is followed by an even number of hex digits");
        text[size++] = (char)(unsigned char)(high << 4 | low);
    }
    *out = strata_view(text, size);
    return CLI_OK;
}

static int argument_unsigned(const char *text, uint64_t *out)
{
    uint64_t count = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        const unsigned digit = (unsigned)(*c - '0');
        if (count > (UINT64_MAX - digit) / 10)
            break;
        count = count * 10 + digit;
    }
    if (c == text || *c != '\0')
        return cli_complain(CLI_USAGE, "\"%s\" is not a whole number in range", text);
    *out = count;
    return CLI_OK;
}

static int argument_integer(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    const intmax_t integer = strtoimax(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || integer < INT64_MIN || integer > INT64_MAX)
        return cli_complain(CLI_USAGE, "\"%s\" is not a whole number in range", text);
    *out = (int64_t)integer;
    return CLI_OK;
}

static int argument_moment(const char *text, strata_point *out)
{
    char whole[128], name[256];
    const int size = snprintf(whole, sizeof(whole), "main@%s", text);
    if (size < 0 || (size_t)size >= sizeof(whole) || strchr(text, '@') != NULL)
        return cli_complain(CLI_USAGE, "\"%s\" is neither a version nor a time", text);
    /* What the parser would say counts bytes from a branch that the user has not written. */
    if (strata_point_parse(whole, name, out) != STRATA_OK)
        return cli_complain(CLI_USAGE,
                            "\"%s\" is neither a version nor a time: 42 is one, "
                            "2026-11-20T07:30:00Z the other",
                            text);
    if (out->version == 0 && out->time_us == 0)
        return cli_complain(CLI_USAGE, "\"%s\" is before the first version, which is 1", text);
    out->branch = NULL;
    return CLI_OK;
}

/* FROM may say its moment itself; else --at does. */
static int argument_point(struct cli *cli, const char *text)
{
    if (strata_point_parse(text, cli->from_name, &cli->from) != STRATA_OK)
        return cli_complain(CLI_USAGE, "%s", strata_error_message());
    if ((cli->given & OPTION_AT) == 0)
        return CLI_OK;
    if (cli->from.version != 0 || cli->from.time_us != 0 || cli->from.tag != NULL)
        return cli_complain(CLI_USAGE, "%s says the moment already; --at is one too many", text);
    cli->from.version = cli->at.version;
    cli->from.time_us = cli->at.time_us;
    return CLI_OK;
}

static int argument_read(struct cli *cli, int index)
{
    char *text = cli->arguments[index];
    switch (cli->command->forms[index]) {
    case FORM_BYTES:
        return argument_bytes(text, &cli->bytes[index]);
    case FORM_VALUE:
        return strcmp(text, "-") == 0 ? CLI_OK : argument_bytes(text, &cli->bytes[index]);
    case FORM_INTEGER:
        return argument_integer(text, &cli->integer);
    case FORM_POINT:
        return argument_point(cli, text);
    default:
        return CLI_OK;
    }
}

/* ---- Options ---- */

static const struct option {
    const char *name;
    unsigned bit;
    bool takes_value;
} options[] = {
    {"--db", OPTION_DB, true},
    {"--branch", OPTION_BRANCH, true},
    {"--space", OPTION_SPACE, true},
    {"--as-of", OPTION_AS_OF, true},
    {"--read-only", OPTION_READ_ONLY, false},
    {"--json", OPTION_JSON, false},
    {"--limit", OPTION_LIMIT, true},
    {"--reverse", OPTION_REVERSE, false},
    {"--after", OPTION_AFTER, true},
    {"--at", OPTION_AT, true},
    {"--help", OPTION_HELP, false},
    {"--version", OPTION_VERSION, false},
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

static const char *option_name(unsigned bits)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if ((options[i].bit & bits) != 0)
            return options[i].name;
    }
    return "";
}

static int option_apply(struct cli *cli, unsigned bit, char *value)
{
    cli->given |= bit;
    switch (bit) {
    case OPTION_DB:
        cli->database = value;
        return CLI_OK;
    case OPTION_BRANCH:
        cli->branch = value;
        return CLI_OK;
    case OPTION_SPACE:
        cli->space_name = value;
        return CLI_OK;
    case OPTION_AS_OF:
        return argument_moment(value, &cli->point);
    case OPTION_AT:
        return argument_moment(value, &cli->at);
    case OPTION_LIMIT:
        return argument_unsigned(value, &cli->limit);
    case OPTION_AFTER:
        return argument_bytes(value, &cli->after);
    default:
        return CLI_OK;
    }
}

/* Reads the option in words[*index], "--name value" or "--name=value"; moves *index to the last
 * word used. */
static int option_read(struct cli *cli, char **words, int count, int *index)
{
    char *word = words[*index];
    const size_t name_size = strcspn(word, "=");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        if (strlen(option->name) != name_size || strncmp(option->name, word, name_size) != 0)
            continue;
        char *value = word[name_size] == '=' ? word + name_size + 1 : NULL;
        if (!option->takes_value && value != NULL)
            return cli_complain(CLI_USAGE, "%s takes no value", option->name);
        if (option->takes_value && value == NULL) {
            if (*index + 1 == count)
                return cli_complain(CLI_USAGE, "%s needs a value", option->name);
            *index += 1;
            value = words[*index];
        }
        return option_apply(cli, option->bit, value);
    }
    return cli_complain(CLI_USAGE,
                        "there is no option %.*s; an argument that starts so comes after --",
                        (int)name_size, word);
}

/* ---- The command ---- */

static int command_find(struct cli *cli)
{
    char **words = cli->arguments;
    bool group_known = false;
    if (cli->argument_count == 0)
        return cli_complain(CLI_USAGE, "no command; \"strata help\" lists them");
    for (const struct command *command = commands; command->name != NULL; command++) {
        int used = 0;
        if (command->group != NULL) {
            if (strcmp(words[0], command->group) != 0)
                continue;
            group_known = true;
            used = 1;
        }
        if (used < cli->argument_count && strcmp(words[used], command->name) == 0) {
            cli->command = command;
            cli->arguments += used + 1;
            cli->argument_count -= used + 1;
            return CLI_OK;
        }
    }
    if (!group_known)
        return cli_complain(CLI_USAGE, "there is no command %s; \"strata help\" lists them",
                            words[0]);
    if (cli->argument_count == 1)
        return cli_complain(CLI_USAGE, "%s needs a second word; \"strata help\" lists them",
                            words[0]);
    return cli_complain(CLI_USAGE, "there is no command %s %s; \"strata help\" lists them",
                        words[0], words[1]);
}

/* The words, the options and what the command does must go together. */
static int command_fits(const struct cli *cli)
{
    const struct command *command = cli->command;
    const char *group = command->group != NULL ? command->group : "";
    const char *gap = command->group != NULL ? " " : "";
    const unsigned everywhere =
        OPTION_DB | OPTION_BRANCH | OPTION_SPACE | OPTION_READ_ONLY | OPTION_JSON;
    const unsigned foreign = cli->given & ~(command->options | everywhere);
    const bool writes = command->access == ACCESS_CHANGE || command->access == ACCESS_CREATE;

    if (cli->argument_count < command->arguments_min ||
        cli->argument_count > (int)strlen(command->forms))
        return cli_complain(CLI_USAGE, "usage: strata %s%s%s%s%s", group, gap, command->name,
                            command->usage[0] != '\0' ? " " : "", command->usage);
    if (foreign != 0)
        return cli_complain(CLI_USAGE, "%s%s%s does not take %s", group, gap, command->name,
                            option_name(foreign));
    if (writes && (cli->given & OPTION_READ_ONLY) != 0)
        return cli_complain(CLI_USAGE, "%s%s%s writes; it does not take --read-only", group, gap,
                            command->name);
    return CLI_OK;
}

int arguments_read(int count, char **words, struct cli *out)
{
    bool options_end = false;
    int kept = 1; /* Plain words move to the front, past the program's name. */
    for (int i = 1; i < count; i++) {
        char *word = words[i];
        if (options_end || strncmp(word, "--", 2) != 0) {
            words[kept++] = word;
        } else if (strcmp(word, "--") == 0) {
            options_end = true;
        } else {
            const int code = option_read(out, words, count, &i);
            if (code != CLI_OK)
                return code;
        }
    }
    out->arguments = words + 1;
    out->argument_count = kept - 1;
    out->json = (out->given & OPTION_JSON) != 0;
    out->point.branch = out->branch;
    if ((out->given & (OPTION_HELP | OPTION_VERSION)) != 0)
        return CLI_OK;

    int code = command_find(out);
    if (code == CLI_OK)
        code = command_fits(out);
    for (int i = 0; code == CLI_OK && i < out->argument_count; i++)
        code = argument_read(out, i);
    return code;
}
