/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/protocols.h"

#include <string.h>

#include "vmm/boot/boot_arch.h"

/* Multiboot 0.6.96, 3.1.1; Multiboot2 2.0, 3.1.1: magic, in this many first bytes of the file, at
 * this alignment. All words from the magic to the checksum add up to 0. */
static const struct multiboot {
    const char *name;
    uint32_t magic;
    uint32_t search;
    uint32_t align;
    uint32_t words;
} multiboots[] = {
    {"Multiboot", 0x1badb002, 8192, 4, 3},
    {"Multiboot2", 0xe85250d6, 32768, 8, 4},
};

#define SEARCH_MAX 32768
#define WORDS_MAX  4

static bool is_header(const struct multiboot *kind, const uint8_t *bytes)
{
    uint32_t words[WORDS_MAX], sum = 0;

    memcpy(words, bytes, kind->words * sizeof(words[0]));
    for (uint32_t i = 0; i < kind->words; i++)
        sum += words[i];
    return words[0] == kind->magic && !sum;
}

static bool has_header(const struct multiboot *kind, const uint8_t *bytes, size_t len)
{
    size_t end = len < kind->search ? len : kind->search;

    for (size_t at = 0; at + kind->words * sizeof(uint32_t) <= end; at += kind->align) {
        if (is_header(kind, bytes + at))
            return true;
    }
    return false;
}

const char *stasis_multiboot_detect(const struct stasis_boot_file *file)
{
    size_t len = file->size < SEARCH_MAX ? (size_t)file->size : SEARCH_MAX;
    uint8_t bytes[SEARCH_MAX];

    if (stasis_boot_file_read(file, 0, bytes, len, NULL))
        return NULL;
    for (size_t i = 0; i < sizeof(multiboots) / sizeof(multiboots[0]); i++) {
        if (has_header(&multiboots[i], bytes, len))
            return multiboots[i].name;
    }
    return NULL;
}

/* ---- PVH ---- */

#define NOTES_MAX         256
#define NOTE_PHYS32_ENTRY 18
#define NOTE_ALIGN        UINT64_C(4)

static const char note_name[4] = "Xen";

static uint64_t note_aligned(uint32_t len)
{
    return (len + (NOTE_ALIGN - 1)) & ~(NOTE_ALIGN - 1);
}

/* The description of a PVH note is an address of 4 or 8 bytes. */
static bool is_pvh(const struct stasis_boot_file *file, const Elf64_Nhdr *note, uint64_t at,
                   uint64_t *ret_entry)
{
    char name[sizeof(note_name)];
    uint64_t entry = 0;

    if (note->n_type != NOTE_PHYS32_ENTRY || note->n_namesz != sizeof(note_name) ||
        (note->n_descsz != 4 && note->n_descsz != 8))
        return false;
    if (stasis_boot_file_read(file, at, name, sizeof(name), NULL) ||
        memcmp(name, note_name, sizeof(name)) != 0 ||
        stasis_boot_file_read(file, at + sizeof(name), &entry, note->n_descsz, NULL))
        return false;
    *ret_entry = entry;
    return true;
}

bool stasis_pvh_detect(const struct stasis_boot_file *file, const Elf64_Phdr *notes,
                       uint64_t *ret_entry)
{
    uint64_t at = notes->p_offset, end;
    Elf64_Nhdr note;

    if (notes->p_offset > file->size || notes->p_filesz > file->size - notes->p_offset)
        return false;
    end = notes->p_offset + notes->p_filesz;
    for (unsigned i = 0; i < NOTES_MAX && end - at >= sizeof(note); i++) {
        uint64_t len;

        if (stasis_boot_file_read(file, at, &note, sizeof(note), NULL))
            return false;
        at += sizeof(note);
        len = note_aligned(note.n_namesz) + note_aligned(note.n_descsz);
        if (len > end - at)
            return false;
        if (is_pvh(file, &note, at, ret_entry))
            return true;
        at += len;
    }
    return false;
}

int stasis_boot_refuse_protocol(const struct stasis_boot_file *file, const char *protocol,
                                struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "kernel %s starts by %s, in 32-bit mode, which is not supported: give an "
                       "x86-64 Linux kernel (vmlinux or bzImage)",
                       file->path, protocol);
}

/* Linux states a PVH entry beside its 64-bit one, which is then another address. */
int stasis_boot_arch_check_elf_start(const struct stasis_boot_file *file, const Elf64_Phdr *headers,
                                     uint32_t count, uint64_t entry, bool is_inside,
                                     struct stasis_error *err)
{
    uint64_t pvh_entry = 0;
    bool has_pvh = false;

    for (uint32_t i = 0; !has_pvh && i < count; i++)
        has_pvh = headers[i].p_type == PT_NOTE && stasis_pvh_detect(file, &headers[i], &pvh_entry);
    return has_pvh && (!is_inside || entry == pvh_entry)
               ? stasis_boot_refuse_protocol(file, "PVH", err)
               : 0;
}

/* ---- other processors ---- */

int stasis_boot_arch_check_elf(const struct stasis_boot_file *file, const Elf64_Ehdr *elf,
                               struct stasis_error *err)
{
    bool is_little = elf->e_ident[EI_DATA] == ELFDATA2LSB;

    if (is_little && elf->e_ident[EI_CLASS] == ELFCLASS32 &&
        (elf->e_machine == EM_386 || elf->e_machine == EM_X86_64))
        return stasis_fail(err, STASIS_ERR_ARG, "kernel %s is a 32-bit ELF file: give %s",
                           file->path, stasis_boot_arch.kernels);
    if (!is_little || elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != EM_X86_64)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s is an ELF file for another processor: give %s", file->path,
                           stasis_boot_arch.kernels);
    return 0;
}
