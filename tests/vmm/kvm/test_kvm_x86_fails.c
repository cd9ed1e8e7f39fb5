/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What only VMs of x86 have, refused or failing, without KVM.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <string.h>

#include "stasis/kvm_x86.h"

static const struct stasis_vm fake = {.fd = -1};

/* ---- every call fails once ---- */

static int use_chips(const struct stasis_vm *vm, struct stasis_error *err)
{
    struct kvm_pic_state pic;
    struct kvm_ioapic_state ioapic;
    struct kvm_pit_state2 pit;
    int rc;

    failing_fill(pic);
    failing_fill(ioapic);
    failing_fill(pit);
    rc = stasis_vm_get_pic(vm, 1, &pic, err);
    failing_unchanged(rc, pic);
    if (!rc)
        rc = stasis_vm_set_pic(vm, 1, &pic, err);
    if (!rc) {
        rc = stasis_vm_get_ioapic(vm, &ioapic, err);
        failing_unchanged(rc, ioapic);
    }
    if (!rc)
        rc = stasis_vm_set_ioapic(vm, &ioapic, err);
    if (!rc) {
        rc = stasis_vm_get_pit(vm, &pit, err);
        failing_unchanged(rc, pit);
    }
    return rc ? rc : stasis_vm_set_pit(vm, &pit, err);
}

static int use_rest(const struct stasis_vm *vm, struct stasis_error *err)
{
    static const uint32_t msrs[] = {0x10, 0xc0000080};
    static const struct stasis_msr_filter filter = {msrs, 2, msrs, 1};
    struct kvm_clock_data clock;
    int rc;

    failing_fill(clock);
    rc = stasis_vm_get_clock(vm, &clock, err);
    failing_unchanged(rc, clock);
    if (!rc)
        rc = stasis_vm_set_clock(vm, &clock, err);
    if (!rc)
        rc = stasis_vm_set_tss_addr(vm, 0xfffbd000, err);
    if (!rc)
        rc = stasis_vm_set_identity_map_addr(vm, 0xfffbc000, err);
    if (!rc)
        rc = stasis_vm_exit_on_msrs(vm, KVM_MSR_EXIT_REASON_FILTER, err);
    if (!rc)
        rc = stasis_vm_filter_msrs(vm, &filter, err);
    return rc ? rc : stasis_vm_allow_platform_info(vm, true, err);
}

static int use_all(struct stasis_error *err)
{
    struct stasis_kvm kvm = {.fd = -1};
    struct stasis_vm vm = {.fd = -1};
    int rc = stasis_kvm_open(&kvm, err);

    if (!rc)
        rc = stasis_vm_create(&vm, &kvm, NULL, err);
    if (!rc)
        rc = use_chips(&vm, err);
    if (!rc)
        rc = use_rest(&vm, err);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
    return rc;
}

static void every_call_fails_once(void **state)
{
    (void)state;
    fake_kvm.answer = NULL;
    failing_run(use_all, 0);
}

/* ---- chips ---- */

static struct kvm_irqchip chip_seen;

static bool answers_chip(unsigned long request, void *arg, int *ret_result)
{
    if (request != KVM_GET_IRQCHIP && request != KVM_SET_IRQCHIP)
        return false;
    chip_seen = *(struct kvm_irqchip *)arg;
    if (request == KVM_GET_IRQCHIP)
        memset(&((struct kvm_irqchip *)arg)->chip, 0x30 + (int)chip_seen.chip_id, 512);
    *ret_result = 0;
    return true;
}

