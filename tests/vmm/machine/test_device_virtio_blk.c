/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio block device on a board, with RAM and a disk that does what the test wants.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"
#include "support/null_host.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"
#include "vmm/machine/machine.h"

#define BASE   UINT64_C(0xd0002000)
#define DESC   0x2000u
#define AVAIL  0x3000u
#define USED   0x4000u
#define HEADER 0x5000u
#define STATUS 0x6000u
#define DATA   0x10000u
#define SIZE   128u
#define DISK   (UINT32_C(64) << 10)
#define TURN   16u /* steps */

#define T_IN     0u
#define T_OUT    1u
#define T_FLUSH  4u
#define T_ID     8u
#define T_ZEROES 13u

#define F_FLUSH  (1u << 9)
#define F_ZEROES (1u << 14)

static struct stasis_machine machine;
static struct stasis_device_host host;
static struct stasis_device *blk;
static unsigned waits, flushes, zeroes;
static uint16_t made; /* requests */

/* ---- the disk ---- */

static uint8_t content[DISK];
static bool broken;
static uint64_t inode, mtime_ns;

static bool disk_read(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    assert_true(offset <= DISK && len <= DISK - offset);
    memcpy(bytes, (uint8_t *)ctx + offset, len);
    return !broken;
}

static bool disk_write(void *ctx, uint64_t offset, const void *bytes, size_t len)
{
    assert_true(offset <= DISK && len <= DISK - offset);
    memcpy((uint8_t *)ctx + offset, bytes, len);
    return !broken;
}

static bool disk_flush(void *ctx)
{
    (void)ctx;
    flushes++;
    return !broken;
}

static bool disk_discard(void *ctx, uint64_t offset, uint64_t len)
{
    (void)ctx, (void)offset, (void)len;
    return !broken;
}

static bool disk_zero(void *ctx, uint64_t offset, uint64_t len, bool may_unmap)
{
    assert_true(may_unmap);
    memset((uint8_t *)ctx + offset, 0, len);
    zeroes++;
    return !broken;
}

static void disk_mark(void *ctx, uint64_t *ret_inode, uint64_t *ret_mtime_ns)
{
    (void)ctx;
    *ret_inode = inode;
    *ret_mtime_ns = mtime_ns;
}

static struct stasis_device_disk disk;
static const struct stasis_device_disk whole_disk = {
    .id = "data",
    .bytes = DISK,
    .ctx = content,
    .read = disk_read,
    .write = disk_write,
    .flush = disk_flush,
    .discard = disk_discard,
    .zero = disk_zero,
    .mark = disk_mark,
};

static void wait_until(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    (void)ctx;
    assert_ptr_equal(from, blk);
    assert_true(deadline_ns);
    waits++;
}

/* ---- the machine ---- */

static void build(void)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host", .disk_id = "data"};

    memset(&machine, 0, sizeof(machine));
    machine.vm.fd = -1;
    host = null_host;
    host.disk = &disk;
    host.timer_arm = wait_until;
    machine.device_env = (struct stasis_device_env){
        .vm = &machine.vm, .memory = &machine.memory, .host = &host, .ctx = &machine};
    assert_int_equal(pthread_mutex_init(&machine.lock, NULL), 0);
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(&machine);
    assert_int_equal(stasis_board_default(&options, &machine.board, NULL), 0);
    assert_int_equal(stasis_board_map_ram(&machine.board, &machine.memory, NULL), 0);
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    blk = stasis_device_find(&machine.devices, &stasis_virtio_blk_schema, "data");
    assert_non_null(blk);
    waits = flushes = zeroes = 0;
    made = 0;
}

static int set_up(void **state)
{
    (void)state;
    disk = whole_disk;
    broken = false;
    inode = 11;
    mtime_ns = 12;
    for (unsigned i = 0; i < DISK; i++)
        content[i] = (uint8_t)(i / 512 + i);
    build();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_devices_detach(&machine.devices);
    stasis_memory_fini(&machine.memory);
    pthread_mutex_destroy(&machine.lock);
    return 0;
}

static void write(uint64_t offset, uint64_t value)
{
    stasis_bus_mmio_write(&machine, BASE + offset, 4, value);
}

static void *ram(uint64_t gpa, uint64_t len)
{
    void *at = stasis_memory_writable(&machine.memory, gpa, len);

    assert_non_null(at);
    return at;
}

static void bring_up(uint32_t features)
{
    write(0x70, 0);
    write(0x70, 1);
    write(0x70, 3);
    write(0x24, 0);
    write(0x20, features);
    write(0x24, 1);
    write(0x20, 1);
    write(0x70, 11);
    write(0x38, SIZE);
    write(0x80, DESC);
    write(0x90, AVAIL);
    write(0xa0, USED);
    write(0x44, 1);
    write(0x70, 15);
}

