/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/cmd_info.h"

#include <inttypes.h>
#include <string.h>

#include "stasis/state.h"
#include "tools/text.h"
#include "tools/virtio.h"

#define GSI_NONE UINT32_MAX

/* ---- one line about the state of a device ---- */

/* PC16550D data sheet, line control register. */
static void print_serial(FILE *out, const struct stasis_records *records, const char *instance)
{
    static const char parities[] = "NONENMNS"; /* by bits 5..3 */
    struct stasis_serial_state serial;
    unsigned bits;

    if (stasis_records_get(records, &stasis_serial_schema, instance, &serial, NULL))
        return;
    bits = 5 + (serial.lcr & 3u);
    fprintf(out,
            "LCR 0x%02x (%u%c%s), IER 0x%02x, %" PRIu32 " bytes received and not read, %" PRIu32
            " not yet sent\n",
            serial.lcr, bits, parities[serial.lcr >> 3 & 7],
            !(serial.lcr & 4) ? "1"
            : bits == 5       ? "1.5"
                              : "2",
            serial.ier, serial.rx_fifo_len, serial.tx_fifo_len);
}

static void print_i8042(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_i8042_state i8042;

    if (stasis_records_get(records, &stasis_i8042_schema, instance, &i8042, NULL))
        return;
    fprintf(out, "command byte 0x%02x, output port 0x%02x, ", i8042.command_byte,
            i8042.output_port);
    if (i8042.output_full)
        fprintf(out, "byte 0x%02x waits\n", i8042.output);
    else
        fputs("nothing waits\n", out);
}

/* ACPI 6.4, 4.8.3 and 4.8.4. */
static void print_acpi_pm(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_acpi_pm_state pm;

    if (stasis_records_get(records, &stasis_acpi_pm_schema, instance, &pm, NULL))
        return;
    fprintf(out, "power button %s%s, general-purpose events 0x%02x pending, 0x%02x enabled\n",
            pm.pm1_sts & 0x100 ? "pressed" : "not pressed",
            pm.pm1_en & 0x100 ? "" : " (not enabled)", pm.gpe0_sts, pm.gpe0_en);
}

static void print_acpi_timer(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_acpi_timer_state timer;

    if (stasis_records_get(records, &stasis_acpi_timer_schema, instance, &timer, NULL))
        return;
    fprintf(out, "%" PRIu64 ".%03" PRIu64 " s counted\n", timer.counter_ns / 1000000000,
            timer.counter_ns / 1000000 % 1000);
}

static void print_pvpanic(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_pvpanic_state pvpanic;

    if (stasis_records_get(records, &stasis_pvpanic_schema, instance, &pvpanic, NULL))
        return;
    fprintf(out, "%s\n",
            pvpanic.events & 1   ? "the guest has panicked"
            : pvpanic.events & 2 ? "the guest has panicked, and started a kernel for it"
                                 : "no panic");
}

static void print_vmgenid(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_vmgenid_state vmgenid;

    if (stasis_records_get(records, &stasis_vmgenid_schema, instance, &vmgenid, NULL))
        return;
    fputs("generation id ", out);
    for (size_t i = 0; i < sizeof(vmgenid.id); i++)
        fprintf(out, "%02x", vmgenid.id[i]);
    fputs(", replaced by a restore\n", out);
}

static void print_pl031(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_pl031_state rtc;
    char text[STASIS_TEXT_MAX];

    if (stasis_records_get(records, &stasis_pl031_schema, instance, &rtc, NULL))
        return;
    stasis_text_time(rtc.counter_ns, text);
    fprintf(out, "shows %s, ", text);
    if (!rtc.imsc) {
        fputs("alarm off\n", out);
        return;
    }
    stasis_text_time(rtc.mr * UINT64_C(1000000000), text);
    fprintf(out, "alarm %s%s\n", text, rtc.ris ? " (rings)" : "");
}

static void print_virtio_blk(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_virtio_mmio_state regs;
    struct stasis_virtio_blk_state blk;
    char size[STASIS_TEXT_MAX];

    if (stasis_records_get(records, &stasis_virtio_blk_schema, instance, &blk, NULL))
        return;
    stasis_text_size(blk.sectors * 512, size); /* the schema bounds it */
    fprintf(out, "disk of %s in blocks of %" PRIu32 " bytes%s%s", size, blk.block_size,
            blk.read_only ? ", read-only" : "", blk.serial[0] ? ", serial " : "");
    stasis_text_put(out, blk.serial);
    fprintf(out, "; %" PRIu32 " request%s in flight; ", blk.requests_count,
            blk.requests_count == 1 ? "" : "s");
    memcpy(&regs, &blk.mmio, sizeof(regs));
    stasis_inspect_virtio_print(out, &stasis_virtio_blk_schema, &regs);
}

static void print_virtio_net(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_virtio_mmio_state regs;
    struct stasis_virtio_net_state net;

    if (stasis_records_get(records, &stasis_virtio_net_schema, instance, &net, NULL))
        return;
    fputs("network ", out);
    for (unsigned i = 0; i < 6; i++)
        fprintf(out, "%s%02x", i ? ":" : "", (unsigned)(net.mac >> 8 * i & 0xff));
    fprintf(out, ", MTU %u, link %s; ", net.mtu, net.link_up ? "up" : "down");
    memcpy(&regs, &net.mmio, sizeof(regs));
    stasis_inspect_virtio_print(out, &stasis_virtio_net_schema, &regs);
}

