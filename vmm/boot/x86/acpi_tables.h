/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Layout of the ACPI tables (ACPI 6.4, chapter 5.2), and the parts that stasis_acpi_build() is made
 * of. Packed, since ACPI aligns nothing.
 */
#ifndef STASIS_VMM_ACPI_TABLES_H
#define STASIS_VMM_ACPI_TABLES_H

#include "stasis/state.h"
#include "vmm/boot/x86/append.h"

#define STASIS_ACPI_PACKED __attribute__((packed))

struct stasis_acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} STASIS_ACPI_PACKED;

/* Generic Address Structure, 5.2.3.2 */
struct stasis_acpi_gas {
    uint8_t space; /* 1: port I/O */
    uint8_t bits;
    uint8_t offset;
    uint8_t access; /* 1 byte, 2 word, 3 dword */
    uint64_t addr;
} STASIS_ACPI_PACKED;

struct stasis_acpi_rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} STASIS_ACPI_PACKED;

struct stasis_acpi_xsdt {
    struct stasis_acpi_header header;
    uint64_t fadt;
    uint64_t madt;
} STASIS_ACPI_PACKED;

struct stasis_acpi_facs {
    char signature[4];
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t waking_vector;
    uint32_t global_lock;
    uint32_t flags;
    uint64_t x_waking_vector;
    uint8_t version;
    uint8_t reserved[31];
} STASIS_ACPI_PACKED;

struct stasis_acpi_fadt {
    struct stasis_acpi_header header;
    uint32_t facs;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t pm_profile;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable;
    uint8_t acpi_disable;
    uint8_t s4bios_req;
    uint8_t pstate_cnt;
    uint32_t pm1a_evt;
    uint32_t pm1b_evt;
    uint32_t pm1a_cnt;
    uint32_t pm1b_cnt;
    uint32_t pm2_cnt;
    uint32_t pm_tmr;
    uint32_t gpe0;
    uint32_t gpe1;
    uint8_t pm1_evt_len;
    uint8_t pm1_cnt_len;
    uint8_t pm2_cnt_len;
    uint8_t pm_tmr_len;
    uint8_t gpe0_len;
    uint8_t gpe1_len;
    uint8_t gpe1_base;
    uint8_t cst_cnt;
    uint16_t c2_latency;
    uint16_t c3_latency;
    uint16_t flush_size;
    uint16_t flush_stride;
    uint8_t duty_offset;
    uint8_t duty_width;
    uint8_t day_alarm;
    uint8_t month_alarm;
    uint8_t century;
    uint16_t boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct stasis_acpi_gas reset_reg;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_revision;
    uint64_t x_facs;
    uint64_t x_dsdt;
    struct stasis_acpi_gas x_pm1a_evt;
    struct stasis_acpi_gas x_pm1b_evt;
    struct stasis_acpi_gas x_pm1a_cnt;
    struct stasis_acpi_gas x_pm1b_cnt;
    struct stasis_acpi_gas x_pm2_cnt;
    struct stasis_acpi_gas x_pm_tmr;
    struct stasis_acpi_gas x_gpe0;
    struct stasis_acpi_gas x_gpe1;
    struct stasis_acpi_gas sleep_control;
    struct stasis_acpi_gas sleep_status;
    char hypervisor[8];
} STASIS_ACPI_PACKED;

struct stasis_acpi_madt {
    struct stasis_acpi_header header;
    uint32_t lapic_addr;
    uint32_t flags;
} STASIS_ACPI_PACKED;

struct stasis_acpi_madt_lapic {
    uint8_t type;
    uint8_t length;
    uint8_t uid;
    uint8_t apic_id;
    uint32_t flags;
} STASIS_ACPI_PACKED;

struct stasis_acpi_madt_ioapic {
    uint8_t type;
    uint8_t length;
    uint8_t id;
    uint8_t reserved;
    uint32_t addr;
    uint32_t gsi_base;
} STASIS_ACPI_PACKED;

struct stasis_acpi_madt_override {
    uint8_t type;
    uint8_t length;
    uint8_t bus;
    uint8_t irq;
    uint32_t gsi;
    uint16_t flags;
} STASIS_ACPI_PACKED;

struct stasis_acpi_madt_nmi {
    uint8_t type;
    uint8_t length;
    uint8_t uid;
    uint16_t flags;
    uint8_t lint;
} STASIS_ACPI_PACKED;

_Static_assert(sizeof(struct stasis_acpi_header) == 36, "5.2.6");
_Static_assert(sizeof(struct stasis_acpi_rsdp) == 36, "5.2.5.3");
_Static_assert(sizeof(struct stasis_acpi_facs) == 64, "5.2.10");
_Static_assert(sizeof(struct stasis_acpi_fadt) == 276, "5.2.9");
_Static_assert(sizeof(struct stasis_acpi_madt) == 44, "5.2.12");
_Static_assert(sizeof(struct stasis_acpi_madt_lapic) == 8, "5.2.12.2");
_Static_assert(sizeof(struct stasis_acpi_madt_ioapic) == 12, "5.2.12.3");
_Static_assert(sizeof(struct stasis_acpi_madt_override) == 10, "5.2.12.5");
_Static_assert(sizeof(struct stasis_acpi_madt_nmi) == 6, "5.2.12.7");

/* Tables one behind the other. */
struct stasis_acpi_arena {
    struct stasis_append out;
    uint64_t gpa; /* of its first byte */
};

/* Fills a table's header; its checksum comes when all of the table is there. */
void stasis_acpi_header_init(struct stasis_acpi_header *header, const char *signature,
                             uint8_t revision, uint32_t length);

/* Guest address for the next table, 64-byte aligned. */
uint64_t stasis_acpi_arena_next(struct stasis_acpi_arena *arena);

/* Writes the DSDT's definition block at the arena's end: everything behind its header. */
STASIS_MUST_CHECK int stasis_acpi_dsdt_put(struct stasis_acpi_arena *arena,
                                           const struct stasis_board_state *board,
                                           struct stasis_error *err);

#endif
