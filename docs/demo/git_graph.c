#define _POSIX_C_SOURCE 200809L

#include "git_graph.h"

#include "git_process.h"
#include "report.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_MAX = 1 << 29, TABLE_SIZE_MIN = 64 };

/* Makes room for one more of `element_size` behind the `count` there are. */
static bool reserve_one(void **elements, uint32_t count, uint32_t *capacity, size_t element_size)
{
    if (count < *capacity)
        return true;
    const uint32_t grown_capacity = *capacity > 0 ? *capacity * 2 : 64;
    void *grown = count < COUNT_MAX ? realloc(*elements, grown_capacity * element_size) : NULL;
    if (grown == NULL)
        return complain("no memory for %u commits or refs", grown_capacity);
    *elements = grown;
    *capacity = grown_capacity;
    return true;
}

/* ---- Commits ------------------------------------------------------------------------------- */

/* Where the id is, or would go. Ids are hashes already. */
static uint32_t table_slot(const struct git_graph *graph, const uint8_t id[SHA1_SIZE])
{
    uint32_t slot;
    memcpy(&slot, id, sizeof(slot));
    for (;; slot++) {
        slot &= graph->table_size - 1;
        const uint32_t index = graph->table[slot];
        if (index == GIT_NONE || memcmp(graph->commits[index].id, id, SHA1_SIZE) == 0)
            return slot;
    }
}

/* Keeps the table at most half full. */
static bool table_reserve(struct git_graph *graph)
{
    if (graph->commit_count < graph->table_size / 2)
        return true;
    const uint32_t size = graph->table_size > 0 ? graph->table_size * 2 : TABLE_SIZE_MIN;
    uint32_t *grown = realloc(graph->table, size * sizeof(uint32_t));
    if (grown == NULL)
        return complain("no memory for a table of %u commits", size);
    graph->table = grown;
    graph->table_size = size;
    for (uint32_t i = 0; i < size; i++)
        grown[i] = GIT_NONE;
    for (uint32_t i = 0; i < graph->commit_count; i++)
        grown[table_slot(graph, graph->commits[i].id)] = i;
    return true;
}

uint32_t git_graph_find(const struct git_graph *graph, const uint8_t id[SHA1_SIZE])
{
    return graph->table_size > 0 ? graph->table[table_slot(graph, id)] : GIT_NONE;
}

const char *git_graph_branch(const struct git_graph *graph, uint32_t commit)
{
    return graph->lines[graph->commits[commit].line].branch;
}

/* "commit tree parents...", all of 40 digits. */
static bool add_commit(struct git_graph *graph, const char *record, size_t size)
{
    enum { TREE = SHA1_HEX_SIZE + 1, PARENT = TREE + SHA1_HEX_SIZE + 1 };
    struct git_commit commit = {.parent = GIT_NONE, .line = GIT_NONE};
    uint8_t parent[SHA1_SIZE];
    const bool has_parent = size >= PARENT + SHA1_HEX_SIZE;
    void *commits = graph->commits;
    if (size < PARENT - 1 || !sha1_from_hex(record, commit.id) || record[TREE - 1] != ' ' ||
        !sha1_from_hex(record + TREE, commit.tree) ||
        (has_parent && !sha1_from_hex(record + PARENT, parent)))
        return complain("git log does not print SHA-1 ids; only such repositories can be read");
    if (has_parent) {
        commit.parent = git_graph_find(graph, parent);
        if (commit.parent == GIT_NONE)
            return complain("the parent of %.*s is missing", SHA1_HEX_SIZE, record);
    }
    if (!reserve_one(&commits, graph->commit_count, &graph->commit_capacity, sizeof(commit)))
        return false;
    graph->commits = commits;
    if (!table_reserve(graph))
        return false;
    graph->table[table_slot(graph, commit.id)] = graph->commit_count;
    graph->commits[graph->commit_count++] = commit;
    return true;
}

static bool read_commits(const char *repository, struct git_graph *graph)
{
    static const char *const arguments[] = {"-c",
                                            "log.showSignature=false",
                                            "log",
                                            "--all",
                                            "--topo-order",
                                            "--reverse",
                                            "--no-patch",
                                            "--no-color",
                                            "--format=%H %T %P",
                                            NULL};
    struct git_process git;
    bool failed = false;
    char *record;
    size_t size;
    struct progress progress = progress_begin("commits listed", 0);
    if (!git_start(repository, arguments, &git))
        return false;
    while ((record = git_record(&git, '\n', &size, &failed)) != NULL) {
        if (!add_commit(graph, record, size)) {
            failed = true;
            break;
        }
        progress_step(&progress, graph->commit_count);
    }
    progress_end(&progress);
    if (failed) {
        git_abandon(&git);
        return false;
    }
    return git_finish(&git);
}

