/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/streams.h"

static int status_of(pid_t child)
{
    int status = 0;

    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void closed_descriptors_are_filled(void **state)
{
    pid_t child = fork();

    (void)state;
    if (!child) {
        int fd;

        close(0);
        close(1);
        if (stasis_streams_fill(NULL) || fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0)
            _exit(1);
        fd = open("/dev/null", O_RDONLY);
        _exit(fd > 2 && write(1, "x", 1) < 0 && read(0, &fd, 1) < 0 ? 0 : 2);
    }
    assert_int_equal(status_of(child), 0);
}

static void as_many_files_as_permitted_may_be_open(void **state)
{
    pid_t child = fork();

    (void)state;
    if (!child) {
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files))
            _exit(1);
        files.rlim_cur = 8;
        if (setrlimit(RLIMIT_NOFILE, &files))
            _exit(2);
        stasis_streams_raise_limit();
        _exit(getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur != files.rlim_max ? 3 : 0);
    }
    assert_int_equal(status_of(child), 0);
}

/* The error of a flush, for text of this length on /dev/full. */
static void flush_to_full_device(size_t len)
{
    struct stasis_error err;

    if (!freopen("/dev/full", "w", stdout))
        _exit(10);
    for (size_t i = 0; i < len; i++)
        putchar('x');
    if (stasis_streams_flush(&err) != STASIS_ERR_WRITE)
        _exit(11);
    _exit(strncmp(err.msg, "standard output: ", 17) != 0 || !err.os_errno ? 12 : 0);
}

static void text_that_is_not_written_is_an_error(void **state)
{
    static const size_t lens[] = {1, 100000}; /* noticed by the flush, and before it */

    (void)state;
    assert_int_equal(stasis_streams_flush(NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        pid_t child = fork();

        if (!child)
            flush_to_full_device(lens[i]);
        assert_int_equal(status_of(child), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_descriptors_are_filled),
        cmocka_unit_test(as_many_files_as_permitted_may_be_open),
        cmocka_unit_test(text_that_is_not_written_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
