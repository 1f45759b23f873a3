/* Rows of cells: aligned under titles on a terminal, separated by tabs elsewhere. On a terminal
 * long cells are cut; elsewhere every cell is whole and nothing is buffered. */
#ifndef STRATA_CLI_TABLE_H
#define STRATA_CLI_TABLE_H

#include "cli/output.h"

enum {
    TABLE_COLUMNS_MAX = 8,
    TABLE_PAGE_ROWS = 100, /* Aligned together. */
    TABLE_CELL_BYTES_MAX = 64
};

struct table {
    bool aligned;
    bool titles_written;
    size_t columns;
    const char *const *titles;
    size_t column; /* Of the next cell. */
    size_t rows;   /* Whole ones in the page. */
    char cells[TABLE_PAGE_ROWS + 1][TABLE_COLUMNS_MAX][TABLE_CELL_BYTES_MAX + 4];
};

/* `titles[columns]` is kept. */
void table_begin(struct table *table, bool aligned, const char *const *titles, size_t columns);

/* Fill the cells of a row from left to right; the last one ends the row. */
void table_text(struct table *table, const char *text);
void table_count(struct table *table, uint64_t count);
void table_integer(struct table *table, int64_t integer);
void table_number(struct table *table, double number);
void table_time(struct table *table, int64_t time_us);
void table_shown(struct table *table, strata_bytes bytes);

/* For a cell too large to hold: the caller writes it to stdout between the two. Not when aligned. */
void table_open_cell(struct table *table);
void table_close_cell(struct table *table);

/* Writes what is left. */
void table_end(struct table *table);

#endif
