// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_devices.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LINE_BYTES = 512,
    PATH_BYTES = 300,
    RANDOM_BYTES = 16,
    HELD_BYTES = 64,
};

// Drivers come with us, as files whose names are in order.
const char *load_modules(void)
{
    static char path[PATH_BYTES];
    struct dirent **names = NULL;
    const char *failed = NULL;
    int count = scandir("/lib", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (failed == NULL && names[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "/lib/%s", names[i]->d_name);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) {
                failed = path;
            }
            if (fd >= 0) {
                (void)close(fd);
            }
        }
        free(names[i]);
    }
    free(names);
    return failed;
}

// What a line of /proc/interrupts says behind its label: a column for each CPU, and then a word.
uint64_t count_of(const char *columns, int cpu)
{
    uint64_t count = 0;
    for (int i = 0;; i++) {
        char *rest;
        uint64_t column = strtoull(columns, &rest, 10);
        if (rest == columns) {
            return count;
        }
        count += cpu == ALL_CPUS || cpu == i ? column : 0;
        columns = rest;
    }
}

// Interrupts of all devices whose name in /proc/interrupts begins so.
static uint64_t device_interrupts(const char *device)
{
    char line[LINE_BYTES];
    uint64_t count = 0;
    FILE *file = fopen("/proc/interrupts", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *columns = strchr(line, ':');
        if (columns != NULL && strstr(line, device) != NULL) {
            count += count_of(columns + 1, ALL_CPUS);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return count;
}

static bool read_file(const char *path, void *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, bytes, size);
    if (fd >= 0) {
        (void)close(fd);
    }
    return count > 0;
}

// The kernel and its driver hold 64 bytes each: of two reads of so many, one waits for the device.
void read_hwrng(char *text, size_t size)
{
    uint8_t bytes[HELD_BYTES] = {0};
    char driver[32] = "";
    if (!read_file("/sys/class/misc/hw_random/rng_current", driver, sizeof(driver) - 1) ||
        !read_file("/dev/hwrng", bytes, sizeof(bytes))) {
        (void)snprintf(text, size, "none");
        return;
    }
    driver[strcspn(driver, "\n")] = '\0';
    int length = snprintf(text, size, "%s ", driver);
    for (size_t i = 0; i < RANDOM_BYTES; i++) {
        length += snprintf(text + length, size - (size_t)length, "%02x", bytes[i]);
    }
    (void)snprintf(text + length, size - (size_t)length, " irqs=%" PRIu64,
                   device_interrupts("virtio"));
}
