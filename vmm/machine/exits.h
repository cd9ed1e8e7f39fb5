/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a machine does with its vCPUs' exits; ctx is the machine. Accesses to ports go straight to
 * the bus (bus.c); exits.c has what is rare.
 */
#ifndef STASIS_VMM_EXITS_H
#define STASIS_VMM_EXITS_H

#include "vmm/machine/vcpu_thread.h"

extern const struct stasis_exit_ops stasis_machine_exit_ops;
extern const struct stasis_vcpu_thread_ops stasis_machine_thread_ops;
extern const struct stasis_io_thread_ops stasis_machine_io_ops;

#endif
