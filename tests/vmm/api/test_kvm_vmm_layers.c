/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots with a parent, by the calls of stasis/vmm.h: of a guest that runs on meanwhile, each is
 * held against a whole snapshot of the same moment.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_SIZE (UINT64_C(8) << 20)

static struct vmm_rig rig;
static struct stasis_error err;

static void request(const char *name, const char *parent, enum stasis_vmm_event_kind end)
{
    const struct stasis_snapshot_request request = {.path = vmm_rig_path(&rig, name),
                                                    .save.parent = parent};
    unsigned before = vmm_rig_events(&rig, end);

    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, end, before + 1);
}

/* Says whether it has become a layer. */
static bool save(const char *name, const char *parent)
{
    request(name, parent, STASIS_VMM_EVENT_SAVED);
    return rig.layer;
}

static int save_fails(const char *name, const char *parent)
{
    request(name, parent, STASIS_VMM_EVENT_SAVE_FAILED);
    return rig.save_code;
}

static const char *hex(const uint8_t root[STASIS_DIGEST_SIZE])
{
    static char digits[STASIS_VMM_ROOT_DIGITS + 1];

    for (size_t i = 0; i < STASIS_DIGEST_SIZE; i++)
        snprintf(digits + 2 * i, 3, "%02X", root[i]);
    return digits;
}

static off_t length(const char *name)
{
    struct stat st;

    assert_int_equal(stat(vmm_rig_path(&rig, name), &st), 0);
    return st.st_size;
}

static uint8_t *read_ram(const char *name)
{
    uint8_t *ram = malloc(RAM_SIZE);
    struct stasis_snap *snap;

    assert_non_null(ram);
    kvm_ok(stasis_snap_open(vmm_rig_path(&rig, name), NULL, &snap, &err), &err);
    kvm_ok(stasis_snap_verify(snap, 1, NULL, NULL, &err), &err);
    kvm_ok(stasis_snap_load_ram(snap, 0, ram, 1, NULL, NULL, &err), &err);
    stasis_snap_free(snap);
    return ram;
}

static void assert_same_ram(const char *one, const char *other)
{
    uint8_t *a = read_ram(one), *b = read_ram(other);

    assert_memory_equal(a, b, RAM_SIZE);
    free(a);
    free(b);
}

/* The guest runs on until it has printed something. */
static void let_run(const char *tick)
{
    vmm_rig_wait_text(&rig, tick);
}

static void start(void)
{
    vmm_rig_init(&rig);
    vmm_rig_open(&rig);
    vmm_rig_run(&rig);
    let_run("tick 1 ");
}

static void stop(void)
{
    stasis_vmm_stop(rig.vmm);
    vmm_rig_join(&rig);
}

/* A layer, and what a whole snapshot says that it must hold. */
static void save_both(const char *layer, const char *whole)
{
    kvm_ok(stasis_vmm_pause(rig.vmm, &err), &err);
    assert_true(save(layer, "auto"));
    assert_false(save(whole, NULL));
    kvm_ok(stasis_vmm_resume(rig.vmm, &err), &err);
    assert_same_ram(layer, whole);
}

static void layers_are_what_the_guest_was(void)
{
    char root[STASIS_VMM_ROOT_DIGITS + 1];

    start();
    assert_false(save("one", "auto"));
    snprintf(root, sizeof(root), "%s", hex(rig.root));
    let_run("tick 2 ");
    assert_true(save("two", root));
    assert_true(length("two") < length("one"));
    let_run("tick 3 ");
    assert_int_equal(save_fails("no", root), STASIS_ERR_STATE); /* it is no longer the last */
    assert_int_not_equal(access(vmm_rig_path(&rig, "no"), F_OK), 0);
    save_both("three", "whole"); /* what was lost by none: the failure cost no page */
    let_run("tick 5 ");
    save_both("four", "whole again"); /* on "whole" */
    stop();
    vmm_rig_fini(&rig);
}

/* Of a guest of which no change was noted before, and of one that lies on other files. */
static void a_layer_can_lie_on_a_whole_snapshot_that_was_asked_for(void)
{
    start();
    assert_false(save("one", "none"));
    let_run("tick 2 ");
    save_both("two", "whole");
    let_run("tick 3 ");
    assert_false(save("three", "none"));
    let_run("tick 4 ");
    assert_true(save("four", hex(rig.root)));
    stop();
    vmm_rig_fini(&rig);
}

