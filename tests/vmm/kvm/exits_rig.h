/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A vCPU whose exits are made up in its run page. KVM_RUN is the rig's (--wrap=ioctl).
 */
#ifndef STASIS_TESTS_VMM_EXITS_RIG_H
#define STASIS_TESTS_VMM_EXITS_RIG_H

#include "support/cmocka_all.h"

#include <stdbool.h>

#include "stasis/kvm_vcpu.h"

#define EXITS_RUN_SIZE 12288 /* of the run page, and what is behind it */

/* What the callbacks were told last, and what they answer. */
struct exits_told {
    unsigned reads, writes, failures, events;
    uint64_t at, value, answer;
    unsigned len;
    const char *why;
    uint64_t detail;
    uint32_t msr, msr_why;
    bool handles_msr;
    struct stasis_vcpu_hypercall call;
    struct stasis_vcpu_exit exit;
    enum stasis_vcpu_next next;
    bool stopped;
};

extern struct exits_told told;
extern struct stasis_vcpu vcpu;
extern struct kvm_run *run;
extern uint64_t exits[STASIS_VCPU_EXIT_REASONS + 1];
extern int run_errno; /* KVM_RUN fails with it; 0: it does not */
extern uint32_t mp_state;

/* Every callback there is, which the vCPU begins with; none; and that of a failure. */
extern const struct stasis_exit_ops exits_all, exits_none, exits_only_failed;

int exits_set_up(void **state);
int exits_tear_down(void **state);
#define CASE(function) cmocka_unit_test_setup_teardown(function, exits_set_up, exits_tear_down)

/* One run that ends for this reason. */
int exit_with(uint32_t reason);

/* The run was the guest's end. */
void assert_failed(int rc, const char *why, uint64_t detail);

/* Fills in an access to port 0x3f8, and returns where its data are. */
uint8_t *port_access(bool out, uint8_t size, uint32_t count, uint64_t data_offset);

#endif
