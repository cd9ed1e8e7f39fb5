/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A kernel file into guest memory. The first byte is its load address in steps of 64 KiB, 0 for its
 * own; the rest is the file. Nothing is written but to the place that the loader says it took, and
 * what is refused is named and writes nothing.
 */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "vmm/boot/x86/linux.h"

#define RAM_SIZE (UINT64_C(4) << 20)

static struct stasis_memory memory;
static uint8_t *ram;

static void init_memory(void)
{
    const struct stasis_memory_region layout = {.size = RAM_SIZE};

    if (ram)
        return;
    FUZZ_ASSERT(!stasis_memory_init(&memory, &layout, 1, NULL));
    ram = memory.regions[0].host;
}

static void assert_zero(uint64_t from, uint64_t to)
{
    FUZZ_ASSERT(from == to || (!ram[from] && !memcmp(ram + from, ram + from + 1, to - from - 1)));
}

static void check_params(const struct stasis_boot_image *image)
{
    const struct stasis_boot_initrd initrd = {.gpa = 0x300000, .size = 1};
    struct boot_params params;

    if (stasis_linux_params(&memory, image, &initrd, "quiet", 0, NULL))
        return; /* the kernel takes no command line of that length */
    memcpy(&params, ram + STASIS_BOOT_ZERO_PAGE, sizeof(params));
    FUZZ_ASSERT(params.hdr.type_of_loader == 0xff && params.hdr.ramdisk_image == 0x300000);
    FUZZ_ASSERT(params.hdr.version >= 0x20c && params.hdr.cmd_line_ptr);
    memset(ram, 0, STASIS_BOOT_HIGH_RAM);
}

static void check_image(const struct stasis_boot_image *image)
{
    FUZZ_ASSERT(image->start >= STASIS_BOOT_HIGH_RAM && image->end <= RAM_SIZE);
    FUZZ_ASSERT(image->entry >= image->start && image->entry < image->end);
    assert_zero(0, image->start);
    assert_zero(image->end, RAM_SIZE);
    check_params(image);
    memset(ram + image->start, 0, image->end - image->start);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct stasis_error err = {0};
    struct stasis_boot_image image;
    char path[64];
    int fd, rc;

    init_memory();
    if (!len)
        return 0;
    fd = fuzz_file(bytes + 1, len - 1);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rc = stasis_boot_kernel(&memory, path, 0, (uint64_t)bytes[0] << 16, &image, &err);
    close(fd);
    if (!rc) {
        check_image(&image);
        return 0;
    }
    FUZZ_ASSERT(rc == STASIS_ERR_ARG && err.code == STASIS_ERR_ARG);
    FUZZ_ASSERT(strstr(err.msg, path) && !strchr(err.msg, '\n'));
    assert_zero(0, RAM_SIZE);
    return 0;
}
