/* What it costs to make a block of a log durable on the disk of a folder: by fdatasync into a file
 * that grows, that is allocated, that was written before, and by writes that are durable on return,
 * alone and several in flight. Cases take turns, since disks have moods.
 *
 *     build/bench/bin/floor_disk FOLDER [ROUNDS] */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 4096,
    FILE_SIZE = 4 << 20,
    WRITES = 128, /* Of a case in a round. */
    ROUNDS_MAX = 64,
    THREADS_MAX = 8
};

enum space { GROWING, ALLOCATED, WRITTEN };
enum way { WRITE_AND_SYNC, DSYNC, DIRECT, DIRECT_UNSYNCED };

struct disk_case {
    const char *name;
    enum space space;
    enum way way;
    unsigned threads;
    size_t size;
    uint64_t times[WRITES * ROUNDS_MAX];
    uint64_t rates[ROUNDS_MAX]; /* Writes a second. */
    uint64_t count;
};

struct disk_writer {
    struct disk_case *what;
    int file;
    atomic_uint_fast64_t *next;
    uint64_t *times;
    pthread_t thread;
};

static void *block;

static void must(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    exit(1);
}

static uint64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int disk_file(const char *path, const struct disk_case *what)
{
    const int direct = what->way == DIRECT            ? O_DIRECT | O_DSYNC
                       : what->way == DIRECT_UNSYNCED ? O_DIRECT
                                                      : 0;
    (void)unlink(path);
    const int file = open(path, O_RDWR | O_CREAT | direct, 0600);
    must(file >= 0, path);
    if (what->space == ALLOCATED)
        must(posix_fallocate(file, 0, FILE_SIZE) == 0, "fallocate");
    for (off_t at = 0; what->space == WRITTEN && at < FILE_SIZE; at += 1 << 20)
        must(pwrite(file, block, 1 << 20, at) == 1 << 20, "pwrite");
    must(fsync(file) == 0, "fsync");
    return file;
}

static void disk_write(const struct disk_writer *writer, off_t at)
{
    const size_t size = writer->what->size;
    struct iovec piece = {.iov_base = block, .iov_len = size};
    if (writer->what->way == DSYNC)
        must(pwritev2(writer->file, &piece, 1, at, RWF_DSYNC) == (ssize_t)size, "pwritev2");
    else
        must(pwrite(writer->file, block, size, at) == (ssize_t)size, "pwrite");
    if (writer->what->way == WRITE_AND_SYNC)
        must(fdatasync(writer->file) == 0, "fdatasync");
}

static void *disk_writer_main(void *context)
{
    const struct disk_writer *writer = context;
    const size_t size = writer->what->size;
    for (;;) {
        const uint64_t number = atomic_fetch_add(writer->next, 1);
        if (number >= WRITES)
            return NULL;
        const uint64_t begun = wall_ns();
        disk_write(writer, (off_t)(number * size));
        writer->times[number] = wall_ns() - begun;
    }
}

static void disk_round(const char *path, struct disk_case *what, unsigned round)
{
    struct disk_writer writers[THREADS_MAX];
    atomic_uint_fast64_t next = 0;
    const int file = disk_file(path, what);
    const uint64_t begun = wall_ns();
    for (unsigned i = 0; i < what->threads; i++) {
        writers[i] = (struct disk_writer){
            .what = what, .file = file, .next = &next, .times = what->times + what->count};
        must(pthread_create(&writers[i].thread, NULL, disk_writer_main, &writers[i]) == 0,
             "thread");
    }
    for (unsigned i = 0; i < what->threads; i++)
        pthread_join(writers[i].thread, NULL);
    what->rates[round] = WRITES * UINT64_C(1000000000) / (wall_ns() - begun);
    what->count += WRITES;
    close(file);
    unlink(path);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double us(const struct disk_case *what, uint64_t percent)
{
    return (double)what->times[what->count * percent / 100] * 1e-3;
}

int main(int argc, char **argv)
{
    static struct disk_case cases[] = {
        {"fdatasync, growing", GROWING, WRITE_AND_SYNC, 1, BLOCK, {0}, {0}, 0},
        {"fdatasync, allocated", ALLOCATED, WRITE_AND_SYNC, 1, BLOCK, {0}, {0}, 0},
        {"fdatasync, written", WRITTEN, WRITE_AND_SYNC, 1, BLOCK, {0}, {0}, 0},
        {"fdatasync, written, 200 bytes", WRITTEN, WRITE_AND_SYNC, 1, 200, {0}, {0}, 0},
        {"RWF_DSYNC", WRITTEN, DSYNC, 1, BLOCK, {0}, {0}, 0},
        {"RWF_DSYNC, 2 in flight", WRITTEN, DSYNC, 2, BLOCK, {0}, {0}, 0},
        {"RWF_DSYNC, 3 in flight", WRITTEN, DSYNC, 3, BLOCK, {0}, {0}, 0},
        {"RWF_DSYNC, 4 in flight", WRITTEN, DSYNC, 4, BLOCK, {0}, {0}, 0},
        {"RWF_DSYNC, 8 in flight", WRITTEN, DSYNC, 8, BLOCK, {0}, {0}, 0},
        {"O_DIRECT, O_DSYNC", WRITTEN, DIRECT, 1, BLOCK, {0}, {0}, 0},
        {"O_DIRECT, O_DSYNC, 2 in flight", WRITTEN, DIRECT, 2, BLOCK, {0}, {0}, 0},
        {"O_DIRECT, O_DSYNC, 4 in flight", WRITTEN, DIRECT, 4, BLOCK, {0}, {0}, 0},
        {"O_DIRECT, not synced", WRITTEN, DIRECT_UNSYNCED, 1, BLOCK, {0}, {0}, 0},
        {"O_DIRECT, O_DSYNC, 16 KiB", WRITTEN, DIRECT, 1, 4 * BLOCK, {0}, {0}, 0},
    };
    enum { CASES = sizeof(cases) / sizeof(cases[0]) };
    char path[1000];
    const unsigned given = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 8;
    const unsigned rounds = given < 1 ? 1 : given > ROUNDS_MAX ? ROUNDS_MAX : given;
    snprintf(path, sizeof(path), "%s/floor_disk", argc > 1 ? argv[1] : ".");
    must(posix_memalign(&block, BLOCK, 1 << 20) == 0, "memory");
    memset(block, 7, 1 << 20);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < CASES; i++)
            disk_round(path, &cases[i], round);
    }
    printf("%-34s%9s%9s%9s us%9s 1/s\n", "a block of 4 KiB", "p10", "p50", "p99", "median");
    for (unsigned i = 0; i < CASES; i++) {
        struct disk_case *what = &cases[i];
        qsort(what->times, what->count, sizeof(uint64_t), by_size);
        qsort(what->rates, rounds, sizeof(uint64_t), by_size);
        printf("%-34s%9.1f%9.1f%9.1f   %9.0f\n", what->name, us(what, 10), us(what, 50),
               us(what, 99), (double)what->rates[rounds / 2]);
    }
    free(block);
    return 0;
}
