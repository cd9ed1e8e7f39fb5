/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether a configuration's snapshot would be thawed here, and if not, all reasons why. Writes
 * nothing, makes no output, and loads no guest memory: damage in it is found by a thaw, or by
 * snapshot-inspect verify.
 */
#ifndef STASIS_VMM_PREFLIGHT_H
#define STASIS_VMM_PREFLIGHT_H

#include "vmm/api/config.h"
#include "vmm/base/reasons.h"

struct stasis_preflight {
    struct stasis_reasons reasons;  /* why not, in the order in which a thaw would meet them */
    struct stasis_reasons warnings; /* what would be otherwise than asked for */
    struct stasis_reasons binds;    /* what the configuration connects devices of the guest to */
};

/* Of a configuration with restore_path. An error says why it could not be tried. *preflight begins
 * as zeros, or with reasons that come before all others, and is the caller's to
 * stasis_preflight_fini() in any case. */
STASIS_MUST_CHECK int stasis_preflight_run(const struct stasis_vmm_config *config,
                                           struct stasis_preflight *preflight,
                                           struct stasis_error *err);
void stasis_preflight_fini(struct stasis_preflight *preflight);

#endif
