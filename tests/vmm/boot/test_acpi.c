/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Follows the tables from the RSDP as a kernel does. ACPICA's compiler (iasl), where installed,
 * says whether it understands every table.
 */
#include "vmm/boot/x86/acpi.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot/boot_rig.h"
#include "vmm/boot/x86/acpi_tables.h"

#define GPA UINT64_C(0xe0000)

static struct boot_rig rig;
static uint8_t bytes[0x10000];

static uint8_t sum(const void *table, size_t len)
{
    const uint8_t *at = table;
    uint8_t all = 0;

    while (len--)
        all = (uint8_t)(all + *at++);
    return all;
}

/* A table by its guest address, its checksum checked. */
static const void *table(uint64_t gpa, const char *signature)
{
    struct stasis_acpi_header header;

    assert_true(gpa >= GPA && gpa - GPA <= sizeof(bytes) - sizeof(header));
    memcpy(&header, bytes + (gpa - GPA), sizeof(header));
    assert_memory_equal(header.signature, signature, 4);
    assert_true(header.length <= sizeof(bytes) - (gpa - GPA));
    if (strcmp(signature, "FACS") != 0)
        assert_int_equal(sum(bytes + (gpa - GPA), header.length), 0);
    return bytes + (gpa - GPA);
}

struct tables {
    struct stasis_acpi_fadt fadt;
    const uint8_t *madt;
    const uint8_t *dsdt;
};

static int build(void)
{
    uint64_t rsdp = 0;
    int rc = stasis_acpi_build(&rig.board, GPA, bytes, sizeof(bytes), &rsdp, &rig.err);

    assert_int_equal(rsdp, rc ? 0 : GPA);
    return rc;
}

static struct tables read_tables(void)
{
    struct stasis_acpi_rsdp rsdp;
    struct stasis_acpi_xsdt xsdt;
    struct tables tables;

    assert_int_equal(build(), 0);
    memcpy(&rsdp, bytes, sizeof(rsdp));
    assert_memory_equal(rsdp.signature, "RSD PTR ", 8);
    assert_int_equal(sum(&rsdp, 20), 0);
    assert_int_equal(sum(&rsdp, sizeof(rsdp)), 0);
    memcpy(&xsdt, table(rsdp.xsdt, "XSDT"), sizeof(xsdt));
    assert_int_equal(xsdt.header.length, sizeof(xsdt));
    memcpy(&tables.fadt, table(xsdt.fadt, "FACP"), sizeof(tables.fadt));
    tables.madt = table(xsdt.madt, "APIC");
    tables.dsdt = table(tables.fadt.x_dsdt, "DSDT");
    return tables;
}

static void fadt_is_full_and_true(void **state)
{
    struct stasis_acpi_fadt fadt;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    fadt = read_tables().fadt;
    assert_int_equal(fadt.flags & 1u << 20, 0); /* not hardware-reduced */
    assert_int_equal(fadt.dsdt, fadt.x_dsdt);
    assert_int_equal(fadt.facs % 64, 0);
    (void)table(fadt.facs, "FACS");
    assert_int_equal(fadt.smi_cmd, 0);
    assert_int_equal(fadt.x_pm1a_evt.addr, fadt.pm1a_evt);
    assert_int_equal(fadt.x_pm1a_cnt.addr, fadt.pm1a_cnt);
    assert_int_equal(fadt.boot_arch, 0x27); /* legacy devices, 8042, no VGA, no CMOS clock */
    assert_int_equal(fadt.reset_reg.space, 1);
    assert_int_equal(fadt.reset_reg.addr, 0x64);
    assert_int_equal(fadt.reset_value, 0xfe);
    assert_int_equal(fadt.flags & 1u << 10, 1u << 10);
}

/* Where the rows say. */
static void add_pm(uint64_t base, uint32_t gsi)
{
    static const struct stasis_board_device_state pm = {"stasis.acpi_pm", "pm", 1, 0, 0, 10, 0};
    struct stasis_board_device_state *row = &rig.board.devices[rig.board.devices_count++];

    *row = pm;
    row->base = base;
    row->gsi = gsi;
}

static void assert_gas(const struct stasis_acpi_gas *gas, uint8_t bits, uint8_t access,
                       uint64_t addr)
{
    assert_int_equal(gas->space, 1);
    assert_int_equal(gas->bits, bits);
    assert_int_equal(gas->offset, 0);
    assert_int_equal(gas->access, access);
    assert_int_equal(gas->addr, addr);
}

