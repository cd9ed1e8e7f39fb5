/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Bytes as ACPI 6.4 chapters 6.4 and 20 write them. That a whole table is understood is iasl's to
 * say, in test_acpi.c.
 */
#include "vmm/boot/x86/aml.h"

#include "support/cmocka_all.h"

#include <string.h>

static uint8_t bytes[16384];
static struct stasis_append aml;

static int setup(void **state)
{
    (void)state;
    aml = (struct stasis_append){.bytes = bytes, .size = sizeof(bytes)};
    return 0;
}

static void assert_written(const char *want, size_t len)
{
    assert_false(aml.overflow);
    assert_int_equal(aml.len, len);
    assert_memory_equal(bytes, want, len);
    aml.len = 0;
}

#define ASSERT_WRITTEN(text) assert_written(text, sizeof(text) - 1)

static void plain_values(void **state)
{
    (void)state;
    stasis_aml_int(&aml, 0);
    stasis_aml_int(&aml, 1);
    stasis_aml_int(&aml, 2);
    stasis_aml_int(&aml, 0xff);
    stasis_aml_int(&aml, 0x100);
    stasis_aml_int(&aml, 0xfedcba98);
    ASSERT_WRITTEN("\x00\x01\x0a\x02\x0a\xff\x0c\x00\x01\x00\x00\x0c\x98\xba\xdc\xfe");
    stasis_aml_string(&aml, "ab");
    ASSERT_WRITTEN("\x0d\x61\x62\x00");
    stasis_aml_eisa_id(&aml, "PNP0501"); /* 0x41d00501, big-endian */
    ASSERT_WRITTEN("\x0c\x41\xd0\x05\x01");
    stasis_aml_eisa_id(&aml, "ABC12EF");
    ASSERT_WRITTEN("\x0c\x04\x43\x12\xef");
    stasis_aml_name(&aml, "_UID");
    ASSERT_WRITTEN("\x08_UID");
}

/* 20.2.5.2 and 20.2.5.3 */
static void methods(void **state)
{
    size_t method;

    (void)state;
    method = stasis_aml_open_method(&aml, "_E00");
    stasis_aml_notify(&aml, "_SB_", "VGN4", 0x80);
    stasis_aml_close(&aml, method);
    ASSERT_WRITTEN("\x14\x85\x01\x00_E00\x00\x86\x5c\x2e_SB_VGN4\x0a\x80");
}

/* PkgLength counts itself and all that follows it; three bytes: 0x80 | low nibble, then bits 4-11
 * and 12-19. */
static void containers(void **state)
{
    size_t scope, device;

    (void)state;
    scope = stasis_aml_open_scope(&aml, "_SB_");
    device = stasis_aml_open_device(&aml, "COM1");
    stasis_aml_close(&aml, device);
    stasis_aml_close(&aml, scope);
    ASSERT_WRITTEN("\x10\x80\x01\x00_SB_\x5b\x82\x87\x00\x00"
                   "COM1");
    device = stasis_aml_open_package(&aml, 2);
    stasis_aml_close(&aml, device);
    ASSERT_WRITTEN("\x12\x84\x00\x00\x02");
    stasis_aml_buffer(&aml, (const uint8_t *)"xy", 2);
    ASSERT_WRITTEN("\x11\x87\x00\x00\x0a\x02xy");
}

static void large_containers(void **state)
{
    const size_t lengths[] = {0xfff, 0x1000, 0x3210};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t scope = stasis_aml_open_scope(&aml, "_SB_");

        while (aml.len < lengths[i] + 1)
            stasis_aml_int(&aml, 1);
        stasis_aml_close(&aml, scope);
        assert_int_equal(bytes[1], 0x80 | (lengths[i] & 0xf));
        assert_int_equal(bytes[2] | bytes[3] << 8, lengths[i] >> 4);
        aml.len = 0;
    }
}

static void resources(void **state)
{
    size_t buffer;

    (void)state;
    buffer = stasis_aml_open_resources(&aml);
    stasis_aml_ports(&aml, 0x3f8, 8);
    stasis_aml_memory(&aml, 0xd0000000, 0x1000);
    stasis_aml_interrupt(&aml, 0x104, false);
    stasis_aml_interrupt(&aml, 0x11, true);
    stasis_aml_close_resources(&aml, buffer);
    ASSERT_WRITTEN("\x11\x8e\x02\x00\x0b\x28\x00"
                   "\x47\x01\xf8\x03\xf8\x03\x01\x08"
                   "\x86\x09\x00\x01\x00\x00\x00\xd0\x00\x10\x00\x00"
                   "\x89\x06\x00\x03\x01\x04\x01\x00\x00"
                   "\x89\x06\x00\x01\x01\x11\x00\x00\x00"
                   "\x79\x00");
}

static void write_sample(void)
{
    size_t device = stasis_aml_open_device(&aml, "DEV0"), buffer;

    stasis_aml_name(&aml, "_CRS");
    buffer = stasis_aml_open_resources(&aml);
    stasis_aml_interrupt(&aml, 4, false);
    stasis_aml_close_resources(&aml, buffer);
    stasis_aml_close(&aml, device);
}

/* Whatever the room, not a byte is written behind it. */
static void overflow_is_sticky(void **state)
{
    size_t need;

    (void)state;
    write_sample();
    need = aml.len;
    for (size_t room = 0; room <= need; room++) {
        memset(bytes, 0xaa, sizeof(bytes));
        aml = (struct stasis_append){.bytes = bytes, .size = room};
        write_sample();
        assert_int_equal(aml.overflow, room < need);
        assert_true(aml.len <= room);
        assert_int_equal(bytes[room], 0xaa);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_values, setup),
        cmocka_unit_test_setup(methods, setup),
        cmocka_unit_test_setup(containers, setup),
        cmocka_unit_test_setup(large_containers, setup),
        cmocka_unit_test_setup(resources, setup),
        cmocka_unit_test_setup(overflow_is_sticky, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
