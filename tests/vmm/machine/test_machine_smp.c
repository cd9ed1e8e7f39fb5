/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Machines of several vCPUs: they start together, all stop or the pause fails in time, and each
 * one's own thread does what is asked of it.
 */
#include "vmm/kvm_guest.h"

#include <errno.h>
#include <string.h>

static struct kvm_guest guest;
static _Atomic unsigned works; /* of a device */

/* ---- threads that cannot be made ---- */

static unsigned threads_left =
    UINT32_MAX; /* until one fails, and the others had time to go wrong */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    if (threads_left--)
        return __real_pthread_create(thread, attr, start, arg);
    kvm_sleep_us(20000);
    return EAGAIN;
}

/* ---- guests ---- */

/* 1: out KVM_PORT, al; inc dword [bx]; jmp 1b */
static const uint8_t telling[] = {0xe6, KVM_PORT, 0x66, 0xff, 0x07, 0xeb, 0xf9};

static uint32_t cell(uint32_t id)
{
    return kvm_guest_smp_cell(&guest, id);
}

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

static bool no(void *ctx)
{
    (void)ctx;
    return false;
}

static void pause_all(void)
{
    struct stasis_error err;

    guest.machine.pause_limit_ms = 600000; /* a hang, however busy the host is */
    kvm_ok(stasis_machine_pause_while(&guest.machine, yes, NULL, &err), &err);
    for (uint32_t i = 0; i < guest.machine.vcpu_count; i++)
        assert_true(guest.machine.threads[i].paused);
}

/* ---- pauses ---- */

/* What a vCPU can be at: it counts, with interrupts off, sleeps, or was never started. */
static void vcpus_stop_whatever_they_do(void)
{
    kvm_guest_smp_init(&guest, 5);
    kvm_guest_smp_real(&guest, 0, kvm_counting, sizeof(kvm_counting));
    kvm_guest_smp_real(&guest, 1, kvm_counting, sizeof(kvm_counting));
    kvm_guest_smp_real(&guest, 2, kvm_halted, sizeof(kvm_halted));
    kvm_guest_smp_real(&guest, 4, kvm_counting, sizeof(kvm_counting));
    kvm_guest_mp_state(&guest, 4, KVM_MP_STATE_INIT_RECEIVED);
    kvm_guest_start(&guest);
    for (unsigned i = 0; i < 50; i++) {
        uint32_t first = cell(0), second = cell(1);

        kvm_wait(cell(0) != first && cell(1) != second);
        pause_all();
        first = cell(0);
        second = cell(1);
        if (i % 10 == 0)
            kvm_sleep_us(2000);
        assert_true(cell(0) == first && cell(1) == second);
        stasis_machine_resume(&guest.machine);
    }
    assert_int_equal(cell(3), 0);
    assert_int_equal(cell(4), 0);
    kvm_guest_fini(&guest);
}

/* A device that does not answer its vCPU until it may, as a disk that hangs below a page fault. */
static struct {
    _Atomic bool may_answer;
    _Atomic unsigned waiting, accesses;
} hanging;

static void hang(void)
{
    hanging.waiting++;
    kvm_wait(atomic_load(&hanging.may_answer));
    hanging.waiting--;
    hanging.accesses++;
}

/* Not a device of the bus: those hold the machine's lock. */
static const struct stasis_exit_ops *machine_ops;
static struct stasis_exit_ops hanging_ops;

static void hanging_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    if (port == KVM_PORT)
        hang();
    else
        machine_ops->pio_write(ctx, port, len, value);
}

static void start_hanging(uint32_t vcpus)
{
    memset(&hanging, 0, sizeof(hanging));
    kvm_guest_smp_init(&guest, vcpus);
    for (uint32_t i = 0; i < vcpus; i++) {
        bool hangs = i && i + 1 < vcpus; /* all but the first and the last */
        struct stasis_vcpu *vcpu = &guest.machine.vcpus[i];

        kvm_guest_smp_real(&guest, i, hangs ? telling : kvm_counting,
                           hangs ? sizeof(telling) : sizeof(kvm_counting));
        machine_ops = vcpu->ops;
        hanging_ops = *machine_ops;
        hanging_ops.pio_write = hanging_pio_write;
        vcpu->ops = &hanging_ops;
    }
    kvm_guest_start(&guest);
    kvm_wait(hanging.waiting == vcpus - 2);
}

