/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Devices that wait for a time: the event loop calls them, but not while the guest is paused or
 * saved.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"

#define LONG_NS UINT64_C(3600000000000)

static struct stasis_vmm_config config;
static struct stasis_vmm vmm;
static unsigned called[3];
static uint64_t arm_again_ns; /* what the first device asks for when it is called; 0: nothing */

static void on_timer(void *instance)
{
    unsigned number = (unsigned)((unsigned *)instance - called);

    called[number]++;
    if (number == 0 && arm_again_ns)
        vmm.host.timer_arm(&vmm, &vmm.machine.devices.list[0], arm_again_ns);
}

static const struct stasis_device_type waiting = {.timer = on_timer};
static const struct stasis_device_type timeless = {.timer = NULL};

static int set_up(void **state)
{
    (void)state;
    memset(&vmm, 0, sizeof(vmm));
    memset(called, 0, sizeof(called));
    arm_again_ns = 0;
    vmm.config = &config;
    vmm.host = stasis_vmm_device_host;
    vmm.host.ctx = &vmm;
    for (unsigned i = 0; i < 3; i++) {
        vmm.machine.devices.list[i].type = i == 2 ? &timeless : &waiting;
        vmm.machine.devices.list[i].instance = &called[i];
    }
    vmm.machine.devices.count = 3;
    assert_int_equal(pthread_mutex_init(&vmm.lock, NULL), 0);
    assert_int_equal(pthread_mutex_init(&vmm.machine.lock, NULL), 0);
    assert_int_equal(stasis_vmm_sources_open(&vmm, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_vmm_sources_close(&vmm);
    pthread_mutex_destroy(&vmm.machine.lock);
    pthread_mutex_destroy(&vmm.lock);
    return 0;
}

static void arm(unsigned number, uint64_t deadline_ns)
{
    pthread_mutex_lock(&vmm.machine.lock);
    vmm.host.timer_arm(&vmm, &vmm.machine.devices.list[number], deadline_ns);
    pthread_mutex_unlock(&vmm.machine.lock);
}

static bool is_ready(int timeout_ms)
{
    struct pollfd loop = {.fd = stasis_loop_fd(&vmm.loop), .events = POLLIN};

    return poll(&loop, 1, timeout_ms) == 1;
}

/* Waits until the loop has something to do, and has it done. */
static void dispatch(void)
{
    assert_true(is_ready(-1));
    assert_int_equal(stasis_loop_dispatch(&vmm.loop, NULL), 0);
}

static void nobody_waits_at_first(void **state)
{
    (void)state;
    assert_false(is_ready(0));
}

static void who_waits_is_called_once(void **state)
{
    (void)state;
    arm(1, stasis_monotonic_ns());
    dispatch();
    assert_int_equal(called[0], 0);
    assert_int_equal(called[1], 1);
    assert_false(is_ready(0));
    arm(0, 1); /* long ago */
    arm(1, 1);
    dispatch();
    assert_int_equal(called[0], 1);
    assert_int_equal(called[1], 2);
    assert_false(is_ready(0));
}

static void the_earliest_comes_first(void **state)
{
    (void)state;
    arm(0, stasis_monotonic_ns() + LONG_NS);
    arm(1, 1);
    dispatch();
    assert_int_equal(called[0], 0);
    assert_int_equal(called[1], 1);
    assert_false(is_ready(0)); /* the other still waits */
    arm(0, 1);                 /* and thinks again */
    dispatch();
    assert_int_equal(called[0], 1);
}

static void who_is_called_may_wait_again(void **state)
{
    (void)state;
    arm_again_ns = stasis_monotonic_ns() + LONG_NS;
    arm(0, 1);
    dispatch();
    assert_int_equal(called[0], 1);
    assert_false(is_ready(0));
    assert_true(vmm.wait_until_ns[0] == arm_again_ns);
}

static void nobody_is_called_while_the_guest_is_saved(void **state)
{
    (void)state;
    vmm.job = (struct stasis_vmm_job *)&vmm; /* which nobody looks into */
    arm(0, 1);
    dispatch();
    assert_int_equal(called[0], 0);
    assert_false(is_ready(0)); /* the loop does not spin */
    vmm.job = NULL;
    stasis_vmm_sources_release_waits(&vmm);
    dispatch();
    assert_int_equal(called[0], 1);
}

static void nobody_is_called_while_the_guest_is_paused(void **state)
{
    (void)state;
    vmm.paused = true;
    arm(0, 1);
    dispatch();
    assert_int_equal(called[0], 0);
    assert_false(is_ready(0));
    vmm.paused = false;
    stasis_vmm_sources_release_waits(&vmm);
    dispatch();
    assert_int_equal(called[0], 1);
}

static void a_device_without_times_is_not_called(void **state)
{
    (void)state;
    arm(2, 1);
    dispatch();
    assert_int_equal(called[0] + called[1] + called[2], 0);
    assert_false(is_ready(0));
}

/* The clock of a test's host cannot be set, but the kernel says what it has been asked for: here
 * TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET (proc(5), "settime flags", octal). */
static void the_alarm_of_a_clock_hears_of_steps(void **state)
{
    static const struct stasis_board_device_state row = {.instance = "rtc"};
    char path[64], line[128];
    bool found = false;
    FILE *info;

    (void)state;
    vmm.machine.devices.list[0].row = &row;
    pthread_mutex_lock(&vmm.machine.lock);
    vmm.host.rtc_arm(&vmm, &vmm.machine.devices.list[0], true, stasis_realtime_ns() + LONG_NS);
    pthread_mutex_unlock(&vmm.machine.lock);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", vmm.rtc_source.loop.fd);
    info = fopen(path, "re");
    assert_non_null(info);
    while (fgets(line, sizeof(line), info))
        found |= !strcmp(line, "settime flags: 03\n");
    (void)fclose(info);
    assert_true(found);
}

/* As vmm has them. */
static void random_bytes_differ(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};

    (void)state;
    assert_true(vmm.host.random(&vmm, a, sizeof(a)));
    assert_true(vmm.host.random(&vmm, b, sizeof(b)));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_waits_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_waits_is_called_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_earliest_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_called_may_wait_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_is_called_while_the_guest_is_saved, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nobody_is_called_while_the_guest_is_paused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_device_without_times_is_not_called, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_alarm_of_a_clock_hears_of_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_bytes_differ, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
