#define _POSIX_C_SOURCE 200809L

#include "load.h"

#include "fast_export.h"
#include "git_process.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

struct loader {
    struct git_process git;
    struct fast_export *reader;
    struct blob_store blobs;
    struct git_graph *graph;
    struct history *history;
    uint32_t commit; /* The present one. */
    uint32_t loaded;
    char *row; /* The text of the present commit's row. */
    size_t row_size;
    size_t row_capacity;
};

static strata_bytes view_of(struct fast_export_text text)
{
    return strata_view(text.data, text.size);
}

static bool complain_stream(const struct loader *loader)
{
    return complain("git fast-export: %s", fast_export_message(loader->reader));
}

/* ---- The row of a commit ------------------------------------------------------------------- */

static bool row_add(struct loader *loader, const char *data, size_t size)
{
    const size_t needed = loader->row_size + size;
    if (needed > loader->row_capacity) {
        char *grown = realloc(loader->row, needed * 2);
        if (grown == NULL)
            return complain("no memory for a commit of %zu bytes", needed);
        loader->row = grown;
        loader->row_capacity = needed * 2;
    }
    memcpy(loader->row + loader->row_size, data, size);
    loader->row_size = needed;
    return true;
}

/* "word text\n", or nothing if there is no text. */
static bool row_add_line(struct loader *loader, const char *word, struct fast_export_text text)
{
    return text.size == 0 || (row_add(loader, word, strlen(word)) && row_add(loader, " ", 1) &&
                              row_add(loader, text.data, text.size) && row_add(loader, "\n", 1));
}

static bool row_add_id(struct loader *loader, const char *word, const uint8_t id[SHA1_SIZE])
{
    char hex[SHA1_HEX_SIZE + 1];
    sha1_to_hex(id, hex);
    return row_add_line(loader, word, (struct fast_export_text){hex, SHA1_HEX_SIZE});
}

/* The index of the commit that the stream means. */
static bool find_parent(const struct loader *loader, const struct fast_export_object *object,
                        uint32_t *out)
{
    uint8_t id[SHA1_SIZE];
    *out = GIT_NONE;
    if (object->link == FAST_EXPORT_MARK) {
        const struct marked *marked = blob_store_find(&loader->blobs, object->mark);
        if (marked != NULL && marked->is_commit)
            *out = marked->is.commit;
    } else if (sha1_from_hex(object->id, id)) {
        *out = git_graph_find(loader->graph, id);
    }
    return *out != GIT_NONE || complain("the stream names a parent that it did not bring");
}

/* The same text as git's own commit object, but for signatures. */
static bool make_row(struct loader *loader, const struct fast_export_event *event)
{
    const struct git_graph *graph = loader->graph;
    const struct git_commit *commit = &graph->commits[loader->commit];
    loader->row_size = 0;
    if (!row_add_id(loader, "tree", commit->tree))
        return false;
    if (commit->parent != GIT_NONE &&
        !row_add_id(loader, "parent", graph->commits[commit->parent].id))
        return false;
    for (size_t i = 0; i < event->merge_count; i++) {
        uint32_t parent;
        if (!find_parent(loader, &event->merges[i], &parent) ||
            !row_add_id(loader, "parent", graph->commits[parent].id))
            return false;
    }
    return row_add_line(loader, "author", event->author) &&
           row_add_line(loader, "committer", event->committer) &&
           row_add_line(loader, "encoding", event->encoding) && row_add(loader, "\n", 1) &&
           row_add(loader, event->message.data, event->message.size);
}

/* ---- Commits ------------------------------------------------------------------------------- */

/* A line without a ref takes its whole id as its name where the short one is taken. */
static bool rename_line(struct git_graph *graph, struct git_line *line)
{
    char name[BRANCH_NAME_SIZE];
    branch_name_of_line(graph->commits[line->first].id, SHA1_HEX_SIZE, name);
    if (strcmp(line->branch, name) == 0 || strncmp(line->branch, "x-", 2) != 0)
        return complain("there are two branches named %s", line->branch);
    free(line->branch);
    line->branch = strdup(name);
    return line->branch != NULL || complain("no memory for a branch");
}

