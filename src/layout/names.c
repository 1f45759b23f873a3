#include "layout/names.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Tables 0 to 9,999,999,999,999,999; a thousand of neighbouring numbers share a folder. */
static const uint64_t table_number_limit = 10000000000000000u;
enum { TABLES_PER_FOLDER = 1000 };

void layout_manifest_name(uint64_t number, char out[LAYOUT_NAME_SIZE])
{
    const int length =
        snprintf(out, LAYOUT_NAME_SIZE, LAYOUT_MANIFEST_FOLDER "/%020" PRIu64, number);
    assert(length > 0 && length < LAYOUT_NAME_SIZE);
    (void)length;
}

void layout_wal_name(uint64_t number, char out[LAYOUT_NAME_SIZE])
{
    const int length = snprintf(out, LAYOUT_NAME_SIZE, LAYOUT_WAL_FOLDER "/%020" PRIu64, number);
    assert(length > 0 && length < LAYOUT_NAME_SIZE);
    (void)length;
}

static unsigned table_folder_index(uint64_t number)
{
    return (unsigned)(number / TABLES_PER_FOLDER % LAYOUT_TABLE_FOLDERS);
}

void layout_table_name(uint64_t number, char out[LAYOUT_NAME_SIZE])
{
    assert(number < table_number_limit);
    const int length = snprintf(out, LAYOUT_NAME_SIZE, "tables/%02u/%016" PRIu64,
                                table_folder_index(number), number);
    assert(length > 0 && length < LAYOUT_NAME_SIZE);
    (void)length;
}

void layout_table_folder(uint64_t number, char out[LAYOUT_NAME_SIZE])
{
    assert(number < table_number_limit);
    layout_table_folder_at(table_folder_index(number), out);
}

void layout_table_folder_at(unsigned index, char out[LAYOUT_NAME_SIZE])
{
    assert(index < LAYOUT_TABLE_FOLDERS);
    const int length = snprintf(out, LAYOUT_NAME_SIZE, "tables/%02u", index);
    assert(length > 0 && length < LAYOUT_NAME_SIZE);
    (void)length;
}

/* The decimal number after the last slash; false if that is none, or over 64 bits. */
static bool parse_last_number(const char *name, uint64_t *number_out)
{
    const char *slash = strrchr(name, '/');
    if (slash == NULL || slash[1] == '\0')
        return false;
    uint64_t number = 0;
    for (const char *at = slash + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        const uint64_t digit = (uint64_t)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *number_out = number;
    return true;
}

/* What is parsed counts only if it is spelled as we spell it. */
bool layout_parse_manifest(const char *name, uint64_t *number_out)
{
    uint64_t number = 0;
    char spelled[LAYOUT_NAME_SIZE];
    if (!parse_last_number(name, &number))
        return false;
    layout_manifest_name(number, spelled);
    if (strcmp(name, spelled) != 0)
        return false;
    *number_out = number;
    return true;
}

bool layout_parse_wal(const char *name, uint64_t *number_out)
{
    uint64_t number = 0;
    char spelled[LAYOUT_NAME_SIZE];
    if (!parse_last_number(name, &number))
        return false;
    layout_wal_name(number, spelled);
    if (strcmp(name, spelled) != 0)
        return false;
    *number_out = number;
    return true;
}

bool layout_parse_table(const char *name, uint64_t *number_out)
{
    uint64_t number = 0;
    char spelled[LAYOUT_NAME_SIZE];
    if (!parse_last_number(name, &number) || number >= table_number_limit)
        return false;
    layout_table_name(number, spelled);
    if (strcmp(name, spelled) != 0)
        return false;
    *number_out = number;
    return true;
}
