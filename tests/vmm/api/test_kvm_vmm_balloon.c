/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The balloon, by the calls of stasis/vmm.h. What it does to a guest that has a driver for it is in
 * test_kvm_virtio_balloon.c.
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

/* The guest does not give any: it has no driver for it. */
static void balloon_is_asked_for(void)
{
    struct stasis_vmm_status status;

    vmm_rig_init(&rig);
    rig.config.balloon.id = "b";
    rig.config.memory_mib = 64;
    vmm_rig_open(&rig);
    assert_refused(stasis_vmm_ask_balloon(rig.vmm, 1, &err),
                   "cannot take memory from the guest: the guest has not been started");
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "tick 1 ");
    kvm_ok(stasis_vmm_ask_balloon(rig.vmm, 64, &err), &err);
    assert_int_equal(stasis_vmm_ask_balloon(rig.vmm, 65, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "a balloon of 65 MiB is larger than the guest's memory; give "
                                    "64 MiB at most"));
    stasis_vmm_status(rig.vmm, &status);
    assert_true(status.has_balloon);
    assert_int_equal(status.balloon_bytes, 0);
    assert_int_equal(status.balloon_target_bytes, 64 << 20);
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    assert_refused(stasis_vmm_ask_balloon(rig.vmm, 1, &err), "the VM has ended");
    vmm_rig_fini(&rig);
}

static void guest_without_a_balloon(void)
{
    struct stasis_vmm_status status;

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "tick 1 ");
    assert_refused(stasis_vmm_ask_balloon(rig.vmm, 1, &err),
                   "it has no balloon; start the VM with one, see vmm(1)");
    stasis_vmm_status(rig.vmm, &status);
    assert_false(status.has_balloon);
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(balloon_is_asked_for),
        KVM_CASE(guest_without_a_balloon),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
