/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Thawing: a machine is built from a snapshot alone. Everything in the file is read and checked,
 * and this host compared, before the first VM is made; memory before the guest runs, or, by the
 * mode that is asked for, when it is touched or behind its back (stasis/ram.h).
 */
#ifndef STASIS_VMM_THAW_H
#define STASIS_VMM_THAW_H

#include "stasis/ram.h"
#include "stasis/snap.h"
#include "vmm/base/reasons.h"
#include "vmm/machine/machine.h"

/* What the guest's clocks (kvmclock, TSC, RTC together) make of the time on disk. The PIT starts
 * its period anew either way. */
enum stasis_clock_policy {
    STASIS_CLOCK_CONTINUE, /* it did not pass */
    STASIS_CLOCK_ADVANCE,  /* it passed: by the host's wall clock, never backwards */
};

struct stasis_thaw_options {
    enum stasis_clock_policy clock;
    bool ignore_tsc_rate;        /* a TSC of another rate is no reason to refuse */
    enum stasis_ram_mode memory; /* how RAM comes from the file */
    bool no_prefetch;            /* as in struct stasis_ram_opts */
    bool tracks_changes;         /* machine->dirty is on if KVM can, the snapshot its base */
    int uffd_fd;                 /* the same */
    int kvm_fd;                  /* as for stasis_machine_build_by() */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total); /* the same; false: cancel */
    int (*thread_begins)(void *ctx, struct stasis_error *err);  /* the same; ctx outlives it */
    void *ctx;
};

/* How far a thaw on trial came in comparing this host with what the guest needs. */
enum stasis_thaw_compared {
    STASIS_THAW_COMPARED_NOTHING, /* the file does not say what board it has */
    STASIS_THAW_COMPARED_CPU,     /* there is no KVM: what the CPU itself tells */
    STASIS_THAW_COMPARED_HOST,    /* what KVM tells; it was not given the guest's state */
    STASIS_THAW_COMPARED_STATE,   /* all of it */
};

/* What a thaw tells of the guest. */
struct stasis_thaw_result {
    uint64_t generation;                /* how often it was frozen */
    bool tsc_is_set;                    /* else this KVM shows guests the host's TSC */
    enum stasis_thaw_compared compared; /* on trial only */
};

/* Builds *machine, ready to be started; it must not move. `host` as for stasis_machine_build().
 * The snapshot may be freed. Memory that turns out bad later ends the guest (ram_failure.h).
 * STASIS_ERR_CANCELLED; STASIS_ERR_VERSION, STASIS_ERR_HOST: this release or host cannot;
 * STASIS_ERR_CORRUPT: records and board contradict each other, or a chunk of memory is bad. Nothing
 * is left on failure. */
STASIS_MUST_CHECK int stasis_thaw(struct stasis_machine *machine, struct stasis_snap *snap,
                                  const struct stasis_thaw_options *options,
                                  const struct stasis_device_host *host,
                                  struct stasis_thaw_result *ret_result, struct stasis_error *err);

/* Whether stasis_thaw() would succeed, by doing the same but for the memory, which is neither read
 * nor verified, in a VM that never runs: adds every reason why not, in the order in which they
 * would be met. The first one's code is that of the refusal. Where the file is no good or KVM is
 * missing, the rest is compared as far as it can be. `host` is not asked for more than
 * stasis_thaw() asks it. *ret_result tells of the guest if there is no reason, and how far the
 * comparison came in any case. An error says why it could not be tried. */
STASIS_MUST_CHECK int
stasis_thaw_try(struct stasis_snap *snap, const struct stasis_thaw_options *options,
                const struct stasis_device_host *host, struct stasis_reasons *reasons,
                struct stasis_thaw_result *ret_result, struct stasis_error *err);

#endif
