/* A storage on a heap that counts and a clock that stands still, with short words for what tests do
 * most. Everything asserts that it succeeds, unless it returns a status. */
#ifndef STRATA_TESTS_STORAGE_STORAGE_FIXTURE_H
#define STRATA_TESTS_STORAGE_STORAGE_FIXTURE_H

#include "storage/storage.h"
#include "support.h"

struct fixture {
    struct test_heap counted;
    strata_allocator allocator;
    const strata_backend *backend;
    strata_clock clock;
    int64_t now_us;
    uint64_t memory_budget;
    struct storage storage;
    struct store_reader reader;
    struct branch *main_branch;
    struct storage_writes writes; /* On main. */
    struct buffer scratch;
};

/* A new database of one MiB, opened. Does not move afterwards. */
void fixture_create(struct fixture *fixture);
void fixture_create_sized(struct fixture *fixture, uint64_t memory_budget);
void fixture_destroy(struct fixture *fixture);

void fixture_close(struct fixture *fixture);
void fixture_open(struct fixture *fixture);

/* As if the process had been killed, and opens again. */
void fixture_crash(struct fixture *fixture);

void fixture_flush(struct fixture *fixture);
void fixture_compact(struct fixture *fixture);

struct bytes text_bytes(const char *text);
struct storage_space *fixture_space(struct fixture *fixture, const char *name);
struct branch *fixture_branch(struct fixture *fixture, const char *name);
void fixture_leave_branch(struct fixture *fixture, struct branch *branch);

/* The newest state of a branch. */
struct storage_view fixture_head(struct fixture *fixture, struct branch *branch);

/* One commit of one write; value NULL: a deletion, key "": of the whole space. Returns the version. */
uint64_t fixture_put(struct fixture *fixture, struct branch *branch, struct storage_space *space,
                     const char *key, const char *value);
strata_status fixture_commit_one(struct fixture *fixture, struct branch *branch,
                                 const struct storage_write *write, strata_commit *out);

/* A write to the default space; as above. */
struct storage_write fixture_write(struct fixture *fixture, const char *key, const char *value);

/* Adds a write, as above, to the transaction `writes`. */
void fixture_add(struct fixture *fixture, struct storage_writes *writes, const char *key,
                 const char *value);
strata_status fixture_commit(struct fixture *fixture, struct storage_writes *writes,
                             struct branch *branch, uint64_t since, strata_commit *out);

/* The value of a key as text, or NULL; until the next call. */
const char *fixture_get(struct fixture *fixture, const struct storage_view *view,
                        const struct storage_space *space, const char *key);

/* All rows of a scan, as "key=value key=value"; until the next call. */
const char *fixture_scan(struct fixture *fixture, const struct storage_view *view,
                         const struct storage_space *space, const char *first, const char *end,
                         bool reverse);

/* All versions of a key, as "7=value 5- 3=value"; until the next call. */
const char *fixture_history(struct fixture *fixture, const struct storage_view *view,
                            const struct storage_space *space, const char *key);

#endif
