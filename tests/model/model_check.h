/* Compares a database, through strata.h only, with the model cut at some version. */
#ifndef STRATA_TESTS_MODEL_CHECK_H
#define STRATA_TESTS_MODEL_CHECK_H

#include "model/model.h"

/* A commit that only the database has: one put on one branch after the cut. */
struct check_extra {
    const char *branch; /* NULL: there is none. */
    const char *key;
    const char *value;
    uint64_t version;
};

struct model_check {
    struct model *model;
    strata *db;
    uint64_t cut;   /* The model's commits up to here, and no others. */
    int64_t now_us; /* For expiries at the head. */
    bool full;      /* Every version and key; else a sample of both. */
    uint64_t seed;  /* Of the sample. */
    bool damaged;   /* Reads may fail with STRATA_CORRUPT; what they show must be right. */
    struct check_extra extra;
    char *why; /* Receives what differs; 400 bytes. */
};

enum { CHECK_WHY_SIZE = 400 };

/* Branches, their newest rows, rows as of earlier versions and times, histories. */
bool model_check(const struct model_check *check);

/* The opening report and the watermarks of a database opened after a crash: it is healthy, shows a
 * version in [floor, begun], and its numbers agree with each other. */
bool model_check_report(strata *db, uint64_t floor, uint64_t begun, char *why);

/* Whether one shown row is the model's. */
bool model_check_row(const struct model_row *expected, const strata_row *row);

#endif
