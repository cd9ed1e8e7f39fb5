/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm_pattern.h"

#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

/* ---- loading ---- */

static void get(struct stasis_vcpu *vcpu, const struct stasis_arch_vcpu_record *part, void *state)
{
    struct stasis_error err;

    stasis_state_init(part->schema, state);
    kvm_ok(part->get(vcpu, state, &err), &err);
}

static void set(struct stasis_vcpu *vcpu, const struct stasis_arch_vcpu_record *part,
                const void *state)
{
    struct stasis_error err;

    kvm_ok(stasis_state_check(part->schema, state, &err), &err);
    kvm_ok(part->set(vcpu, state, &err), &err);
}

static void load_regs(struct stasis_vcpu *vcpu)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_segment_state *const segments[] = {&sregs.ds, &sregs.es, &sregs.fs, &sregs.gs,
                                                         &sregs.ss};
    uint64_t *const general[] = {&regs.rax, &regs.rbx, &regs.rcx, &regs.rdx, &regs.rsi, &regs.rdi,
                                 &regs.rsp, &regs.rbp, &regs.r8,  &regs.r9,  &regs.r10, &regs.r11,
                                 &regs.r12, &regs.r13, &regs.r14, &regs.r15};

    get(vcpu, &stasis_x86_regs_part, &regs);
    for (size_t i = 0; i < 16; i++)
        *general[i] = UINT64_C(0x0101010101010101) * (i + 1) + vcpu->id;
    regs.rflags = 0xcd7; /* all arithmetic flags and DF; interrupts stay off */
    set(vcpu, &stasis_x86_regs_part, &regs);
    get(vcpu, &stasis_x86_sregs_part, &sregs);
    for (size_t i = 0; i < 5; i++) {
        segments[i]->selector = (uint16_t)(0x1110 * (i + 1));
        segments[i]->base = UINT64_C(0x11100) * (i + 1) + 0x10 * vcpu->id;
    }
    sregs.gdt = (struct stasis_x86_dtable_state){.base = 0x12345 + vcpu->id, .limit = 0x5f};
    sregs.idt =
        (struct stasis_x86_dtable_state){.base = 0x54321, .limit = (uint16_t)(0x2ff - vcpu->id)};
    sregs.cr2 = UINT64_C(0x0000123456789abc) + vcpu->id;
    sregs.cr3 = 0x9000;
    sregs.cr8 = 0x5;
    set(vcpu, &stasis_x86_sregs_part, &sregs);
}

static void load_debugregs(struct stasis_vcpu *vcpu)
{
    struct stasis_x86_debugregs_state debug;

    get(vcpu, &stasis_x86_debugregs_part, &debug);
    for (uint64_t i = 0; i < 4; i++)
        debug.db[i] = UINT64_C(0x7000) + i * 0x11 + vcpu->id;
    debug.dr6 |= 0x5;
    set(vcpu, &stasis_x86_debugregs_part, &debug);
}

/* x87 and SSE, and the upper halves of AVX where the guest may have them. */
static void load_vectors(struct stasis_vcpu *vcpu)
{
    static struct stasis_x86_xsave_state xsave;
    const struct stasis_x86_cpuid_state *cpuid = &stasis_x86_of(vcpu)->cpuid;
    struct stasis_x86_xcrs_state xcrs;

    get(vcpu, &stasis_x86_xsave_part, &xsave);
    xsave.xstate_bv = 3;
    xsave.fcw = 0x27f;
    xsave.fsw = 0x3800;
    xsave.ftw = 0xff;
    /* FOP, FIP and FDP stay 0: AMD CPUs forget them unless an exception is pending. */
    xsave.mxcsr = 0x1fa0;
    xsave.st_len = sizeof(xsave.st);
    for (unsigned i = 0; i < 8; i++) {
        /* An 80-bit number with its integer bit; the rest of the 16 bytes is reserved. */
        memset(xsave.st + 16 * i, 0x80 + (int)i, 8);
        memcpy(xsave.st + 16 * i + 8, "\xff\x3f", 2);
    }
    xsave.xmm_len = sizeof(xsave.xmm);
    for (unsigned i = 0; i < sizeof(xsave.xmm); i++)
        xsave.xmm[i] = (uint8_t)(i + 1 + vcpu->id);
    get(vcpu, &stasis_x86_xcrs_part, &xcrs);
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];

        if (leaf->function == 0xd && leaf->index == 0 && leaf->eax & 4)
            xcrs.xcr0 = 7;
    }
    if (xcrs.xcr0 == 7) {
        xsave.xstate_bv = 7;
        xsave.ymm_high_len = sizeof(xsave.ymm_high);
        for (unsigned i = 0; i < sizeof(xsave.ymm_high); i++)
            xsave.ymm_high[i] = (uint8_t)(~i - vcpu->id);
    }
    set(vcpu, &stasis_x86_xsave_part, &xsave);
    set(vcpu, &stasis_x86_xcrs_part, &xcrs);
}

