/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots of a guest that runs on, whose disk has an overlay: each has the disk of its moment.
 */
#include "tests/vmm/api/vmm_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/overlay.h"
#include "vmm/api/preflight.h"
#include "vmm/api/vmm_internal.h"

#define BYTES 65536

static struct vmm_rig rig;
static struct stasis_error err;
static char base[160], overlay[160], other[160], snapshots[2][160];

static struct stasis_disk *disk(void)
{
    return &rig.vmm->disks.list[0].disk;
}

static void name(char path[160], const char *text)
{
    snprintf(path, 160, "%s", vmm_rig_path(&rig, text));
}

static void begin_on(const char *release)
{
    int fd;

    vmm_rig_init(&rig);
    rig.config.board_release = release;
    name(base, "disk");
    name(overlay, "overlay");
    name(other, "other");
    name(snapshots[0], "one");
    name(snapshots[1], "two");
    fd = open(base, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, BYTES), 0);
    close(fd);
    rig.config.block[0].path = base;
    rig.config.block[0].overlay = overlay;
    vmm_rig_open(&rig);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "tick 1 ");
}

static void begin(void)
{
    begin_on(NULL);
}

/* As the disk's thread does; the demo has no driver. */
static void write_byte(uint8_t value)
{
    uint8_t sector[512];

    memset(sector, value, sizeof(sector));
    assert_true(stasis_disk_write(disk(), 4096, sector, sizeof(sector)));
}

static uint8_t read_byte(void)
{
    uint8_t sector[512];

    assert_true(stasis_disk_read(disk(), 4096, sector, sizeof(sector)));
    return sector[511];
}

static void save(const char *path, unsigned count, enum stasis_vmm_sync sync)
{
    const struct stasis_snapshot_request request = {.path = path, .save = {.sync = sync}};

    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, count);
}

static void thaw(const char *snapshot, const char *on)
{
    rig.config.demo = false;
    rig.config.memory_mib = 0;
    rig.config.vcpus = 0;
    rig.config.restore.path = snapshot;
    rig.config.block[0].overlay = on;
    vmm_rig_open(&rig);
}

static void each_snapshot_has_the_disk_of_its_moment(void)
{
    begin();
    write_byte(1);
    save(snapshots[0], 1, STASIS_VMM_SYNC_FULL);
    write_byte(2);
    save(snapshots[1], 2, STASIS_VMM_SYNC_NONE);
    write_byte(3);
    assert_int_equal(read_byte(), 3);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    stasis_vmm_free(rig.vmm);
    thaw(snapshots[0], other);
    assert_int_equal(read_byte(), 1);
    stasis_vmm_free(rig.vmm);
    assert_int_equal(unlink(other), 0);
    thaw(snapshots[1], other);
    assert_int_equal(read_byte(), 2);
    write_byte(9);
    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
    assert_int_equal(stasis_vmm_new(&rig.config, NULL, &rig.vmm, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, "the overlay of disk disk0 has been written to since the freeze"))
        fail_msg("%s", err.msg);
    vmm_rig_fini(&rig);
}

/* The folder takes no new name: the guest runs on as before, and the next one is whole. */
static void a_sealing_that_fails_leaves_the_guest_running(void)
{
    char away[170];

    begin();
    write_byte(1);
    snprintf(away, sizeof(away), "%s.away", overlay);
    assert_int_equal(rename(overlay, away), 0);
    kvm_ok(
        stasis_vmm_snapshot(rig.vmm, &(struct stasis_snapshot_request){.path = snapshots[0]}, &err),
        &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, 1);
    if (!strstr(rig.message, "disk disk0: its name is of another file, or a link"))
        fail_msg("%s", rig.message);
    assert_int_equal(access(snapshots[0], F_OK), -1);
    assert_int_equal(rename(away, overlay), 0);
    vmm_rig_wait_text(&rig, "tick 3 ");
    save(snapshots[0], 1, STASIS_VMM_SYNC_FULL);
    assert_int_equal(read_byte(), 1);
    vmm_rig_fini(&rig);
}

static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The guest sees that its writes fail, and what it wrote before stays; a snapshot of that time is
 * none, and one that is made once there is room again is whole. */
