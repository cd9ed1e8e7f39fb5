/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/mptable.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/boot/x86/boot_x86.h"
#include "vmm/boot/x86/lines.h"

/* MP 1.4, chapter 4. Every member has its natural alignment: no packing is needed. */
enum entry_type { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IRQ, ENTRY_LOCAL_IRQ };
enum irq_type { IRQ_INT, IRQ_NMI, IRQ_SMI, IRQ_EXTINT };

#define CPU_ENABLED   0x01
#define CPU_BOOT      0x02
#define CPU_SIGNATURE 0x600
#define CPU_FEATURES  0x201 /* FPU, APIC */
#define IOAPIC_USABLE 0x01
#define ISA_BUS       0
#define ALL_LAPICS    0xff

struct mp_pointer {
    char signature[4];
    uint32_t table;
    uint8_t length; /* in 16 bytes */
    uint8_t revision;
    uint8_t checksum;
    uint8_t features[5];
};

struct mp_header {
    char signature[4];
    uint16_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem[8];
    char product[12];
    uint32_t oem_table;
    uint16_t oem_size;
    uint16_t entries;
    uint32_t lapic;
    uint32_t reserved;
};

struct mp_cpu {
    uint8_t type;
    uint8_t apic_id;
    uint8_t apic_version;
    uint8_t flags;
    uint32_t signature;
    uint32_t features;
    uint32_t reserved[2];
};

struct mp_bus {
    uint8_t type;
    uint8_t id;
    char name[6];
};

struct mp_ioapic {
    uint8_t type;
    uint8_t id;
    uint8_t version;
    uint8_t flags;
    uint32_t addr;
};

struct mp_irq {
    uint8_t type;
    uint8_t irq_type;
    uint16_t flags; /* 0: polarity and trigger as the bus has them */
    uint8_t bus;
    uint8_t bus_irq;
    uint8_t apic;
    uint8_t pin;
};

_Static_assert(sizeof(struct mp_pointer) == 16 && sizeof(struct mp_header) == 44, "MP header");
_Static_assert(sizeof(struct mp_cpu) == 20 && sizeof(struct mp_bus) == 8 &&
                   sizeof(struct mp_ioapic) == 8 && sizeof(struct mp_irq) == 8,
               "MP entries");

struct table {
    uint8_t *bytes;
    size_t len;
    uint16_t entries;
};

static void add(struct table *table, const void *entry, size_t len)
{
    memcpy(table->bytes + table->len, entry, len);
    table->len += len;
    table->entries++;
}

static void add_cpus(struct table *table, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct mp_cpu cpu = {.type = ENTRY_CPU,
                             .apic_id = (uint8_t)i,
                             .apic_version = STASIS_LAPIC_VERSION,
                             .flags = i ? CPU_ENABLED : CPU_ENABLED | CPU_BOOT,
                             .signature = CPU_SIGNATURE,
                             .features = CPU_FEATURES};

        add(table, &cpu, sizeof(cpu));
    }
}

static void add_irqs(struct table *table, const struct stasis_board_state *board)
{
    const uint8_t ioapic_id = (uint8_t)board->vcpus;
    const struct mp_bus bus = {ENTRY_BUS, ISA_BUS, {'I', 'S', 'A', ' ', ' ', ' '}};
    const struct mp_ioapic ioapic = {ENTRY_IOAPIC, ioapic_id, STASIS_IOAPIC_VERSION, IOAPIC_USABLE,
                                     STASIS_IOAPIC_GPA};
    const struct mp_irq local[] = {
        {ENTRY_LOCAL_IRQ, IRQ_EXTINT, 0, ISA_BUS, 0, 0, 0},       /* the PICs, to LINT0 */
        {ENTRY_LOCAL_IRQ, IRQ_NMI, 0, ISA_BUS, 0, ALL_LAPICS, 1}, /* NMI, to LINT1 of all */
    };

    add(table, &bus, sizeof(bus));
    add(table, &ioapic, sizeof(ioapic));
    for (uint8_t pin = 0; pin < STASIS_IOAPIC_PINS; pin++) {
        const uint16_t flags = stasis_line_is_level(board, pin) ? STASIS_LINE_HIGH_LEVEL : 0;
        struct mp_irq irq = {ENTRY_IRQ, IRQ_INT, flags, ISA_BUS, pin, ioapic_id, pin};

        add(table, &irq, sizeof(irq));
    }
    add(table, &local[0], sizeof(local[0]));
    add(table, &local[1], sizeof(local[1]));
}

static void write_header(struct table *table)
{
    struct mp_header header = {
        .signature = {'P', 'C', 'M', 'P'},
        .length = (uint16_t)table->len,
        .revision = 4,
        .oem = {'S', 'T', 'A', 'S', 'I', 'S', ' ', ' '},
        .product = {'M', 'I', 'C', 'R', 'O', 'V', 'M', ' ', ' ', ' ', ' ', ' '},
        .entries = table->entries,
        .lapic = STASIS_LAPIC_GPA};

    memcpy(table->bytes, &header, sizeof(header));
    header.checksum = stasis_table_checksum(table->bytes, table->len);
    memcpy(table->bytes, &header, sizeof(header));
}

static void write_pointer(uint8_t *bytes, uint64_t gpa)
{
    struct mp_pointer pointer = {.signature = {'_', 'M', 'P', '_'},
                                 .table = (uint32_t)(gpa + sizeof(pointer)),
                                 .length = 1,
                                 .revision = 4};

    pointer.checksum = stasis_table_checksum(&pointer, sizeof(pointer));
    memcpy(bytes, &pointer, sizeof(pointer));
}

int stasis_mptable_build(const struct stasis_board_state *board, uint64_t gpa, uint8_t *bytes,
                         size_t size, struct stasis_error *err)
{
    struct table table = {bytes + sizeof(struct mp_pointer), sizeof(struct mp_header), 0};
    size_t need;

    if (!board->vcpus || board->vcpus > STASIS_VCPUS_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "%" PRIu32 " vCPUs: give 1 to %d by vcpu.num",
                           board->vcpus, STASIS_VCPUS_MAX);
    need = sizeof(struct mp_pointer) + sizeof(struct mp_header) +
           board->vcpus * sizeof(struct mp_cpu) + sizeof(struct mp_bus) + sizeof(struct mp_ioapic) +
           (STASIS_IOAPIC_PINS + 2) * sizeof(struct mp_irq);
    if (need > size)
        return stasis_fail(err, STASIS_ERR_FULL, "the MPTable takes %zu bytes of %zu", need, size);
    add_cpus(&table, board->vcpus);
    add_irqs(&table, board);
    write_header(&table);
    write_pointer(bytes, gpa);
    return 0;
}
