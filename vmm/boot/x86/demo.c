/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Loads the guest that is built into the program: a kernel of a kilobyte that needs no file.
 */
#include <string.h>
#include <sys/random.h>

#include "stasis/acpi_pm.h"
#include "vmm/boot/boot_arch.h"
#include "vmm/boot/x86/demo_guest.h"
#include "vmm/boot/x86/layout.h"
#include "vmm/machine/board.h"

/* Line of the first PIC that is neither the timer's nor the cascade's. */
static bool is_own_irq(uint32_t gsi)
{
    return gsi < 8 && gsi != 0 && gsi != 2;
}

static const struct stasis_board_device_state *need(const struct stasis_board_state *board,
                                                    const char *type, uint32_t bus,
                                                    struct stasis_error *err)
{
    const struct stasis_board_device_state *device = stasis_board_find(board, type, bus);

    if (!device)
        (void)stasis_fail(err, STASIS_ERR_ARG,
                          "the demo guest needs a %s on the %s bus of the board", type,
                          stasis_enum_doc("BUS", bus));
    return device;
}

/* The byte that ends the machine, and its port: the upper half of PM1_CNT, with the sleep type of
 * S5 and SLP_EN; else the command of the i8042 that resets it. */
static int find_off(const struct stasis_board_state *board, struct stasis_demo_params *params,
                    struct stasis_error *err)
{
    const struct stasis_board_device_state *pm =
        stasis_board_find(board, "stasis.acpi_pm", STASIS_BUS_PIO);
    const struct stasis_board_device_state *i8042;

    if (pm) {
        params->off_port = (uint16_t)(pm->base + STASIS_ACPI_PM_CNT_OFFSET + 1);
        params->off_value = STASIS_ACPI_PM_S5 << 2 | 0x20;
        return 0;
    }
    i8042 = need(board, "stasis.i8042", STASIS_BUS_PIO, err);
    if (!i8042)
        return STASIS_ERR_ARG;
    params->off_port = (uint16_t)(i8042->base + 4);
    params->off_value = 0xfe;
    return 0;
}

static int fill_params(const struct stasis_board_state *board,
                       struct stasis_demo_params *ret_params, struct stasis_error *err)
{
    const struct stasis_board_device_state *serial =
        need(board, "stasis.serial", STASIS_BUS_PIO, err);
    const struct stasis_board_device_state *rtc =
        stasis_board_find(board, "stasis.mc146818", STASIS_BUS_PIO);

    if (!rtc)
        rtc = need(board, "stasis.pl031", STASIS_BUS_MMIO, err);
    memset(ret_params, 0, sizeof(*ret_params));
    if (!serial || !rtc || find_off(board, ret_params, err))
        return STASIS_ERR_ARG;
    if (!is_own_irq(serial->gsi) || rtc->base >= STASIS_MMIO_GAP_END)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the demo guest needs its serial port on interrupt 1 or 3 to 7 and its "
                           "clock below 4 GiB");
    ret_params->rtc = rtc->base;
    ret_params->serial_port = (uint16_t)serial->base;
    ret_params->serial_irq = (uint8_t)serial->gsi;
    ret_params->cpus = (uint8_t)board->vcpus;
    if (getrandom(ret_params->nonce, sizeof(ret_params->nonce), 0) != sizeof(ret_params->nonce))
        return stasis_fail_errno(err, STASIS_ERR_IO, "cannot draw a random nonce");
    return 0;
}

int stasis_boot_arch_demo(const struct stasis_memory *memory,
                          const struct stasis_board_state *board,
                          struct stasis_boot_image *ret_image, struct stasis_error *err)
{
    size_t size = (size_t)(stasis_demo_guest_end - stasis_demo_guest);
    struct stasis_demo_params params;
    int rc = fill_params(board, &params, err);

    if (!rc)
        rc =
            stasis_boot_write(memory, STASIS_DEMO_BASE, stasis_demo_guest, size, "demo guest", err);
    if (!rc)
        rc =
            stasis_boot_write(memory, STASIS_DEMO_BASE, &params, sizeof(params), "demo guest", err);
    explicit_bzero(&params, sizeof(params));
    if (!rc && !stasis_memory_at(memory, STASIS_DEMO_BASE, STASIS_DEMO_END - STASIS_DEMO_BASE))
        rc = stasis_fail(err, STASIS_ERR_ARG,
                         "the demo guest needs 2 MiB of memory: give more by memory.size_mib");
    if (!rc)
        *ret_image = (struct stasis_boot_image){.start = STASIS_DEMO_BASE,
                                                .end = STASIS_DEMO_END,
                                                .entry = STASIS_DEMO_BASE + STASIS_DEMO_ENTRY,
                                                .initrd_max = STASIS_MMIO_GAP_START - 1,
                                                .cmdline_max = STASIS_BOOT_CMDLINE_MAX};
    return rc;
}
