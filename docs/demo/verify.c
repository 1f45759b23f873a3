#define _POSIX_C_SOURCE 200809L

#include "verify.h"

#include "commit_map.h"
#include "file_scan.h"
#include "git_process.h"
#include "history_store.h"
#include "report.h"
#include "tree_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIFFERENCES_PRINTED = 20, DIFFERENCES_EXPLAINED = 3 };

/* No name of git's comes to be this one: see branch_name.h. */
static const char fork_name[] = "%verify";

struct verifier {
    const struct verify_request *request;
    struct git_graph graph;
    strata *db;
    strata_space *commit_space;
    struct file_scanner scanner;
    struct tree_id tree;
    uint32_t *order; /* [commit_count] of commits, the chosen ones first. */
    uint32_t chosen;
    uint64_t commits; /* Compared. */
    uint64_t forks;
    uint64_t refs;
    uint64_t differences;
    uint64_t faults; /* Calls that failed. */
};

/* ---- Differences --------------------------------------------------------------------------- */

static void print_place(const struct verifier *verifier, uint32_t commit)
{
    char hex[SHA1_HEX_SIZE + 1];
    sha1_to_hex(verifier->graph.commits[commit].id, hex);
    printf("%s %s@%" PRIu64 ": ", hex, git_graph_branch(&verifier->graph, commit),
           verifier->graph.commits[commit].version);
}

static void fault(struct verifier *verifier, uint32_t commit, const char *what,
                  strata_status status)
{
    if (verifier->differences + verifier->faults++ >= DIFFERENCES_PRINTED)
        return;
    const char *message = strata_error_message();
    print_place(verifier, commit);
    printf("%s: %s: %s\n", what, strata_status_name(status), message);
}

static void difference(struct verifier *verifier, uint32_t commit, const char *what)
{
    if (verifier->differences++ + verifier->faults >= DIFFERENCES_PRINTED)
        return;
    print_place(verifier, commit);
    printf("%s\n", what);
}

/* Prints the first path in which the snapshot and git differ. */
static void explain(struct verifier *verifier, strata_txn *txn, uint32_t commit)
{
    char hex[SHA1_HEX_SIZE + 1], expected[64], found[64];
    const char *const arguments[] = {"ls-tree", "-r", "-z", "--full-tree", hex, NULL};
    struct git_process git;
    struct file_scan scan;
    struct scanned_file file = {0};
    bool failed = false;
    size_t size = 0;
    sha1_to_hex(verifier->graph.commits[commit].id, hex);
    if (!git_start(verifier->request->repository, arguments, &git))
        return;
    if (file_scan_open(&verifier->scanner, txn, &scan) != STRATA_OK) {
        git_abandon(&git);
        return;
    }
    for (;;) {
        const char *record = git_record(&git, '\0', &size, &failed);
        const strata_status status = file_scan_next(&scan, &file);
        const char *path = record != NULL ? strchr(record, '\t') : NULL;
        if (status != STRATA_OK || path == NULL) {
            printf("  git %s, the database %s\n", record != NULL ? record : "ends",
                   status == STRATA_OK ? "goes on" : strata_status_name(status));
            break;
        }
        (void)snprintf(expected, sizeof(expected), "%.6s %.40s", record, path - SHA1_HEX_SIZE);
        sha1_to_hex(file.id, hex);
        (void)snprintf(found, sizeof(found), "%06o %s", file.mode, hex);
        if (strcmp(expected, found) != 0 || strlen(path + 1) != file.path.size ||
            memcmp(path + 1, file.path.data, file.path.size) != 0) {
            printf("  git %s %s, the database %s %.*s\n", expected, path + 1, found,
                   (int)file.path.size, (const char *)file.path.data);
            break;
        }
    }
    file_scan_close(&scan);
    git_abandon(&git);
}

/* ---- Trees --------------------------------------------------------------------------------- */

static strata_status scan_tree(struct verifier *verifier, strata_txn *txn, uint8_t out[SHA1_SIZE])
{
    struct file_scan scan;
    struct scanned_file file;
    tree_id_begin(&verifier->tree);
    strata_status status = file_scan_open(&verifier->scanner, txn, &scan);
    if (status != STRATA_OK)
        return status;
    while ((status = file_scan_next(&scan, &file)) == STRATA_OK)
        if (!tree_id_add(&verifier->tree, file.path.data, file.path.size, file.mode, file.id))
            break;
    file_scan_close(&scan);
    if (status != STRATA_DONE)
        return status == STRATA_OK ? STRATA_NO_MEMORY : status;
    return tree_id_end(&verifier->tree, out) ? STRATA_OK : STRATA_NO_MEMORY;
}

