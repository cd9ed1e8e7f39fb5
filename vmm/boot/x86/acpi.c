/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/acpi.h"

#include <inttypes.h>
#include <string.h>

#include "stasis/acpi_pm.h"
#include "stasis/acpi_timer.h"
#include "stasis/mc146818.h"
#include "vmm/boot/x86/acpi_tables.h"
#include "vmm/boot/x86/boot_x86.h"
#include "vmm/boot/x86/lines.h"
#include "vmm/boot/x86/mptable.h"
#include "vmm/machine/board.h"

#define TABLE_ALIGN 64 /* the FACS asks for it; the others do not mind */

#define SCI 9

/* Without the device: PM1 registers that are not there (acpi.h says what they are worth). */
#define PM1A_EVT     0x600
#define PM1A_EVT_LEN 4
#define PM1A_CNT     (PM1A_EVT + STASIS_ACPI_PM_CNT_OFFSET)
#define PM1A_CNT_LEN 2
#define GPE0_LEN     (STASIS_ACPI_PM_SIZE - STASIS_ACPI_PM_GPE_OFFSET)

/* 5.2.9.3: LEGACY_DEVICES is set for the PIT and PICs that KVM models. */
#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_8042           (1u << 1)
#define BOOT_NO_VGA         (1u << 2)
#define BOOT_NO_CMOS_RTC    (1u << 5)

/* 5.2.9, table 5.10. The buttons' and FIX_RTC bits mean "not in the fixed registers". */
#define FADT_WBINVD       (1u << 0)
#define FADT_PROC_C1      (1u << 2)
#define FADT_PWR_BUTTON   (1u << 4)
#define FADT_SLP_BUTTON   (1u << 5)
#define FADT_FIX_RTC      (1u << 6)
#define FADT_TMR_VAL_EXT  (1u << 8) /* 32 bits */
#define FADT_RESET_REG    (1u << 10)
#define FADT_NO_C2        101 /* latencies above 100 and 1000 µs: no such state */
#define FADT_NO_C3        1001
#define I8042_COMMAND     4 /* offset of the command port; 0xfe pulses the CPU's reset line */
#define I8042_PULSE_RESET 0xfe

#define MADT_PCAT_COMPAT   1u
#define MADT_LAPIC         0
#define MADT_IOAPIC        1
#define MADT_OVERRIDE      2
#define MADT_NMI           4
#define MADT_LAPIC_ENABLED 1u
#define MADT_ALL_CPUS      0xff
#define ISA_LINES          16

#define SPACE_IO    1
#define ACCESS_BYTE 1
#define ACCESS_WORD 2
#define ACCESS_LONG 3

void stasis_acpi_header_init(struct stasis_acpi_header *header, const char *signature,
                             uint8_t revision, uint32_t length)
{
    memset(header, 0, sizeof(*header));
    memcpy(header->signature, signature, sizeof(header->signature));
    header->length = length;
    header->revision = revision;
    memcpy(header->oem_id, "STASIS", sizeof(header->oem_id));
    memcpy(header->oem_table_id, "MICROVM ", sizeof(header->oem_table_id));
    header->oem_revision = 1;
    memcpy(header->creator_id, "STAS", sizeof(header->creator_id));
    header->creator_revision = 1;
}

uint64_t stasis_acpi_arena_next(struct stasis_acpi_arena *arena)
{
    static const uint8_t zeros[TABLE_ALIGN];

    stasis_append_put(&arena->out, zeros, -arena->out.len & (TABLE_ALIGN - 1));
    return arena->gpa + arena->out.len;
}

/* Closes the table that begins at `gpa` and reaches to the arena's end. */
static void finish_table(struct stasis_acpi_arena *arena, uint64_t gpa)
{
    struct stasis_acpi_header header;
    uint8_t *table = arena->out.bytes + (gpa - arena->gpa);

    if (arena->out.overflow)
        return;
    memcpy(&header, table, sizeof(header));
    header.length = (uint32_t)(arena->gpa + arena->out.len - gpa);
    memcpy(table, &header, sizeof(header));
    header.checksum = stasis_table_checksum(table, header.length);
    memcpy(table, &header, sizeof(header));
}

static int put_dsdt(struct stasis_acpi_arena *arena, const struct stasis_board_state *board,
                    uint64_t *ret_gpa, struct stasis_error *err)
{
    struct stasis_acpi_header header;
    uint64_t gpa = stasis_acpi_arena_next(arena);
    int rc;

    stasis_acpi_header_init(&header, "DSDT", 2, sizeof(header));
    stasis_append_put(&arena->out, &header, sizeof(header));
    rc = stasis_acpi_dsdt_put(arena, board, err);
    if (rc)
        return rc;
    finish_table(arena, gpa);
    *ret_gpa = gpa;
    return 0;
}

