/* Runs a fuzz target without a fuzzer: over each file of the folder given, over small mutations of
 * each, and over 1,000 inputs from a fixed seed. Inputs lie in blocks of their exact size, so that
 * the address sanitizer sees a read past the end. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_INPUTS = 1000, RANDOM_SIZE_MAX = 4096, MUTATIONS = 200, PATH_SIZE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Source: splitmix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

static uint8_t *exact_block(size_t size)
{
    uint8_t *block = malloc(size > 0 ? size : 1);
    if (block == NULL)
        abort();
    return block;
}

/* One to four bytes changed, and one time in four the end cut off. */
static void run_mutation(const uint8_t *data, size_t size, uint64_t *state)
{
    const size_t kept = next_random(state) % 4 == 0 ? next_random(state) % (size + 1) : size;
    uint8_t *mutated = exact_block(kept);
    memcpy(mutated, data, kept);
    const unsigned changes = 1 + next_random(state) % 4;
    for (unsigned i = 0; kept > 0 && i < changes; i++)
        mutated[next_random(state) % kept] = (uint8_t)next_random(state);
    LLVMFuzzerTestOneInput(mutated, kept);
    free(mutated);
}

static void run_file(const char *path, uint64_t *state)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || ftell(file) < 0) {
        perror(path);
        exit(1);
    }
    const size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = exact_block(size);
    if (fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    for (int i = 0; i < MUTATIONS; i++)
        run_mutation(data, size, state);
    free(data);
}

/* Runs the files of `folder`, which need not exist, in order of name, and returns how many. */
static int run_corpus(const char *folder, uint64_t *state)
{
    struct dirent **entries;
    const int count = scandir(folder, &entries, NULL, alphasort);
    int files = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            char path[PATH_SIZE];
            snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
            run_file(path, state);
            files++;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return files;
}

int main(int argc, char **argv)
{
    uint64_t state = 1;
    const int files = argc > 1 ? run_corpus(argv[1], &state) : 0;

    uint8_t *empty = exact_block(0);
    LLVMFuzzerTestOneInput(empty, 0);
    free(empty);
    for (int i = 0; i < RANDOM_INPUTS; i++) {
        const size_t size = next_random(&state) % (RANDOM_SIZE_MAX + 1);
        uint8_t *data = exact_block(size);
        for (size_t at = 0; at < size; at++)
            data[at] = (uint8_t)next_random(&state);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    printf("%d files with %d mutations each, %d random inputs\n", files, MUTATIONS, RANDOM_INPUTS);
    return 0;
}
