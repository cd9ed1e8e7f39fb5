/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory slots that are refused or fail, without KVM.
 */
#include "vmm/kvm/slots_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- every call fails once ---- */

static int use_slots(struct stasis_error *err)
{
    struct stasis_slot was;
    uint32_t slot = 0;
    struct slots_rig vm;
    int rc = slots_rig_init(&vm, &slots_rig_with_log, err);

    for (uint64_t i = 0; !rc && i < 9; i++) /* the table grows */
        rc = slots_rig_add(&vm, i * 2 * PAGE, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, err);
    if (!rc) {
        failing_fill(was);
        rc = stasis_slots_remove(&vm.slots, slot, &was, err);
        failing_unchanged(rc, was);
    }
    if (!rc)
        rc = stasis_slots_set_log(&vm.slots, 0, false, err);
    if (!rc)
        rc = stasis_slots_sync(&vm.slots, 0, 0, PAGE, err);
    if (!rc)
        rc = stasis_slots_discard(&vm.slots, 0, PAGE, err);
    if (!rc)
        rc = stasis_slots_populate(&vm.slots, 0, PAGE, err);
    slots_rig_fini(&vm);
    return rc;
}

static int use_memory(struct stasis_error *err)
{
    static const struct stasis_memory_region layout[] = {{.gpa = 0, .size = 2 * PAGE},
                                                         {.gpa = 1 << 20, .size = PAGE}};
    struct slots_rig vm;
    int rc = slots_rig_init(&vm, NULL, err);

    if (!rc)
        rc = stasis_memory_init(&vm.memory, layout, 2, err);
    if (!rc)
        rc = stasis_slots_add_memory(&vm.slots, &vm.memory, 0, err);
    /* All of it or nothing. */
    if (vm.slots.count && rc)
        assert_null(stasis_slots_get(&vm.slots, 0));
    assert_ptr_equal(vm.vm.memory, rc ? NULL : &vm.memory);
    slots_rig_fini(&vm);
    return rc;
}

/* There is no hole where the guest looks. */
static bool is_mapped(const void *at, size_t size)
{
    unsigned char resident[8];

    return !mincore((void *)(uintptr_t)at, size, resident);
}

static int use_arena(struct stasis_error *err)
{
    int fd = memfd_create("arena", MFD_CLOEXEC);
    struct stasis_slot_map map = {.size = PAGE, .fd = fd, .prot = PROT_READ};
    const struct stasis_slot *slot;
    struct slots_rig vm;
    int rc = slots_rig_init(&vm, NULL, err);

    assert_int_equal(ftruncate(fd, PAGE), 0);
    if (!rc) {
        failing_fill(map.slot);
        rc = stasis_slots_add_arena(&vm.slots, 0, 2 * PAGE, 0, &map.slot, err);
        failing_unchanged(rc, map.slot);
    }
    if (!rc)
        rc = stasis_slots_map_fd(&vm.slots, &map, err);
    if (!rc)
        rc = stasis_slots_unmap(&vm.slots, map.slot, 0, PAGE, err);
    slot = stasis_slots_get(&vm.slots, map.slot);
    if (slot)
        assert_true(is_mapped(slot->host, slot->size));
    slots_rig_fini(&vm);
    close(fd);
    return rc;
}

static int use_private_file(struct stasis_error *err)
{
    int fd = memfd_create("private", MFD_CLOEXEC);
    struct stasis_slot mapping = {.size = 2 * PAGE, .backing = STASIS_SLOT_PRIVATE_FILE};
    uint32_t slot;
    struct slots_rig vm;
    int rc;

    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    rc = slots_rig_init(&vm, NULL, err);
    if (!rc) {
        mapping.host = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        rc = mapping.host == MAP_FAILED ? stasis_fail(err, STASIS_ERR_KVM, "a map of the test") : 0;
    }
    if (!rc) {
        rc = stasis_slots_add(&vm.slots, &mapping, &slot, err);
        if (!rc)
            rc = stasis_slots_discard(&vm.slots, PAGE, PAGE, err);
        assert_true(is_mapped(mapping.host, 2 * PAGE));
        munmap(mapping.host, 2 * PAGE);
    }
    slots_rig_fini(&vm);
    close(fd);
    return rc;
}

static int use_log(struct stasis_error *err)
{
    static const struct stasis_vm_config manual = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};
    uint64_t bitmap;
    uint32_t slot;
    struct slots_rig vm;
    int rc = slots_rig_init(&vm, &manual, err);

    if (!rc)
        rc = slots_rig_add(&vm, 0, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, err);
    if (!rc) {
        failing_fill(bitmap);
        rc = stasis_dirty_get(&vm.slots, slot, &bitmap, 8, err);
        failing_unchanged(rc, bitmap);
    }
    if (!rc)
        rc = stasis_dirty_clear(&vm.slots, slot, 0, 1, &bitmap, err);
    slots_rig_fini(&vm);
    return rc;
}

