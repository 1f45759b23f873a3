#include "api/argument.h"

strata_status strata_point_parse(const char *text, char *name, strata_point *out)
{
    strata_point point;
    char parsed[BRANCH_NAME_SIZE_MAX + 1];
    TRY(argument_given(text, "text"));
    TRY(argument_given(name, "name"));
    TRY(argument_given(out, "out"));
    TRY(point_parse(text, parsed, &point));
    TRY(argument_name(parsed, point.tag != NULL ? "the tag" : "the branch"));
    memcpy(name, parsed, strlen(parsed) + 1);
    if (point.tag != NULL)
        point.tag = name;
    else
        point.branch = name;
    *out = point;
    return STRATA_OK;
}

strata_status strata_point_resolve(strata *db, strata_point point, strata_point *out)
{
    struct store_reader reader;
    struct point_target target;
    TRY(argument_db(db));
    TRY(argument_given(out, "out"));
    TRY(argument_point(&point));
    TRY(store_reader_open(db->storage.store, "", &reader));
    strata_status status = point_find(&db->storage, &reader, &point, &target);
    if (status == STRATA_OK) {
        status = point_settle(&db->storage, &reader, &target);
        storage_branch_close(&db->storage, target.branch);
    }
    store_reader_close(&reader);
    if (status != STRATA_OK)
        return status;
    *out = (strata_point){
        .branch = point.branch, .version = target.version, .time_us = target.time_us};
    return STRATA_OK;
}
