/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How the demo guest is loaded. What it does is seen where there is KVM to run it.
 */
#include "vmm/boot/boot_arch.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"
#include "vmm/boot/x86/demo_guest.h"

static struct boot_rig rig;
static struct stasis_boot_image image;

static int setup(void **state)
{
    (void)state;
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

static struct stasis_demo_params load(void)
{
    struct stasis_demo_params params;

    assert_int_equal(stasis_boot_arch_demo(&rig.memory, &rig.board, &image, &rig.err), 0);
    memcpy(&params, stasis_memory_at(&rig.memory, STASIS_DEMO_BASE, sizeof(params)),
           sizeof(params));
    return params;
}

static void guest_is_told_its_board(void **state)
{
    struct stasis_demo_params params;
    size_t size = (size_t)(stasis_demo_guest_end - stasis_demo_guest);

    (void)state;
    rig.board.devices[0].base = 0x2f8;
    rig.board.devices[0].gsi = 3;
    rig.board.devices[1].base = 0x160;
    rig.board.devices[2].base = 0xd0001000;
    rig.board.vcpus = 254;
    params = load();
    assert_int_equal(params.cpus, 254);
    assert_int_equal(params.serial_port, 0x2f8);
    assert_int_equal(params.serial_irq, 3);
    assert_int_equal(params.off_port, 0x164);
    assert_int_equal(params.off_value, 0xfe);
    assert_int_equal(params.rtc, 0xd0001000);
    assert_int_equal(image.entry, STASIS_DEMO_BASE + sizeof(params));
    assert_true(size > sizeof(params) && size < 2048);
    assert_memory_equal(stasis_memory_at(&rig.memory, image.entry, size - sizeof(params)),
                        stasis_demo_guest + sizeof(params), size - sizeof(params));
}

static void guest_reads_the_cmos_clock_where_there_is_one(void **state)
{
    (void)state;
    rig.board.devices[3] =
        (struct stasis_board_device_state){"stasis.mc146818", "rtc", 1, 0, 0x170, 2, 8};
    rig.board.devices_count = 4;
    assert_int_equal(load().rtc, 0x170);
}

/* The upper half of PM1_CNT: sleep type 5 and SLP_EN. */
static void guest_powers_off_where_it_can(void **state)
{
    static const struct stasis_board_device_state pm = {"stasis.acpi_pm", "pm", 1, 0,
                                                        0x4000,           10,   9};
    struct stasis_demo_params params;

    (void)state;
    rig.board.devices[3] = rig.board.devices[2];
    rig.board.devices[1] = pm; /* and no i8042 */
    params = load();
    assert_int_equal(params.off_port, 0x4005);
    assert_int_equal(params.off_value, 0x34);
}

static void every_guest_has_its_own_nonce(void **state)
{
    static const uint8_t zeros[16];
    struct stasis_demo_params first = load(), second = load();

    (void)state;
    assert_memory_not_equal(first.nonce, zeros, sizeof(zeros));
    assert_memory_not_equal(first.nonce, second.nonce, sizeof(zeros));
    /* The image in the program stays without one. */
    assert_memory_equal(stasis_demo_guest, zeros, sizeof(zeros));
}

static void refuse(enum stasis_err code, const char *object, const char *remedy)
{
    int rc = stasis_boot_arch_demo(&rig.memory, &rig.board, &image, &rig.err);

    boot_rig_assert_error(&rig, rc, code, object, remedy);
    assert_int_equal(image.entry, 0);
}

static void boards_without_what_it_needs(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        boot_rig_board(&rig.board, BOOT_RIG_RAM);
        rig.board.devices[i].bus ^= 1;
        refuse(STASIS_ERR_ARG, "demo guest", rig.board.devices[i].type);
    }
    for (uint32_t gsi = 0; gsi < 24; gsi = gsi ? gsi + 6 : 2) { /* timer, cascade, second PIC */
        boot_rig_board(&rig.board, BOOT_RIG_RAM);
        rig.board.devices[0].gsi = gsi;
        refuse(STASIS_ERR_ARG, "demo guest", "interrupt 1 or 3 to 7");
    }
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    rig.board.devices[2].base = UINT64_C(1) << 32;
    refuse(STASIS_ERR_ARG, "demo guest", "below 4 GiB");
}

static void memory_too_small(void **state)
{
    (void)state;
    boot_rig_fini(&rig);
    boot_rig_init(&rig, 0x101000);
    refuse(STASIS_ERR_ARG, "demo guest", "memory.size_mib");
    boot_rig_fini(&rig);
    boot_rig_init(&rig, 0x100000);
    refuse(STASIS_ERR_ARG, "demo guest", "memory.size_mib");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(guest_is_told_its_board, setup, teardown),
        cmocka_unit_test_setup_teardown(guest_powers_off_where_it_can, setup, teardown),
        cmocka_unit_test_setup_teardown(guest_reads_the_cmos_clock_where_there_is_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_guest_has_its_own_nonce, setup, teardown),
        cmocka_unit_test_setup_teardown(boards_without_what_it_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_too_small, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