/* Boards of 0.1.0: fixed registers that nothing answers, and no power button. */
static void fadt_without_power_management(void **state)
{
    struct stasis_acpi_fadt fadt;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    fadt = read_tables().fadt;
    assert_gas(&fadt.x_pm1a_evt, 32, 2, 0x600);
    assert_gas(&fadt.x_pm1a_cnt, 16, 2, 0x604);
    assert_int_equal(fadt.gpe0_len, 0);
    assert_int_equal(fadt.x_gpe0.addr, 0);
    assert_int_equal(fadt.sci_int, 9);
    assert_int_equal(fadt.flags, 0x475);
}

/* ACPI 6.4, 4.8.3.3: 32 bits where TMR_VAL_EXT says so. */
static void fadt_names_the_timer(void **state)
{
    struct stasis_acpi_fadt fadt;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    fadt = read_tables().fadt;
    assert_int_equal(fadt.pm_tmr, 0);
    assert_int_equal(fadt.pm_tmr_len, 0);
    assert_int_equal(fadt.x_pm_tmr.addr, 0);
    rig.board.devices[rig.board.devices_count++] = (struct stasis_board_device_state){
        "stasis.acpi_timer", "timer", 1, 0, 0x4010, 4, UINT32_MAX};
    fadt = read_tables().fadt;
    assert_int_equal(fadt.pm_tmr, 0x4010);
    assert_int_equal(fadt.pm_tmr_len, 4);
    assert_gas(&fadt.x_pm_tmr, 32, 3, 0x4010);
    assert_int_equal(fadt.flags, 0x575);
}

static void fadt_names_the_power_management(void **state)
{
    struct tables tables;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    add_pm(0x4000, 11);
    tables = read_tables();
    assert_int_equal(tables.fadt.sci_int, 11);
    assert_int_equal(tables.fadt.pm1a_evt, 0x4000);
    assert_int_equal(tables.fadt.pm1_evt_len, 4);
    assert_int_equal(tables.fadt.pm1a_cnt, 0x4004);
    assert_int_equal(tables.fadt.pm1_cnt_len, 2);
    assert_int_equal(tables.fadt.gpe0, 0x4008);
    assert_int_equal(tables.fadt.gpe0_len, 2);
    assert_gas(&tables.fadt.x_pm1a_evt, 32, 2, 0x4000);
    assert_gas(&tables.fadt.x_pm1a_cnt, 16, 2, 0x4004);
    assert_gas(&tables.fadt.x_gpe0, 16, 1, 0x4008);
    assert_int_equal(tables.fadt.flags, 0x465); /* the power button is in PM1 */
    /* Level-triggered, active high. */
    assert_memory_equal(tables.madt + 44 + 8 + 12, "\x02\x0a\x00\x0b\x0b\x00\x00\x00\x0d\x00", 10);
}

/* Linux looks for the clock at its ports unless the FADT says that there is none. */
static void fadt_of_a_board_with_a_cmos_clock(void **state)
{
    struct stasis_acpi_fadt fadt;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    rig.board.devices[2] =
        (struct stasis_board_device_state){"stasis.mc146818", "rtc", 1, 0, 0x70, 2, 8};
    fadt = read_tables().fadt;
    assert_int_equal(fadt.boot_arch, 0x07);
    assert_int_equal(fadt.century, 0x32);
}

static void fadt_without_an_i8042(void **state)
{
    struct stasis_acpi_fadt fadt;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    rig.board.devices[1] = rig.board.devices[2];
    rig.board.devices_count = 2;
    fadt = read_tables().fadt;
    assert_int_equal(fadt.boot_arch, 0x25);
    assert_int_equal(fadt.flags & 1u << 10, 0);
    assert_int_equal(fadt.reset_reg.addr, 0);
}