/* As a disk that is full. */
static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_save_that_fails_loses_no_page(void)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    start();
    assert_false(save("one", "auto"));
    for (unsigned i = 2; i < 5; i++) {
        char tick[16];

        snprintf(tick, sizeof(tick), "tick %u ", i);
        let_run(tick);
        limit_files(16384);
        assert_int_equal(save_fails("two", "auto"), STASIS_ERR_WRITE);
        limit_files(RLIM_INFINITY);
    }
    save_both("two", "whole");
    stop();
    vmm_rig_fini(&rig);
}

/* Its name would be gone: a whole one takes it. */
static void a_layer_does_not_replace_what_it_lies_on(void)
{
    start();
    assert_false(save("one", "auto"));
    assert_true(save("two", "auto"));
    assert_false(save("one", "auto"));
    assert_true(save("three", "auto")); /* on the new one */
    assert_int_equal(save_fails("three", hex(rig.root)), STASIS_ERR_EXISTS);
    free(read_ram("three"));
    stop();
    vmm_rig_fini(&rig);
}

/* Nothing lies on a file that is gone. */
static void a_layer_does_not_lie_on_a_removed_file(void)
{
    start();
    assert_false(save("one", "auto"));
    assert_true(save("two", "auto"));
    assert_int_equal(unlink(vmm_rig_path(&rig, "one")), 0); /* "two" lies on it */
    assert_int_equal(save_fails("three", hex(rig.root)), STASIS_ERR_STATE);
    assert_false(save("three", "auto"));
    assert_true(save("four", "auto"));
    free(read_ram("four"));
    stop();
    vmm_rig_fini(&rig);
}

/* ---- thawed ---- */

static void thaw(const char *from, enum stasis_ram_mode mode, const char *layers)
{
    char path[256];

    snprintf(path, sizeof(path), "%s", vmm_rig_path(&rig, from));
    rig.vmm = NULL;
    rig.count = 0;
    (void)unlink(rig.serial);
    rig.config =
        (struct stasis_vmm_config){.restore = {.path = path,
                                               .memory = mode,
                                               .layers = layers,
                                               .track = STASIS_VMM_TRACK_ON,
                                               .ignore_tsc_rate = true},
                                   .serial = {.kind = STASIS_VMM_SERIAL_FILE, .path = rig.serial}};
    vmm_rig_open(&rig);
    vmm_rig_run(&rig);
    let_run("tick ");
}

static void end(void)
{
    stop();
    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
}

static void first_snapshot_is_a_layer_on_the_thawed_one(void)
{
    static const enum stasis_ram_mode modes[] = {STASIS_RAM_COPY, STASIS_RAM_LAZY, STASIS_RAM_MAP};

    start();
    assert_false(save("one", "auto"));
    let_run("tick 2 ");
    assert_true(save("two", "auto"));
    end();
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        thaw("two", modes[i], NULL);
        save_both("three", "whole");
        end();
    }
    vmm_rig_fini(&rig);
}

