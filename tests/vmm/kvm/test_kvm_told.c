/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What KVM is told: the whole argument of each ioctl that takes one, with values that are neither 0
 * nor what another argument has.
 */
#include "vmm/kvm/slots_rig.h"

#include <string.h>
#include <sys/mman.h>

#include "stasis/kvm_device.h"
#include "stasis/kvm_irq.h"
#include "stasis/kvm_vcpu.h"
#include "stasis/kvm_x86.h"

static const struct stasis_vm fake = {.fd = -1};
static struct stasis_error err;

/* The last argument of the request that is watched, and how often it came. */
static unsigned long watched;
static unsigned times;
static union {
    struct kvm_create_device device;
    struct kvm_enable_cap cap;
    struct kvm_userspace_memory_region region;
    struct kvm_dirty_log log;
    struct kvm_clear_dirty_log clear;
    struct kvm_interrupt interrupt;
    struct kvm_pit_state2 pit;
    uint8_t bytes[512];
} told;

/* Of a signal mask the header knows the first four bytes. */
static size_t size_of(unsigned long request)
{
    return request == KVM_SET_SIGNAL_MASK ? 12 : _IOC_SIZE(request);
}

static bool answer(unsigned long request, void *arg, int *ret_result)
{
    if (request != watched)
        return false;
    memset(&told, 0, sizeof(told));
    memcpy(told.bytes, arg, size_of(request));
    if (request == KVM_CREATE_DEVICE)
        ((struct kvm_create_device *)arg)->fd = 33;
    times++;
    *ret_result = 0;
    return true;
}

static void watch(unsigned long request)
{
    watched = request;
    times = 0;
    fake_kvm = (struct fake_kvm){.answer = answer};
}

/* ---- devices and capabilities ---- */

static void a_device_has_its_type(void **state)
{
    int fd = -1;

    (void)state;
    watch(KVM_CREATE_DEVICE);
    assert_int_equal(stasis_kvm_device_create(&fake, 7, &fd, &err), 0);
    assert_int_equal(told.device.type, 7);
    assert_int_equal(told.device.flags, 0);
    assert_int_equal(fd, 33);
    assert_true(stasis_kvm_device_exists(&fake, 9));
    assert_int_equal(told.device.type, 9);
    assert_int_equal(told.device.flags, KVM_CREATE_DEVICE_TEST); /* it is not made */
}

static void expect_cap(uint32_t cap, uint64_t arg)
{
    assert_int_equal(told.cap.cap, cap);
    assert_int_equal(told.cap.args[0], arg);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(told.cap.args[i], 0);
}

static void capabilities_have_their_arguments(void **state)
{
    (void)state;
    watch(KVM_ENABLE_CAP);
    assert_int_equal(stasis_vm_create_split_irqchip(&fake, 23, &err), 0);
    expect_cap(KVM_CAP_SPLIT_IRQCHIP, 23);
    assert_int_equal(stasis_vm_exit_on_msrs(&fake, 6, &err), 0);
    expect_cap(KVM_CAP_X86_USER_SPACE_MSR, 6);
    assert_int_equal(stasis_vm_allow_platform_info(&fake, true, &err), 0);
    expect_cap(KVM_CAP_MSR_PLATFORM_INFO, 1);
    assert_int_equal(stasis_vm_allow_platform_info(&fake, false, &err), 0);
    expect_cap(KVM_CAP_MSR_PLATFORM_INFO, 0);
}

/* A VM with this tracking of changes, gone again; what it was. */
static struct stasis_vm tracked(enum stasis_dirty_mode dirty, bool manual, uint32_t ring_size)
{
    const struct stasis_vm_config config = {
        .dirty = dirty, .dirty_manual = manual, .dirty_ring_size = ring_size};
    struct slots_rig rig;
    struct stasis_vm vm;

    watch(KVM_ENABLE_CAP);
    assert_int_equal(slots_rig_init(&rig, &config, &err), 0);
    vm = rig.vm;
    slots_rig_fini(&rig);
    return vm;
}

static void tracking_is_as_it_was_asked_for(void **state)
{
    (void)state;
    assert_true(tracked(STASIS_DIRTY_LOG, true, 0).dirty_manual);
    expect_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    assert_int_equal(times, 1);
    assert_false(tracked(STASIS_DIRTY_LOG, false, 0).dirty_manual);
    assert_int_equal(times, 0);
    assert_false(tracked(STASIS_DIRTY_NONE, true, 0).dirty_manual); /* there is no log */
    assert_int_equal(times, 0);
    assert_int_equal(tracked(STASIS_DIRTY_RING, true, 0).dirty_ring_size, 0x10000);
    expect_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0x10000);
    assert_int_equal(times, 1);
    assert_int_equal(tracked(STASIS_DIRTY_RING, false, 0x2000).dirty_ring_size, 0x2000);
    expect_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0x2000);
}

