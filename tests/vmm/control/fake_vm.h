/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A machine without a guest for the methods: it has states, and its snapshots end when the test
 * says so.
 */
#ifndef STASIS_TESTS_FAKE_VM_H
#define STASIS_TESTS_FAKE_VM_H

#include <stdbool.h>

#include "vmm/control/control.h"

struct fake_vm {
    struct stasis_control *control; /* gets the events */
    enum stasis_vmm_state state;
    bool paused;
    char path[256]; /* of the last snapshot */
    char target[32];
    char parent[16];
    struct stasis_snapshot_request request;
    int folder_ino_matches; /* the descriptor is of the folder `expected` */
    const char *expected;
    int refuse; /* error of the next request, or 0 */
    bool stopped;
    unsigned resets;
    bool has_balloon;
    uint64_t balloon_mib; /* that the last request asked for */
    unsigned cancels;     /* that were asked for */
    bool slow;            /* what was asked for begins, and ends when the test says so */
};

extern const struct stasis_control_ops fake_vm_ops;

void fake_vm_progress(struct fake_vm *vm, uint64_t done, uint64_t total);
/* Ends the pause that has begun: with success if `code` is 0. */
void fake_vm_end_pause(struct fake_vm *vm, int code);
/* Ends the snapshot that is being saved: with success if `code` is 0. */
void fake_vm_end_snapshot(struct fake_vm *vm, int code);
/* The guest reads from a register of `device` that it cannot read. */
void fake_vm_guest_error(struct fake_vm *vm, const char *device);
void fake_vm_end(struct fake_vm *vm, enum stasis_vmm_reason reason);

#endif
