/* Named facts: one JSON object, or one line each. Groups nest once; in text their name goes before
 * the field's, with a dot. */
#ifndef STRATA_CLI_FIELDS_H
#define STRATA_CLI_FIELDS_H

#include "cli/table.h"

struct fields {
    bool as_json;
    const char *group; /* Or NULL. */
    struct json json;
    struct table table;
};

void fields_begin(struct fields *fields, bool as_json, bool aligned);
void fields_group(struct fields *fields, const char *name);
void fields_group_end(struct fields *fields);
void fields_text(struct fields *fields, const char *name, const char *text); /* NULL: null, -. */
void fields_count(struct fields *fields, const char *name, uint64_t count);
void fields_integer(struct fields *fields, const char *name, int64_t integer);
void fields_time(struct fields *fields, const char *name, int64_t time_us); /* 0: null, -. */
void fields_end(struct fields *fields);

#endif
