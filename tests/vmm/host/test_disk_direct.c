/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Transfers past the page cache, to a host that refuses what is not aligned.
 */
#include "vmm/host/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define ALIGNMENT 4096u
#define BYTES     (UINT32_C(512) << 10)

static struct stasis_disk disk;
static char path[] = "/tmp/test_disk_direct.XXXXXX";
static uint8_t content[BYTES], other[BYTES];
static unsigned reads, writes;
static bool reads_fail;

static bool is_aligned(const void *bytes, size_t len, off_t offset)
{
    return (uintptr_t)bytes % ALIGNMENT == 0 && len % ALIGNMENT == 0 && offset % ALIGNMENT == 0 &&
           len <= STASIS_DISK_BOUNCE;
}

static ssize_t direct_pread(int fd, void *bytes, size_t len, off_t offset)
{
    reads++;
    if (reads_fail || !is_aligned(bytes, len, offset)) {
        errno = EINVAL;
        return -1;
    }
    return pread(fd, bytes, len, offset);
}

static ssize_t direct_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    writes++;
    if (!is_aligned(bytes, len, offset)) {
        errno = EINVAL;
        return -1;
    }
    return pwrite(fd, bytes, len, offset);
}

static const struct stasis_disk_calls calls = {direct_pread, direct_pwrite, fdatasync, fallocate,
                                               fsync};

static int set_up(void **state)
{
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    for (uint32_t i = 0; i < BYTES; i++)
        content[i] = (uint8_t)(i / 512 + i);
    disk = (struct stasis_disk){
        .fd = mkstemp(path), .bytes = BYTES, .is_file = true, .alignment = ALIGNMENT};
    disk.calls = &calls;
    disk.bounce = aligned_alloc(ALIGNMENT, STASIS_DISK_BOUNCE);
    assert_non_null(disk.bounce);
    assert_int_equal(write(disk.fd, content, BYTES), BYTES);
    reads = writes = 0;
    reads_fail = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_disk_close(&disk);
    return unlink(path);
}

static void assert_content(void)
{
    assert_int_equal(pread(disk.fd, other, BYTES, 0), BYTES);
    assert_memory_equal(other, content, BYTES);
}

static void any_sectors_are_read(void **state)
{
    static const uint32_t parts[][2] = {{0, 512},     {512, 512},     {3584, 1024},
                                        {4096, 4096}, {8192, 131072}, {1536, 300032}};

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        memset(other, 0, sizeof(other));
        assert_true(stasis_disk_read(&disk, parts[i][0], other, parts[i][1]));
        assert_memory_equal(other, content + parts[i][0], parts[i][1]);
    }
    assert_true(stasis_disk_read(&disk, BYTES - 512, other, 512));
    assert_memory_equal(other, content + BYTES - 512, 512);
}

static void change(uint32_t offset, uint32_t len)
{
    memset(content + offset, 0x5a, len);
    assert_true(stasis_disk_write(&disk, offset, content + offset, len));
    assert_content();
}

static void whole_blocks_are_written_at_once(void **state)
{
    (void)state;
    change(8192, 4096);
    change(0, STASIS_DISK_BOUNCE);
    assert_int_equal(writes, 2);
    assert_int_equal(reads, 0);
}

static void sectors_around_the_data_stay(void **state)
{
    (void)state;
    change(512, 512);
    assert_int_equal(reads, 1);
    change(3584, 1024);
    change(1536, 300032);
    change(BYTES - 512, 512);
}

static void a_block_that_cannot_be_read_is_not_written(void **state)
{
    (void)state;
    reads_fail = true;
    assert_false(stasis_disk_write(&disk, 512, other, 512));
    assert_int_equal(writes, 0);
    assert_false(stasis_disk_read(&disk, 0, other, 4096));
}

static void zeroes_are_written_aligned(void **state)
{
    (void)state;
    memset(content + 512, 0, 20480);
    assert_true(stasis_disk_zero(&disk, 512, 20480, false));
    assert_content();
}

/* Not every file system can, nor every kernel's tmpfs. */
static void the_hosts_own_is_opened_or_refused_with_a_remedy(void **state)
{
    struct stasis_disk direct;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_disk_open("/proc/version", true, true, &direct, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "past the page cache; give cache=writeback"));
    if (stasis_disk_open(path, false, true, &direct, &err)) {
        assert_non_null(strstr(err.msg, "give cache=writeback"));
        return;
    }
    assert_true(direct.alignment >= 512);
    memset(content + 1024, 0x33, 512);
    assert_true(stasis_disk_write(&direct, 1024, content + 1024, 512));
    assert_true(stasis_disk_read(&direct, 512, other, 2048));
    assert_memory_equal(other, content + 512, 2048);
    stasis_disk_close(&direct);
    assert_content();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(any_sectors_are_read),         CASE(whole_blocks_are_written_at_once),
        CASE(sectors_around_the_data_stay), CASE(a_block_that_cannot_be_read_is_not_written),
        CASE(zeroes_are_written_aligned),   CASE(the_hosts_own_is_opened_or_refused_with_a_remedy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
