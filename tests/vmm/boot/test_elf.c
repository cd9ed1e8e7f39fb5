/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/elf.h"

#include "support/cmocka_all.h"

#include <elf.h>
#include <string.h>

#include "vmm/boot/boot_rig.h"

struct image_file {
    Elf64_Ehdr elf;
    Elf64_Phdr segments[2];
    uint8_t content[48];
};

_Static_assert(sizeof(struct image_file) == BOOT_RIG_ELF_SIZE, "as boot_rig_elf() lays it out");

static struct image_file image_file;
static struct boot_rig rig;
static struct stasis_boot_image image;

static int setup(void **state)
{
    (void)state;
    boot_rig_elf((uint8_t *)&image_file);
    boot_rig_init(&rig, BOOT_RIG_RAM);
    memset(&image, 0, sizeof(image));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    boot_rig_fini(&rig);
    return 0;
}

static int load_at(uint64_t load_addr)
{
    struct boot_rig_file file;
    int rc;

    boot_rig_file_init(&file, &image_file, sizeof(image_file));
    rc = stasis_boot_kernel(&rig.memory, file.path, 0, load_addr, &image, &rig.err);
    boot_rig_file_fini(&file);
    return rc;
}

static void loads_segments(void **state)
{
    uint8_t *code = stasis_memory_writable(&rig.memory, BOOT_RIG_ELF_CODE, 64);
    uint8_t *data = stasis_memory_writable(&rig.memory, BOOT_RIG_ELF_DATA, 0x2000);

    (void)state;
    memset(code, 0xaa, 64);
    memset(data, 0xaa, 0x2000);
    assert_int_equal(load_at(0), 0);
    assert_int_equal(image.start, BOOT_RIG_ELF_CODE);
    assert_int_equal(image.end, BOOT_RIG_ELF_DATA + 0x1010);
    assert_int_equal(image.entry, BOOT_RIG_ELF_CODE + 4);
    assert_int_equal(image.arch.header.version, 0);
    assert_true(code[0] == 'c' && code[31] == 'c' && code[32] == 0xaa);
    assert_true(data[0] == 'd' && data[15] == 'd');
    /* Zero-filled to the byte, and not one further. */
    for (unsigned i = 16; i < 0x1010; i++)
        assert_int_equal(data[i], 0);
    assert_int_equal(data[0x1010], 0xaa);
}

static void takes_the_address_it_has(void **state)
{
    (void)state;
    assert_int_equal(load_at(BOOT_RIG_ELF_CODE), 0);
    boot_rig_assert_error(&rig, load_at(0x300000), STASIS_ERR_ARG, "/proc/self/fd",
                          "kernel_load_addr");
}

static void segments_may_touch(void **state)
{
    (void)state;
    image_file.segments[1].p_paddr = BOOT_RIG_ELF_CODE + 32;
    assert_int_equal(load_at(0), 0);
    image_file.segments[1].p_paddr = BOOT_RIG_ELF_CODE + 31;
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "overlaps", "build it again");
}

static void segments_come_in_any_order(void **state)
{
    (void)state;
    image_file.segments[0].p_paddr = 0x300000;
    image_file.elf.e_entry = 0x300000;
    assert_int_equal(load_at(0), 0);
    assert_int_equal(image.start, BOOT_RIG_ELF_DATA);
    assert_int_equal(image.end, 0x300020);
}

static void other_headers_are_skipped(void **state)
{
    (void)state;
    image_file.segments[1].p_type = PT_NOTE;
    image_file.segments[1].p_offset = UINT64_MAX;
    assert_int_equal(load_at(0), 0);
    assert_int_equal(image.end, BOOT_RIG_ELF_CODE + 32);
}

/* The second header becomes notes whose only one states a PVH entry. */
static void state_pvh(uint32_t entry)
{
    const Elf64_Nhdr note = {4, 4, 18};
    uint8_t *to = image_file.content + 28; /* to the end of the file */

    image_file.segments[1].p_type = PT_NOTE;
    image_file.segments[1].p_offset = (uint64_t)(to - (uint8_t *)&image_file);
    image_file.segments[1].p_filesz = sizeof(note) + 4 + sizeof(entry);
    memcpy(to, &note, sizeof(note));
    memcpy(to + sizeof(note), "Xen", 4);
    memcpy(to + sizeof(note) + 4, &entry, sizeof(entry));
}

static void a_pvh_entry_beside_the_own_is_ignored(void **state)
{
    (void)state;
    state_pvh(BOOT_RIG_ELF_CODE + 8);
    assert_int_equal(load_at(0), 0);
    assert_int_equal(image.entry, BOOT_RIG_ELF_CODE + 4);
}

static void a_kernel_that_starts_by_pvh_is_refused(void **state)
{
    (void)state;
    state_pvh(BOOT_RIG_ELF_CODE + 4);
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "/proc/self/fd", "starts by PVH");
    state_pvh(BOOT_RIG_ELF_CODE + 8);
    image_file.elf.e_entry = 0;
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "/proc/self/fd", "starts by PVH");
}

static void a_kernel_that_starts_by_multiboot_is_refused(void **state)
{
    const uint32_t header[] = {0x1badb002, 0, 0u - 0x1badb002u};

    (void)state;
    memcpy(image_file.content, header, sizeof(header));
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "/proc/self/fd", "starts by Multiboot");
    image_file.elf.e_ident[EI_CLASS] = ELFCLASS32; /* most are */
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "/proc/self/fd", "starts by Multiboot");
}

