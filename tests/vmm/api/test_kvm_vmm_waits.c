/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a request may have to wait for keeps nobody else waiting: neither the loop nor other
 * requests. The pause is ours (--wrap): it takes as long as the test wants.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <stdio.h>
#include <string.h>

#include "vmm/api/vmm_internal.h"

static _Atomic bool held; /* a pause goes on while it is set */
static _Atomic unsigned pauses;

int __real_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err);
int __wrap_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err);

/* As if a vCPU did not stop. */
int __wrap_stasis_machine_pause_while(struct stasis_machine *machine, bool (*go_on)(void *ctx),
                                      void *ctx, struct stasis_error *err)
{
    atomic_fetch_add(&pauses, 1);
    while (atomic_load(&held)) {
        if (!go_on(ctx))
            return stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
        kvm_sleep_us(1000);
    }
    return __real_stasis_machine_pause_while(machine, go_on, ctx, err);
}

static struct vmm_rig rig;
static struct stasis_error err;

static void begin(void)
{
    atomic_store(&held, false);
    atomic_store(&pauses, 0);
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "tick 1 ");
}

static void begin_pause(void)
{
    unsigned before = atomic_load(&pauses);

    atomic_store(&held, true);
    kvm_ok(stasis_vmm_begin_pause(rig.vmm, &err), &err);
    kvm_wait(atomic_load(&pauses) > before);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_IS_PAUSING);
}

/* The guest runs on meanwhile: nothing has stopped it yet. */
static void the_loop_turns_while_the_guest_is_being_paused(void)
{
    begin();
    begin_pause();
    vmm_rig_wait_text(&rig, "tick 5 ");
    assert_string_equal(stasis_vmm_state_name(vmm_rig_state(&rig)), "pausing");
    atomic_store(&held, false);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_PAUSED, 1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    vmm_rig_fini(&rig);
}

static void refused(int rc, const char *words)
{
    assert_int_equal(rc, STASIS_ERR_STATE);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, words);
}

static void other_requests_are_refused_at_once(void)
{
    const struct stasis_snapshot_request request = {.path = vmm_rig_path(&rig, "x")};
    const char *words = "the guest: it is being paused; wait for the end of that";

    begin();
    begin_pause();
    refused(stasis_vmm_pause(rig.vmm, &err), words);
    refused(stasis_vmm_begin_pause(rig.vmm, &err), words);
    refused(stasis_vmm_resume(rig.vmm, &err), words);
    refused(stasis_vmm_snapshot(rig.vmm, &request, &err), words);
    refused(stasis_vmm_cancel(rig.vmm, &err), "nothing to cancel");
    atomic_store(&held, false);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_PAUSED, 1);
    refused(stasis_vmm_begin_pause(rig.vmm, &err), "it is paused");
    vmm_rig_fini(&rig);
}

/* A freeze by key or signal that comes meanwhile is taken afterwards. */
static void a_freeze_waits_for_the_pause(void)
{
    char path[160];

    atomic_store(&held, false);
    vmm_rig_init(&rig);
    snprintf(path, sizeof(path), "%s", vmm_rig_path(&rig, "snap"));
    rig.config.snapshot.path = path;
    rig.config.snapshot.then = STASIS_VMM_THEN_RESUME;
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "tick 1 ");
    begin_pause();
    stasis_vmm_freeze(rig.vmm);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_SAVING), 0);
    atomic_store(&held, false);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_PAUSED), 1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    vmm_rig_fini(&rig);
}

static void the_end_gives_a_pause_up(void)
{
    begin();
    begin_pause();
    stasis_vmm_stop(rig.vmm);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_PAUSE_FAILED), 1);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_PAUSED), 0);
    vmm_rig_fini(&rig);
    begin();
    begin_pause();
    vmm_rig_fini(&rig); /* without its loop */
}

/* As by a triple fault. */
static void a_guest_that_ends_is_not_paused(void)
{
    begin();
    begin_pause();
    stasis_machine_shutdown(&rig.vmm->machine, STASIS_EXIT_RESET, NULL);
    atomic_store(&held, false);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_PAUSED), 0);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_PAUSE_FAILED), 1);
    assert_int_equal(rig.end.reason, STASIS_VMM_RESET);
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(the_loop_turns_while_the_guest_is_being_paused),
        KVM_CASE(other_requests_are_refused_at_once),
        KVM_CASE(a_freeze_waits_for_the_pause),
        KVM_CASE(the_end_gives_a_pause_up),
        KVM_CASE(a_guest_that_ends_is_not_paused),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
