/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/vmm_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define BYTES 4096u

static char path[] = "/tmp/test_vmm_disk.XXXXXX";
static struct stasis_vmm_config config;
static struct stasis_vmm_disks disks;
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
    config = (struct stasis_vmm_config){.demo = true, .block = {{.path = path}}};
    disks = (struct stasis_vmm_disks){.count = 0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_vmm_disks_close(&disks);
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
    struct stasis_device_disk_mark mark;

    (void)state;
    memset(out, 0x3c, sizeof(out));
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    device = host.disks;
    assert_non_null(device);
    assert_string_equal(device->id, "disk0");
    assert_int_equal(device->bytes, BYTES);
    assert_false(device->is_read_only);
    assert_true(device->write(device->ctx, 1024, out, sizeof(out)));
    assert_true(device->flush(device->ctx));
    assert_true(device->read(device->ctx, 1024, in, sizeof(in)));
    assert_memory_equal(in, out, sizeof(in));
    assert_true(device->zero(device->ctx, 1024, 512, true));
    assert_true(device->read(device->ctx, 1024, in, sizeof(in)));
    assert_int_equal(in[0], 0);
    assert_true(device->discard(device->ctx, 0, BYTES));
    device->mark(device->ctx, &mark);
    assert_true(mark.inode && mark.mtime_ns);
    assert_false(mark.has_samples);
    assert_int_equal(stasis_vmm_disks_settle(&disks, 0, &err), 0);
    device->mark(device->ctx, &mark);
    assert_true(mark.has_samples);
    assert_int_equal(stasis_vmm_disks_settle(&disks, STASIS_VMM_SETTLE_OVERLAYS, &err), 0);
    device->mark(device->ctx, &mark);
    assert_false(mark.has_samples);
}

static void sealed_path(const char *overlay, const uint8_t *root, char ret_path[100])
{
    int len = snprintf(ret_path, 100, "%s.", overlay);

    for (unsigned i = 0; i < 8; i++)
        len += snprintf(ret_path + len, 3, "%02x", root[i]);
}

static void an_overlay_takes_what_is_written(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};
    const struct stasis_device_disk *device;
    uint8_t out[512], in[1024];
    struct stasis_device_disk_mark mark;
    char overlay[64], sealed[100];
    FILE *base;

    (void)state;
    snprintf(overlay, sizeof(overlay), "%s.overlay", path);
    config.block[0].overlay = overlay;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_int_equal(stasis_vmm_disks_open_overlays(&config, &disks, NULL, &err), 0);
    device = host.disks;
    assert_false(device->is_read_only);
    memset(out, 0x3c, sizeof(out));
    assert_true(device->write(device->ctx, 1024, out, sizeof(out)));
    assert_true(device->flush(device->ctx));
    assert_true(device->read(device->ctx, 512, in, sizeof(in)));
    assert_int_equal(in[0], 0);
    assert_memory_equal(in + 512, out, sizeof(out));
    assert_true(device->zero(device->ctx, 1024, 256 * 2, true));
    assert_true(device->discard(device->ctx, 0, BYTES));
    assert_true(device->read(device->ctx, 512, in, sizeof(in)));
    assert_int_equal(in[600], 0);
    assert_true(stasis_vmm_disks_need_settling(&disks));
    assert_int_equal(stasis_vmm_disks_settle(&disks, STASIS_VMM_SETTLE_OVERLAYS, &err), 0);
    assert_int_equal(stasis_vmm_disks_settle(&disks, STASIS_VMM_SETTLE_SEALS, &err), 0);
    device->mark(device->ctx, &mark);
    assert_true(mark.has_root);
    assert_false(mark.inode || mark.mtime_ns || mark.has_samples);
    sealed_path(overlay, mark.root, sealed);
    assert_int_equal(access(sealed, F_OK), 0);
    unlink(overlay);
    assert_int_equal(stasis_vmm_disks_settle(&disks, 0, &err), 0);
    device->mark(device->ctx, &mark);
    assert_false(mark.has_root);
    assert_true(device->write(device->ctx, 0, out, sizeof(out)));
    assert_int_equal(stasis_vmm_disks_settle(&disks, STASIS_VMM_SETTLE_SEALS, &err),
                     STASIS_ERR_ARG); /* it has no name any more */
    has("disk disk0: its name is of another file");
    stasis_vmm_disks_close(&disks);
    unlink(sealed);
    base = fopen(path, "r");
    assert_non_null(base);
    for (unsigned i = 0; i < BYTES; i++)
        assert_int_equal(fgetc(base), 0);
    assert_int_equal(fgetc(base), EOF);
    fclose(base);
    unlink(overlay);
}

