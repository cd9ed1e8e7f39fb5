/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Pausing and resuming: a vCPU that runs, spins, sleeps in HLT, or is in the middle of exits.
 */
#include "vmm/kvm_guest.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/fault_signals.h"

static struct kvm_guest guest;
static struct kvm_probe probe;

/* 1: cli; inc dword [0x2000]; jmp 1b */
static const uint8_t spinning[] = {0xfa, 0x66, 0xff, 0x06, 0x00, 0x20, 0xeb, 0xf8};

/* cli; 1: hlt; jmp 1b: sleeps for ever */
static const uint8_t halted[] = {0xfa, 0xf4, 0xeb, 0xfd};

/* 1: in al, 0x80; out 0x81, al; jmp 1b */
static const uint8_t exiting[] = {0xe4, 0x80, 0xe6, 0x81, 0xeb, 0xfa};

static uint32_t counter(void)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(&guest, 0x2000, 4), __ATOMIC_RELAXED);
}

static void start(const void *payload, size_t len)
{
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&probe, &guest.machine.pio, KVM_PORT, 2);
    kvm_guest_real(&guest, payload, len);
    kvm_guest_start(&guest);
}

static void spinning_vcpu(void)
{
    start(spinning, sizeof(spinning));
    for (unsigned i = 0; i < 200; i++) {
        uint32_t before;

        stasis_machine_pause(&guest.machine);
        before = counter();
        if (i % 20 == 0)
            kvm_sleep_us(2000);
        assert_int_equal(counter(), before);
        stasis_machine_resume(&guest.machine);
        kvm_wait(counter() != before);
    }
    kvm_guest_fini(&guest);
}

static void halted_vcpu(void)
{
    start(halted, sizeof(halted));
    for (unsigned i = 0; i < 200; i++) {
        if (i % 2)
            kvm_sleep_us(500);
        stasis_machine_pause(&guest.machine);
        assert_true(guest.machine.threads[0].paused);
        stasis_machine_resume(&guest.machine);
    }
    kvm_guest_fini(&guest);
}

/* Every IN is answered once and every answer goes out once, wherever the pauses fall. */
static void pauses_race_with_exits(void)
{
    unsigned seed = 1;

    start(exiting, sizeof(exiting));
    for (unsigned i = 0; i < 500; i++) {
        unsigned before;

        stasis_machine_pause(&guest.machine);
        before = probe.count;
        if (i % 50 == 0)
            kvm_sleep_us(2000);
        assert_int_equal(probe.count, before);
        stasis_machine_resume(&guest.machine);
        kvm_wait(probe.count != before);
        for (unsigned spin = (unsigned)rand_r(&seed) % 2000; spin; spin--)
            (void)probe.count;
    }
    stasis_machine_pause(&guest.machine);
    for (unsigned i = 0; i < probe.count && i < KVM_PROBE_LOG; i++)
        kvm_assert_access(&probe, i, i % 2, i % 2, 1, i / 2 & (i % 2 ? 0xff : UINT64_MAX));
    kvm_guest_fini(&guest);
}

/* The second request finds the thread asleep: its kick must not be left over for the resume. */
static void pausing_twice(void)
{
    start(spinning, sizeof(spinning));
    for (unsigned i = 0; i < 50; i++) {
        uint32_t before;

        stasis_machine_pause(&guest.machine);
        before = counter();
        stasis_machine_pause(&guest.machine);
        stasis_machine_pause(&guest.machine);
        kvm_sleep_us(200); /* the kick arrives */
        assert_int_equal(counter(), before);
        stasis_machine_resume(&guest.machine);
        kvm_wait(counter() != before);
    }
    kvm_guest_fini(&guest);
}

/* A vCPU that is inside KVM_RUN, and may never leave it by itself. */
static void resuming_what_runs(void)
{
    uint32_t before;

    start(spinning, sizeof(spinning));
    kvm_wait(counter());
    stasis_machine_resume(&guest.machine);
    stasis_machine_pause(&guest.machine);
    before = counter();
    stasis_machine_resume(&guest.machine);
    stasis_machine_resume(&guest.machine);
    kvm_wait(counter() != before);
    kvm_guest_fini(&guest);
}

/* Resumed and paused again before its thread has woken up. */
static void resume_and_pause_at_once(void)
{
    start(spinning, sizeof(spinning));
    for (unsigned i = 0; i < 300; i++) {
        uint32_t before;

        stasis_machine_pause(&guest.machine);
        stasis_machine_resume(&guest.machine);
        stasis_machine_pause(&guest.machine);
        before = counter();
        assert_int_equal(counter(), before);
        stasis_machine_resume(&guest.machine);
    }
    for (uint32_t before = counter(); counter() == before;)
        kvm_sleep_us(1000);
    kvm_guest_fini(&guest);
}

/* Signals that a thread of ours does not take, from /proc. */
static uint64_t blocked_signals(long thread)
{
    char path[64], line[256];
    uint64_t mask = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%ld/status", thread);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (!strncmp(line, "SigBlk:", 7))
            mask = strtoull(line + 7, NULL, 16);
    }
    fclose(file);
    return mask;
}

#define THREADS_MAX 16

/* Since Linux 6.14 KVM may add a thread of its own to the process ("kvm-nx-lpage-recovery", where
 * huge pages must not be executable), which runs no code of ours. Nor does one that ends while we
 * look. */
static bool is_not_ours(const char *id)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", id);
    file = fopen(path, "re");
    if (!file)
        return true;
    if (!fgets(name, sizeof(name), file))
        name[0] = '\0';
    fclose(file);
    return !name[0] || !strncmp(name, "kvm-", 4);
}

