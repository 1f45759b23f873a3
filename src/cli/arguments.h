/* Reads the command line and the forms that arguments come in. Everything is read in place. */
#ifndef STRATA_CLI_ARGUMENTS_H
#define STRATA_CLI_ARGUMENTS_H

#include "cli/cli.h"

/* Fills `out` from the options and words of the command line, in any order up to "--", finds the
 * command and reads its arguments. Returns CLI_OK, or complains and returns CLI_USAGE. */
int arguments_read(int count, char **words, struct cli *out);

#endif
