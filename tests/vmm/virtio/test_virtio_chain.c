/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Chains of descriptors: what 2.7.5 of virtio 1.2 lets a driver make, and all else.
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
    queue.has_indirect = true;
    queue.state = (struct stasis_virtio_queue_state){
        .size = SIZE, .ready = 1, .desc = DESC, .driver = AVAIL, .device = USED};
    return 0;
}

static void desc(unsigned index, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
    put_desc(&driver, DESC, index, addr, len, flags, next);
}

static void indirect(unsigned index, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
    put_desc(&driver, TABLE, index, addr, len, flags, next);
}

static enum stasis_virtqueue_result take_head_0(void)
{
    queue.state.next_avail = queue.state.next_used = 0;
    offer_at(&driver, 0, 0);
    return stasis_virtqueue_take(&queue, &host.memory, &chain);
}

static void assert_whole(void)
{
    assert_int_equal(take_head_0(), STASIS_VIRTQUEUE_TAKEN);
}

static void assert_broken(void)
{
    assert_int_equal(take_head_0(), STASIS_VIRTQUEUE_BROKEN);
    assert_int_equal(queue.state.next_avail, 0);
}

static void pieces_are_collected(void **state)
{
    (void)state;
    desc(0, BUFFER, 10, NEXT, 3);
    desc(3, BUFFER + 100, 20, NEXT, 1);
    desc(1, BUFFER + 200, 30, NEXT | WRITE, 7);
    desc(7, BUFFER + 300, 0, WRITE | 0xfff8, 999); /* flags of nobody, and a next that is none */
    assert_whole();
    assert_int_equal(chain.head, 0);
    assert_int_equal(chain.count, 4);
    assert_int_equal(chain.reads, 2);
    assert_int_equal(chain.read_len, 30);
    assert_int_equal(chain.write_len, 30);
    assert_int_equal(chain.pieces[2].gpa, BUFFER + 200);
    assert_int_equal(chain.pieces[2].len, 30);
}

static void a_chain_of_the_queues_size_is_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIZE; i++)
        desc(i, BUFFER, 1, i + 1 < SIZE ? NEXT : 0, i + 1);
    assert_whole();
    assert_int_equal(chain.count, SIZE);
}

/* 2.7.5.3.1: "MUST NOT create a descriptor chain longer than the Queue Size", in whichever tables.
 */
static void a_chain_longer_than_the_queue_is_broken(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIZE; i++)
        indirect(i, BUFFER, 1, i + 1 < SIZE ? NEXT : 0, i + 1);
    desc(0, TABLE, 16 * SIZE, INDIRECT, 0);
    assert_whole();
    assert_int_equal(chain.count, SIZE);
    desc(0, BUFFER, 1, NEXT, 1);
    desc(1, TABLE, 16 * SIZE, INDIRECT, 0);
    assert_broken();
    indirect(SIZE - 2, BUFFER, 1, 0, 0); /* one less */
    assert_whole();
    assert_int_equal(chain.count, SIZE);
}

static void loops_end(void **state)
{
    (void)state;
    desc(0, BUFFER, 1, NEXT, 0);
    assert_broken();
    desc(0, BUFFER, 1, NEXT, 1);
    desc(1, BUFFER, 1, NEXT, 0);
    driver.looks = 0;
    assert_broken();
    assert_in_range(driver.looks, 1, 3 * SIZE + 10);
}

static void next_beyond_the_table_is_broken(void **state)
{
    (void)state;
    desc(0, BUFFER, 1, NEXT, SIZE);
    assert_broken();
    desc(0, BUFFER, 1, NEXT, 0xffff);
    assert_broken();
}

/* 2.7.4.2 */
static void reading_behind_writing_is_broken(void **state)
{
    (void)state;
    desc(0, BUFFER, 1, NEXT | WRITE, 1);
    desc(1, BUFFER, 1, 0, 0);
    assert_broken();
}

static void buffers_that_are_no_ram_are_broken(void **state)
{
    const struct {
        uint64_t addr;
        uint32_t len;
        bool whole;
    } cases[] = {
        {RAM_END - 4, 4, true}, {RAM_END - 4, 5, false},     {RAM - 1, 2, false},
        {RAM_END, 1, false},    {UINT64_MAX, 2, false},      {UINT64_MAX - 15, 16, false},
        {0, 1, false},          {BUFFER, UINT32_MAX, false}, {RAM, (uint32_t)RAM_SIZE, true},
        {0xdead0000, 0, true}, /* of no bytes: nothing to be anywhere */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        desc(0, cases[i].addr, cases[i].len, 0, 0);
        if ((take_head_0() == STASIS_VIRTQUEUE_TAKEN) != cases[i].whole)
            fail_msg("case %u", i);
    }
}

