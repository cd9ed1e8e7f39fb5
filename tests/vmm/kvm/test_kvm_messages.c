/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Messages with several numbers: each is in its place.
 */
#include "vmm/kvm/slots_rig.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_debug.h"
#include "stasis/kvm_irq.h"

static struct slots_rig rig;
static struct stasis_error err;
static uint32_t slot; /* pages 8 to 107, with a dirty log; slot 1 */

static int set_up(void **state)
{
    static const struct stasis_vm_config manual = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};

    (void)state;
    slots_rig_init_fake(&rig, &manual, NULL);
    assert_int_equal(slots_rig_add(&rig, 0, PAGE, 0, &slot, &err), 0);
    assert_int_equal(slots_rig_add(&rig, 8 * PAGE, 100 * PAGE, STASIS_SLOT_LOG_DIRTY, &slot, &err),
                     0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    slots_rig_fini(&rig);
    return 0;
}

static void says(int rc, const char *words)
{
    assert_int_not_equal(rc, 0);
    if (strncmp(err.msg, words, strlen(words)) != 0)
        fail_msg("\"%s\" does not begin: %s", err.msg, words);
}

static void fail_next(void)
{
    fake_kvm.counts_system = true;
    fake_kvm.fail_at = (unsigned)fake_kvm.count + 1;
    fake_kvm.fail_errno = ENOMEM;
}

static int add(uint64_t gpa, uint64_t size)
{
    uint32_t other;

    return slots_rig_add(&rig, gpa, size, 0, &other, &err);
}

static void of_slots(void **state)
{
    (void)state;
    says(add(0x200000, 0x1001), "memory slot at 0x200000: the size 0x1001 is not");
    says(add(UINT64_MAX - 0xfff, 0x2000),
         "memory slot at 0xfffffffffffff000: 0x2000 bytes end behind");
    says(add(0x7000, 0x3000),
         "memory slot at 0x7000: slot 1 is there, at 0x8000 with 0x64000 bytes");
    fail_next();
    says(add(0x200000, 0x3000), "KVM does not take 12 KiB of memory at 0x200000: ");
}

static void of_ranges(void **state)
{
    uint32_t arena;

    (void)state;
    says(stasis_slots_sync(&rig.slots, slot, 0x2000, 0x63000, &err),
         "memory slot 1: 0x63000 bytes at offset 0x2000 are not all in its 0x64000");
    says(stasis_slots_sync(&rig.slots, slot, 5, 0, &err),
         "memory slot 1: offset 0x5 is not that of a page");
    says(stasis_slots_discard(&rig.slots, 0x9000, 0x801, &err),
         "0x801 bytes of guest memory at 0x9000 are not whole pages");
    says(stasis_slots_discard(&rig.slots, 0x9000, 0x64000, &err),
         "0x64000 bytes of guest memory at 0x9000 are not all in one");
    fail_next();
    says(stasis_slots_discard(&rig.slots, 0x9000, 0x2000, &err),
         "giving back 0x2000 bytes of guest memory at 0x9000: ");
    fail_next();
    says(stasis_slots_populate(&rig.slots, 0x9000, 0x2000, &err),
         "taking 0x2000 bytes of memory for the guest at 0x9000: ");
    fake_kvm.counts_system = false;
    assert_int_equal(stasis_slots_add_arena(&rig.slots, 0x800000, 0x2000, 0, &arena, &err), 0);
    says(stasis_slots_unmap(&rig.slots, arena, 0, 5, &err),
         "memory slot 2: 0x5 bytes are not whole pages");
}

static void of_logs(void **state)
{
    uint8_t bitmap[16] = {0};

    (void)state;
    says(stasis_dirty_get(&rig.slots, slot, bitmap, 12, &err),
         "dirty log of memory slot 1: 12 bytes are too few for 13");
    says(stasis_dirty_clear(&rig.slots, slot, 64, 5, bitmap, &err),
         "dirty log of memory slot 1: 5 pages from 64 on are no groups of 64 of its 100");
}

static int init_memory(uint64_t gpa, uint64_t size)
{
    const struct stasis_memory_region layout = {.gpa = gpa, .size = size};

    return stasis_memory_init(&rig.memory, &layout, 1, &err);
}

static void of_memory(void **state)
{
    (void)state;
    says(init_memory(0x2000, 0x1001), "guest memory at 0x2000: 0x1001 bytes are not");
    says(init_memory(UINT64_MAX - 0xfff, 0x2000),
         "guest memory at 0xfffffffffffff000: 0x2000 bytes end behind");
    fail_next();
    says(init_memory(0x2000, 0x300000), "cannot map 3 MiB of guest memory: ");
    fake_kvm.counts_system = false;
    assert_int_equal(init_memory(0x2000, 0x3000), 0);
    says(stasis_memory_write(&rig.memory, 0x4fff, "ab", 2, "text", &err),
         "text: 2 bytes at guest address 0x4fff do not fit");
    says(stasis_memory_discard(&rig.memory, 0x3000, 0x801, &err),
         "0x801 bytes to give back at guest address 0x3000 are");
}

static void of_interrupts_and_breakpoints(void **state)
{
    const struct stasis_vcpu_debug debug = {
        .count = 3, .breakpoints = {{0, STASIS_BREAK_EXECUTE, 1}, {0x1001, STASIS_BREAK_WRITE, 2}}};
    struct stasis_vcpu vcpu = {.fd = -1};
    struct stasis_irq_routes routes;

    (void)state;
    assert_int_equal(stasis_irq_routes_init(&routes, &rig.vm, &err), 0);
    says(stasis_irq_routes_add_msi(&routes, 5000, 0, 0, &err), "interrupt line 5000: KVM has 4096");
    says(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_PIC_SLAVE, 9, &err),
         "there is no pin 9 of interrupt controller 1");
    stasis_irq_routes_fini(&routes);
    says(stasis_vcpu_set_debug(&vcpu, &debug, &err), "breakpoint 1 at 0x1001 has a kind");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(of_slots),
        CASE(of_ranges),
        CASE(of_logs),
        CASE(of_memory),
        CASE(of_interrupts_and_breakpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
