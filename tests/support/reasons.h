/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Checks that list reasons, as one error.
 */
#ifndef STASIS_TESTS_REASONS_H
#define STASIS_TESTS_REASONS_H

#include "vmm/base/reasons.h"

/* What the check returned, or else the first reason; frees the list. */
static inline int reasons_settle(int rc, struct stasis_reasons *reasons, struct stasis_error *err)
{
    if (!rc)
        rc = stasis_reasons_fail(reasons, err);
    stasis_reasons_fini(reasons);
    return rc;
}

#endif
