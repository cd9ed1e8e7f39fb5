/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

static char path[] = "/tmp/test_disk_lock.XXXXXX";
static struct stasis_error err;

static int set_up(void **state)
{
    int fd;

    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    fd = mkstemp(path);
    assert_int_not_equal(fd, -1);
    assert_int_equal(ftruncate(fd, 4096), 0);
    return close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static int open_file(void)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_not_equal(fd, -1);
    return fd;
}

/* ---- others, without stasis_disk_lock() ---- */

static void lock_bytes(int fd, short type, off_t start, off_t len)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
}

/* As Cloud Hypervisor and Stasis 0.2.0 have it. */
static int lock_whole(short type)
{
    int fd = open_file();

    lock_bytes(fd, type, 0, 0);
    return fd;
}

/* A byte for each thing that it does, and one for each that others may not do. */
static int lock_as_qemu(bool writes)
{
    int fd = open_file();

    lock_bytes(fd, F_RDLCK, 100, 1);
    if (writes)
        lock_bytes(fd, F_RDLCK, 101, 1);
    lock_bytes(fd, F_RDLCK, 201, 1);
    lock_bytes(fd, F_RDLCK, 203, 1);
    return fd;
}

static bool is_locked(off_t byte)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int fd = open_file();

    assert_int_equal(fcntl(fd, F_OFD_GETLK, &range), 0);
    close(fd);
    return range.l_type != F_UNLCK;
}

/* ---- the lock, or its refusal ---- */

static int lock(bool read_only)
{
    int fd = open_file();

    assert_int_equal(stasis_disk_lock(fd, read_only, &err), 0);
    return fd;
}

static void assert_refused(bool read_only)
{
    int fd = open_file();

    errno = 0;
    assert_int_equal(stasis_disk_lock(fd, read_only, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, read_only ? "it is in use for writing by another program"
                                   : "it is in use by another program"))
        fail_msg("%s", err.msg);
    close(fd);
}

static void one_writes_or_many_read(void **state)
{
    int first = lock(false), second;

    (void)state;
    assert_refused(false);
    assert_refused(true);
    close(first);
    first = lock(true);
    second = lock(true);
    assert_refused(false);
    close(first);
    close(second);
    close(lock(false));
}

static void a_disk_that_others_lock_for_writing_is_refused(void **state)
{
    int others = lock_whole(F_WRLCK);

    (void)state;
    assert_refused(false);
    assert_refused(true);
    close(others);
    others = open_file();
    lock_bytes(others, F_WRLCK, 0, 1);
    assert_refused(true);
    close(others);
}

static void a_disk_that_qemu_writes_to_is_refused(void **state)
{
    int qemu = lock_as_qemu(true);

    (void)state;
    assert_refused(true);
    assert_refused(false);
    close(qemu);
}

static void a_disk_that_others_read_is_read_too(void **state)
{
    int qemu = lock_as_qemu(false);
    int whole = lock_whole(F_RDLCK);

    (void)state;
    assert_refused(false);
    close(lock(true));
    close(whole);
    close(lock(true));
    close(qemu);
}

/* It looks at the byte of what it is about to do, and at those of what it will not have others do:
 * as a reader at 200, 101 and 103, as a writer at 200, 201, 101 and 103. */
static void qemu_finds_what_it_looks_for(void **state)
{
    int fd = lock(true);

    (void)state;
    assert_false(is_locked(101) || is_locked(103) || is_locked(200));
    assert_true(is_locked(100) && is_locked(201) && is_locked(203));
    close(fd);
    fd = lock(false);
    assert_true(is_locked(101) && is_locked(200) && is_locked(201));
    close(fd);
}

static void what_cannot_be_locked_is_refused(void **state)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    (void)state;
    assert_int_equal(stasis_disk_lock(fd, true, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "cannot lock it; use a file system that has locks"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(one_writes_or_many_read),
        CASE(a_disk_that_others_lock_for_writing_is_refused),
        CASE(a_disk_that_qemu_writes_to_is_refused),
        CASE(a_disk_that_others_read_is_read_too),
        CASE(qemu_finds_what_it_looks_for),
        CASE(what_cannot_be_locked_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
