/* A folder of its own for a test, under TMPDIR or /tmp. */
#ifndef STRATA_TESTS_TEMP_FOLDER_H
#define STRATA_TESTS_TEMP_FOLDER_H

#include <stddef.h>
#include <stdint.h>

enum { TEMP_FOLDER_SIZE = 256 };

/* Makes a new folder and writes its path to `out`. Ends the program if it cannot. */
void temp_folder_create(char out[TEMP_FOLDER_SIZE]);

/* Removes it with all that is in it. */
void temp_folder_remove(const char *path);

/* A number for names, sizes, times of change and bytes of all files below `path`. */
uint64_t temp_folder_fingerprint(const char *path);

#endif
