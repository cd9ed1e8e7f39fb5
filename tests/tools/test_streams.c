/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Output that cannot be written.
 */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct run run;
static const char *const commands[] = {"info", "json", "verify"};

static void disk_full(void **state)
{
    struct setup setup = {.out = open("/dev/full", O_WRONLY)};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        run_inspect(&run, &setup, commands[i], in_folder("a.snap"), NULL);
        assert_ended(&run, 7,
                     "standard output: No space left on device; make room or write elsewhere");
    }
    run_inspect(&run, &setup, "--help", NULL);
    assert_ended(&run, 7, "standard output: No space left on device");
    close(setup.out);
}

static void closed_output(void **state)
{
    struct setup setup = {.out = -1};

    (void)state;
    run_inspect(&run, &setup, "json", in_folder("a.snap"), NULL);
    assert_ended(&run, 7, "standard output: Bad file descriptor");
}

/* head(1) has had enough: a quiet end, as of every Unix tool; a line where SIGPIPE is ignored. */
static void closed_pipe(void **state)
{
    struct setup setup = {0};
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    setup.out = ends[1];
    run_inspect(&run, &setup, "json", in_folder("a.snap"), NULL);
    assert_ended(&run, 128 + SIGPIPE, NULL);
    setup.ignore_sigpipe = true;
    run_inspect(&run, &setup, "json", in_folder("a.snap"), NULL);
    assert_ended(&run, 7, "standard output: Broken pipe");
    close(ends[1]);
}

static void file_size_limit(void **state)
{
    struct rlimit old;
    struct rlimit low;
    struct setup setup = {.out = open(in_folder("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600)};

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = (struct rlimit){.rlim_cur = 1000, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    run_inspect(&run, &setup, "json", in_folder("a.snap"), NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_ended(&run, 7, "standard output: File too large");
    close(setup.out);
}

/* A reader that is slow, and a pipe that somebody else made non-blocking. */
static void slow_reader(void **state)
{
    struct setup setup = {0};
    size_t total = 0;
    char buf[512];
    ssize_t n;
    int ends[2];
    pid_t reader;

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    setup.out = ends[1];
    reader = fork();
    assert_true(reader >= 0);
    if (!reader) {
        close(ends[1]);
        fcntl(ends[0], F_SETFL, 0);
        while ((n = read(ends[0], buf, sizeof(buf))) > 0) {
            total += (size_t)n;
            usleep(1000);
        }
        _exit(total > 8192 ? 0 : 1);
    }
    close(ends[0]);
    run_inspect(&run, &setup, "json", in_folder("a.snap"), NULL);
    close(ends[1]);
    assert_ended(&run, 0, NULL);
    child_wait(reader);
}

static int setup(void **state)
{
    struct stasis_x86_lapic_state lapic;
    struct built built;

    if (setup_folder(state))
        return -1;
    built_machine(&built);
    /* Enough records that the text does not fit a pipe of one page. */
    stasis_state_init(&stasis_x86_lapic_schema, &lapic);
    for (unsigned i = 0; i < 8; i++)
        add_state(&built, &stasis_x86_lapic_schema, (char[]){(char)('a' + i), 0}, &lapic);
    save_to(&built, in_folder("a.snap"));
    built_fini(&built);
    return 0;
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_full),   cmocka_unit_test(closed_output),
        cmocka_unit_test(closed_pipe), cmocka_unit_test(file_size_limit),
        cmocka_unit_test(slow_reader),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
