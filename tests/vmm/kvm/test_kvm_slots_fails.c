/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory slots and dirty tracking that are refused or fail, without KVM.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stasis/kvm_dirty.h"

#define PAGE STASIS_MEMORY_PAGE

static const struct stasis_vm_config with_log = {.dirty = STASIS_DIRTY_LOG};
static uint8_t pages[4 * 4096] __attribute__((aligned(4096)));

struct vm {
    struct stasis_kvm kvm;
    struct stasis_vm vm;
    struct stasis_slots slots;
    struct stasis_memory memory;
};

static int init(struct vm *vm, const struct stasis_vm_config *config, struct stasis_error *err)
{
    int rc;

    *vm = (struct vm){.kvm.fd = -1, .vm.fd = -1};
    rc = stasis_kvm_open(&vm->kvm, err);
    if (!rc)
        rc = stasis_vm_create(&vm->vm, &vm->kvm, config, err);
    return rc ? rc : stasis_slots_init(&vm->slots, &vm->vm, err);
}

static void fini(struct vm *vm)
{
    stasis_vm_fini(&vm->vm);
    stasis_slots_fini(&vm->slots);
    stasis_slots_fini(&vm->slots);
    stasis_memory_fini(&vm->memory);
    stasis_kvm_close(&vm->kvm);
}

static void init_fake(struct vm *vm, const struct stasis_vm_config *config,
                      bool (*answer)(unsigned long request, void *arg, int *ret_result))
{
    struct stasis_error err;

    fake_kvm = (struct fake_kvm){.answer = answer};
    if (init(vm, config, &err))
        fail_msg("%s", err.msg);
}

static int add(struct vm *vm, uint64_t gpa, uint64_t size, uint32_t flags, uint32_t *ret_slot,
               struct stasis_error *err)
{
    const struct stasis_slot mapping = {.gpa = gpa, .size = size, .host = pages, .flags = flags};
    uint32_t slot = 0xa5a5a5a5;
    int rc = stasis_slots_add(&vm->slots, &mapping, &slot, err);

    failing_unchanged(rc, slot);
    *ret_slot = slot;
    return rc;
}

/* ---- every call fails once ---- */

static int use_slots(struct stasis_error *err)
{
    struct stasis_slot was;
    uint32_t slot = 0;
    struct vm vm;
    int rc = init(&vm, &with_log, err);

    for (uint64_t i = 0; !rc && i < 9; i++) /* the table grows */
        rc = add(&vm, i * 2 * PAGE, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, err);
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
    fini(&vm);
    return rc;
}

static int use_memory(struct stasis_error *err)
{
    static const struct stasis_memory_region layout[] = {{.gpa = 0, .size = 2 * PAGE},
                                                         {.gpa = 1 << 20, .size = PAGE}};
    struct vm vm;
    int rc = init(&vm, NULL, err);

    if (!rc)
        rc = stasis_memory_init(&vm.memory, layout, 2, err);
    if (!rc)
        rc = stasis_slots_add_memory(&vm.slots, &vm.memory, 0, err);
    /* All of it or nothing. */
    if (vm.slots.count && rc)
        assert_null(stasis_slots_get(&vm.slots, 0));
    assert_ptr_equal(vm.vm.memory, rc ? NULL : &vm.memory);
    fini(&vm);
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
    struct vm vm;
    int rc = init(&vm, NULL, err);

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
    fini(&vm);
    close(fd);
    return rc;
}

static int use_private_file(struct stasis_error *err)
{
    int fd = memfd_create("private", MFD_CLOEXEC);
    struct stasis_slot mapping = {.size = 2 * PAGE, .backing = STASIS_SLOT_PRIVATE_FILE};
    uint32_t slot;
    struct vm vm;
    int rc;

    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    rc = init(&vm, NULL, err);
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
    fini(&vm);
    close(fd);
    return rc;
}

static int use_log(struct stasis_error *err)
{
    static const struct stasis_vm_config manual = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};
    uint64_t bitmap;
    uint32_t slot;
    struct vm vm;
    int rc = init(&vm, &manual, err);

    if (!rc)
        rc = add(&vm, 0, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, err);
    if (!rc) {
        failing_fill(bitmap);
        rc = stasis_dirty_get(&vm.slots, slot, &bitmap, 8, err);
        failing_unchanged(rc, bitmap);
    }
    if (!rc)
        rc = stasis_dirty_clear(&vm.slots, slot, 0, 1, &bitmap, err);
    fini(&vm);
    return rc;
}

