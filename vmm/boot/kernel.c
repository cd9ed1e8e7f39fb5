/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/boot_arch.h"

void *stasis_boot_room(const struct stasis_memory *memory, uint64_t gpa, uint64_t len)
{
    if (gpa < stasis_boot_arch.image_start || gpa >= stasis_boot_arch.image_end)
        return NULL;
    return stasis_memory_writable(memory, gpa, len);
}

static int find_format(const struct stasis_boot_file *file,
                       const struct stasis_boot_format **ret_format, struct stasis_error *err)
{
    uint8_t head[STASIS_BOOT_HEAD];
    size_t len = file->size < sizeof(head) ? (size_t)file->size : sizeof(head);
    int rc = stasis_boot_file_read(file, 0, head, len, err);

    if (rc)
        return rc;
    for (const struct stasis_boot_format *format = stasis_boot_arch.formats; format->load;
         format++) {
        if (format->detect(file, head, len)) {
            *ret_format = format;
            return 0;
        }
    }
    return stasis_fail(err, STASIS_ERR_ARG, "kernel %s is not a kernel: give %s", file->path,
                       stasis_boot_arch.kernels);
}

static int open_kernel(const char *path, int fd, struct stasis_boot_file *ret_file,
                       const struct stasis_boot_format **ret_format, struct stasis_error *err)
{
    int rc = stasis_boot_file_init(ret_file, "kernel", path, fd, err);

    if (rc)
        return rc;
    rc = find_format(ret_file, ret_format, err);
    if (rc)
        stasis_boot_file_fini(ret_file);
    return rc;
}

int stasis_boot_kernel_check(const char *path, struct stasis_error *err)
{
    const struct stasis_boot_format *format;
    struct stasis_boot_file file;
    int rc = open_kernel(path, 0, &file, &format, err);

    if (!rc)
        stasis_boot_file_fini(&file);
    return rc;
}

int stasis_boot_kernel(const struct stasis_memory *memory, const char *path, int fd,
                       uint64_t load_addr, struct stasis_boot_image *ret_image,
                       struct stasis_error *err)
{
    const struct stasis_boot_format *format;
    struct stasis_boot_file file;
    int rc = open_kernel(path, fd, &file, &format, err);

    if (rc)
        return rc;
    rc = format->load(memory, &file, load_addr, ret_image, err);
    stasis_boot_file_fini(&file);
    return rc;
}
