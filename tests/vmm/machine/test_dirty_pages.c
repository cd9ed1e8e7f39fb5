/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which pages have changed, held against a comparison of all memory: two vCPUs write where they are
 * told to, in two regions of RAM with odd edges, one of them above 4 GiB; the VMM writes and takes
 * pages away; a balloon takes what the guest reports. Every page that changed is in the bitmap, and
 * in it is none that nobody wrote. A save in three fails, and the next must have all of its pages.
 *
 * Rounds: 1000, or what the environment variable STASIS_TEST_DIRTY says (scripts/soak).
 */
#include "vmm/machine/dirty_rig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint32_t rounds(void)
{
    const char *wanted = getenv("STASIS_TEST_DIRTY");

    return wanted ? (uint32_t)strtoul(wanted, NULL, 10) : 1000;
}

static void every_page_that_changes_is_found(void)
{
    const uint32_t count = rounds();
    uint64_t pages = 0;

    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    dirty_track();
    dirty_copy_all();
    for (uint32_t i = 0; i < count; i++) {
        alarm(KVM_CASE_SECONDS);
        stasis_machine_resume(&dirty_rig.machine);
        dirty_vcpus_write();
        if (i % 8 == 0)
            dirty_balloon_takes_away();
        dirty_vmm_writes();
        stasis_machine_pause(&dirty_rig.machine);
        if (i % 4 == 0)
            dirty_vmm_takes_away();
        kvm_ok(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), &dirty_err);
        dirty_compare();
        pages += stasis_dirty_pages_count(dirty_pages());
        if (i % 3)
            dirty_commit();
    }
    print_message("%u rounds, %llu pages\n", count, (unsigned long long)pages);
    kvm_guest_fini(&dirty_rig);
}

/* ---- the base ---- */

static void nothing_is_tracked_before_the_start_or_after_the_end(void)
{
    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    assert_false(stasis_dirty_pages_is_on(dirty_pages()));
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), 0);
    stasis_dirty_pages_stop(dirty_pages());
    dirty_vmm_writes();
    dirty_track();
    kvm_ok(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), &dirty_err);
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), 0);
    dirty_write(DIRTY_DATA, "x", 1);
    stasis_machine_resume(&dirty_rig.machine);
    dirty_vcpus_write();
    stasis_machine_pause(&dirty_rig.machine);
    dirty_track(); /* a new base forgets what was */
    kvm_ok(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), &dirty_err);
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), 0);
    stasis_dirty_pages_stop(dirty_pages());
    assert_null(dirty_rig.machine.memory.watcher.changes);
    assert_int_equal(stasis_slots_get(&dirty_rig.machine.slots, 0)->flags, 0);
    stasis_machine_resume(&dirty_rig.machine);
    dirty_vcpus_write();
    stasis_machine_pause(&dirty_rig.machine);
    kvm_guest_fini(&dirty_rig);
}

/* What is written between harvest and commit is of the next. Nothing is not written. */
static void a_commit_takes_what_was_harvested(void)
{
    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    dirty_track();
    dirty_copy_all();
    assert_non_null(stasis_memory_writable(&dirty_rig.machine.memory, DIRTY_DATA + 5 * PAGE, 0));
    dirty_write(DIRTY_HIGH + DIRTY_HIGH_PAGES * PAGE - 1, "x", 1);
    kvm_ok(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), &dirty_err);
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), 1);
    dirty_write(DIRTY_HIGH, "y", 1);
    dirty_write(DIRTY_LOW_PAGES * PAGE - 1, "z", 1);
    stasis_dirty_pages_commit(dirty_pages());
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), 0);
    kvm_ok(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), &dirty_err);
    assert_int_equal(stasis_dirty_pages_count(dirty_pages()), 2);
    assert_true(dirty_has(DIRTY_LOW_PAGES - 1) && dirty_has(DIRTY_LOW_PAGES));
    kvm_guest_fini(&dirty_rig);
}

static void a_reset_knows_no_base(void)
{
    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    dirty_track();
    stasis_machine_shutdown(&dirty_rig.machine, STASIS_EXIT_RESET, NULL);
    kvm_ok(stasis_machine_reset(&dirty_rig.machine, &dirty_err), &dirty_err);
    assert_false(stasis_dirty_pages_is_on(dirty_pages()));
    assert_null(dirty_rig.machine.memory.watcher.changes);
    kvm_guest_fini(&dirty_rig);
}

/* ---- a snapshot that was thawed is the base ---- */