/* One wrong field each. */
struct bad {
    const char *name;
    size_t offset;
    size_t size;
    uint64_t value;
    enum stasis_err code;
    const char *message;
};

#define EHDR(m)     offsetof(struct image_file, elf.m), sizeof(((Elf64_Ehdr *)0)->m)
#define PHDR(i, m)  offsetof(struct image_file, segments[i].m), sizeof(((Elf64_Phdr *)0)->m)
#define IDENT(i)    offsetof(struct image_file, elf.e_ident[i]), 1
#define NO_KERNEL   STASIS_ERR_ARG, "not a kernel"
#define OTHER_CPU   STASIS_ERR_ARG, "another processor"
#define BEYOND_HDRS STASIS_ERR_ARG, "beyond the end of the file; fetch"
#define BEYOND_FILE STASIS_ERR_ARG, "end of the file"
#define NO_ROOM     STASIS_ERR_ARG, "memory.size_mib"

static const struct bad bad[] = {
    {"32-bit", IDENT(EI_CLASS), ELFCLASS32, STASIS_ERR_ARG, "is a 32-bit ELF file"},
    {"no class", IDENT(EI_CLASS), 0, OTHER_CPU},
    {"big-endian", IDENT(EI_DATA), ELFDATA2MSB, OTHER_CPU},
    {"aarch64", EHDR(e_machine), EM_AARCH64, OTHER_CPU},
    {"shared object", EHDR(e_type), ET_DYN, NO_KERNEL},
    {"header size", EHDR(e_phentsize), 32, NO_KERNEL},
    {"no headers", EHDR(e_phnum), 0, NO_KERNEL},
    {"many headers", EHDR(e_phnum), 65, NO_KERNEL},
    {"unknown count of headers", EHDR(e_phnum), PN_XNUM, NO_KERNEL},
    {"headers behind the end", EHDR(e_phoff), BOOT_RIG_ELF_SIZE - 111, BEYOND_HDRS},
    {"headers wrap around", EHDR(e_phoff), UINT64_MAX - 8, BEYOND_HDRS},
    {"headers nowhere", EHDR(e_phoff), UINT64_MAX, STASIS_ERR_ARG, "offset 18446744073709551615"},
    {"entry 0", EHDR(e_entry), 0, STASIS_ERR_ARG, "entry point"},
    {"entry nowhere", EHDR(e_entry), UINT64_MAX, STASIS_ERR_ARG, "entry point"},
    {"entry behind code", EHDR(e_entry), BOOT_RIG_ELF_CODE + 32, STASIS_ERR_ARG, "entry point"},
    {"entry in zero-fill", EHDR(e_entry), BOOT_RIG_ELF_DATA + 16, STASIS_ERR_ARG, "entry point"},
    {"content behind the end", PHDR(1, p_offset), BOOT_RIG_ELF_SIZE - 15, BEYOND_FILE},
    {"content wraps around", PHDR(1, p_offset), UINT64_MAX, BEYOND_FILE},
    {"content longer than the file", PHDR(1, p_filesz), 17, BEYOND_FILE},
    {"content huge", PHDR(1, p_filesz), UINT64_MAX, STASIS_ERR_ARG, "larger in the file"},
    {"nothing in memory", PHDR(0, p_memsz), 0, STASIS_ERR_ARG, "larger in the file"},
    {"more in file", PHDR(0, p_memsz), 31, STASIS_ERR_ARG, "larger in the file"},
    {"low", PHDR(0, p_paddr), 0xfffff, STASIS_ERR_ARG, "below 1 MiB"},
    {"larger than RAM", PHDR(1, p_memsz), 0x200001, NO_ROOM},
    {"huge", PHDR(1, p_memsz), UINT64_MAX, NO_ROOM},
    {"behind RAM", PHDR(1, p_paddr), BOOT_RIG_RAM, NO_ROOM},
    {"in the gap", PHDR(1, p_paddr), 0xd0000000, NO_ROOM},
    {"wraps around", PHDR(1, p_paddr), UINT64_MAX, NO_ROOM},
};

static void refuses_bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s\n", bad[i].name);
        boot_rig_elf((uint8_t *)&image_file);
        memcpy((uint8_t *)&image_file + bad[i].offset, &bad[i].value, bad[i].size);
        boot_rig_assert_error(&rig, load_at(0), bad[i].code, "/proc/self/fd", bad[i].message);
        assert_int_equal(image.end, 0);
    }
}

static void refuses_nothing_to_load(void **state)
{
    (void)state;
    image_file.segments[0].p_type = PT_NOTE;
    image_file.segments[1].p_type = PT_NULL;
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "/proc/self/fd", "nothing to load");
}

static void survives_anything(void **state)
{
    (void)state;
    boot_rig_hostile_kernel((const uint8_t *)&image_file, sizeof(image_file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loads_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_the_address_it_has, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_may_touch, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_come_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(other_headers_are_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pvh_entry_beside_the_own_is_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kernel_that_starts_by_pvh_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kernel_that_starts_by_multiboot_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_nothing_to_load, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_anything, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
