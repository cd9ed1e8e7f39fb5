// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_cpus.h"

#include <cpuid.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_devices.h"

uint64_t timer_interrupts(int cpu)
{
    char line[2 * LINE_BYTES];
    uint64_t count = 0;
    FILE *file = fopen("/proc/interrupts", "re");
    if (file == NULL) {
        die("/proc/interrupts");
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *label = line + strspn(line, " ");
        if (strncmp(label, "LOC:", 4) == 0) {
            count += count_of(label + 4, cpu);
        } else if (strncmp(label, "0:", 2) == 0) {
            count += count_of(label + 2, cpu);
        }
    }
    (void)fclose(file);
    return count;
}

// The first word of a file of /sys about this CPU's place.
static void topology(char word[32], unsigned cpu, const char *name)
{
    char path[LINE_BYTES];
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%31s", word) != 1) {
        die(path);
    }
    (void)fclose(file);
}

// Run by the CPU itself.
static void describe_cpu(const struct guest *guest, unsigned cpu)
{
    unsigned ignored;
    unsigned apicid = 0;
    unsigned x2apicid = 0;
    char package[32];
    char core[32];
    char threads[32];
    topology(package, cpu, "physical_package_id");
    topology(core, cpu, "core_id");
    topology(threads, cpu, "thread_siblings_list");
    (void)__get_cpuid(1, &ignored, &apicid, &ignored, &ignored);
    (void)__get_cpuid_count(0xb, 0, &ignored, &ignored, &ignored, &x2apicid);
    say(guest,
        "cpu %u apicid=%u x2apicid=%u package=%s core=%s threads=%s loc=%" PRIu64 " nonce=%s\n",
        cpu, apicid >> 24, x2apicid, package, core, threads, timer_interrupts((int)cpu),
        guest->nonce);
}

void visit_cpus(const struct guest *guest)
{
    cpu_set_t all;
    unsigned visited = 0;
    if (sched_getaffinity(0, sizeof(all), &all) != 0) {
        die("sched_getaffinity");
    }
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (!CPU_ISSET(cpu, &all) || sched_setaffinity(0, sizeof(one), &one) != 0) {
            continue;
        }
        if (sched_getcpu() == (int)cpu) {
            describe_cpu(guest, cpu);
            visited++;
        }
    }
    (void)sched_setaffinity(0, sizeof(all), &all);
    say(guest, "cpus %u nonce=%s\n", visited, guest->nonce);
}
