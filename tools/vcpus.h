/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The vCPUs of a snapshot in their order.
 */
#ifndef STASIS_TOOLS_VCPUS_H
#define STASIS_TOOLS_VCPUS_H

#include "stasis/ser.h"

/* The name of the vCPU behind this one, or of the first for NULL; NULL behind the last. The names
 * belong to the records. cpu10 comes after cpu9. */
const char *stasis_vcpus_next(const struct stasis_records *records, const char *instance);

#endif
