/* What a storage must show, in the simplest form that can hold it: every write in one array, in order,
 * and every read a walk over it. For random tests of this folder. */
#ifndef STRATA_TESTS_STORAGE_ORACLE_H
#define STRATA_TESTS_STORAGE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ORACLE_KEYS = 24,
    ORACLE_SPACES = 3,
    ORACLE_BRANCHES = 64,
    ORACLE_WRITES = 20000,
    ORACLE_COMMITS = 8000
};

/* key < 0: all of the space. value 0: a deletion. */
struct oracle_write {
    int branch;
    int space;
    int key;
    uint64_t version;
    int value;
};

struct oracle_branch {
    int parent; /* -1: none. */
    uint64_t cap;
    uint64_t created;
    bool deleted;
    char name[16];
};

struct oracle_commit {
    uint64_t version;
    int64_t time_us;
    int branch; /* -1: of the system. */
};

struct oracle {
    size_t write_count;
    struct oracle_write writes[ORACLE_WRITES];
    int branch_count;
    struct oracle_branch branches[ORACLE_BRANCHES];
    size_t commit_count;
    struct oracle_commit commits[ORACLE_COMMITS];
};

void oracle_init(struct oracle *oracle);
void oracle_commit(struct oracle *oracle, uint64_t version, int64_t time_us, int branch);
void oracle_write(struct oracle *oracle, int branch, int space, int key, uint64_t version,
                  int value);

/* 0: not there. */
int oracle_get(const struct oracle *oracle, int branch, uint64_t version, int space, int key);

/* The versions of a key, newest first. Returns how many; writes at most `capacity`. */
size_t oracle_history(const struct oracle *oracle, int branch, uint64_t version, int space, int key,
                      struct oracle_write *out, size_t capacity);

/* The last commit with rows that a branch sees up to `version`; 0: none. */
uint64_t oracle_head(const struct oracle *oracle, int branch, uint64_t version);

/* The last commit, creations too, with version and time up to these; NULL: none. */
const struct oracle_commit *oracle_log(const struct oracle *oracle, int branch, uint64_t version,
                                       int64_t time_us);

#endif
