/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Machines of many vCPUs: how long building one takes, pausing it, and collecting its state; and by
 * how much a vCPU that prints to a pipe that is full holds up the device accesses of another one,
 * alternating with a control in which it prints nothing.
 *   bench-smp ROUNDS     prints one JSON object; times are medians in nanoseconds
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/clock.h"
#include "vmm/kvm_guest.h"

#define ROUNDS_MAX 1001
#define BUILT      254 /* as many as a board can have */
#define WINDOW_US  100000

static struct kvm_guest guest;

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static unsigned long long median(uint64_t *ns, unsigned count)
{
    qsort(ns, count, sizeof(*ns), compare);
    return ns[count / 2];
}

/* ---- many vCPUs ---- */

static void measure(uint32_t vcpus, unsigned rounds)
{
    static uint64_t pause_ns[ROUNDS_MAX], collect_ns[ROUNDS_MAX];
    unsigned long long collect;

    kvm_guest_smp_init(&guest, vcpus);
    for (uint32_t i = 0; i < vcpus; i++)
        /* KVM runs them, and the processors of the host are free. */
        kvm_guest_smp_real(&guest, i, kvm_halted, sizeof(kvm_halted));
    kvm_guest_start(&guest);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t start = stasis_monotonic_ns(), paused;
        struct stasis_snap *snap = NULL;
        struct stasis_error err;

        stasis_machine_pause(&guest.machine);
        paused = stasis_monotonic_ns();
        kvm_ok(stasis_freeze(&guest.machine, 0, &snap, &err), &err);
        collect_ns[i] = stasis_monotonic_ns() - paused;
        pause_ns[i] = paused - start;
        stasis_machine_resume(&guest.machine);
        stasis_snap_free(snap);
    }
    kvm_guest_fini(&guest);
    collect = median(collect_ns, rounds);
    printf("{\"vcpus\": %u, \"pause_ns\": %llu, \"collect_ns\": %llu, \"collect_each_ns\": %llu}",
           vcpus, median(pause_ns, rounds), collect, collect / vcpus);
}

static uint64_t build_ns(uint32_t vcpus)
{
    uint64_t start = stasis_monotonic_ns(), ns;

    kvm_guest_smp_init(&guest, vcpus);
    ns = stasis_monotonic_ns() - start;
    kvm_guest_fini(&guest);
    return ns;
}

static void measure_building(unsigned rounds)
{
    static uint64_t one[ROUNDS_MAX], all[ROUNDS_MAX];
    unsigned count = rounds < 11 ? rounds : 11;

    for (unsigned i = 0; i < count; i++) {
        one[i] = build_ns(1);
        all[i] = build_ns(BUILT);
    }
    printf("\"built_vcpus\": %d, \"build_ns\": %llu, \"build_one_ns\": %llu, ", BUILT,
           median(all, count), median(one, count));
}

/* ---- a full console ---- */

/* mov dx, 0x3f8; 1: cmp byte [bx], 0; je 1b; out dx, al; jmp 1b */
static const uint8_t printing[] = {0xba, 0xf8, 0x03, 0x80, 0x3f, 0x00,
                                   0x74, 0xfb, 0xee, 0xeb, 0xf8};

/* The longest time from one access of a device to the next, in ticks:
 * 1: rdtsc; mov ecx, eax; sub ecx, esi; mov esi, eax; cmp ecx, [bx]; jbe 2f; mov [bx], ecx;
 * 2: in al, 0x80; jmp 1b */
static const uint8_t accessing[] = {0x0f, 0x31, 0x66, 0x89, 0xc1, 0x66, 0x29, 0xf1,
                                    0x66, 0x89, 0xc6, 0x66, 0x3b, 0x0f, 0x76, 0x03,
                                    0x66, 0x89, 0x0f, 0xe4, 0x80, 0xeb, 0xe9};

static int full_pipe = -1;

/* As the sink of standard output does. */
static size_t write_to_pipe(void *ctx, const uint8_t *bytes, size_t len)
{
    ssize_t n = write(full_pipe, bytes, len);

    (void)ctx;
    return n > 0 ? (size_t)n : 0;
}

static void fill_pipe(int ends[2])
{
    static const char zeros[4096];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        abort();
    full_pipe = ends[1];
    while (write(full_pipe, zeros, sizeof(zeros)) > 0)
        ;
}

static void set_cell(uint32_t id, uint32_t value)
{
    __atomic_store_n((uint32_t *)kvm_guest_ram(&guest, KVM_SMP_CELLS + 4 * id, 4), value,
                     __ATOMIC_SEQ_CST);
}

/* The longest gap of the second vCPU in a window, while the first one prints or does not. */
static uint64_t gap_ticks(bool prints)
{
    set_cell(0, prints);
    kvm_sleep_us(WINDOW_US / 10);
    set_cell(1, 0);
    kvm_sleep_us(WINDOW_US);
    return kvm_guest_smp_cell(&guest, 1);
}

static void measure_console(unsigned rounds)
{
    static uint64_t with[ROUNDS_MAX], without[ROUNDS_MAX];
    struct stasis_x86_tsc_state tsc = {0};
    struct stasis_error err;
    int ends[2];

    fill_pipe(ends);
    kvm_guest_smp_init(&guest, 2);
    guest.host.serial_out = (struct stasis_device_output){write_to_pipe, NULL};
    kvm_guest_smp_real(&guest, 0, printing, sizeof(printing));
    kvm_guest_smp_real(&guest, 1, accessing, sizeof(accessing));
    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &tsc, &err), &err);
    kvm_guest_start(&guest);
    for (unsigned i = 0; i < rounds; i++) {
        with[i] = gap_ticks(true) * 1000000 / tsc.khz;
        without[i] = gap_ticks(false) * 1000000 / tsc.khz;
    }
    kvm_guest_fini(&guest);
    close(ends[0]);
    close(ends[1]);
    printf("\"gap_full_console_ns\": %llu, \"gap_control_ns\": %llu", median(with, rounds),
           median(without, rounds));
}

int main(int argc, char **argv)
{
    static const uint32_t counts[] = {1, 8, 64};
    unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    printf("{\"machines\": [");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        printf("%s", i ? ", " : "");
        measure(counts[i], rounds);
    }
    printf("], ");
    measure_building(rounds);
    measure_console(rounds < 31 ? rounds : 31);
    printf("}\n");
    return 0;
}
