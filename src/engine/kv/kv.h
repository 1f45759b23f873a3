/* Key-value: what gets, puts, conditions, counters and times to live mean, on rows of storage. */
#ifndef STRATA_ENGINE_KV_KV_H
#define STRATA_ENGINE_KV_KV_H

#include "engine/kv/held_value.h"

/* What a key-value call works on; the database keeps one in every transaction. One thread at a time. */
struct kv_context {
    struct storage *storage;
    struct value_holds *holds;
    struct store_reader *reader;
    bool alone;                    /* Every call is a transaction of its own, at the head. */
    bool in_turn;                  /* Within kv_write.c: it holds storage->batch_lock. */
    struct storage_view view;      /* If alone, version and time are those of the last call. */
    struct storage_writes *writes; /* If alone, for calls on many keys. Not for snapshots. */
    struct storage_commit_options commit; /* If alone, how. */
    struct buffer *scratch;
    strata_commit last; /* If alone, its last commit. */
};

/* A value of a counter that was read: where its sum is put together. */
struct kv_sum {
    uint8_t bytes[COUNTER_SIZE];
};

/* ---- kv_read.c: in all of them absence is an `out` without data ---- */

/* The view of a call. STRATA_NOT_FOUND if the branch of an auto handle is gone. */
STRATA_CHECKED strata_status kv_look(struct kv_context *context);

/* The live row of `key` in `view`, its own pending increments added up in `sum`, which the row may
 * point to. Inside. The caller unpins. */
STRATA_CHECKED strata_status kv_find(struct kv_context *context, const struct storage_view *view,
                                     const struct storage_space *space, struct bytes key,
                                     struct kv_sum *sum, struct storage_row *out);

/* If `row` of `key` is an increment that is still pending, adds what `view` holds below it. Inside. */
STRATA_CHECKED strata_status kv_add_up(struct store_reader *reader, const struct storage_view *view,
                                       const struct storage_space *space, struct bytes key,
                                       struct kv_sum *sum, struct row *row);

STRATA_CHECKED strata_status kv_get(struct kv_context *context, const struct storage_space *space,
                                    struct bytes key, strata_value *out);

/* As strata_kv_copy. */
STRATA_CHECKED strata_status kv_copy(struct kv_context *context, const struct storage_space *space,
                                     struct bytes key, uint64_t offset, bool *found,
                                     strata_buffer *out);

/* All at one version; on failure all are released. */
STRATA_CHECKED strata_status kv_get_many(struct kv_context *context,
                                         const struct storage_space *space,
                                         const strata_bytes *keys, size_t count,
                                         strata_value *values);
STRATA_CHECKED strata_status kv_exists(struct kv_context *context,
                                       const struct storage_space *space, struct bytes key,
                                       bool *found);

/* As strata_kv_getv. */
STRATA_CHECKED strata_status kv_getv(struct kv_context *context, const struct storage_space *space,
                                     struct bytes key, uint64_t back, strata_value *out);

/* ---- kv_write.c ---- */

/* A put or, with ROW_DELETE, a delete, if the condition of `options` (NULL: none) holds:
 * STRATA_CONFLICT. `value` goes to an object of its own if it is long. */
STRATA_CHECKED strata_status kv_put(struct kv_context *context, struct storage_space *space,
                                    struct bytes key, struct bytes value,
                                    const strata_kv_put_options *options);

/* The same for a value that lies in an object already. */
STRATA_CHECKED strata_status kv_put_reference(struct kv_context *context,
                                              struct storage_space *space, struct bytes key,
                                              struct value_reference reference,
                                              const strata_kv_put_options *options);
STRATA_CHECKED strata_status kv_put_many(struct kv_context *context, struct storage_space *space,
                                         const strata_kv_write *writes, size_t count);

/* Deletes every row of the space in this branch. */
STRATA_CHECKED strata_status kv_delete_all(struct kv_context *context, struct storage_space *space);

/* What a value may have to be written in the row of a transaction that is filling up: an object of
 * its own costs a file and a sync. */
enum { KV_INLINE_HALF_FULL = 4096, KV_INLINE_NEARLY_FULL = 512 };

/* The longest value that is written in its row. In a transaction it must fit beside others: the first
 * half of the room is for whoever comes first, the last quarter mostly for references. So what limits
 * a transaction is the number of its writes, not of their bytes. */
static inline uint64_t kv_inline_size_max(const struct kv_context *context)
{
    const uint64_t most = context->storage->store->profile.batch_bytes_max;
    const uint64_t used = context->writes->bytes;
    uint64_t size = used > most / 4 * 3 ? KV_INLINE_NEARLY_FULL : KV_INLINE_HALF_FULL;
    if (used < most / 2 && most / 2 - used > size)
        size = most / 2 - used;
    return (context->alone && used == 0) || size > INLINE_VALUE_SIZE_MAX ? INLINE_VALUE_SIZE_MAX
                                                                         : size;
}

/* Notes that `object` was written for a commit to come, so that it becomes garbage without one. */
STRATA_CHECKED strata_status kv_note_object(struct kv_context *context, uint64_t object);

/* After a commit, or one that failed: what the noted objects become. Returns `status`. */
strata_status kv_settle_objects(struct storage_writes *writes, strata_status status);

/* A write as a commit of its own, after `decide` (NULL: none): storage_commit_one. */
STRATA_CHECKED strata_status kv_commit_one(struct kv_context *context, struct storage_write *write,
                                           strata_status (*decide)(void *context,
                                                                   const struct storage_view *view,
                                                                   struct storage_write *write),
                                           void *decide_context);

/* Adds a write to the transaction's, and shows it to its reads. */
STRATA_CHECKED strata_status kv_add_write(struct kv_context *context,
                                          const struct storage_write *write);

/* ---- counter.c ---- */

/* As strata_kv_increment. */
STRATA_CHECKED strata_status kv_increment(struct kv_context *context, struct storage_space *space,
                                          struct bytes key, int64_t delta, int64_t *out);

/* ---- condition.c ---- */

/* What a write with a condition comes to. */
enum kv_verdict {
    KV_WRITE,
    KV_NOTHING, /* A delete of an absent key. */
    KV_REFUSED
};

/* A condition, and how it was judged last. */
struct kv_judgement {
    struct kv_context *context;
    const strata_kv_put_options *options; /* NULL: no condition. */
    bool remove;
    bool judged;
    bool found;    /* The live row it was judged on, */
    uint64_t from; /* and its version. */
    enum kv_verdict verdict;
};

/* Whether the present row has to be looked at. */
bool kv_judgement_needed(const struct kv_judgement *judgement);

/* Judges by the live row of `key` in `view`; again only if that has changed. Inside. */
STRATA_CHECKED strata_status kv_judge(struct kv_judgement *judgement,
                                      const struct storage_view *view,
                                      const struct storage_space *space, struct bytes key);

/* The failure of a condition that does not hold. */
strata_status kv_refused(void);

#endif
