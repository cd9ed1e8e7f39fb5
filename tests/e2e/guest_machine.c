// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_machine.h"

#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LINE_BYTES = 4096, // of flags
};

static void tell_kernel(void (*tell)(void *to, const char *line), void *to)
{
    struct utsname name;
    char line[LINE_BYTES];
    (void)uname(&name);
    (void)snprintf(line, sizeof(line), "release %s", name.release);
    tell(to, line);
}

// MemTotal is what the kernel has left to give.
static void tell_memory(void (*tell)(void *to, const char *line), void *to)
{
    char line[LINE_BYTES];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file != NULL && fgets(line, sizeof(line), file) != NULL &&
        strncmp(line, "MemTotal:", 9) == 0) {
        kib = strtoul(line + 9, NULL, 10);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    (void)snprintf(line, sizeof(line), "memtotal %lu", kib);
    tell(to, line);
}

// Lines of /proc/iomem are "<hex first>-<hex last> : <what>"; indented, they are part of another.
static void tell_ram(void (*tell)(void *to, const char *line), void *to)
{
    char line[LINE_BYTES];
    FILE *file = fopen("/proc/iomem", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *rest;
        uint64_t first = strtoull(line, &rest, 16);
        uint64_t last = *rest == '-' ? strtoull(rest + 1, &rest, 16) : 0;
        if (line[0] != ' ' && strcmp(rest, " : System RAM\n") == 0) {
            (void)snprintf(line, sizeof(line), "ram %" PRIu64 " %" PRIu64, first, last);
            tell(to, line);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

// Debian's own, with its libraries beside it.
static pid_t start_lscpu(FILE **ret_said)
{
    char *const command[] = {"/lscpu/ld-linux-x86-64.so.2", "--library-path", "/lscpu",
                             "/lscpu/lscpu", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid = -1;
    if (pipe(ends) != 0) {
        return -1;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (posix_spawn(&pid, command[0], &actions, NULL, command, environ) != 0) {
        pid = -1;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    *ret_said = fdopen(ends[0], "r");
    return pid;
}

static void tell_lscpu(void (*tell)(void *to, const char *line), void *to)
{
    char line[LINE_BYTES] = "lscpu ";
    size_t used = strlen(line);
    FILE *said = NULL;
    pid_t pid = start_lscpu(&said);
    while (said != NULL && fgets(line + used, (int)(sizeof(line) - used), said) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        // Long lists, the same as in /proc/cpuinfo; each byte takes long in an emulated machine.
        if (strstr(line, "Flags:") == NULL && strstr(line, "Vulnerability ") == NULL) {
            tell(to, line);
        }
    }
    if (said != NULL) {
        (void)fclose(said);
    }
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
}

void machine_tell(void (*tell)(void *to, const char *line), void *to)
{
    tell_kernel(tell, to);
    tell_memory(tell, to);
    tell_ram(tell, to);
    tell_lscpu(tell, to);
}