/* Makes the branch of a line that begins with `commit`. */
static bool begin_line(struct loader *loader, const struct git_commit *commit)
{
    struct git_graph *graph = loader->graph;
    struct git_line *line = &graph->lines[commit->line];
    bool taken = true;
    while (taken) {
        const bool done =
            commit->parent == GIT_NONE
                ? history_create(loader->history, line->branch, &taken)
                : history_fork(loader->history, git_graph_branch(graph, commit->parent),
                               graph->commits[commit->parent].version, line->branch, &taken);
        if (!done || (taken && !rename_line(graph, line)))
            return false;
    }
    return true;
}

/* The commit must be the one that git listed, with the parent that git listed. */
static bool identify_commit(struct loader *loader, const struct fast_export_event *event)
{
    const struct git_graph *graph = loader->graph;
    uint8_t id[SHA1_SIZE];
    uint32_t parent = GIT_NONE;
    if (event->id[0] == '\0' || !sha1_from_hex(event->id, id))
        return complain("the stream does not say which commit it brings");
    loader->commit = git_graph_find(graph, id);
    if (loader->commit == GIT_NONE)
        return complain("%s is new: the repository changed meanwhile", event->id);
    if (event->from.link != FAST_EXPORT_NOTHING && !find_parent(loader, &event->from, &parent))
        return false;
    const struct git_commit *commit = &graph->commits[loader->commit];
    if (commit->parent != parent || commit->version != 0 ||
        (parent != GIT_NONE && graph->commits[parent].version == 0))
        return complain("%s comes twice, too early, or with another parent", event->id);
    return true;
}

static bool begin_commit(struct loader *loader, const struct fast_export_event *event)
{
    if (!identify_commit(loader, event) || !make_row(loader, event))
        return false;
    const struct git_graph *graph = loader->graph;
    const struct git_commit *commit = &graph->commits[loader->commit];
    if (graph->lines[commit->line].first == loader->commit && !begin_line(loader, commit))
        return false;
    return blob_store_mark_commit(&loader->blobs, event->mark, loader->commit) &&
           history_begin(loader->history, commit->line, git_graph_branch(graph, loader->commit));
}

static bool end_commit(struct loader *loader)
{
    struct git_commit *commit = &loader->graph->commits[loader->commit];
    char hex[SHA1_HEX_SIZE + 1];
    sha1_to_hex(commit->id, hex);
    if (!history_commit(loader->history, strata_view(hex, SHA1_HEX_SIZE),
                        strata_view(loader->row, loader->row_size), &commit->version))
        return false;
    loader->loaded++;
    return commit->version != 0 || complain("%s made no version", hex);
}

/* ---- Files --------------------------------------------------------------------------------- */

/* Takes the content that waits in the stream. */
static bool keep_content(struct loader *loader, struct blob *out)
{
    uint8_t piece[16384];
    size_t size;
    blob_store_begin(&loader->blobs);
    do {
        if (fast_export_data(loader->reader, piece, sizeof(piece), &size) != FAST_EXPORT_OK)
            return complain_stream(loader);
        if (!blob_store_add(&loader->blobs, piece, size))
            return false;
    } while (size > 0);
    *out = blob_store_end(&loader->blobs);
    return true;
}

static bool put_file(struct loader *loader, const struct fast_export_event *event)
{
    const strata_bytes path = view_of(event->path);
    struct blob blob;
    if (event->mode == FILE_VALUE_SUBMODULE)
        return history_put_submodule(loader->history, path, event->object.id);
    if (event->object.link == FAST_EXPORT_INLINE) {
        if (!keep_content(loader, &blob))
            return false;
    } else {
        const struct marked *marked = blob_store_find(&loader->blobs, event->object.mark);
        if (marked == NULL || marked->is_commit)
            return complain("the stream names a blob that it did not bring");
        blob = marked->is.blob;
    }
    return history_put_blob(loader->history, path, event->mode, &loader->blobs, blob);
}

static bool take_blob(struct loader *loader, const struct fast_export_event *event)
{
    const uint64_t mark = event->mark;
    struct blob blob;
    return keep_content(loader, &blob) && blob_store_mark_blob(&loader->blobs, mark, blob);
}