/* The others are stopped before the time counts, so that a busy host changes nothing. */
static void fail_to_pause(const char *words)
{
    struct stasis_error err;

    stasis_machine_request_pause(&guest.machine);
    stasis_vcpu_thread_wait_paused(&guest.machine.threads[0]);
    stasis_vcpu_thread_wait_paused(&guest.machine.threads[guest.machine.vcpu_count - 1]);
    guest.machine.pause_limit_ms = 100;
    assert_int_equal(stasis_machine_pause_while(&guest.machine, yes, NULL, &err),
                     STASIS_ERR_TIMEOUT);
    if (!strstr(err.msg, words) || !strstr(err.msg, "within 0.1 s"))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
}

/* The pause stands though it has failed, for who else may have asked for it. */
static void goes_on(void)
{
    uint32_t first = cell(0), last = cell(guest.machine.vcpu_count - 1);

    for (uint32_t i = 0; i < guest.machine.vcpu_count; i++)
        assert_true(atomic_load(&guest.machine.threads[i].pause_wanted));
    stasis_machine_resume(&guest.machine);
    kvm_wait(cell(0) != first && cell(guest.machine.vcpu_count - 1) != last);
}

/* Each access is done once, whatever was asked for meanwhile; the vCPU counts it then, or stops
 * before it does. */
static void assert_none_is_lost(uint32_t id)
{
    hanging.may_answer = true;
    kvm_wait(cell(id) > 10);
    pause_all();
    assert_in_range(hanging.accesses - cell(id), 0, 1);
    goes_on();
}

static void a_vcpu_that_does_not_stop_is_named(void)
{
    start_hanging(3);
    fail_to_pause("vCPU 1 did not stop");
    goes_on();
    fail_to_pause("vCPU 1 did not stop");
    goes_on();
    assert_none_is_lost(1);
    kvm_guest_fini(&guest);
}

static void many_vcpus_that_do_not_stop_are_counted(void)
{
    start_hanging(12);
    fail_to_pause("vCPU 1, vCPU 2, vCPU 3, vCPU 4, vCPU 5, vCPU 6, vCPU 7, vCPU 8 and others did");
    goes_on();
    hanging.may_answer = true;
    pause_all();
    kvm_guest_fini(&guest);
}

static void a_pause_can_be_called_off(void)
{
    struct stasis_error err;

    start_hanging(3);
    guest.machine.pause_limit_ms = 600000;
    assert_int_equal(stasis_machine_pause_while(&guest.machine, no, NULL, &err),
                     STASIS_ERR_CANCELLED);
    goes_on();
    assert_none_is_lost(1);
    kvm_guest_fini(&guest);
}

static uint64_t no_read(void *ctx, uint64_t offset, unsigned len)
{
    (void)ctx, (void)offset, (void)len;
    return 0;
}

static void write_pauses(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    (void)ctx, (void)offset, (void)len, (void)value;
    stasis_machine_request_pause(&guest.machine);
}

/* Both ask for it at the same time, again and again. One that was stopped by the other before it
 * could ask does so first when it goes on, and may count nothing then. */
static void two_vcpus_pause_each_other(void)
{
    static const struct stasis_bus_ops ops = {no_read, write_pauses};
    struct stasis_error err;

    kvm_guest_smp_init(&guest, 2);
    kvm_ok(stasis_bus_add(&guest.machine.pio, KVM_PORT, 1, &ops, NULL, "pauser", &err), &err);
    for (uint32_t i = 0; i < 2; i++)
        kvm_guest_smp_real(&guest, i, telling, sizeof(telling));
    kvm_guest_start(&guest);
    while (cell(0) + cell(1) < 400) {
        for (uint32_t id = 0; id < 2; id++)
            stasis_vcpu_thread_wait_paused(&guest.machine.threads[id]);
        stasis_machine_resume(&guest.machine);
    }
    kvm_guest_fini(&guest);
}

/* ---- starting ---- */

static void none_runs_unless_all_can(void)
{
    struct stasis_error err;

    kvm_guest_smp_init(&guest, 3);
    for (uint32_t i = 0; i < 3; i++)
        kvm_guest_smp_real(&guest, i, kvm_counting, sizeof(kvm_counting));
    threads_left = 2;
    assert_int_equal(stasis_machine_start(&guest.machine, &err), STASIS_ERR_UNAVAILABLE);
    threads_left = UINT32_MAX;
    assert_non_null(strstr(err.msg, "a thread for vCPU 2"));
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cell(i), 0);
        assert_int_equal(guest.machine.threads[i].first_run_us, 0);
        assert_false(guest.machine.threads[i].started);
    }
    stasis_machine_pause(&guest.machine); /* as the end does: it has no one to wait for */
    stasis_machine_resume(&guest.machine);
    kvm_guest_start(&guest);
    kvm_wait(cell(0) && cell(1) && cell(2));
    kvm_guest_fini(&guest);
}

