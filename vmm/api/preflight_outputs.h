/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a dry run finds of the files that a VM would write.
 */
#ifndef STASIS_VMM_PREFLIGHT_OUTPUTS_H
#define STASIS_VMM_PREFLIGHT_OUTPUTS_H

#include "vmm/api/files.h"
#include "vmm/base/reasons.h"

/* They are held until all have been looked at, since two of them may be one file. */
struct stasis_preflight_outputs {
    struct stasis_outputs *set;
    struct stasis_output *held[STASIS_FILES_OUTPUTS + 1]; /* with that of the serial port */
    unsigned count;
};

/* Adds what a VM would refuse, in the order in which it would. STASIS_ERR_NOMEM; *ret_looked is the
 * caller's to close in any case. */
STASIS_MUST_CHECK int stasis_preflight_outputs_look(const struct stasis_vmm_config *config,
                                                    struct stasis_preflight_outputs *ret_looked,
                                                    struct stasis_reasons *reasons,
                                                    struct stasis_error *err);
void stasis_preflight_outputs_close(struct stasis_preflight_outputs *looked);

#endif
