/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Disks of a thaw beside those that the guest had: "data" and "logs", which is read-only.
 */
#include "vmm/api/vmm_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "vmm/machine/board.h"
#include "vmm/snapshot/freeze.h"

#define BYTES 8192u

static char data[] = "/tmp/test_vmm_disk_bind.XXXXXX", logs[] = "/tmp/test_vmm_disk_bind.XXXXXX";
static struct stasis_vmm_config config;
static struct stasis_vmm_disks disks;
static struct stasis_records *records;
static struct stasis_reasons reasons;
static struct stasis_virtio_blk_state saved;
static struct stasis_error err;

static void make_file(char *path)
{
    int fd;

    strcpy(path + strlen(path) - 6, "XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, BYTES), 0);
    close(fd);
}

/* What a freeze says of a disk, but for its samples. */
static struct stasis_device_disk_mark mark_disk(const struct stasis_vmm_disk *disk)
{
    struct stasis_device_disk_mark mark;

    stasis_state_init(&stasis_virtio_blk_schema, &saved);
    saved.sectors = BYTES / 512;
    saved.read_only = disk->device.is_read_only;
    disk->device.mark(disk->device.ctx, &mark);
    saved.disk_inode = mark.inode;
    saved.disk_mtime_ns = mark.mtime_ns;
    saved.disk_root_len = mark.has_root ? sizeof(mark.root) : 0;
    memcpy(saved.disk_root, mark.root, saved.disk_root_len);
    return mark;
}

static void add_disk(const char *id, const struct stasis_vmm_disk *disk)
{
    (void)mark_disk(disk);
    saved.disk_samples_len = sizeof(saved.disk_samples);
    assert_true(stasis_disk_sample(disk->disk.fd, BYTES, saved.disk_samples));
    assert_int_equal(stasis_records_add(records, &stasis_virtio_blk_schema, id, &saved, &err), 0);
}

/* As after a freeze. */
static int set_up(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};
    struct stasis_board_state board;

    (void)state;
    make_file(data);
    make_file(logs);
    config = (struct stasis_vmm_config){
        .demo = true,
        .memory_mib = 1,
        .block = {{data, "data"}, {logs, "logs", STASIS_VMM_BLOCK_READONLY_ON}}};
    disks = (struct stasis_vmm_disks){.count = 0};
    records = stasis_records_new();
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_int_equal(
        stasis_records_add(records, &stasis_board_schema, STASIS_INSTANCE_VM, &board, &err), 0);
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    add_disk("data", &disks.list[0]);
    add_disk("logs", &disks.list[1]);
    stasis_vmm_disks_close(&disks);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_vmm_disks_close(&disks);
    stasis_reasons_fini(&reasons);
    stasis_records_free(records);
    unlink(data);
    unlink(logs);
    return 0;
}

/* How many reasons there are with these disks. */
static size_t check(void)
{
    struct stasis_device_host host = {.ctx = NULL};

    stasis_vmm_disks_close(&disks);
    stasis_reasons_fini(&reasons);
    reasons = (struct stasis_reasons){0};
    for (unsigned i = 0; i < stasis_config_disks(&config); i++)
        if (stasis_vmm_disks_add(&config, i, &disks, &host, &err))
            stasis_reasons_add_error(&reasons, "disk", stasis_config_disk_id(&config, i), &err);
    if (stasis_vmm_disks_open_overlays(&config, &disks, records, &err))
        stasis_reasons_add_error(&reasons, "disk", "data", &err);
    stasis_vmm_disks_check(&config, &disks, records, &reasons);
    return reasons.count;
}

static void has(size_t index, const char *id, const char *words)
{
    assert_true(index < reasons.count);
    assert_string_equal(reasons.list[index].kind, "disk");
    assert_string_equal(reasons.list[index].object, id);
    assert_int_equal(reasons.list[index].code, STASIS_ERR_ARG);
    if (!strstr(reasons.list[index].what, words))
        fail_msg("%s", reasons.list[index].what);
}

/* Beside the disk's file; lasts until the next call but one. */
static const char *beside(const char *suffix)
{
    static char paths[2][64];
    static unsigned next;

    snprintf(paths[++next % 2], sizeof(paths[0]), "%s.%s", data, suffix);
    return paths[next % 2];
}