static void count_work(void *instance)
{
    (void)instance;
    atomic_fetch_add(&works, 1);
}

/* What a thawed guest was waiting for is not begun for one that does not run. */
static void no_device_works_unless_all_can(void)
{
    struct stasis_devices *devices = &guest.machine.devices;
    struct stasis_io_thread *io;
    struct stasis_error err;

    kvm_guest_smp_init(&guest, 1);
    kvm_guest_smp_real(&guest, 0, kvm_counting, sizeof(kvm_counting));
    io = &devices->io[devices->count];
    kvm_ok(stasis_io_thread_init(io, &guest.machine.lock, count_work, NULL, "disk0", &err), &err);
    devices->list[devices->count++] = (struct stasis_device){.io = io};
    stasis_io_thread_ring(io);
    threads_left = 1;
    assert_int_equal(stasis_machine_start(&guest.machine, &err), STASIS_ERR_UNAVAILABLE);
    threads_left = UINT32_MAX;
    assert_int_equal(works, 0);
    kvm_guest_start(&guest);
    kvm_wait(works);
    kvm_guest_fini(&guest);
}

/* ---- jobs ---- */

#define JOBS 8

struct jobs {
    pthread_t thread[JOBS];
    uint32_t done[JOBS];
};

static void note_thread(void *ctx, struct stasis_vcpu *vcpu)
{
    struct jobs *jobs = ctx;

    jobs->thread[vcpu->id] = pthread_self();
    jobs->done[vcpu->id]++;
}

/* Whether the jobs of the machine were each done by the vCPU's own thread. */
static void assert_done(const struct jobs *jobs, uint32_t times, bool own)
{
    for (uint32_t i = 0; i < guest.machine.vcpu_count; i++) {
        assert_int_equal(jobs->done[i], times);
        assert_true(
            pthread_equal(jobs->thread[i], own ? guest.machine.threads[i].id : pthread_self()));
    }
}

static void jobs_are_done_by_each_vcpus_own_thread(void)
{
    struct jobs jobs = {.done = {0}};

    kvm_guest_smp_init(&guest, JOBS);
    for (uint32_t i = 0; i < JOBS; i++)
        kvm_guest_smp_real(&guest, i, kvm_counting, sizeof(kvm_counting));
    stasis_machine_on_vcpus(&guest.machine, note_thread, &jobs);
    assert_done(&jobs, 1, false); /* there are none yet */
    kvm_guest_start(&guest);
    for (uint32_t times = 2; times < 50; times++) {
        pause_all();
        stasis_machine_on_vcpus(&guest.machine, note_thread, &jobs);
        assert_done(&jobs, times, true);
        stasis_machine_resume(&guest.machine);
    }
    kvm_guest_fini(&guest);
}

static void one_vcpus_job_wakes_nobody(void)
{
    struct jobs jobs = {.done = {0}};

    kvm_guest_smp_init(&guest, 1);
    kvm_guest_smp_real(&guest, 0, kvm_counting, sizeof(kvm_counting));
    kvm_guest_start(&guest);
    pause_all();
    stasis_machine_on_vcpus(&guest.machine, note_thread, &jobs);
    assert_done(&jobs, 1, false);
    kvm_guest_fini(&guest);
}

/* Threads that have ended do no jobs; nor are they forgotten. */
static void jobs_of_an_ended_guest_are_done(void)
{
    struct jobs jobs = {.done = {0}};

    kvm_guest_smp_init(&guest, 3);
    for (uint32_t i = 0; i < 3; i++)
        kvm_guest_smp_real(&guest, i, i ? telling : kvm_resetting,
                           i ? sizeof(telling) : sizeof(kvm_resetting));
    kvm_guest_start(&guest);
    kvm_wait(atomic_load(&guest.machine.end) == STASIS_EXIT_RESET);
    pause_all();
    stasis_machine_on_vcpus(&guest.machine, note_thread, &jobs);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(jobs.done[i], 1);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(vcpus_stop_whatever_they_do),
        KVM_CASE(a_vcpu_that_does_not_stop_is_named),
        KVM_CASE(many_vcpus_that_do_not_stop_are_counted),
        KVM_CASE(a_pause_can_be_called_off),
        KVM_CASE(two_vcpus_pause_each_other),
        KVM_CASE(none_runs_unless_all_can),
        KVM_CASE(no_device_works_unless_all_can),
        KVM_CASE(jobs_are_done_by_each_vcpus_own_thread),
        KVM_CASE(one_vcpus_job_wakes_nobody),
        KVM_CASE(jobs_of_an_ended_guest_are_done),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
