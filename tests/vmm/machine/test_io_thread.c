/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/io_thread.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "support/descriptors.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct stasis_io_thread thread;

/* Under the lock. */
static unsigned works, ends;
static bool goes_away;

static bool begins_late; /* when it has been stopped */

static _Atomic int begin_rc;
static unsigned failures; /* of a thread that has been joined */

static int begins(void *ctx, struct stasis_error *err)
{
    assert_ptr_equal(ctx, &thread);
    pthread_mutex_lock(&lock);
    while (begins_late && !thread.quits)
        pthread_cond_wait(&thread.changed, &lock);
    pthread_mutex_unlock(&lock);
    return begin_rc ? stasis_fail(err, STASIS_ERR_SANDBOX, "no") : 0;
}

static void failed(void *ctx, const struct stasis_error *err)
{
    assert_ptr_equal(ctx, &thread);
    assert_int_equal(err->code, STASIS_ERR_SANDBOX);
    failures++;
}

static const struct stasis_io_thread_ops ops = {begins, failed};

/* The host's part waits by a lock of its own, as it would in a system call. */
static pthread_mutex_t host = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t host_changed = PTHREAD_COND_INITIALIZER;
static bool is_at_host, stays_away;

static void ask_host(void)
{
    pthread_mutex_lock(&host);
    is_at_host = true;
    pthread_cond_broadcast(&host_changed);
    while (stays_away)
        pthread_cond_wait(&host_changed, &host);
    is_at_host = false;
    pthread_mutex_unlock(&host);
}

static void work(void *instance)
{
    assert_ptr_equal(instance, &works);
    works++;
    if (goes_away) {
        stasis_io_thread_leave(&thread);
        ask_host();
        ends += stasis_io_thread_enter(&thread);
    }
    pthread_cond_broadcast(&changed);
}

static void stop(void)
{
    assert_true(stasis_io_thread_stop(&thread, 1000000));
}

static int set_up(void **state)
{
    (void)state;
    works = ends = failures = 0;
    goes_away = stays_away = begins_late = false;
    begin_rc = 0;
    return stasis_io_thread_init(&thread, &lock, work, &works, "disk0", NULL);
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    stasis_io_thread_fini(&thread);
    return 0;
}

static void start(void)
{
    assert_int_equal(stasis_io_thread_start(&thread, &ops, &thread, NULL), 0);
}

static void wait_for(const unsigned *counter, unsigned count)
{
    pthread_mutex_lock(&lock);
    while (*counter < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void send_away(void)
{
    goes_away = stays_away = true;
    start();
    stasis_io_thread_ring(&thread);
    pthread_mutex_lock(&host);
    while (!is_at_host)
        pthread_cond_wait(&host_changed, &host);
    pthread_mutex_unlock(&host);
}

static void let_back(void)
{
    pthread_mutex_lock(&host);
    stays_away = false;
    pthread_cond_broadcast(&host_changed);
    pthread_mutex_unlock(&host);
}

static void rings_before_the_start_are_heard(void **state)
{
    (void)state;
    stasis_io_thread_ring(&thread);
    stasis_io_thread_ring(&thread);
    start();
    wait_for(&works, 1);
    stasis_io_thread_ring(&thread);
    wait_for(&works, 2);
    stop();
    assert_int_equal(works, 2);
}

static void a_held_thread_does_not_work(void **state)
{
    (void)state;
    pthread_mutex_lock(&lock);
    stasis_io_thread_hold(&thread);
    pthread_mutex_unlock(&lock);
    start();
    stasis_io_thread_ring(&thread);
    pthread_mutex_lock(&lock);
    assert_true(stasis_io_thread_wait_idle(&thread, 0));
    assert_int_equal(works, 0);
    stasis_io_thread_release(&thread);
    pthread_mutex_unlock(&lock);
    wait_for(&works, 1);
}

static void a_hold_does_not_wait_for_the_host(void **state)
{
    (void)state;
    send_away();
    pthread_mutex_lock(&lock);
    stasis_io_thread_hold(&thread);
    assert_false(stasis_io_thread_wait_idle(&thread, 1));
    let_back();
    while (!stasis_io_thread_wait_idle(&thread, 10))
        ;
    assert_int_equal(ends, 0);
    stasis_io_thread_release(&thread);
    pthread_mutex_unlock(&lock);
    wait_for(&ends, 1);
}

static void a_held_thread_ends(void **state)
{
    (void)state;
    send_away();
    pthread_mutex_lock(&lock);
    stasis_io_thread_hold(&thread);
    pthread_mutex_unlock(&lock);
    let_back();
    stop();
    assert_int_equal(ends, 0);
    stop(); /* harmless */
}

static void a_thread_whose_host_hangs_is_left_behind(void **state)
{
    (void)state;
    send_away();
    assert_false(stasis_io_thread_stop(&thread, 10));
    assert_true(thread.is_left);
    let_back();
    pthread_mutex_lock(&lock);
    while (!stasis_io_thread_wait_idle(&thread, 10))
        ;
    assert_int_equal(ends, 0); /* it works no more */
    pthread_mutex_unlock(&lock);
    close(thread.bell_fd);
}

static void a_thread_that_cannot_begin_says_so(void **state)
{
    (void)state;
    begin_rc = 1;
    start();
    stop();
    assert_int_equal(failures, 1);
    assert_int_equal(works, 0);
    begin_rc = 0;
    start(); /* once more */
    stasis_io_thread_ring(&thread);
    wait_for(&works, 1);
}

/* Who stops it rings as well: by one read it hears of both. */
static void a_ring_is_not_lost_to_a_stop(void **state)
{
    (void)state;
    begins_late = true;
    stasis_io_thread_ring(&thread);
    start();
    stop();
    assert_int_equal(works, 0);
    begins_late = false;
    start();
    wait_for(&works, 1);
}

static void no_descriptor_is_an_error_that_names_the_device(void **state)
{
    struct rlimit before, none;
    struct stasis_io_thread other;
    struct stasis_error err;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(stasis_io_thread_init(&other, &lock, work, &works, "disk1", &err),
                     STASIS_ERR_UNAVAILABLE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_non_null(strstr(err.msg, "eventfd of device disk1"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rings_before_the_start_are_heard),
        CASE(a_held_thread_does_not_work),
        CASE(a_hold_does_not_wait_for_the_host),
        CASE(a_held_thread_ends),
        CASE(a_thread_that_cannot_begin_says_so),
        CASE(a_ring_is_not_lost_to_a_stop),
        CASE(no_descriptor_is_an_error_that_names_the_device),
        cmocka_unit_test_setup(a_thread_whose_host_hangs_is_left_behind, set_up), /* the last */
    };
    const int before = descriptors_open();

    return descriptors_kept(before, cmocka_run_group_tests(tests, NULL, NULL));
}
