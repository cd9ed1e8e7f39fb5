/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The DSDT: one Device() per device of the board, under \_SB.
 */
#include <inttypes.h>
#include <string.h>

#include "stasis/acpi_pm.h"
#include "stasis/kvm_irq.h"
#include "vmm/boot/x86/acpi_tables.h"
#include "vmm/boot/x86/aml.h"
#include "vmm/boot/x86/lines.h"
#include "vmm/machine/board.h"
#include "vmm/machine/device.h"

#define VMGENID_PREFIX "VGN"

struct port_range {
    uint8_t offset;
    uint8_t len; /* 0: none */
};

/* How firmware names a device of ours. Types that are not here (they would be newer than this
 * release) get no entry: a guest that knows them finds them by itself. */
struct description {
    const char *type;           /* or, where it ends in _, what types begin with */
    const char *prefix;         /* of the name in the namespace */
    const char *eisa_id;        /* or NULL: */
    const char *hid;            /* an id that is none of EISA; or NULL: */
    const char *compatible;     /* it is known by a device tree name only */
    struct port_range ports[2]; /* on the port I/O bus */
};

/* i8042: data and command port; those between belong to others (0x61 is the PIT's). LNRO0005:
 * virtio over MMIO. */
static const struct description descriptions[] = {
    {"stasis.serial", "COM", "PNP0501", NULL, NULL, {{0, 8}, {0, 0}}},
    {"stasis.i8042", "KBD", "PNP0303", NULL, NULL, {{0, 1}, {4, 1}}},
    {"stasis.pl031", "RTC", NULL, NULL, "arm,pl031", {{0, 0}, {0, 0}}},
    {"stasis.virtio_", "VIO", NULL, "LNRO0005", NULL, {{0, 0}, {0, 0}}},
    {"stasis.pvpanic", "PEV", NULL, "QEMU0001", NULL, {{0, 1}, {0, 0}}},
    {"stasis.mc146818", "RTC", "PNP0B00", NULL, NULL, {{0, 2}, {0, 0}}},
};

static const struct description *find(const char *type)
{
    for (size_t i = 0; i < sizeof(descriptions) / sizeof(descriptions[0]); i++) {
        const char *known = descriptions[i].type;
        size_t len = strlen(known);

        if (known[len - 1] == '_' ? !strncmp(known, type, len) : !strcmp(known, type))
            return &descriptions[i];
    }
    return NULL;
}

/* _HID "PRP0001" with a compatible string in _DSD: how ACPI names a device that has no id of its
 * own (Linux Documentation/firmware-guide/acpi/enumeration.rst). */
static void put_compatible(struct stasis_append *aml, const char *compatible)
{
    /* daffd814-6eba-4d8c-8a91-bc9bbf4aa301, device properties, as ToUUID() lays it out */
    static const uint8_t uuid[16] = {0x14, 0xd8, 0xff, 0xda, 0xba, 0x6e, 0x8c, 0x4d,
                                     0x8a, 0x91, 0xbc, 0x9b, 0xbf, 0x4a, 0xa3, 0x01};
    size_t all, properties, property;

    stasis_aml_name(aml, "_HID");
    stasis_aml_string(aml, "PRP0001");
    stasis_aml_name(aml, "_DSD");
    all = stasis_aml_open_package(aml, 2);
    stasis_aml_buffer(aml, uuid, sizeof(uuid));
    properties = stasis_aml_open_package(aml, 1);
    property = stasis_aml_open_package(aml, 2);
    stasis_aml_string(aml, "compatible");
    stasis_aml_string(aml, compatible);
    stasis_aml_close(aml, property);
    stasis_aml_close(aml, properties);
    stasis_aml_close(aml, all);
}

static void put_resources(struct stasis_append *aml, const struct description *description,
                          const struct stasis_board_device_state *device, bool is_level)
{
    size_t resources;

    stasis_aml_name(aml, "_CRS");
    resources = stasis_aml_open_resources(aml);
    if (device->bus == STASIS_BUS_PIO) {
        for (unsigned i = 0; i < 2 && description->ports[i].len; i++)
            stasis_aml_ports(aml, (uint16_t)(device->base + description->ports[i].offset),
                             description->ports[i].len);
    } else {
        stasis_aml_memory(aml, (uint32_t)device->base, (uint32_t)device->size);
    }
    if (device->gsi != STASIS_GSI_NONE)
        stasis_aml_interrupt(aml, device->gsi, is_level);
    stasis_aml_close_resources(aml, resources);
}

struct name {
    char text[5];
};

static struct name name_of(const char *prefix, uint32_t index)
{
    return (struct name){
        {prefix[0], prefix[1], prefix[2], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % 36]}};
}