static void put_desc(unsigned at, uint64_t gpa, uint32_t len, uint16_t flags)
{
    const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags, next;
    } desc = {gpa, len, flags, (uint16_t)(at + 1)};

    memcpy(ram(DESC + 16 * at, 16), &desc, sizeof(desc));
}

/* Makes a request of three descriptors available; its data is at DATA + 512 times its number. */
static void make(uint32_t type, uint64_t sector, uint32_t len)
{
    const unsigned number = made, head = 3 * number;
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header = {type, 0, sector};
    const bool is_in = type == T_IN || type == T_ID;
    uint16_t *avail = ram(AVAIL, 4 + 2 * SIZE);

    assert_in_range(head, 0, SIZE - 3);
    memcpy(ram(HEADER + 16 * number, 16), &header, sizeof(header));
    *(uint8_t *)ram(STATUS + number, 1) = 0xee;
    put_desc(head, HEADER + 16 * number, 16, 1);
    put_desc(len ? head + 1 : head + 2, len ? DATA + 512 * number : STATUS + number, len ? len : 1,
             len ? (is_in ? 3 : 1) : 2);
    if (len)
        put_desc(head + 2, STATUS + number, 1, 2);
    else
        ((uint16_t *)ram(DESC + 16 * head, 16))[7] = (uint16_t)(head + 2);
    avail[2 + number] = (uint16_t)head;
    avail[1] = ++made;
}

static void notify(void)
{
    write(0x50, 0);
}

static uint16_t used_idx(void)
{
    return *(uint16_t *)ram(USED + 2, 2);
}

static uint8_t status_of(unsigned number)
{
    return *(uint8_t *)ram(STATUS + number, 1);
}

/* ---- requests ---- */

static void data_goes_to_the_disk_and_back(void **state)
{
    (void)state;
    bring_up(F_FLUSH);
    memset(ram(DATA, 512), 0x5a, 512);
    make(T_OUT, 3, 512);
    make(T_FLUSH, 0, 0);
    make(T_IN, 4, 512);
    make(T_ID, 0, 20);
    notify();
    assert_int_equal(used_idx(), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(status_of(i), 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(content[3 * 512 + i], 0x5a);
    assert_int_equal(flushes, 1);
    assert_memory_equal(ram(DATA + 1024, 512), content + 4 * 512, 512);
    assert_string_equal(ram(DATA + 1536, 20), "data");
    assert_int_equal(blk->counters->in_bytes, 512);
    assert_int_equal(blk->counters->out_bytes, 512);
    assert_int_equal(waits, 0);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x60, 4), 1);
}