/* As an overlay is that a guest has written to. */
static void freeze_with_overlay(const char *overlay, unsigned how)
{
    struct stasis_device_host host = {.ctx = NULL};
    struct stasis_device_disk_mark mark;
    uint8_t bytes[512] = {1};

    config.block[0].overlay = overlay;
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_int_equal(stasis_vmm_disks_open_overlays(&config, &disks, NULL, &err), 0);
    assert_true(stasis_disk_write(&disks.list[0].disk, 512, bytes, sizeof(bytes)));
    assert_int_equal(stasis_vmm_disks_settle(&disks, how, &err), 0);
    mark = mark_disk(&disks.list[0]);
    assert_false(mark.has_samples);
    assert_int_equal(mark.has_root, how != 0);
    assert_int_equal(
        stasis_records_replace(records, &stasis_virtio_blk_schema, "data", &saved, &err), 0);
    stasis_vmm_disks_close(&disks);
}

static void an_overlay_is_known_by_its_last_flush(void **state)
{
    const char *overlay = beside("overlay");
    uint8_t bytes[512] = {2};

    (void)state;
    freeze_with_overlay(overlay, 0);
    assert_int_equal(check(), 0);
    assert_true(stasis_disk_write(&disks.list[0].disk, 512, bytes, sizeof(bytes)));
    assert_int_equal(check(), 1);
    has(0, "data", "disk data has been written to since the freeze");
    config.block[0].overlay = NULL;
    assert_int_equal(check(), 1);
    has(0, "data", "disk data has been replaced since the freeze");
    unlink(overlay);
}

static void a_sealed_disk_gets_a_new_overlay(void **state)
{
    const char *overlay = beside("overlay"), *other = beside("other");
    uint8_t bytes[512] = {2};
    char sealed[100];
    int len;

    (void)state;
    freeze_with_overlay(overlay, STASIS_VMM_SETTLE_SEALS);
    len = snprintf(sealed, sizeof(sealed), "%s.", overlay);
    for (unsigned i = 0; i < 8; i++)
        len += snprintf(sealed + len, 3, "%02x", saved.disk_root[i]);
    assert_int_equal(check(), 0); /* which is there, and was not written to */
    config.block[0].overlay = other;
    disks.only_looks = true;
    assert_int_equal(check(), 0);
    disks.only_looks = false;
    assert_int_equal(check(), 0);
    assert_true(stasis_disk_read(&disks.list[0].disk, 512, bytes, sizeof(bytes)));
    assert_int_equal(bytes[0], 1);
    assert_true(stasis_disk_write(&disks.list[0].disk, 512, bytes, sizeof(bytes)));
    assert_int_equal(check(), 1);
    has(0, "data", "the overlay of disk data has been written to since the freeze; name a file");
    config.block[0].overlay = NULL;
    assert_int_equal(check(), 1);
    has(0, "data", "disk data was sealed at the freeze; give it a new overlay, in the folder of");
    unlink(sealed);
    unlink(other);
    unlink(overlay);
}

/* Which nobody has written to yet: it is the disk below. */
static void a_new_overlay_is_the_disk_that_it_lies_on(void **state)
{
    const char *overlay = beside("overlay");
    uint8_t bytes[512] = {3};

    (void)state;
    config.block[0].overlay = overlay;
    disks.only_looks = true;
    assert_int_equal(check(), 0);
    assert_int_equal(access(overlay, F_OK), -1);
    disks.only_looks = false;
    assert_int_equal(check(), 0);
    assert_int_equal(access(overlay, F_OK), 0);
    assert_true(stasis_disk_write(&disks.list[0].disk, 0, bytes, sizeof(bytes)));
    assert_int_equal(check(), 1);
    has(0, "data", "disk data has been replaced since the freeze");
    unlink(overlay);
}

struct content {
    uint8_t bytes[4 * 1024 * 1024];
    size_t len;
};

static void read_file(const char *path, struct content *content)
{
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    content->len = fread(content->bytes, 1, sizeof(content->bytes), file);
    assert_in_range(content->len, 1, sizeof(content->bytes) - 1);
    fclose(file);
}

