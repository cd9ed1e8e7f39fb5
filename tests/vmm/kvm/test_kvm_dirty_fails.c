/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Dirty tracking that is refused or fails, without KVM.
 */
#include "vmm/kvm/slots_rig.h"

#include <errno.h>
#include <string.h>

static void dirty_log_size(void **state)
{
    (void)state;
    assert_int_equal(stasis_dirty_log_size(0), 0);
    assert_int_equal(stasis_dirty_log_size(1), 1);
    assert_int_equal(stasis_dirty_log_size(PAGE), 1);
    assert_int_equal(stasis_dirty_log_size(8 * PAGE), 1);
    assert_int_equal(stasis_dirty_log_size(8 * PAGE + 1), 2);
    assert_int_equal(stasis_dirty_log_size(100 * PAGE), 13);
    assert_int_equal(stasis_dirty_log_size(UINT64_MAX), UINT64_C(1) << 49);
}

static void dirty_calls_that_the_vm_cannot_answer_are_refused(void **state)
{
    static const struct stasis_vm_config ring_config = {.dirty = STASIS_DIRTY_RING};
    struct stasis_dirty_ring ring;
    struct stasis_error err;
    uint64_t bitmap = 0;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, &slots_rig_with_log, NULL);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 8, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_dirty_get(&vm.slots, 9, &bitmap, 8, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_slots_set_log(&vm.slots, slot, true, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 0, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 1, &err), 0);
    assert_int_equal(stasis_dirty_clear(&vm.slots, slot, 0, 1, &bitmap, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(stasis_dirty_ring_init(&ring, &vm.vm, -1, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    slots_rig_fini(&vm);

    slots_rig_init_fake(&vm, &ring_config, NULL);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 8, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(stasis_dirty_ring_init(&ring, &vm.vm, -1, &err), STASIS_ERR_KVM);
    slots_rig_fini(&vm);
}

/* Whoever asked for a ring must not go on without one. */
static void a_vm_without_the_ring_asked_for_is_none(void **state)
{
    static const struct stasis_vm_config bad = {.dirty = STASIS_DIRTY_RING,
                                                .dirty_ring_size = 4097};
    struct stasis_error err;
    struct slots_rig vm;

    (void)state;
    fake_kvm = (struct fake_kvm){0};
    assert_int_equal(slots_rig_init(&vm, &bad, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "a dirty ring of 4097 bytes"));
    slots_rig_fini(&vm);
}

static void cleared_pages_are_whole_groups(void **state)
{
    static const struct stasis_vm_config manual = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};
    static const struct {
        uint64_t first;
        uint32_t count;
        int rc;
    } cases[] = {
        {0, 64, 0},
        {0, 100, 0},
        {64, 36, 0},
        {0, 63, STASIS_ERR_ARG},
        {1, 99, STASIS_ERR_ARG},
        {0, 101, STASIS_ERR_ARG},
        {128, 0, STASIS_ERR_ARG},
        {64, 64, STASIS_ERR_ARG},
        {UINT64_MAX - 63, 64, STASIS_ERR_ARG},
    };
    static const uint64_t bitmap[2];
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, &manual, NULL);
    assert_int_equal(slots_rig_add(&vm, 0, 100 * PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            stasis_dirty_clear(&vm.slots, slot, cases[i].first, cases[i].count, bitmap, &err),
            cases[i].rc);
    assert_int_equal(stasis_dirty_clear(&vm.slots, 9, 0, 64, bitmap, &err), STASIS_ERR_NOT_FOUND);
    slots_rig_fini(&vm);
}

/* KVM writes a word of 64 pages; the caller has room for one byte. */
static bool answers_log(unsigned long request, void *arg, int *ret_result)
{
    if (request != KVM_GET_DIRTY_LOG)
        return false;
    memset(((struct kvm_dirty_log *)arg)->dirty_bitmap, 0xff, 8);
    *ret_result = 0;
    return true;
}

static void the_log_has_room_for_what_kvm_writes(void **state)
{
    uint8_t bitmap[4] = {0, 7, 7, 7};
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, &slots_rig_with_log, answers_log);
    assert_int_equal(slots_rig_add(&vm, 0, 8 * PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, bitmap, 2, &err), 0);
    assert_int_equal(bitmap[0], 0xff);
    assert_int_equal(bitmap[1], 0);
    assert_int_equal(bitmap[2], 7);
    slots_rig_fini(&vm);
}

static void sum_pages(void *ctx, uint32_t slot, uint64_t number)
{
    *(uint64_t *)ctx = *(uint64_t *)ctx * 100 + slot * 10 + number;
}

/* In order, around the end of the ring, once around at most, and no further than what is dirty. */
static void a_ring_is_harvested_in_order(void **state)
{
    struct kvm_dirty_gfn entries[4] = {{.flags = KVM_DIRTY_GFN_F_DIRTY, .slot = 1, .offset = 1},
                                       {.flags = KVM_DIRTY_GFN_F_RESET, .slot = 2, .offset = 2},
                                       {.flags = KVM_DIRTY_GFN_F_DIRTY, .slot = 3, .offset = 3},
                                       {.flags = KVM_DIRTY_GFN_F_DIRTY, .slot = 4, .offset = 4}};
    struct stasis_dirty_ring ring = {.entries = entries, .count = 4, .next = 2};
    uint64_t sum = 0;

    (void)state;
    assert_int_equal(stasis_dirty_ring_harvest(&ring, sum_pages, &sum), 3);
    assert_int_equal(sum, 334411);
    assert_int_equal(ring.next, 5);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(entries[i].flags, KVM_DIRTY_GFN_F_RESET);
    assert_int_equal(stasis_dirty_ring_harvest(&ring, sum_pages, &sum), 0);
    for (size_t i = 0; i < 4; i++)
        entries[i].flags = KVM_DIRTY_GFN_F_DIRTY;
    sum = 0;
    assert_int_equal(stasis_dirty_ring_harvest(&ring, sum_pages, &sum), 4);
    assert_int_equal(sum, 22334411);
    /* Both flags: KVM has not reset it yet. */
    entries[1].flags = KVM_DIRTY_GFN_F_DIRTY | KVM_DIRTY_GFN_F_RESET;
    assert_int_equal(stasis_dirty_ring_harvest(&ring, sum_pages, &sum), 0);
}

static const int *reset_answers;

static bool answers_reset(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    if (request != KVM_RESET_DIRTY_RINGS)
        return false;
    *ret_result = *reset_answers;
    reset_answers += *reset_answers != 0;
    return true;
}

/* A signal can end the call before it is through. */
static void a_ring_is_reset_until_nothing_is_left(void **state)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_RING};
    static const int answers[] = {300, 20, 0};
    struct stasis_error err;
    uint32_t count = 0;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, &config, answers_reset);
    reset_answers = answers;
    assert_int_equal(stasis_dirty_ring_reset(&vm.vm, &count, &err), 0);
    assert_int_equal(count, 320);
    reset_answers = answers;
    assert_int_equal(stasis_dirty_ring_reset(&vm.vm, NULL, &err), 0);
    assert_ptr_equal(reset_answers, answers + 2);
    slots_rig_fini(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dirty_log_size),
        cmocka_unit_test(dirty_calls_that_the_vm_cannot_answer_are_refused),
        cmocka_unit_test(a_vm_without_the_ring_asked_for_is_none),
        cmocka_unit_test(cleared_pages_are_whole_groups),
        cmocka_unit_test(the_log_has_room_for_what_kvm_writes),
        cmocka_unit_test(a_ring_is_harvested_in_order),
        cmocka_unit_test(a_ring_is_reset_until_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