/* Values that both vendors hold: AMD has 32 bits for SYSENTER. */
static const struct stasis_x86_msr_state msr_patterns[] = {
    {0x174, 0x10},                              /* SYSENTER_CS */
    {0x175, 0x33334444},                        /* SYSENTER_ESP */
    {0x176, 0x77778888},                        /* SYSENTER_EIP */
    {0x277, UINT64_C(0x0001040600070106)},      /* PAT */
    {0xc0000081, UINT64_C(0x0023001000000000)}, /* STAR */
    {0xc0000082, UINT64_C(0x00007fff12345678)}, /* LSTAR */
    {0xc0000084, 0x47700},                      /* SYSCALL_MASK */
    {0xc0000102, UINT64_C(0x00007ffe87654321)}, /* KERNEL_GS_BASE */
};
#define MSR_PATTERNS (sizeof(msr_patterns) / sizeof(msr_patterns[0]))

/* From one vCPU to the next, for those that take any address. */
static uint64_t msr_step(size_t i)
{
    switch (msr_patterns[i].index) {
    case 0x175:
    case 0x176:
    case 0xc0000082:
    case 0xc0000102:
        return 1;
    default:
        return 0;
    }
}

static void load_msrs(struct stasis_vcpu *vcpu)
{
    static struct stasis_x86_msrs_state msrs;

    memcpy(msrs.msrs, msr_patterns, sizeof(msr_patterns));
    msrs.msrs_count = MSR_PATTERNS;
    for (size_t i = 0; i < MSR_PATTERNS; i++)
        msrs.msrs[i].value += msr_step(i) * vcpu->id;
    set(vcpu, &stasis_x86_msrs_part, &msrs);
}

static void load_lapic(struct stasis_vcpu *vcpu)
{
    struct stasis_x86_lapic_state lapic;

    get(vcpu, &stasis_x86_lapic_part, &lapic);
    lapic.svr = 0x1ee;
    lapic.ldr = 0x12000000 + (vcpu->id << 24);
    lapic.tpr = 0x50; /* CR8 is its upper half */
    lapic.lvt_thermal = 0x10051;
    lapic.lvt_pmc = 0x10052;
    lapic.lvt_error = 0x10053;
    lapic.lvt_timer = 0x30054; /* periodic, masked: every nine minutes */
    lapic.tdcr = 0xa;          /* by 128 */
    lapic.tmict = UINT32_MAX;
    lapic.tmcct = UINT32_MAX;
    lapic.irr6 = UINT32_C(1) << (16 + vcpu->id % 8);
    set(vcpu, &stasis_x86_lapic_part, &lapic);
}

static void pattern_pic(struct stasis_x86_pic_state *pic, bool master)
{
    pic->imr = master ? 0xba : 0x5e;
    pic->irq_base = master ? 0x30 : 0x38;
    pic->isr = master ? 0x04 : 0x20;
    pic->priority_add = master ? 3 : 5;
    pic->elcr = master ? 0x20 : 0x02;
    pic->init4 = 1;
}

