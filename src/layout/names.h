/* The names of all objects. The only place that spells them.
 *
 *     manifest/<20 digits>      wal/<20 digits>      wal/ring      tables/<2 digits>/<16 digits>
 *
 * Numbers are decimal with leading zeros; the two digits of a table are number / 1000 % 100. */
#ifndef STRATA_LAYOUT_NAMES_H
#define STRATA_LAYOUT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

enum { LAYOUT_NAME_SIZE = 40, LAYOUT_TABLE_FOLDERS = 100 };

void layout_manifest_name(uint64_t number, char out[LAYOUT_NAME_SIZE]);
void layout_wal_name(uint64_t number, char out[LAYOUT_NAME_SIZE]);
void layout_table_name(uint64_t number, char out[LAYOUT_NAME_SIZE]);

/* Which of the folders of tables a number belongs to. */
static inline unsigned layout_table_folder_index(uint64_t number)
{
    return (unsigned)(number / 1000 % LAYOUT_TABLE_FOLDERS);
}

/* "tables/07" of a table's number, or of folder index 0 to LAYOUT_TABLE_FOLDERS - 1. */
void layout_table_folder(uint64_t number, char out[LAYOUT_NAME_SIZE]);
void layout_table_folder_at(unsigned index, char out[LAYOUT_NAME_SIZE]);

/* Whether `name` is exactly what the function above would write for `*number_out`. */
bool layout_parse_manifest(const char *name, uint64_t *number_out);
bool layout_parse_wal(const char *name, uint64_t *number_out);
bool layout_parse_table(const char *name, uint64_t *number_out);

#define LAYOUT_MANIFEST_FOLDER "manifest"
#define LAYOUT_WAL_FOLDER      "wal"
#define LAYOUT_WAL_RING        "wal/ring"

#endif
