/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/base/cpu_name.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first CPU is at the begin. */
static void find_name(const char *text, char *to, size_t size)
{
    const char *line = strstr(text, "model name");
    const char *colon = line ? strchr(line, ':') : NULL;

    if (colon && colon[1] == ' ')
        snprintf(to, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
}

void stasis_host_cpu_name(int fd, char *to, size_t size)
{
    const int file = fd ? fd : open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    char text[1024];
    ssize_t len = file >= 0 ? pread(file, text, sizeof(text) - 1, 0) : -1;

    if (len > 0) {
        text[len] = '\0';
        find_name(text, to, size);
    }
    if (!fd && file >= 0)
        close(file);
}
