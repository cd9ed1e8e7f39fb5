/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * fstat(2) is ours (--wrap), which fails when it is told to.
 */
#include "vmm/boot/file.h"

#include "support/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/boot/boot_rig.h"

static struct boot_rig rig;
static struct stasis_boot_file file;

static bool disk_fails;

/* Called by the one or the other name. */
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);

int __wrap_fstat(int fd, struct stat *st)
{
    if (!disk_fails)
        return __real_fstat(fd, st);
    errno = EIO;
    return -1;
}

int __wrap_fstat64(int fd, struct stat *st)
{
    return __wrap_fstat(fd, st);
}

static void refuse(const char *path, const char *message)
{
    int rc = stasis_boot_file_init(&file, "initrd", path, 0, &rig.err);

    boot_rig_assert_error(&rig, rc, STASIS_ERR_ARG, path, message);
}

static void refuses_what_is_no_file(void **state)
{
    char fifo[] = "/tmp/boot_fileXXXXXX";
    struct boot_rig_file empty;

    (void)state;
    refuse("/nonexistent/initrd", "initrd.path");
    refuse("/tmp", "a directory");
    refuse("/dev/zero", "not a regular file");
    assert_non_null(mkdtemp(fifo));
    assert_int_equal(rmdir(fifo), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    refuse(fifo, "not a regular file"); /* and does not wait for a writer */
    unlink(fifo);
    boot_rig_file_init(&empty, "", 0);
    refuse(empty.path, "is empty");
    boot_rig_file_fini(&empty);
}

static void reads_within_bounds(void **state)
{
    struct boot_rig_file bytes;
    char to[8] = "";

    (void)state;
    boot_rig_file_init(&bytes, "abcdef", 6);
    assert_int_equal(stasis_boot_file_init(&file, "kernel", bytes.path, 0, &rig.err), 0);
    assert_int_equal(file.size, 6);
    assert_int_equal(stasis_boot_file_read(&file, 2, to, 4, &rig.err), 0);
    assert_string_equal(to, "cdef");
    assert_int_equal(stasis_boot_file_read(&file, 6, to, 0, &rig.err), 0);
    assert_int_equal(stasis_boot_file_read(&file, 3, to, 4, &rig.err), STASIS_ERR_ARG);
    assert_int_equal(stasis_boot_file_read(&file, 7, to, 0, &rig.err), STASIS_ERR_ARG);
    assert_int_equal(stasis_boot_file_read(&file, UINT64_MAX, to, 2, &rig.err), STASIS_ERR_ARG);
    assert_int_equal(stasis_boot_file_read(&file, 2, to, UINT64_MAX, &rig.err), STASIS_ERR_ARG);
    stasis_boot_file_fini(&file);
    boot_rig_file_fini(&bytes);
}

static void notices_a_file_that_shrinks(void **state)
{
    struct boot_rig_file bytes;
    char to[8];
    int rc;

    (void)state;
    boot_rig_file_init(&bytes, "abcdef", 6);
    assert_int_equal(stasis_boot_file_init(&file, "kernel", bytes.path, 0, &rig.err), 0);
    boot_rig_file_set(&bytes, "abc", 3);
    rc = stasis_boot_file_read(&file, 0, to, 6, &rig.err);
    boot_rig_assert_error(&rig, rc, STASIS_ERR_ARG, bytes.path, "truncated");
    stasis_boot_file_fini(&file);
    boot_rig_file_fini(&bytes);
}

/* The start of our own memory, where nothing is mapped, reads as EIO. */
static void disk_that_fails_is_no_failure_of_ours(void **state)
{
    char to[8];
    int rc;

    (void)state;
    file = (struct stasis_boot_file){.what = "kernel",
                                     .path = "/proc/self/mem",
                                     .size = sizeof(to),
                                     .fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC)};
    assert_true(file.fd >= 0);
    rc = stasis_boot_file_read(&file, 0, to, sizeof(to), &rig.err);
    boot_rig_assert_error(&rig, rc, STASIS_ERR_READ, "kernel /proc/self/mem cannot be read",
                          "check its disk");
    stasis_boot_file_fini(&file);
    disk_fails = true;
    rc = stasis_boot_file_init(&file, "initrd", "/proc/self/exe", 0, &rig.err);
    disk_fails = false;
    boot_rig_assert_error(&rig, rc, STASIS_ERR_READ, "initrd /proc/self/exe cannot be read",
                          "check its disk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(reads_within_bounds),
        cmocka_unit_test(notices_a_file_that_shrinks),
        cmocka_unit_test(disk_that_fails_is_no_failure_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
