/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The rings of a split virtqueue, against a driver by hand (virtio 1.2, 2.7).
 */
#include "driver_rig.h"

static struct driver driver;
static struct stasis_virtio_host host;
static struct stasis_virtqueue queue;
static struct stasis_virtio_chain chain;

static int start(void **state)
{
    (void)state;
    driver_init(&driver, &host);
    memset(&queue, 0, sizeof(queue));
    queue.max_size = SIZE;
    queue.state = (struct stasis_virtio_queue_state){
        .size = SIZE, .ready = 1, .desc = DESC, .driver = AVAIL, .device = USED};
    for (unsigned i = 0; i < SIZE; i++)
        put_desc(&driver, DESC, i, BUFFER + 16 * i, 16, WRITE, 0);
    return 0;
}

static enum stasis_virtqueue_result take(void)
{
    return stasis_virtqueue_take(&queue, &host.memory, &chain);
}

static bool put(uint16_t head, uint32_t written)
{
    return stasis_virtqueue_put(&queue, &host.memory, head, written);
}

static bool wants_interrupt(void)
{
    return stasis_virtqueue_wants_interrupt(&queue, &host.memory);
}

static void buffers_come_in_order(void **state)
{
    (void)state;
    assert_int_equal(take(), STASIS_VIRTQUEUE_EMPTY);
    offer(&driver, 5);
    offer(&driver, 2);
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    assert_int_equal(chain.head, 5);
    assert_int_equal(chain.pieces[0].gpa, BUFFER + 80);
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    assert_int_equal(chain.head, 2);
    assert_int_equal(take(), STASIS_VIRTQUEUE_EMPTY);
}

static void a_buffer_taken_back_comes_again(void **state)
{
    (void)state;
    offer(&driver, 3);
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    stasis_virtqueue_untake(&queue);
    chain.head = 0;
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    assert_int_equal(chain.head, 3);
}

/* 2.7.8: id and length, then idx; other entries stay. */
static void used_buffers_are_written(void **state)
{
    (void)state;
    memset(bytes_at(&driver, USED), 0xee, 6 + 8 * SIZE);
    assert_true(put(5, 0x12345678));
    assert_int_equal(peek16(&driver, USED), 0xeeee);
    assert_int_equal(peek16(&driver, USED + 2), 1);
    assert_int_equal(peek32(&driver, USED + 4), 5);
    assert_int_equal(peek32(&driver, USED + 8), 0x12345678);
    assert_int_equal(peek32(&driver, USED + 12), 0xeeeeeeee);
    assert_true(put(1, 0));
    assert_int_equal(peek16(&driver, USED + 2), 2);
    assert_int_equal(peek32(&driver, USED + 12), 1);
}

/* Indexes are counted modulo 2^16, entries modulo the size. */
/* The driver, who may look at any moment, sees none of them before all. */
static void nothing_is_used_yet(struct driver *own, uint64_t gpa, uint64_t len)
{
    (void)gpa;
    (void)len;
    assert_int_equal(peek16(own, USED + 2), 0);
}

static void several_buffers_are_used_at_once(void **state)
{
    const struct stasis_virtqueue_used used[] = {{3, 100}, {1, 0}, {7, UINT32_MAX}};

    (void)state;
    driver.looked = nothing_is_used_yet;
    assert_true(stasis_virtqueue_put_all(&queue, &host.memory, used, 3));
    assert_int_equal(peek16(&driver, USED + 2), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(peek32(&driver, USED + 4 + 8 * i), used[i].head);
        assert_int_equal(peek32(&driver, USED + 8 + 8 * i), used[i].written);
    }
    driver.looked = NULL;
    driver.hole = USED + 4 + 8 * 4; /* the second of the next three */
    driver.hole_len = 1;
    assert_false(stasis_virtqueue_put_all(&queue, &host.memory, used, 3));
    driver.hole = USED + 2; /* idx */
    assert_false(stasis_virtqueue_put_all(&queue, &host.memory, used, 3));
    assert_int_equal(peek16(&driver, USED + 2), 3);
    assert_int_equal(queue.state.next_used, 3);
}