static void overlapping_buffers_are_the_drivers_matter(void **state)
{
    (void)state;
    desc(0, DESC, 64, NEXT, 1);
    desc(1, DESC, 64, WRITE, 0);
    assert_whole();
}

/* 2.7.5: 2^32 bytes at most. RAM that is not there cannot be in the test: it is as large as asked.
 */
static const void *anywhere(void *ctx, uint64_t gpa, uint64_t len)
{
    const struct driver *all = ctx;

    return gpa >= RAM && gpa + len <= RAM_END ? (const void *)(all->ram + (gpa - RAM)) : all->ram;
}

static void more_than_4_gib_is_broken(void **state)
{
    (void)state;
    host.memory.at = anywhere;
    desc(0, BUFFER, UINT32_MAX, NEXT, 1);
    desc(1, BUFFER, 1, 0, 0);
    assert_whole();
    assert_int_equal(chain.read_len, UINT64_C(1) << 32);
    desc(1, BUFFER, 2, 0, 0);
    assert_broken();
    desc(1, BUFFER, 2, WRITE, 0);
    assert_broken();
}

static void indirect_tables_are_followed(void **state)
{
    (void)state;
    desc(0, TABLE, 32, INDIRECT | WRITE, 0); /* where WRITE has no meaning: 2.7.5.3.2 */
    indirect(0, BUFFER, 5, NEXT, 1);
    indirect(1, BUFFER + 50, 6, WRITE, 0);
    assert_whole();
    assert_int_equal(chain.count, 2);
    assert_int_equal(chain.read_len, 5);
    assert_int_equal(chain.write_len, 6);
}

/* 2.7.5.3.2: after zero or more normal ones. */
static void an_indirect_table_can_end_a_chain(void **state)
{
    (void)state;
    desc(0, BUFFER, 5, NEXT, 4);
    desc(4, TABLE, 16, INDIRECT, 0);
    indirect(0, BUFFER + 50, 6, WRITE, 0);
    assert_whole();
    assert_int_equal(chain.count, 2);
    assert_int_equal(chain.pieces[1].gpa, BUFFER + 50);
}

static void bad_indirect_tables_are_broken(void **state)
{
    (void)state;
    indirect(0, BUFFER, 5, 0, 0);
    desc(0, TABLE, 0, INDIRECT, 0);
    assert_broken();
    desc(0, TABLE, 17, INDIRECT, 0);
    assert_broken();
    desc(0, TABLE, 16 * (SIZE + 1), INDIRECT, 0); /* longer than the longest chain */
    assert_broken();
    desc(0, TABLE, 16 * SIZE, INDIRECT, 0);
    assert_whole();
    desc(0, RAM_END - 16, 32, INDIRECT, 0);
    assert_broken();
    desc(0, UINT64_MAX - 15, 16, INDIRECT, 0);
    assert_broken();
    desc(0, TABLE, 16, INDIRECT | NEXT, 1); /* 2.7.5.3.1: not both */
    assert_broken();
    desc(0, TABLE, 16, INDIRECT, 0);
    indirect(0, TABLE, 16, INDIRECT, 0); /* nor within a table */
    assert_broken();
    indirect(0, BUFFER, 5, NEXT, 1); /* of one entry */
    assert_broken();
    indirect(0, BUFFER, 5, NEXT, 0);
    assert_broken();
    indirect(0, BUFFER, 5, 0, 0);
    assert_whole();
    queue.has_indirect = false; /* not negotiated */
    assert_broken();
}

/* A driver that changes a descriptor once it was looked at: what was read counts. */
static unsigned reads_of[2 * SIZE];

static void change_behind(struct driver *own, uint64_t gpa, uint64_t len)
{
    (void)own;
    if (len == 16 && gpa >= DESC && gpa < DESC + 16 * SIZE)
        reads_of[(gpa - DESC) / 16]++;
    if (len == 16 && gpa >= TABLE && gpa < TABLE + 16 * SIZE)
        reads_of[SIZE + (gpa - TABLE) / 16]++;
    if (gpa == BUFFER) /* the first descriptor has been read */
        desc(0, 0xdead0000, UINT32_MAX, NEXT, 0);
}

