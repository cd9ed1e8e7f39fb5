/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/lines.h"

#include <string.h>

#define VIRTIO "stasis.virtio_"

bool stasis_line_is_level(const struct stasis_board_state *board, uint32_t gsi)
{
    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_board_device_state *device = &board->devices[i];

        if (device->gsi == gsi && (!strncmp(device->type, VIRTIO, sizeof(VIRTIO) - 1) ||
                                   !strcmp(device->type, "stasis.acpi_pm")))
            return true;
    }
    return false;
}
