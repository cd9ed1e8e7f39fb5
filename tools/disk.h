/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What commands do with the overlay of a disk, in place of a snapshot: sealed, or in use by nobody.
 */
#ifndef STASIS_TOOLS_DISK_H
#define STASIS_TOOLS_DISK_H

#include "stasis/json.h"
#include "stasis/overlay.h"
#include "tools/inspect.h"

/* Opens an overlay, and what it lies on, or it `alone`; without the image. */
STASIS_MUST_CHECK int stasis_disk_open(const struct stasis_inspect_args *args, const char *file,
                                       bool alone, struct stasis_overlay **ret_overlay,
                                       struct stasis_error *err);

/* The first operand, as `info` prints it, or in a line; as `json` does; and verified. */
STASIS_MUST_CHECK int stasis_disk_print(const struct stasis_inspect_args *args, FILE *out,
                                        struct stasis_error *err);
STASIS_MUST_CHECK int stasis_disk_print_line(const struct stasis_inspect_args *args, FILE *out,
                                             struct stasis_error *err);
STASIS_MUST_CHECK int stasis_disk_json(const struct stasis_inspect_args *args, FILE *out,
                                       struct stasis_error *err);
STASIS_MUST_CHECK int stasis_disk_verify(const struct stasis_inspect_args *args, FILE *out,
                                         struct stasis_error *err);

/* Writes the content of the disk as a raw image, whose image is at the path `image`; NULL: none was
 * named. */
STASIS_MUST_CHECK int stasis_disk_flatten(const struct stasis_inspect_args *args, const char *image,
                                          bool may_differ, FILE *out, struct stasis_error *err);

/* cmd_json.c: the object "header". */
void stasis_inspect_json_header(struct stasis_json *json, const struct stasis_snap_info *info);

#endif
