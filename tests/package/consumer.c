/* The smallest program that a user would write, in the C that is also C++98. */
#include "strata.h"

#include <stdio.h>
#include <string.h>

static int round_trip(strata_txn *txn)
{
    strata_value value;
    int same;
    memset(&value, 0, sizeof(value));
    if (strata_kv_put(txn, NULL, strata_text("plan"), strata_text("write tests")) != STRATA_OK)
        return 0;
    if (strata_kv_get(txn, NULL, strata_text("plan"), &value) != STRATA_OK)
        return 0;
    same = value.size == 11 && memcmp(value.data, "write tests", 11) == 0;
    strata_value_release(&value);
    return same;
}

int main(void)
{
    strata *db = NULL;
    strata_txn *txn = NULL;
    int done;
    if (strata_open(":memory:", NULL, &db) != STRATA_OK ||
        strata_txn_auto(db, "main", &txn) != STRATA_OK) {
        fprintf(stderr, "%s\n", strata_error_message());
        return 1;
    }
    done = round_trip(txn);
    strata_txn_close(txn);
    if (strata_close(db) != STRATA_OK || !done) {
        fprintf(stderr, "%s\n", strata_error_message());
        return 1;
    }
    printf("strata %u works (%s)\n", (unsigned)strata_version(), strata_build_info());
    return 0;
}