static void states_are_those_of_the_chip_asked_for(void **state)
{
    struct kvm_pic_state pic;
    struct kvm_ioapic_state ioapic;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_chip};
    assert_int_equal(stasis_vm_get_pic(&fake, 1, &pic, &err), 0);
    assert_int_equal(pic.irr, 0x31);
    assert_int_equal(stasis_vm_set_pic(&fake, 0, &pic, &err), 0);
    assert_int_equal(chip_seen.chip_id, 0);
    assert_int_equal(chip_seen.chip.pic.elcr_mask, 0x31);
    assert_int_equal(stasis_vm_get_ioapic(&fake, &ioapic, &err), 0);
    assert_int_equal(ioapic.redirtbl[23].bits, 0x3232323232323232);
    ioapic.id = 5;
    assert_int_equal(stasis_vm_set_ioapic(&fake, &ioapic, &err), 0);
    assert_int_equal(chip_seen.chip_id, KVM_IRQCHIP_IOAPIC);
    assert_int_equal(chip_seen.chip.ioapic.id, 5);
    assert_int_equal(stasis_vm_get_pic(&fake, 2, &pic, &err), STASIS_ERR_RANGE);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(stasis_vm_set_pic(&fake, 2, &pic, &err), STASIS_ERR_RANGE);
}

static int pins_answered;

static bool answers_pins(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    *ret_result = pins_answered;
    return request == KVM_CHECK_EXTENSION;
}

static void pins_are_24_to_120(void **state)
{
    static const struct {
        int answered;
        uint32_t pins;
    } cases[] = {{0, 24}, {-1, 24}, {23, 24}, {24, 24}, {48, 48}, {120, 120}, {121, 120}};

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_pins};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pins_answered = cases[i].answered;
        assert_int_equal(stasis_vm_ioapic_pins(&fake), cases[i].pins);
    }
}

/* ---- time and pages ---- */

static struct kvm_clock_data clock_seen;
static int known_flags;

static bool answers_clock(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_SET_CLOCK)
        clock_seen = *(struct kvm_clock_data *)arg;
    *ret_result = request == KVM_CHECK_EXTENSION ? known_flags : 0;
    return request == KVM_SET_CLOCK || request == KVM_CHECK_EXTENSION;
}

static void only_flags_that_can_be_set_are_passed_on(void **state)
{
    const struct kvm_clock_data clock = {.clock = 7, .flags = 0xe, .realtime = 9, .host_tsc = 11};

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_clock};
    known_flags = 0xe;
    assert_int_equal(stasis_vm_set_clock(&fake, &clock, NULL), 0);
    assert_int_equal(clock_seen.flags, KVM_CLOCK_REALTIME);
    assert_int_equal(clock_seen.clock, 7);
    assert_int_equal(clock_seen.realtime, 9);
    known_flags = KVM_CLOCK_TSC_STABLE; /* before Linux 5.16 */
    assert_int_equal(stasis_vm_set_clock(&fake, &clock, NULL), 0);
    assert_int_equal(clock_seen.flags, 0);
}

/* Somebody may have read the time of day just before. */
static void a_clock_without_flags_is_set_by_one_call(void **state)
{
    const struct kvm_clock_data clock = {.clock = 7, .flags = KVM_CLOCK_TSC_STABLE};

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_clock};
    assert_int_equal(stasis_vm_set_clock(&fake, &clock, NULL), 0);
    assert_int_equal(fake_kvm.count, 1);
    assert_int_equal(clock_seen.clock, 7);
}

static unsigned long request_seen;
static uint64_t value_seen;

static bool answers_value(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_CHECK_EXTENSION)
        return false;
    request_seen = request;
    value_seen = request == KVM_SET_IDENTITY_MAP_ADDR ? *(uint64_t *)arg : (uintptr_t)arg;
    *ret_result = 0;
    return true;
}

static void addresses_and_rates_are_passed_on(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_value};
    assert_int_equal(stasis_vm_set_tss_addr(&fake, 0xfffbd000, NULL), 0);
    assert_true(request_seen == KVM_SET_TSS_ADDR);
    assert_int_equal(value_seen, 0xfffbd000);
    assert_int_equal(stasis_vm_set_identity_map_addr(&fake, 0xfffbc000, NULL), 0);
    assert_int_equal(value_seen, 0xfffbc000);
    assert_int_equal(stasis_vm_set_tsc_khz(&fake, 2600000, NULL), 0);
    assert_true(request_seen == KVM_SET_TSC_KHZ);
    assert_int_equal(value_seen, 2600000);
}

