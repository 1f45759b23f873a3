#include "storage/oracle.h"

#include <assert.h>
#include <string.h>

void oracle_init(struct oracle *oracle)
{
    memset(oracle, 0, sizeof(*oracle));
    oracle->branch_count = 1;
    oracle->branches[0] = (struct oracle_branch){.parent = -1, .name = "main"};
}

void oracle_commit(struct oracle *oracle, uint64_t version, int64_t time_us, int branch)
{
    assert(oracle->commit_count < ORACLE_COMMITS);
    oracle->commits[oracle->commit_count++] =
        (struct oracle_commit){.version = version, .time_us = time_us, .branch = branch};
}

void oracle_write(struct oracle *oracle, int branch, int space, int key, uint64_t version,
                  int value)
{
    assert(oracle->write_count < ORACLE_WRITES);
    oracle->writes[oracle->write_count++] = (struct oracle_write){
        .branch = branch, .space = space, .key = key, .version = version, .value = value};
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

int oracle_get(const struct oracle *oracle, int branch, uint64_t version, int space, int key)
{
    while (branch >= 0) {
        for (size_t i = oracle->write_count; i-- > 0;) {
            const struct oracle_write *write = &oracle->writes[i];
            if (write->branch == branch && write->space == space && write->version <= version &&
                (write->key == key || write->key < 0))
                return write->value;
        }
        version = least(version, oracle->branches[branch].cap);
        branch = oracle->branches[branch].parent;
    }
    return 0;
}

/* Whether `branch` at `version` sees a write. */
static bool oracle_sees(const struct oracle *oracle, int branch, uint64_t version,
                        const struct oracle_write *write)
{
    while (branch >= 0 && branch != write->branch) {
        version = least(version, oracle->branches[branch].cap);
        branch = oracle->branches[branch].parent;
    }
    return branch >= 0 && write->version <= version;
}

size_t oracle_history(const struct oracle *oracle, int branch, uint64_t version, int space, int key,
                      struct oracle_write *out, size_t capacity)
{
    static struct oracle_write found[ORACLE_WRITES];
    size_t count = 0;
    for (size_t i = 0; i < oracle->write_count; i++) {
        const struct oracle_write *write = &oracle->writes[i];
        if (write->space != space || (write->key != key && write->key >= 0) ||
            !oracle_sees(oracle, branch, version, write))
            continue;
        /* The last write of a commit stands for it. */
        while (count > 0 && found[count - 1].version == write->version)
            count--;
        const bool present = count > 0 && found[count - 1].value != 0;
        if (write->key >= 0 || present)
            found[count++] = *write;
    }
    for (size_t i = 0; i < count && i < capacity; i++)
        out[i] = found[count - 1 - i];
    return count;
}

uint64_t oracle_head(const struct oracle *oracle, int branch, uint64_t version)
{
    while (branch >= 0) {
        for (size_t i = oracle->commit_count; i-- > 0;) {
            const struct oracle_commit *commit = &oracle->commits[i];
            if (commit->branch == branch && commit->version <= version &&
                commit->version > oracle->branches[branch].created)
                return commit->version;
        }
        version = least(version, oracle->branches[branch].cap);
        branch = oracle->branches[branch].parent;
    }
    return 0;
}

const struct oracle_commit *oracle_log(const struct oracle *oracle, int branch, uint64_t version,
                                       int64_t time_us)
{
    while (branch >= 0) {
        for (size_t i = oracle->commit_count; i-- > 0;) {
            const struct oracle_commit *commit = &oracle->commits[i];
            if (commit->branch == branch && commit->version <= version &&
                commit->time_us <= time_us)
                return commit;
        }
        version = least(version, oracle->branches[branch].cap);
        branch = oracle->branches[branch].parent;
    }
    return NULL;
}
