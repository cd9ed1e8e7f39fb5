/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a thaw: thaw_check.c (before a machine is built), clocks.c, thaw.c (the rest).
 */
#ifndef STASIS_VMM_THAW_INTERNAL_H
#define STASIS_VMM_THAW_INTERNAL_H

#include "vmm/snapshot/thaw.h"

/* ---- thaw_check.c ---- */

/* Decodes a record that the board needs: STASIS_ERR_CORRUPT if it is not there. */
STASIS_MUST_CHECK int stasis_thaw_get(const struct stasis_records *records,
                                      const struct stasis_schema *schema, const char *instance,
                                      void *ret_state, struct stasis_error *err);

/* The same into memory of its own: *ret_state is freed by the caller, and NULL on failure. */
STASIS_MUST_CHECK int stasis_thaw_decode(const struct stasis_records *records,
                                         const struct stasis_schema *schema, const char *instance,
                                         void **ret_state, struct stasis_error *err);

/* Reads the board of the file, if this release can build it. */
STASIS_MUST_CHECK int stasis_thaw_check_board(struct stasis_snap *snap,
                                              struct stasis_board_state *ret_board,
                                              struct stasis_error *err);

/* All that can be known of the rest of the file. Where there may be several reasons they are added,
 * too; the error is the first. */
STASIS_MUST_CHECK int stasis_thaw_check_file(struct stasis_snap *snap,
                                             const struct stasis_board_state *board,
                                             struct stasis_reasons *reasons,
                                             struct stasis_error *err);

/* Compares what the guest was promised with this host, by system ioctls only, and adds all that is
 * missing; without KVM (NULL), as far as the CPU itself tells. An error says why it could not be
 * compared. */
STASIS_MUST_CHECK int stasis_thaw_check_host(const struct stasis_records *records,
                                             const struct stasis_board_state *board,
                                             const struct stasis_kvm *kvm,
                                             struct stasis_reasons *reasons,
                                             struct stasis_error *err);

/* What KVM calls invalid came out of a file whose checksums are right: it describes a machine that
 * this host's KVM does not make, or nobody's. Want of memory and the like stay what they are. */
STASIS_MUST_CHECK int stasis_thaw_judge_refusal(int rc, struct stasis_error *err);

/* ---- clocks.c ---- */

/* What the clock of a device is to jump by that is restored now. */
uint64_t stasis_clocks_elapsed(enum stasis_clock_policy policy, uint64_t frozen_realtime_ns);

/* Sets the vCPUs' clocks by the VM's, which has been restored; see stasis_arch_clocks_restore(). */
STASIS_MUST_CHECK int stasis_clocks_restore(struct stasis_machine *machine,
                                            const struct stasis_records *records,
                                            bool *ret_tsc_is_set, struct stasis_error *err);

#endif
