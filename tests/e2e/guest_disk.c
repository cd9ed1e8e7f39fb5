// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FOLDER      "/disk"
#define NOT_WRITTEN "a file could not be written"

enum {
    FILES = 32,
    WORDS = 16384, // of a file
    PATH_BYTES = 32,
};

// Shared with the process that writes.
struct progress {
    _Atomic unsigned long files;
    atomic_bool stop;
    atomic_bool failed;
};

static struct progress *progress;
static pid_t writer;
static uint64_t words[WORDS];

static void name_file(char path[PATH_BYTES], unsigned long number)
{
    (void)snprintf(path, PATH_BYTES, FOLDER "/%lu", number % FILES);
}

// Each word of a file is different, and says which file it is and for the how many-th time.
static uint64_t word_of(unsigned long number, unsigned at)
{
    return (uint64_t)number << 32 | at;
}

static bool write_file(unsigned long number)
{
    char path[PATH_BYTES];
    name_file(path, number);
    for (unsigned i = 0; i < WORDS; i++) {
        words[i] = word_of(number, i);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, words, sizeof(words)) == (ssize_t)sizeof(words) && !fsync(fd);
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

static void write_files(void)
{
    (void)setpriority(PRIO_PROCESS, 0, 10); // who asks how far this is does not wait for it
    for (unsigned long number = 0; !atomic_load(&progress->stop); number++) {
        if (!write_file(number)) {
            atomic_store(&progress->failed, true);
            return;
        }
        atomic_store(&progress->files, number + 1);
    }
}

static bool mount_disk(void)
{
    (void)mkdir(FOLDER, 0700);
    return mount("/dev/vda", FOLDER, "ext4", 0, "errors=remount-ro") == 0;
}

const char *disk_start(void)
{
    progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        return "mmap";
    }
    if (!mount_disk()) {
        return "mount";
    }
    writer = fork();
    if (writer == 0) {
        write_files();
        _exit(0);
    }
    return writer < 0 ? "fork" : NULL;
}

unsigned long disk_files(void)
{
    return progress == NULL ? 0 : atomic_load(&progress->files);
}

const char *disk_more(unsigned long count)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    unsigned long goal = disk_files() + count;
    if (progress == NULL) {
        return "not started";
    }
    while (disk_files() < goal) {
        if (atomic_load(&progress->failed)) {
            return NOT_WRITTEN;
        }
        (void)nanosleep(&nap, NULL);
    }
    return NULL;
}

unsigned disk_count(void)
{
    static _Alignas(4096) char block[4096];
    char path[] = "/dev/vda";
    unsigned count = 0;
    for (;; path[sizeof(path) - 2]++) {
        int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
        bool ok = fd >= 0 && pread(fd, block, sizeof(block), 0) == (ssize_t)sizeof(block);
        if (fd >= 0) {
            (void)close(fd);
        }
        if (!ok) {
            return count;
        }
        count++;
    }
}

static bool file_is_whole(unsigned long number)
{
    char path[PATH_BYTES];
    name_file(path, number);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && read(fd, words, sizeof(words)) == (ssize_t)sizeof(words);
    for (unsigned i = 0; ok && i < WORDS; i++) {
        ok = words[i] == word_of(number, i);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

const char *disk_stop(void)
{
    if (progress == NULL) {
        return "not started";
    }
    atomic_store(&progress->stop, true);
    if (waitpid(writer, NULL, 0) != writer || atomic_load(&progress->failed)) {
        return NOT_WRITTEN;
    }
    if (umount(FOLDER) != 0 || !mount_disk()) {
        return "it could not be mounted again";
    }
    unsigned long last = disk_files();
    for (unsigned long i = last > FILES ? last - FILES : 0; i < last; i++) {
        if (!file_is_whole(i)) {
            return "a file is not what was written";
        }
    }
    return umount(FOLDER) == 0 ? NULL : "it could not be unmounted";
}
