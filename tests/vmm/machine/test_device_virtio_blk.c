/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "vmm/machine/blk_board_rig.h"

static void data_goes_to_the_disk_and_back(void **state)
{
    (void)state;
    blk_rig_bring_up(F_FLUSH);
    memset(blk_rig_ram(DATA, 512), 0x5a, 512);
    blk_rig_make(T_OUT, 3, 512);
    blk_rig_make(T_FLUSH, 0, 0);
    blk_rig_make(T_IN, 4, 512);
    blk_rig_make(T_ID, 0, 20);
    blk_rig_notify();
    blk_rig_wait_used(4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(blk_rig_status_of(i), 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(blk_rig_content[3 * 512 + i], 0x5a);
    assert_int_equal(blk_rig_flushes, 1);
    assert_memory_equal(blk_rig_ram(DATA + 1024, 512), blk_rig_content + 4 * 512, 512);
    assert_string_equal(blk_rig_ram(DATA + 1536, 20), "data");
    assert_int_equal(blk_rig_blk->counters->in_bytes, 512);
    assert_int_equal(blk_rig_blk->counters->out_bytes, 512);
    assert_int_equal(blk_rig_blk->counters->requests, 3); /* one needs no disk */
    assert_int_equal(stasis_bus_mmio_read(&blk_rig_machine, BASE + 0x60, 4), 1);
}

static void the_guest_sees_the_hosts_errors(void **state)
{
    (void)state;
    blk_rig_bring_up(F_FLUSH | F_ZEROES);
    blk_rig_broken = true;
    blk_rig_make(T_OUT, 0, 512);
    blk_rig_make(T_FLUSH, 0, 0);
    blk_rig_make(T_IN, 0, 512);
    blk_rig_notify();
    blk_rig_wait_used(3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(blk_rig_status_of(i), 1);
    blk_rig_broken = false;
    blk_rig_make(T_IN, 0, 512);
    blk_rig_notify();
    blk_rig_wait_used(4);
    assert_int_equal(blk_rig_status_of(3), 0);
}

static void a_driver_without_flush_gets_writes_that_survive(void **state)
{
    (void)state;
    blk_rig_bring_up(0);
    blk_rig_make(T_OUT, 0, 512);
    blk_rig_make(T_IN, 0, 512);
    blk_rig_notify();
    blk_rig_wait_used(2);
    assert_int_equal(blk_rig_flushes, 1);
}

static void ranges_are_zeroed(void **state)
{
    const struct {
        uint64_t sector;
        uint32_t count, flags;
    } range = {2, 4, 1};

    (void)state;
    blk_rig_bring_up(F_FLUSH | F_ZEROES);
    memcpy(blk_rig_ram(DATA, 16), &range, sizeof(range));
    blk_rig_make(T_ZEROES, 0, 16);
    blk_rig_notify();
    blk_rig_wait_used(1);
    assert_int_equal(blk_rig_status_of(0), 0);
    assert_int_equal(blk_rig_zeroes, 1);
    for (unsigned i = 1024; i < 3072; i++)
        assert_int_equal(blk_rig_content[i], 0);
    assert_int_not_equal(blk_rig_content[3073], 0);
}

static _Atomic bool is_limited;
static _Atomic uint64_t deadline_ns;
static uint64_t admitted_bytes;

static uint64_t admit(void *ctx, uint64_t now_ns, uint64_t bytes)
{
    (void)ctx;
    assert_true(now_ns);
    admitted_bytes += is_limited ? 0 : bytes;
    return is_limited ? 5000 : 0;
}

static void arm(void *ctx, const struct stasis_device *from, uint64_t ns)
{
    (void)ctx;
    assert_ptr_equal(from, blk_rig_blk);
    deadline_ns = ns;
}

/* The first request is done, and those behind it wait for the timer: nobody else does. */
static void a_limit_is_waited_for_by_the_timer(void **state)
{
    (void)state;
    deadline_ns = 0;
    admitted_bytes = 0;
    is_limited = true;
    blk_rig_disk.admit = admit;
    blk_rig_host.timer_arm = arm;
    blk_rig_bring_up(F_FLUSH);
    blk_rig_make(T_OUT, 0, 512);
    blk_rig_make(T_FLUSH, 0, 0);
    blk_rig_make(T_IN, 0, 512);
    blk_rig_notify();
    while (!deadline_ns)
        ;
    stasis_machine_pause(&blk_rig_machine);
    assert_true(stasis_machine_wait_disks(&blk_rig_machine));
    assert_int_equal(blk_rig_used_idx(), 0);
    is_limited = false;
    stasis_machine_resume(&blk_rig_machine);
    pthread_mutex_lock(&blk_rig_machine.lock);
    stasis_device_timer(blk_rig_blk);
    pthread_mutex_unlock(&blk_rig_machine.lock);
    blk_rig_wait_used(3);
    assert_int_equal(admitted_bytes, 1024);
}

/* The vCPU's accesses and a pause are done while the disk does not answer. */
static void nobody_waits_for_the_disk(void **state)
{
    (void)state;
    blk_rig_bring_up(F_FLUSH);
    blk_rig_hang();
    for (unsigned i = 0; i < 32; i++)
        blk_rig_make(T_FLUSH, 0, 0);
    blk_rig_notify();
    blk_rig_wait_hanging();
    stasis_machine_pause(&blk_rig_machine);
    assert_int_equal(blk_rig_used_idx(), 0);
    assert_false(stasis_machine_wait_disks(&blk_rig_machine));
    blk_rig_let_on();
    while (!stasis_machine_wait_disks(&blk_rig_machine))
        ;
    assert_int_equal(blk_rig_flushes, 1);
    assert_int_equal(blk_rig_used_idx(), 0); /* of a paused machine nothing moves */
    stasis_machine_resume(&blk_rig_machine);
    blk_rig_wait_used(32);
    assert_int_equal(blk_rig_flushes, 32);
}

static bool goes_on(void *ctx)
{
    return ctx != NULL;
}

/* Who has the lock may wait for memory that is not loaded; then it is not waited for, either. */
static void a_pause_is_given_up(void **state)
{
    struct stasis_error err;

    blk_rig_machine.pause_limit_ms = 20;
    pthread_mutex_lock(&blk_rig_machine.lock);
    assert_int_equal(stasis_machine_pause_while(&blk_rig_machine, goes_on, state, &err),
                     STASIS_ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "a device did not stop within 0.0 s"));
    assert_int_equal(stasis_machine_pause_while(&blk_rig_machine, goes_on, NULL, &err),
                     STASIS_ERR_CANCELLED);
    stasis_machine_resume(&blk_rig_machine); /* which needs no lock */
    pthread_mutex_unlock(&blk_rig_machine.lock);
    assert_int_equal(stasis_machine_pause_while(&blk_rig_machine, goes_on, NULL, &err), 0);
}

static void a_reset_takes_back_what_is_not_answered(void **state)
{
    (void)state;
    blk_rig_bring_up(F_FLUSH);
    blk_rig_hang();
    memset(blk_rig_ram(DATA, 512), 0xee, 512);
    blk_rig_make(T_IN, 0, 512);
    blk_rig_make(T_FLUSH, 0, 0);
    blk_rig_notify();
    blk_rig_wait_hanging();
    blk_rig_bring_up(F_FLUSH); /* by a reset */
    blk_rig_made = 0;
    memset(blk_rig_ram(AVAIL, 4), 0, 4);
    blk_rig_make(T_ID, 0, 20);
    blk_rig_notify();
    assert_int_equal(blk_rig_used_idx(), 1); /* which needs no disk */
    memset(blk_rig_ram(DATA, 512), 0xee, 512);
    blk_rig_let_on();
    blk_rig_make(T_OUT, 0, 512);
    blk_rig_notify();
    blk_rig_wait_used(2);
    assert_int_equal(blk_rig_flushes, 0);
    assert_int_equal(*(uint8_t *)blk_rig_ram(DATA, 1), 0xee);
    assert_int_equal(blk_rig_status_of(1), 0);
}

/* A host that is fast is not slowed down by an interrupt for each; one that is slow is announced
 * at once. */
static void answers_are_announced_together(void **state)
{
    uint16_t *used_event = blk_rig_ram(AVAIL + 4 + 2 * SIZE, 2);

    (void)state;
    blk_rig_bring_up(F_EVENT_IDX);
    stasis_machine_pause(&blk_rig_machine);
    for (unsigned i = 0; i < 32; i++)
        blk_rig_make(T_IN, 0, 512);
    *used_event = 0;
    blk_rig_notify();
    stasis_machine_resume(&blk_rig_machine);
    blk_rig_wait_used(32);
    assert_int_equal(blk_rig_blk->counters->interrupts, 1);
    assert_int_equal(blk_rig_blk->counters->requests, 32);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, blk_rig_set_up, blk_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(data_goes_to_the_disk_and_back),
        CASE(the_guest_sees_the_hosts_errors),
        CASE(a_driver_without_flush_gets_writes_that_survive),
        CASE(ranges_are_zeroed),
        CASE(a_limit_is_waited_for_by_the_timer),
        CASE(nobody_waits_for_the_disk),
        CASE(a_pause_is_given_up),
        CASE(a_reset_takes_back_what_is_not_answered),
        CASE(answers_are_announced_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
