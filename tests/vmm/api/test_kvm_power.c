/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The power button and the reset, by the calls of stasis/vmm.h. That a guest hears the button is in
 * test_kvm_events.c.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

static struct vmm_rig rig;
static struct stasis_error err;

static void assert_refused(int rc, const char *words)
{
    assert_int_equal(rc, STASIS_ERR_STATE);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
}

static void button_needs_a_started_guest(void)
{
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    assert_refused(stasis_vmm_power_button(rig.vmm, &err),
                   "cannot press the power button of the guest: the guest has not been started");
    assert_refused(stasis_vmm_reset(rig.vmm, &err), "cannot reset the guest: the guest has not");
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "tick 1 ");
    kvm_ok(stasis_vmm_power_button(rig.vmm, &err), &err);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_POWER_BUTTON), 1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING); /* this guest does not listen */
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    assert_refused(stasis_vmm_power_button(rig.vmm, &err), "the VM has ended");
    assert_refused(stasis_vmm_reset(rig.vmm, &err), "the VM has ended");
    vmm_rig_fini(&rig);
}

static void board_without_a_button(void)
{
    vmm_rig_init(&rig);
    rig.config.board_release = "0.1.0";
    vmm_rig_open(&rig);
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "tick 1 ");
    assert_refused(stasis_vmm_power_button(rig.vmm, &err), "its board has none; end it by");
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_POWER_BUTTON), 0);
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    vmm_rig_fini(&rig);
}

/* Also of a guest that stands still. */
static void reset_ends_the_vm(void)
{
    for (unsigned paused = 0; paused < 2; paused++) {
        vmm_rig_init(&rig);
        vmm_rig_open(&rig);
        vmm_rig_run(&rig);
        vmm_rig_wait_text(&rig, "tick 1 ");
        if (paused)
            kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
        kvm_ok(stasis_vmm_reset(rig.vmm, &err), &err);
        vmm_rig_join(&rig);
        assert_int_equal(rig.end.reason, STASIS_VMM_RESET);
        assert_int_equal(rig.end.crash.code, 0);
        vmm_rig_fini(&rig);
    }
}

/* ---- a reset that the VM outlives ---- */

/* The guest draws a nonce each time that it is loaded. */
static void wait_for_another_nonce(void)
{
    static char text[65536];
    bool found = false;

    for (unsigned waited = 0; !found; waited++) {
        size_t len = session_read_file(rig.serial, text, sizeof(text) - 1);
        const char *first, *last;

        text[len] = '\0';
        first = strstr(text, "nonce=");
        last = first;
        for (const char *at = first; at; at = strstr(at + 1, "nonce="))
            last = strstr(at, " rtc=") ? at : last; /* it is whole */
        found = first && strncmp(first, last, strlen("nonce=") + 32) != 0;
        assert_in_range(waited, 0, 300000);
        kvm_sleep_us(1000);
    }
}

static void open_reboots(unsigned vcpus)
{
    vmm_rig_init(&rig);
    rig.config.on_reset = STASIS_VMM_ON_RESET_REBOOT;
    rig.config.vcpus = vcpus;
    vmm_rig_open(&rig);
    vmm_rig_run(&rig);
}

