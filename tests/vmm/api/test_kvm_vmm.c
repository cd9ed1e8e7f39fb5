/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The life of a VM by the calls of stasis/vmm.h, driven by a thread and by a foreign event loop.
 * The save is ours (--wrap): it takes as long as the test wants.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/output.h"

static _Atomic bool held; /* a save goes on while it is set */
static _Atomic unsigned saves;

int __real_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err);
int __wrap_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err);

int __wrap_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    atomic_fetch_add(&saves, 1);
    while (atomic_load(&held)) {
        if (!opts->progress(opts->ctx, 1 << 20, 4 << 20))
            return stasis_fail(err, STASIS_ERR_CANCELLED, "%s: cancelled",
                               stasis_output_path(output));
        kvm_sleep_us(1000);
    }
    return __real_stasis_snap_save_output(snap, output, opts, ret_stats, err);
}

static struct vmm_rig rig;
static struct stasis_error err;

static off_t serial_len(void)
{
    struct stat st;

    assert_int_equal(stat(rig.serial, &st), 0);
    return st.st_size;
}

static void save_to(const char *name)
{
    const struct stasis_snapshot_request request = {.path = vmm_rig_path(&rig, name)};
    unsigned before = vmm_rig_events(&rig, STASIS_VMM_EVENT_SAVED);

    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, before + 1);
}

static void verify(const char *name)
{
    struct stasis_snap *snap;

    kvm_ok(stasis_snap_open(vmm_rig_path(&rig, name), NULL, &snap, &err), &err);
    kvm_ok(stasis_snap_verify(snap, 1, NULL, NULL, &err), &err);
    stasis_snap_free(snap);
}

static uint32_t format_of(const char *name)
{
    struct stasis_snap *snap;
    uint32_t format;

    kvm_ok(stasis_snap_open(vmm_rig_path(&rig, name), NULL, &snap, &err), &err);
    format = stasis_snap_info(snap)->format_version;
    stasis_snap_free(snap);
    return format;
}

/* While the guest is paused nothing is printed, however long a snapshot of it takes. */
static void pause_and_resume(void)
{
    off_t len;

    kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    len = serial_len();
    save_to("one");
    assert_int_equal(serial_len(), len);
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    kvm_wait(serial_len() > len);
}

static void live(void)
{
    struct stasis_vmm_status status;

    vmm_rig_wait_text(&rig, "tick 1 ");
    pause_and_resume();
    save_to("two");
    stasis_vmm_status(rig.vmm, &status);
    assert_int_equal(status.generation, 2);
    assert_int_equal(status.state, STASIS_VMM_RUNNING);
    kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
    save_to("three"); /* and stays paused */
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    stasis_vmm_stop(rig.vmm);
}

static void assert_ended(void)
{
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_HAS_ENDED);
    assert_int_equal(rig.end.reason, STASIS_VMM_STOPPED);
    assert_int_equal(rig.end.missing.code, 0);
    verify("one");
    verify("two");
    verify("three");
}

/* And what every folder has: two. */
static nlink_t threads(void)
{
    struct stat st;

    assert_int_equal(stat("/proc/self/task", &st), 0);
    return st.st_nlink;
}

static void driven_by_a_thread(void)
{
    nlink_t before = threads();

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    assert_int_equal(threads(), before); /* none of the VM's */
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_OPENED);
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "tick 1 ");
    assert_true(threads() > before + 1); /* ours, and its vCPU's */
    live();
    vmm_rig_join(&rig);
    assert_ended();
    vmm_rig_fini(&rig);
}

static void driven_by_a_foreign_loop(void)
{
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    live();
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    assert_ended();
    vmm_rig_fini(&rig);
}

/* The VM that is thawed counts on, and nothing runs before it is resumed. */
static void thawed_paused(void)
{
    static char from[160];
    char bytes[32] = "";
    int fds[2];

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "tick 2 ");
    save_to("one");
    stasis_vmm_free(rig.vmm);

    snprintf(from, sizeof(from), "%s", vmm_rig_path(&rig, "one"));
    assert_int_equal(unlink(rig.serial), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    atomic_store(&rig.count, 0);
    rig.config = (struct stasis_vmm_config){.restore = {.path = from, .ignore_tsc_rate = true},
                                            .paused = true,
                                            .ready_fd = fds[1],
                                            .serial = rig.config.serial};
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_PAUSED);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_RUNNING), 0);
    save_to("two");
    assert_int_equal(serial_len(), 0);
    assert_int_equal(read(fds[0], bytes, sizeof(bytes)), -1);
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_RUNNING), 1);
    assert_int_equal(read(fds[0], bytes, sizeof(bytes)), 8);
    assert_string_equal(bytes, "running\n");
    assert_int_equal(read(fds[0], bytes, sizeof(bytes)), 0);
    vmm_rig_wait_text(&rig, "tick 3 ");
    close(fds[0]);
    vmm_rig_fini(&rig);
}