static uint64_t put_facs(struct stasis_acpi_arena *arena)
{
    const struct stasis_acpi_facs facs = {
        .signature = {'F', 'A', 'C', 'S'}, .length = sizeof(facs), .version = 2};
    uint64_t gpa = stasis_acpi_arena_next(arena);

    stasis_append_put(&arena->out, &facs, sizeof(facs));
    return gpa;
}

static const struct stasis_board_device_state *find(const struct stasis_board_state *board,
                                                    const char *type)
{
    return stasis_board_find(board, type, STASIS_BUS_PIO);
}

static struct stasis_acpi_gas io_ports(uint64_t base, unsigned bytes, uint8_t access)
{
    return (struct stasis_acpi_gas){
        .space = SPACE_IO, .bits = (uint8_t)(bytes * 8), .access = access, .addr = base};
}

/* PM1 and GPE0, with a power button among them. */
static void describe_pm(struct stasis_acpi_fadt *fadt, const struct stasis_board_state *board)
{
    const struct stasis_board_device_state *pm = find(board, "stasis.acpi_pm");
    uint64_t gpe0;

    if (!pm)
        return;
    gpe0 = pm->base + STASIS_ACPI_PM_GPE_OFFSET;
    fadt->sci_int = (uint16_t)pm->gsi;
    fadt->pm1a_evt = (uint32_t)pm->base;
    fadt->pm1a_cnt = (uint32_t)(pm->base + STASIS_ACPI_PM_CNT_OFFSET);
    fadt->gpe0 = (uint32_t)gpe0;
    fadt->gpe0_len = GPE0_LEN;
    fadt->x_pm1a_evt.addr = fadt->pm1a_evt;
    fadt->x_pm1a_cnt.addr = fadt->pm1a_cnt;
    fadt->x_gpe0 = io_ports(gpe0, GPE0_LEN, ACCESS_BYTE);
    fadt->flags &= ~FADT_PWR_BUTTON;
}

/* By which a guest can measure other timers as it boots, on a busy host too. */
static void describe_timer(struct stasis_acpi_fadt *fadt, const struct stasis_board_state *board)
{
    const struct stasis_board_device_state *timer = find(board, "stasis.acpi_timer");

    if (!timer)
        return;
    fadt->pm_tmr = (uint32_t)timer->base;
    fadt->pm_tmr_len = STASIS_ACPI_TIMER_SIZE;
    fadt->x_pm_tmr = io_ports(timer->base, STASIS_ACPI_TIMER_SIZE, ACCESS_LONG);
    fadt->flags |= FADT_TMR_VAL_EXT;
}

/* The clock that guests look for at its ports, in or without ACPI's description of it. */
static void describe_clock(struct stasis_acpi_fadt *fadt, const struct stasis_board_state *board)
{
    if (find(board, "stasis.mc146818"))
        fadt->century = STASIS_MC146818_CENTURY;
    else
        fadt->boot_arch |= BOOT_NO_CMOS_RTC;
}

/* The controller's reset line, when the board has one, serves ACPI's reset register too. */
static void describe_i8042(struct stasis_acpi_fadt *fadt, const struct stasis_board_state *board)
{
    const struct stasis_board_device_state *i8042 = find(board, "stasis.i8042");

    if (!i8042)
        return;
    fadt->boot_arch |= BOOT_8042;
    fadt->flags |= FADT_RESET_REG;
    fadt->reset_value = I8042_PULSE_RESET;
    fadt->reset_reg = io_ports(i8042->base + I8042_COMMAND, 1, ACCESS_BYTE);
}

static uint64_t put_fadt(struct stasis_acpi_arena *arena, const struct stasis_board_state *board,
                         uint64_t dsdt, uint64_t facs)
{
    struct stasis_acpi_fadt fadt = {
        .facs = (uint32_t)facs,
        .dsdt = (uint32_t)dsdt,
        .sci_int = SCI,
        .pm1a_evt = PM1A_EVT,
        .pm1a_cnt = PM1A_CNT,
        .pm1_evt_len = PM1A_EVT_LEN,
        .pm1_cnt_len = PM1A_CNT_LEN,
        .c2_latency = FADT_NO_C2,
        .c3_latency = FADT_NO_C3,
        .boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
        .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_FIX_RTC,
        .minor_revision = 4,
        .x_dsdt = dsdt,
        .x_pm1a_evt = io_ports(PM1A_EVT, PM1A_EVT_LEN, ACCESS_WORD),
        .x_pm1a_cnt = io_ports(PM1A_CNT, PM1A_CNT_LEN, ACCESS_WORD),
    };
    uint64_t gpa = stasis_acpi_arena_next(arena);

    stasis_acpi_header_init(&fadt.header, "FACP", 6, sizeof(fadt));
    describe_pm(&fadt, board);
    describe_timer(&fadt, board);
    describe_i8042(&fadt, board);
    describe_clock(&fadt, board);
    stasis_append_put(&arena->out, &fadt, sizeof(fadt));
    finish_table(arena, gpa);
    return gpa;
}

