/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of `info`. Opening a snapshot has checked every record against its schema, so a record
 * that cannot be had is one that is not there: other programs than vmm make snapshots too.
 */
#ifndef STASIS_TOOLS_CMD_INFO_H
#define STASIS_TOOLS_CMD_INFO_H

#include "tools/inspect.h"

/* Every vCPU: where it is and in which mode. */
void stasis_inspect_info_vcpus(FILE *out, const struct stasis_records *records);

/* The board and, of each device on it, the state that matters. */
void stasis_inspect_info_board(FILE *out, const struct stasis_records *records);

/* Of a layer: the file that it lies on; what of RAM is where, of one that was opened alone; and
 * the files that it lies on, or why it cannot be read. */
void stasis_inspect_info_parent(FILE *out, const struct stasis_snap_info *info);
void stasis_inspect_info_layer_sizes(FILE *out, const struct stasis_snap *snap);
void stasis_inspect_info_below(FILE *out, const struct stasis_inspect_args *args);

/* Records that this release cannot read, field by field if a schema came with them.
 * STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_inspect_info_unknown(FILE *out, struct stasis_snap *snap,
                                                  struct stasis_error *err);

#endif
