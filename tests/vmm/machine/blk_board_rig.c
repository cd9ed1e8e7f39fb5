/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/blk_board_rig.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "support/null_host.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"

struct stasis_machine blk_rig_machine;
struct stasis_device_host blk_rig_host;
struct stasis_device *blk_rig_blk;
unsigned blk_rig_flushes, blk_rig_zeroes;
uint16_t blk_rig_made; /* requests */

/* ---- the disk ---- */

uint8_t blk_rig_content[DISK];
bool blk_rig_broken;
uint64_t blk_rig_inode, blk_rig_mtime_ns;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool hangs, is_hanging;

static void pass_gate(void)
{
    pthread_mutex_lock(&gate);
    is_hanging = hangs;
    pthread_cond_broadcast(&gate_changed);
    while (hangs)
        pthread_cond_wait(&gate_changed, &gate);
    is_hanging = false;
    pthread_mutex_unlock(&gate);
}

static void set_hangs(bool to)
{
    pthread_mutex_lock(&gate);
    hangs = to;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate);
}

void blk_rig_hang(void)
{
    set_hangs(true);
}

void blk_rig_let_on(void)
{
    set_hangs(false);
}

void blk_rig_wait_hanging(void)
{
    pthread_mutex_lock(&gate);
    while (!is_hanging)
        pthread_cond_wait(&gate_changed, &gate);
    pthread_mutex_unlock(&gate);
}

static bool disk_read(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    pass_gate();
    assert_true(offset <= DISK && len <= DISK - offset);
    memcpy(bytes, (uint8_t *)ctx + offset, len);
    return !blk_rig_broken;
}

static bool disk_write(void *ctx, uint64_t offset, const void *bytes, size_t len)
{
    pass_gate();
    assert_true(offset <= DISK && len <= DISK - offset);
    memcpy((uint8_t *)ctx + offset, bytes, len);
    return !blk_rig_broken;
}

static bool disk_flush(void *ctx)
{
    (void)ctx;
    pass_gate();
    blk_rig_flushes++;
    return !blk_rig_broken;
}

static bool disk_discard(void *ctx, uint64_t offset, uint64_t len)
{
    (void)ctx, (void)offset, (void)len;
    return !blk_rig_broken;
}

static bool disk_zero(void *ctx, uint64_t offset, uint64_t len, bool may_unmap)
{
    assert_true(may_unmap);
    memset((uint8_t *)ctx + offset, 0, len);
    blk_rig_zeroes++;
    return !blk_rig_broken;
}

static void disk_mark(void *ctx, struct stasis_device_disk_mark *ret_mark)
{
    (void)ctx;
    *ret_mark = (struct stasis_device_disk_mark){
        .inode = blk_rig_inode, .mtime_ns = blk_rig_mtime_ns, .has_samples = true, .samples = {9}};
}

struct stasis_device_disk blk_rig_disk;
const struct stasis_device_disk blk_rig_whole_disk = {
    .id = "data",
    .bytes = DISK,
    .ctx = blk_rig_content,
    .read = disk_read,
    .write = disk_write,
    .flush = disk_flush,
    .discard = disk_discard,
    .zero = disk_zero,
    .mark = disk_mark,
};

/* ---- the machine ---- */

static void build(void)
{
    const struct stasis_board_optional disk = {stasis_virtio_blk_schema.type, "data"};
    const struct stasis_board_options options = {.memory_bytes = 1 << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &disk,
                                                 .optional_count = 1};

    memset(&blk_rig_machine, 0, sizeof(blk_rig_machine));
    blk_rig_machine.vm.fd = -1;
    blk_rig_host = null_host;
    blk_rig_host.disks = &blk_rig_disk;
    blk_rig_machine.device_env = (struct stasis_device_env){.lock = &blk_rig_machine.lock,
                                                            .vm = &blk_rig_machine.vm,
                                                            .memory = &blk_rig_machine.memory,
                                                            .host = &blk_rig_host,
                                                            .ctx = &blk_rig_machine};
    assert_int_equal(pthread_mutex_init(&blk_rig_machine.lock, NULL), 0);
    assert_int_equal(stasis_board_default(&options, &blk_rig_machine.board, NULL), 0);
    assert_int_equal(stasis_board_map_ram(&blk_rig_machine.board, &blk_rig_machine.memory, NULL),
                     0);
    blk_rig_attach_anew();
    blk_rig_start();
    blk_rig_flushes = blk_rig_zeroes = 0;
    blk_rig_made = 0;
}

