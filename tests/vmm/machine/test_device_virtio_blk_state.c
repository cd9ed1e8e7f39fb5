/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/blk_board_rig.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"

static struct stasis_virtio_blk_state *save(void)
{
    struct stasis_virtio_blk_state *saved = calloc(1, sizeof(*saved));

    assert_non_null(saved);
    blk_rig_blk->type->save(blk_rig_blk->instance, saved);
    return saved;
}

static void requests_in_flight_are_asked_for_again(void **state)
{
    struct stasis_virtio_blk_state *saved;

    blk_rig_bring_up(F_FLUSH);
    for (unsigned i = 0; i < TURN; i++)
        blk_rig_make(T_FLUSH, 0, 0);
    memset(blk_rig_ram(DATA + 512 * TURN, 512), 0x77, 512);
    blk_rig_make(T_OUT, 9, 512);
    blk_rig_make(T_IN, 10, 512);
    blk_rig_notify();
    assert_int_equal(blk_rig_used_idx(), TURN);
    saved = save();
    assert_int_equal(saved->requests_count, 2);
    assert_int_equal(saved->disk_inode, 11);
    assert_int_equal(saved->disk_mtime_ns, 12);
    stasis_devices_detach(&blk_rig_machine.devices);
    stasis_bus_init(&blk_rig_machine.pio, "PIO", 0xffff);
    stasis_bus_init(&blk_rig_machine.mmio, "MMIO", UINT64_MAX);
    assert_int_equal(stasis_devices_attach(&blk_rig_machine.devices, &blk_rig_machine.board,
                                           &blk_rig_machine.pio, &blk_rig_machine.mmio,
                                           &blk_rig_machine.device_env, NULL),
                     0);
    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, NULL), 0);
    free(saved);
    blk_rig_waits = 0;
    assert_int_equal(blk_rig_blk->type->check_memory(blk_rig_blk->instance, NULL), 0);
    blk_rig_blk->type->post_restore(blk_rig_blk->instance);
    assert_int_equal(blk_rig_waits, 1);
    assert_int_equal(blk_rig_used_idx(), TURN);
    stasis_device_timer(blk_rig_blk);
    assert_int_equal(blk_rig_used_idx(), TURN + 2);
    assert_int_equal(blk_rig_status_of(TURN), 0);
    assert_int_equal(blk_rig_content[9 * 512], 0x77);
    assert_memory_equal(blk_rig_ram(DATA + 512 * (TURN + 1), 512), blk_rig_content + 5120, 512);
    (void)state;
}

static void refuse(const struct stasis_virtio_blk_state *saved, const char *message)
{
    struct stasis_error err;

    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, &err),
                     STASIS_ERR_ARG);
    if (!strstr(err.msg, message))
        fail_msg("%s", err.msg);
}

static void another_disk_is_refused_by_name(void **state)
{
    struct stasis_virtio_blk_state *saved = save();

    (void)state;
    blk_rig_host.disks = NULL;
    refuse(saved, "the guest's disk data is missing; name its file by block.path, with "
                  "block.id=data");
    blk_rig_host.disks = &blk_rig_disk;
    blk_rig_disk.id = "other";
    refuse(saved, "the guest's disk data is missing");
    blk_rig_disk = blk_rig_whole_disk;
    blk_rig_disk.bytes = 1024;
    refuse(saved, "disk data has 1024 bytes and had 65536 at the freeze");
    blk_rig_disk = blk_rig_whole_disk;
    blk_rig_disk.is_read_only = true;
    refuse(saved, "disk data was writable at the freeze; set block.readonly to off");
    saved->read_only = 1;
    blk_rig_disk = blk_rig_whole_disk;
    refuse(saved, "disk data was read-only at the freeze; set block.readonly to on");
    saved->read_only = 0;
    blk_rig_inode = 5;
    refuse(saved, "disk data has been written to or replaced since the freeze");
    blk_rig_inode = 11;
    blk_rig_mtime_ns = 13;
    refuse(saved, "disk data has been written to or replaced since the freeze");
    blk_rig_disk.may_have_changed = true;
    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, NULL), 0);
    free(saved);
}

/* As `snapshot-inspect` and a trial thaw build it. */
static void a_host_without_a_disk_has_an_empty_one(void **state)
{
    blk_rig_tear_down(state);
    blk_rig_host.disks = NULL;
    assert_int_equal(stasis_board_map_ram(&blk_rig_machine.board, &blk_rig_machine.memory, NULL),
                     0);
    assert_int_equal(pthread_mutex_init(&blk_rig_machine.lock, NULL), 0);
    stasis_bus_init(&blk_rig_machine.pio, "PIO", 0xffff);
    stasis_bus_init(&blk_rig_machine.mmio, "MMIO", UINT64_MAX);
    assert_int_equal(stasis_devices_attach(&blk_rig_machine.devices, &blk_rig_machine.board,
                                           &blk_rig_machine.pio, &blk_rig_machine.mmio,
                                           &blk_rig_machine.device_env, NULL),
                     0);
    assert_int_equal(stasis_bus_mmio_read(&blk_rig_machine, BASE + 0x100, 4), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, blk_rig_set_up, blk_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(requests_in_flight_are_asked_for_again),
        CASE(another_disk_is_refused_by_name),
        CASE(a_host_without_a_disk_has_an_empty_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
