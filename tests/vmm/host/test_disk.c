/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define BYTES 65536u

static char folder[] = "/tmp/test_disk.XXXXXX";
static char path[64];
static struct stasis_error err;

/* ---- calls that fail as the test wants ---- */

static int fails;       /* errno of all calls */
static int interrupted; /* so many fail by EINTR first */
static size_t most;     /* bytes that a transfer moves; 0: all */
static unsigned zero_ranges, holes, writes, syncs;

static bool is_refused(void)
{
    if (interrupted) {
        interrupted--;
        errno = EINTR;
        return true;
    }
    errno = fails;
    return fails;
}

static ssize_t short_pread(int fd, void *bytes, size_t len, off_t offset)
{
    return is_refused() ? -1 : pread(fd, bytes, most && len > most ? most : len, offset);
}

static ssize_t short_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    writes++;
    return is_refused() ? -1 : pwrite(fd, bytes, most && len > most ? most : len, offset);
}

static int counted_fdatasync(int fd)
{
    (void)fd;
    syncs++;
    return is_refused() ? -1 : 0;
}

static int no_fallocate_fails; /* errno of fallocate alone */

static int counted_fallocate(int fd, int mode, off_t offset, off_t len)
{
    assert_true(mode & FALLOC_FL_KEEP_SIZE);
    zero_ranges += mode & FALLOC_FL_ZERO_RANGE ? 1 : 0;
    holes += mode & FALLOC_FL_PUNCH_HOLE ? 1 : 0;
    (void)fd, (void)offset, (void)len;
    if (is_refused())
        return -1;
    errno = no_fallocate_fails;
    return no_fallocate_fails ? -1 : 0;
}

static const struct stasis_disk_calls calls = {short_pread, short_pwrite, counted_fdatasync,
                                               counted_fallocate, counted_fdatasync};

