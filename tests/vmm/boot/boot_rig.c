/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/boot_rig.h"

#include "support/cmocka_all.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/machine/board.h"

void boot_rig_board(struct stasis_board_state *board, uint64_t ram)
{
    static const struct stasis_board_device_state devices[] = {
        {"stasis.serial", "com1", 1, 0, 0x3f8, 8, 4},
        {"stasis.i8042", "kbd", 1, 0, 0x60, 5, 1},
        {"stasis.pl031", "rtc", 1, 1, 0xd0000000, 0x1000, 8},
    };

    stasis_state_init(&stasis_board_schema, board);
    assert_int_equal(stasis_board_set_ram(ram, board, NULL), 0);
    memcpy(board->devices, devices, sizeof(devices));
    board->devices_count = sizeof(devices) / sizeof(devices[0]);
}

void boot_rig_init(struct boot_rig *rig, uint64_t ram)
{
    memset(rig, 0, sizeof(*rig));
    boot_rig_board(&rig->board, ram);
    assert_int_equal(stasis_board_map_ram(&rig->board, &rig->memory, NULL), 0);
}

void boot_rig_fini(struct boot_rig *rig)
{
    stasis_memory_fini(&rig->memory);
}

void boot_rig_file_init(struct boot_rig_file *file, const void *bytes, size_t len)
{
    file->fd = memfd_create("boot_rig", MFD_CLOEXEC);
    assert_true(file->fd >= 0);
    snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
    boot_rig_file_set(file, bytes, len);
}

void boot_rig_file_set(struct boot_rig_file *file, const void *bytes, size_t len)
{
    assert_int_equal(ftruncate(file->fd, (off_t)len), 0);
    assert_int_equal(pwrite(file->fd, bytes, len, 0), (ssize_t)len);
}

void boot_rig_file_fini(struct boot_rig_file *file)
{
    close(file->fd);
}

void boot_rig_elf(uint8_t bytes[BOOT_RIG_ELF_SIZE])
{
    Elf64_Ehdr elf = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                      .e_type = ET_EXEC,
                      .e_machine = EM_X86_64,
                      .e_entry = BOOT_RIG_ELF_CODE + 4,
                      .e_phoff = sizeof(elf),
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = 2};
    Elf64_Phdr segments[2] = {{.p_type = PT_LOAD, .p_paddr = BOOT_RIG_ELF_CODE, .p_filesz = 32},
                              {.p_type = PT_LOAD, .p_paddr = BOOT_RIG_ELF_DATA, .p_filesz = 16}};

    segments[0].p_offset = sizeof(elf) + sizeof(segments);
    segments[0].p_memsz = segments[0].p_filesz;
    segments[1].p_offset = segments[0].p_offset + segments[0].p_filesz;
    segments[1].p_memsz = segments[1].p_filesz + 0x1000;
    memcpy(bytes, &elf, sizeof(elf));
    memcpy(bytes + sizeof(elf), segments, sizeof(segments));
    memset(bytes + segments[0].p_offset, 'c', segments[0].p_filesz);
    memset(bytes + segments[1].p_offset, 'd', segments[1].p_filesz);
}

struct setup_header boot_rig_header(const uint8_t *bzimage)
{
    struct setup_header header;

    memcpy(&header, bzimage + 0x1f1, sizeof(header));
    return header;
}

void boot_rig_set_header(uint8_t *bzimage, const struct setup_header *header)
{
    memcpy(bzimage + 0x1f1, header, sizeof(*header));
}

void boot_rig_bzimage(uint8_t bytes[BOOT_RIG_BZIMAGE_SIZE])
{
    const struct setup_header header = {
        .setup_sects = 1,
        .syssize = BOOT_RIG_BZIMAGE_PAYLOAD / 16,
        .boot_flag = 0xaa55,
        .jump = (uint16_t)(0xeb | (sizeof(header) - 0x11) << 8), /* from 0x202 to its end */
        .header = 0x53726448,
        .version = 0x020f,
        .loadflags = LOADED_HIGH,
        .initrd_addr_max = 0x7fffffff,
        .kernel_alignment = BOOT_RIG_BZIMAGE_ALIGN,
        .relocatable_kernel = 1,
        .xloadflags = XLF_KERNEL_64,
        .cmdline_size = 2047,
        .pref_address = BOOT_RIG_BZIMAGE_ADDR,
        .init_size = BOOT_RIG_BZIMAGE_INIT_SIZE,
        .kernel_info_offset = 0x1234,
    };

    memset(bytes, '3', BOOT_RIG_BZIMAGE_SIZE);
    boot_rig_set_header(bytes, &header);
    memset(bytes + 2 * 512, '4', BOOT_RIG_BZIMAGE_PAYLOAD);
}

static int load(struct boot_rig *rig, const struct boot_rig_file *file)
{
    struct stasis_boot_image image;
    int rc;

    rig->err.msg[0] = '\0';
    rc = stasis_boot_kernel(&rig->memory, file->path, 0, 0, &image, &rig->err);
    if (rc) {
        assert_non_null(strstr(rig->err.msg, file->path));
        assert_null(strchr(rig->err.msg, '\n'));
    }
    return rc;
}

static void flip_bits(struct boot_rig *rig, struct boot_rig_file *file, uint8_t *bytes, size_t len)
{
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        boot_rig_file_set(file, bytes, len);
        (void)load(rig, file);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Several flips at once reach what one flip cannot; the seed is fixed, so a failure comes again. */
static void flip_many(struct boot_rig *rig, struct boot_rig_file *file, const uint8_t *bytes,
                      uint8_t *copy, size_t len)
{
    srandom(1);
    for (unsigned round = 0; round < 3000; round++) {
        memcpy(copy, bytes, len);
        for (long flips = 2 + random() % 8; flips; flips--)
            copy[(size_t)random() % len] ^= (uint8_t)(1 << random() % 8);
        boot_rig_file_set(file, copy, len);
        (void)load(rig, file);
    }
}

void boot_rig_hostile_kernel(const uint8_t *bytes, size_t len, size_t spare)
{
    uint8_t *copy = malloc(len);
    struct boot_rig_file file;
    struct boot_rig rig;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    boot_rig_init(&rig, BOOT_RIG_RAM);
    boot_rig_file_init(&file, bytes, len);
    assert_int_equal(load(&rig, &file), 0);
    for (size_t prefix = 0; prefix < len; prefix++) {
        boot_rig_file_set(&file, bytes, prefix);
        assert_int_equal(load(&rig, &file), prefix + spare < len ? STASIS_ERR_ARG : 0);
    }
    flip_bits(&rig, &file, copy, len);
    flip_many(&rig, &file, bytes, copy, len);
    boot_rig_file_fini(&file);
    boot_rig_fini(&rig);
    free(copy);
}

void boot_rig_assert_error(const struct boot_rig *rig, int rc, enum stasis_err code,
                           const char *object, const char *remedy)
{
    assert_int_equal(rc, code);
    assert_int_equal(rig->err.code, code);
    assert_null(strchr(rig->err.msg, '\n'));
    if (!strstr(rig->err.msg, object) || !strstr(rig->err.msg, remedy))
        fail_msg("\"%s\" does not name %s and %s", rig->err.msg, object, remedy);
}
