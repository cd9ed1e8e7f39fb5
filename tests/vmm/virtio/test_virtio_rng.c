/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "driver_rig.h"

#include "stasis/virtio_rng.h"

#define MS   UINT64_C(1000000)
#define RATE 8192u

static struct driver driver;
static struct stasis_virtio_host host;
static struct stasis_virtio_rng rng;
static struct stasis_virtio_mmio *const mmio = &rng.mmio;
static uint64_t now, deadline;
static unsigned arms;
static bool has_random;
static uint8_t next_byte;

static bool on_random(void *ctx, uint8_t *bytes, size_t len)
{
    assert_ptr_equal(ctx, &rng);
    for (size_t i = 0; has_random && i < len; i++)
        bytes[i] = next_byte++ | 1;
    return has_random;
}

static uint64_t on_now(void *ctx)
{
    (void)ctx;
    return now;
}

static void on_arm(void *ctx, uint64_t deadline_ns)
{
    (void)ctx;
    arms++;
    deadline = deadline_ns;
}

static const struct stasis_virtio_rng_ops ops = {on_random, on_now, on_arm};

static int start(void **state)
{
    (void)state;
    driver_init(&driver, &host);
    now = 5000 * MS;
    arms = 0;
    has_random = true;
    next_byte = 0;
    stasis_virtio_rng_init(&rng, &host, &ops, &rng, RATE);
    bring_up(mmio, 0);
    return 0;
}

static void request(unsigned index, uint32_t len)
{
    put_desc(&driver, DESC, index, BUFFER, len, WRITE, 0);
    offer(&driver, (uint16_t)index);
}

static uint16_t answered(void)
{
    return peek16(&driver, USED + 2);
}

static uint32_t length_of(unsigned n)
{
    return peek32(&driver, USED + 8 + 8 * (n % SIZE));
}

static void a_request_is_filled(void **state)
{
    (void)state;
    assert_int_equal(rd(mmio, 8), 4);
    request(3, 600); /* more than a part */
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 1);
    assert_int_equal(peek32(&driver, USED + 4), 3);
    assert_int_equal(length_of(0), 600);
    for (unsigned i = 0; i < 600; i++)
        assert_int_equal(*bytes_at(&driver, BUFFER + i), (uint8_t)i | 1);
    assert_int_equal(*bytes_at(&driver, BUFFER + 600), 0);
    assert_true(driver.line);
    assert_int_equal(arms, 0);
}

static void all_requests_are_filled_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIZE; i++)
        request(i, 8);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), SIZE);
    assert_int_equal(driver.irqs, 1);
}

static void a_long_request_gets_less(void **state)
{
    (void)state;
    request(0, 0x2000);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(length_of(0), STASIS_VIRTIO_RNG_REQUEST_MAX);
}

static void an_empty_request_gets_nothing(void **state)
{
    (void)state;
    request(0, 0);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 1);
    assert_int_equal(length_of(0), 0);
}

/* 5.4.6.1: "MUST NOT place driver-readable buffers into the queue". */
static void a_request_to_read_is_broken(void **state)
{
    struct stasis_virtio_rng_state saved;

    (void)state;
    put_desc(&driver, DESC, 0, BUFFER, 8, NEXT, 1);
    put_desc(&driver, DESC, 1, BUFFER, 8, WRITE, 0);
    offer(&driver, 0);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 0);
    assert_int_equal(rd(mmio, R_STATUS), 15 | 64);
    assert_int_equal(driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    stasis_virtio_rng_save(&rng, &saved); /* it is not in flight */
    assert_int_equal(stasis_state_check(&stasis_virtio_rng_schema, &saved, NULL), 0);
    wr(mmio, R_NOTIFY, 0);
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
}

static void a_buffer_that_goes_away_is_broken(void **state)
{
    (void)state;
    request(0, 600);
    driver.looked = NULL;
    driver.hole = BUFFER + 500;
    driver.hole_len = 1;
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 0);
    assert_int_equal(rd(mmio, R_STATUS), 15 | 64);
    assert_int_equal(mmio->queues[0].state.next_avail, 0);
}

/* A second's worth at once, and then as fast as it comes. */
static void the_rate_is_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        request(i, 4096);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 2);
    assert_int_equal(arms, 1);
    assert_in_range(deadline, now + 500 * MS, now + 501 * MS);
    stasis_virtio_rng_timer(&rng); /* too early */
    assert_int_equal(answered(), 2);
    now += 250 * MS;
    wr(mmio, R_NOTIFY, 0); /* which asks for nothing new */
    assert_int_equal(answered(), 2);
    assert_in_range(deadline, now + 250 * MS, now + 251 * MS);
    now = deadline;
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), 3);
    now = deadline;
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), 4);
    now += 3600 * 1000 * MS; /* no more than a second's worth is saved up */
    for (unsigned i = 0; i < 3; i++)
        request(i, 4096);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 6);
}