static bool take_event(struct loader *loader, const struct fast_export_event *event)
{
    switch (event->kind) {
    case FAST_EXPORT_BLOB:
        return take_blob(loader, event);
    case FAST_EXPORT_COMMIT:
        return begin_commit(loader, event);
    case FAST_EXPORT_MODIFY:
        return put_file(loader, event);
    case FAST_EXPORT_DELETE:
        return history_delete(loader->history, view_of(event->path));
    case FAST_EXPORT_RENAME:
    case FAST_EXPORT_COPY:
        return history_copy(loader->history, view_of(event->source), view_of(event->path),
                            event->kind == FAST_EXPORT_RENAME);
    case FAST_EXPORT_DELETE_ALL:
        return history_delete_all(loader->history);
    case FAST_EXPORT_COMMIT_END:
        return end_commit(loader);
    case FAST_EXPORT_TAG: /* Refs come from git for-each-ref, after the commits. */
    case FAST_EXPORT_RESET:
        return true;
    }
    return complain("an unknown event");
}

/* After a complaint: where it was. */
static void complain_place(const struct loader *loader, const struct fast_export_event *event)
{
    char hex[SHA1_HEX_SIZE + 1];
    if (event->kind == FAST_EXPORT_BLOB || event->kind == FAST_EXPORT_COMMIT)
        return;
    sha1_to_hex(loader->graph->commits[loader->commit].id, hex);
    (void)complain("this was in commit %s, after %s others", hex, thousands(loader->loaded));
}

/* ---- The whole ----------------------------------------------------------------------------- */

static bool take_stream(struct loader *loader)
{
    struct fast_export_event event;
    enum fast_export_status status;
    struct progress progress = progress_begin("commits loaded", loader->graph->commit_count);
    while ((status = fast_export_next(loader->reader, &event)) == FAST_EXPORT_OK) {
        if (!take_event(loader, &event)) {
            progress_end(&progress);
            complain_place(loader, &event);
            return false;
        }
        progress_step(&progress, loader->loaded);
    }
    progress_end(&progress);
    if (status != FAST_EXPORT_END)
        return complain_stream(loader);
    if (loader->loaded != loader->graph->commit_count)
        return complain("git listed %u commits and exported %u", loader->graph->commit_count,
                        loader->loaded);
    return true;
}

/* A ref inside a line of others, or at its end, becomes a fork without commits of its own. */
static bool fork_refs(struct loader *loader)
{
    const struct git_graph *graph = loader->graph;
    for (uint32_t i = 0; i < graph->ref_count; i++) {
        const struct git_ref *ref = &graph->refs[i];
        char name[BRANCH_NAME_SIZE];
        bool taken;
        if (ref->line != GIT_NONE)
            continue;
        branch_name_of_ref(ref->name, name);
        if (!history_fork(loader->history, git_graph_branch(graph, ref->commit),
                          graph->commits[ref->commit].version, name, &taken))
            return false;
        if (taken)
            return complain("there are two branches named %s", name);
    }
    return true;
}

static bool load_stream(struct loader *loader, const char *repository)
{
    static const char *const arguments[] = {"fast-export",
                                            "--all",
                                            "--show-original-ids",
                                            "--use-done-feature",
                                            "--reencode=no",
                                            "--signed-tags=strip",
                                            "--tag-of-filtered-object=drop",
                                            NULL};
    if (!blob_store_open(&loader->blobs) || !git_start(repository, arguments, &loader->git))
        return false;
    loader->reader = fast_export_create(git_read, &loader->git, NULL);
    if (loader->reader == NULL)
        return complain("no memory to read the stream");
    return take_stream(loader) && fork_refs(loader);
}

bool load_history(const char *repository, struct git_graph *graph, struct history *history,
                  int64_t *git_ns_out)
{
    struct loader *loader = calloc(1, sizeof(struct loader));
    if (loader == NULL)
        return complain("no memory to load");
    loader->graph = graph;
    loader->history = history;
    loader->blobs.file = -1;
    loader->git.output = -1;
    const bool loaded = load_stream(loader, repository);
    *git_ns_out = loader->git.wait_ns;
    fast_export_destroy(loader->reader);
    blob_store_close(&loader->blobs);
    free(loader->row);
    bool finished = loaded;
    if (loaded)
        finished = git_finish(&loader->git);
    else
        git_abandon(&loader->git);
    free(loader);
    return finished;
}