static void a_full_file_system_is_an_error_of_the_guest_alone(void)
{
    const struct stasis_snapshot_request request = {.path = snapshots[0]};
    uint8_t sector[512] = {7};

    (void)signal(SIGXFSZ, SIG_IGN);
    begin();
    write_byte(1);
    assert_true(stasis_disk_flush(disk()));
    limit_files(8192);
    assert_false(stasis_disk_write(disk(), 4096, sector, sizeof(sector)));
    assert_false(stasis_disk_zero(disk(), 8192 + 512, sizeof(sector), false));
    assert_int_equal(read_byte(), 1);
    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, 1);
    assert_int_equal(access(snapshots[0], F_OK), -1);
    limit_files(RLIM_INFINITY);
    vmm_rig_wait_text(&rig, "tick 3 ");
    assert_int_equal(read_byte(), 1);
    write_byte(2);
    save(snapshots[1], 1, STASIS_VMM_SYNC_FULL);
    write_byte(3);
    stasis_vmm_free(rig.vmm);
    thaw(snapshots[1], other);
    assert_int_equal(read_byte(), 2);
    vmm_rig_fini(&rig);
}

static void sealed_path(char path[240])
{
    snprintf(path, 240, "%s.", overlay);
    for (unsigned i = 0; i < 8; i++)
        snprintf(path + strlen(path), 3, "%02x", disk()->root[i]);
}

/* By restore.layers, as the files that a layer lies on; what is sealed next is beside the overlay.
 */
static void what_an_overlay_lies_on_may_be_in_another_folder(void)
{
    char folder[160], sealed[240], moved[180];

    begin();
    write_byte(1);
    save(snapshots[0], 1, STASIS_VMM_SYNC_FULL);
    sealed_path(sealed);
    stasis_vmm_free(rig.vmm);
    name(folder, "sealed");
    snprintf(moved, sizeof(moved), "%s/any name", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(rename(sealed, moved), 0);
    rig.config.restore.layers = folder;
    thaw(snapshots[0], other);
    assert_int_equal(read_byte(), 1);
    write_byte(2);
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    save(snapshots[1], 2, STASIS_VMM_SYNC_FULL);
    stasis_vmm_free(rig.vmm);
    assert_int_equal(unlink(other), 0);
    thaw(snapshots[1], other);
    assert_int_equal(read_byte(), 2);
    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
    assert_int_equal(unlink(moved), 0);
    assert_int_equal(stasis_vmm_new(&rig.config, NULL, &rig.vmm, &err), STASIS_ERR_NOT_FOUND);
    if (!strstr(err.msg, "which is not in its folder, nor in that of layers"))
        fail_msg("%s", err.msg);
    assert_int_equal(rmdir(folder), 0);
    vmm_rig_fini(&rig);
}

static void refuse_output(const char *path, const char *role)
{
    const struct stasis_snapshot_request request = {.path = path};

    assert_int_equal(stasis_vmm_snapshot(rig.vmm, &request, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, role))
        fail_msg("%s", err.msg);
}

static void what_a_disk_lies_on_is_not_replaced(void)
{
    char sealed[240];

    begin();
    write_byte(1);
    save(snapshots[0], 1, STASIS_VMM_SYNC_FULL);
    sealed_path(sealed);
    refuse_output(sealed, "the same file as a sealed overlay that a disk lies on");
    refuse_output(overlay, "the same file as the overlay of a disk");
    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
    rig.config.demo = false;
    rig.config.memory_mib = 0;
    rig.config.restore.path = snapshots[0];
    rig.config.block[0].overlay = other;
    rig.config.snapshot.path = sealed;
    assert_int_equal(stasis_vmm_new(&rig.config, NULL, &rig.vmm, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, "/other: a file that it lies on: it is the same file as that of snapsho"))
        fail_msg("%s", err.msg);
    vmm_rig_fini(&rig);
}

/* Whether the one that is sealed with the next snapshot has digests. */
static bool seals_with_digests(uint8_t byte, unsigned count, const struct stasis_vmm_save *how)
{
    const struct stasis_snapshot_request request = {.path = snapshots[0], .save = *how};
    const struct stasis_overlay_look look = {.size = sizeof(look)};
    struct stasis_overlay *sealed = NULL;
    char path[240];
    bool found;

    write_byte(byte);
    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, count);
    sealed_path(path);
    kvm_ok(stasis_overlay_open_to_read(path, NULL, &look, &sealed, &err), &err);
    found = stasis_overlay_file_at(sealed, 0).info->digests;
    stasis_overlay_free(sealed);
    return found;
}

