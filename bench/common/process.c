#define _XOPEN_SOURCE 700 /* mkdtemp, nftw */

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- Reads and writes ---- */

/* The number after `name` in a file of lines "name: number". */
static uint64_t field_of(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    uint64_t number = 0;
    if (found == NULL || sscanf(found + strlen(name), "%*[: \t]%" SCNu64, &number) != 1)
        return 0;
    return number;
}

static const char *file_text(const char *path, char *out, size_t capacity)
{
    FILE *file = fopen(path, "r");
    size_t size = 0;
    if (file != NULL) {
        size = fread(out, 1, capacity - 1, file);
        fclose(file);
    }
    out[size] = '\0';
    return out;
}

static void io_read(struct process_io *out)
{
    char text[1024];
    file_text("/proc/self/io", text, sizeof(text));
    *out = (struct process_io){
        .read_bytes = field_of(text, "rchar"),
        .write_bytes = field_of(text, "wchar"),
        .read_calls = field_of(text, "syscr"),
        .write_calls = field_of(text, "syscw"),
        .device_read_bytes = field_of(text, "\nread_bytes"),
        .device_write_bytes = field_of(text, "\nwrite_bytes"),
    };
}

void process_io_read(struct process_io *out)
{
    io_read(out);
}

/* A second look in a row tells what looking costs. */
void process_io_since(const struct process_io *before, struct process_io *out)
{
    struct process_io after, again;
    io_read(&after);
    io_read(&again);
    const uint64_t calls = after.read_calls - before->read_calls;
    const uint64_t bytes = after.read_bytes - before->read_bytes;
    const uint64_t own_calls = again.read_calls - after.read_calls;
    const uint64_t own_bytes = again.read_bytes - after.read_bytes;
    *out = (struct process_io){
        .read_calls = calls > own_calls ? calls - own_calls : 0,
        .read_bytes = bytes > own_bytes ? bytes - own_bytes : 0,
        .write_calls = after.write_calls - before->write_calls,
        .write_bytes = after.write_bytes - before->write_bytes,
        .device_read_bytes = after.device_read_bytes - before->device_read_bytes,
        .device_write_bytes = after.device_write_bytes - before->device_write_bytes,
    };
}

/* ---- Memory ---- */

static uint64_t status_kib(const char *name)
{
    char text[4096];
    return field_of(file_text("/proc/self/status", text, sizeof(text)), name);
}

uint64_t process_resident_bytes(void)
{
    return status_kib("VmRSS") * 1024;
}

uint64_t process_resident_peak_bytes(void)
{
    struct rusage usage;
    const uint64_t kib = status_kib("VmHWM");
    if (kib > 0)
        return kib * 1024;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

void process_resident_peak_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL)
        return;
    fputs("5", file);
    fclose(file);
}

/* ---- Disk ---- */

uint64_t disk_reads(const char *folder)
{
    struct stat status;
    char line[512];
    uint64_t reads = 0;
    FILE *file = stat(folder, &status) == 0 ? fopen("/proc/diskstats", "r") : NULL;
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned major_number = 0, minor_number = 0;
        uint64_t count = 0;
        if (sscanf(line, "%u %u %*s %" SCNu64, &major_number, &minor_number, &count) == 3 &&
            major_number == major(status.st_dev) && minor_number == minor(status.st_dev))
            reads = count;
    }
    fclose(file);
    return reads;
}

/* ---- Folders ---- */

int folder_make(const char *parent, const char *name, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s/%s-XXXXXX", parent, name);
    if (mkdtemp(out) != NULL)
        return 0;
    fprintf(stderr, "%s: %s\n", out, strerror(errno));
    return -1;
}

static int file_remove(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void folder_remove(const char *path)
{
    nftw(path, file_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static struct folder_size measured;

static int file_measure(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)walk;
    if (type != FTW_F)
        return 0;
    const uint64_t bytes = (uint64_t)status->st_blocks * 512;
    measured.bytes += bytes;
    measured.files++;
    if (strstr(path, "/wal/") != NULL || strstr(path, "/log/") != NULL)
        measured.log_bytes += bytes;
    return 0;
}

struct folder_size folder_measure(const char *path)
{
    measured = (struct folder_size){0};
    nftw(path, file_measure, 16, FTW_PHYS);
    return measured;
}

static int file_forget(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)walk;
    const int file = type == FTW_F ? open(path, O_RDONLY) : -1;
    if (file < 0)
        return 0;
    fdatasync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
    return 0;
}

void folder_forget(const char *path)
{
    nftw(path, file_forget, 16, FTW_PHYS);
}

/* ---- A limit ---- */

static int text_write(const char *folder, const char *name, const char *text)
{
    char path[1200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return -1;
    const int written = fputs(text, file);
    return fclose(file) == 0 && written >= 0 ? 0 : -1;
}

/* The folder of this process in the hierarchy that counts memory: version 1 has one of its own. */
static int group_find(char *out, size_t capacity)
{
    char line[600];
    int found = -1;
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *path = strchr(line, ':');
        path = path == NULL ? NULL : strchr(path + 1, ':');
        if (path == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        if (strstr(line, ":memory:") != NULL) {
            snprintf(out, capacity, "/sys/fs/cgroup/memory%s", path + 1);
            found = 1;
        } else if (strncmp(line, "0::", 3) == 0 && found < 0) {
            snprintf(out, capacity, "/sys/fs/cgroup%s", path + 1);
            found = 2;
        }
    }
    fclose(file);
    return found;
}

int memory_group_make(uint64_t limit_bytes, char *out, size_t capacity)
{
    char parent[700], text[32];
    const int version = group_find(parent, sizeof(parent));
    if (version > 0) {
        snprintf(out, capacity, "%s/strata-bench-%ld", parent, (long)getpid());
        snprintf(text, sizeof(text), "%" PRIu64, limit_bytes);
        const char *file = version == 1 ? "memory.limit_in_bytes" : "memory.max";
        if (mkdir(out, 0755) == 0 && text_write(out, file, text) == 0)
            return 0;
        rmdir(out);
    }
    out[0] = '\0';
    return -1;
}

int memory_group_join(const char *path)
{
    char text[32];
    snprintf(text, sizeof(text), "%ld", (long)getpid());
    return text_write(path, "cgroup.procs", text);
}

void memory_group_remove(const char *path)
{
    if (path[0] != '\0')
        rmdir(path);
}