static void madt_has_every_processor(void **state)
{
    const uint32_t counts[] = {1, 2, 15, 16, 254};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const uint8_t *entry;

        boot_rig_board(&rig.board, BOOT_RIG_RAM);
        rig.board.vcpus = counts[i];
        entry = read_tables().madt + 44;
        for (uint32_t cpu = 0; cpu < counts[i]; cpu++, entry += 8) {
            const uint8_t want[8] = {0, 8, (uint8_t)cpu, (uint8_t)cpu, 1, 0, 0, 0};

            assert_memory_equal(entry, want, 8);
        }
        assert_int_equal(entry[0], 1); /* I/O APIC */
        assert_int_equal(entry[2], counts[i]);
        assert_memory_equal(entry + 4, "\x00\x00\xc0\xfe\x00\x00\x00\x00", 8);
        entry += 12;
        /* KVM's PIT is on pin 0, so the SCI's is the only override. */
        assert_memory_equal(entry, "\x02\x0a\x00\x09\x09\x00\x00\x00\x0d\x00", 10);
        assert_memory_equal(entry + 10, "\x04\x06\xff\x00\x00\x01", 6);
    }
}

/* The lines of ISA that virtio devices have are level-triggered beside the SCI. */
static void madt_has_the_lines_of_virtio_devices(void **state)
{
    static const uint8_t want[] = {2, 10, 0, 5,  5, 0, 0,  0, 13, 0,  2, 10, 0, 9,  9,
                                   0, 0,  0, 13, 0, 2, 10, 0, 11, 11, 0, 0,  0, 13, 0};
    const uint32_t lines[] = {17, 5, 11};
    const uint8_t *entry;

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    for (uint32_t i = 0; i < 3; i++)
        rig.board.devices[rig.board.devices_count++] = (struct stasis_board_device_state){
            "stasis.virtio_blk", "", 1, 1, 0xd0002000 + i * 0x1000, 0x1000, lines[i]};
    entry = read_tables().madt + 44 + 8 + 12;
    assert_memory_equal(entry, want, sizeof(want));
    assert_int_equal(entry[sizeof(want)], 4); /* the NMI */
}

static void bounds(void **state)
{
    uint64_t rsdp;
    size_t room = sizeof(bytes);

    (void)state;
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    memset(bytes, 0xaa, sizeof(bytes));
    while (room && !stasis_acpi_build(&rig.board, GPA, bytes, room, &rsdp, &rig.err))
        room = room > 4096 ? room - 4096 : room - 1;
    assert_true(room > 512 && room < 4096); /* what the default board takes, less one */
    for (; room; room--) {
        memset(bytes, 0xaa, sizeof(bytes));
        assert_int_equal(stasis_acpi_build(&rig.board, GPA, bytes, room, &rsdp, &rig.err),
                         STASIS_ERR_FULL);
        assert_int_equal(bytes[room], 0xaa);
    }
    rig.board.vcpus = 255;
    boot_rig_assert_error(&rig, build(), STASIS_ERR_ARG, "255 vCPUs", "vcpu.num");
    rig.board.vcpus = 1;
    rig.board.devices[2].base = UINT64_C(0xfffff001);
    boot_rig_assert_error(&rig, build(), STASIS_ERR_ARG, "rtc", "below 4 GiB");
}

static int shell(const char *command)
{
    return system(command); /* NOLINT(cert-env33-c): nothing of the command is input */
}

