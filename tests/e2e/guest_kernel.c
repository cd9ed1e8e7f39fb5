// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_kernel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/random.h>

enum {
    LOG_BYTES = 1 << 18,
    SYSLOG_ACTION_READ_ALL = 3,
    WARNING_LEVEL = 4,
};

// Lines of /proc/kallsyms are "<hex address> <type> <name>[ <module>]".
uint64_t banner_address(void)
{
    char line[LINE_BYTES];
    uint64_t address = 0;
    FILE *file = fopen("/proc/kallsyms", "re");
    if (file == NULL) {
        die("/proc/kallsyms");
    }
    while (address == 0 && fgets(line, sizeof(line), file) != NULL) {
        const char *name = strrchr(line, ' ');
        if (name != NULL && strcmp(name, " linux_banner\n") == 0) {
            address = strtoull(line, NULL, 16);
        }
    }
    (void)fclose(file);
    return address;
}

static char *read_log(void)
{
    static char log[LOG_BYTES + 1];
    int length = klogctl(SYSLOG_ACTION_READ_ALL, log, LOG_BYTES);
    if (length < 0) {
        die("klogctl");
    }
    log[length] = '\0';
    return log;
}

// Lines of the log begin with "<level>".
void say_warnings(const struct guest *guest)
{
    unsigned count = 0;
    char *rest;
    for (char *line = strtok_r(read_log(), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '<' && (strtoul(line + 1, NULL, 10) & 7) <= WARNING_LEVEL) {
            say(guest, "kernel: %.400s\n", line);
            count++;
        }
    }
    say(guest, "warnings %u nonce=%s\n", count, guest->nonce);
}

// That is what it says before.
bool tsc_is_trusted(void)
{
    return strstr(read_log(), "skew is too large") == NULL;
}

void tell_fork(const struct guest *guest)
{
    unsigned forks = 0;
    uint64_t bytes[2] = {0, 0};
    for (const char *at = read_log(); (at = strstr(at, "virtual machine fork")) != NULL; at++) {
        forks++;
    }
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        die("getrandom");
    }
    say(guest, "fork count=%u random=%016" PRIx64 "%016" PRIx64 " nonce=%s\n", forks, bytes[0],
        bytes[1], guest->nonce);
}