static int use_ring(struct stasis_error *err)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_RING};
    struct stasis_dirty_ring ring;
    uint32_t count;
    struct slots_rig vm;
    int rc = slots_rig_init(&vm, &config, err), vcpu_fd = -1;

    if (!rc) {
        vcpu_fd = stasis_kvm_ioctl(vm.vm.fd, KVM_CREATE_VCPU, NULL);
        rc = vcpu_fd < 0 ? stasis_fail(err, STASIS_ERR_KVM, "a vCPU of the test") : 0;
    }
    if (!rc) {
        failing_fill(ring);
        rc = stasis_dirty_ring_init(&ring, &vm.vm, vcpu_fd, err);
        failing_unchanged(rc, ring);
        if (!rc) {
            failing_fill(count);
            rc = stasis_dirty_ring_reset(&vm.vm, &count, err);
            failing_unchanged(rc, count);
            stasis_dirty_ring_fini(&ring);
            stasis_dirty_ring_fini(&ring);
        }
    }
    if (vcpu_fd >= 0)
        close(vcpu_fd);
    slots_rig_fini(&vm);
    return rc;
}

static void every_call_fails_once(void **state)
{
    (void)state;
    fake_kvm.answer = NULL;
    failing_run(use_slots, 0);
    failing_run(use_memory, 0);
    failing_run(use_arena, 0);
    failing_run(use_private_file, 0);
    failing_run(use_log, 0);
    failing_run(use_ring, 0);
}

/* ---- refusals of the library ---- */

static void each_error_has_its_own_code_and_errno(void **state)
{
    static const uint64_t top = UINT64_MAX - PAGE + 1;
    static const struct {
        uint64_t gpa, size;
        uint32_t flags;
        int rc, number;
    } cases[] = {
        {4 * PAGE, 0, 0, STASIS_ERR_ARG, EINVAL},
        {4 * PAGE, PAGE + 1, 0, STASIS_ERR_ARG, EINVAL},
        {4 * PAGE + 1, PAGE, 0, STASIS_ERR_ARG, EINVAL},
        {4 * PAGE, PAGE, 4, STASIS_ERR_ARG, EINVAL},
        {top, 2 * PAGE, 0, STASIS_ERR_RANGE, EOVERFLOW},
        {4 * PAGE, UINT64_MAX - PAGE + 1, 0, STASIS_ERR_RANGE, EOVERFLOW},
        {0, UINT64_MAX - PAGE + 1, 0, STASIS_ERR_RANGE, EOVERFLOW}, /* of the host's */
        {PAGE, PAGE, 0, STASIS_ERR_EXISTS, EEXIST},
        {0, 2 * PAGE, 0, STASIS_ERR_EXISTS, EEXIST},
        {2 * PAGE, 2 * PAGE, 0, STASIS_ERR_EXISTS, EEXIST},
        {0, 8 * PAGE, 0, STASIS_ERR_EXISTS, EEXIST},
        {0, PAGE, 0, 0, 0},
        {3 * PAGE, PAGE, 0, 0, 0},
        {top, PAGE, 0, 0, 0}, /* the last page there is */
        {top, PAGE, 0, STASIS_ERR_EXISTS, EEXIST},
    };
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, &slots_rig_with_log, NULL);
    assert_int_equal(slots_rig_add(&vm, PAGE, 2 * PAGE, 0, &slot, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t calls = fake_kvm.count;
        int rc = slots_rig_add(&vm, cases[i].gpa, cases[i].size, cases[i].flags, &slot, &err);

        if (rc != cases[i].rc)
            fail_msg("case %zu: %d, %s", i, rc, err.msg);
        if (rc)
            assert_int_equal(err.os_errno, cases[i].number);
        assert_int_equal(fake_kvm.count - calls, rc ? 0 : 1); /* KVM was not asked */
    }
    slots_rig_fini(&vm);
}

static void an_unaligned_host_address_is_refused(void **state)
{
    const struct stasis_slot mapping = {.size = PAGE, .host = slots_rig_pages + 1};
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, NULL);
    assert_int_equal(stasis_slots_add(&vm.slots, &mapping, &slot, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the host's address"));
    slots_rig_fini(&vm);
}

/* Its host memory would be unmapped as an arena's is. */
static void only_add_arena_makes_arenas(void **state)
{
    static const int backings[] = {STASIS_SLOT_ARENA, STASIS_SLOT_ARENA + 1, -1};
    struct stasis_slot mapping = {.size = PAGE, .host = slots_rig_pages};
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, NULL);
    for (size_t i = 0; i < sizeof(backings) / sizeof(backings[0]); i++) {
        mapping.backing = (enum stasis_slot_backing)backings[i];
        assert_int_equal(stasis_slots_add(&vm.slots, &mapping, &slot, &err), STASIS_ERR_ARG);
        assert_int_equal(err.os_errno, EINVAL);
        assert_non_null(strstr(err.msg, backings[i] == STASIS_SLOT_ARENA
                                            ? "arenas are made by stasis_slots_add_arena()"
                                            : "there is no such kind of memory"));
    }
    assert_null(stasis_slots_get(&vm.slots, 0));
    slots_rig_fini(&vm);
}