static void assert_refused(int rc, const char *words)
{
    assert_int_equal(rc, STASIS_ERR_STATE);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, words);
}

/* All but the save that is under way. */
static void refuse_all(const char *words)
{
    const struct stasis_snapshot_request request = {.path = vmm_rig_path(&rig, "never")};

    assert_refused(stasis_vmm_pause(rig.vmm, &err), words);
    assert_refused(stasis_vmm_resume(rig.vmm, &err), words);
    assert_refused(stasis_vmm_snapshot(rig.vmm, &request, &err), words);
}

static void requests_in_the_wrong_state(void)
{
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    refuse_all("the guest has not been started");
    assert_refused(stasis_vmm_cancel(rig.vmm, &err), "nothing to cancel");
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    assert_refused(stasis_vmm_start(rig.vmm, &err), "it has been started");
    assert_refused(stasis_vmm_resume(rig.vmm, &err), "it is running");
    kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
    assert_refused(stasis_vmm_pause(rig.vmm, &err), "it is paused");
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    atomic_store(&held, true);
    kvm_ok(stasis_vmm_snapshot(
               rig.vmm, &(struct stasis_snapshot_request){.path = vmm_rig_path(&rig, "one")}, &err),
           &err);
    refuse_all("a snapshot is being written");
    atomic_store(&held, false);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    stasis_vmm_stop(rig.vmm);
    refuse_all("the VM has ended");
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_HAS_ENDED);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_ENDED), 0); /* but soon */
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    refuse_all("the VM has ended");
    assert_refused(stasis_vmm_start(rig.vmm, &err), "the VM has ended");
    assert_refused(stasis_vmm_cancel(rig.vmm, &err), "nothing to cancel");
    assert_int_equal(access(vmm_rig_path(&rig, "never"), F_OK), -1);
    vmm_rig_fini(&rig);
}

static void snapshots_that_cannot_be(void)
{
    static const struct {
        struct stasis_snapshot_request request;
        int code;
        const char *words;
    } cases[] = {
        {{0}, STASIS_ERR_ARG, "names no file"},
        {{.path = "-"}, STASIS_ERR_ARG, "names no file"},
        {{.path = "/nodir/x"}, STASIS_ERR_WRITE, "/nodir/x: opening its folder"},
        {{.path = "/dev/null"}, STASIS_ERR_ARG, "not a regular file"},
        {{.path = "../x", .folder_fd = 5}, STASIS_ERR_ARG, "../x is no name in the folder"},
        {{.path = "x", .save = {.zlib_level = 13}}, STASIS_ERR_ARG, "give 0 to 12"},
        {{.path = "x", .save = {.target = "9.9"}}, STASIS_ERR_ARG, "9.9"},
        {{.path = "x", .save = {.drop = STASIS_VMM_DROP_ALLOW}}, STASIS_ERR_ARG, "target"},
    };

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int rc = stasis_vmm_snapshot(rig.vmm, &cases[i].request, &err);

        if (rc != cases[i].code || !strstr(err.msg, cases[i].words))
            fail_msg("case %zu: %d, \"%s\" lacks \"%s\"", i, rc, err.msg, cases[i].words);
    }
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    vmm_rig_fini(&rig);
}

