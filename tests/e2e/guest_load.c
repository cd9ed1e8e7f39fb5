// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_load.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    CPUS_MAX = 16,
    STEPS = 10000,      // of a turn
    NAP_NS = 100000000, // between turns: the CPU's own timer ends it
};

// Shared by the processes.
struct load {
    _Atomic uint64_t turns[CPUS_MAX];
    _Atomic uint64_t latest_ns; // that any of them has read of the clock
    _Atomic uint64_t back;
    unsigned cpus;
};

static struct load *load;

static uint64_t read_clock(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// What another CPU has read before must not be later than what this one reads now.
static void compare_clocks(void)
{
    uint64_t before = atomic_load(&load->latest_ns);
    uint64_t now = read_clock();
    if (now < before) {
        atomic_fetch_add(&load->back, 1);
    }
    while (before < now && !atomic_compare_exchange_weak(&load->latest_ns, &before, now)) {
    }
}

static void work(unsigned cpu)
{
    for (;;) {
        for (volatile unsigned step = 0; step < STEPS; step++) {
        }
        compare_clocks();
        (void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
        compare_clocks();
        atomic_fetch_add(&load->turns[cpu], 1);
    }
}

static const char *start_on(unsigned cpu)
{
    cpu_set_t one;
    pid_t child = fork();
    if (child != 0) {
        return child < 0 ? "fork" : NULL;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) == 0) {
        work(cpu);
    }
    _exit(1);
}

const char *load_start(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    const char *failed = NULL;
    load = mmap(NULL, sizeof(*load), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (load == MAP_FAILED) {
        load = NULL;
        return "mmap";
    }
    load->cpus = cpus < 1 ? 1 : cpus > CPUS_MAX ? CPUS_MAX : (unsigned)cpus;
    for (unsigned cpu = 0; failed == NULL && cpu < load->cpus; cpu++) {
        failed = start_on(cpu);
    }
    return failed;
}

void load_tell(char *ret_text, size_t size)
{
    unsigned cpus = load == NULL ? 0 : load->cpus;
    size_t used = (size_t)snprintf(ret_text, size, "back=%llu turns=",
                                   cpus == 0 ? 0 : (unsigned long long)atomic_load(&load->back));
    for (unsigned cpu = 0; cpu < cpus && used < size; cpu++) {
        used += (size_t)snprintf(ret_text + used, size - used, "%s%llu", cpu == 0 ? "" : ",",
                                 (unsigned long long)atomic_load(&load->turns[cpu]));
    }
}