static void an_arena_is_unmapped_or_the_callers_when_it_is_removed(void **state)
{
    struct stasis_slot was;
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;
    void *host;

    (void)state;
    slots_rig_init_fake(&vm, NULL, NULL);
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 0, PAGE, 0, &slot, &err), 0);
    host = stasis_slots_get(&vm.slots, slot)->host;
    assert_true(is_mapped(host, PAGE));
    assert_int_equal(stasis_slots_remove(&vm.slots, slot, NULL, &err), 0);
    assert_false(is_mapped(host, PAGE));
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_remove(&vm.slots, slot, &was, &err), 0);
    assert_true(is_mapped(was.host, PAGE));
    munmap(was.host, PAGE);
    assert_int_equal(stasis_slots_remove(&vm.slots, slot, NULL, &err), STASIS_ERR_NOT_FOUND);
    assert_string_equal(err.msg, "there is no memory slot 0");
    assert_int_equal(err.os_errno, ENOENT);
    slots_rig_fini(&vm);
}

static void a_vm_without_tracking_has_no_logged_slots(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, NULL);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err),
                     STASIS_ERR_ARG);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_set_log(&vm.slots, slot, true, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_set_log(&vm.slots, 9, true, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    slots_rig_fini(&vm);
}

static bool answers_old_kvm(unsigned long request, void *arg, int *ret_result)
{
    *ret_result = 0;
    return request == KVM_CHECK_EXTENSION &&
           ((uintptr_t)arg == KVM_CAP_READONLY_MEM || (uintptr_t)arg == KVM_CAP_NR_MEMSLOTS);
}

static void a_kvm_without_read_only_slots_says_so(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, answers_old_kvm);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, STASIS_SLOT_READ_ONLY, &slot, &err),
                     STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, ENOTSUP);
    assert_non_null(strstr(err.msg, "read-only"));
    slots_rig_fini(&vm);
}

static void the_limit_of_slots_is_an_error_of_its_own(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, answers_old_kvm);
    assert_int_equal(vm.slots.max, 32);
    for (uint64_t i = 0; i < 32; i++)
        assert_int_equal(slots_rig_add(&vm, i * PAGE, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slot, 31);
    assert_int_equal(slots_rig_add(&vm, 64 * PAGE, PAGE, 0, &slot, &err), STASIS_ERR_FULL);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_int_equal(stasis_slots_remove(&vm.slots, 5, NULL, &err), 0);
    assert_int_equal(slots_rig_add(&vm, 64 * PAGE, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slot, 5);
    slots_rig_fini(&vm);
}

static int region_errno;

static bool answers_region(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    errno = region_errno;
    *ret_result = -1;
    return region_errno && request == KVM_SET_USER_MEMORY_REGION;
}

/* After a failure the slot is free again, and after one of removing it is still there. */
static void a_slot_that_kvm_refuses_goes_back(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    region_errno = EEXIST; /* a slot of KVM's own */
    slots_rig_init_fake(&vm, NULL, answers_region);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, 0, &slot, &err), STASIS_ERR_EXISTS);
    region_errno = ENOMEM;
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, 0, &slot, &err), STASIS_ERR_UNAVAILABLE);
    assert_null(stasis_slots_get(&vm.slots, 0));
    region_errno = 0;
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slot, 0);
    region_errno = EIO;
    assert_int_equal(stasis_slots_remove(&vm.slots, 0, NULL, &err), STASIS_ERR_KVM);
    assert_non_null(stasis_slots_get(&vm.slots, 0));
    slots_rig_fini(&vm);
}

static struct kvm_userspace_memory_region region_seen;

static bool sees_region(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_SET_USER_MEMORY_REGION)
        region_seen = *(struct kvm_userspace_memory_region *)arg;
    *ret_result = 0;
    return request == KVM_SET_USER_MEMORY_REGION;
}

