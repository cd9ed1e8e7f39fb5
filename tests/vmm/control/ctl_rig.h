/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * For tests of the program `vmm ctl`, which lies beside the test program, with a machine of the
 * test.
 */
#ifndef STASIS_TESTS_CTL_RIG_H
#define STASIS_TESTS_CTL_RIG_H

#include "control_rig.h"

#include "fake_vm.h"

struct run {
    struct rig rig;
    struct fake_vm vm;
    char text[2][16384]; /* standard output and error */
    size_t len[2];
    void (*act)(struct run *run); /* called when something has happened */
    pid_t liar;
    unsigned stage; /* of a snapshot on a terminal */
};

void run_begin(struct run *run);
void run_end(struct run *run);

void run_find_vmm(char path[512]);

#endif
