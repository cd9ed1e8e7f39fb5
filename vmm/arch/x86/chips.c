/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The interrupt controllers and the timer inside KVM: local APIC, PICs, I/O APIC, PIT.
 */
#include <inttypes.h>
#include <string.h>

#include "stasis/kvm_irq.h"
#include "stasis/kvm_x86.h"
#include "vmm/arch/x86/x86.h"

/* ---- local APIC ---- */

/* Of the register that the row with this id is. */
#define LAPIC_OFFSET(id) (((size_t)(id)-1) * 0x10)

static int lapic_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_lapic_state *to = ret_state;
    struct kvm_lapic_state lapic;
    int rc = stasis_vcpu_get_lapic(vcpu, &lapic, err);

    if (rc)
        return rc;
#define STASIS_INT(id, type, name, since, def, mask, doc)                                          \
    memcpy(&to->name, lapic.regs + LAPIC_OFFSET(id), sizeof(to->name));
#include "stasis/state/x86_lapic.def"
#undef STASIS_INT
    return 0;
}

static int lapic_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_lapic_state *from = state;
    struct kvm_lapic_state lapic = {.regs = {0}};

#define STASIS_INT(id, type, name, since, def, mask, doc)                                          \
    memcpy(lapic.regs + LAPIC_OFFSET(id), &from->name, sizeof(from->name));
#include "stasis/state/x86_lapic.def"
#undef STASIS_INT
    return stasis_vcpu_set_lapic(vcpu, &lapic, err);
}

/* KVM shows the id in bits 31 to 24 in xAPIC and in x2APIC mode, unless it is told otherwise
 * (KVM_CAP_X2APIC_API). Interrupts are sent by it. */
static int lapic_check_id(const void *state, uint32_t id, struct stasis_error *err)
{
    const struct stasis_x86_lapic_state *lapic = state;

    if (lapic->id == id << 24)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the APIC id register of vCPU %" PRIu32 " is 0x%08" PRIx32
                       " instead of 0x%08" PRIx32 ": its number",
                       id, lapic->id, id << 24);
}

const struct stasis_arch_vcpu_record stasis_x86_lapic_part = {.schema = &stasis_x86_lapic_schema,
                                                              .get = lapic_get,
                                                              .set = lapic_set,
                                                              .check_id = lapic_check_id};

/* ---- PICs ---- */

static int pic_get(struct stasis_vm *vm, uint32_t chip, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_pic_state *to = ret_state;
    struct kvm_pic_state pic;
    const struct kvm_pic_state *from = &pic;
    int rc = stasis_vm_get_pic(vm, chip, &pic, err);

    if (rc)
        return rc;
#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_pic.def"
#undef STASIS_INT
    return 0;
}

static int pic_set(struct stasis_vm *vm, uint32_t chip, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_pic_state *from = state;
    struct kvm_pic_state pic = {.irr = 0};
    struct kvm_pic_state *to = &pic;

#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_pic.def"
#undef STASIS_INT
    return stasis_vm_set_pic(vm, chip, &pic, err);
}

/* ---- I/O APIC ---- */

static int ioapic_get(struct stasis_vm *vm, uint32_t chip, void *ret_state,
                      struct stasis_error *err)
{
    struct stasis_x86_ioapic_state *to = ret_state;
    struct kvm_ioapic_state ioapic;
    const struct kvm_ioapic_state *from = &ioapic;
    int rc = stasis_vm_get_ioapic(vm, &ioapic, err);

    (void)chip;
    if (rc)
        return rc;
    STASIS_X86_COPY(base_address)
    STASIS_X86_COPY(ioregsel)
    STASIS_X86_COPY(id)
    STASIS_X86_COPY(irr)
    _Static_assert(sizeof(to->redirtbl) == sizeof(from->redirtbl), "pins differ in number");
    for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
        to->redirtbl[i] = from->redirtbl[i].bits;
    return 0;
}