/* Ids of this process's threads but KVM's; returns how many there are. */
static size_t list_threads(long ids[THREADS_MAX])
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || is_not_ours(entry->d_name))
            continue;
        assert_true(count < THREADS_MAX);
        ids[count++] = strtol(entry->d_name, NULL, 10);
    }
    closedir(dir);
    return count;
}

static bool has(const long *ids, size_t count, long id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* ThreadSanitizer starts a thread of its own, in which faults are blocked, with the first thread of
 * a process. */
static void start_a_sanitizers_threads(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, end_at_once, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Guest memory that is lost makes a SIGBUS. A fault kills where it is blocked, before the terminal
 * is restored; what users send is for the main thread. */
static void vcpu_thread_takes_faults_and_no_users_signals(void)
{
    long before[THREADS_MAX], after[THREADS_MAX];
    size_t count_before, count;
    unsigned threads = 0;

    start_a_sanitizers_threads();
    count_before = list_threads(before);
    start(spinning, sizeof(spinning));
    kvm_wait(counter());
    count = list_threads(after);
    for (size_t i = 0; i < count; i++) {
        uint64_t blocked;

        if (has(before, count_before, after[i]))
            continue;
        threads++;
        blocked = blocked_signals(after[i]);
        for (int number = 1; number < 32; number++)
            assert_false(stasis_signal_is_fault(number) && blocked & 1ull << (number - 1));
        assert_true(blocked & 1ull << (SIGTERM - 1));
        assert_true(blocked & 1ull << (SIGUSR1 - 1));
    }
    assert_int_equal(threads, 1);
    kvm_guest_fini(&guest);
}

static void never_started(void)
{
    kvm_guest_init(&guest, NULL);
    stasis_machine_pause(&guest.machine);
    stasis_machine_resume(&guest.machine);
    kvm_guest_fini(&guest);
}

static void paused_before_it_starts(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, spinning, sizeof(spinning));
    stasis_machine_request_pause(&guest.machine);
    kvm_guest_start(&guest);
    stasis_machine_pause(&guest.machine);
    assert_int_equal(counter(), 0);
    assert_int_equal(guest.machine.threads[0].first_run_us, 0);
    stasis_machine_resume(&guest.machine);
    kvm_wait(counter());
    stasis_machine_pause(&guest.machine);
    assert_int_not_equal(guest.machine.threads[0].first_run_us, 0);
    kvm_guest_fini(&guest);
}

static uint64_t no_read(void *ctx, uint64_t offset, unsigned len)
{
    (void)ctx, (void)offset, (void)len;
    return 0;
}

/* A device that asks for a pause when the guest writes to it. */
static void write_pauses(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    (void)ctx, (void)offset, (void)len, (void)value;
    stasis_machine_request_pause(&guest.machine);
}

/* 1: out 0x81, al; inc dword [0x2000]; jmp 1b */
static const uint8_t telling[] = {0xe6, 0x81, 0x66, 0xff, 0x06, 0x00, 0x20, 0xeb, 0xf7};

/* No kick and no other thread: the vCPU itself stops, each time at the same instruction. */
static void stops_itself_before_the_next_instruction(void)
{
    static const struct stasis_bus_ops ops = {no_read, write_pauses};
    struct stasis_error err;

    kvm_guest_init(&guest, NULL);
    kvm_ok(stasis_bus_add(&guest.machine.pio, 0x81, 1, &ops, NULL, "pauser", &err), &err);
    kvm_guest_real(&guest, telling, sizeof(telling));
    kvm_guest_start(&guest);
    for (uint32_t i = 0; i < 100; i++) {
        stasis_vcpu_thread_wait_paused(&guest.machine.threads[0]);
        assert_int_equal(counter(), i);
        stasis_machine_resume(&guest.machine);
        kvm_wait(counter() != i);
    }
    kvm_guest_fini(&guest);
}

static void ended_guest(void)
{
    start(kvm_resetting, sizeof(kvm_resetting));
    kvm_wait(atomic_load(&guest.machine.end) == STASIS_EXIT_RESET);
    for (unsigned i = 0; i < 3; i++) {
        stasis_machine_pause(&guest.machine);
        stasis_machine_resume(&guest.machine);
    }
    kvm_guest_fini(&guest);
}

/* Pauses that race with the guest's end. */
static void guest_ends_while_it_is_paused(void)
{
    for (unsigned i = 0; i < 40; i++) {
        start(kvm_resetting, sizeof(kvm_resetting));
        kvm_sleep_us(i * 10);
        stasis_machine_pause(&guest.machine);
        stasis_machine_resume(&guest.machine);
        kvm_wait(atomic_load(&guest.machine.end) == STASIS_EXIT_RESET);
        kvm_guest_fini(&guest);
    }
}

static void stopped_while_paused_running_or_halted(void)
{
    for (unsigned i = 0; i < 3; i++) {
        start(i == 2 ? halted : spinning, i == 2 ? sizeof(halted) : sizeof(spinning));
        kvm_sleep_us(2000);
        if (i == 0)
            stasis_machine_pause(&guest.machine);
        kvm_guest_fini(&guest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(spinning_vcpu),
        KVM_CASE(halted_vcpu),
        KVM_CASE(pauses_race_with_exits),
        KVM_CASE(pausing_twice),
        KVM_CASE(resuming_what_runs),
        KVM_CASE(resume_and_pause_at_once),
        KVM_CASE(vcpu_thread_takes_faults_and_no_users_signals),
        KVM_CASE(never_started),
        KVM_CASE(paused_before_it_starts),
        KVM_CASE(stops_itself_before_the_next_instruction),
        KVM_CASE(ended_guest),
        KVM_CASE(guest_ends_while_it_is_paused),
        KVM_CASE(stopped_while_paused_running_or_halted),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
