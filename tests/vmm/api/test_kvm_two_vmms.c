/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Two VMs in one process, which has handlers of its own for the signals that they take.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vmm_rig one, two;
static struct stasis_error err;

static void open_and_start(struct vmm_rig *rig, int kick_signal)
{
    vmm_rig_init(rig);
    rig->config.kick_signal = kick_signal;
    vmm_rig_open(rig);
    vmm_rig_run(rig);
    vmm_rig_wait_text(rig, "tick 1 ");
}

static void stop(struct vmm_rig *rig)
{
    stasis_vmm_stop(rig->vmm);
    vmm_rig_join(rig);
    assert_int_equal(rig->end.reason, STASIS_VMM_STOPPED);
    vmm_rig_fini(rig);
}

static void save(struct vmm_rig *rig, const char *name)
{
    const struct stasis_snapshot_request request = {.path = vmm_rig_path(rig, name)};
    unsigned before = vmm_rig_events(rig, STASIS_VMM_EVENT_SAVED);

    kvm_ok(stasis_vmm_snapshot(rig->vmm, &request, &err), &err);
    vmm_rig_wait_event(rig, STASIS_VMM_EVENT_SAVED, before + 1);
}

/* Each is paused, saved and ended while the other runs on. */
static void both_live_their_lives(int first, int second)
{
    open_and_start(&one, first);
    open_and_start(&two, second);
    kvm_ok(stasis_vmm_pause(one.vmm, &err), &err);
    save(&two, "file");
    kvm_ok(stasis_vmm_resume(one.vmm, &err), &err);
    save(&one, "file");
    stop(&one);
    vmm_rig_wait_text(&two, "tick 4 ");
    kvm_ok(stasis_vmm_pause(two.vmm, &err), &err);
    stop(&two);
}

static void same_kick_signal(void)
{
    both_live_their_lives(0, 0);
}

static void kick_signals_of_their_own(void)
{
    both_live_their_lives(SIGRTMIN + 3, SIGRTMIN + 4);
}

static void standard_output_is_one_vms(void)
{
    struct stasis_vmm *other = NULL;
    int standard = dup(STDOUT_FILENO);

    (void)!freopen("/dev/null", "w", stdout);
    vmm_rig_init(&one);
    one.config.serial = (struct stasis_vmm_serial){.kind = STASIS_VMM_SERIAL_STDIO};
    vmm_rig_open(&one);
    assert_int_equal(stasis_vmm_new(&one.config, NULL, &other, &err), STASIS_ERR_STATE);
    assert_non_null(strstr(err.msg, "standard input and output serve another VM"));
    stasis_vmm_free(one.vmm);
    vmm_rig_open(&one); /* and is free again */
    (void)dup2(standard, STDOUT_FILENO);
    close(standard);
    vmm_rig_fini(&one);
}

/* ---- an embedder with handlers of its own ---- */

static volatile sig_atomic_t own_kicks, own_faults;
static sigjmp_buf after_fault;

static void on_own_kick(int number)
{
    (void)number;
    own_kicks++;
}

static void on_own_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    own_faults++;
    siglongjmp(after_fault, 1);
}

/* Reads behind the end of a file of ours. */
static void fault(void)
{
    int fd = memfd_create("empty", MFD_CLOEXEC);
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    assert_ptr_not_equal(page, MAP_FAILED);
    if (!sigsetjmp(after_fault, 1))
        (void)page[0];
    munmap((void *)(uintptr_t)page, 4096);
    close(fd);
}

static void assert_ours(int number)
{
    struct sigaction now;

    assert_int_equal(sigaction(number, NULL, &now), 0);
    if (number == SIGBUS)
        assert_true(now.sa_sigaction == on_own_fault);
    else
        assert_true(now.sa_handler == on_own_kick);
}

/* Signals of the embedder's reach its handlers, every time, and the VMs theirs. A guest that loses
 * its memory ends; the other one does not notice. */
static void embedder_with_handlers(void)
{
    const struct sigaction kick = {.sa_handler = on_own_kick};
    const struct sigaction bus = {.sa_sigaction = on_own_fault, .sa_flags = SA_SIGINFO};
    const int number = SIGRTMIN + 2;
    char from[160];

    assert_int_equal(sigaction(number, &kick, NULL), 0);
    assert_int_equal(sigaction(SIGBUS, &bus, NULL), 0);
    open_and_start(&one, number);
    save(&one, "file");
    (void)snprintf(from, sizeof(from), "%s", vmm_rig_path(&one, "file"));

    vmm_rig_init(&two);
    two.config = (struct stasis_vmm_config){.restore = {.path = from,
                                                        .memory = STASIS_RAM_MAP,
                                                        .prefetch = STASIS_VMM_PREFETCH_OFF,
                                                        .ignore_tsc_rate = true},
                                            .paused = true,
                                            .kick_signal = number,
                                            .serial = two.config.serial};
    vmm_rig_open(&two);
    vmm_rig_run(&two);
    vmm_rig_wait_event(&two, STASIS_VMM_EVENT_PAUSED, 1);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(raise(number), 0);
        assert_int_equal(own_kicks, i);
        fault();
        assert_int_equal(own_faults, i);
        kvm_ok(stasis_vmm_pause(one.vmm, &err), &err);
        kvm_ok(stasis_vmm_resume(one.vmm, &err), &err);
    }
    assert_int_equal(own_kicks, 3);

    assert_int_equal(truncate(from, 4096), 0);
    kvm_ok(stasis_vmm_resume(two.vmm, &err), &err);
    vmm_rig_wait_event(&two, STASIS_VMM_EVENT_ENDED, 1);
    vmm_rig_join(&two);
    assert_int_equal(two.end.reason, STASIS_VMM_CRASHED);
    assert_int_equal(two.end.crash.code, STASIS_ERR_CORRUPT);
    vmm_rig_fini(&two);
    save(&one, "again");
    stop(&one);
    assert_int_equal(own_faults, 3);
    assert_ours(number);
    assert_ours(SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(same_kick_signal),
        KVM_CASE(kick_signals_of_their_own),
        KVM_CASE(standard_output_is_one_vms),
        KVM_CASE(embedder_with_handlers),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