static void an_overlay_that_is_none_is_named(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    config.block[0].overlay = path;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_int_equal(stasis_vmm_disks_open_overlays(&config, &disks, NULL, &err), STASIS_ERR_ARG);
    has("block[0].overlay=/tmp/");
    has("it is in use by another program, or as another disk; end that");
    config.block[0].overlay = "/nonexistent/overlay";
    assert_int_equal(stasis_vmm_disks_open_overlays(&config, &disks, NULL, &err), STASIS_ERR_WRITE);
    has("block[0].overlay=/nonexistent/overlay: opening its folder");
}

static void words_of_the_configuration_count(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    config.block[0].id = "data";
    config.block[0].block_size = 4096;
    config.block[0].iops = 1;
    config.block[0].bandwidth = 2;
    config.block[0].readonly = STASIS_VMM_BLOCK_READONLY_ON;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_string_equal(host.disks->id, "data");
    assert_true(host.disks->is_read_only);
    assert_int_equal(host.disks->block_size, 4096);
    assert_int_equal(disks.list[0].disk.limit.operations.rate, 1);
    assert_int_equal(disks.list[0].disk.limit.bytes.rate, 2);
    assert_int_equal(host.disks->admit(host.disks->ctx, UINT64_C(5000000000), 0), 0);
    assert_in_range(host.disks->admit(host.disks->ctx, UINT64_C(5000000000), 0), 1000000000,
                    1000000001);
}

static void several_disks_are_known_by_their_names(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};
    char other[] = "/tmp/test_vmm_disk.XXXXXX";
    int fd = mkstemp(other);

    (void)state;
    assert_int_equal(ftruncate(fd, 512), 0);
    close(fd);
    config.block[1].path = other;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_int_equal(disks.count, 2);
    assert_string_equal(host.disks->id, "disk1");
    assert_int_equal(host.disks->bytes, 512);
    assert_string_equal(host.disks->next->id, "disk0");
    assert_null(host.disks->next->next);
    assert_int_equal(stasis_vmm_disks_settle(&disks, 0, &err), 0);
    stasis_vmm_disks_close(&disks);
    config.block[1].path = path; /* which the first has locked */
    host.disks = NULL;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), STASIS_ERR_ARG);
    has("block[1].path=/tmp/");
    has("it is in use by another program, or as another disk of this guest; end that");
    assert_int_equal(disks.count, 1);
    unlink(other);
}

static void no_disk_is_asked_for(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    config.block[0].path = NULL;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_null(host.disks);
}

static void what_cannot_be_opened_is_named(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    assert_int_equal(truncate(path, BYTES + 512), 0);
    config.block[0].block_size = 4096;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), STASIS_ERR_ARG);
    has("it has 4608 bytes; give it a multiple of block_size=4096, for example by truncate(1)");
    config.block[0].path = "/nonexistent/disk";
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), STASIS_ERR_ARG);
    has("block[0].path=/nonexistent/disk: cannot open it");
    assert_null(host.disks);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(devices_reach_the_file),
        CASE(an_overlay_takes_what_is_written),
        CASE(an_overlay_that_is_none_is_named),
        CASE(words_of_the_configuration_count),
        CASE(no_disk_is_asked_for),
        CASE(what_cannot_be_opened_is_named),
        CASE(several_disks_are_known_by_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