static int ioapic_set(struct stasis_vm *vm, uint32_t chip, const void *state,
                      struct stasis_error *err)
{
    const struct stasis_x86_ioapic_state *from = state;
    struct kvm_ioapic_state ioapic = {.pad = 0};
    struct kvm_ioapic_state *to = &ioapic;

    (void)chip;
    STASIS_X86_COPY(base_address)
    STASIS_X86_COPY(ioregsel)
    STASIS_X86_COPY(id)
    STASIS_X86_COPY(irr)
    for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
        to->redirtbl[i].bits = from->redirtbl[i];
    return stasis_vm_set_ioapic(vm, &ioapic, err);
}

/* ---- PIT ---- */

#define PIT_GSI 0

static void channel_get(struct stasis_x86_pit_channel_state *to,
                        const struct kvm_pit_channel_state *from)
{
#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_pit_channel.def"
#undef STASIS_INT
}

/* count_load_time stays 0: KVM starts the period anew when it takes the state. */
static void channel_set(struct kvm_pit_channel_state *to,
                        const struct stasis_x86_pit_channel_state *from)
{
#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_pit_channel.def"
#undef STASIS_INT
}

static int pit_get(struct stasis_vm *vm, uint32_t chip, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_pit_state *to = ret_state;
    struct kvm_pit_state2 pit;
    int rc = stasis_vm_get_pit(vm, &pit, err);

    (void)chip;
    if (rc)
        return rc;
    to->channels_count = 3;
    for (int i = 0; i < 3; i++)
        channel_get(&to->channels[i], &pit.channels[i]);
    to->flags = pit.flags;
    return 0;
}

/* KVM's PIT raises its line and lowers it at once. Controllers that were read in between hold a
 * line that is up: its next edge would not be seen, and so never be acknowledged, and KVM would
 * inject no other (as below). What is pending stays. */
static int pit_set(struct stasis_vm *vm, uint32_t chip, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_pit_state *from = state;
    struct kvm_pit_state2 pit = {.flags = from->flags};

    (void)chip;
    stasis_vm_set_irq(vm, PIT_GSI, false);
    for (int i = 0; i < 3; i++)
        channel_set(&pit.channels[i], &from->channels[i]);
    return stasis_vm_set_pit(vm, &pit, err);
}

/* The controllers before the PIT: KVM_SET_PIT2 starts its timer, which raises IRQ 0 by itself, and
 * KVM_SET_IRQCHIP overwrites what is pending. An interrupt lost between the two is never
 * acknowledged, and KVM injects no other before that (i8254.c, irq_ack): the guest's tick is gone.
 * The clock last, as near as can be to the moment the guest runs; but before it, else the guest
 * sees time jump (cloud-hypervisor #7930).
 *
 * Read in the opposite order: the clock as near to the pause, and the PIT before the controllers,
 * which then hold an interrupt that its timer raises in between. The TSCs follow the clock
 * (clocks.c). */
const struct stasis_arch_vm_record stasis_arch_vm_records[] = {
    {&stasis_x86_pic_schema, "master", KVM_IRQCHIP_PIC_MASTER, pic_get, pic_set, NULL},
    {&stasis_x86_pic_schema, "slave", KVM_IRQCHIP_PIC_SLAVE, pic_get, pic_set, NULL},
    {&stasis_x86_ioapic_schema, "ioapic", KVM_IRQCHIP_IOAPIC, ioapic_get, ioapic_set, NULL},
    {&stasis_x86_pit_schema, "pit", 0, pit_get, pit_set, NULL},
    {&stasis_x86_clock_schema, "kvmclock", 0, stasis_x86_clock_get, stasis_x86_clock_set,
     stasis_x86_clock_set_advanced},
    {NULL, NULL, 0, NULL, NULL, NULL},
};

const struct stasis_arch_vm_record *stasis_arch_vm_clock(void)
{
    const struct stasis_arch_vm_record *row = stasis_arch_vm_records;

    while (!row->set_advanced)
        row++;
    return row;
}
