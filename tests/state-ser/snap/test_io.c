/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Transfers that the kernel cuts short, interrupts, or would block.
 */
#include "tests/state-ser/snap/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "state-ser/snap/io.h"

#define LEN (1u << 20)

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
    (void)signal;
    alarms = alarms + 1;
}

/* Signals without SA_RESTART while a megabyte goes through a 64 KiB pipe: EINTR and short counts
 * on both sides. */
static void interrupted_transfers_are_whole(void **state)
{
    const bool non_blocking[] = {false, true};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct itimerval often = {{0, 500}, {0, 500}};
        struct itimerval never = {{0, 0}, {0, 0}};
        struct sigaction action = {.sa_handler = on_alarm};
        uint8_t *out = malloc(LEN);
        uint8_t *in = malloc(LEN + 1);
        int ends[2];
        pid_t child;

        fill_random(out, LEN, 21);
        assert_int_equal(pipe2(ends, non_blocking[i] ? O_NONBLOCK : 0), 0);
        assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
        child = fork();
        if (child == 0) {
            setitimer(ITIMER_REAL, &often, NULL);
            for (size_t done = 0; done < LEN; done += LEN / 4) {
                usleep(2000);
                if (stasis_io_write(ends[1], out + done, LEN / 4))
                    _exit(1);
            }
            _exit(0);
        }
        close(ends[1]);
        setitimer(ITIMER_REAL, &often, NULL);
        assert_int_equal(stasis_io_read(ends[0], in, LEN + 1), LEN);
        setitimer(ITIMER_REAL, &never, NULL);
        assert_memory_equal(in, out, LEN);
        close(ends[0]);
        child_wait(child);
        free(out);
        free(in);
    }
    assert_true(alarms > 0);
}

static void offsets_and_ends_are_exact(void **state)
{
    char path[] = "/tmp/stasis-test-XXXXXX";
    int fd = mkstemp(path);
    uint8_t buf[16];
    uint64_t pos;

    (void)state;
    unlink(path);
    assert_int_equal(stasis_io_pwrite(fd, "snapshot", 8, 100), 0);
    assert_int_equal(stasis_io_pread(fd, buf, 16, 100), 8);
    assert_memory_equal(buf, "snapshot", 8);
    assert_int_equal(stasis_io_pread(fd, buf, 16, 108), 0);
    assert_int_equal(stasis_io_truncate(fd, 104), 0);
    assert_int_equal(stasis_io_seek(fd, 0, SEEK_END, &pos), 0);
    assert_int_equal(pos, 104);
    stasis_io_close(fd);
    assert_int_equal(stasis_io_pread(fd, buf, 1, 0), -1);
    assert_int_equal(stasis_io_pwrite(fd, buf, 1, 0), -1);
    assert_int_equal(errno, EBADF);
}

static void a_full_device_is_told(void **state)
{
    int fd = open("/dev/full", O_WRONLY);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(stasis_io_write(fd, "x", 1), -1);
    assert_int_equal(errno, ENOSPC);
    stasis_io_close(fd);
}

static int sync_error; /* what the kernel says of it; 0: nothing is changed */

int __real_sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags);
int __wrap_sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags);
int __wrap_sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
    if (!sync_error)
        return __real_sync_file_range(fd, offset, len, flags);
    errno = sync_error;
    return -1;
}

/* The kernel reports a lost write once: whoever asks first has to pass it on. */
static void every_error_of_the_disk_is_told(void **state)
{
    static const int of_the_disk[] = {EIO,     ENOSPC,    EDQUOT, ENODATA, ETIMEDOUT,
                                      ENOLINK, EREMOTEIO, EILSEQ, EROFS,   ENOMEM};
    static const int not_here[] = {ENOSYS, EINVAL, ESPIPE, EPERM, EOPNOTSUPP};

    (void)state;
    for (size_t i = 0; i < sizeof(of_the_disk) / sizeof(of_the_disk[0]); i++) {
        sync_error = of_the_disk[i];
        assert_int_equal(stasis_io_wait_sync(0, 0, 1), -1);
        assert_int_equal(errno, sync_error);
    }
    for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++) {
        sync_error = not_here[i];
        assert_int_equal(stasis_io_wait_sync(0, 0, 1), 0);
    }
    sync_error = 0;
}

static int random_error; /* how getrandom() fails, or 0: a byte at a time */
static unsigned random_interrupts;
static unsigned random_calls;

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
    assert_int_equal(flags, 0);
    assert_true(++random_calls < 100); /* it was told, and asks on */
    errno = random_interrupts ? EINTR : random_error;
    if (errno) {
        random_interrupts -= random_interrupts > 0;
        return -1;
    }
    assert_true(len > 0);
    *(uint8_t *)buf = (uint8_t)len;
    return 1;
}

static void random_bytes_are_whole_or_an_error(void **state)
{
    static const uint8_t expected[] = {4, 3, 2, 1, 0};
    uint8_t bytes[5] = {0};

    (void)state;
    random_interrupts = 3;
    assert_int_equal(stasis_io_random(bytes, 4), 0);
    assert_memory_equal(bytes, expected, sizeof(bytes));
    random_error = ENOSYS;
    assert_int_equal(stasis_io_random(bytes, 4), -1);
    assert_int_equal(errno, ENOSYS);
}

static bool takes_nothing;

ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
    return takes_nothing ? 0 : __real_write(fd, buf, len);
}

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    return takes_nothing ? 0 : __real_pwrite64(fd, buf, len, offset);
}

static bool no_clock;

int __real_clock_gettime(clockid_t clock, struct timespec *ret_now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    return no_clock ? -1 : __real_clock_gettime(clock, ret_now);
}

/* A device that takes no byte, and says of no error: it would keep us for ever. */
static void a_device_that_takes_nothing_is_an_error(void **state)
{
    (void)state;
    takes_nothing = true;
    errno = 0;
    assert_int_equal(stasis_io_write(1, "x", 1), -1);
    assert_int_equal(errno, EIO);
    errno = 0;
    assert_int_equal(stasis_io_pwrite(1, "x", 1, 0), -1);
    assert_int_equal(errno, EIO);
    errno = 0;
    assert_int_equal(stasis_io_write_now(1, "x", 1), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(stasis_io_write(1, "", 0), 0); /* nothing was to be taken */
    takes_nothing = false;
}

static void the_time_is_that_of_the_clock_or_an_error(void **state)
{
    uint64_t before = (uint64_t)time(NULL) * 1000000000u, now = 0;

    (void)state;
    assert_int_equal(stasis_io_now_ns(&now), 0);
    assert_in_range(now, before, before + UINT64_C(600000000000));
    no_clock = true;
    assert_int_equal(stasis_io_now_ns(&now), -1);
    no_clock = false;
    assert_in_range(now, before, before + UINT64_C(600000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_transfers_are_whole),
        cmocka_unit_test(offsets_and_ends_are_exact),
        cmocka_unit_test(a_full_device_is_told),
        cmocka_unit_test(every_error_of_the_disk_is_told),
        cmocka_unit_test(random_bytes_are_whole_or_an_error),
        cmocka_unit_test(a_device_that_takes_nothing_is_an_error),
        cmocka_unit_test(the_time_is_that_of_the_clock_or_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
