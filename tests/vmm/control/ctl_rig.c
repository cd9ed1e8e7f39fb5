/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "ctl_rig.h"

#include <string.h>
#include <unistd.h>

void run_begin(struct run *run)
{
    struct stasis_control_config config;

    *run = (struct run){.vm = {.state = STASIS_VMM_RUNNING}};
    rig_init(&run->rig);
    config = (struct stasis_control_config){.path = run->rig.path};
    run->vm.expected = run->rig.folder;
    assert_int_equal(stasis_control_open(&config, &fake_vm_ops, &run->rig.control, NULL), 0);
    stasis_control_set_ctx(run->rig.control, &run->vm);
    run->vm.control = run->rig.control;
}

void run_end(struct run *run)
{
    stasis_control_close(run->rig.control);
    rig_fini(&run->rig);
}

/* Where the program is: beside this one. */
void run_find_vmm(char path[512])
{
    ssize_t len = readlink("/proc/self/exe", path, 500);

    assert_true(len > 0);
    path[len] = '\0';
    memcpy(strrchr(path, '/'), "/vmm", sizeof("/vmm"));
}