static void pattern_ioapic(struct stasis_x86_ioapic_state *ioapic)
{
    ioapic->id = 0x3000000;
    ioapic->ioregsel = 0x12;
    ioapic->irr |= 1 << 20; /* a line that no device drives */
    for (uint64_t i = 0; i < 24; i++)
        ioapic->redirtbl[i] = (i << 56) | 0x10000 | (0x60 + i); /* masked */
}

/* Counter 0 stays unprogrammed: its interrupt would come and go. */
static void pattern_pit(struct stasis_x86_pit_state *pit)
{
    pit->channels[1] = (struct stasis_x86_pit_channel_state){
        .count = 18, .rw_mode = 1, .mode = 2, .gate = 1, .status = 0x14};
    pit->channels[2] = (struct stasis_x86_pit_channel_state){.count = 0x4321,
                                                             .latched_count = 0x1234,
                                                             .count_latched = 2,
                                                             .read_state = 3,
                                                             .write_state = 4,
                                                             .write_latch = 0x55,
                                                             .rw_mode = 3,
                                                             .mode = 3};
}

static void load_chips(struct kvm_guest *guest)
{
    for (size_t i = 0; stasis_arch_vm_records[i].schema; i++) {
        const struct stasis_arch_vm_record *part = &stasis_arch_vm_records[i];
        struct stasis_error err;
        union {
            struct stasis_x86_pit_state pit;
            struct stasis_x86_pic_state pic;
            struct stasis_x86_ioapic_state ioapic;
            struct stasis_x86_clock_state clock;
        } state;

        stasis_state_init(part->schema, &state);
        kvm_ok(part->get(&guest->machine.vm, part->chip, &state, &err), &err);
        if (part->schema == &stasis_x86_pic_schema)
            pattern_pic(&state.pic, part->chip == KVM_IRQCHIP_PIC_MASTER);
        else if (part->schema == &stasis_x86_ioapic_schema)
            pattern_ioapic(&state.ioapic);
        else if (part->schema == &stasis_x86_pit_schema)
            pattern_pit(&state.pit);
        else
            state.clock.clock_ns = UINT64_C(987654321000000);
        kvm_ok(stasis_state_check(part->schema, &state, &err), &err);
        kvm_ok(part->set(&guest->machine.vm, part->chip, &state, &err), &err);
    }
}

static void pattern_serial(struct stasis_serial_state *serial)
{
    serial->ier = 0x0c;
    serial->fcr = 0xc1;
    serial->lcr = 0x1b;
    serial->mcr = 0x0b;
    serial->lsr_errors = 0x02;
    serial->scr = 0xa5;
    serial->dll = 0x34;
    serial->dlm = 0x12;
    serial->rx_fifo_len = 5;
    memcpy(serial->rx_fifo, "input", 5);
    serial->rx_breaks = 0x4;
    serial->tx_fifo_len = 6;
    memcpy(serial->tx_fifo, "output", 6);
}

/* A driver that has set its queue up and asked for nothing: the rings are RAM of zeros. */
static void pattern_virtio(struct stasis_virtio_mmio_state *mmio)
{
    mmio->driver_features = UINT64_C(1) << 32 | 1 << 29;
    mmio->driver_features_sel = 1;
    mmio->queue_sel = 0x12345678;
    mmio->status = 0x0f;
    mmio->interrupt_status = 1;
    mmio->queues[0] = (struct stasis_virtio_queue_state){
        .size = 16, .ready = 1, .desc = 0xb0000, .driver = 0xb0100, .device = 0xb0200};
}

/* Stopped, so that its flags stay as they are. */
static void pattern_cmos(struct stasis_mc146818_state *cmos)
{
    for (size_t i = 0x0e; i < sizeof(cmos->ram); i++)
        cmos->ram[i] = (uint8_t)(i ^ 0x33);
    cmos->index = 0x41;
    cmos->ram[0x00] = 0x59;
    cmos->ram[0x01] = 0xc0;
    cmos->ram[0x0a] = 0x70;
    cmos->ram[0x0b] = 0xa6;
    cmos->ram[0x0c] = 0x50;
    cmos->counter_ns = 123456789;
}

