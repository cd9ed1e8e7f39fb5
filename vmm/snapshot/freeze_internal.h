/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a freeze: freeze_vcpus.c (state of the vCPUs), freeze.c (the rest).
 */
#ifndef STASIS_VMM_FREEZE_INTERNAL_H
#define STASIS_VMM_FREEZE_INTERNAL_H

#include "vmm/snapshot/freeze.h"

/* Adds one record, unless `rc` says that its state could not be read. */
STASIS_MUST_CHECK int stasis_freeze_add(struct stasis_records *records,
                                        const struct stasis_schema *schema, const char *instance,
                                        const void *state, int rc, struct stasis_error *err);

/* ---- freeze_vcpus.c: the states of all vCPUs, each read by the vCPU's own thread ---- */

struct stasis_vcpu_states;

/* Reads them. *ret_states is freed by the caller, and NULL on failure. */
STASIS_MUST_CHECK int stasis_freeze_read_vcpus(struct stasis_machine *machine,
                                               struct stasis_vcpu_states **ret_states,
                                               struct stasis_error *err);
void stasis_freeze_free_vcpus(struct stasis_vcpu_states *states);

/* Adds those that count no time. */
STASIS_MUST_CHECK int stasis_freeze_add_vcpus(struct stasis_records *records,
                                              const struct stasis_vcpu_states *states,
                                              struct stasis_error *err);
/* Adds the others, as of the VM's clock, which has been added. */
STASIS_MUST_CHECK int stasis_freeze_add_counters(struct stasis_records *records,
                                                 struct stasis_vcpu_states *states,
                                                 struct stasis_error *err);

#endif
