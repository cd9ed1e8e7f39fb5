/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * serve_fake SOCK FOLDER: a control socket of a machine without a guest, for clients that are
 * programs. Its snapshots are complete at once, and write nothing. Ends by `quit`.
 */
#include <poll.h>
#include <stdio.h>

#include "fake_vm.h"

int main(int argc, char **argv)
{
    struct stasis_control_config config = {.path = argc > 1 ? argv[1] : "",
                                           .dir = argc > 2 ? argv[2] : NULL};
    struct fake_vm vm = {.state = STASIS_VMM_RUNNING};
    struct pollfd ready = {.events = POLLIN};
    struct stasis_error err;

    if (stasis_control_open(&config, &fake_vm_ops, &vm.control, &err)) {
        fprintf(stderr, "serve_fake: %s\n", err.msg);
        return 1;
    }
    stasis_control_set_ctx(vm.control, &vm);
    ready.fd = stasis_control_fd(vm.control);
    while (!vm.stopped) {
        if (poll(&ready, 1, -1) == 1)
            stasis_control_dispatch(vm.control);
        if (vm.state == STASIS_VMM_IS_SAVING) {
            fake_vm_progress(&vm, 1, 2);
            fake_vm_end_snapshot(&vm, 0);
        }
    }
    fake_vm_end(&vm, STASIS_VMM_STOPPED);
    stasis_control_close(vm.control);
    return 0;
}
