/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Dirty logs and dirty rings, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_dirty.h"

#define PAGES (RIG_RAM / STASIS_MEMORY_PAGE)

static struct rig rig;
static struct stasis_error err;

/* mov byte [0x8000], 0x42; mov byte [0x9001], 0x43; hlt */
static const uint8_t writes_pages_8_and_9[] = {0xc6, 0x06, 0x00, 0x80, 0x42, 0xc6,
                                               0x06, 0x01, 0x90, 0x43, 0xf4};

static void run_guest(void)
{
    rig_load(&rig, writes_pages_8_and_9, sizeof(writes_pages_8_and_9));
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    assert_int_equal(*rig_ram(&rig, 0x8000), 0x42);
}

/* Where KVM has none of the kind it says so, and the case is skipped. */
static void init(const struct stasis_vm_config *config, unsigned cap)
{
    struct stasis_kvm kvm;
    bool has;

    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    has = stasis_kvm_cap(kvm.fd, cap);
    if (!has) {
        struct stasis_vm vm;

        assert_int_equal(stasis_vm_create(&vm, &kvm, config, &err), STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    stasis_kvm_close(&kvm);
    rig_init(&rig, config, true, STASIS_SLOT_LOG_DIRTY);
}

/* ---- the log ---- */

static void dirty_log_of_the_ninth_page(void)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG};
    uint8_t log[PAGES / 8 + 3];

    init(&config, KVM_CAP_USER_MEMORY);
    memset(log, 0xa5, sizeof(log));
    run_guest();
    kvm_ok(stasis_dirty_get(&rig.slots, 0, log, sizeof(log), &err), &err);
    assert_int_equal(log[1], 3);
    for (size_t i = PAGES / 8; i < sizeof(log); i++)
        assert_int_equal(log[i], 0);
    /* It has been emptied. */
    kvm_ok(stasis_dirty_get(&rig.slots, 0, log, PAGES / 8, &err), &err);
    assert_int_equal(log[1], 0);
    run_guest();
    kvm_ok(stasis_dirty_get(&rig.slots, 0, log, PAGES / 8, &err), &err);
    assert_int_equal(log[1], 3);
    rig_fini(&rig);
}

/* KVM writes whole words, of which the caller's buffer for 16 pages has a quarter. */
static void nothing_is_written_behind_the_log(void)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG};
    uint8_t log[16];

    init(&config, KVM_CAP_USER_MEMORY);
    memset(log, 0xa5, sizeof(log));
    kvm_ok(stasis_dirty_get(&rig.slots, 0, log, PAGES / 8, &err), &err);
    for (size_t i = PAGES / 8; i < sizeof(log); i++)
        assert_int_equal(log[i], 0xa5);
    rig_fini(&rig);
}