static int use_ring(struct stasis_error *err)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_RING};
    struct stasis_dirty_ring ring;
    uint32_t count;
    struct vm vm;
    int rc = init(&vm, &config, err), vcpu_fd = -1;

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
    fini(&vm);
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
    struct vm vm;

    (void)state;
    init_fake(&vm, &with_log, NULL);
    assert_int_equal(add(&vm, PAGE, 2 * PAGE, 0, &slot, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t calls = fake_kvm.count;
        int rc = add(&vm, cases[i].gpa, cases[i].size, cases[i].flags, &slot, &err);

        if (rc != cases[i].rc)
            fail_msg("case %zu: %d, %s", i, rc, err.msg);
        if (rc)
            assert_int_equal(err.os_errno, cases[i].number);
        assert_int_equal(fake_kvm.count - calls, rc ? 0 : 1); /* KVM was not asked */
    }
    fini(&vm);
}

static void an_unaligned_host_address_is_refused(void **state)
{
    const struct stasis_slot mapping = {.size = PAGE, .host = pages + 1};
    struct stasis_error err;
    uint32_t slot;
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, NULL);
    assert_int_equal(stasis_slots_add(&vm.slots, &mapping, &slot, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the host's address"));
    fini(&vm);
}

/* Its host memory would be unmapped as an arena's is. */
static void only_add_arena_makes_arenas(void **state)
{
    static const int backings[] = {STASIS_SLOT_ARENA, STASIS_SLOT_ARENA + 1, -1};
    struct stasis_slot mapping = {.size = PAGE, .host = pages};
    struct stasis_error err;
    uint32_t slot;
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, NULL);
    for (size_t i = 0; i < sizeof(backings) / sizeof(backings[0]); i++) {
        mapping.backing = (enum stasis_slot_backing)backings[i];
        assert_int_equal(stasis_slots_add(&vm.slots, &mapping, &slot, &err), STASIS_ERR_ARG);
        assert_int_equal(err.os_errno, EINVAL);
    }
    assert_null(stasis_slots_get(&vm.slots, 0));
    fini(&vm);
}

static void an_arena_is_unmapped_or_the_callers_when_it_is_removed(void **state)
{
    struct stasis_slot was;
    struct stasis_error err;
    uint32_t slot;
    struct vm vm;
    void *host;

    (void)state;
    init_fake(&vm, NULL, NULL);
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
    fini(&vm);
}

