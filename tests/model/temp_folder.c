#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/temp_folder.h"

#include "simdisk/sim_random.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void temp_folder_create(char out[TEMP_FOLDER_SIZE])
{
    const char *parent = getenv("TMPDIR");
    snprintf(out, TEMP_FOLDER_SIZE, "%s/strata-test-XXXXXX",
             parent == NULL || parent[0] == '\0' ? "/tmp" : parent);
    if (mkdtemp(out) == NULL)
        abort();
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void temp_folder_remove(const char *path)
{
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static uint64_t fingerprint; /* nftw has no context. */

static uint64_t hash_file(const char *path)
{
    static unsigned char bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    uint64_t hash = 1;
    size_t size = 0;
    while (file != NULL && (size = fread(bytes, 1, sizeof(bytes), file)) > 0)
        hash = sim_hash(bytes, size, hash);
    if (file != NULL)
        fclose(file);
    return hash;
}

/* Sums, so that the order of a folder's entries does not matter. */
static int add_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)walk;
    uint64_t hash = sim_hash(path, strlen(path), (uint64_t)kind);
    hash = sim_mix(hash ^ (uint64_t)status->st_mtim.tv_sec);
    hash = sim_mix(hash ^ (uint64_t)status->st_mtim.tv_nsec);
    hash = sim_mix(hash ^ (uint64_t)status->st_mode);
    if (kind == FTW_F)
        hash = sim_mix(hash ^ (uint64_t)status->st_size ^ hash_file(path));
    fingerprint += hash;
    return 0;
}

uint64_t temp_folder_fingerprint(const char *path)
{
    fingerprint = 0;
    nftw(path, add_entry, 8, FTW_PHYS);
    return fingerprint;
}
