/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * In place of demo.c, with STASIS_DEMO=OFF.
 */
#include "vmm/boot/boot_arch.h"

int stasis_boot_arch_demo(const struct stasis_memory *memory,
                          const struct stasis_board_state *board,
                          struct stasis_boot_image *ret_image, struct stasis_error *err)
{
    (void)memory;
    (void)board;
    (void)ret_image;
    return stasis_fail_absent(err, "built-in guest", "STASIS_DEMO");
}