static void indexes_wrap(void **state)
{
    (void)state;
    queue.state.next_avail = queue.state.next_used = 0xfffd;
    poke16(&driver, AVAIL + 2, 0xfffd);
    for (unsigned i = 0; i < SIZE; i++)
        offer_at(&driver, (uint16_t)(0xfffd + i), (uint16_t)i);
    for (unsigned i = 0; i < SIZE; i++) {
        assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
        assert_int_equal(chain.head, i);
        assert_true(put(chain.head, i));
    }
    assert_int_equal(take(), STASIS_VIRTQUEUE_EMPTY);
    assert_int_equal(queue.state.next_avail, 5);
    assert_int_equal(peek16(&driver, USED + 2), 5);
    assert_int_equal(peek32(&driver, USED + 4 + 8 * 4), 7); /* number 4 */
}

/* A driver has no more buffers outstanding than entries (2.7.13). */
static void more_than_there_can_be_is_broken(void **state)
{
    (void)state;
    poke16(&driver, AVAIL + 2, SIZE);
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    poke16(&driver, AVAIL + 2, SIZE + 1); /* one is not put yet */
    assert_int_equal(take(), STASIS_VIRTQUEUE_BROKEN);
    assert_true(put(0, 0));
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    poke16(&driver, AVAIL + 2, 1); /* less than before */
    assert_int_equal(take(), STASIS_VIRTQUEUE_BROKEN);
    poke16(&driver, AVAIL + 2, 0x8000);
    assert_int_equal(take(), STASIS_VIRTQUEUE_BROKEN);
}

static void a_head_beyond_the_table_is_broken(void **state)
{
    (void)state;
    offer(&driver, SIZE);
    assert_int_equal(take(), STASIS_VIRTQUEUE_BROKEN);
    assert_int_equal(queue.state.next_avail, 0);
}

static void rings_that_leave_ram_are_broken(void **state)
{
    const uint64_t parts[] = {DESC, AVAIL, USED};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start(NULL);
        offer(&driver, 0);
        driver.hole = parts[i] + 8; /* not where the first entries are */
        driver.hole_len = 1;
        assert_int_equal(take(), STASIS_VIRTQUEUE_BROKEN);
        driver.hole_len = 0;
        assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
        driver.hole = parts[i];
        driver.hole_len = 6 + 8 * SIZE;
        assert_int_equal(put(0, 0), i != 2);
    }
}

