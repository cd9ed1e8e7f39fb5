/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What only VMs of x86 have, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_irq.h"
#include "stasis/kvm_x86.h"

static struct rig rig;
static struct stasis_error err;

static void init_with_chips(void)
{
    rig_init(&rig, NULL, true, 0);
    kvm_ok(stasis_vm_create_irqchip(&rig.vm, &err), &err);
    kvm_ok(stasis_vm_create_pit(&rig.vm, 0, &err), &err);
}

/* ---- chips ---- */

static void pic_state(void)
{
    init_with_chips();
    for (uint32_t chip = 0; chip < 2; chip++) {
        const struct kvm_pic_state state = {
            .last_irr = 0x01,
            .irr = 0x12,
            .imr = 0xff,
            .isr = 0x04,
            .priority_add = 3,
            .irq_base = (uint8_t)(0x20 + chip * 8),
            .read_reg_select = 1,
            .poll = 1,
            .special_mask = 1,
            .init_state = 2,
            .auto_eoi = 1,
            .rotate_on_auto_eoi = 1,
            .special_fully_nested_mode = 1,
            .init4 = 1,
            .elcr = chip ? 0x0e : 0x20,
            .elcr_mask = chip ? 0xde : 0xf8,
        };
        struct kvm_pic_state back;

        kvm_ok(stasis_vm_set_pic(&rig.vm, chip, &state, &err), &err);
        kvm_ok(stasis_vm_get_pic(&rig.vm, chip, &back, &err), &err);
        assert_memory_equal(&back, &state, sizeof(state));
    }
    rig_fini(&rig);
}

static void ioapic_state(void)
{
    struct kvm_ioapic_state state = {.base_address = 0xfec00000, .ioregsel = 2, .id = 4}, back;

    init_with_chips();
    /* Each masked, with a vector and a destination of its own. */
    for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
        state.redirtbl[i].bits = (uint64_t)(i + 1) << 56 | 0x10000 | (0x30 + i);
    kvm_ok(stasis_vm_set_ioapic(&rig.vm, &state, &err), &err);
    kvm_ok(stasis_vm_get_ioapic(&rig.vm, &back, &err), &err);
    assert_int_equal(back.base_address, 0xfec00000);
    assert_int_equal(back.ioregsel, 2);
    assert_int_equal(back.id, 4);
    assert_memory_equal(back.redirtbl, state.redirtbl, sizeof(state.redirtbl));
    assert_int_equal(back.redirtbl[5].fields.vector, 0x35);
    assert_int_equal(back.redirtbl[5].fields.mask, 1);
    assert_int_equal(back.redirtbl[5].fields.dest_id, 6);
    rig_fini(&rig);
}

static void pit_state(void)
{
    struct kvm_pit_state2 state, back;

    init_with_chips();
    kvm_ok(stasis_vm_get_pit(&rig.vm, &state, &err), &err);
    for (unsigned i = 0; i < 3; i++)
        state.channels[i] = (struct kvm_pit_channel_state){.count = 0x4321 + i,
                                                           .latched_count = (uint16_t)(100 + i),
                                                           .count_latched = 1,
                                                           .status_latched = 1,
                                                           .status = 0x12,
                                                           .read_state = 1,
                                                           .write_state = 2,
                                                           .write_latch = 0x77,
                                                           .rw_mode = 3,
                                                           .mode = 4,
                                                           .bcd = 1,
                                                           .gate = i == 2};
    state.flags = KVM_PIT_FLAGS_HPET_LEGACY; /* no timer starts */
    kvm_ok(stasis_vm_set_pit(&rig.vm, &state, &err), &err);
    kvm_ok(stasis_vm_get_pit(&rig.vm, &back, &err), &err);
    for (unsigned i = 0; i < 3; i++) {
        back.channels[i].count_load_time = 0; /* KVM's own */
        assert_memory_equal(&back.channels[i], &state.channels[i], sizeof(state.channels[i]));
    }
    assert_int_equal(back.flags, KVM_PIT_FLAGS_HPET_LEGACY);
    rig_fini(&rig);
}

