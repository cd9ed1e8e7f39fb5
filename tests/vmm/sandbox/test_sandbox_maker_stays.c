/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The process that makes files in folders is there as long as its parent, whatever signals come,
 * however many folders it has served, and also where the parent was started with SIGCHLD ignored.
 */
#include "vmm/sandbox/maker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define FOLDERS 32 /* at a time */

static struct stasis_sandbox_maker maker;
static int folder_fd;

static int set_up(void **state)
{
    const struct stasis_sandbox_maker_opts makes = {.makes = true, .dir = -1};
    struct stasis_error err;
    int rc;

    (void)state;
    folder_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder_fd >= 0);
    (void)signal(SIGCHLD, SIG_IGN); /* what a program ignores, those that it starts ignore */
    rc = stasis_sandbox_maker_start(&makes, &maker, &err);
    (void)signal(SIGCHLD, SIG_DFL);
    return rc;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(stasis_sandbox_maker_stop(&maker, 60000));
    return close(folder_fd);
}

static int open_folder(void)
{
    return stasis_sandbox_maker_open((void *)(intptr_t)maker.fd, folder_fd);
}

/* Until it waits for requests. */
static void await_sleep(void)
{
    char name[64], text[128] = "";
    int fd;

    snprintf(name, sizeof(name), "/proc/%d/stat", (int)maker.pid);
    while (!strstr(text, ") S ")) {
        fd = open(name, O_RDONLY | O_CLOEXEC);
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        close(fd);
    }
}

/* Signals for vmm may go to all processes of a name, or of a cgroup. A stop, as when the host is
 * suspended, ends the wait for requests, which then continues. */
static void signals_and_stops_do_not_end_it(void **state)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGSTOP};
    int folder = open_folder(); /* it takes signals as it will */
    int status;

    (void)state;
    assert_true(folder >= 0);
    close(folder);
    await_sleep();
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        assert_int_equal(kill(maker.pid, signals[i]), 0);
    assert_int_equal(waitpid(maker.pid, &status, WUNTRACED), maker.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(kill(maker.pid, SIGCONT), 0);
    folder = open_folder();
    assert_true(folder >= 0);
    close(folder);
}

/* EAGAIN, while the process of an earlier one ends. */
static void folders_that_are_closed_are_not_counted(void **state)
{
    int folder;

    (void)state;
    for (int i = 0; i < 2 * FOLDERS; i++) {
        do {
            folder = open_folder();
        } while (folder < 0 && errno == EAGAIN);
        assert_true(folder >= 0);
        close(folder);
    }
}

static void file_for_which_there_is_no_descriptor_is_told(void **state)
{
    int folder = open_folder();
    int next = dup(folder_fd);
    struct rlimit old, less;
    int made, error;

    (void)state;
    assert_true(folder >= 0 && next >= 0 && !getrlimit(RLIMIT_NOFILE, &old));
    close(next);
    less = (struct rlimit){(rlim_t)next, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    made = stasis_sandbox_maker_make(folder, NULL);
    error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(made, -1);
    assert_int_equal(error, EMFILE);
    close(folder);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(signals_and_stops_do_not_end_it),
        CASE(folders_that_are_closed_are_not_counted),
        CASE(file_for_which_there_is_no_descriptor_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