static void a_clock_that_stands_still_gives_no_more(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        request(i, 4096);
    wr(mmio, R_NOTIFY, 0);
    now -= 100 * MS; /* back, even */
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), 2);
}

static void what_is_not_there_is_asked_for_again(void **state)
{
    (void)state;
    has_random = false;
    request(0, 8);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(answered(), 0);
    assert_int_equal(arms, 1);
    assert_true(deadline == now + 100 * MS);
    assert_int_equal(rd(mmio, R_STATUS), 15);
    has_random = true;
    now = deadline;
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), 1);
}

/* A driver that refills the ring as fast as it is emptied. */
static void refill(struct driver *own, uint64_t gpa, uint64_t len)
{
    (void)gpa;
    (void)len;
    poke16(own, AVAIL + 2, (uint16_t)(rng.mmio.queues[0].state.next_used + 1));
}

static void one_notification_does_bounded_work(void **state)
{
    (void)state;
    request(0, 1);
    driver.looked = refill;
    wr(mmio, R_NOTIFY, 0);
    assert_in_range(answered(), 1, SIZE);
    assert_int_equal(arms, 1);
    assert_true(deadline == now);
}

/* A driver cannot keep the processor of the host busy by requests for little or nothing. */
static void requests_for_nothing_count_too(void **state)
{
    (void)state;
    request(0, 0);
    driver.looked = refill;
    wr(mmio, R_NOTIFY, 0);
    for (unsigned i = 0; i < 1000; i++)
        stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), RATE / 64);
    assert_in_range(deadline, now + 7 * MS, now + 8 * MS); /* 64 bytes at 8192 a second */
}

static void a_timer_of_a_reset_device_does_nothing(void **state)
{
    (void)state;
    has_random = false;
    request(0, 8);
    wr(mmio, R_NOTIFY, 0);
    wr(mmio, R_STATUS, 0);
    has_random = true;
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), 0);
}

/* With a request that was made available and not notified of. */
static void a_thawed_device_looks_at_its_queue(void **state)
{
    struct stasis_virtio_rng_state frozen, again;

    (void)state;
    request(0, 8);
    stasis_virtio_rng_save(&rng, &frozen);
    stasis_virtio_rng_init(&rng, &host, &ops, &rng, RATE);
    stasis_virtio_rng_apply_outputs(&rng);
    assert_int_equal(arms, 0); /* nobody uses it */
    assert_int_equal(stasis_virtio_rng_restore(&rng, &frozen, NULL), 0);
    stasis_virtio_rng_save(&rng, &again);
    assert_memory_equal(&frozen, &again, sizeof(frozen));
    stasis_virtio_rng_apply_outputs(&rng);
    assert_int_equal(answered(), 0);
    assert_int_equal(arms, 1);
    assert_true(deadline == now);
    stasis_virtio_rng_timer(&rng);
    assert_int_equal(answered(), 1);
    assert_true(driver.line);
}

static void bad_states_are_refused(void **state)
{
    struct stasis_virtio_rng_state frozen;
    struct stasis_error err;

    (void)state;
    stasis_virtio_rng_save(&rng, &frozen);
    frozen.mmio.queues[0].next_avail++;
    assert_int_equal(stasis_virtio_rng_restore(&rng, &frozen, &err), STASIS_ERR_RANGE);
    frozen.mmio.queues[0].next_avail--;
    frozen.mmio.device_features |= 1;
    assert_int_equal(stasis_virtio_rng_restore(&rng, &frozen, &err), STASIS_ERR_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_request_is_filled, start),
        cmocka_unit_test_setup(all_requests_are_filled_at_once, start),
        cmocka_unit_test_setup(a_long_request_gets_less, start),
        cmocka_unit_test_setup(an_empty_request_gets_nothing, start),
        cmocka_unit_test_setup(a_request_to_read_is_broken, start),
        cmocka_unit_test_setup(a_buffer_that_goes_away_is_broken, start),
        cmocka_unit_test_setup(the_rate_is_bounded, start),
        cmocka_unit_test_setup(a_clock_that_stands_still_gives_no_more, start),
        cmocka_unit_test_setup(what_is_not_there_is_asked_for_again, start),
        cmocka_unit_test_setup(one_notification_does_bounded_work, start),
        cmocka_unit_test_setup(requests_for_nothing_count_too, start),
        cmocka_unit_test_setup(a_timer_of_a_reset_device_does_nothing, start),
        cmocka_unit_test_setup(a_thawed_device_looks_at_its_queue, start),
        cmocka_unit_test_setup(bad_states_are_refused, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