void blk_rig_attach_anew(void)
{
    assert_true(stasis_devices_stop(&blk_rig_machine.devices, 1000000));
    stasis_devices_detach(&blk_rig_machine.devices);
    stasis_bus_init(&blk_rig_machine.pio, "PIO", 0xffff);
    stasis_bus_init(&blk_rig_machine.mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(&blk_rig_machine);
    assert_int_equal(stasis_devices_attach(&blk_rig_machine.devices, &blk_rig_machine.board,
                                           &blk_rig_machine.pio, &blk_rig_machine.mmio,
                                           &blk_rig_machine.device_env, NULL),
                     0);
    blk_rig_blk = stasis_device_find(&blk_rig_machine.devices, &stasis_virtio_blk_schema, "data");
    assert_non_null(blk_rig_blk);
}

static int begins(void *ctx, struct stasis_error *err)
{
    (void)ctx, (void)err;
    return 0;
}

void blk_rig_start(void)
{
    static const struct stasis_io_thread_ops ops = {.begins = begins};

    assert_int_equal(stasis_devices_start(&blk_rig_machine.devices, &ops, NULL, NULL), 0);
}

int blk_rig_set_up(void **state)
{
    (void)state;
    blk_rig_disk = blk_rig_whole_disk;
    blk_rig_broken = false;
    blk_rig_inode = 11;
    blk_rig_mtime_ns = 12;
    for (unsigned i = 0; i < DISK; i++)
        blk_rig_content[i] = (uint8_t)(i / 512 + i);
    build();
    return 0;
}

int blk_rig_tear_down(void **state)
{
    (void)state;
    blk_rig_let_on();
    assert_true(stasis_devices_stop(&blk_rig_machine.devices, 1000000));
    stasis_devices_detach(&blk_rig_machine.devices);
    stasis_memory_fini(&blk_rig_machine.memory);
    pthread_mutex_destroy(&blk_rig_machine.lock);
    return 0;
}

void blk_rig_write(uint64_t offset, uint64_t value)
{
    stasis_bus_mmio_write(&blk_rig_machine, BASE + offset, 4, value);
}

void *blk_rig_ram(uint64_t gpa, uint64_t len)
{
    void *at = stasis_memory_writable(&blk_rig_machine.memory, gpa, len);

    assert_non_null(at);
    return at;
}

void blk_rig_bring_up(uint32_t features)
{
    blk_rig_write(0x70, 0);
    blk_rig_write(0x70, 1);
    blk_rig_write(0x70, 3);
    blk_rig_write(0x24, 0);
    blk_rig_write(0x20, features);
    blk_rig_write(0x24, 1);
    blk_rig_write(0x20, 1);
    blk_rig_write(0x70, 11);
    blk_rig_write(0x38, SIZE);
    blk_rig_write(0x80, DESC);
    blk_rig_write(0x90, AVAIL);
    blk_rig_write(0xa0, USED);
    blk_rig_write(0x44, 1);
    blk_rig_write(0x70, 15);
}

static void put_desc(unsigned at, uint64_t gpa, uint32_t len, uint16_t flags)
{
    const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags, next;
    } desc = {gpa, len, flags, (uint16_t)(at + 1)};

    memcpy(blk_rig_ram(DESC + 16 * at, 16), &desc, sizeof(desc));
}

/* Makes a request of three descriptors available; its data is at DATA + 512 times its number. */
void blk_rig_make(uint32_t type, uint64_t sector, uint32_t len)
{
    const unsigned number = blk_rig_made, head = 3 * number;
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header = {type, 0, sector};
    const bool is_in = type == T_IN || type == T_ID;
    uint16_t *avail = blk_rig_ram(AVAIL, 4 + 2 * SIZE);

    assert_in_range(head, 0, SIZE - 3);
    memcpy(blk_rig_ram(HEADER + 16 * number, 16), &header, sizeof(header));
    *(uint8_t *)blk_rig_ram(STATUS + number, 1) = 0xee;
    put_desc(head, HEADER + 16 * number, 16, 1);
    put_desc(len ? head + 1 : head + 2, len ? DATA + 512 * number : STATUS + number, len ? len : 1,
             len ? (is_in ? 3 : 1) : 2);
    if (len)
        put_desc(head + 2, STATUS + number, 1, 2);
    else
        ((uint16_t *)blk_rig_ram(DESC + 16 * head, 16))[7] = (uint16_t)(head + 2);
    avail[2 + number] = (uint16_t)head;
    avail[1] = ++blk_rig_made;
}

void blk_rig_notify(void)
{
    blk_rig_write(0x50, 0);
}

uint16_t blk_rig_used_idx(void)
{
    uint16_t idx;

    pthread_mutex_lock(&blk_rig_machine.lock);
    idx = *(uint16_t *)blk_rig_ram(USED + 2, 2);
    pthread_mutex_unlock(&blk_rig_machine.lock);
    return idx;
}

/* The thread has left the lock, so that all else is to be seen too. */
void blk_rig_wait_used(uint16_t count)
{
    const struct timespec pause = {.tv_nsec = 100000};

    while (blk_rig_used_idx() != count)
        nanosleep(&pause, NULL);
}

uint8_t blk_rig_status_of(unsigned number)
{
    return *(uint8_t *)blk_rig_ram(STATUS + number, 1);
}