static void the_guest_sees_the_hosts_errors(void **state)
{
    (void)state;
    bring_up(F_FLUSH | F_ZEROES);
    broken = true;
    make(T_OUT, 0, 512);
    make(T_FLUSH, 0, 0);
    make(T_IN, 0, 512);
    notify();
    assert_int_equal(used_idx(), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(status_of(i), 1);
    broken = false;
    make(T_IN, 0, 512);
    notify();
    assert_int_equal(status_of(3), 0);
}

static void a_driver_without_flush_gets_writes_that_survive(void **state)
{
    (void)state;
    bring_up(0);
    make(T_OUT, 0, 512);
    make(T_IN, 0, 512);
    notify();
    assert_int_equal(used_idx(), 2);
    assert_int_equal(flushes, 1);
}

static void ranges_are_zeroed(void **state)
{
    const struct {
        uint64_t sector;
        uint32_t count, flags;
    } range = {2, 4, 1};

    (void)state;
    bring_up(F_FLUSH | F_ZEROES);
    memcpy(ram(DATA, 16), &range, sizeof(range));
    make(T_ZEROES, 0, 16);
    notify();
    assert_int_equal(status_of(0), 0);
    assert_int_equal(zeroes, 1);
    for (unsigned i = 1024; i < 3072; i++)
        assert_int_equal(content[i], 0);
    assert_int_not_equal(content[3073], 0);
}

/* A vCPU is not held up by a full queue: the event loop does the rest, a turn at a time. */
static void a_turn_is_bounded(void **state)
{
    (void)state;
    bring_up(F_FLUSH);
    for (unsigned i = 0; i < 2 * TURN + 3; i++)
        make(T_FLUSH, 0, 0);
    notify();
    assert_int_equal(used_idx(), TURN);
    assert_int_equal(waits, 1);
    stasis_device_timer(blk);
    assert_int_equal(used_idx(), 2 * TURN);
    assert_int_equal(waits, 2);
    stasis_device_timer(blk);
    assert_int_equal(used_idx(), 2 * TURN + 3);
    assert_int_equal(waits, 2);
}

static void a_reset_takes_back_what_has_not_begun(void **state)
{
    (void)state;
    bring_up(F_FLUSH);
    for (unsigned i = 0; i < TURN + 4; i++)
        make(T_FLUSH, 0, 0);
    notify();
    assert_int_equal(flushes, TURN);
    write(0x70, 0);
    stasis_device_timer(blk);
    assert_int_equal(flushes, TURN);
    assert_int_equal(used_idx(), TURN);
}

/* ---- the state ---- */

static struct stasis_virtio_blk_state *save(void)
{
    struct stasis_virtio_blk_state *saved = calloc(1, sizeof(*saved));

    assert_non_null(saved);
    blk->type->save(blk->instance, saved);
    return saved;
}

static void requests_in_flight_are_asked_for_again(void **state)
{
    struct stasis_virtio_blk_state *saved;

    bring_up(F_FLUSH);
    for (unsigned i = 0; i < TURN; i++)
        make(T_FLUSH, 0, 0);
    memset(ram(DATA + 512 * TURN, 512), 0x77, 512);
    make(T_OUT, 9, 512);
    make(T_IN, 10, 512);
    notify();
    assert_int_equal(used_idx(), TURN);
    saved = save();
    assert_int_equal(saved->requests_count, 2);
    assert_int_equal(saved->disk_inode, 11);
    assert_int_equal(saved->disk_mtime_ns, 12);
    stasis_devices_detach(&machine.devices);
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    assert_int_equal(blk->type->restore(blk->instance, saved, NULL), 0);
    free(saved);
    waits = 0;
    assert_int_equal(blk->type->check_memory(blk->instance, NULL), 0);
    blk->type->post_restore(blk->instance);
    assert_int_equal(waits, 1);
    assert_int_equal(used_idx(), TURN);
    stasis_device_timer(blk);
    assert_int_equal(used_idx(), TURN + 2);
    assert_int_equal(status_of(TURN), 0);
    assert_int_equal(content[9 * 512], 0x77);
    assert_memory_equal(ram(DATA + 512 * (TURN + 1), 512), content + 5120, 512);
    (void)state;
}

static void refuse(const struct stasis_virtio_blk_state *saved, const char *message)
{
    struct stasis_error err;

    assert_int_equal(blk->type->restore(blk->instance, saved, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, message))
        fail_msg("%s", err.msg);
}

static void another_disk_is_refused_by_name(void **state)
{
    struct stasis_virtio_blk_state *saved = save();

    (void)state;
    host.disk = NULL;
    refuse(saved, "the guest's disk data is missing; name its file by block.path, with "
                  "block.id=data");
    host.disk = &disk;
    disk.id = "other";
    refuse(saved, "the guest's disk data is missing");
    disk = whole_disk;
    disk.bytes = 1024;
    refuse(saved, "disk data has 1024 bytes and had 65536 at the freeze");
    disk = whole_disk;
    disk.is_read_only = true;
    refuse(saved, "disk data was writable at the freeze; set block.readonly to off");
    saved->read_only = 1;
    disk = whole_disk;
    refuse(saved, "disk data was read-only at the freeze; set block.readonly to on");
    saved->read_only = 0;
    inode = 5;
    refuse(saved, "disk data has been written to or replaced since the freeze");
    inode = 11;
    mtime_ns = 13;
    refuse(saved, "disk data has been written to or replaced since the freeze");
    disk.may_have_changed = true;
    assert_int_equal(blk->type->restore(blk->instance, saved, NULL), 0);
    free(saved);
}

/* As `snapshot-inspect` and a trial thaw build it. */
static void a_host_without_a_disk_has_an_empty_one(void **state)
{
    tear_down(state);
    host.disk = NULL;
    assert_int_equal(stasis_board_map_ram(&machine.board, &machine.memory, NULL), 0);
    assert_int_equal(pthread_mutex_init(&machine.lock, NULL), 0);
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x100, 4), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(data_goes_to_the_disk_and_back),
        CASE(the_guest_sees_the_hosts_errors),
        CASE(a_driver_without_flush_gets_writes_that_survive),
        CASE(ranges_are_zeroed),
        CASE(a_turn_is_bounded),
        CASE(a_reset_takes_back_what_has_not_begun),
        CASE(requests_in_flight_are_asked_for_again),
        CASE(another_disk_is_refused_by_name),
        CASE(a_host_without_a_disk_has_an_empty_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
