#include "cli/fields.h"

#include <stdio.h>

void fields_begin(struct fields *fields, bool as_json, bool aligned)
{
    static const char *const titles[] = {"NAME", "VALUE"};
    fields->as_json = as_json;
    fields->group = NULL;
    fields->json = (struct json){0};
    table_begin(&fields->table, aligned, titles, 2);
    if (as_json)
        json_begin(&fields->json, NULL);
}

void fields_group(struct fields *fields, const char *name)
{
    fields->group = name;
    if (fields->as_json)
        json_begin(&fields->json, name);
}

void fields_group_end(struct fields *fields)
{
    fields->group = NULL;
    if (fields->as_json)
        json_end(&fields->json);
}

static void name_tabulate(struct fields *fields, const char *name)
{
    char whole[TABLE_CELL_BYTES_MAX];
    snprintf(whole, sizeof(whole), "%s%s%s", fields->group != NULL ? fields->group : "",
             fields->group != NULL ? "." : "", name);
    table_text(&fields->table, whole);
}

void fields_text(struct fields *fields, const char *name, const char *text)
{
    if (fields->as_json) {
        json_text(&fields->json, name, text);
        return;
    }
    name_tabulate(fields, name);
    table_shown(&fields->table, strata_text(text != NULL ? text : "-"));
}

void fields_count(struct fields *fields, const char *name, uint64_t count)
{
    if (fields->as_json) {
        json_count(&fields->json, name, count);
        return;
    }
    name_tabulate(fields, name);
    table_count(&fields->table, count);
}

void fields_integer(struct fields *fields, const char *name, int64_t integer)
{
    if (fields->as_json) {
        json_integer(&fields->json, name, integer);
        return;
    }
    name_tabulate(fields, name);
    table_integer(&fields->table, integer);
}

void fields_time(struct fields *fields, const char *name, int64_t time_us)
{
    char text[TIME_TEXT_SIZE];
    fields_text(fields, name, time_us != 0 ? time_text(time_us, text) : NULL);
}

void fields_end(struct fields *fields)
{
    if (fields->as_json)
        json_end(&fields->json);
    table_end(&fields->table);
}