static void put_device(struct stasis_append *aml, const struct description *description,
                       const struct stasis_board_state *board, uint32_t index)
{
    const struct stasis_board_device_state *device = &board->devices[index];
    size_t opened = stasis_aml_open_device(aml, name_of(description->prefix, index).text);

    if (description->eisa_id) {
        stasis_aml_name(aml, "_HID");
        stasis_aml_eisa_id(aml, description->eisa_id);
    } else if (description->hid) {
        stasis_aml_name(aml, "_HID");
        stasis_aml_string(aml, description->hid);
    } else {
        put_compatible(aml, description->compatible);
    }
    stasis_aml_name(aml, "_UID");
    stasis_aml_int(aml, index);
    stasis_aml_name(aml, "_STA");
    stasis_aml_int(aml, 0x0f); /* present, enabled, shown, working */
    put_resources(aml, description, device, stasis_line_is_level(board, device->gsi));
    stasis_aml_close(aml, opened);
}

/* "Virtual Machine Generation ID" (Microsoft, 2012): by the compatible id that it asks for, and by
 * the id that Linux knows. */
static void put_vmgenid(struct stasis_append *aml, const struct stasis_board_device_state *device,
                        uint32_t index)
{
    size_t opened = stasis_aml_open_device(aml, name_of(VMGENID_PREFIX, index).text);
    size_t package;

    stasis_aml_name(aml, "_HID");
    stasis_aml_string(aml, "VMGENCTR");
    stasis_aml_name(aml, "_CID");
    stasis_aml_string(aml, "VM_Gen_Counter");
    stasis_aml_name(aml, "_DDN");
    stasis_aml_string(aml, "VM_Gen_Counter");
    stasis_aml_name(aml, "_UID");
    stasis_aml_int(aml, index);
    stasis_aml_name(aml, "_STA");
    stasis_aml_int(aml, 0x0f);
    stasis_aml_name(aml, "ADDR");
    package = stasis_aml_open_package(aml, 2);
    stasis_aml_int(aml, (uint32_t)device->base);
    stasis_aml_int(aml, 0);
    stasis_aml_close(aml, package);
    stasis_aml_close(aml, opened);
}

/* Its event, 5.6.4.1: _Exx is that of GPE xx. */
static void put_vmgenid_event(struct stasis_append *aml, uint32_t index)
{
    size_t scope = stasis_aml_open_scope(aml, "_GPE");
    size_t method = stasis_aml_open_method(aml, "_E00");

    _Static_assert(STASIS_DEVICE_EVENT_VMGENID == 0, "_E00");
    stasis_aml_notify(aml, "_SB_", name_of(VMGENID_PREFIX, index).text, 0x80);
    stasis_aml_close(aml, method);
    stasis_aml_close(aml, scope);
}

static int check_device(const struct stasis_board_device_state *device, struct stasis_error *err)
{
    if (device->bus != STASIS_BUS_PIO && (device->base > UINT32_MAX || device->size > UINT32_MAX ||
                                          device->base + device->size > UINT64_C(1) << 32))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "device %s at 0x%" PRIx64 " does not end below 4 GiB, which its "
                           "description to the guest needs",
                           device->instance, device->base);
    return 0;
}

/* 7.4.2.6: the sleep types that mean "off", for PM1a_CNT and for PM1b_CNT, which is not there. */
static void put_soft_off(struct stasis_append *aml)
{
    size_t package;

    stasis_aml_name(aml, "_S5_");
    package = stasis_aml_open_package(aml, 4);
    stasis_aml_int(aml, STASIS_ACPI_PM_S5);
    for (unsigned i = 0; i < 3; i++)
        stasis_aml_int(aml, 0);
    stasis_aml_close(aml, package);
}

/* What the power management registers are for. */
static void put_power_management(struct stasis_append *aml, const struct stasis_board_state *board,
                                 const struct stasis_board_device_state *vmgenid)
{
    if (!stasis_board_find(board, "stasis.acpi_pm", STASIS_BUS_PIO))
        return;
    put_soft_off(aml);
    if (vmgenid)
        put_vmgenid_event(aml, (uint32_t)(vmgenid - board->devices));
}

int stasis_acpi_dsdt_put(struct stasis_acpi_arena *arena, const struct stasis_board_state *board,
                         struct stasis_error *err)
{
    struct stasis_append *aml = &arena->out;
    const struct stasis_board_device_state *vmgenid =
        stasis_board_find(board, "stasis.vmgenid", STASIS_BUS_MMIO);
    size_t scope = stasis_aml_open_scope(aml, "_SB_");

    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct description *description = find(board->devices[i].type);
        int rc = check_device(&board->devices[i], err);

        if (rc)
            return rc;
        if (&board->devices[i] == vmgenid)
            put_vmgenid(aml, &board->devices[i], i);
        else if (description)
            put_device(aml, description, board, i);
    }
    stasis_aml_close(aml, scope);
    put_power_management(aml, board, vmgenid);
    return 0;
}