static void load_devices(struct kvm_guest *guest)
{
    for (uint32_t i = 0; i < guest->machine.devices.count; i++) {
        const struct stasis_device *device = &guest->machine.devices.list[i];
        struct stasis_error err;
        union {
            struct stasis_serial_state serial;
            struct stasis_i8042_state i8042;
            struct stasis_pl031_state rtc;
            struct stasis_acpi_pm_state pm;
            struct stasis_vmgenid_state vmgenid;
            struct stasis_pvpanic_state pvpanic;
            struct stasis_acpi_timer_state timer;
            struct stasis_virtio_rng_state rng;
            struct stasis_mc146818_state cmos;
        } state;

        stasis_state_init(device->type->schema, &state);
        device->type->save(device->instance, &state);
        if (device->type->schema == &stasis_serial_schema)
            pattern_serial(&state.serial);
        else if (device->type->schema == &stasis_pl031_schema)
            state.rtc =
                (struct stasis_pl031_state){UINT64_C(123456789000000000), 123460000, 77, 1, 0};
        else if (device->type->schema == &stasis_acpi_pm_schema)
            state.pm = (struct stasis_acpi_pm_state){0x0100, 0x0020, 0x0802, 0x81, 0x18};
        else if (device->type->schema == &stasis_mc146818_schema)
            pattern_cmos(&state.cmos);
        else if (device->type->schema == &stasis_acpi_timer_schema)
            state.timer.counter_ns = UINT64_C(987654321000000000);
        else if (device->type->schema == &stasis_pvpanic_schema)
            state.pvpanic.events = 2;
        else if (device->type->schema == &stasis_vmgenid_schema)
            memset(&state.vmgenid, 0x3c, sizeof(state.vmgenid));
        else if (device->type->schema == &stasis_virtio_rng_schema)
            pattern_virtio(&state.rng.mmio);
        else
            state.i8042.command_byte = 0x61;
        kvm_ok(stasis_state_check(device->type->schema, &state, &err), &err);
        kvm_ok(device->type->restore(device->instance, &state, &err), &err);
        device->type->post_restore(device->instance);
    }
}

static void load_vcpu(struct stasis_vcpu *vcpu)
{
    load_regs(vcpu);
    load_vectors(vcpu);
    load_debugregs(vcpu);
    load_lapic(vcpu);
    load_msrs(vcpu);
}

void kvm_pattern_load(struct kvm_guest *guest)
{
    guest->sink_blocked = true; /* what the port holds stays there */
    for (uint32_t i = 0; i < guest->machine.vcpu_count; i++)
        load_vcpu(&guest->machine.vcpus[i]);
    load_chips(guest);
    load_devices(guest);
}

/* ---- checking ---- */

