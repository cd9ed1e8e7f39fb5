/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The power button and the reset, by the calls of stasis/vmm.h. That a guest hears the button is in
 * test_kvm_events.c.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(button_needs_a_started_guest),
        KVM_CASE(board_without_a_button),
        KVM_CASE(reset_ends_the_vm),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
