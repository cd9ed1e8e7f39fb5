/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm_pattern.h"
#include "vmm/arch/x86/x86.h"

/* How far two clocks may differ over a given time, and one reading from the next. */
#define RATE_PPM 1000
#define SLACK_NS 1000000

enum { CR0_PE = 1, DATA = 0x3, CODE = 0xb }; /* types of segments that were accessed */

static uint64_t bound(uint64_t elapsed_ns)
{
    return elapsed_ns + elapsed_ns / 1000000 * RATE_PPM + SLACK_NS;
}

/* Went on by no more than the time that passed. */
static void assert_went_on(uint64_t first, uint64_t second, uint64_t most)
{
    assert_in_range(second - first, 0, most);
}

static uint64_t *find_msr(struct stasis_x86_msrs_state *msrs, uint32_t index)
{
    for (uint32_t i = 0; i < msrs->msrs_count; i++) {
        if (msrs->msrs[i].index == index)
            return &msrs->msrs[i].value;
    }
    return NULL;
}

/* What moves on its own: held to its bound, then made equal. The named list:
 *   MSR 0x10 (TSC), kvmclock, ACPI timer, LAPIC current count: by the time that passed at most;
 *   kvmclock's reference points (realtime_ns, host_tsc): host clocks, forward;
 *   generation id: new with each thaw;
 *   RIP: one of the two instructions of kvm_spinning;
 *   type of CS in real mode: Bochs 2.7 makes that of a data segment of it;
 *   machine: time of the freeze, forward; generation, one more with each thaw.
 * The RTC is not here: its clock stands still in these tests. */
static void allow(const struct stasis_schema *schema, void *first, void *second,
                  uint64_t elapsed_ns, uint32_t khz)
{
    if (schema == &stasis_x86_msrs_schema) {
        uint64_t *a = find_msr(first, STASIS_MSR_TSC), *b = find_msr(second, STASIS_MSR_TSC);

        assert_went_on(*a, *b, bound(elapsed_ns) / 1000 * khz / 1000);
        *b = *a;
    } else if (schema == &stasis_x86_clock_schema) {
        struct stasis_x86_clock_state *a = first, *b = second;

        assert_went_on(a->clock_ns, b->clock_ns, bound(elapsed_ns));
        assert_true(b->realtime_ns >= a->realtime_ns && b->host_tsc >= a->host_tsc);
        *b = *a;
    } else if (schema == &stasis_x86_lapic_schema) {
        struct stasis_x86_lapic_state *a = first, *b = second;

        assert_went_on(b->tmcct, a->tmcct, bound(elapsed_ns) / 128 + 1);
        b->tmcct = a->tmcct;
    } else if (schema == &stasis_acpi_timer_schema) {
        struct stasis_acpi_timer_state *a = first, *b = second;

        assert_in_range(b->counter_ns - a->counter_ns, 0, bound(elapsed_ns));
        b->counter_ns = a->counter_ns;
    } else if (schema == &stasis_vmgenid_schema) {
        *(struct stasis_vmgenid_state *)second = *(const struct stasis_vmgenid_state *)first;
    } else if (schema == &stasis_x86_regs_schema) {
        struct stasis_x86_regs_state *a = first, *b = second;

        assert_in_range(b->rip - a->rip + 1, 0, 2);
        b->rip = a->rip;
    } else if (schema == &stasis_x86_sregs_schema) {
        struct stasis_x86_sregs_state *a = first, *b = second;

        if (!(a->cr0 & CR0_PE) && a->cs.type == CODE && b->cs.type == DATA)
            b->cs.type = CODE;
    } else if (schema == &stasis_machine_schema) {
        struct stasis_machine_state *a = first, *b = second;

        assert_int_equal(b->generation, a->generation + 1);
        assert_in_range(b->frozen_realtime_ns - a->frozen_realtime_ns, 0, bound(elapsed_ns));
        b->generation = a->generation;
        b->frozen_realtime_ns = a->frozen_realtime_ns;
    }
}

/* A list of registers that differs: which of them? */
static void name_msr(const struct stasis_x86_msrs_state *a, const struct stasis_x86_msrs_state *b)
{
    for (uint32_t i = 0; i < a->msrs_count && i < b->msrs_count; i++) {
        if (a->msrs[i].index != b->msrs[i].index || a->msrs[i].value != b->msrs[i].value)
            print_error("MSR 0x%x = 0x%llx, MSR 0x%x = 0x%llx\n", a->msrs[i].index,
                        (unsigned long long)a->msrs[i].value, b->msrs[i].index,
                        (unsigned long long)b->msrs[i].value);
    }
}

static void assert_same_record(struct stasis_snap *first, struct stasis_snap *second, size_t index,
                               uint64_t elapsed_ns, uint32_t khz)
{
    struct stasis_record a = stasis_records_at(stasis_snap_records(first), index);
    struct stasis_record b = stasis_records_at(stasis_snap_records(second), index);
    void *x = malloc(a.schema->size), *y = malloc(a.schema->size);

    assert_true(x && y);
    assert_string_equal(a.type, b.type);
    assert_string_equal(a.instance, b.instance);
    kvm_record(first, a.schema, a.instance, x);
    kvm_record(second, a.schema, a.instance, y);
    allow(a.schema, x, y, elapsed_ns, khz);
    if (a.schema == &stasis_x86_msrs_schema)
        name_msr(x, y);
    for (uint32_t i = 0; i < a.schema->field_count; i++) {
        const struct stasis_field *field = &a.schema->fields[i];
        size_t end = i + 1 < a.schema->field_count ? field[1].offset : a.schema->size;

        if (memcmp((uint8_t *)x + field->offset, (uint8_t *)y + field->offset,
                   end - field->offset) != 0)
            fail_msg("%s %s: %s differs", a.type, a.instance, field->name);
    }
    free(x);
    free(y);
}

void kvm_assert_same(struct stasis_snap *first, struct stasis_snap *second, uint64_t elapsed_ns)
{
    size_t count = stasis_records_count(stasis_snap_records(first));
    struct stasis_x86_tsc_state tsc;

    assert_int_equal(stasis_records_count(stasis_snap_records(second)), count);
    kvm_record(first, &stasis_x86_tsc_schema, "cpu0", &tsc);
    for (size_t i = 0; i < count; i++)
        assert_same_record(first, second, i, elapsed_ns, tsc.khz);
}

bool kvm_tsc_is_settable(void)
{
    static struct kvm_guest guest;
    const uint64_t wanted = UINT64_C(123456789);
    uint64_t offset = wanted;
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};

    kvm_guest_init(&guest, NULL);
    if (stasis_x86_of(&guest.machine.vcpus[0])->has_tsc_offset) {
        (void)stasis_kvm_ioctl(guest.machine.vcpus[0].fd, KVM_SET_DEVICE_ATTR, &attr);
        (void)stasis_kvm_ioctl(guest.machine.vcpus[0].fd, KVM_GET_DEVICE_ATTR, &attr);
    }
    kvm_guest_fini(&guest);
    return offset == wanted;
}
