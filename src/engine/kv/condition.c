#include "engine/kv/kv.h"

#include <assert.h>

enum { COMPARED_AT_ONCE = 4096 };

strata_status kv_refused(void)
{
    const strata_status status = failure(STRATA_CONFLICT, "the condition does not hold");
    failure_outcome(STRATA_NOT_COMMITTED, 0);
    return status;
}

bool kv_judgement_needed(const struct kv_judgement *judgement)
{
    return judgement->remove ||
           (judgement->options != NULL && judgement->options->condition != STRATA_IF_ANYTHING);
}

/* Whether the value of `row` is `wanted`, wherever it lies. */
static strata_status value_equals(struct store_reader *reader, const struct row *row,
                                  struct bytes wanted, bool *out)
{
    uint8_t piece[COMPARED_AT_ONCE];
    *out = storage_value_size(row) == wanted.length;
    for (size_t at = 0; *out && at < wanted.length; at += sizeof(piece)) {
        const size_t left = wanted.length - at;
        const size_t size = left < sizeof(piece) ? left : sizeof(piece);
        TRY(storage_value_read(reader, row, at, piece, size));
        *out = memcmp(piece, wanted.data + at, size) == 0;
    }
    return STRATA_OK;
}

static strata_status condition_holds(const struct kv_judgement *judgement,
                                     const struct storage_row *row, bool *out)
{
    const strata_kv_put_options *options = judgement->options;
    *out = true;
    if (options == NULL)
        return STRATA_OK;
    switch (options->condition) {
    case STRATA_IF_ABSENT:
        *out = !row->found;
        break;
    case STRATA_IF_PRESENT:
        *out = row->found;
        break;
    case STRATA_IF_VERSION:
        *out = row->found && row->row.from == options->expected_version;
        break;
    case STRATA_IF_VALUE:
        *out = row->found;
        if (row->found)
            return value_equals(
                judgement->context->reader, &row->row,
                bytes_of(options->expected_value.data, options->expected_value.size), out);
        break;
    default:
        break;
    }
    return STRATA_OK;
}

strata_status kv_judge(struct kv_judgement *judgement, const struct storage_view *view,
                       const struct storage_space *space, struct bytes key)
{
    struct kv_context *context = judgement->context;
    struct kv_sum sum;
    struct storage_row row = {.found = false};
    TRY(kv_find(context, view, space, key, &sum, &row));
    const uint64_t from = row.found ? row.row.from : 0;
    strata_status status = STRATA_OK;
    if (!judgement->judged || judgement->found != row.found || judgement->from != from) {
        bool holds;
        status = condition_holds(judgement, &row, &holds);
        if (status == STRATA_OK) {
            judgement->judged = true;
            judgement->found = row.found;
            judgement->from = from;
            judgement->verdict = !holds                            ? KV_REFUSED
                                 : judgement->remove && !row.found ? KV_NOTHING
                                                                   : KV_WRITE;
        }
    }
    storage_unpin(context->reader, &row);
    return status;
}
