/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A snapshot counts on what the guest wrote to its disk: the host keeps that before there is one.
 */
#include "tests/vmm/api/passt_rig.h"
#include "tests/vmm/api/vmm_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

static struct vmm_rig rig;
static struct stasis_error err;
static _Atomic unsigned syncs;
static _Atomic int fails; /* errno */

static int counted_fsync(int fd)
{
    (void)fd;
    atomic_fetch_add(&syncs, 1);
    errno = atomic_load(&fails);
    return errno ? -1 : 0;
}

static _Atomic bool hangs, is_hanging;
static struct stasis_io_thread *net_thread;

static int hanging_fdatasync(int fd)
{
    (void)fd;
    for (is_hanging = true; hangs;)
        kvm_sleep_us(1000);
    return 0;
}

static const struct stasis_disk_calls calls = {pread, pwrite, hanging_fdatasync, fallocate,
                                               counted_fsync};

static struct stasis_device *blk(void)
{
    return stasis_device_find(&rig.vmm->machine.devices, &stasis_virtio_blk_schema, "disk0");
}

static void begin_with(const char *passt)
{
    const char *path;
    int fd;

    atomic_store(&syncs, 0);
    atomic_store(&fails, 0);
    vmm_rig_init(&rig);
    rig.config.net.passt = passt;
    path = vmm_rig_path(&rig, "disk");
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    close(fd);
    rig.config.block[0].path = path;
    vmm_rig_open(&rig);
    rig.vmm->disks.list[0].disk.calls = &calls;
    kvm_ok(stasis_vmm_start(rig.vmm, &err), &err);
    vmm_rig_wait_text(&rig, "tick 1 ");
}

static void begin(void)
{
    begin_with(NULL);
}

static void save(enum stasis_vmm_sync sync)
{
    const struct stasis_snapshot_request request = {
        .path = vmm_rig_path(&rig, "one"), .exit = true, .save = {.sync = sync}};

    kvm_ok(stasis_vmm_snapshot(rig.vmm, &request, &err), &err);
}

static void the_disk_is_made_safe_before_a_snapshot(void)
{
    begin();
    save(STASIS_VMM_SYNC_FULL);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    assert_int_equal(atomic_load(&syncs), 1);
    vmm_rig_fini(&rig);
}

static void nothing_waits_for_the_disk_without_sync(void)
{
    begin();
    atomic_store(&fails, EIO);
    save(STASIS_VMM_SYNC_NONE);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    assert_int_equal(atomic_load(&syncs), 0);
    vmm_rig_fini(&rig);
}

static void a_disk_that_loses_writes_has_no_snapshot(void)
{
    begin();
    atomic_store(&fails, EIO);
    save(STASIS_VMM_SYNC_FULL);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, 1);
    assert_int_equal(rig.save_code, STASIS_ERR_IO);
    if (!strstr(rig.message, "disk disk0 cannot keep what the guest wrote"))
        fail_msg("%s", rig.message);
    assert_int_equal(access(vmm_rig_path(&rig, "one"), F_OK), -1);
    assert_int_equal(vmm_rig_state(&rig), STASIS_VMM_RUNNING);
    vmm_rig_wait_text(&rig, "tick 5 ");
    vmm_rig_fini(&rig);
}

/* As if the guest had asked for it: its demo has no driver. */
static void hang_at_the_disk(void)
{
    pthread_mutex_lock(&rig.vmm->machine.lock);
    blk()->io->is_away = true;
    pthread_mutex_unlock(&rig.vmm->machine.lock);
}

static void a_save_that_waits_for_the_disk_is_cancelled(void)
{
    begin();
    hang_at_the_disk();
    save(STASIS_VMM_SYNC_FULL);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVING, 1);
    assert_int_equal(vmm_rig_events(&rig, STASIS_VMM_EVENT_SAVED), 0);
    kvm_ok(stasis_vmm_cancel(rig.vmm, &err), &err);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVE_FAILED, 1);
    assert_int_equal(rig.save_code, STASIS_ERR_CANCELLED);
    assert_int_equal(atomic_load(&syncs), 0);
    vmm_rig_wait_text(&rig, "tick 5 ");
    vmm_rig_fini(&rig);
}

static void a_save_without_sync_does_not_wait_for_the_disk(void)
{
    begin();
    hang_at_the_disk();
    save(STASIS_VMM_SYNC_NONE);
    vmm_rig_wait_event(&rig, STASIS_VMM_EVENT_SAVED, 1);
    vmm_rig_fini(&rig);
}