static void each_descriptor_is_read_once(void **state)
{
    (void)state;
    memset(reads_of, 0, sizeof(reads_of));
    desc(0, BUFFER, 5, NEXT, 1);
    desc(1, TABLE, 32, INDIRECT, 0);
    indirect(0, BUFFER + 50, 6, NEXT | WRITE, 1);
    indirect(1, BUFFER + 60, 7, WRITE, 1);
    driver.looked = change_behind;
    assert_whole();
    assert_int_equal(chain.pieces[0].gpa, BUFFER);
    assert_int_equal(chain.pieces[0].len, 5);
    assert_int_equal(chain.count, 3);
    assert_int_equal(reads_of[0], 1);
    assert_int_equal(reads_of[1], 1);
    assert_int_equal(reads_of[SIZE], 1);
    assert_int_equal(reads_of[SIZE + 1], 1);
}

static void copying_crosses_pieces(void **state)
{
    char text[32] = "";

    (void)state;
    desc(0, BUFFER, 3, NEXT, 1);
    desc(1, BUFFER + 10, 0, NEXT, 2);
    desc(2, BUFFER + 20, 4, NEXT, 3);
    desc(3, BUFFER + 30, 2, NEXT | WRITE, 4);
    desc(4, BUFFER + 40, 5, WRITE, 0);
    memcpy(bytes_at(&driver, BUFFER), "abc", 3);
    memcpy(bytes_at(&driver, BUFFER + 20), "defg", 4);
    assert_whole();
    assert_int_equal(stasis_virtio_chain_read(&chain, &host.memory, 0, text, 7), 7);
    assert_string_equal(text, "abcdefg");
    memset(text, 0, sizeof(text));
    assert_int_equal(stasis_virtio_chain_read(&chain, &host.memory, 2, text, 3), 3);
    assert_string_equal(text, "cde");
    assert_int_equal(stasis_virtio_chain_read(&chain, &host.memory, 5, text, 30), 2);
    assert_int_equal(stasis_virtio_chain_read(&chain, &host.memory, 7, text, 30), 0);
    assert_int_equal(stasis_virtio_chain_read(&chain, &host.memory, UINT64_MAX, text, 30), 0);

    assert_int_equal(stasis_virtio_chain_write(&chain, &host.memory, 1, "XYZ", 3), 3);
    assert_memory_equal(bytes_at(&driver, BUFFER + 30), "\0X", 3);
    assert_memory_equal(bytes_at(&driver, BUFFER + 40), "YZ", 3);
    assert_int_equal(stasis_virtio_chain_write(&chain, &host.memory, 6, "XYZ", 3), 1);
    assert_memory_equal(bytes_at(&driver, BUFFER + 44), "X", 2);
}

static void copying_ends_where_ram_has_gone(void **state)
{
    char text[8];

    (void)state;
    desc(0, BUFFER, 3, NEXT, 1);
    desc(1, BUFFER + 20, 4, NEXT, 2);
    desc(2, BUFFER + 40, 4, NEXT | WRITE, 3);
    desc(3, BUFFER + 60, 4, WRITE, 0);
    assert_whole();
    driver.hole = BUFFER + 20;
    driver.hole_len = 1;
    assert_int_equal(stasis_virtio_chain_read(&chain, &host.memory, 0, text, 7), 3);
    driver.hole = BUFFER + 63;
    assert_int_equal(stasis_virtio_chain_write(&chain, &host.memory, 0, text, 8), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pieces_are_collected, start),
        cmocka_unit_test_setup(a_chain_of_the_queues_size_is_whole, start),
        cmocka_unit_test_setup(a_chain_longer_than_the_queue_is_broken, start),
        cmocka_unit_test_setup(loops_end, start),
        cmocka_unit_test_setup(next_beyond_the_table_is_broken, start),
        cmocka_unit_test_setup(reading_behind_writing_is_broken, start),
        cmocka_unit_test_setup(buffers_that_are_no_ram_are_broken, start),
        cmocka_unit_test_setup(overlapping_buffers_are_the_drivers_matter, start),
        cmocka_unit_test_setup(more_than_4_gib_is_broken, start),
        cmocka_unit_test_setup(indirect_tables_are_followed, start),
        cmocka_unit_test_setup(an_indirect_table_can_end_a_chain, start),
        cmocka_unit_test_setup(bad_indirect_tables_are_broken, start),
        cmocka_unit_test_setup(each_descriptor_is_read_once, start),
        cmocka_unit_test_setup(copying_crosses_pieces, start),
        cmocka_unit_test_setup(copying_ends_where_ram_has_gone, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