/* ---- slots ---- */

static void init_slots(struct slots_rig *rig, uint32_t flags, uint32_t *ret_second)
{
    static const struct stasis_vm_config manual = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};
    uint32_t first;

    slots_rig_init_fake(rig, &manual, NULL);
    assert_int_equal(slots_rig_add(rig, 0, PAGE, 0, &first, &err), 0);
    assert_int_equal(slots_rig_add(rig, 8 * PAGE, 100 * PAGE, flags, ret_second, &err), 0);
    assert_int_equal(*ret_second, 1);
}

static void expect_region(uint64_t gpa, uint64_t size, const void *host, uint32_t flags)
{
    assert_int_equal(told.region.slot, 1);
    assert_int_equal(told.region.flags, flags);
    assert_int_equal(told.region.guest_phys_addr, gpa);
    assert_int_equal(told.region.memory_size, size);
    assert_int_equal(told.region.userspace_addr, (uintptr_t)host);
}

static void a_slot_stays_what_it_is_but_for_its_log(void **state)
{
    struct slots_rig rig;
    uint32_t slot;

    (void)state;
    init_slots(&rig, STASIS_SLOT_READ_ONLY, &slot);
    watch(KVM_SET_USER_MEMORY_REGION);
    assert_int_equal(stasis_slots_set_log(&rig.slots, slot, true, &err), 0);
    expect_region(8 * PAGE, 100 * PAGE, slots_rig_pages,
                  KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES);
    assert_int_equal(stasis_slots_set_log(&rig.slots, slot, true, &err), 0);
    expect_region(8 * PAGE, 100 * PAGE, slots_rig_pages,
                  KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES);
    assert_int_equal(stasis_slots_set_log(&rig.slots, slot, false, &err), 0);
    expect_region(8 * PAGE, 100 * PAGE, slots_rig_pages, KVM_MEM_READONLY);
    assert_int_equal(stasis_slots_remove(&rig.slots, slot, NULL, &err), 0);
    expect_region(0, 0, NULL, 0);
    slots_rig_fini(&rig);
}

static void regions_of_memory_are_slots(void **state)
{
    static const struct stasis_memory_region layout[] = {{.gpa = 4 * PAGE, .size = 2 * PAGE},
                                                         {.gpa = 8 * PAGE, .size = 3 * PAGE}};
    struct slots_rig rig;

    (void)state;
    slots_rig_init_fake(&rig, NULL, NULL);
    assert_int_equal(stasis_memory_init(&rig.memory, layout, 2, &err), 0);
    watch(KVM_SET_USER_MEMORY_REGION);
    assert_int_equal(stasis_slots_add_memory(&rig.slots, &rig.memory, STASIS_SLOT_READ_ONLY, &err),
                     0);
    assert_int_equal(times, 2);
    expect_region(8 * PAGE, 3 * PAGE, rig.memory.regions[1].host, KVM_MEM_READONLY);
    slots_rig_fini(&rig);
}

static void a_log_is_that_of_its_slot(void **state)
{
    uint64_t bitmap[2] = {0};
    struct slots_rig rig;
    uint32_t slot;

    (void)state;
    init_slots(&rig, STASIS_SLOT_LOG_DIRTY, &slot);
    watch(KVM_GET_DIRTY_LOG);
    assert_int_equal(stasis_dirty_get(&rig.slots, slot, bitmap, sizeof(bitmap), &err), 0);
    assert_int_equal(told.log.slot, 1);
    watch(KVM_CLEAR_DIRTY_LOG);
    assert_int_equal(stasis_dirty_clear(&rig.slots, slot, 64, 36, bitmap, &err), 0);
    assert_int_equal(told.clear.slot, 1);
    assert_int_equal(told.clear.first_page, 64);
    assert_int_equal(told.clear.num_pages, 36);
    assert_ptr_equal(told.clear.dirty_bitmap, bitmap);
    slots_rig_fini(&rig);
}