static void a_vm_without_tracking_has_no_logged_slots(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, NULL);
    assert_int_equal(add(&vm, 0, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), STASIS_ERR_ARG);
    assert_int_equal(add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_set_log(&vm.slots, slot, true, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_set_log(&vm.slots, 9, true, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    fini(&vm);
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
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, answers_old_kvm);
    assert_int_equal(add(&vm, 0, PAGE, STASIS_SLOT_READ_ONLY, &slot, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, ENOTSUP);
    assert_non_null(strstr(err.msg, "read-only"));
    fini(&vm);
}

static void the_limit_of_slots_is_an_error_of_its_own(void **state)
{
    struct stasis_error err;
    uint32_t slot;
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, answers_old_kvm);
    assert_int_equal(vm.slots.max, 32);
    for (uint64_t i = 0; i < 32; i++)
        assert_int_equal(add(&vm, i * PAGE, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slot, 31);
    assert_int_equal(add(&vm, 64 * PAGE, PAGE, 0, &slot, &err), STASIS_ERR_FULL);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_int_equal(stasis_slots_remove(&vm.slots, 5, NULL, &err), 0);
    assert_int_equal(add(&vm, 64 * PAGE, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slot, 5);
    fini(&vm);
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
    struct vm vm;

    (void)state;
    region_errno = EEXIST; /* a slot of KVM's own */
    init_fake(&vm, NULL, answers_region);
    assert_int_equal(add(&vm, 0, PAGE, 0, &slot, &err), STASIS_ERR_EXISTS);
    region_errno = ENOMEM;
    assert_int_equal(add(&vm, 0, PAGE, 0, &slot, &err), STASIS_ERR_UNAVAILABLE);
    assert_null(stasis_slots_get(&vm.slots, 0));
    region_errno = 0;
    assert_int_equal(add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slot, 0);
    region_errno = EIO;
    assert_int_equal(stasis_slots_remove(&vm.slots, 0, NULL, &err), STASIS_ERR_KVM);
    assert_non_null(stasis_slots_get(&vm.slots, 0));
    fini(&vm);
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
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, NULL);
    assert_int_equal(add(&vm, PAGE, 2 * PAGE, 0, &slot, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(pages, 1, sizeof(pages));
        assert_int_equal(stasis_slots_discard(&vm.slots, cases[i].gpa, cases[i].size, &err),
                         cases[i].rc);
        assert_int_equal(stasis_slots_populate(&vm.slots, cases[i].gpa, cases[i].size, &err),
                         cases[i].rc);
    }
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(stasis_slots_add_arena(&vm.slots, 8 * PAGE, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_discard(&vm.slots, 8 * PAGE, PAGE, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_slots_populate(&vm.slots, 8 * PAGE, PAGE, &err), STASIS_ERR_ARG);
    fini(&vm);
}

static void ranges_of_arenas_and_of_files_are_checked(void **state)
{
    struct stasis_slot_map map = {.slot = 7, .size = PAGE, .fd = -1, .prot = PROT_READ};
    struct stasis_error err;
    uint32_t slot;
    struct vm vm;

    (void)state;
    init_fake(&vm, NULL, NULL);
    assert_int_equal(add(&vm, PAGE, 2 * PAGE, 0, &slot, &err), 0);
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
    fini(&vm);
}

/* ---- dirty tracking ---- */

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
    struct vm vm;

    (void)state;
    init_fake(&vm, &with_log, NULL);
    assert_int_equal(add(&vm, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 8, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_dirty_get(&vm.slots, 9, &bitmap, 8, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_slots_set_log(&vm.slots, slot, true, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 0, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 1, &err), 0);
    assert_int_equal(stasis_dirty_clear(&vm.slots, slot, 0, 1, &bitmap, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(stasis_dirty_ring_init(&ring, &vm.vm, -1, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    fini(&vm);

    init_fake(&vm, &ring_config, NULL);
    assert_int_equal(add(&vm, 0, PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, &bitmap, 8, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(stasis_dirty_ring_init(&ring, &vm.vm, -1, &err), STASIS_ERR_KVM);
    fini(&vm);
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
    struct vm vm;

    (void)state;
    init_fake(&vm, &manual, NULL);
    assert_int_equal(add(&vm, 0, 100 * PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            stasis_dirty_clear(&vm.slots, slot, cases[i].first, cases[i].count, bitmap, &err),
            cases[i].rc);
    assert_int_equal(stasis_dirty_clear(&vm.slots, 9, 0, 64, bitmap, &err), STASIS_ERR_NOT_FOUND);
    fini(&vm);
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
    struct vm vm;

    (void)state;
    init_fake(&vm, &with_log, answers_log);
    assert_int_equal(add(&vm, 0, 8 * PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
    assert_int_equal(stasis_dirty_get(&vm.slots, slot, bitmap, 2, &err), 0);
    assert_int_equal(bitmap[0], 0xff);
    assert_int_equal(bitmap[1], 0);
    assert_int_equal(bitmap[2], 7);
    fini(&vm);
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
    struct vm vm;

    (void)state;
    init_fake(&vm, &config, answers_reset);
    reset_answers = answers;
    assert_int_equal(stasis_dirty_ring_reset(&vm.vm, &count, &err), 0);
    assert_int_equal(count, 320);
    reset_answers = answers;
    assert_int_equal(stasis_dirty_ring_reset(&vm.vm, NULL, &err), 0);
    assert_ptr_equal(reset_answers, answers + 2);
    fini(&vm);
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
        cmocka_unit_test(a_balloon_stays_inside_one_slot),
        cmocka_unit_test(ranges_of_arenas_and_of_files_are_checked),
        cmocka_unit_test(dirty_log_size),
        cmocka_unit_test(dirty_calls_that_the_vm_cannot_answer_are_refused),
        cmocka_unit_test(cleared_pages_are_whole_groups),
        cmocka_unit_test(the_log_has_room_for_what_kvm_writes),
        cmocka_unit_test(a_ring_is_harvested_in_order),
        cmocka_unit_test(a_ring_is_reset_until_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