static void parents_are_sought_in_another_folder(void)
{
    const struct stasis_vmm_ops no_ops = {.ctx = NULL};
    struct stasis_vmm *vmm;
    char folder[128], moved[160];

    start();
    assert_false(save("one", "auto"));
    assert_true(save("two", "auto"));
    end();
    snprintf(folder, sizeof(folder), "%s", vmm_rig_path(&rig, "parents"));
    snprintf(moved, sizeof(moved), "%s/any name", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(rename(vmm_rig_path(&rig, "one"), moved), 0);
    rig.config = (struct stasis_vmm_config){
        .restore = {.path = vmm_rig_path(&rig, "two"), .ignore_tsc_rate = true},
        .serial.kind = STASIS_VMM_SERIAL_NONE};
    assert_int_not_equal(stasis_vmm_new(&rig.config, &no_ops, &vmm, &err), 0);
    print_message("%s\n", err.msg);
    thaw("two", STASIS_RAM_AUTO, folder);
    end();
    assert_int_equal(unlink(moved), 0);
    assert_int_equal(rmdir(folder), 0);
    vmm_rig_fini(&rig);
}

static void refuse_start(const char *path, const char *parent, const char *target,
                         const char *words)
{
    const struct stasis_vmm_ops no_ops = {.ctx = NULL};
    struct stasis_vmm *vmm;

    rig.config.snapshot =
        (struct stasis_vmm_snapshot){.path = path, .save = {.parent = parent, .target = target}};
    assert_int_equal(stasis_vmm_new(&rig.config, &no_ops, &vmm, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

static void what_the_snapshot_lies_on_is_not_replaced(void)
{
    struct stasis_snapshot_request request = {.path = NULL};
    char one[256], two[256];

    start();
    assert_false(save("one", "auto"));
    assert_true(save("two", "auto"));
    end();
    snprintf(one, sizeof(one), "%s", vmm_rig_path(&rig, "one"));
    snprintf(two, sizeof(two), "%s", vmm_rig_path(&rig, "two"));
    rig.config = (struct stasis_vmm_config){.restore = {.path = two, .ignore_tsc_rate = true},
                                            .serial.kind = STASIS_VMM_SERIAL_NONE};
    refuse_start(one, NULL, NULL, "/one: it is the same file as that of snapshot.path");
    refuse_start(one, "auto", NULL, "/one: it is the same file as that of snapshot.path");
    thaw("two", STASIS_RAM_AUTO, NULL);
    request.path = one;
    assert_int_equal(stasis_vmm_snapshot(rig.vmm, &request, &err), STASIS_ERR_ARG);
    request.save.parent = "auto";
    assert_int_equal(stasis_vmm_snapshot(rig.vmm, &request, &err), STASIS_ERR_ARG);
    end();
    free(read_ram("two"));
    vmm_rig_fini(&rig);
}

/* What the thawed file tells. */
static void a_snapshot_that_can_never_be_is_refused_at_the_start(void)
{
    const struct stasis_vmm_ops no_ops = {.ctx = NULL};
    char one[256], two[256], right[STASIS_VMM_ROOT_DIGITS + 1], wrong[STASIS_VMM_ROOT_DIGITS + 1];
    struct stasis_vmm *vmm;

    start();
    assert_false(save("one", "none"));
    end();
    snprintf(right, sizeof(right), "%s", hex(rig.root));
    snprintf(wrong, sizeof(wrong), "%064d", 0);
    snprintf(one, sizeof(one), "%s", vmm_rig_path(&rig, "one"));
    snprintf(two, sizeof(two), "%s", vmm_rig_path(&rig, "two"));
    rig.config = (struct stasis_vmm_config){.restore = {.path = one, .ignore_tsc_rate = true},
                                            .serial.kind = STASIS_VMM_SERIAL_NONE};
    refuse_start(two, wrong, NULL,
                 "snapshot.parent=0000000000000000...: no snapshot can be a layer "
                 "on that one: the last one, of which");
    refuse_start(one, right, NULL,
                 "the layer would lie on the file that has this name; give "
                 "another name");
    refuse_start(two, NULL, "0.1.0", "snapshot.target=0.1.0: the guest has rtc, pm, ");
    rig.config.snapshot = (struct stasis_vmm_snapshot){.path = two, .save.parent = right};
    kvm_ok(stasis_vmm_new(&rig.config, &no_ops, &vmm, &err), &err);
    stasis_vmm_free(vmm);
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(layers_are_what_the_guest_was),
        KVM_CASE(a_layer_can_lie_on_a_whole_snapshot_that_was_asked_for),
        KVM_CASE(a_save_that_fails_loses_no_page),
        KVM_CASE(a_layer_does_not_replace_what_it_lies_on),
        KVM_CASE(a_layer_does_not_lie_on_a_removed_file),
        KVM_CASE(first_snapshot_is_a_layer_on_the_thawed_one),
        KVM_CASE(parents_are_sought_in_another_folder),
        KVM_CASE(a_snapshot_that_can_never_be_is_refused_at_the_start),
        KVM_CASE(what_the_snapshot_lies_on_is_not_replaced),
    };

    return kvm_missing() ? kvm_missing() : cmocka_run_group_tests(tests, NULL, NULL);
}