static void get_pit_and_get_irqchip_without_chip_are_enxio(void)
{
    struct kvm_pic_state pic;
    struct kvm_ioapic_state ioapic;
    struct kvm_pit_state2 pit;

    rig_init(&rig, NULL, false, 0);
    assert_int_equal(stasis_vm_get_pic(&rig.vm, 0, &pic, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(stasis_vm_get_ioapic(&rig.vm, &ioapic, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, ENXIO);
    assert_int_equal(stasis_vm_get_pit(&rig.vm, &pit, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, ENXIO);
    rig_fini(&rig);
}

/* ---- time and pages ---- */

static void clock_handling(void)
{
    struct kvm_clock_data clock, later;

    init_with_chips();
    kvm_ok(stasis_vm_get_clock(&rig.vm, &clock, &err), &err);
    /* With the flags that were read: those that cannot be set are left out. */
    clock.clock += UINT64_C(1000000000000);
    kvm_ok(stasis_vm_set_clock(&rig.vm, &clock, &err), &err);
    kvm_ok(stasis_vm_get_clock(&rig.vm, &later, &err), &err);
    assert_true(later.clock >= clock.clock);
    assert_true(later.clock - clock.clock < UINT64_C(1000000000000));
    clock.flags = UINT32_MAX & ~(uint32_t)KVM_CLOCK_REALTIME;
    kvm_ok(stasis_vm_set_clock(&rig.vm, &clock, &err), &err);
    rig_fini(&rig);
}

static void set_tsc_khz_of_a_vm(void)
{
    int khz;

    rig_init(&rig, NULL, false, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_VM_TSC_CONTROL)) {
        assert_int_equal(stasis_vm_set_tsc_khz(&rig.vm, 2000000, &err), STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    khz = stasis_kvm_ioctl(rig.vm.fd, KVM_GET_TSC_KHZ, NULL);
    assert_true(khz > 0);
    kvm_ok(stasis_vm_set_tsc_khz(&rig.vm, (uint32_t)khz, &err), &err);
    rig_create_vcpu(&rig);
    assert_int_equal(stasis_kvm_ioctl(rig.vcpu_fd, KVM_GET_TSC_KHZ, NULL), khz);
    rig_fini(&rig);
}

static void set_identity_map_addr(void)
{
    rig_init(&rig, NULL, false, 0);
    kvm_ok(stasis_vm_set_identity_map_addr(&rig.vm, 0x20000, &err), &err);
    rig_fini(&rig);
}

static void identity_map_addr_after_a_vcpu_is_einval(void)
{
    rig_init(&rig, NULL, false, 0);
    rig_create_vcpu(&rig);
    assert_int_equal(stasis_vm_set_identity_map_addr(&rig.vm, 0x20000, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    rig_fini(&rig);
}

static void set_platform_info_read_access(void)
{
    rig_init(&rig, NULL, false, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_MSR_PLATFORM_INFO)) {
        assert_int_equal(stasis_vm_allow_platform_info(&rig.vm, false, &err),
                         STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_vm_allow_platform_info(&rig.vm, false, &err), &err);
    kvm_ok(stasis_vm_allow_platform_info(&rig.vm, true, &err), &err);
    rig_fini(&rig);
}

/* ---- MSRs ---- */

/* mov ecx, MSR; rdmsr; wrmsr; hlt, with 32-bit operands */
static void load_msr_guest(uint32_t msr)
{
    uint8_t code[] = {0x66, 0xb9, 0, 0, 0, 0, 0x0f, 0x32, 0x0f, 0x30, 0xf4};

    memcpy(code + 2, &msr, sizeof(msr));
    if (rig.vcpu_fd < 0) {
        rig_create_vcpu(&rig);
        assert_int_equal(stasis_kvm_ioctl(rig.vcpu_fd, KVM_SET_CPUID2, rig.kvm.cpuid), 0);
    }
    rig_load(&rig, code, sizeof(code));
}

static void init_with_filter(const struct stasis_msr_filter *filter)
{
    rig_init(&rig, NULL, true, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_X86_MSR_FILTER) ||
        !stasis_vm_cap(&rig.vm, KVM_CAP_X86_USER_SPACE_MSR)) {
        assert_true(stasis_vm_filter_msrs(&rig.vm, filter, &err) ||
                    stasis_vm_exit_on_msrs(&rig.vm, KVM_MSR_EXIT_REASON_FILTER, &err));
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_vm_exit_on_msrs(&rig.vm, KVM_MSR_EXIT_REASON_FILTER, &err), &err);
    kvm_ok(stasis_vm_filter_msrs(&rig.vm, filter, &err), &err);
}

static void expect_read(uint32_t msr)
{
    load_msr_guest(msr);
    assert_int_equal(rig_run(&rig), KVM_EXIT_X86_RDMSR);
    assert_int_equal(rig.run->msr.index, msr);
    assert_int_equal(rig.run->msr.reason, KVM_MSR_EXIT_REASON_FILTER);
    rig.run->msr.data = 0x1234;
    rig.run->msr.error = 0;
}

/* Those that crosvm skips, 0xc000xxxx and beyond, among them. */
static void set_msr_filter_passes_reads_and_writes_of_all_ranges(void)
{
    static const uint32_t msrs[] = {0x174, 0x277, 0x4b564d01, 0xc0000081, 0xc0000102};
    const struct stasis_msr_filter filter = {
        .reads = msrs, .read_count = 5, .writes = msrs + 1, .write_count = 4};

    init_with_filter(&filter);
    for (size_t i = 0; i < 5; i++) {
        expect_read(msrs[i]);
        if (i > 0) { /* it writes what it has read */
            assert_int_equal(rig_run(&rig), KVM_EXIT_X86_WRMSR);
            assert_int_equal(rig.run->msr.index, msrs[i]);
            assert_int_equal(rig.run->msr.data, 0x1234);
            rig.run->msr.error = 0;
        }
        assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    }
    rig_fini(&rig);
}

static void other_msrs_stay_kvms_and_an_empty_filter_passes_none(void)
{
    static const uint32_t msr = 0x174;
    static const struct stasis_msr_filter filter = {.reads = &msr, .read_count = 1}, none;

    init_with_filter(&filter);
    load_msr_guest(0x175);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    expect_read(msr);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    kvm_ok(stasis_vm_filter_msrs(&rig.vm, &none, &err), &err);
    load_msr_guest(msr);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    rig_fini(&rig);
}

/* Reads of an MSR that is none are an exit, too, for whom asks. */
static void enable_userspace_msr(void)
{
    kvm_skip_if_msrs_are_ignored();
    rig_init(&rig, NULL, true, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_X86_USER_SPACE_MSR)) {
        assert_int_equal(stasis_vm_exit_on_msrs(&rig.vm, 7, &err), STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_vm_exit_on_msrs(&rig.vm,
                                  KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
                                      KVM_MSR_EXIT_REASON_FILTER,
                                  &err),
           &err);
    load_msr_guest(0x3f1f00);
    assert_int_equal(rig_run(&rig), KVM_EXIT_X86_RDMSR);
    assert_int_equal(rig.run->msr.index, 0x3f1f00);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(pic_state),
        KVM_CASE(ioapic_state),
        KVM_CASE(pit_state),
        KVM_CASE(get_pit_and_get_irqchip_without_chip_are_enxio),
        KVM_CASE(clock_handling),
        KVM_CASE(set_tsc_khz_of_a_vm),
        KVM_CASE(set_identity_map_addr),
        KVM_CASE(identity_map_addr_after_a_vcpu_is_einval),
        KVM_CASE(set_platform_info_read_access),
        KVM_CASE(set_msr_filter_passes_reads_and_writes_of_all_ranges),
        KVM_CASE(other_msrs_stay_kvms_and_an_empty_filter_passes_none),
        KVM_CASE(enable_userspace_msr),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
