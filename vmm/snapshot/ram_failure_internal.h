/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of what happens when memory is lost: ram_failure.c (the guard of a machine's memory),
 * ram_faults.c (signals).
 */
#ifndef STASIS_VMM_RAM_FAILURE_INTERNAL_H
#define STASIS_VMM_RAM_FAILURE_INTERNAL_H

#include "vmm/machine/machine.h"

/* Ends the process by the machine's `fatal`, without what belongs to threads that may never come
 * back. Async-signal-safe if that is. */
_Noreturn void stasis_ram_failure_die(const struct stasis_machine *machine,
                                      const struct stasis_error *err);

#endif
