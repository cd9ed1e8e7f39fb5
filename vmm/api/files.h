/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The files that a configuration names: of a VM that uses them (vmm_outputs.c), and of a dry run
 * (preflight_outputs.c). All go through the gate of stasis/output.h.
 */
#ifndef STASIS_VMM_FILES_H
#define STASIS_VMM_FILES_H

#include "stasis/output.h"
#include "vmm/api/config.h"

/* Of the file that is thawed, for messages about others. */
#define STASIS_VMM_RESTORE_ROLE "that of restore.path"

/* STASIS_ERR_ARG: who is to be told when the guest runs cannot be. */
STASIS_MUST_CHECK int stasis_files_check_ready(const struct stasis_vmm_config *config,
                                               struct stasis_error *err);

/* Notes what is read, and descriptors that are written to: files are opened later, by others.
 * STASIS_ERR_ARG, STASIS_ERR_IO, STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_files_note(const struct stasis_vmm_config *config,
                                        struct stasis_outputs *outputs, struct stasis_error *err);

/* Opens what is thawed, a file or standard input, and notes the files that it lies on, too. `opts`
 * without `root`, `layers` and `beside`. And what stasis_snap_open_fd() says. */
STASIS_MUST_CHECK int stasis_files_open_restore(const struct stasis_vmm_config *config,
                                                struct stasis_outputs *outputs,
                                                struct stasis_parse_opts *opts,
                                                struct stasis_snap **ret_snap,
                                                struct stasis_error *err);

enum stasis_files_output {
    STASIS_FILES_SNAPSHOT,
    STASIS_FILES_CRASH,
    STASIS_FILES_METRICS,
    STASIS_FILES_OUTPUTS
};

/* Opens it if the configuration names one, else leaves *ret_output; only_looks as in struct
 * stasis_output_opts. What cannot be written to later is a wrong option now: STASIS_ERR_ARG.
 * STASIS_ERR_NOMEM. *ret_output is set on failure, too, if it was opened. */
STASIS_MUST_CHECK int stasis_files_open_output(const struct stasis_vmm_config *config,
                                               struct stasis_outputs *outputs,
                                               enum stasis_files_output which, bool only_looks,
                                               struct stasis_output **ret_output,
                                               struct stasis_error *err);

/* Makes that of an error of an output, STASIS_ERR_WRITE, and names the option. */
STASIS_MUST_CHECK int stasis_files_wrong_key(struct stasis_error *err, const char *key,
                                             const char *path, int rc);

#endif
