/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Loads the guest that is built into the program: a kernel of a kilobyte that needs no file.
 */
#include <string.h>
#include <sys/random.h>

#include "vmm/boot/boot_arch.h"
#include "vmm/boot/x86/demo_guest.h"
#include "vmm/boot/x86/layout.h"

/* Line of the first PIC that is neither the timer's nor the cascade's. */
static bool is_own_irq(uint32_t gsi)
{
    return gsi < 8 && gsi != 0 && gsi != 2;
}

static const struct stasis_board_device_state *find(const struct stasis_board_state *board,
                                                    const char *type, uint32_t bus,
                                                    struct stasis_error *err)
{
    for (uint32_t i = 0; i < board->devices_count; i++) {
        if (board->devices[i].bus == bus && !strcmp(board->devices[i].type, type))
            return &board->devices[i];
    }
    stasis_fail(err, STASIS_ERR_ARG, "the demo guest needs a %s on the %s bus of the board", type,
                stasis_enum_doc("BUS", bus));
    return NULL;
}

static int fill_params(const struct stasis_board_state *board,
                       struct stasis_demo_params *ret_params, struct stasis_error *err)
{
    const struct stasis_board_device_state *serial =
        find(board, "stasis.serial", STASIS_BUS_PIO, err);
    const struct stasis_board_device_state *i8042 =
        find(board, "stasis.i8042", STASIS_BUS_PIO, err);
    const struct stasis_board_device_state *rtc = find(board, "stasis.pl031", STASIS_BUS_MMIO, err);

    if (!serial || !i8042 || !rtc)
        return STASIS_ERR_ARG;
    if (!is_own_irq(serial->gsi) || rtc->base >= STASIS_MMIO_GAP_END)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the demo guest needs its serial port on interrupt 1 or 3 to 7 and its "
                           "clock below 4 GiB");
    memset(ret_params, 0, sizeof(*ret_params));
    ret_params->rtc = rtc->base;
    ret_params->serial_port = (uint16_t)serial->base;
    ret_params->reset_port = (uint16_t)(i8042->base + 4);
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
                         "the demo guest needs 2 MiB of memory: give more by --memory size_mib=N");
    if (!rc)
        *ret_image = (struct stasis_boot_image){.start = STASIS_DEMO_BASE,
                                                .end = STASIS_DEMO_END,
                                                .entry = STASIS_DEMO_BASE + STASIS_DEMO_ENTRY,
                                                .initrd_max = STASIS_MMIO_GAP_START - 1,
                                                .cmdline_max = STASIS_BOOT_CMDLINE_MAX};
    return rc;
}