static void compare_tree(struct verifier *verifier, strata_txn *txn, uint32_t commit,
                         const char *what)
{
    uint8_t id[SHA1_SIZE];
    const bool in_pieces = verifier->scanner.in_pieces;
    strata_status status = scan_tree(verifier, txn, id);
    if (status != STRATA_OK && verifier->scanner.in_pieces != in_pieces)
        status = scan_tree(verifier, txn, id);
    if (status != STRATA_OK) {
        fault(verifier, commit, what, status);
    } else if (memcmp(id, verifier->graph.commits[commit].tree, SHA1_SIZE) != 0) {
        difference(verifier, commit, what);
        if (verifier->differences <= DIFFERENCES_EXPLAINED)
            explain(verifier, txn, commit);
    }
}

/* The row must be of this very commit and begin with its tree. */
static void compare_row(struct verifier *verifier, strata_txn *txn, uint32_t commit)
{
    const struct git_commit *expected = &verifier->graph.commits[commit];
    char id[SHA1_HEX_SIZE + 1], tree[SHA1_HEX_SIZE + 1], text[SHA1_HEX_SIZE + 8];
    strata_buffer buffer = {.data = text, .capacity = SHA1_HEX_SIZE + 6};
    sha1_to_hex(expected->id, id);
    sha1_to_hex(expected->tree, tree);
    const strata_status status =
        strata_kv_copy(txn, verifier->commit_space, strata_view(id, SHA1_HEX_SIZE), 0, &buffer);
    if (status == STRATA_NOT_FOUND)
        difference(verifier, commit, "it has no row");
    else if (status != STRATA_OK)
        fault(verifier, commit, "its row", status);
    else if (buffer.size != SHA1_HEX_SIZE + 6 || memcmp(text, "tree ", 5) != 0 ||
             memcmp(text + 5, tree, SHA1_HEX_SIZE) != 0 || text[SHA1_HEX_SIZE + 5] != '\n')
        difference(verifier, commit, "its row has another tree");
    else if (strata_txn_version(txn) != expected->version)
        difference(verifier, commit, "the snapshot is of another version");
}

static void verify_commit(struct verifier *verifier, uint32_t commit)
{
    strata_txn *txn = NULL;
    const strata_point point = strata_at_version(git_graph_branch(&verifier->graph, commit),
                                                 verifier->graph.commits[commit].version);
    const strata_status status = strata_txn_snapshot(verifier->db, point, &txn);
    verifier->commits++;
    if (status != STRATA_OK) {
        fault(verifier, commit, "snapshot", status);
        return;
    }
    compare_row(verifier, txn, commit);
    compare_tree(verifier, txn, commit, "the tree of the snapshot");
    strata_txn_close(txn);
}

static void verify_fork(struct verifier *verifier, uint32_t commit)
{
    strata_txn *txn = NULL;
    const strata_point point = strata_at_version(git_graph_branch(&verifier->graph, commit),
                                                 verifier->graph.commits[commit].version);
    strata_status status = strata_branch_fork(verifier->db, point, fork_name, NULL);
    verifier->forks++;
    if (status != STRATA_OK) {
        fault(verifier, commit, "fork", status);
        return;
    }
    status = strata_txn_snapshot(verifier->db, strata_head(fork_name), &txn);
    if (status == STRATA_OK)
        compare_tree(verifier, txn, commit, "the tree of the fork");
    else
        fault(verifier, commit, "snapshot of the fork", status);
    strata_txn_close(txn);
    status = strata_branch_delete(verifier->db, fork_name);
    if (status != STRATA_OK)
        fault(verifier, commit, "deleting the fork", status);
}

static strata_status branch_head(strata *db, const char *name, uint64_t *version_out)
{
    strata_cursor *cursor = NULL;
    strata_branch_info info;
    strata_status status = strata_branch_list(db, name, &cursor);
    if (status != STRATA_OK)
        return status;
    /* Of the names that begin with this one, it is the first. */
    status = strata_branch_next(cursor, &info);
    if (status == STRATA_DONE || (status == STRATA_OK && strcmp(info.name, name) != 0))
        status = STRATA_NOT_FOUND;
    if (status == STRATA_OK)
        *version_out = info.head_version;
    strata_cursor_close(cursor);
    return status;
}