static void get_dirty_log_of_a_slot_without_the_flag_or_absent_is_enoent(void)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG};
    uint64_t log = 0;
    struct kvm_dirty_log bare = {.dirty_bitmap = &log};

    rig_init(&rig, &config, true, 0);
    assert_int_equal(stasis_dirty_get(&rig.slots, 0, &log, 8, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(rig_errno(rig.vm.fd, KVM_GET_DIRTY_LOG, &bare), ENOENT);
    bare.slot = 5;
    assert_int_equal(stasis_dirty_get(&rig.slots, 5, &log, 8, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(rig_errno(rig.vm.fd, KVM_GET_DIRTY_LOG, &bare), ENOENT);
    /* It can be told later. */
    kvm_ok(stasis_slots_set_log(&rig.slots, 0, true, &err), &err);
    run_guest();
    kvm_ok(stasis_dirty_get(&rig.slots, 0, &log, 8, &err), &err);
    assert_true(log & 0x100);
    kvm_ok(stasis_slots_set_log(&rig.slots, 0, false, &err), &err);
    assert_int_equal(stasis_dirty_get(&rig.slots, 0, &log, 8, &err), STASIS_ERR_NOT_FOUND);
    rig_fini(&rig);
}

static void a_buffer_that_is_too_small_is_einval(void)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG};
    uint8_t log[2] = {7, 7};

    init(&config, KVM_CAP_USER_MEMORY);
    assert_int_equal(stasis_dirty_get(&rig.slots, 0, log, 1, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(log[0], 7);
    rig_fini(&rig);
}

/* Reading leaves the log, clearing takes the pages named. */
static void a_manual_log_is_cleared_in_parts(void)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};
    const uint64_t page_8 = 0x100;
    uint64_t log = 0;

    init(&config, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    run_guest();
    kvm_ok(stasis_dirty_get(&rig.slots, 0, &log, 8, &err), &err);
    assert_int_equal(log & 0x300, 0x300);
    kvm_ok(stasis_dirty_clear(&rig.slots, 0, 0, PAGES, &page_8, &err), &err);
    kvm_ok(stasis_dirty_get(&rig.slots, 0, &log, 8, &err), &err);
    assert_int_equal(log & 0x300, 0x200);
    assert_int_equal(stasis_dirty_clear(&rig.slots, 0, 1, PAGES - 1, &log, &err), STASIS_ERR_ARG);
    rig_fini(&rig);
}

/* ---- the ring ---- */

struct seen {
    uint32_t count;
    uint64_t pages[64];
};

static void note(void *ctx, uint32_t slot, uint64_t number)
{
    struct seen *seen = ctx;

    assert_int_equal(slot, 0);
    assert_true(number < PAGES);
    if (seen->count < 64)
        seen->pages[seen->count] = number;
    seen->count++;
}

static bool has_page(const struct seen *seen, uint64_t page)
{
    uint32_t i = 0;

    while (i < seen->count && seen->pages[i] != page)
        i++;
    return i < seen->count;
}

/* Once reset, the next writes are seen again. An emulated KVM enters a page each time it is
 * written. Page-modification logging fills the ring backwards before Linux 6.14. */
static void a_ring_is_harvested_and_reset(void)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_RING};
    struct stasis_dirty_ring ring;
    uint64_t log = 0;
    struct kvm_dirty_log bare = {.dirty_bitmap = &log};

    init(&config, KVM_CAP_DIRTY_LOG_RING);
    rig_create_vcpu(&rig);
    kvm_ok(stasis_dirty_ring_init(&ring, &rig.vm, rig.vcpu_fd, &err), &err);
    assert_int_equal(ring.count, 4096);
    for (unsigned i = 0; i < 3; i++) {
        struct seen seen = {.count = 0};
        uint32_t freed = 0, harvested;

        run_guest();
        harvested = stasis_dirty_ring_harvest(&ring, note, &seen);
        assert_int_equal(harvested, seen.count);
        assert_in_range(seen.count, 2, 64);
        assert_true(has_page(&seen, 8) && has_page(&seen, 9));
        assert_int_equal(stasis_dirty_ring_harvest(&ring, note, &seen), 0);
        kvm_ok(stasis_dirty_ring_reset(&rig.vm, &freed, &err), &err);
        assert_int_equal(freed, seen.count);
    }
    /* There is no log beside it. */
    assert_int_equal(stasis_dirty_get(&rig.slots, 0, &log, 8, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(rig_errno(rig.vm.fd, KVM_GET_DIRTY_LOG, &bare), ENXIO);
    stasis_dirty_ring_fini(&ring);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(dirty_log_of_the_ninth_page),
        KVM_CASE(nothing_is_written_behind_the_log),
        KVM_CASE(get_dirty_log_of_a_slot_without_the_flag_or_absent_is_enoent),
        KVM_CASE(a_buffer_that_is_too_small_is_einval),
        KVM_CASE(a_manual_log_is_cleared_in_parts),
        KVM_CASE(a_ring_is_harvested_and_reset),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