static void reset_boots_the_guest_again(void)
{
    struct stasis_snapshot_request request = {.exit = true};

    open_reboots(2);
    vmm_rig_wait_text(&rig, "tick 2 ");
    kvm_ok(stasis_vmm_reset(rig.vmm, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_RESET, 1);
    wait_for_another_nonce();
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    kvm_ok(stasis_vmm_power_button(rig.vmm, &err), &err);
    request.path = vmm_rig_path(&rig, "snap");
    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_join(&rig);
    assert_int_equal(rig.end.reason, STASIS_VMM_FROZEN);
    vmm_rig_fini(&rig);
}

static void guest_that_is_paused_stays_paused_over_a_reset(void)
{
    open_reboots(1);
    vmm_rig_wait_text(&rig, "tick 2 "); /* one line is whole */
    kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
    kvm_ok(stasis_vmm_reset(rig.vmm, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_RESET, 1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    wait_for_another_nonce();
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    assert_int_equal(rig.end.reason, STASIS_VMM_STOPPED);
    vmm_rig_fini(&rig);
}

static char kernel[128];

static void init_kernel_that_reboots(const void *tail, size_t len)
{
    vmm_rig_init(&rig);
    snprintf(kernel, sizeof(kernel), "%s", vmm_rig_path(&rig, "kernel"));
    session_write_kernel(kernel, "up ", tail, len);
    rig.config.on_reset = STASIS_VMM_ON_RESET_REBOOT;
    rig.config.demo = false;
    rig.config.memory_mib = 32;
    rig.config.kernel.path = kernel;
}

static void files_are_kept_open_and_may_be_cut(void)
{
    init_kernel_that_reboots("\xfa\xeb\xfd", 3); /* 1: cli; jmp 1b */
    rig.config.initrd_path = kernel;
    vmm_rig_open(&rig);
    assert_int_equal(rename(kernel, vmm_rig_path(&rig, "other")), 0);
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "up ");
    kvm_ok(stasis_vmm_reset(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "up up ");
    assert_int_equal(truncate(vmm_rig_path(&rig, "other"), 100), 0);
    kvm_ok(stasis_vmm_reset(rig.vmm, &err), &err);
    vmm_rig_join(&rig);
    assert_int_equal(rig.end.reason, STASIS_VMM_CRASHED);
    assert_int_equal(rig.end.crash.code, STASIS_ERR_ARG);
    assert_non_null(strstr(rig.end.crash.msg, "cannot reset the machine: kernel "));
    vmm_rig_fini(&rig);
}

static void start_and_wait_for_the_reset(void)
{
    struct pollfd end = {.events = POLLIN};

    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    end.fd = rig.vmm->machine.end_fd;
    assert_int_equal(poll(&end, 1, -1), 1); /* the case has an alarm */
}

/* The pause is that of the guest which boots again. */
static void guest_that_is_reset_before_its_pause_is_paused(void)
{
    init_kernel_that_reboots(kvm_resetting, sizeof(kvm_resetting));
    vmm_rig_open(&rig);
    start_and_wait_for_the_reset();
    kvm_ok(stasis_vmm_begin_pause(rig.vmm, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_RESET, 1);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_PAUSED), 1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_RESET, 2);
    stasis_vmm_stop(rig.vmm);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    vmm_rig_fini(&rig);
}

static struct stasis_device_output output;
static _Atomic bool takes;

static size_t take_late(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    return atomic_load(&takes) ? output.write(output.ctx, bytes, len) : 0;
}

/* The reader of the serial output has room again when the guest has been reset already. */
static void text_that_comes_out_by_the_reset_freezes_nobody(void)
{
    init_kernel_that_reboots(kvm_resetting, sizeof(kvm_resetting));
    rig.config.snapshot.path = vmm_rig_path(&rig, "snap");
    rig.config.snapshot.on_output = "u"; /* all that a port without FIFO holds */
    vmm_rig_open(&rig);
    output = rig.vmm->host.serial_out;
    rig.vmm->host.serial_out.write = take_late;
    start_and_wait_for_the_reset();
    atomic_store(&takes, true);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_RESET, 1);
    assert_non_null(strstr(rig.message, "the guest was reset before it could be frozen"));
    stasis_vmm_stop(rig.vmm);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    assert_int_equal(rig.end.save_code, STASIS_ERR_NO_SNAPSHOT);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_SAVING), 0);
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(button_needs_a_started_guest),
        KVM_CASE(board_without_a_button),
        KVM_CASE(reset_ends_the_vm),
        KVM_CASE(reset_boots_the_guest_again),
        KVM_CASE(guest_that_is_paused_stays_paused_over_a_reset),
        KVM_CASE(files_are_kept_open_and_may_be_cut),
        KVM_CASE(guest_that_is_reset_before_its_pause_is_paused),
        KVM_CASE(text_that_comes_out_by_the_reset_freezes_nobody),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