/* KVM writes words of 64 pages. */
static void a_log_has_the_room_that_kvm_fills(void **state)
{
    static const uint64_t pages[] = {1, 63, 64, 65, 128, 129};
    static const size_t sizes[] = {8, 8, 8, 16, 16, 24};
    uint64_t bitmap[3];

    (void)state;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct slots_rig rig;
        uint32_t slot;

        slots_rig_init_fake(&rig, &slots_rig_with_log, NULL);
        assert_int_equal(
            slots_rig_add(&rig, 0, pages[i] * PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err), 0);
        assert_int_equal(stasis_dirty_get(&rig.slots, slot, bitmap, sizeof(bitmap), &err), 0);
        assert_int_equal(fake_kvm.last_calloc, sizes[i]);
        slots_rig_fini(&rig);
    }
}

static void expect_madvise(const uint8_t *at, size_t size, int advice)
{
    assert_ptr_equal(fake_kvm.last_madvise.at, at);
    assert_int_equal(fake_kvm.last_madvise.size, size);
    assert_int_equal(fake_kvm.last_madvise.advice, advice);
}

/* Of anonymous memory, and of a shared map, of which nothing is left in the file. */
static void the_kernel_is_told_which_memory_goes_and_comes(void **state)
{
    struct stasis_slot shared = {.gpa = 16 * PAGE, .size = 2 * PAGE, .backing = STASIS_SLOT_SHARED};
    struct slots_rig rig;
    uint32_t slot;

    (void)state;
    slots_rig_init_fake(&rig, NULL, NULL);
    assert_int_equal(slots_rig_add(&rig, 4 * PAGE, 4 * PAGE, 0, &slot, &err), 0);
    assert_int_equal(stasis_slots_discard(&rig.slots, 5 * PAGE, 2 * PAGE, &err), 0);
    expect_madvise(slots_rig_pages + PAGE, 2 * PAGE, MADV_DONTNEED);
    assert_int_equal(stasis_slots_populate(&rig.slots, 6 * PAGE, 2 * PAGE, &err), 0);
    expect_madvise(slots_rig_pages + 2 * PAGE, 2 * PAGE, 23); /* MADV_POPULATE_WRITE */
    shared.host = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(stasis_slots_add(&rig.slots, &shared, &slot, &err), 0);
    assert_int_equal(stasis_slots_discard(&rig.slots, 17 * PAGE, PAGE, &err), 0);
    expect_madvise((uint8_t *)shared.host + PAGE, PAGE, MADV_REMOVE);
    munmap(shared.host, 2 * PAGE);
    slots_rig_fini(&rig);
}

/* ---- vCPUs and chips ---- */

static void an_interrupt_has_its_vector(void **state)
{
    struct stasis_vcpu vcpu = {.fd = -1};

    (void)state;
    watch(KVM_INTERRUPT);
    assert_int_equal(stasis_vcpu_interrupt(&vcpu, 0x21, &err), 0);
    assert_int_equal(told.interrupt.irq, 0x21);
}

static void a_signal_mask_has_the_kernels_length(void **state)
{
    static const uint8_t expected[12] = {8,    0,    0,    0,    0x88, 0x77,
                                         0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    const uint64_t blocked = 0x1122334455667788;
    struct stasis_vcpu vcpu = {.fd = -1};

    (void)state;
    watch(KVM_SET_SIGNAL_MASK);
    assert_int_equal(stasis_vcpu_set_signal_mask(&vcpu, &blocked, &err), 0);
    assert_memory_equal(told.bytes, expected, sizeof(expected));
}

static void a_pit_is_passed_on_whole(void **state)
{
    struct kvm_pit_state2 pit;

    (void)state;
    memset(&pit, 0x3a, sizeof(pit));
    watch(KVM_SET_PIT2);
    assert_int_equal(stasis_vm_set_pit(&fake, &pit, &err), 0);
    assert_memory_equal(&told.pit, &pit, sizeof(pit));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_has_its_type),
        cmocka_unit_test(capabilities_have_their_arguments),
        cmocka_unit_test(tracking_is_as_it_was_asked_for),
        cmocka_unit_test(a_slot_stays_what_it_is_but_for_its_log),
        cmocka_unit_test(regions_of_memory_are_slots),
        cmocka_unit_test(a_log_is_that_of_its_slot),
        cmocka_unit_test(a_log_has_the_room_that_kvm_fills),
        cmocka_unit_test(the_kernel_is_told_which_memory_goes_and_comes),
        cmocka_unit_test(an_interrupt_has_its_vector),
        cmocka_unit_test(a_signal_mask_has_the_kernels_length),
        cmocka_unit_test(a_pit_is_passed_on_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
