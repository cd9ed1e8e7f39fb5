/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk_samples.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define BLOCK 4096u

static int fd;

static int set_up(void **state)
{
    char path[] = "/tmp/test_disk_samples.XXXXXX";

    (void)state;
    fd = mkstemp(path);
    return fd < 0 ? -1 : unlink(path);
}

static int tear_down(void **state)
{
    (void)state;
    return close(fd);
}

static void put(uint64_t offset, const char *text)
{
    assert_int_equal(pwrite(fd, text, strlen(text), (off_t)offset), strlen(text));
}

/* Whether a byte that is written there is seen. */
static bool sees(uint64_t bytes, uint64_t offset)
{
    uint8_t before[STASIS_DISK_DIGEST_SIZE], after[STASIS_DISK_DIGEST_SIZE];
    char old = 0;

    assert_true(stasis_disk_sample(fd, bytes, before));
    assert_int_equal(pread(fd, &old, 1, (off_t)offset), 1);
    put(offset, "x");
    assert_true(stasis_disk_sample(fd, bytes, after));
    assert_int_equal(pwrite(fd, &old, 1, (off_t)offset), 1);
    return memcmp(before, after, sizeof(before)) != 0;
}

/* What sha256sum(1) says of 16 times "abc" and 509 zeros. */
static void it_is_sha_256(void **state)
{
    static const uint8_t expected[STASIS_DISK_DIGEST_SIZE] = {
        0x92, 0x3b, 0x95, 0xfc, 0xe0, 0x81, 0x8a, 0xca, 0x6d, 0x1a, 0x0a,
        0x48, 0x03, 0xbb, 0x5a, 0xea, 0xc1, 0x66, 0x1a, 0xa1, 0xc7, 0xe2,
        0x5d, 0x9f, 0x9f, 0x8b, 0x32, 0xb6, 0x9c, 0xe8, 0xb1, 0x28};
    uint8_t digest[STASIS_DISK_DIGEST_SIZE];

    (void)state;
    assert_int_equal(ftruncate(fd, 512), 0);
    put(0, "abc");
    assert_true(stasis_disk_sample(fd, 512, digest));
    assert_memory_equal(digest, expected, sizeof(expected));
}

static void small_disks_are_seen_whole(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(fd, 16 * BLOCK), 0);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(sees(16 * BLOCK, i * BLOCK));
        assert_true(sees(16 * BLOCK, i * BLOCK + BLOCK - 1));
    }
}

static void large_disks_are_seen_in_places(void **state)
{
    const uint64_t bytes = UINT64_C(1) << 33, second = (bytes / BLOCK - 1) / 15 * BLOCK;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_true(sees(bytes, 0));
    assert_true(sees(bytes, bytes - 1));
    assert_true(sees(bytes, second));
    assert_true(sees(bytes, second + BLOCK - 1));
    assert_false(sees(bytes, BLOCK));
    assert_false(sees(bytes, second - 1));
    assert_false(sees(bytes, second + BLOCK));
    assert_int_equal(ftruncate(fd, 32 * BLOCK + 512), 0); /* no whole block at the end */
    assert_true(sees(32 * BLOCK + 512, 32 * BLOCK + 511));
}

static void samples_are_the_same_past_the_page_cache(void **state)
{
    uint8_t cached[STASIS_DISK_DIGEST_SIZE], direct[STASIS_DISK_DIGEST_SIZE];
    char path[64];
    int past;

    (void)state;
    assert_int_equal(ftruncate(fd, 33 * BLOCK + 512), 0);
    put(33 * BLOCK, "the end");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    past = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (past < 0)
        skip(); /* a file system without O_DIRECT */
    assert_true(stasis_disk_sample(fd, 33 * BLOCK + 512, cached));
    assert_true(stasis_disk_sample(past, 33 * BLOCK + 512, direct));
    assert_memory_equal(cached, direct, sizeof(cached));
    close(past);
}

static void what_cannot_be_read_has_no_digest(void **state)
{
    uint8_t digest[STASIS_DISK_DIGEST_SIZE];

    (void)state;
    assert_int_equal(ftruncate(fd, BLOCK), 0);
    assert_false(stasis_disk_sample(fd, 2 * BLOCK, digest)); /* it was cut short */
    assert_false(stasis_disk_sample(-1, BLOCK, digest));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_is_sha_256),
        CASE(small_disks_are_seen_whole),
        CASE(large_disks_are_seen_in_places),
        CASE(samples_are_the_same_past_the_page_cache),
        CASE(what_cannot_be_read_has_no_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