static void check_vcpu(struct stasis_snap *snap, uint32_t id)
{
    static struct stasis_x86_xsave_state xsave;
    struct stasis_x86_debugregs_state debug;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_lapic_state lapic;
    struct stasis_x86_regs_state regs;
    char cpu[16];

    snprintf(cpu, sizeof(cpu), "cpu%u", id);
    kvm_record(snap, &stasis_x86_regs_schema, cpu, &regs);
    assert_int_equal(regs.rax, UINT64_C(0x0101010101010101) + id);
    assert_int_equal(regs.rdi, UINT64_C(0x0606060606060606) + id);
    assert_int_equal(regs.r15, UINT64_C(0x1010101010101010) + id);
    assert_int_equal(regs.rflags, 0xcd7);
    kvm_record(snap, &stasis_x86_sregs_schema, cpu, &sregs);
    assert_int_equal(sregs.fs.base, 0x33300 + 0x10 * id);
    assert_int_equal(sregs.fs.selector, 0x3330);
    assert_int_equal(sregs.gdt.base, 0x12345 + id);
    assert_int_equal(sregs.idt.limit, 0x2ff - id);
    assert_int_equal(sregs.cr2, UINT64_C(0x0000123456789abc) + id);
    assert_int_equal(sregs.cr8, 5);
    kvm_record(snap, &stasis_x86_debugregs_schema, cpu, &debug);
    assert_int_equal(debug.db[2], 0x7022 + id);
    kvm_record(snap, &stasis_x86_xsave_schema, cpu, &xsave);
    assert_int_equal(xsave.fcw, 0x27f);
    assert_int_equal(xsave.mxcsr, 0x1fa0);
    assert_int_equal(xsave.st[16], 0x81);
    assert_int_equal(xsave.xmm[255], id);
    assert_int_equal(xsave.xmm[100], 101 + id);
    if (xsave.xstate_bv & 4)
        assert_int_equal(xsave.ymm_high[100], (0xff & ~100) - id);
    kvm_record(snap, &stasis_x86_lapic_schema, cpu, &lapic);
    assert_int_equal(lapic.lvt_pmc, 0x10052);
    assert_int_equal(lapic.irr6, UINT32_C(1) << (16 + id % 8));
    assert_int_equal(lapic.tpr, 0x50);
    for (size_t i = 0; i < MSR_PATTERNS; i++)
        assert_int_equal(kvm_record_vcpu_msr(snap, cpu, msr_patterns[i].index),
                         msr_patterns[i].value + msr_step(i) * id);
}

void kvm_pattern_check(struct stasis_snap *snap)
{
    struct stasis_x86_pic_state pic;
    struct stasis_x86_ioapic_state ioapic;
    struct stasis_x86_pit_state pit;
    struct stasis_serial_state serial;
    struct stasis_pl031_state rtc;
    struct stasis_acpi_pm_state pm;
    struct stasis_virtio_rng_state rng;
    struct stasis_mc146818_state cmos;
    struct stasis_board_state board;

    kvm_record(snap, &stasis_board_schema, STASIS_INSTANCE_VM, &board);
    for (uint32_t id = 0; id < board.vcpus; id++)
        check_vcpu(snap, id);
    kvm_record(snap, &stasis_x86_pic_schema, "slave", &pic);
    assert_int_equal(pic.imr, 0x5e);
    assert_int_equal(pic.irq_base, 0x38);
    kvm_record(snap, &stasis_x86_ioapic_schema, "ioapic", &ioapic);
    assert_int_equal(ioapic.irr, 1 << 20 | 1 << 16 | 1 << 4); /* 16 is up: the rng's */
    assert_int_equal(ioapic.redirtbl[23], UINT64_C(0x1700000000010077));
    kvm_record(snap, &stasis_x86_pit_schema, "pit", &pit);
    assert_int_equal(pit.channels[2].count, 0x4321);
    kvm_record(snap, &stasis_serial_schema, "com1", &serial);
    assert_int_equal(serial.rx_fifo_len, 5);
    assert_memory_equal(serial.tx_fifo, "output", 6);
    kvm_record(snap, &stasis_pl031_schema, "pl031", &rtc);
    assert_int_equal(rtc.mr, 123460000);
    kvm_record(snap, &stasis_acpi_pm_schema, "pm", &pm);
    assert_int_equal(pm.pm1_sts, 0x0100);
    assert_int_equal(pm.gpe0_sts, 0x81);
    kvm_record(snap, &stasis_virtio_rng_schema, "rng", &rng);
    assert_int_equal(rng.mmio.queue_sel, 0x12345678);
    assert_int_equal(rng.mmio.interrupt_status, 1);
    assert_int_equal(rng.mmio.queues[0].device, 0xb0200);
    kvm_record(snap, &stasis_mc146818_schema, "rtc", &cmos);
    assert_int_equal(cmos.index, 0x41);
    assert_int_equal(cmos.ram[0x0c], 0x50);
    assert_int_equal(cmos.ram[0x7f], 0x7f ^ 0x33);
    assert_int_equal(cmos.counter_ns, 123456789);
}
