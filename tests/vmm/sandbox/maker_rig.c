/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "maker_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char path[64];
struct stasis_sandbox_maker maker;
int folder_fd, folder;
const struct stasis_sandbox_maker_opts makes = {.makes = true, .dir = -1};

void *maker_handle(void)
{
    return (void *)(intptr_t)maker.fd;
}

int maker_set_up(void **state)
{
    struct stasis_error err;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder_fd >= 0);
    assert_int_equal(stasis_sandbox_maker_start(&makes, &maker, &err), 0);
    folder = stasis_sandbox_maker_open(maker_handle(), folder_fd);
    assert_true(folder >= 0);
    return 0;
}

int maker_tear_down(void **state)
{
    (void)state;
    close(folder);
    close(folder_fd);
    assert_true(stasis_sandbox_maker_stop(&maker, 60000));
    assert_int_equal(maker.fd, -1);
    assert_true(stasis_sandbox_maker_stop(&maker, 0)); /* harmless */
    return rmdir(path);
}

void assert_refused(int rc, int error)
{
    assert_int_equal(rc, -1);
    assert_int_equal(errno, error);
}
