/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/boot_arch.h"

/* Highest page-aligned place for `size` bytes in [from, to); 0 when there is none. */
static uint64_t highest_in(uint64_t from, uint64_t to, uint64_t size)
{
    uint64_t gpa;

    if (size > to)
        return 0;
    gpa = (to - size) & ~(STASIS_MEMORY_PAGE - 1);
    return gpa >= from ? gpa : 0;
}

static uint64_t choose_place(const struct stasis_memory *memory,
                             const struct stasis_boot_image *image, uint64_t size)
{
    uint64_t limit = image->initrd_max + 1, gpa;
    uint64_t ram_end = memory->regions[0].gpa + memory->regions[0].size;

    if (ram_end < limit)
        limit = ram_end;
    gpa = highest_in(image->end, limit, size);
    if (!gpa) /* a kernel that was told to load high leaves more room below itself */
        gpa = highest_in(stasis_boot_arch.image_start, image->start < limit ? image->start : limit,
                         size);
    return gpa;
}

int stasis_boot_initrd(const struct stasis_memory *memory, const char *path, int fd,
                       const struct stasis_boot_image *image, struct stasis_boot_initrd *ret_initrd,
                       struct stasis_error *err)
{
    struct stasis_boot_file file;
    int rc = stasis_boot_file_init(&file, "initrd", path, fd, err);
    uint64_t gpa;
    void *to;

    if (rc)
        return rc;
    gpa = choose_place(memory, image, file.size);
    to = gpa ? stasis_boot_room(memory, gpa, file.size) : NULL;
    rc = to ? stasis_boot_file_read(&file, 0, to, file.size, err)
            : stasis_boot_file_no_room(&file, image->end, file.size, err);
    if (!rc)
        *ret_initrd = (struct stasis_boot_initrd){.gpa = gpa, .size = file.size};
    stasis_boot_file_fini(&file);
    return rc;
}
