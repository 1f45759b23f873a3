#define _POSIX_C_SOURCE 200809L

#include "commit_map.h"

#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_LINE_SIZE = SHA1_HEX_SIZE + BRANCH_NAME_SIZE + 32 };

bool commit_map_write(const char *path, const struct git_graph *graph)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return complain("%s: %s", path, strerror(errno));
    for (uint32_t i = 0; i < graph->commit_count; i++) {
        char hex[SHA1_HEX_SIZE + 1];
        sha1_to_hex(graph->commits[i].id, hex);
        (void)fprintf(file, "%s\t%s\t%" PRIu64 "\n", hex, git_graph_branch(graph, i),
                      graph->commits[i].version);
    }
    const bool failed = ferror(file) != 0;
    return (fclose(file) == 0 && !failed) || complain("%s: %s", path, strerror(errno));
}

/* All commits of a line are on one branch. `branch_known` is of the line. */
static bool map_branch(struct git_line *line, const char *branch, bool *branch_known)
{
    if (strcmp(line->branch, branch) == 0) {
        *branch_known = true;
        return true;
    }
    if (*branch_known)
        return complain("the map has commits of one line on %s and on %s", line->branch, branch);
    free(line->branch);
    line->branch = strdup(branch);
    *branch_known = true;
    return line->branch != NULL || complain("no memory for a branch");
}

static bool map_line(struct git_graph *graph, char *text, bool *branches_known)
{
    uint8_t id[SHA1_SIZE];
    char *branch = strchr(text, '\t');
    char *version = branch != NULL ? strchr(branch + 1, '\t') : NULL;
    if (version == NULL || branch - text != SHA1_HEX_SIZE || !sha1_from_hex(text, id))
        return complain("the map has a line that is no commit");
    *branch++ = '\0';
    *version++ = '\0';
    const uint32_t index = git_graph_find(graph, id);
    if (index == GIT_NONE)
        return complain("the map has %s, which git does not list", text);
    struct git_commit *commit = &graph->commits[index];
    commit->version = strtoull(version, NULL, 10);
    return map_branch(&graph->lines[commit->line], branch, &branches_known[commit->line]);
}

bool commit_map_read(const char *path, struct git_graph *graph)
{
    char text[MAP_LINE_SIZE];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return complain("%s: %s", path, strerror(errno));
    bool *branches_known = calloc((size_t)graph->line_count + 1, sizeof(bool));
    bool done = branches_known != NULL || complain("no memory for the map");
    while (done && fgets(text, sizeof(text), file) != NULL)
        done = map_line(graph, text, branches_known);
    if (done && ferror(file) != 0)
        done = complain("%s: %s", path, strerror(errno));
    for (uint32_t i = 0; done && i < graph->commit_count; i++) {
        char hex[SHA1_HEX_SIZE + 1];
        sha1_to_hex(graph->commits[i].id, hex);
        done = graph->commits[i].version != 0 || complain("the map lacks %s", hex);
    }
    (void)fclose(file);
    free(branches_known);
    return done;
}
