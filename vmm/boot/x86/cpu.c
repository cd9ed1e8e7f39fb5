/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state in which boot.rst's 64-bit protocol hands over: paging on with an identity map, flat
 * __BOOT_CS 0x10 and __BOOT_DS 0x18, interrupts off, RSI at the zero page.
 */
#include <string.h>

#include "vmm/boot/boot_arch.h"
#include "vmm/boot/x86/linux.h"

#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18
#define TSS_SELECTOR  0x20

#define CR0_PE   UINT64_C(0x00000001)
#define CR0_ET   UINT64_C(0x00000010)
#define CR0_NE   UINT64_C(0x00000020)
#define CR0_PG   UINT64_C(0x80000000)
#define CR4_PAE  UINT64_C(0x20)
#define EFER_LME UINT64_C(0x100)
#define EFER_LMA UINT64_C(0x400)

#define PTE_TABLE UINT64_C(0x003) /* present, writable */
#define PTE_LARGE UINT64_C(0x083) /* the same, 2 MiB */

/* Identity map of 4 GiB: all low RAM, and the devices, I/O APIC and LAPIC above it. */
#define DIRECTORIES 4

struct page_tables {
    uint64_t pml4[512];
    uint64_t pdpt[512];
    uint64_t directory[DIRECTORIES][512];
};

_Static_assert(STASIS_BOOT_PAGE_TABLES + sizeof(struct page_tables) <= STASIS_BOOT_CMDLINE_GPA,
               "page tables reach into the command line");
_Static_assert(DIRECTORIES *(UINT64_C(512) << 21) == STASIS_MMIO_GAP_END,
               "the identity map ends with the MMIO gap");

/* A descriptor as it lies in a GDT (SDM 3A, 3.4.5), made from the register it has to agree with. */
static uint64_t descriptor(const struct stasis_x86_segment_state *segment)
{
    uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
    uint64_t access = segment->type | (uint64_t)segment->s << 4 | (uint64_t)segment->dpl << 5 |
                      (uint64_t)segment->present << 7;
    uint64_t flags = segment->avl | (uint64_t)segment->l << 1 | (uint64_t)segment->db << 2 |
                     (uint64_t)segment->g << 3;

    return (limit & 0xffff) | (segment->base & 0xffffff) << 16 | access << 40 |
           (limit >> 16 & 0xf) << 48 | flags << 52 | (segment->base >> 24 & 0xff) << 56;
}

static void fill_segments(struct stasis_x86_sregs_state *sregs)
{
    sregs->cs = (struct stasis_x86_segment_state){.selector = CODE_SELECTOR,
                                                  .limit = UINT32_MAX,
                                                  .type = 0xb, /* execute, read, accessed */
                                                  .present = 1,
                                                  .s = 1,
                                                  .l = 1,
                                                  .g = 1};
    sregs->ds = (struct stasis_x86_segment_state){.selector = DATA_SELECTOR,
                                                  .limit = UINT32_MAX,
                                                  .type = 0x3, /* read, write, accessed */
                                                  .present = 1,
                                                  .db = 1,
                                                  .s = 1,
                                                  .g = 1};
    sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
    /* VT-x enters a guest only with a busy TSS loaded (SDM 3C, 26.3.1.2); nothing reads it. */
    sregs->tr = (struct stasis_x86_segment_state){
        .selector = TSS_SELECTOR, .limit = 0x67, .type = 0xb, .present = 1};
    sregs->ldt = (struct stasis_x86_segment_state){.type = 0x2, .unusable = 1};
}

static int write_gdt(const struct stasis_memory *memory, struct stasis_x86_sregs_state *sregs,
                     struct stasis_error *err)
{
    /* A 64-bit TSS descriptor takes two entries; its upper half is 0 like its base. */
    const uint64_t gdt[] = {
        0, 0, descriptor(&sregs->cs), descriptor(&sregs->ds), descriptor(&sregs->tr), 0};

    sregs->gdt.base = STASIS_BOOT_GDT;
    sregs->gdt.limit = sizeof(gdt) - 1;
    return stasis_boot_write(memory, STASIS_BOOT_GDT, gdt, sizeof(gdt), "GDT", err);
}

static int write_page_tables(const struct stasis_memory *memory, struct stasis_error *err)
{
    const uint64_t base = STASIS_BOOT_PAGE_TABLES;
    struct page_tables *tables = stasis_memory_writable(memory, base, sizeof(*tables));

    if (!tables)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "guest RAM has no room for page tables; give more by "
                           "memory.size_mib");
    memset(tables, 0, sizeof(*tables));
    tables->pml4[0] = (base + offsetof(struct page_tables, pdpt)) | PTE_TABLE;
    for (uint64_t i = 0; i < DIRECTORIES; i++) {
        tables->pdpt[i] = (base + offsetof(struct page_tables, directory[i])) | PTE_TABLE;
        for (uint64_t j = 0; j < 512; j++)
            tables->directory[i][j] = (i << 30 | j << 21) | PTE_LARGE;
    }
    return 0;
}

int stasis_boot_cpu_setup(const struct stasis_memory *memory, uint64_t entry,
                          struct stasis_arch_entry *ret_cpu, struct stasis_error *err)
{
    struct stasis_arch_entry cpu;
    int rc;

    stasis_state_init(&stasis_x86_regs_schema, &cpu.regs);
    stasis_state_init(&stasis_x86_sregs_schema, &cpu.sregs);
    cpu.regs.rip = entry;
    cpu.regs.rsp = STASIS_BOOT_STACK_TOP;
    cpu.regs.rbp = STASIS_BOOT_STACK_TOP;
    cpu.regs.rsi = STASIS_BOOT_ZERO_PAGE;
    cpu.regs.rflags = 2; /* the bit that is always 1 */
    fill_segments(&cpu.sregs);
    cpu.sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
    cpu.sregs.cr3 = STASIS_BOOT_PAGE_TABLES;
    cpu.sregs.cr4 = CR4_PAE;
    cpu.sregs.efer = EFER_LME | EFER_LMA;
    rc = write_gdt(memory, &cpu.sregs, err);
    if (!rc)
        rc = write_page_tables(memory, err);
    if (!rc)
        *ret_cpu = cpu;
    return rc;
}
