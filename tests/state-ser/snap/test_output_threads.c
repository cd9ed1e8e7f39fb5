/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A set of outputs that several threads use. Whoever asks for the file "slow" waits until the test
 * says so (--wrap), as on a file system that does not answer.
 */
#include "tests/state-ser/snap/output_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/io.h"

static _Atomic bool held;
static _Atomic unsigned waiting; /* for "slow" */
static _Thread_local bool waits;

int __real_stasis_io_stat_at(int dir, const char *name, struct stat *ret_stat);
int __wrap_stasis_io_stat_at(int dir, const char *name, struct stat *ret_stat);

int __wrap_stasis_io_stat_at(int dir, const char *name, struct stat *ret_stat)
{
    if (waits && strcmp(name, "slow") == 0) {
        waiting++;
        while (held)
            sched_yield();
        waiting--;
    }
    return __real_stasis_io_stat_at(dir, name, ret_stat);
}

static struct stasis_outputs *outputs;

/* Opens "other", which is compared with "slow". */
static void *open_other(void *arg)
{
    struct stasis_output *output;

    (void)arg;
    waits = true;
    output = output_opened(outputs, "other", STASIS_OUTPUT_REPLACED);
    stasis_output_close(output);
    return NULL;
}

static pthread_t begin(void)
{
    pthread_t thread;

    held = true;
    assert_int_equal(pthread_create(&thread, NULL, open_other, NULL), 0);
    while (!waiting)
        sched_yield();
    return thread;
}

static void end(pthread_t thread)
{
    held = false;
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* A sanitizer sees what is used after it was freed. */
static void an_output_is_closed_while_another_is_compared_with_it(void **state)
{
    struct stasis_output *slow;
    struct stasis_output *third;
    pthread_t thread;

    (void)state;
    output_put_file("slow", "a");
    output_put_file("other", "b");
    outputs = stasis_outputs_new();
    slow = output_opened(outputs, "slow", STASIS_OUTPUT_REPLACED);
    thread = begin();
    stasis_output_close(slow); /* does not wait */
    third = output_opened(outputs, "third", STASIS_OUTPUT_REPLACED);
    output_refused(outputs, "third", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "the same file");
    stasis_output_close(third);
    end(thread);
    assert_int_equal(access("slow", F_OK), 0);
    stasis_outputs_free(outputs);
}

/* The list is begun again where the one that was compared has gone from it. */
static void those_behind_one_that_has_gone_are_compared(void **state)
{
    struct stasis_output *first;
    struct stasis_output *slow;
    pthread_t thread;

    (void)state;
    output_put_file("slow", "a");
    output_put_file("other", "b");
    outputs = stasis_outputs_new();
    first = output_opened(outputs, "first", STASIS_OUTPUT_REPLACED);
    slow = output_opened(outputs, "slow", STASIS_OUTPUT_REPLACED);
    thread = begin();
    stasis_output_close(slow);
    stasis_output_close(first);
    end(thread);
    stasis_outputs_free(outputs);
}

/* In a folder of another file system it cannot be the same file: it is not asked. */
static void another_file_system_is_not_asked(void **state)
{
    char path[128];
    struct stat here;
    struct stat there;
    struct stasis_output *slow;

    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/stasis-%d", (int)getpid());
    if (mkdir(path, 0700) || stat(path, &there) || stat(".", &here) ||
        here.st_dev == there.st_dev) {
        rmdir(path);
        skip();
    }
    strcat(path, "/slow");
    output_put_file(path, "a");
    output_put_file("other", "b");
    outputs = stasis_outputs_new();
    slow = output_opened(outputs, path, STASIS_OUTPUT_REPLACED);
    held = true; /* nobody would end it */
    open_other(NULL);
    held = false;
    stasis_output_close(slow);
    stasis_outputs_free(outputs);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_output_is_closed_while_another_is_compared_with_it,
                                        output_setup, output_teardown),
        cmocka_unit_test_setup_teardown(those_behind_one_that_has_gone_are_compared, output_setup,
                                        output_teardown),
        cmocka_unit_test_setup_teardown(another_file_system_is_not_asked, output_setup,
                                        output_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
