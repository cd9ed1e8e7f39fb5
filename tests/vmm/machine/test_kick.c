/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whose a kick is: of a VM's thread for its whole life, or of the program's handler.
 */
#include "support/cmocka_all.h"

#include <pthread.h>
#include <signal.h>

#include "vmm/machine/kick.h"

static volatile sig_atomic_t programs;

static void on_programs(int number)
{
    (void)number;
    programs++;
}

/* It begins with the signal pending, and holds no vCPU. */
static void *vms_thread(void *arg)
{
    const int *number = arg;

    (void)pthread_kill(pthread_self(), *number);
    stasis_kick_begin_thread(*number);
    (void)pthread_kill(pthread_self(), *number);
    return NULL;
}

static void kicks_of_a_vms_thread_are_not_the_programs(void **state)
{
    const struct sigaction action = {.sa_handler = on_programs};
    int number = SIGRTMIN + 2;
    struct sigaction after;
    sigset_t kick, before;
    pthread_t thread;

    (void)state;
    assert_int_equal(sigaction(number, &action, NULL), 0);
    stasis_kick_acquire(number);
    sigemptyset(&kick);
    sigaddset(&kick, number);
    pthread_sigmask(SIG_BLOCK, &kick, &before);
    assert_int_equal(pthread_create(&thread, NULL, vms_thread, &number), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_join(thread, NULL);
    assert_int_equal(programs, 0);
    (void)raise(number); /* on a thread of the program's */
    assert_int_equal(programs, 1);
    stasis_kick_release(number);
    assert_int_equal(sigaction(number, NULL, &after), 0);
    assert_true(after.sa_handler == on_programs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kicks_of_a_vms_thread_are_not_the_programs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
