/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/base/cpu_name.h"

#include <stdio.h>
#include <string.h>

void stasis_host_cpu_name(char *to, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    while (file && fgets(line, sizeof(line), file)) {
        const char *colon = strchr(line, ':');

        if (!strncmp(line, "model name", 10) && colon) {
            snprintf(to, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}