static void put_madt_cpus(struct stasis_acpi_arena *arena, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct stasis_acpi_madt_lapic lapic = {MADT_LAPIC, sizeof(lapic), (uint8_t)i,
                                                     (uint8_t)i, MADT_LAPIC_ENABLED};

        stasis_append_put(&arena->out, &lapic, sizeof(lapic));
    }
}

/* ISA lines without an override go to the pin of their own number, edge-triggered and active high:
 * what KVM does with them. The SCI would be taken for active low. */
static void put_madt_overrides(struct stasis_acpi_arena *arena,
                               const struct stasis_board_state *board)
{
    const struct stasis_board_device_state *pm = find(board, "stasis.acpi_pm");
    const uint32_t sci = pm ? pm->gsi : SCI;

    for (uint32_t irq = 0; irq < ISA_LINES; irq++) {
        const struct stasis_acpi_madt_override override = {.type = MADT_OVERRIDE,
                                                           .length = sizeof(override),
                                                           .irq = (uint8_t)irq,
                                                           .gsi = irq,
                                                           .flags = STASIS_LINE_HIGH_LEVEL};

        if (irq == sci || stasis_line_is_level(board, irq))
            stasis_append_put(&arena->out, &override, sizeof(override));
    }
}

static uint64_t put_madt(struct stasis_acpi_arena *arena, const struct stasis_board_state *board)
{
    struct stasis_acpi_madt madt = {.lapic_addr = STASIS_LAPIC_GPA, .flags = MADT_PCAT_COMPAT};
    const struct stasis_acpi_madt_ioapic ioapic = {
        MADT_IOAPIC, sizeof(ioapic), (uint8_t)board->vcpus, 0, STASIS_IOAPIC_GPA, 0};
    const struct stasis_acpi_madt_nmi nmi = {MADT_NMI, sizeof(nmi), MADT_ALL_CPUS, 0, 1};
    uint64_t gpa = stasis_acpi_arena_next(arena);

    stasis_acpi_header_init(&madt.header, "APIC", 5, sizeof(madt));
    stasis_append_put(&arena->out, &madt, sizeof(madt));
    put_madt_cpus(arena, board->vcpus);
    stasis_append_put(&arena->out, &ioapic, sizeof(ioapic));
    put_madt_overrides(arena, board);
    stasis_append_put(&arena->out, &nmi, sizeof(nmi));
    finish_table(arena, gpa);
    return gpa;
}

static uint64_t put_xsdt(struct stasis_acpi_arena *arena, uint64_t fadt, uint64_t madt)
{
    struct stasis_acpi_xsdt xsdt = {.fadt = fadt, .madt = madt};
    uint64_t gpa = stasis_acpi_arena_next(arena);

    stasis_acpi_header_init(&xsdt.header, "XSDT", 1, sizeof(xsdt));
    stasis_append_put(&arena->out, &xsdt, sizeof(xsdt));
    finish_table(arena, gpa);
    return gpa;
}

static void write_rsdp(uint8_t *bytes, uint64_t xsdt)
{
    struct stasis_acpi_rsdp rsdp = {.revision = 2, .length = sizeof(rsdp), .xsdt = xsdt};

    memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
    memcpy(rsdp.oem_id, "STASIS", sizeof(rsdp.oem_id));
    rsdp.checksum = stasis_table_checksum(&rsdp, 20); /* what ACPI 1.0 knew */
    rsdp.extended_checksum = stasis_table_checksum(&rsdp, sizeof(rsdp));
    memcpy(bytes, &rsdp, sizeof(rsdp));
}

int stasis_acpi_build(const struct stasis_board_state *board, uint64_t gpa, uint8_t *bytes,
                      size_t size, uint64_t *ret_rsdp, struct stasis_error *err)
{
    static const struct stasis_acpi_rsdp empty;
    struct stasis_acpi_arena arena = {.out = {.bytes = bytes, .size = size}, .gpa = gpa};
    uint64_t dsdt = 0, xsdt;
    int rc;

    if (!board->vcpus || board->vcpus > STASIS_VCPUS_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "%" PRIu32 " vCPUs: give 1 to %d by vcpu.num",
                           board->vcpus, STASIS_VCPUS_MAX);
    stasis_append_put(&arena.out, &empty, sizeof(empty));
    rc = put_dsdt(&arena, board, &dsdt, err);
    if (rc)
        return rc;
    xsdt =
        put_xsdt(&arena, put_fadt(&arena, board, dsdt, put_facs(&arena)), put_madt(&arena, board));
    if (arena.out.overflow)
        return stasis_fail(err, STASIS_ERR_FULL, "the ACPI tables take more than %zu bytes", size);
    write_rsdp(bytes, xsdt);
    *ret_rsdp = gpa;
    return 0;
}
