/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <elf.h>
#include <endian.h>
#include <stdlib.h>

#include "tools/core.h"

#define HEADERS_MAX (1 + STASIS_PAGING_RANGES_MAX + STASIS_RAM_REGION_MAX)

/* Two notes with their names for each vCPU, of which there are fewer than records; VMCOREINFO. */
#define NOTES_MAX (STASIS_RECORDS_MAX * (2 * 20 + 336 + 512) + 24 + STASIS_PAGE_SIZE)

_Static_assert(HEADERS_MAX < PN_XNUM, "the ELF header counts them");
_Static_assert(sizeof(Elf64_Ehdr) + HEADERS_MAX * sizeof(Elf64_Phdr) + NOTES_MAX <= STASIS_CORE_RAM,
               "all fits before RAM");

static Elf64_Phdr load(uint64_t offset, uint64_t va, uint64_t gpa, uint64_t len)
{
    return (Elf64_Phdr){
        .p_type = htole32(PT_LOAD),
        .p_flags = htole32(PF_R | PF_W | PF_X), /* the guest's own permissions bind no debugger */
        .p_offset = htole64(offset),
        .p_vaddr = htole64(va),
        .p_paddr = htole64(gpa),
        .p_filesz = htole64(len),
        .p_memsz = htole64(len),
        .p_align =
            0, /* as kdump has it: crash takes other cores for old ones, without VMCOREINFO */
    };
}

/* A range lies in one region. */
static uint64_t offset_of(const struct stasis_snap *snap, uint64_t gpa)
{
    uint64_t offset = STASIS_CORE_RAM;

    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);

        if (gpa >= region.gpa && gpa - region.gpa < region.size)
            return offset + (gpa - region.gpa);
        offset += region.size;
    }
    return 0;
}

/* Virtual addresses first: tools that want only those take the first that fits. */
static void fill_loads(const struct stasis_paging *paging, bool paged, Elf64_Phdr *headers)
{
    const struct stasis_snap *snap = paging->ram->snap;
    size_t count = 0;

    for (size_t i = 0; i < paging->count; i++) {
        struct stasis_paging_range range = paging->ranges[i];

        headers[count++] = load(offset_of(snap, range.gpa), range.va, range.gpa, range.len);
    }
    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);

        headers[count++] =
            load(offset_of(snap, region.gpa), region.gpa + (paged ? STASIS_CORE_PHYSICAL : 0),
                 region.gpa, region.size);
    }
}

static Elf64_Ehdr elf_header(size_t count)
{
    return (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = htole16(ET_CORE),
        .e_machine = htole16(EM_X86_64),
        .e_version = htole32(EV_CURRENT),
        .e_phoff = htole64(sizeof(Elf64_Ehdr)),
        .e_ehsize = htole16(sizeof(Elf64_Ehdr)),
        .e_phentsize = htole16(sizeof(Elf64_Phdr)),
        .e_phnum = htole16((uint16_t)count),
    };
}

int stasis_core_put_headers(const struct stasis_paging *paging, bool paged, const void *notes,
                            size_t notes_len, struct stasis_output *file, struct stasis_error *err)
{
    size_t room = 1 + paging->count + stasis_snap_region_count(paging->ram->snap);
    Elf64_Phdr *headers = calloc(room, sizeof(*headers));
    uint64_t notes_at = sizeof(Elf64_Ehdr) + room * sizeof(*headers);
    Elf64_Ehdr elf = elf_header(room);
    int rc;

    if (!headers)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the program headers");
    headers[0] = (Elf64_Phdr){
        .p_type = htole32(PT_NOTE),
        .p_offset = htole64(notes_at),
        .p_filesz = htole64(notes_len),
        .p_memsz = htole64(notes_len),
    };
    fill_loads(paging, paged, headers + 1);
    rc = stasis_output_put(file, headers, room * sizeof(*headers), sizeof(elf), err);
    if (!rc)
        rc = stasis_output_put(file, notes, notes_len, notes_at, err);
    if (!rc)
        rc = stasis_output_put(file, &elf, sizeof(elf), 0, err);
    free(headers);
    return rc;
}