static void kvm_is_told_all_of_a_slot(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, sees_region);
    assert_int_equal(slots_rig_add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slots_rig_add(&vm, 8 * PAGE, 2 * PAGE, STASIS_SLOT_READ_ONLY, &slot, &err), 0);
    assert_int_equal(region_seen.slot, slot);
    assert_int_equal(region_seen.flags, KVM_MEM_READONLY);
    assert_int_equal(region_seen.guest_phys_addr, 8 * PAGE);
    assert_int_equal(region_seen.memory_size, 2 * PAGE);
    assert_int_equal(region_seen.userspace_addr, (uintptr_t)slots_rig_pages);
    slots_rig_fini(&vm);
}

/* ---- ranges ---- */

static void a_balloon_stays_inside_one_slot(void **state)
{
    static const struct {
        uint64_t gpa, size;
        int rc;
    } cases[] = {
        {2 * PAGE, PAGE, 0},
        {PAGE, 2 * PAGE, 0},
        {0, PAGE, STASIS_ERR_RANGE},
        {3 * PAGE, PAGE, STASIS_ERR_RANGE},
        {2 * PAGE, 2 * PAGE, STASIS_ERR_RANGE},
        {PAGE, UINT64_MAX - PAGE + 1, STASIS_ERR_RANGE},
        {PAGE, 0, STASIS_ERR_ARG},
        {PAGE + 1, PAGE, STASIS_ERR_ARG},
        {PAGE, PAGE + 1, STASIS_ERR_ARG},
    };
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, NULL);
    assert_int_equal(slots_rig_add(&vm, PAGE, 2 * PAGE, 0, &slot, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(slots_rig_pages, 1, sizeof(slots_rig_pages));
        assert_int_equal(stasis_slots_discard(&vm.slots, cases[i].gpa, cases[i].size, &err),
                         cases[i].rc);
        assert_int_equal(stasis_slots_populate(&vm.slots, cases[i].gpa, cases[i].size, &err),
                         cases[i].rc);
    }
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 8 * PAGE, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_discard(&vm.slots, 8 * PAGE, PAGE, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_populate(&vm.slots, 8 * PAGE, PAGE, &err), STASIS_ERR_ARG);
    slots_rig_fini(&vm);
}

static void ranges_of_arenas_and_of_files_are_checked(void **state)
{
    struct stasis_slot_map map = {.slot = 7, .size = PAGE, .fd = -1, .prot = PROT_READ};
    struct stasis_error err;
    uint32_t slot;
    struct slots_rig vm;

    (void)state;
    slots_rig_init_fake(&vm, NULL, NULL);
    assert_int_equal(slots_rig_add(&vm, PAGE, 2 * PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_map_fd(&vm.slots, &map, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, EINVAL);
    map.slot = slot;
    assert_int_equal(stasis_slots_map_fd(&vm.slots, &map, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "no arena"));
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 8 * PAGE, 0, 0, &slot, &err),
                     STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 8 * PAGE, PAGE + 1, 0, &slot, &err),
                     STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 8 * PAGE, 2 * PAGE, 0, &map.slot, &err), 0);
    assert_int_equal(stasis_slots_map_fd(&vm.slots, &map, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, EBADF);
    assert_int_equal(stasis_slots_unmap(&vm.slots, map.slot, PAGE, 2 * PAGE, &err),
                     STASIS_ERR_RANGE);
    assert_int_equal(err.os_errno, EFAULT);
    assert_int_equal(stasis_slots_unmap(&vm.slots, map.slot, 1, PAGE, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_unmap(&vm.slots, map.slot, 0, PAGE - 1, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_unmap(&vm.slots, map.slot, 0, 0, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_sync(&vm.slots, 0, 2 * PAGE + 1, 0, &err), STASIS_ERR_RANGE);
    assert_int_equal(stasis_slots_sync(&vm.slots, 0, PAGE, 2 * PAGE, &err), STASIS_ERR_RANGE);
    assert_int_equal(stasis_slots_sync(&vm.slots, 0, 1, 1, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_sync(&vm.slots, 9, 0, 0, &err), STASIS_ERR_NOT_FOUND);
    slots_rig_fini(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(each_error_has_its_own_code_and_errno),
        cmocka_unit_test(an_unaligned_host_address_is_refused),
        cmocka_unit_test(only_add_arena_makes_arenas),
        cmocka_unit_test(an_arena_is_unmapped_or_the_callers_when_it_is_removed),
        cmocka_unit_test(a_vm_without_tracking_has_no_logged_slots),
        cmocka_unit_test(a_kvm_without_read_only_slots_says_so),
        cmocka_unit_test(the_limit_of_slots_is_an_error_of_its_own),
        cmocka_unit_test(a_slot_that_kvm_refuses_goes_back),
        cmocka_unit_test(kvm_is_told_all_of_a_slot),
        cmocka_unit_test(a_balloon_stays_inside_one_slot),
        cmocka_unit_test(ranges_of_arenas_and_of_files_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
