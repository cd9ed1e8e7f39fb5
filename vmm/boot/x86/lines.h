/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How the devices of a board drive their interrupt lines, as all firmware tables say it.
 */
#ifndef STASIS_VMM_BOOT_X86_LINES_H
#define STASIS_VMM_BOOT_X86_LINES_H

#include <stdbool.h>

#include "stasis/state.h"

/* Active high and level-triggered: MP 1.4, table 4-10, and ACPI 6.5, table 5.26. */
#define STASIS_LINE_HIGH_LEVEL 0x0d

/* Whether a device of the board holds that line up until its driver has acknowledged all there is;
 * else it is triggered by edges. */
bool stasis_line_is_level(const struct stasis_board_state *board, uint32_t gsi);

#endif
