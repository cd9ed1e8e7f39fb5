/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a request may have to wait for keeps nobody else waiting: neither the loop nor other
 * requests. Pauses, and opens in a folder "dead", are ours (--wrap): they take as long
 * as the test wants.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

static _Atomic bool dead;        /* the file system does not answer while it is set */
static _Atomic unsigned hanging; /* opens on it */
static _Atomic bool dead_later;  /* the next new file hangs, in a folder that is open by now */

static void hang_while_dead(void)
{
    atomic_fetch_add(&hanging, 1);
    while (atomic_load(&dead))
        kvm_sleep_us(1000);
    atomic_fetch_sub(&hanging, 1);
}

int __real_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode);

int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode)
{
    if (strstr(path, "/dead/") ||
        ((flags & O_TMPFILE) == O_TMPFILE && atomic_exchange(&dead_later, false)))
        hang_while_dead();
    return __real_stasis_io_open(dir, path, flags, mode);
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

/* ---- a file system that does not answer ---- */

static int tags[20];

static unsigned fds; /* open before */

static void begin_dead(void)
{
    fds = kvm_open_fds();
    begin();
    assert_int_equal(mkdir(vmm_rig_path(&rig, "dead"), 0700), 0);
    atomic_store(&dead, true);
}

/* What was given up ends when it is answered, and closes its files. */
static void end_dead(void)
{
    atomic_store(&dead, false);
    kvm_wait(!atomic_load(&hanging));
    vmm_rig_fini(&rig);
    kvm_wait(kvm_open_fds() == fds);
}

static int request(const char *name, unsigned tag)
{
    const struct stasis_snapshot_request request = {.path = vmm_rig_path(&rig, name),
                                                    .ctx = &tags[tag]};

    return stasis_vmm_begin_snapshot(rig.vmm, &request, &err);
}

static void hang(unsigned tag)
{
    unsigned before = atomic_load(&hanging);

    kvm_ok(request("dead/x", tag), &err);
    kvm_wait(atomic_load(&hanging) > before);
}

static void failed(unsigned count, unsigned tag, int code)
{
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, count);
    assert_ptr_equal(rig.save_ctx, &tags[tag]);
    assert_int_equal(rig.save_code, code);
}

static void the_vm_is_used_while_a_folder_does_not_answer(void)
{
    struct stasis_vmm_status status;

    begin_dead();
    hang(1);
    vmm_rig_wait_text(&rig, "tick 3 ");
    stasis_vmm_status(rig.vmm, &status);
    assert_int_equal(status.state, STASIS_VMM_RUNNING);
    assert_true(status.opening);
    kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
    kvm_ok(request("other", 2), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    assert_ptr_equal(rig.save_ctx, &tags[2]);
    atomic_store(&dead, false);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 2);
    assert_ptr_equal(rig.save_ctx, &tags[1]);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    stasis_vmm_status(rig.vmm, &status);
    assert_false(status.opening);
    end_dead();
}

static void what_hangs_is_cancelled(void)
{
    begin_dead();
    hang(1);
    hang(2);
    assert_int_equal(stasis_vmm_cancel_request(rig.vmm, &tags[3], &err), STASIS_ERR_STATE);
    kvm_ok(stasis_vmm_cancel_request(rig.vmm, &tags[1], &err), &err);
    failed(1, 1, STASIS_ERR_CANCELLED);
    kvm_ok(stasis_vmm_cancel(rig.vmm, &err), &err);
    failed(2, 2, STASIS_ERR_CANCELLED);
    refused(stasis_vmm_cancel(rig.vmm, &err), "nothing to cancel");
    end_dead();
}

/* Though its thread has not closed it yet. */
static void the_name_of_what_was_cancelled_is_free(void)
{
    begin_dead();
    atomic_store(&dead_later, true);
    kvm_ok(request("x", 1), &err);
    kvm_wait(atomic_load(&hanging));
    kvm_ok(stasis_vmm_cancel_request(rig.vmm, &tags[1], &err), &err);
    failed(1, 1, STASIS_ERR_CANCELLED);
    kvm_ok(request("x", 2), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    assert_ptr_equal(rig.save_ctx, &tags[2]);
    assert_int_equal(atomic_load(&hanging), 1);
    end_dead();
}

/* Those that nobody waits for any more are still there, and bounded. */
static void no_more_than_sixteen_hang(void)
{
    begin_dead();
    for (unsigned i = 0; i < STASIS_VMM_OPENINGS_MAX; i++) {
        hang(i);
        if (i % 2)
            kvm_ok(stasis_vmm_cancel_request(rig.vmm, &tags[i], &err), &err);
    }
    assert_int_equal(request("other", 18), STASIS_ERR_FULL);
    assert_non_null(strstr(err.msg, "16 files are being opened already"));
    kvm_ok(stasis_vmm_cancel(rig.vmm, &err), &err);
    assert_int_equal(request("other", 18), STASIS_ERR_FULL);
    atomic_store(&dead, false);
    kvm_wait(request("other", 18) == 0);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    end_dead();
}

static void the_vm_ends_though_a_folder_does_not_answer(void)
{
    begin_dead();
    hang(1);
    stasis_vmm_stop(rig.vmm);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    failed(1, 1, STASIS_ERR_CANCELLED);
    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
    assert_int_equal(atomic_load(&hanging), 1);
    end_dead();
    begin_dead();
    hang(1);
    stasis_vmm_free(rig.vmm); /* in the middle of it */
    rig.vmm = NULL;
    end_dead();
}

/* Bad paths are told by an event, bad words at once. */
static void what_is_wrong_is_told(void)
{
    const struct stasis_snapshot_request bad_folder = {
        .path = "x", .folder_fd = 1000, .ctx = &tags[1]};
    const struct stasis_snapshot_request words = {.path = "x", .save = {.target = "9.9"}};

    begin();
    kvm_ok(request("no/such", 1), &err);
    failed(1, 1, STASIS_ERR_WRITE);
    assert_int_equal(stasis_vmm_begin_snapshot(rig.vmm, &bad_folder, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "cannot keep the folder of a request open"));
    assert_int_equal(stasis_vmm_begin_snapshot(rig.vmm, &words, &err), STASIS_ERR_ARG);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_SAVING), 0);
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
        KVM_CASE(the_vm_is_used_while_a_folder_does_not_answer),
        KVM_CASE(what_hangs_is_cancelled),
        KVM_CASE(the_name_of_what_was_cancelled_is_free),
        KVM_CASE(no_more_than_sixteen_hang),
        KVM_CASE(the_vm_ends_though_a_folder_does_not_answer),
        KVM_CASE(what_is_wrong_is_told),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
