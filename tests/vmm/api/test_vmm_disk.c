/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/vmm_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "vmm/machine/board.h"

#define BYTES 4096u

static char path[] = "/tmp/test_vmm_disk.XXXXXX";
static struct stasis_vmm_config config;
static struct stasis_vmm_disk disk;
static struct stasis_error err;

static int set_up(void **state)
{
    int fd;

    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, BYTES), 0);
    close(fd);
    config = (struct stasis_vmm_config){.demo = true, .block = {.path = path}};
    disk = (struct stasis_vmm_disk){.is_open = false};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_vmm_disk_close(&disk);
    return unlink(path);
}

static void has(const char *words)
{
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

static void devices_reach_the_file(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};
    const struct stasis_device_disk *device;
    uint8_t out[512], in[512] = {0};
    uint64_t inode, mtime_ns;

    (void)state;
    memset(out, 0x3c, sizeof(out));
    assert_int_equal(stasis_vmm_disk_open(&config, &disk, &host, &err), 0);
    device = host.disks;
    assert_non_null(device);
    assert_string_equal(device->id, "disk0");
    assert_int_equal(device->bytes, BYTES);
    assert_false(device->is_read_only);
    assert_false(device->may_have_changed);
    assert_true(device->write(device->ctx, 1024, out, sizeof(out)));
    assert_true(device->flush(device->ctx));
    assert_true(device->read(device->ctx, 1024, in, sizeof(in)));
    assert_memory_equal(in, out, sizeof(in));
    assert_true(device->zero(device->ctx, 1024, 512, true));
    assert_true(device->read(device->ctx, 1024, in, sizeof(in)));
    assert_int_equal(in[0], 0);
    assert_true(device->discard(device->ctx, 0, BYTES));
    device->mark(device->ctx, &inode, &mtime_ns);
    assert_true(inode && mtime_ns);
}

static void words_of_the_configuration_count(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    config.block.id = "data";
    config.block.readonly = STASIS_VMM_BLOCK_READONLY_ON;
    config.block.changed = STASIS_VMM_BLOCK_ALLOW;
    assert_int_equal(stasis_vmm_disk_open(&config, &disk, &host, &err), 0);
    assert_string_equal(host.disks->id, "data");
    assert_true(host.disks->is_read_only);
    assert_true(host.disks->may_have_changed);
}

static void no_disk_is_asked_for(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    config.block.path = NULL;
    assert_int_equal(stasis_vmm_disk_open(&config, &disk, &host, &err), 0);
    assert_null(host.disks);
    assert_int_equal(stasis_vmm_disk_check_resume(&config, &err), 0);
}

static void what_cannot_be_opened_is_named(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    config.block.path = "/nonexistent/disk";
    assert_int_equal(stasis_vmm_disk_open(&config, &disk, &host, &err), STASIS_ERR_ARG);
    has("block.path=/nonexistent/disk: cannot open it");
    assert_null(host.disks);
}

static void a_disk_needs_its_device(void **state)
{
    const struct stasis_board_optional row = {stasis_virtio_blk_schema.type, "disk0"};
    const struct stasis_board_options options = {.memory_bytes = 1 << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &row,
                                                 .optional_count = 1};
    struct stasis_board_state board;

    (void)state;
    assert_int_equal(stasis_board_default(&options, &board, &err), 0);
    assert_int_equal(stasis_vmm_disk_check_board(&config, &board, &err), 0);
    config.block.id = "data";
    assert_int_equal(stasis_vmm_disk_check_board(&config, &board, &err), STASIS_ERR_ARG);
    has("the guest has no disk data; leave out block.path, or set block.id");
    config.block.path = NULL;
    assert_int_equal(stasis_vmm_disk_check_board(&config, &board, &err), 0);
}

static void a_guest_that_writes_may_not_run_on(void **state)
{
    (void)state;
    assert_int_equal(stasis_vmm_disk_check_resume(&config, &err), STASIS_ERR_ARG);
    has("the guest would run on and write to disk disk0");
    config.block.shared = STASIS_VMM_BLOCK_ALLOW;
    assert_int_equal(stasis_vmm_disk_check_resume(&config, &err), 0);
    config.block.shared = STASIS_VMM_BLOCK_REFUSE;
    config.block.readonly = STASIS_VMM_BLOCK_READONLY_ON;
    assert_int_equal(stasis_vmm_disk_check_resume(&config, &err), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(devices_reach_the_file),  CASE(words_of_the_configuration_count),
        CASE(no_disk_is_asked_for),    CASE(what_cannot_be_opened_is_named),
        CASE(a_disk_needs_its_device), CASE(a_guest_that_writes_may_not_run_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
