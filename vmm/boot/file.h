/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A file that goes into guest memory. Reads are bounded by the size it had when it was opened and
 * go straight to where the bytes belong.
 */
#ifndef STASIS_VMM_BOOT_FILE_H
#define STASIS_VMM_BOOT_FILE_H

#include "stasis/error.h"

#include <stdint.h>

struct stasis_boot_file {
    const char *what; /* "kernel", "initrd" */
    const char *path; /* the caller's; must outlive the file */
    uint64_t size;
    int fd;
};

/* Opens a regular, non-empty file, or a duplicate of fd, unless that is 0. STASIS_ERR_ARG names it
 * and the option to mend; STASIS_ERR_READ. */
STASIS_MUST_CHECK int stasis_boot_file_init(struct stasis_boot_file *file, const char *what,
                                            const char *path, int fd, struct stasis_error *err);
void stasis_boot_file_fini(struct stasis_boot_file *file);

/* Reads exactly len bytes at `offset`. STASIS_ERR_ARG when the file ends before, STASIS_ERR_READ
 * when the disk fails. *to may have changed on failure. */
STASIS_MUST_CHECK int stasis_boot_file_read(const struct stasis_boot_file *file, uint64_t offset,
                                            void *to, uint64_t len, struct stasis_error *err);

/* The two ways a file is no good, in one wording: `len` bytes at `offset` are not all there; or its
 * content has no room at `gpa`. */
int stasis_boot_file_truncated(const struct stasis_boot_file *file, uint64_t offset, uint64_t len,
                               struct stasis_error *err);
int stasis_boot_file_no_room(const struct stasis_boot_file *file, uint64_t gpa, uint64_t len,
                             struct stasis_error *err);

#endif
