#include "cli/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static_assert((int)TABLE_CELL_BYTES_MAX >= (int)NUMBER_TEXT_SIZE, "a number fits a cell");
static_assert((int)TABLE_CELL_BYTES_MAX >= (int)TIME_TEXT_SIZE, "a time fits a cell");

void table_begin(struct table *table, bool aligned, const char *const *titles, size_t columns)
{
    assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    table->aligned = aligned;
    table->titles_written = false;
    table->columns = columns;
    table->titles = titles;
    table->column = 0;
    table->rows = 0;
}

/* Characters, taken to be one column each. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void write_aligned(const struct table *table, const char *text, size_t column,
                          const size_t *widths)
{
    fputs(text, stdout);
    if (column + 1 == table->columns) {
        putchar('\n');
        return;
    }
    for (size_t width = text_width(text); width < widths[column] + 2; width++)
        putchar(' ');
}

static void page_write(struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t column = 0; column < table->columns; column++) {
        widths[column] = table->titles_written ? 0 : text_width(table->titles[column]);
        for (size_t row = 0; row < table->rows; row++) {
            const size_t width = text_width(table->cells[row][column]);
            if (width > widths[column])
                widths[column] = width;
        }
    }
    for (size_t column = 0; column < table->columns && !table->titles_written; column++)
        write_aligned(table, table->titles[column], column, widths);
    table->titles_written = true;
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t column = 0; column < table->columns; column++)
            write_aligned(table, table->cells[row][column], column, widths);
    }
    table->rows = 0;
}

void table_open_cell(struct table *table)
{
    if (!table->aligned && table->column > 0)
        putchar('\t');
}

void table_close_cell(struct table *table)
{
    table->column++;
    if (table->column < table->columns)
        return;
    table->column = 0;
    if (!table->aligned) {
        putchar('\n');
        return;
    }
    table->rows++;
    if (table->rows == TABLE_PAGE_ROWS)
        page_write(table);
}

/* Copies what fits a cell, whole characters only, and marks what was cut. */
static void cell_fill(struct table *table, strata_bytes text, bool cut)
{
    char *cell = table->cells[table->rows][table->column];
    const char *from = (const char *)text.data;
    size_t size = text.size;
    if (size > TABLE_CELL_BYTES_MAX) {
        size = TABLE_CELL_BYTES_MAX;
        while (size > 0 && ((unsigned char)from[size] & 0xc0) == 0x80)
            size--;
        cut = true;
    }
    if (size > 0)
        memcpy(cell, from, size);
    snprintf(cell + size, 4, "%s", cut ? "..." : "");
}

void table_text(struct table *table, const char *text)
{
    table_open_cell(table);
    if (table->aligned)
        cell_fill(table, strata_text(text), false);
    else
        fputs(text, stdout);
    table_close_cell(table);
}

void table_shown(struct table *table, strata_bytes bytes)
{
    table_open_cell(table);
    if (!table->aligned) {
        write_shown(bytes);
    } else if (bytes_are_plain(bytes)) {
        cell_fill(table, bytes, false);
    } else {
        char text[TABLE_CELL_BYTES_MAX + 1] = "hex:";
        size_t size = 4;
        for (size_t i = 0; i < bytes.size && size + 2 < sizeof(text); i++, size += 2)
            snprintf(text + size, 3, "%02x", ((const uint8_t *)bytes.data)[i]);
        cell_fill(table, strata_view(text, size), 4 + 2 * bytes.size > size);
    }
    table_close_cell(table);
}

void table_count(struct table *table, uint64_t count)
{
    char text[NUMBER_TEXT_SIZE];
    snprintf(text, sizeof(text), "%" PRIu64, count);
    table_text(table, text);
}

void table_integer(struct table *table, int64_t integer)
{
    char text[NUMBER_TEXT_SIZE];
    snprintf(text, sizeof(text), "%" PRId64, integer);
    table_text(table, text);
}

void table_number(struct table *table, double number)
{
    char text[NUMBER_TEXT_SIZE];
    table_text(table, number_text(number, text));
}

void table_time(struct table *table, int64_t time_us)
{
    char text[TIME_TEXT_SIZE];
    table_text(table, time_text(time_us, text));
}

void table_end(struct table *table)
{
    if (table->aligned && table->rows > 0)
        page_write(table);
}