static void thawed_memory_is_the_base(enum stasis_ram_mode mode)
{
    const struct stasis_thaw_options options = {.memory = mode, .tracks_changes = true};
    struct stasis_snap *snap;

    dirty_start();
    dirty_vcpus_write();
    stasis_machine_pause(&dirty_rig.machine);
    dirty_vmm_writes();
    dirty_copy_all();
    snap = kvm_freeze(&dirty_rig, NULL);
    kvm_guest_fini(&dirty_rig);
    memset(&dirty_rig, 0, sizeof(dirty_rig));
    kvm_ok(kvm_try_thaw(&dirty_rig, snap, &options, &dirty_err), &dirty_err);
    assert_true(stasis_dirty_pages_is_on(dirty_pages()));
    dirty_expect(STASIS_BOARD_VMGENID, 16);
    dirty_tell(0, DIRTY_DATA, 77);
    kvm_guest_start(&dirty_rig);
    dirty_vcpus_write();
    stasis_machine_pause(&dirty_rig.machine);
    dirty_vmm_takes_away();
    kvm_ok(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), &dirty_err);
    dirty_compare();
    kvm_guest_fini(&dirty_rig);
    stasis_snap_free(snap);
}

static void thawed_memory_is_the_base_in_every_mode(void)
{
    thawed_memory_is_the_base(STASIS_RAM_COPY);
    thawed_memory_is_the_base(STASIS_RAM_MAP);
    thawed_memory_is_the_base(STASIS_RAM_LAZY);
}

/* ---- failures ---- */

static _Atomic unsigned long failing; /* request; other threads load memory meanwhile */
static unsigned passes;               /* before it fails */

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (request == failing && passes-- == 0) {
        errno = ENOMEM;
        failing = 0;
        return -1;
    }
    return __real_ioctl(fd, request, arg);
}

static void fail_after(unsigned long request, unsigned count)
{
    passes = count;
    failing = request;
}

static void assert_off(void)
{
    assert_false(stasis_dirty_pages_is_on(dirty_pages()));
    assert_null(dirty_rig.machine.memory.watcher.changes);
    for (uint32_t slot = 0; slot < 2; slot++)
        assert_int_equal(stasis_slots_get(&dirty_rig.machine.slots, slot)->flags, 0);
}

/* Of both regions. Pages that KVM has told of, and that are lost, are worse than none. */
static void a_kvm_that_fails_is_not_relied_on(void)
{
    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    for (unsigned i = 0; i < 2; i++) {
        fail_after(KVM_SET_USER_MEMORY_REGION, i);
        assert_int_equal(stasis_dirty_pages_start(dirty_pages(), &dirty_rig.machine.slots,
                                                  &dirty_rig.machine.memory, &dirty_err),
                         STASIS_ERR_UNAVAILABLE);
        assert_non_null(strstr(dirty_err.msg, "KVM does not take"));
        assert_off();
        dirty_track();
        fail_after(KVM_GET_DIRTY_LOG, i);
        assert_int_equal(stasis_dirty_pages_harvest(dirty_pages(), &dirty_err), STASIS_ERR_KVM);
        assert_non_null(strstr(dirty_err.msg, "KVM_GET_DIRTY_LOG"));
        assert_off();
    }
    kvm_guest_fini(&dirty_rig);
}

/* The guest is thawed all the same. */
static void a_thaw_does_without(void)
{
    const struct stasis_thaw_options options = {.tracks_changes = true};
    struct stasis_snap *snap;

    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    snap = kvm_freeze(&dirty_rig, NULL);
    kvm_guest_fini(&dirty_rig);
    memset(&dirty_rig, 0, sizeof(dirty_rig));
    fail_after(KVM_SET_USER_MEMORY_REGION, 3); /* two make the slots */
    kvm_ok(kvm_try_thaw(&dirty_rig, snap, &options, &dirty_err), &dirty_err);
    assert_int_equal(failing, 0);
    assert_off();
    kvm_guest_fini(&dirty_rig);
    stasis_snap_free(snap);
}

static void memory_without_a_slot_cannot_be_tracked(void)
{
    dirty_start();
    stasis_machine_pause(&dirty_rig.machine);
    kvm_ok(stasis_slots_remove(&dirty_rig.machine.slots, 1, NULL, &dirty_err), &dirty_err);
    assert_int_equal(stasis_dirty_pages_start(dirty_pages(), &dirty_rig.machine.slots,
                                              &dirty_rig.machine.memory, &dirty_err),
                     STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(dirty_err.msg, "0x100000000 is in no memory slot"));
    assert_false(stasis_dirty_pages_is_on(dirty_pages()));
    kvm_guest_fini(&dirty_rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(every_page_that_changes_is_found),
        KVM_CASE(nothing_is_tracked_before_the_start_or_after_the_end),
        KVM_CASE(a_commit_takes_what_was_harvested),
        KVM_CASE(a_reset_knows_no_base),
        KVM_CASE(thawed_memory_is_the_base_in_every_mode),
        KVM_CASE(a_kvm_that_fails_is_not_relied_on),
        KVM_CASE(a_thaw_does_without),
        KVM_CASE(memory_without_a_slot_cannot_be_tracked),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
