/* A database to test on, with its own clock and a heap that counts, and short forms of common calls. */
#ifndef STRATA_TESTS_API_SCENE_H
#define STRATA_TESTS_API_SCENE_H

#include "support.h"

#include <stdbool.h>
#include <string.h>

/* Time stands still but for waiting, and for what a test adds. */
struct scene_clock {
    _Atomic int64_t wall_us;
    _Atomic int64_t monotonic_us;
};

struct scene {
    struct scene_clock time;
    strata_clock clock;
    struct test_heap heap;
    strata_allocator allocator;
    strata_open_options options;
    char path[256]; /* ":memory:", or a folder of its own. */
    bool folder;
    strata *db;
    strata_txn *txn; /* An auto handle on "main". */
};

enum { SCENE_START_US = 1700000000 };

/* In memory, or in a folder; no threads of its own. `budget` 0: the default. */
void scene_open(struct scene *scene, bool folder, uint64_t budget);
void scene_close(struct scene *scene);

/* Closes it and opens it again. */
void scene_reopen(struct scene *scene);

void scene_pass(struct scene *scene, int64_t us);

/* cmocka fixtures: a scene in memory or in a folder; small: with 1 MiB. */
int scene_set_up(void **state);
int scene_set_up_folder(void **state);
int scene_set_up_small(void **state);
int scene_set_up_small_folder(void **state);
int scene_tear_down(void **state);

/* Says the message where a call did not end as it should. */
void expect_status(strata_status status, strata_status wanted, const char *call, const char *file,
                   int line);
#define expect(call, wanted) expect_status((call), (wanted), #call, __FILE__, __LINE__)
#define expect_ok(call)      expect(call, STRATA_OK)

/* A call that fails with STRATA_INVALID and says `word`. */
void expect_invalid_status(strata_status status, const char *word, const char *call,
                           const char *file, int line);
#define expect_invalid(call, word) expect_invalid_status((call), (word), #call, __FILE__, __LINE__)

void put(strata_txn *txn, const char *key, const char *value);

/* The value of `key` as text; NULL if it is absent. Static storage, one at a time. */
const char *get(strata_txn *txn, const char *key);

/* Keys of a scan, each followed by a blank. Static storage. */
const char *keys_of(strata_txn *txn, strata_space *space, const strata_scan_options *options);

/* A transaction on the head of "main". */
strata_txn *begin(const struct scene *scene);
strata_txn *snapshot(const struct scene *scene, strata_point point);

/* `size` bytes that depend on the seed. */
void fill_bytes(unsigned char *to, size_t size, unsigned seed);

#endif