/* Of a guest that was killed: who opens it would bring the overlay in order. */
static void a_dry_run_leaves_an_overlay_as_it_is(void **state)
{
    const char *overlay = beside("overlay");
    static struct content killed, after;
    uint8_t bytes[512] = {2};
    FILE *file;

    (void)state;
    freeze_with_overlay(overlay, 0);
    assert_int_equal(check(), 0);
    assert_true(stasis_disk_write(&disks.list[0].disk, 512, bytes, sizeof(bytes)));
    assert_true(stasis_disk_flush(&disks.list[0].disk));
    read_file(overlay, &killed);
    stasis_vmm_disks_close(&disks);
    file = fopen(overlay, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(killed.bytes, 1, killed.len, file), killed.len);
    fclose(file);
    disks.only_looks = true;
    assert_int_equal(check(), 1);
    has(0, "data", "disk data has been written to since the freeze");
    stasis_vmm_disks_close(&disks);
    read_file(overlay, &after);
    assert_int_equal(after.len, killed.len);
    assert_memory_equal(after.bytes, killed.bytes, killed.len);
    unlink(overlay);
}

static void the_same_disks_are_taken(void **state)
{
    const struct stasis_vmm_block first = config.block[0];

    (void)state;
    assert_int_equal(check(), 0);
    config.block[0] = config.block[1]; /* the order is nothing to a thaw */
    config.block[1] = first;
    assert_int_equal(check(), 0);
}

static void every_disk_that_is_wrong_is_named(void **state)
{
    (void)state;
    config.block[0].path = NULL;
    assert_int_equal(check(), 2);
    has(0, "data",
        "the guest's disk data is missing; name its file by block.path, with "
        "block.id=data");
    has(1, "logs", "the guest's disk logs is missing");
    config.block[0].path = logs;
    config.block[0].readonly = STASIS_VMM_BLOCK_READONLY_ON;
    config.block[1] = (struct stasis_vmm_block){data, "other"};
    assert_int_equal(truncate(logs, BYTES / 2), 0);
    assert_int_equal(check(), 5);
    has(0, "data", "disk data has 4096 bytes and had 8192 at the freeze; give the file");
    has(1, "data", "disk data was writable at the freeze; set block.readonly to off");
    has(2, "data", "disk data has been replaced since the freeze");
    has(3, "logs", "the guest's disk logs is missing");
    has(4, "other", "the guest has no disk other; leave out block.path, or set block.id");
}

static void a_disk_that_was_another_way(void **state)
{
    (void)state;
    config.block[0].block_size = 4096;
    assert_int_equal(check(), 1);
    has(0, "data", "disk data had blocks of 512 bytes at the freeze; set block.block_size to that");
    config.block[0].block_size = 0;
    config.block[1].readonly = STASIS_VMM_BLOCK_READONLY_OFF;
    assert_int_equal(check(), 1);
    has(0, "logs", "disk logs was read-only at the freeze; set block.readonly to on");
}

/* One reason, that of the file. */
static void a_disk_that_cannot_be_opened(void **state)
{
    int fd = open(data, O_RDWR | O_CLOEXEC);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    (void)state;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
    config.block[1].path = "/nonexistent/disk";
    assert_int_equal(check(), 2);
    has(0, "data", "it is in use by another program");
    has(1, "logs", "block[1].path=/nonexistent/disk: cannot open it");
    close(fd);
}

static void a_disk_that_has_changed(void **state)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, data, times, 0), 0);
    assert_int_equal(check(), 1);
    has(0, "data",
        "disk data has been written to since the freeze, and the guest would damage it; "
        "give it as it was, or allow it by allow.disk_changed=data");
    assert_int_equal(utimensat(AT_FDCWD, logs, times, 0), 0);
    assert_int_equal(check(), 2);
    has(1, "logs",
        "disk logs has been written to since the freeze, and the guest would not find what it "
        "knows of it; give it as it was");
    config.allow.disk_changed[0] = "logs";
    assert_int_equal(check(), 1);
    config.allow.disk_changed[1] = "data";
    assert_int_equal(check(), 0);
    assert_int_equal(truncate(data, BYTES / 2), 0); /* is never allowed */
    assert_int_equal(check(), 1);
}

