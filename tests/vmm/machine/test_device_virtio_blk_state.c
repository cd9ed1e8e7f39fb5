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

/* While the disk is at the first of them; the others have not been begun. */
static struct stasis_virtio_blk_state *freeze_with_a_disk_that_hangs(uint32_t type)
{
    struct stasis_virtio_blk_state *saved;

    blk_rig_bring_up(F_FLUSH);
    blk_rig_hang();
    blk_rig_make(type, 9, 512);
    memset(blk_rig_ram(DATA, 512), 0x77, 512);
    for (unsigned i = 0; i < 30; i++)
        blk_rig_make(T_FLUSH, 0, 0);
    blk_rig_make(T_IN, 10, 512);
    blk_rig_notify();
    blk_rig_wait_hanging();
    stasis_machine_pause(&blk_rig_machine);
    saved = save();
    assert_int_equal(saved->requests_count, 32);
    return saved;
}

static void thaw(struct stasis_virtio_blk_state *saved)
{
    struct stasis_error err;

    blk_rig_attach_anew();
    if (blk_rig_blk->type->restore(blk_rig_blk->instance, saved, &err) ||
        blk_rig_blk->type->check_memory(blk_rig_blk->instance, &err))
        fail_msg("%s", err.msg);
    free(saved);
    blk_rig_blk->type->post_restore(blk_rig_blk->instance);
    assert_int_equal(blk_rig_used_idx(), 0);
    blk_rig_start();
}

static void requests_in_flight_are_asked_for_again(void **state)
{
    struct stasis_virtio_blk_state *saved = freeze_with_a_disk_that_hangs(T_OUT);

    (void)state;
    /* Its marker is yet to change: it is unknown. */
    assert_int_equal(saved->disk_inode, 0);
    assert_int_equal(saved->disk_mtime_ns, 0);
    assert_int_equal(saved->disk_samples_len, 0);
    blk_rig_let_on(); /* the first life's disk ends what it was at, and the guest hears nothing */
    while (!stasis_machine_wait_disks(&blk_rig_machine))
        ;
    assert_int_equal(blk_rig_used_idx(), 0);
    assert_int_equal(blk_rig_content[9 * 512], 0x77);
    blk_rig_content[9 * 512] = 0;
    blk_rig_mtime_ns = 14;
    thaw(saved);
    blk_rig_wait_used(32);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(blk_rig_status_of(i), 0);
    assert_int_equal(blk_rig_flushes, 30);
    assert_int_equal(blk_rig_content[9 * 512], 0x77);
    assert_memory_equal(blk_rig_ram(DATA + 512 * 31, 512), blk_rig_content + 5120, 512);
    assert_int_equal(blk_rig_blk->counters->interrupts, 1); /* the line stays up */
}

static void a_disk_that_only_reads_is_marked(void **state)
{
    struct stasis_virtio_blk_state *saved = freeze_with_a_disk_that_hangs(T_IN);

    (void)state;
    assert_int_equal(saved->disk_inode, 11);
    assert_int_equal(saved->disk_mtime_ns, 12);
    assert_int_equal(saved->disk_samples_len, 32);
    assert_int_equal(saved->disk_samples[0], 9);
    free(saved);
    blk_rig_let_on();
    while (!stasis_machine_wait_disks(&blk_rig_machine))
        ;
    assert_int_equal(*(uint8_t *)blk_rig_ram(DATA, 1), 0x77); /* it came after the freeze */
}

/* Of a driver that had not been told of its last answers. */
static void answers_are_announced_after_a_thaw(void **state)
{
    struct stasis_virtio_blk_state *saved;

    (void)state;
    blk_rig_bring_up(F_FLUSH);
    blk_rig_make(T_IN, 0, 512);
    blk_rig_notify();
    blk_rig_wait_used(1);
    blk_rig_write(0x64, 1);
    stasis_machine_pause(&blk_rig_machine);
    saved = save();
    assert_int_equal(saved->mmio.interrupt_status, 0);
    blk_rig_attach_anew();
    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, NULL), 0);
    free(saved);
    blk_rig_blk->type->post_restore(blk_rig_blk->instance);
    blk_rig_start();
    while (!stasis_bus_mmio_read(&blk_rig_machine, BASE + 0x60, 4))
        ;
    assert_int_equal(blk_rig_used_idx(), 1);
}

/* Who knows where a disk comes from says more (test_vmm_disk_bind.c). */
static void a_disk_of_another_shape_is_refused(void **state)
{
    struct stasis_virtio_blk_state *saved = save();

    (void)state;
    blk_rig_disk.bytes = 1024;
    blk_rig_attach_anew();
    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, NULL),
                     STASIS_ERR_ARG);
    blk_rig_disk = blk_rig_whole_disk;
    blk_rig_disk.is_read_only = true;
    blk_rig_attach_anew();
    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, NULL),
                     STASIS_ERR_ARG);
    blk_rig_host.disks = NULL;
    blk_rig_attach_anew();
    assert_int_equal(blk_rig_blk->type->restore(blk_rig_blk->instance, saved, NULL),
                     STASIS_ERR_ARG);
    free(saved);
}

/* As `snapshot-inspect` and a trial thaw build it. */
static void a_host_without_a_disk_has_an_empty_one(void **state)
{
    (void)state;
    blk_rig_host.disks = NULL;
    blk_rig_attach_anew();
    assert_int_equal(stasis_bus_mmio_read(&blk_rig_machine, BASE + 0x100, 4), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, blk_rig_set_up, blk_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(requests_in_flight_are_asked_for_again), CASE(a_disk_that_only_reads_is_marked),
        CASE(answers_are_announced_after_a_thaw),     CASE(a_disk_of_another_shape_is_refused),
        CASE(a_host_without_a_disk_has_an_empty_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