#define RINGS 0x600000 /* where the demo has nothing */

static void *ram(uint64_t offset)
{
    return stasis_memory_writable(&rig.vmm->machine.memory, RINGS + offset, 64);
}

/* As a driver would, in the demo's place: a flush. */
static void flush(void)
{
    static const uint32_t regs[][2] = {{0x70, 0},
                                       {0x70, 1},
                                       {0x70, 3},
                                       {0x24, 0},
                                       {0x20, 1 << 9},
                                       {0x24, 1},
                                       {0x20, 1},
                                       {0x70, 11},
                                       {0x38, 2},
                                       {0x80, RINGS},
                                       {0x90, RINGS + 0x1000},
                                       {0xa0, RINGS + 0x2000},
                                       {0x44, 1},
                                       {0x70, 15},
                                       {0x50, 0}};
    const uint32_t descs[8] = {RINGS + 0x3000, 0, 16, 1 | 1 << 16, RINGS + 0x4000, 0, 1, 2};
    const uint32_t header[4] = {4};
    const uint16_t avail[3] = {0, 1, 0};

    memcpy(ram(0), descs, sizeof(descs));
    memcpy(ram(0x1000), avail, sizeof(avail));
    memcpy(ram(0x3000), header, sizeof(header));
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        stasis_bus_mmio_write(&rig.vmm->machine, blk()->row->base + regs[i][0], 4, regs[i][1]);
}

static void come_back(struct stasis_vmm *vmm, struct stasis_io_thread *thread)
{
    hangs = false;
    pthread_mutex_lock(&vmm->machine.lock);
    while (!stasis_io_thread_wait_idle(thread, 10))
        ;
    pthread_mutex_unlock(&vmm->machine.lock);
    close(thread->bell_fd);
}

/* At the end the VM does not wait for ever, and what the thread has stays. */
static void a_disk_that_hangs_is_left_behind(void)
{
    struct stasis_io_thread *thread;
    struct stasis_vmm *vmm;

    begin();
    vmm = rig.vmm;
    thread = blk()->io;
    vmm->machine.pause_limit_ms = 10;
    is_hanging = false;
    hangs = true;
    flush();
    kvm_wait(is_hanging);
    vmm_rig_fini(&rig);
    if (!strstr(rig.message, "the host has not answered for disk disk0; a thread is left behind"))
        fail_msg("%s", rig.message);
    come_back(vmm, thread);
    close(vmm->disks.list[0].disk.fd);
}

static void hang(void *instance)
{
    (void)instance;
    stasis_io_thread_leave(net_thread);
    (void)hanging_fdatasync(-1);
    (void)!stasis_io_thread_enter(net_thread);
}

static void a_network_that_hangs_is_not_called_a_disk(void)
{
    struct stasis_vmm *vmm;
    int fd;

    passt_rig_init();
    begin_with(passt_rig_path);
    vmm = rig.vmm;
    fd = vmm->disks.list[0].disk.fd;
    net_thread = stasis_device_find(&vmm->machine.devices, &stasis_virtio_net_schema, "net0")->io;
    vmm->machine.pause_limit_ms = 10;
    is_hanging = false;
    hangs = true;
    pthread_mutex_lock(&vmm->machine.lock);
    net_thread->work = hang;
    pthread_mutex_unlock(&vmm->machine.lock);
    stasis_io_thread_ring(net_thread);
    kvm_wait(is_hanging);
    vmm_rig_fini(&rig);
    if (strcmp(rig.message, "the thread of network net0 has not stopped; it is left behind until "
                            "the process has ended") != 0)
        fail_msg("%s", rig.message);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* the disk is nobody's any more */
    come_back(vmm, net_thread);
    passt_rig_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(the_disk_is_made_safe_before_a_snapshot),
        KVM_CASE(nothing_waits_for_the_disk_without_sync),
        KVM_CASE(a_disk_that_loses_writes_has_no_snapshot),
        KVM_CASE(a_save_that_waits_for_the_disk_is_cancelled),
        KVM_CASE(a_save_without_sync_does_not_wait_for_the_disk),
        KVM_CASE(a_disk_that_hangs_is_left_behind),
        KVM_CASE(a_network_that_hangs_is_not_called_a_disk),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