/* The loop turns while the file is written, and the guest stands still until it is. */
static void save_is_cancelled(void)
{
    unsigned before = atomic_load(&saves);
    struct stasis_vmm_status status;
    off_t len;

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "tick 1 ");
    atomic_store(&held, true);
    kvm_ok(stasis_vmm_snapshot(
               rig.vmm, &(struct stasis_snapshot_request){.path = vmm_rig_path(&rig, "one")}, &err),
           &err);
    kvm_wait(atomic_load(&saves) > before);
    len = serial_len();
    kvm_ok(stasis_vmm_dispatch(rig.vmm, &err), &err);
    stasis_vmm_status(rig.vmm, &status);
    assert_int_equal(status.state, STASIS_VMM_IS_SAVING);
    kvm_wait((stasis_vmm_status(rig.vmm, &status), status.total_bytes == 4 << 20));
    assert_int_equal(serial_len(), len);
    kvm_ok(stasis_vmm_cancel(rig.vmm, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, 1);
    assert_int_equal(rig.save_code, STASIS_ERR_CANCELLED);
    assert_int_equal(access(vmm_rig_path(&rig, "one"), F_OK), -1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    kvm_wait(serial_len() > len);
    atomic_store(&held, false);
    save_to("one");
    verify("one");
    vmm_rig_fini(&rig);
}

/* Freed in the middle of everything. */
static void freed_while_it_saves(void)
{
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    atomic_store(&held, true);
    kvm_ok(stasis_vmm_snapshot(
               rig.vmm, &(struct stasis_snapshot_request){.path = vmm_rig_path(&rig, "one")}, &err),
           &err);
    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
    assert_int_equal(access(vmm_rig_path(&rig, "one"), F_OK), -1);
    atomic_store(&held, false);
    vmm_rig_fini(&rig);
}

static void saved_into_a_folder_and_ended(void)
{
    int folder;

    vmm_rig_init(&rig);
    rig.config.board_release = "0.1.0";
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    folder = open(rig.folder.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    kvm_ok(stasis_vmm_snapshot(
               rig.vmm,
               &(struct stasis_snapshot_request){.path = "inside",
                                                 .folder_fd = folder,
                                                 .exit = true,
                                                 .save = {.zlib_level = 1, .target = "0.1.0"}},
               &err),
           &err);
    close(folder); /* the request has been read */
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_ENDED, 1);
    assert_int_equal(rig.end.reason, STASIS_VMM_FROZEN);
    verify("inside");
    assert_int_equal(format_of("inside"), 1);
    vmm_rig_fini(&rig);
}

/* A board with a device that the older release does not have. */
static void not_saved_for_a_release_without_its_devices(void)
{
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    vmm_rig_run(&rig);
    vmm_rig_wait_text(&rig, "tick 1 ");
    assert_int_equal(
        stasis_vmm_snapshot(rig.vmm,
                            &(struct stasis_snapshot_request){.path = vmm_rig_path(&rig, "one"),
                                                              .save = {.target = "0.1.0"}},
                            &err),
        STASIS_ERR_ARG);
    assert_non_null(strstr(
        err.msg, "the guest has rtc, pm, vmgenid, rng, pvpanic, timer, which release 0.1.0 lacks"));
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    assert_int_equal(access(vmm_rig_path(&rig, "one"), F_OK), -1);
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    vmm_rig_fini(&rig);
}

/* ---- descriptors of others ---- */

static struct stasis_vmm_watch *watch;
static unsigned calls;

static void on_byte(void *ctx, uint32_t events)
{
    char byte;

    (void)ctx;
    assert_true(events & EPOLLIN);
    assert_int_equal(read(*(int *)ctx, &byte, 1), 1);
    calls++;
    if (byte == 'x') {
        stasis_vmm_watch_free(watch);
        stasis_vmm_stop(rig.vmm);
    }
}

static void descriptor_of_the_owner_is_watched(void)
{
    struct stasis_vmm_end end;
    int fds[2];

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    kvm_ok(stasis_vmm_watch_new(rig.vmm, fds[0], 0, on_byte, &fds[0], &watch, &err), &err);
    kvm_ok(stasis_vmm_watch_set(watch, EPOLLIN, &err), &err);
    assert_int_equal(write(fds[1], "abx", 3), 3);
    kvm_ok(stasis_vmm_run(rig.vmm, &end, &err), &err);
    assert_int_equal(end.reason, STASIS_VMM_STOPPED);
    assert_int_equal(calls, 3);
    kvm_ok(stasis_vmm_run(rig.vmm, &end, &err), &err); /* has ended */
    assert_int_equal(end.reason, STASIS_VMM_STOPPED);
    close(fds[0]);
    close(fds[1]);
    vmm_rig_fini(&rig);
}

/* Its report may be in the hands of the thread that runs the loop: that one frees it. */
static void descriptor_is_given_up_by_another_thread(void)
{
    int fds[2];

    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    vmm_rig_run(&rig);
    for (unsigned i = 0; i < 100; i++) {
        calls = 0;
        kvm_ok(stasis_vmm_watch_new(rig.vmm, fds[0], EPOLLIN, on_byte, &fds[0], &watch, &err),
               &err);
        assert_int_equal(write(fds[1], "a", 1), 1);
        stasis_vmm_watch_free(watch);
        if (!calls)
            assert_int_equal(read(fds[0], &(char){0}, 1), 1);
    }
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
    close(fds[0]);
    close(fds[1]);
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(driven_by_a_thread),
        KVM_CASE(driven_by_a_foreign_loop),
        KVM_CASE(thawed_paused),
        KVM_CASE(requests_in_the_wrong_state),
        KVM_CASE(snapshots_that_cannot_be),
        KVM_CASE(save_is_cancelled),
        KVM_CASE(freed_while_it_saves),
        KVM_CASE(saved_into_a_folder_and_ended),
        KVM_CASE(not_saved_for_a_release_without_its_devices),
        KVM_CASE(descriptor_of_the_owner_is_watched),
        KVM_CASE(descriptor_is_given_up_by_another_thread),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