static void only_sound_queues_are_usable(void **state)
{
    const struct {
        uint16_t size;
        uint64_t desc, driver, device;
        bool usable;
    } cases[] = {
        {8, DESC, AVAIL, USED, true},
        {1, DESC, AVAIL, USED, true},
        {0, DESC, AVAIL, USED, false},
        {6, DESC, AVAIL, USED, false},
        {16, DESC, AVAIL, USED, false}, /* more than the device has */
        {8, DESC + 8, AVAIL, USED, false},
        {8, DESC, AVAIL + 1, USED, false},
        {8, DESC, AVAIL + 2, USED, true},
        {8, DESC, AVAIL, USED + 2, false},
        {8, DESC, AVAIL, USED + 4, true},
        {8, RAM_END - 128, AVAIL, USED, true},
        {8, RAM_END - 112, AVAIL, USED, false},
        {8, DESC, RAM_END - 22, USED, true},
        {8, DESC, RAM_END - 20, USED, false},
        {8, DESC, AVAIL, RAM_END - 72, true},
        {8, DESC, AVAIL, RAM_END - 68, false},
        {8, DESC, AVAIL, UINT64_MAX - 3, false},
        {8, 0, AVAIL, USED, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        queue.state.size = cases[i].size;
        queue.state.desc = cases[i].desc;
        queue.state.driver = cases[i].driver;
        queue.state.device = cases[i].device;
        if (stasis_virtqueue_is_usable(&queue, &host.memory) != cases[i].usable)
            fail_msg("case %u", i);
    }
}

/* 2.7.7: flags of the available ring are the driver's word. */
static void flags_suppress_interrupts(void **state)
{
    (void)state;
    assert_true(put(0, 0));
    assert_true(wants_interrupt());
    poke16(&driver, AVAIL, 1);
    assert_true(put(0, 0));
    assert_false(wants_interrupt());
    poke16(&driver, AVAIL, 0xfffe);
    assert_true(wants_interrupt());
}

/* 2.7.10: an interrupt when the used ring passes used_event, and flags mean nothing. */
static void used_event_says_when(void **state)
{
    (void)state;
    queue.has_event_idx = true;
    poke16(&driver, AVAIL, 1);
    poke16(&driver, AVAIL + 4 + 2 * SIZE, 3);
    assert_true(put(0, 0));
    assert_true(wants_interrupt()); /* what the driver knows is not known yet */
    assert_true(put(0, 0));
    assert_true(put(0, 0));
    assert_false(wants_interrupt()); /* 1 to 3: entry 3 is not used */
    assert_true(put(0, 0));
    assert_true(wants_interrupt());
    assert_true(put(0, 0));
    assert_false(wants_interrupt());
    poke16(&driver, AVAIL + 4 + 2 * SIZE, 6);
    assert_true(put(0, 0));
    assert_true(put(0, 0));
    assert_true(put(0, 0)); /* past it */
    assert_true(wants_interrupt());
}

static void used_event_wraps(void **state)
{
    (void)state;
    queue.has_event_idx = true;
    queue.is_signalled = true;
    queue.signalled_used = queue.state.next_used = 0xfffe;
    poke16(&driver, AVAIL + 4 + 2 * SIZE, 0);
    assert_true(put(0, 0));
    assert_true(put(0, 0));
    assert_false(wants_interrupt()); /* 0xfffe and 0xffff */
    assert_true(put(0, 0));
    assert_true(wants_interrupt());
}

/* 2.7.10.2: the driver is to notify of the buffer behind the last that was taken. */
static void waiting_sets_avail_event(void **state)
{
    (void)state;
    memset(bytes_at(&driver, USED), 0xee, 6 + 8 * SIZE);
    offer(&driver, 0);
    assert_int_equal(take(), STASIS_VIRTQUEUE_TAKEN);
    assert_false(stasis_virtqueue_await(&queue, &host.memory));
    assert_int_equal(peek16(&driver, USED + 4 + 8 * SIZE), 0xeeee);
    queue.has_event_idx = true;
    assert_false(stasis_virtqueue_await(&queue, &host.memory));
    assert_int_equal(peek16(&driver, USED + 4 + 8 * SIZE), 1);
    offer(&driver, 1);
    assert_true(stasis_virtqueue_await(&queue, &host.memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(buffers_come_in_order, start),
        cmocka_unit_test_setup(a_buffer_taken_back_comes_again, start),
        cmocka_unit_test_setup(used_buffers_are_written, start),
        cmocka_unit_test_setup(several_buffers_are_used_at_once, start),
        cmocka_unit_test_setup(indexes_wrap, start),
        cmocka_unit_test_setup(more_than_there_can_be_is_broken, start),
        cmocka_unit_test_setup(a_head_beyond_the_table_is_broken, start),
        cmocka_unit_test_setup(rings_that_leave_ram_are_broken, start),
        cmocka_unit_test_setup(only_sound_queues_are_usable, start),
        cmocka_unit_test_setup(flags_suppress_interrupts, start),
        cmocka_unit_test_setup(used_event_says_when, start),
        cmocka_unit_test_setup(used_event_wraps, start),
        cmocka_unit_test_setup(waiting_sets_avail_event, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
