/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/bzimage.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"

static uint8_t bytes[BOOT_RIG_BZIMAGE_SIZE];
static struct boot_rig rig;
static struct stasis_boot_image image;

static int setup(void **state)
{
    (void)state;
    boot_rig_bzimage(bytes);
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

static int load_prefix(size_t len, uint64_t load_addr)
{
    struct boot_rig_file file;
    int rc;

    boot_rig_file_init(&file, bytes, len);
    rc = stasis_boot_kernel(&rig.memory, file.path, 0, load_addr, &image, &rig.err);
    boot_rig_file_fini(&file);
    return rc;
}

static int load_at(uint64_t load_addr)
{
    return load_prefix(sizeof(bytes), load_addr);
}

static void assert_payload_at(uint64_t gpa)
{
    const uint8_t *at = stasis_memory_at(&rig.memory, gpa, BOOT_RIG_BZIMAGE_PAYLOAD + 1);

    assert_non_null(at);
    for (unsigned i = 0; i < BOOT_RIG_BZIMAGE_PAYLOAD; i++)
        assert_int_equal(at[i], '4');
    assert_int_equal(at[BOOT_RIG_BZIMAGE_PAYLOAD], 0);
}

static void loads_where_it_prefers(void **state)
{
    (void)state;
    assert_int_equal(load_at(0), 0);
    assert_payload_at(BOOT_RIG_BZIMAGE_ADDR);
    assert_int_equal(image.start, BOOT_RIG_BZIMAGE_ADDR);
    assert_int_equal(image.end, BOOT_RIG_BZIMAGE_ADDR + BOOT_RIG_BZIMAGE_INIT_SIZE);
    assert_int_equal(image.entry, BOOT_RIG_BZIMAGE_ADDR + 0x200);
    assert_int_equal(image.initrd_max, 0x7fffffff);
    assert_int_equal(image.cmdline_max, 2047);
    assert_int_equal(image.arch.header.kernel_info_offset, 0x1234);
}

static void loads_where_it_is_told(void **state)
{
    (void)state;
    assert_int_equal(load_at(0x130000), 0);
    assert_payload_at(0x130000);
    assert_int_equal(image.entry, 0x130200);
    boot_rig_assert_error(&rig, load_at(0x138000), STASIS_ERR_ARG, "0x138000", "kernel_load_addr");
    boot_rig_assert_error(&rig, load_at(0x10000), STASIS_ERR_ARG, "0x10000", "kernel_load_addr");
    boot_rig_assert_error(&rig, load_at(0x310000), STASIS_ERR_ARG, "/proc/self/fd",
                          "memory.size_mib");
    boot_rig_assert_error(&rig, load_at(UINT64_C(1) << 32), STASIS_ERR_ARG, "/proc/self/fd",
                          "memory.size_mib");
}

static void header_ends_where_it_says(void **state)
{
    struct setup_header header = boot_rig_header(bytes);

    (void)state;
    /* Ends right before kernel_info_offset: what follows is setup code. */
    header.jump =
        (uint16_t)(0xeb | (offsetof(struct setup_header, kernel_info_offset) - 0x11) << 8);
    boot_rig_set_header(bytes, &header);
    assert_int_equal(load_at(0), 0);
    assert_int_equal(image.arch.header.init_size, BOOT_RIG_BZIMAGE_INIT_SIZE);
    assert_int_equal(image.arch.header.kernel_info_offset, 0);
}

static void fixed_kernel_stays(void **state)
{
    struct setup_header header = boot_rig_header(bytes);

    (void)state;
    header.relocatable_kernel = 0;
    boot_rig_set_header(bytes, &header);
    assert_int_equal(load_at(0), 0);
    assert_int_equal(load_at(BOOT_RIG_BZIMAGE_ADDR), 0);
    boot_rig_assert_error(&rig, load_at(0x130000), STASIS_ERR_ARG, "0x200000", "kernel_load_addr");
    header.pref_address += BOOT_RIG_BZIMAGE_ALIGN / 2; /* alignment is for those that move */
    boot_rig_set_header(bytes, &header);
    assert_int_equal(load_at(0), 0);
    assert_payload_at(header.pref_address);
}

static void init_size_has_to_fit(void **state)
{
    struct setup_header header = boot_rig_header(bytes);

    (void)state;
    header.init_size = (uint32_t)(BOOT_RIG_RAM - BOOT_RIG_BZIMAGE_ADDR);
    boot_rig_set_header(bytes, &header);
    assert_int_equal(load_at(0), 0);
    header.init_size++;
    boot_rig_set_header(bytes, &header);
    boot_rig_assert_error(&rig, load_at(0), STASIS_ERR_ARG, "/proc/self/fd", "memory.size_mib");
    header.init_size = 0; /* the payload counts then */
    boot_rig_set_header(bytes, &header);
    assert_int_equal(load_at(0), 0);
    assert_int_equal(image.end, BOOT_RIG_BZIMAGE_ADDR + BOOT_RIG_BZIMAGE_PAYLOAD);
}

/* As Debian's memtest86+x64.bin: the last paragraph that syssize counts is not all there. */
static void last_paragraph_may_be_short(void **state)
{
    uint8_t *at =
        stasis_memory_writable(&rig.memory, BOOT_RIG_BZIMAGE_ADDR, BOOT_RIG_BZIMAGE_PAYLOAD);

    (void)state;
    for (unsigned missing = 1; missing < 16; missing++) {
        memset(at, 0xaa, BOOT_RIG_BZIMAGE_PAYLOAD);
        assert_int_equal(load_prefix(sizeof(bytes) - missing, 0), 0);
        assert_int_equal(at[BOOT_RIG_BZIMAGE_PAYLOAD - missing - 1], '4');
        for (unsigned i = BOOT_RIG_BZIMAGE_PAYLOAD - missing; i < BOOT_RIG_BZIMAGE_PAYLOAD; i++)
            assert_int_equal(at[i], 0);
    }
    boot_rig_assert_error(&rig, load_prefix(sizeof(bytes) - 16, 0), STASIS_ERR_ARG, "truncated",
                          "1009 bytes needed at offset 1024");
}

struct bad {
    const char *name;
    size_t offset;
    size_t size;
    uint64_t value;
    enum stasis_err code;
    const char *message;
};

#define FIELD(m) offsetof(struct setup_header, m), sizeof(((struct setup_header *)0)->m)

static const struct bad bad[] = {
    {"boot flag", FIELD(boot_flag), 0, STASIS_ERR_ARG, "not a kernel"},
    {"magic", FIELD(header), 0, STASIS_ERR_ARG, "not a kernel"},
    {"old protocol", FIELD(version), 0x20b, STASIS_ERR_ARG, "boot protocol 2.11"},
    {"zImage", FIELD(loadflags), 0, STASIS_ERR_ARG, "64-bit"},
    {"32-bit only", FIELD(xloadflags), 0, STASIS_ERR_ARG, "64-bit"},
    {"alignment 0", FIELD(kernel_alignment), 0, STASIS_ERR_ARG, "damaged"},
    {"alignment 3", FIELD(kernel_alignment), 3, STASIS_ERR_ARG, "damaged"},
    {"no payload", FIELD(syssize), 0, STASIS_ERR_ARG, "damaged"},
    {"payload without entry", FIELD(syssize), 32, STASIS_ERR_ARG, "damaged"},
    {"payload longer than file", FIELD(syssize), 65, STASIS_ERR_ARG, "truncated"},
    {"payload huge", FIELD(syssize), UINT32_MAX, STASIS_ERR_ARG, "truncated"},
    {"setup longer than file", FIELD(setup_sects), 255, STASIS_ERR_ARG, "truncated"},
    {"setup of 0 means 4", FIELD(setup_sects), 0, STASIS_ERR_ARG, "truncated"},
    {"init_size huge", FIELD(init_size), UINT32_MAX, STASIS_ERR_ARG, "memory.size_mib"},
    {"prefers the gap", FIELD(pref_address), 0xd0000000, STASIS_ERR_ARG, "memory.size_mib"},
    {"prefers the end", FIELD(pref_address), UINT64_MAX << 16, STASIS_ERR_ARG, "memory.size_mib"},
    {"prefers a wrapped end", FIELD(pref_address), UINT64_MAX - 0xffff, STASIS_ERR_ARG,
     "memory.size_mib"},
    {"prefers low memory", FIELD(pref_address), 0x90000, STASIS_ERR_ARG, "kernel_load_addr"},
};

static void refuses_bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s\n", bad[i].name);
        boot_rig_bzimage(bytes);
        memcpy(bytes + 0x1f1 + bad[i].offset, &bad[i].value, bad[i].size);
        boot_rig_assert_error(&rig, load_at(0), bad[i].code, "/proc/self/fd", bad[i].message);
        assert_int_equal(image.end, 0);
    }
}

static void survives_anything(void **state)
{
    (void)state;
    boot_rig_hostile_kernel(bytes, sizeof(bytes), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loads_where_it_prefers, setup, teardown),
        cmocka_unit_test_setup_teardown(loads_where_it_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(header_ends_where_it_says, setup, teardown),
        cmocka_unit_test_setup_teardown(fixed_kernel_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(init_size_has_to_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(last_paragraph_may_be_short, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_anything, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