static void replace(void)
{
    assert_int_equal(
        stasis_records_replace(records, &stasis_virtio_blk_schema, "data", &saved, &err), 0);
}

/* As of a block device, or of a file whose time was set back. */
static void samples_tell_of_another_content(void **state)
{
    int fd = open(data, O_WRONLY | O_CLOEXEC);

    (void)state;
    saved.read_only = 0;
    saved.disk_inode = saved.disk_mtime_ns = 0;
    replace();
    assert_int_equal(check(), 0);
    assert_int_equal(pwrite(fd, "x", 1, BYTES - 1), 1);
    close(fd);
    assert_int_equal(check(), 1);
    has(0, "data",
        "disk data has been changed since the freeze, and the guest would damage it; "
        "give it as it was, or allow it by allow.disk_changed=data");
    config.allow.disk_changed[0] = "data";
    assert_int_equal(check(), 0);
}

/* Cut short behind the open. */
static void a_disk_without_samples_is_not_taken_for_another(void **state)
{
    struct stasis_device_host host = {.ctx = NULL};

    (void)state;
    saved.read_only = 0;
    saved.disk_inode = saved.disk_mtime_ns = 0;
    replace();
    assert_int_equal(stasis_vmm_disks_open(&config, &disks, &host, &err), 0);
    assert_int_equal(truncate(data, BYTES / 2), 0);
    stasis_vmm_disks_check(&config, &disks, records, &reasons);
    assert_int_equal(reasons.count, 1);
    has(0, "data", "disk data has been damaged (it cannot be read) since the freeze");
}

static void a_marker_that_is_unknown_is_not_compared(void **state)
{
    int fd = open(data, O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    close(fd);
    saved.read_only = 0;
    saved.disk_inode = saved.disk_mtime_ns = saved.disk_samples_len = 0;
    replace();
    assert_int_equal(check(), 0);
}

static void records_that_say_nothing(void **state)
{
    struct stasis_vmm_stand_ins stand_ins;
    struct stasis_device_host host = {.ctx = NULL};
    struct stasis_records *none = stasis_records_new();

    (void)state;
    stasis_vmm_disks_check(&config, &disks, none, &reasons);
    assert_int_equal(reasons.count, 0);
    stasis_vmm_disks_stand_in(none, &stand_ins, &host);
    assert_null(host.disks);
    stasis_records_free(none);
}

static void stand_ins_have_the_shape_and_nothing_else(void **state)
{
    struct stasis_vmm_stand_ins stand_ins;
    struct stasis_device_host host = {.ctx = NULL};
    const struct stasis_device_disk *disk;
    struct stasis_device_disk_mark mark;
    uint8_t byte = 0;

    (void)state;
    stasis_vmm_disks_stand_in(records, &stand_ins, &host);
    disk = host.disks;
    assert_string_equal(disk->id, "logs");
    assert_true(disk->is_read_only);
    disk = disk->next;
    assert_string_equal(disk->id, "data");
    assert_false(disk->is_read_only);
    assert_int_equal(disk->bytes, BYTES);
    assert_null(disk->next);
    assert_false(disk->read(disk->ctx, 0, &byte, 1) || disk->write(disk->ctx, 0, &byte, 1) ||
                 disk->flush(disk->ctx) || disk->discard(disk->ctx, 0, 1) ||
                 disk->zero(disk->ctx, 0, 1, true));
    disk->mark(disk->ctx, &mark);
    assert_false(mark.inode || mark.mtime_ns || mark.has_samples);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_same_disks_are_taken),
        CASE(an_overlay_is_known_by_its_last_flush),
        CASE(a_sealed_disk_gets_a_new_overlay),
        CASE(a_new_overlay_is_the_disk_that_it_lies_on),
        CASE(a_dry_run_leaves_an_overlay_as_it_is),
        CASE(every_disk_that_is_wrong_is_named),
        CASE(a_disk_that_was_another_way),
        CASE(a_disk_that_cannot_be_opened),
        CASE(a_disk_that_has_changed),
        CASE(samples_tell_of_another_content),
        CASE(a_disk_without_samples_is_not_taken_for_another),
        CASE(a_marker_that_is_unknown_is_not_compared),
        CASE(records_that_say_nothing),
        CASE(stand_ins_have_the_shape_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