/* ---- Refs ---------------------------------------------------------------------------------- */

/* "object peeled ref"; `peeled` is empty but for tags. A ref of something else is left out. */
static bool add_ref(struct git_graph *graph, const char *record, size_t size)
{
    uint8_t id[SHA1_SIZE];
    const char *peeled = memchr(record, ' ', size);
    const char *name = peeled != NULL ? strchr(peeled + 1, ' ') : NULL;
    void *refs = graph->refs;
    if (name == NULL)
        return complain("git for-each-ref prints something else");
    const char *target = name - peeled > SHA1_HEX_SIZE ? peeled + 1 : record;
    if (!sha1_from_hex(target, id))
        return complain("git for-each-ref prints no SHA-1 ids");
    const uint32_t commit = git_graph_find(graph, id);
    if (commit == GIT_NONE)
        return true;
    if (!reserve_one(&refs, graph->ref_count, &graph->ref_capacity, sizeof(struct git_ref)))
        return false;
    graph->refs = refs;
    char *copy = strdup(name + 1);
    if (copy == NULL)
        return complain("no memory for a ref");
    graph->refs[graph->ref_count++] =
        (struct git_ref){.name = copy, .commit = commit, .line = GIT_NONE};
    return true;
}

static bool read_refs(const char *repository, struct git_graph *graph)
{
    static const char *const arguments[] = {
        "for-each-ref", "--format=%(objectname) %(*objectname) %(refname)", NULL};
    struct git_process git;
    bool failed = false;
    char *record;
    size_t size;
    if (!git_start(repository, arguments, &git))
        return false;
    while ((record = git_record(&git, '\n', &size, &failed)) != NULL) {
        if (!add_ref(graph, record, size)) {
            failed = true;
            break;
        }
    }
    if (failed) {
        git_abandon(&git);
        return false;
    }
    return git_finish(&git);
}

/* ---- Lines --------------------------------------------------------------------------------- */

/* Makes a line of `commit` and its first parents, as far as they have none. `ref` may be NULL. */
static bool add_line(struct git_graph *graph, uint32_t commit, const char *ref)
{
    char name[BRANCH_NAME_SIZE];
    void *lines = graph->lines;
    assert(graph->commits[commit].line == GIT_NONE);
    if (!reserve_one(&lines, graph->line_count, &graph->line_capacity, sizeof(struct git_line)))
        return false;
    graph->lines = lines;
    struct git_line *line = &graph->lines[graph->line_count];
    for (uint32_t at = commit; at != GIT_NONE && graph->commits[at].line == GIT_NONE;
         at = graph->commits[at].parent) {
        graph->commits[at].line = graph->line_count;
        line->first = at;
    }
    if (ref != NULL)
        branch_name_of_ref(ref, name);
    else
        branch_name_of_line(graph->commits[line->first].id, BRANCH_LINE_DIGITS, name);
    line->branch = strdup(name);
    if (line->branch == NULL)
        return complain("no memory for a branch");
    graph->line_count++;
    return true;
}

static bool add_line_of_ref(struct git_graph *graph, struct git_ref *ref)
{
    if (graph->commits[ref->commit].line != GIT_NONE)
        return true;
    ref->line = graph->line_count;
    return add_line(graph, ref->commit, ref->name);
}

static bool cut_lines(struct git_graph *graph)
{
    static const char *const first_refs[] = {"refs/heads/main", "refs/heads/master"};
    for (size_t i = 0; i < sizeof(first_refs) / sizeof(first_refs[0]); i++)
        for (uint32_t ref = 0; ref < graph->ref_count; ref++)
            if (strcmp(graph->refs[ref].name, first_refs[i]) == 0 &&
                !add_line_of_ref(graph, &graph->refs[ref]))
                return false;
    for (uint32_t ref = 0; ref < graph->ref_count; ref++)
        if (!add_line_of_ref(graph, &graph->refs[ref]))
            return false;
    for (uint32_t commit = graph->commit_count; commit-- > 0;)
        if (graph->commits[commit].line == GIT_NONE && !add_line(graph, commit, NULL))
            return false;
    return true;
}

bool git_graph_read(const char *repository, struct git_graph *out)
{
    *out = (struct git_graph){0};
    return read_commits(repository, out) && read_refs(repository, out) && cut_lines(out);
}

void git_graph_release(struct git_graph *graph)
{
    for (uint32_t i = 0; i < graph->line_count; i++)
        free(graph->lines[i].branch);
    for (uint32_t i = 0; i < graph->ref_count; i++)
        free(graph->refs[i].name);
    free(graph->commits);
    free(graph->lines);
    free(graph->refs);
    free(graph->table);
    *graph = (struct git_graph){0};
}