/* The branch of each ref ends at the ref's commit. */
static void verify_refs(struct verifier *verifier)
{
    for (uint32_t i = 0; i < verifier->graph.ref_count; i++) {
        const struct git_ref *ref = &verifier->graph.refs[i];
        char name[BRANCH_NAME_SIZE];
        uint64_t version = 0;
        branch_name_of_ref(ref->name, name);
        const strata_status status = branch_head(verifier->db, name, &version);
        verifier->refs++;
        if (status == STRATA_NOT_FOUND)
            difference(verifier, ref->commit, "a ref has no branch");
        else if (status != STRATA_OK)
            fault(verifier, ref->commit, name, status);
        else if (version != verifier->graph.commits[ref->commit].version)
            difference(verifier, ref->commit, "the branch of a ref ends elsewhere");
    }
}

/* ---- The whole ----------------------------------------------------------------------------- */

/* Source: splitmix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* Puts `count` random places, all different, at the front. */
static void shuffle_front(uint32_t *order, uint32_t size, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count && i + 1 < size; i++) {
        const uint32_t other = i + (uint32_t)(next_random(&seed) % (size - i));
        const uint32_t moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}

static bool verifier_open(struct verifier *verifier)
{
    const struct verify_request *request = verifier->request;
    if (!git_graph_read(request->repository, &verifier->graph) ||
        !commit_map_read(request->map, &verifier->graph) ||
        !history_open_database(request->folder, request->budget, true, &verifier->db))
        return false;
    const strata_status status =
        strata_space_open(verifier->db, HISTORY_COMMIT_SPACE, &verifier->commit_space);
    if (status != STRATA_OK)
        return complain_strata("the space of commits", status);
    const uint32_t count = verifier->graph.commit_count;
    verifier->order = malloc(((size_t)count + 1) * sizeof(uint32_t));
    if (verifier->order == NULL)
        return complain("no memory for %u commits", count);
    for (uint32_t i = 0; i < count; i++)
        verifier->order[i] = i;
    verifier->chosen = count;
    if (request->commit_count > 0 && request->commit_count < count) {
        verifier->chosen = (uint32_t)request->commit_count;
        shuffle_front(verifier->order, count, verifier->chosen, 1);
    }
    return true;
}

static void verify_all(struct verifier *verifier)
{
    struct progress progress = progress_begin("commits verified", verifier->chosen);
    for (uint32_t i = 0; i < verifier->chosen; i++) {
        verify_commit(verifier, verifier->order[i]);
        progress_step(&progress, i);
    }
    progress_end(&progress);

    const uint32_t forks =
        verifier->chosen < VERIFY_FORKS_MAX ? verifier->chosen : VERIFY_FORKS_MAX;
    progress = progress_begin("forks verified", forks);
    shuffle_front(verifier->order, verifier->chosen, forks, 2);
    for (uint32_t i = 0; i < forks; i++) {
        verify_fork(verifier, verifier->order[i]);
        progress_step(&progress, i);
    }
    progress_end(&progress);
    verify_refs(verifier);
}

static bool verifier_close(struct verifier *verifier)
{
    strata_space_close(verifier->commit_space);
    const strata_status status = strata_close(verifier->db);
    tree_id_release(&verifier->tree);
    file_scanner_release(&verifier->scanner);
    git_graph_release(&verifier->graph);
    free(verifier->order);
    return status == STRATA_OK || complain_strata("closing the database", status);
}

enum verdict verify_history(const struct verify_request *request)
{
    const int64_t began_ns = now_ns();
    struct verifier *verifier = calloc(1, sizeof(struct verifier));
    if (verifier == NULL) {
        (void)complain("no memory to verify");
        return VERDICT_ERROR;
    }
    verifier->request = request;
    const bool opened = verifier_open(verifier);
    if (opened)
        verify_all(verifier);
    const uint64_t differences = verifier->differences, faults = verifier->faults;
    const bool closed = verifier_close(verifier);
    if (opened)
        printf("verified   %s commits, %s of them again through forks, %s refs; %s files looked at,"
               " %s bytes hashed%s; %.1f s\n"
               "           %s differences, %s failures\n",
               thousands(verifier->commits), thousands(verifier->forks), thousands(verifier->refs),
               thousands(verifier->scanner.rows), thousands(verifier->scanner.bytes),
               verifier->scanner.in_pieces ? ", large ones in pieces" : "",
               (double)(now_ns() - began_ns) / 1e9, thousands(differences), thousands(faults));
    free(verifier);
    if (!opened || !closed || faults > 0)
        return VERDICT_ERROR;
    return differences > 0 ? VERDICT_DIFFERENT : VERDICT_SAME;
}