static int set_up(void **state)
{
    FILE *file;

    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/disk", folder);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(truncate(path, BYTES), 0);
    fails = interrupted = no_fallocate_fails = 0;
    most = 0;
    zero_ranges = holes = writes = syncs = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static struct stasis_disk open_disk(bool read_only)
{
    struct stasis_disk disk;

    assert_int_equal(stasis_disk_open(path, read_only, false, &disk, &err), 0);
    disk.calls = &calls;
    return disk;
}

static void refuse(const char *name, bool read_only, const char *message)
{
    struct stasis_disk disk;

    assert_int_equal(stasis_disk_open(name, read_only, false, &disk, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, message))
        fail_msg("%s", err.msg);
}

/* ---- opening ---- */

static void what_is_no_disk_is_refused(void **state)
{
    (void)state;
    refuse("/nonexistent/disk", true, "cannot open it; name a raw file");
    refuse("/nonexistent/disk", false, "cannot open it; name a raw file");
    refuse(folder, true, "it is a folder; name a raw file or a block device");
    refuse(folder, false, "it is a folder; name a raw file or a block device");
    refuse("/dev/null", true, "it is no file; name a raw file or a block device");
    assert_int_equal(truncate(path, 0), 0);
    refuse(path, false, "it has 0 bytes; give it a multiple of 512");
    assert_int_equal(truncate(path, 511), 0);
    refuse(path, false, "it has 511 bytes; give it a multiple of 512");
    assert_int_equal(truncate(path, 513), 0);
    refuse(path, false, "it has 513 bytes");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(path, false, "it is a named pipe; name a raw file");
    refuse(path, true, "it is a named pipe; name a raw file");
    refuse("/proc/version", true, "cannot tell its size; name a raw file or a block device");
}

static void a_file_that_cannot_be_written_needs_readonly(void **state)
{
    struct stasis_disk disk;

    (void)state;
    if (!geteuid())
        skip();
    assert_int_equal(chmod(path, 0400), 0);
    refuse(path, false, "cannot open it for writing; make it writable, or give readonly=on");
    assert_int_equal(stasis_disk_open(path, true, false, &disk, &err), 0);
    stasis_disk_close(&disk);
}

static void a_disk_in_use_is_refused(void **state)
{
    struct stasis_disk first, second;

    (void)state;
    first = open_disk(false);
    refuse(path, false,
           "it is in use by another program, or as another disk of this guest; end that");
    refuse(path, true, "it is in use for writing by another program, or as another disk");
    stasis_disk_close(&first);
    first = open_disk(true);
    second = open_disk(true);
    refuse(path, false,
           "it is in use by another program, or as another disk of this guest; end that");
    stasis_disk_close(&first);
    stasis_disk_close(&second);
    first = open_disk(false);
    stasis_disk_unlock(&first);
    second = open_disk(false);
    stasis_disk_close(&second);
    stasis_disk_close(&first);
}

static void the_marker_tells_of_writes(void **state)
{
    const struct timespec times[2] = {{.tv_sec = 7, .tv_nsec = 8}, {.tv_sec = 7, .tv_nsec = 8}};
    struct stasis_disk disk = open_disk(false);
    struct stat st;

    (void)state;
    assert_int_equal(fstat(disk.fd, &st), 0);
    assert_int_equal(futimens(disk.fd, times), 0);
    assert_int_equal(stasis_disk_marker(&disk).inode, st.st_ino);
    assert_int_equal(stasis_disk_marker(&disk).mtime_ns, UINT64_C(7000000008));
    disk.is_file = false;
    assert_int_equal(stasis_disk_marker(&disk).inode, 0);
    stasis_disk_close(&disk);
}

/* ---- data ---- */

static void short_and_interrupted_transfers_go_on(void **state)
{
    struct stasis_disk disk = open_disk(false);
    uint8_t out[1000], in[1000] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    most = 33;
    interrupted = 3;
    assert_true(stasis_disk_write(&disk, 512, out, sizeof(out)));
    interrupted = 3;
    assert_true(stasis_disk_read(&disk, 512, in, sizeof(in)));
    assert_memory_equal(in, out, sizeof(in));
    interrupted = 1;
    assert_true(stasis_disk_discard(&disk, 0, 512));
    assert_int_equal(holes, 2);
    stasis_disk_close(&disk);
}

static void errors_of_the_host_are_told(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EFBIG};
    struct stasis_disk disk = open_disk(false);
    uint8_t bytes[512] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        fails = errors[i];
        assert_false(stasis_disk_read(&disk, 0, bytes, sizeof(bytes)));
        assert_false(stasis_disk_write(&disk, 0, bytes, sizeof(bytes)));
        assert_false(stasis_disk_flush(&disk));
        assert_false(stasis_disk_settle(&disk));
        assert_false(stasis_disk_discard(&disk, 0, 512));
        assert_false(stasis_disk_zero(&disk, 0, 512, true));
        assert_false(stasis_disk_zero(&disk, 0, 512, false));
    }
    stasis_disk_close(&disk);
}

static void a_file_that_was_cut_short_is_an_error(void **state)
{
    struct stasis_disk disk = open_disk(false);
    uint8_t bytes[1024];

    (void)state;
    assert_int_equal(truncate(path, BYTES - 512), 0);
    assert_false(stasis_disk_read(&disk, BYTES - 1024, bytes, sizeof(bytes)));
    assert_true(stasis_disk_read(&disk, BYTES - 1536, bytes, sizeof(bytes)));
    stasis_disk_close(&disk);
}

/* It stays as large as the guest was told. */
static void a_file_that_has_grown_ends_where_it_did(void **state)
{
    struct stasis_disk disk = open_disk(false);
    uint8_t bytes[512] = {1};

    (void)state;
    assert_int_equal(truncate(path, 2 * BYTES), 0);
    assert_int_equal(disk.bytes, BYTES);
    assert_true(stasis_disk_write(&disk, BYTES - 512, bytes, sizeof(bytes)));
    assert_true(stasis_disk_read(&disk, BYTES - 512, bytes, sizeof(bytes)));
    assert_int_equal(bytes[0], 1);
    stasis_disk_close(&disk);
}

