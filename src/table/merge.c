#include "table/merge.h"

#include "core/memory.h"
#include "core/plant.h"
#include "format/row.h"

#include <assert.h>

enum { MERGE_WORD = 8, MERGE_WORDS_MIN = 16 };
#define MERGE_SAME UINT32_MAX

static inline uint32_t merge_words(size_t length)
{
    return (uint32_t)((length + MERGE_WORD - 1) / MERGE_WORD);
}

/* A word that the key has, at least in part. */
static inline uint64_t merge_word(struct bytes key, uint32_t word)
{
    const size_t at = (size_t)word * MERGE_WORD;
    assert(at < key.length);
    if (at + MERGE_WORD <= key.length)
        return load_ordered_u64(key.data + at);
    if (key.length >= MERGE_WORD)
        return load_ordered_u64(key.data + key.length - MERGE_WORD)
               << 8 * (at + MERGE_WORD - key.length);
    return bytes_head(key);
}

static inline bool merge_code_equal(struct merge_code a, struct merge_code b)
{
    return a.word == b.word && a.head == b.head;
}

/* Whether `a` is the code of an earlier key; false also where they are equal. */
static inline bool merge_code_before(struct merge_code a, struct merge_code b)
{
    return a.word != b.word ? a.word > b.word : a.head < b.head;
}

/* Compares an input's key with the last one from `word` on. */
static inline strata_status merge_compare(const struct merge *merge, struct merge_input *input,
                                          uint32_t word)
{
    const struct bytes key = input->source->row.key;
    const uint32_t words = merge_words(key.length);
    const uint32_t end = words > merge->last_words ? words : merge->last_words;
    for (; word < end; word++) {
        const uint64_t head = word < words ? merge_word(key, word) : 0;
        const uint64_t last = word < merge->last_words ? merge->last[word] : 0;
        if (head == last)
            continue;
        if (head < last)
            return failure(STRATA_CORRUPT, "the rows of a table are not in order");
        input->code = (struct merge_code){.head = head, .word = word};
        return STRATA_OK;
    }
    input->code = (struct merge_code){.word = MERGE_SAME};
    return STRATA_OK;
}

/* The present key becomes the last one: up to the word of its code it is like that already. */
static strata_status merge_remember(struct merge *merge, const struct merge_input *input)
{
    const struct row *row = &input->source->row;
    const uint32_t words = merge_words(row->key.length);
    if (words > merge->last_capacity) {
        const uint32_t capacity = words < MERGE_WORDS_MIN ? MERGE_WORDS_MIN : words + words / 8;
        uint64_t *grown = merge->allocator->resize(merge->allocator->context, merge->last,
                                                   merge->last_capacity * sizeof(*grown),
                                                   capacity * sizeof(*grown));
        if (grown == NULL)
            return failure(STRATA_NO_MEMORY, "no memory to merge keys of %zu bytes",
                           row->key.length);
        merge->last = grown;
        merge->last_capacity = capacity;
    }
    /* Words that the last key lacks counted as zeros. */
    const uint32_t known =
        merge->last_words < input->code.word ? merge->last_words : input->code.word;
    for (uint32_t word = known; word < words; word++)
        merge->last[word] = merge_word(row->key, word);
    merge->last_words = words;
    merge->last_length = row->key.length;
    merge->last_from = row->from;
    return STRATA_OK;
}

static inline int merge_row_order(const struct merge_input *a, const struct merge_input *b)
{
    return row_order(a->source->row.key, a->source->row.from, b->source->row.key,
                     b->source->row.from);
}

/* What follows from who leads. */
static inline strata_status merge_show(struct merge *merge)
{
    const struct merge_input *leader = &merge->inputs[merge->leader];
    const struct row *row = &leader->source->row;
    merge->current = leader->source;
    merge->repeats = leader->code.word == MERGE_SAME && row->key.length == merge->last_length;
    if (merge->repeats && row->from >= merge->last_from)
        return failure(STRATA_CORRUPT, "the versions of a key in a table are not in order");
    return STRATA_OK;
}

/* Finds the first of all inputs, and the first of the others. */
static strata_status merge_pick(struct merge *merge)
{
    const struct merge_input *inputs = merge->inputs;
    merge->current = NULL;
    merge->tied = false;
    merge->leader = 0;
    merge->runner_up = (struct merge_code){.head = UINT64_MAX, .word = 0};
    if (merge->count == 0)
        return STRATA_OK;
    for (uint32_t i = 1; i < merge->count; i++) {
        const struct merge_code best = inputs[merge->leader].code;
        const bool equal = merge_code_equal(inputs[i].code, best);
        const bool before = equal ? merge_row_order(&inputs[i], &inputs[merge->leader]) < 0
                                  : merge_code_before(inputs[i].code, best);
        if (before) {
            merge->leader = i;
            merge->runner_up = best;
            merge->tied = equal;
        } else if (equal || merge_code_before(inputs[i].code, merge->runner_up)) {
            merge->runner_up = inputs[i].code;
            merge->tied = merge->tied || equal;
        }
    }
    return merge_show(merge);
}

strata_status merge_start(struct merge *merge, const strata_allocator *allocator,
                          struct source *const *sources, uint32_t count)
{
    assert(count > 0);
    *merge = (struct merge){.allocator = allocator, .capacity = count};
    merge->inputs = allocate(allocator, count * sizeof(*merge->inputs));
    if (merge->inputs == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to merge %u sources", count);
    for (uint32_t i = 0; i < count; i++) {
        TRY(source_seek(sources[i], (struct bytes){0}, UINT64_MAX));
        if (!sources[i]->valid)
            continue;
        struct merge_input *input = &merge->inputs[merge->count++];
        *input = (struct merge_input){.source = sources[i]};
        TRY(merge_compare(merge, input, 0));
    }
    return merge_pick(merge);
}

/* The leader's key is about to be the last one: those of its code differ from it further on. */
static strata_status merge_untie(struct merge *merge)
{
    const struct merge_code code = merge->inputs[merge->leader].code;
    for (uint32_t i = 0; i < merge->count && code.word != MERGE_SAME; i++) {
        if (i != merge->leader && merge_code_equal(merge->inputs[i].code, code))
            TRY(merge_compare(merge, &merge->inputs[i], code.word + 1));
    }
    return STRATA_OK;
}

strata_status merge_next(struct merge *merge)
{
    assert(merge->current != NULL);
    struct merge_input *leader = &merge->inputs[merge->leader];
    TRY(merge_remember(merge, leader));
    if (merge->tied)
        TRY(merge_untie(merge));
    TRY(source_next(leader->source));
    if (leader->source->valid) {
        TRY(merge_compare(merge, leader, 0));
        if (!merge->tied && merge_code_before(leader->code, merge->runner_up))
            return merge_show(merge);
#if STRATA_PLANT == 22
        if (merge->count > 1 && !merge->tied)
            TRY(source_next(leader->source));
        if (leader->source->valid)
            TRY(merge_compare(merge, leader, 0));
#endif
    }
    if (!leader->source->valid)
        *leader = merge->inputs[--merge->count];
    return merge_pick(merge);
}

void merge_release(struct merge *merge)
{
    if (merge->allocator == NULL)
        return;
    if (merge->inputs != NULL)
        release(merge->allocator, merge->inputs, merge->capacity * sizeof(*merge->inputs));
    if (merge->last != NULL)
        release(merge->allocator, merge->last, merge->last_capacity * sizeof(*merge->last));
    *merge = (struct merge){.allocator = NULL};
}