/* By options that ask for it, and by a dry run. */
static void refuse_at_once(const struct stasis_snapshot_request *request)
{
    static const char why[] = "snapshot.target=0.2.0: disk disk0 lies on an overlay with digests";
    struct stasis_preflight found = {0};
    bool is_found = false;

    stasis_vmm_free(rig.vmm);
    rig.vmm = NULL;
    rig.config.demo = false;
    rig.config.memory_mib = 0;
    rig.config.board_release = NULL;
    rig.config.restore.path = snapshots[0];
    rig.config.snapshot.path = request->path;
    rig.config.snapshot.save = request->save;
    assert_int_equal(stasis_vmm_new(&rig.config, NULL, &rig.vmm, &err), STASIS_ERR_ARG);
    if (strncmp(err.msg, why, strlen(why)) != 0)
        fail_msg("%s", err.msg);
    kvm_ok(stasis_preflight_run(&rig.config, &found, &err), &err);
    for (size_t i = 0; i < found.reasons.count; i++)
        is_found |= !strncmp(found.reasons.list[i].what, why, strlen(why));
    assert_true(is_found);
    stasis_preflight_fini(&found);
}

/* 0.2.0 does not read them, nor what lies on them. */
static void a_disk_has_digests_if_the_snapshot_has(void)
{
    const struct stasis_vmm_save with = {.digest = STASIS_VMM_DIGEST_SHA256};
    const struct stasis_vmm_save for_older = {.digest = STASIS_VMM_DIGEST_SHA256,
                                              .target = "0.2.0"};
    const struct stasis_snapshot_request request = {.path = snapshots[1], .save = for_older};

    begin_on("0.2.0");
    assert_false(seals_with_digests(1, 1, &(struct stasis_vmm_save){0}));
    assert_false(seals_with_digests(2, 2, &for_older));
    assert_true(seals_with_digests(3, 3, &with));
    assert_false(seals_with_digests(4, 4, &(struct stasis_vmm_save){0}));
    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, 1);
    if (!strstr(rig.message, "disk disk0 lies on an overlay with digests, or with an index of all"))
        fail_msg("%s", rig.message);
    assert_int_equal(access(snapshots[1], F_OK), -1);
    assert_int_equal(read_byte(), 4);
    refuse_at_once(&request);
    vmm_rig_fini(&rig);
}

static unsigned files_in_folder(void)
{
    DIR *folder = opendir(vmm_rig_path(&rig, "."));
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void refuse(const char *path, const char *parent, unsigned count, const char *why)
{
    const struct stasis_snapshot_request request = {.path = path, .save.parent = parent};

    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, count);
    if (!strstr(rig.message, why))
        fail_msg("%s", rig.message);
}

/* Not even sealed is what the refused snapshot would have needed. */
static void a_parent_that_does_not_fit_is_refused_before_a_disk_is_sealed(void)
{
    char wrong[65] = {0}, right[65];
    unsigned files;

    begin();
    memset(wrong, 'a', 64);
    write_byte(1);
    files = files_in_folder();
    refuse(snapshots[0], wrong, 1, "it is known what the guest has changed");
    assert_int_equal(files_in_folder(), files);
    kvm_ok(stasis_vmm_snapshot(
               rig.vmm,
               &(struct stasis_snapshot_request){.path = snapshots[0], .save.parent = "auto"},
               &err),
           &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    for (unsigned i = 0; i < 32; i++)
        snprintf(right + (size_t)2 * i, 3, "%02x", rig.root[i]);
    write_byte(2);
    files = files_in_folder();
    refuse(snapshots[1], wrong, 2, "has another root; ask with parent=auto");
    refuse(snapshots[0], right, 3, "the layer would lie on the file that has this name");
    assert_int_equal(files_in_folder(), files);
    assert_int_equal(read_byte(), 2);
    vmm_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(each_snapshot_has_the_disk_of_its_moment),
        KVM_CASE(a_sealing_that_fails_leaves_the_guest_running),
        KVM_CASE(a_full_file_system_is_an_error_of_the_guest_alone),
        KVM_CASE(what_an_overlay_lies_on_may_be_in_another_folder),
        KVM_CASE(what_a_disk_lies_on_is_not_replaced),
        KVM_CASE(a_disk_has_digests_if_the_snapshot_has),
        KVM_CASE(a_parent_that_does_not_fit_is_refused_before_a_disk_is_sealed),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