static void a_file_that_was_removed_is_there_until_it_is_closed(void **state)
{
    struct stasis_disk disk = open_disk(false);
    uint8_t bytes[512] = {2};

    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_true(stasis_disk_write(&disk, 512, bytes, sizeof(bytes)));
    assert_true(stasis_disk_flush(&disk));
    bytes[0] = 0;
    assert_true(stasis_disk_read(&disk, 512, bytes, sizeof(bytes)));
    assert_int_equal(bytes[0], 2);
    stasis_disk_close(&disk);
}

static void zeroes_are_written_where_the_host_has_no_better(void **state)
{
    struct stasis_disk disk = open_disk(false);
    static uint8_t bytes[BYTES];

    (void)state;
    memset(bytes, 0xff, sizeof(bytes));
    assert_true(stasis_disk_write(&disk, 0, bytes, sizeof(bytes)));
    writes = 0;
    assert_true(stasis_disk_zero(&disk, 512, 40000, true));
    assert_int_equal(holes, 1);
    assert_int_equal(zero_ranges, 0);
    assert_true(stasis_disk_zero(&disk, 512, 40000, false));
    assert_int_equal(zero_ranges, 1);
    assert_int_equal(writes, 0);
    no_fallocate_fails = EOPNOTSUPP;
    assert_true(stasis_disk_zero(&disk, 512, 40448, true));
    assert_int_equal(holes, 2);
    assert_int_equal(zero_ranges, 2);
    assert_int_equal(writes, 3); /* of 16 KiB */
    assert_true(stasis_disk_read(&disk, 0, bytes, sizeof(bytes)));
    assert_int_equal(bytes[511], 0xff);
    for (unsigned i = 512; i < 512 + 40448; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(bytes[512 + 40448], 0xff);
    assert_true(stasis_disk_discard(&disk, 0, 512)); /* nothing is dropped: that is fine */
    stasis_disk_close(&disk);
}

static void a_flush_reaches_the_disk_unless_it_is_read_only(void **state)
{
    struct stasis_disk disk = open_disk(false);

    (void)state;
    assert_true(stasis_disk_flush(&disk));
    assert_true(stasis_disk_settle(&disk));
    assert_int_equal(syncs, 2);
    stasis_disk_close(&disk);
    disk = open_disk(true);
    fails = EROFS;
    assert_true(stasis_disk_flush(&disk));
    assert_true(stasis_disk_settle(&disk));
    assert_int_equal(syncs, 2);
    stasis_disk_close(&disk);
}

/* The kernel tells of what it has lost once: the guest is to hear of it. */
static void a_flush_tells_what_a_snapshot_was_told(void **state)
{
    struct stasis_disk disk = open_disk(false);

    (void)state;
    fails = EIO;
    assert_false(stasis_disk_settle(&disk));
    fails = 0;
    assert_false(stasis_disk_settle(&disk)); /* which could be thawed without what is lost */
    assert_int_equal(errno, EIO);
    assert_false(stasis_disk_flush(&disk));
    assert_true(stasis_disk_flush(&disk));
    assert_true(stasis_disk_settle(&disk));
    stasis_disk_close(&disk);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_no_disk_is_refused),
        CASE(a_file_that_cannot_be_written_needs_readonly),
        CASE(a_disk_in_use_is_refused),
        CASE(the_marker_tells_of_writes),
        CASE(short_and_interrupted_transfers_go_on),
        CASE(errors_of_the_host_are_told),
        CASE(a_file_that_was_cut_short_is_an_error),
        CASE(a_file_that_has_grown_ends_where_it_did),
        CASE(a_file_that_was_removed_is_there_until_it_is_closed),
        CASE(zeroes_are_written_where_the_host_has_no_better),
        CASE(a_flush_reaches_the_disk_unless_it_is_read_only),
        CASE(a_flush_tells_what_a_snapshot_was_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