/* Disassembles a table in folder `work` and compiles it again; returns the listing. */
static char *through_iasl(const char *work, const void *at, const char *name)
{
    static char listing[0x10000];
    struct stasis_acpi_header header;
    char command[512], path[256];
    FILE *file;
    size_t len;

    memcpy(&header, at, sizeof(header));
    snprintf(path, sizeof(path), "%s/%s.dat", work, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(at, header.length, 1, file), 1);
    fclose(file);
    snprintf(
        command, sizeof(command),
        /* 6035: ids of eight characters end in digits, and "VMGENCTR" does not. */
        "cd %s && iasl -d %s.dat >%s.log 2>&1 && iasl -we -ve -vw 6035 %s.dsl >>%s.log 2>&1 || "
        "{ cat %s.log; false; }",
        work, name, name, name, name, name);
    assert_int_equal(shell(command), 0);
    snprintf(path, sizeof(path), "%s/%s.dsl", work, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    len = fread(listing, 1, sizeof(listing) - 1, file);
    listing[len] = '\0';
    fclose(file);
    return listing;
}

static void assert_lists(const char *listing, const char *text)
{
    if (!strstr(listing, text))
        fail_msg("not listed: %s\n%s", text, listing);
}

static void iasl_understands_every_table(void **state)
{
    char work[] = "/tmp/test_acpiXXXXXX", command[64];
    const char *listing;
    struct tables tables;

    (void)state;
    if (shell("command -v iasl >/dev/null")) {
        print_message("skipped: iasl (package acpica-tools) is not installed\n");
        skip();
    }
    assert_non_null(mkdtemp(work));
    boot_rig_board(&rig.board, BOOT_RIG_RAM);
    rig.board.devices[3] = rig.board.devices[0];
    rig.board.devices[3].bus = 1;
    rig.board.devices[3].base = 0xd0001000;
    rig.board.devices[3].gsi = 5;
    strcpy(rig.board.devices[4].type, "stasis.unheard_of");
    rig.board.devices[4].size = 1;
    rig.board.devices[5] = (struct stasis_board_device_state){
        "stasis.vmgenid", "id", 1, 1, 0xef000, 0x1000, UINT32_MAX};
    rig.board.devices[6] = (struct stasis_board_device_state){"stasis.virtio_rng", "rng",  1, 1,
                                                              0xd0002000,          0x1000, 21};
    rig.board.devices[7] =
        (struct stasis_board_device_state){"stasis.mc146818", "rtc", 1, 0, 0x70, 2, 8};
    rig.board.devices[8] =
        (struct stasis_board_device_state){"stasis.pvpanic", "pv", 1, 0, 0x505, 1, UINT32_MAX};
    rig.board.devices_count = 9;
    listing = through_iasl(work, read_tables().dsdt, "dsdt");
    assert_null(strstr(listing, "_S5"));
    assert_null(strstr(listing, "_GPE")); /* where nothing could raise it */
    add_pm(0x600, 9);
    tables = read_tables();
    listing = through_iasl(work, tables.dsdt, "dsdt");
    assert_lists(listing, "EisaId (\"PNP0501\")");
    assert_lists(listing, "EisaId (\"PNP0303\")");
    assert_lists(listing, "\"arm,pl031\"");
    assert_lists(listing,
                 "Name (_S5, Package (0x04)  // _S5_: S5 System State\n    {\n        0x05, ");
    assert_lists(listing, "EisaId (\"PNP0B00\")");
    assert_lists(listing, "0x0070,             // Range Minimum");
    assert_lists(listing, "Name (_HID, \"QEMU0001\")");
    assert_lists(listing, "0x0505,             // Range Minimum");
    assert_lists(listing, "Method (_E00, 0, NotSerialized)");
    assert_lists(listing, "Notify (\\_SB.VGN5, 0x80)");
    assert_lists(listing, "Name (_HID, \"VMGENCTR\")");
    assert_lists(listing, "Name (_CID, \"VM_Gen_Counter\")");
    assert_lists(listing, "Name (_DDN, \"VM_Gen_Counter\")");
    assert_lists(listing,
                 "Name (ADDR, Package (0x02)\n            {\n                0x000EF000, ");
    assert_lists(listing, "0x03F8,             // Range Minimum");
    assert_lists(listing, "0x0064,             // Range Minimum");
    assert_lists(listing, "0xD0000000,         // Address Base");
    assert_lists(listing, "0xD0001000,         // Address Base");
    assert_lists(listing, "0x00000004,");
    assert_lists(listing, "Name (_HID, \"LNRO0005\")");
    assert_lists(listing, "0xD0002000,         // Address Base");
    assert_lists(listing, "Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive, ,, )\n"
                          "                {\n"
                          "                    0x00000015,\n");
    assert_lists(listing, "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, )\n"
                          "                {\n"
                          "                    0x00000004,\n");
    assert_lists(through_iasl(work, tables.madt, "madt"), "Local Apic Address : FEE00000");
    assert_lists(through_iasl(work, &tables.fadt, "fadt"), "SCI Interrupt : 0009");
    snprintf(command, sizeof(command), "rm -rf %s", work);
    assert_int_equal(shell(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fadt_is_full_and_true),
        cmocka_unit_test(fadt_without_an_i8042),
        cmocka_unit_test(madt_has_every_processor),
        cmocka_unit_test(madt_has_the_lines_of_virtio_devices),
        cmocka_unit_test(bounds),
        cmocka_unit_test(iasl_understands_every_table),
        cmocka_unit_test(fadt_of_a_board_with_a_cmos_clock),
        cmocka_unit_test(fadt_without_power_management),
        cmocka_unit_test(fadt_names_the_timer),
        cmocka_unit_test(fadt_names_the_power_management),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