static bool answers_einval(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    errno = EINVAL;
    *ret_result = -1;
    return request == KVM_SET_TSC_KHZ;
}

static void a_rate_that_kvm_refuses_is_named(void **state)
{
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_einval};
    assert_int_equal(stasis_vm_set_tsc_khz(&fake, 1300000, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    assert_non_null(strstr(err.msg, "1300000"));
}

static void a_kvm_without_them_says_so(void **state)
{
    static const struct stasis_msr_filter none;
    struct stasis_error err;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_pins};
    pins_answered = 0;
    assert_int_equal(stasis_vm_set_tsc_khz(&fake, 1, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, ENOTTY);
    assert_int_equal(stasis_vm_filter_msrs(&fake, &none, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(stasis_vm_exit_on_msrs(&fake, 1, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "exits for MSRs"));
    assert_int_equal(stasis_vm_allow_platform_info(&fake, true, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "MSR_PLATFORM_INFO"));
}

/* ---- the filter ---- */

static struct kvm_msr_filter filter_seen;
static uint8_t bitmaps_seen[16][0x600];

static bool answers_filter(unsigned long request, void *arg, int *ret_result)
{
    if (request != KVM_X86_SET_MSR_FILTER)
        return false;
    filter_seen = *(struct kvm_msr_filter *)arg;
    for (size_t i = 0; i < 16; i++) {
        if (filter_seen.ranges[i].nmsrs)
            memcpy(bitmaps_seen[i], filter_seen.ranges[i].bitmap,
                   (filter_seen.ranges[i].nmsrs + 7) / 8);
    }
    *ret_result = 0;
    return true;
}

/* As KVM decides: the first range that has the MSR and the kind of access. */
static bool is_passed(uint32_t msr, uint32_t kind)
{
    for (size_t i = 0; i < 16; i++) {
        const struct kvm_msr_filter_range *range = &filter_seen.ranges[i];

        if (range->flags & kind && msr >= range->base && msr - range->base < range->nmsrs)
            return !(bitmaps_seen[i][(msr - range->base) / 8] >> (msr - range->base) % 8 & 1);
    }
    return false;
}

static int set_filter(const uint32_t *reads, size_t read_count, const uint32_t *writes,
                      size_t write_count, struct stasis_error *err)
{
    const struct stasis_msr_filter filter = {reads, read_count, writes, write_count};

    fake_kvm = (struct fake_kvm){.answer = answers_filter};
    memset(&filter_seen, 0, sizeof(filter_seen));
    return stasis_vm_filter_msrs(&fake, &filter, err);
}

static bool is_in(uint32_t msr, const uint32_t *msrs, size_t count)
{
    bool found = false;

    for (size_t i = 0; i < count; i++)
        found |= msrs[i] == msr;
    return found;
}

static void exactly_the_msrs_named_are_passed(void **state)
{
    static const uint32_t reads[] = {0xc0000102, 0x10,       0x2fff,     0x3000,     0x300f, 0,
                                     0xc0000080, 0xc0010117, 0x4b564d01, UINT32_MAX, 0x10};
    static const uint32_t writes[] = {0x11, 0xc0000081};
    static const uint32_t bases[] = {0, 0x2ff0, 0x4b564c00, 0xc0000000, 0xc0010000, 0xffffff00};

    (void)state;
    assert_int_equal(set_filter(reads, 11, writes, 2, NULL), 0);
    assert_int_equal(filter_seen.flags, KVM_MSR_FILTER_DEFAULT_ALLOW);
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        for (uint32_t j = 0; j < 0x200 && bases[i] + j >= bases[i]; j++) {
            assert_int_equal(is_passed(bases[i] + j, KVM_MSR_FILTER_READ),
                             is_in(bases[i] + j, reads, 11));
            assert_int_equal(is_passed(bases[i] + j, KVM_MSR_FILTER_WRITE),
                             is_in(bases[i] + j, writes, 2));
        }
    }
}

static void a_range_has_as_many_msrs_as_its_bitmap(void **state)
{
    static const uint32_t last[] = {0x100000, 0x100000 + 12287},
                          next[] = {0x100000, 0x100000 + 12288};

    (void)state;
    assert_int_equal(set_filter(last, 2, NULL, 0, NULL), 0);
    assert_int_equal(filter_seen.ranges[0].nmsrs, 12288);
    assert_int_equal(filter_seen.ranges[1].nmsrs, 0);
    assert_true(is_passed(last[1], KVM_MSR_FILTER_READ));
    assert_int_equal(set_filter(next, 2, NULL, 0, NULL), 0);
    assert_int_equal(filter_seen.ranges[0].nmsrs, 1);
    assert_int_equal(filter_seen.ranges[1].nmsrs, 1);
    assert_true(is_passed(next[1], KVM_MSR_FILTER_READ));
}

static void more_than_16_ranges_are_refused(void **state)
{
    struct stasis_error err;
    uint32_t msrs[17];

    (void)state;
    for (uint32_t i = 0; i < 17; i++)
        msrs[i] = 0x10000 * (i + 1);
    assert_int_equal(set_filter(msrs, 16, NULL, 0, &err), 0);
    assert_int_equal(filter_seen.ranges[15].base, 0x100000);
    assert_int_equal(set_filter(msrs, 17, NULL, 0, &err), STASIS_ERR_FULL);
    assert_int_equal(err.os_errno, E2BIG);
    assert_int_equal(filter_seen.ranges[0].nmsrs, 0); /* KVM was not asked */
    assert_int_equal(set_filter(msrs, 10, msrs, 7, &err), STASIS_ERR_FULL);
    assert_int_equal(set_filter(msrs, 10, msrs, 6, &err), 0);
}

static void msrs_of_the_x2apic_are_refused(void **state)
{
    static const uint32_t inside[] = {0x10, 0x800, 0x8ff}, around[] = {0x7ff, 0x900};
    struct stasis_error err;

    (void)state;
    assert_int_equal(set_filter(around, 2, around, 2, &err), 0);
    assert_int_equal(set_filter(inside, 2, NULL, 0, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(set_filter(inside + 2, 1, NULL, 0, &err), STASIS_ERR_ARG);
    assert_int_equal(set_filter(inside, 1, inside, 3, &err), STASIS_ERR_ARG);
}

static void an_empty_filter_is_passed_on(void **state)
{
    (void)state;
    assert_int_equal(set_filter(NULL, 0, NULL, 0, NULL), 0);
    assert_int_equal(fake_kvm_first(KVM_X86_SET_MSR_FILTER) != SIZE_MAX, true);
    assert_int_equal(filter_seen.flags, KVM_MSR_FILTER_DEFAULT_ALLOW);
    assert_false(is_passed(0x10, KVM_MSR_FILTER_READ));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(states_are_those_of_the_chip_asked_for),
        cmocka_unit_test(pins_are_24_to_120),
        cmocka_unit_test(only_flags_that_can_be_set_are_passed_on),
        cmocka_unit_test(a_clock_without_flags_is_set_by_one_call),
        cmocka_unit_test(addresses_and_rates_are_passed_on),
        cmocka_unit_test(a_rate_that_kvm_refuses_is_named),
        cmocka_unit_test(a_kvm_without_them_says_so),
        cmocka_unit_test(exactly_the_msrs_named_are_passed),
        cmocka_unit_test(a_range_has_as_many_msrs_as_its_bitmap),
        cmocka_unit_test(more_than_16_ranges_are_refused),
        cmocka_unit_test(msrs_of_the_x2apic_are_refused),
        cmocka_unit_test(an_empty_filter_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