static void print_virtio_balloon(FILE *out, const struct stasis_records *records,
                                 const char *instance)
{
    struct stasis_virtio_mmio_state regs;
    struct stasis_virtio_balloon_state balloon;

    if (stasis_records_get(records, &stasis_virtio_balloon_schema, instance, &balloon, NULL))
        return;
    fprintf(out, "balloon of %" PRIu64 " KiB, asked for %" PRIu64 " KiB; ",
            UINT64_C(4) * balloon.actual, UINT64_C(4) * balloon.num_pages);
    memcpy(&regs, &balloon.mmio, sizeof(regs));
    stasis_inspect_virtio_print(out, &stasis_virtio_balloon_schema, &regs);
}

static void print_virtio_vsock(FILE *out, const struct stasis_records *records,
                               const char *instance)
{
    struct stasis_virtio_mmio_state regs;
    struct stasis_virtio_vsock_state vsock;

    if (stasis_records_get(records, &stasis_virtio_vsock_schema, instance, &vsock, NULL))
        return;
    fprintf(out, "sockets of CID %" PRIu32 "; ", vsock.guest_cid);
    memcpy(&regs, &vsock.mmio, sizeof(regs));
    stasis_inspect_virtio_print(out, &stasis_virtio_vsock_schema, &regs);
}

static void print_virtio_rng(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_virtio_rng_state rng;

    if (!stasis_records_get(records, &stasis_virtio_rng_schema, instance, &rng, NULL))
        stasis_inspect_virtio_print(out, &stasis_virtio_rng_schema, &rng.mmio);
}

static void print_mc146818(FILE *out, const struct stasis_records *records, const char *instance)
{
    struct stasis_mc146818_state rtc;
    char text[STASIS_TEXT_MAX];

    if (stasis_records_get(records, &stasis_mc146818_schema, instance, &rtc, NULL))
        return;
    if (rtc.ram[0x0b] & 0x80 || (rtc.ram[0x0a] & 0x60) == 0x60) {
        fputs("is stopped", out);
    } else {
        stasis_text_time(rtc.counter_ns, text);
        fprintf(out, "shows %s", text);
    }
    fprintf(out, ", interrupts 0x%02x pending, 0x%02x enabled\n", rtc.ram[0x0c],
            rtc.ram[0x0b] & 0x70u);
}

static const struct {
    const struct stasis_schema *schema;
    void (*print)(FILE *out, const struct stasis_records *records, const char *instance);
} device_lines[] = {
    {&stasis_serial_schema, print_serial},
    {&stasis_i8042_schema, print_i8042},
    {&stasis_pl031_schema, print_pl031},
    {&stasis_acpi_pm_schema, print_acpi_pm},
    {&stasis_acpi_timer_schema, print_acpi_timer},
    {&stasis_vmgenid_schema, print_vmgenid},
    {&stasis_pvpanic_schema, print_pvpanic},
    {&stasis_virtio_rng_schema, print_virtio_rng},
    {&stasis_mc146818_schema, print_mc146818},
    {&stasis_virtio_balloon_schema, print_virtio_balloon},
    {&stasis_virtio_blk_schema, print_virtio_blk},
    {&stasis_virtio_net_schema, print_virtio_net},
    {&stasis_virtio_vsock_schema, print_virtio_vsock},
};

/* ---- the board ---- */

static void print_place(FILE *out, const struct stasis_board_device_state *device)
{
    uint64_t last = device->base + (device->size - 1);

    if (device->bus == STASIS_BUS_MMIO)
        fprintf(out, "memory 0x%08" PRIx64 "-0x%08" PRIx64, device->base, last);
    else
        fprintf(out, "ports 0x%03" PRIx64 "-0x%03" PRIx64, device->base, last);
    if (device->gsi == GSI_NONE)
        fputs(", no IRQ\n", out);
    else
        fprintf(out, ", IRQ %" PRIu32 "\n", device->gsi);
}

static void print_device(FILE *out, const struct stasis_records *records,
                         const struct stasis_board_device_state *device)
{
    fputs("  ", out);
    stasis_text_put(out, device->instance);
    fputs(" (", out);
    stasis_text_put(out, device->type);
    fputs("): ", out);
    print_place(out, device);
    if (stasis_records_find(records, device->type, device->instance) == SIZE_MAX)
        return;
    for (size_t i = 0; i < sizeof(device_lines) / sizeof(device_lines[0]); i++) {
        if (!strcmp(device_lines[i].schema->type, device->type)) {
            fputs("    ", out);
            device_lines[i].print(out, records, device->instance);
        }
    }
}

static void print_guest_clock(FILE *out, const struct stasis_records *records)
{
    struct stasis_x86_clock_state clock;

    if (!stasis_records_get(records, &stasis_x86_clock_schema, NULL, &clock, NULL))
        fprintf(out, ", kvmclock at %" PRIu64 ".%03" PRIu64 " s",
                clock.clock_ns / UINT64_C(1000000000),
                clock.clock_ns % UINT64_C(1000000000) / UINT64_C(1000000));
}

void stasis_inspect_info_board(FILE *out, const struct stasis_records *records)
{
    struct stasis_board_state board;

    if (stasis_records_get(records, &stasis_board_schema, NULL, &board, NULL))
        return;
    fputs("board ", out);
    stasis_text_put(out, board.name);
    fputs(" of stasis ", out);
    stasis_text_put(out, board.release);
    fputs(", CPU model ", out);
    stasis_text_put(out, board.cpu_model);
    fprintf(out, ", %" PRIu32 " vCPU%s", board.vcpus, board.vcpus == 1 ? "" : "s");
    print_guest_clock(out, records);
    fputc('\n', out);
    for (uint32_t i = 0; i < board.devices_count; i++)
        print_device(out, records, &board.devices[i]);
}
