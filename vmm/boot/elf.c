/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/elf.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/boot/boot_arch.h"

/* A vmlinux has five program headers or so. The bound keeps the overlap check short. */
#define SEGMENT_MAX 64

struct segments {
    Elf64_Phdr load[SEGMENT_MAX];
    uint32_t count;
};

bool stasis_elf_detect(const struct stasis_boot_file *file, const uint8_t *head, size_t len)
{
    (void)file;
    return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static int check_header(const struct stasis_boot_file *file, const Elf64_Ehdr *elf,
                        struct stasis_error *err)
{
    int rc = stasis_boot_arch_check_elf(file, elf, err);

    if (rc)
        return rc;
    if (elf->e_type != ET_EXEC || elf->e_phentsize != sizeof(Elf64_Phdr) || !elf->e_phnum ||
        elf->e_phnum > SEGMENT_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s is an ELF file but not a kernel: give %s", file->path,
                           stasis_boot_arch.kernels);
    if (elf->e_phoff > file->size || elf->e_phnum * sizeof(Elf64_Phdr) > file->size - elf->e_phoff)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s is damaged: its program headers at offset %" PRIu64
                           " lie beyond the end of the file; fetch or build it again",
                           file->path, elf->e_phoff);
    return 0;
}

static int damaged(const struct stasis_boot_file *file, const Elf64_Phdr *segment,
                   const char *fault, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "kernel %s is damaged: its segment at 0x%" PRIx64
                       " %s; fetch or build it again",
                       file->path, segment->p_paddr, fault);
}

static int check_overlap(const struct stasis_boot_file *file, const struct segments *segments,
                         const Elf64_Phdr *segment, struct stasis_error *err)
{
    for (uint32_t i = 0; i < segments->count; i++) {
        const Elf64_Phdr *other = &segments->load[i];

        if (segment->p_paddr < other->p_paddr + other->p_memsz &&
            other->p_paddr < segment->p_paddr + segment->p_memsz)
            return damaged(file, segment, "overlaps another", err);
    }
    return 0;
}

/* After this a segment is known to lie in the file and in RAM, so sums with it cannot overflow. */
static int check_segment(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                         const struct segments *segments, const Elf64_Phdr *segment,
                         struct stasis_error *err)
{
    if (segment->p_filesz > segment->p_memsz)
        return damaged(file, segment, "is larger in the file than in memory", err);
    if (segment->p_offset > file->size || segment->p_filesz > file->size - segment->p_offset)
        return damaged(file, segment, "lies beyond the end of the file", err);
    if (segment->p_paddr < stasis_boot_arch.image_start)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s is damaged: its segment at 0x%" PRIx64 " lies below %" PRIu64
                           " MiB; fetch or build it again",
                           file->path, segment->p_paddr, stasis_boot_arch.image_start >> 20);
    if (!stasis_boot_room(memory, segment->p_paddr, segment->p_memsz))
        return stasis_boot_file_no_room(file, segment->p_paddr, segment->p_memsz, err);
    return check_overlap(file, segments, segment, err);
}

static int add_segment(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                       const Elf64_Phdr *segment, struct segments *segments,
                       struct stasis_error *err)
{
    int rc;

    if (!segment->p_memsz && !segment->p_filesz)
        return 0;
    rc = check_segment(memory, file, segments, segment, err);
    if (!rc)
        segments->load[segments->count++] = *segment;
    return rc;
}

static int read_segments(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                         const Elf64_Ehdr *elf, const Elf64_Phdr *headers,
                         struct segments *ret_segments, struct stasis_error *err)
{
    int rc = 0;

    memset(ret_segments, 0, sizeof(*ret_segments));
    for (uint32_t i = 0; !rc && i < elf->e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD)
            rc = add_segment(memory, file, &headers[i], ret_segments, err);
    }
    if (!rc && !ret_segments->count)
        rc = stasis_fail(err, STASIS_ERR_ARG, "kernel %s has nothing to load: give %s", file->path,
                         stasis_boot_arch.kernels);
    return rc;
}

static int check_entry(const struct stasis_boot_file *file, const Elf64_Ehdr *elf,
                       const Elf64_Phdr *headers, const struct segments *segments,
                       struct stasis_error *err)
{
    bool is_inside = false;
    int rc;

    for (uint32_t i = 0; i < segments->count; i++)
        is_inside |= elf->e_entry >= segments->load[i].p_paddr &&
                     elf->e_entry < segments->load[i].p_paddr + segments->load[i].p_filesz;
    rc =
        stasis_boot_arch_check_elf_start(file, headers, elf->e_phnum, elf->e_entry, is_inside, err);
    if (!rc && !is_inside)
        rc = stasis_fail(err, STASIS_ERR_ARG,
                         "kernel %s is damaged: its entry point 0x%" PRIx64
                         " is in none of its segments; fetch or build it again",
                         file->path, elf->e_entry);
    return rc;
}

static int describe(const struct stasis_boot_file *file, const struct segments *segments,
                    uint64_t entry, uint64_t load_addr, struct stasis_boot_image *ret_image,
                    struct stasis_error *err)
{
    uint64_t start = UINT64_MAX, end = 0;

    for (uint32_t i = 0; i < segments->count; i++) {
        const Elf64_Phdr *segment = &segments->load[i];
        uint64_t segment_end = segment->p_paddr + segment->p_memsz;

        start = segment->p_paddr < start ? segment->p_paddr : start;
        end = segment_end > end ? segment_end : end;
    }
    if (load_addr && load_addr != start)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s is an ELF file linked to 0x%" PRIx64
                           " and cannot be moved: leave kernel_load_addr out",
                           file->path, start);
    *ret_image = (struct stasis_boot_image){.start = start,
                                            .end = end,
                                            .entry = entry,
                                            .initrd_max = stasis_boot_arch.initrd_max,
                                            .cmdline_max = stasis_boot_arch.cmdline_max};
    return 0;
}

static int load_segment(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                        const Elf64_Phdr *segment, struct stasis_error *err)
{
    uint8_t *to = stasis_boot_room(memory, segment->p_paddr, segment->p_memsz);

    if (!to)
        return stasis_boot_file_no_room(file, segment->p_paddr, segment->p_memsz, err);
    memset(to + segment->p_filesz, 0, segment->p_memsz - segment->p_filesz);
    return stasis_boot_file_read(file, segment->p_offset, to, segment->p_filesz, err);
}

int stasis_elf_load(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                    uint64_t load_addr, struct stasis_boot_image *ret_image,
                    struct stasis_error *err)
{
    Elf64_Phdr headers[SEGMENT_MAX];
    struct stasis_boot_image image;
    struct segments segments;
    Elf64_Ehdr elf;
    int rc = stasis_boot_file_read(file, 0, &elf, sizeof(elf), err);

    if (!rc)
        rc = check_header(file, &elf, err);
    if (!rc)
        rc = stasis_boot_file_read(file, elf.e_phoff, headers, elf.e_phnum * sizeof(headers[0]),
                                   err);
    if (!rc)
        rc = read_segments(memory, file, &elf, headers, &segments, err);
    if (!rc)
        rc = check_entry(file, &elf, headers, &segments, err);
    if (!rc)
        rc = describe(file, &segments, elf.e_entry, load_addr, &image, err);
    for (uint32_t i = 0; !rc && i < segments.count; i++)
        rc = load_segment(memory, file, &segments.load[i], err);
    if (!rc)
        *ret_image = image;
    return rc;
}
