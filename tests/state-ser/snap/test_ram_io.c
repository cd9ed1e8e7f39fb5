/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Pages put in place where some are already, and what the kernel refuses.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "state-ser/snap/ram_io.h"

#define PAGE   4096u
#define PAGES  16u
#define LENGTH ((size_t)PAGE * PAGES)

struct place {
    struct stasis_uffd uffd;
    uint8_t *host;
    uint8_t *from; /* page n is full of n + 1 */
};

static void place_init(struct place *place)
{
    assert_int_equal(stasis_uffd_open(0, &place->uffd), 0);
    place->host = stasis_ram_io_scratch(LENGTH);
    place->from = stasis_ram_io_scratch(LENGTH);
    assert_non_null(place->host);
    assert_non_null(place->from);
    for (unsigned n = 0; n < PAGES; n++)
        memset(place->from + (size_t)n * PAGE, (int)n + 1, PAGE);
    assert_int_equal(stasis_uffd_watch(&place->uffd, place->host, LENGTH), 0);
}

static void place_fini(struct place *place)
{
    stasis_uffd_close(&place->uffd);
    stasis_ram_io_scratch_free(place->host, LENGTH);
    stasis_ram_io_scratch_free(place->from, LENGTH);
}

/* What has not come reads as zero, where it would be waited for. */
static void unwatch(const struct place *place)
{
    assert_int_equal(stasis_uffd_unwatch(&place->uffd, place->host, LENGTH), 0);
}

static void memory_is_left_alone_or_that_fails(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    assert_int_not_equal(stasis_uffd_unwatch(&place.uffd, place.host + 1, PAGE), 0);
    assert_int_equal(stasis_uffd_unwatch(&place.uffd, place.host, LENGTH), 0);
    assert_int_equal(place.host[0], 0); /* served by the kernel, which nobody waits for */
    place_fini(&place);
}

/* Another thread's page in the middle, first or last: it stays, and all others come. */
static void pages_that_are_there_are_passed_over(void **state)
{
    static const unsigned taken[] = {0, 5, PAGES - 1};

    (void)state;
    if (!has_lazy())
        skip();
    for (unsigned i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct place place;
        uint8_t *middle, own[PAGE];

        place_init(&place);
        middle = place.host + (size_t)taken[i] * PAGE;
        memset(own, 0xee, sizeof(own));
        assert_int_equal(stasis_uffd_copy(&place.uffd, middle, own, PAGE), 0);
        assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, place.from, LENGTH), 0);
        unwatch(&place);
        assert_memory_equal(middle, own, PAGE);
        for (unsigned n = 0; n < PAGES; n++)
            if (n != taken[i])
                assert_memory_equal(place.host + (size_t)n * PAGE, place.from + (size_t)n * PAGE,
                                    PAGE);
        place_fini(&place);
    }
}

static void zeros_pass_over_them_too(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host + PAGE, place.from, PAGE), 0);
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, NULL, LENGTH), 0);
    unwatch(&place);
    for (unsigned n = 0; n < PAGES; n++)
        assert_int_equal(place.host[(size_t)n * PAGE], n == 1 ? 1 : 0);
    place_fini(&place);
}

/* Pages that were never written count as moved, and are zero behind it. */
static void moved_memory_may_have_holes(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    if (!place.uffd.can_move) {
        place_fini(&place);
        skip();
    }
    stasis_ram_io_scratch_zero(place.from + 3 * (size_t)PAGE, PAGE);
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host, place.from, LENGTH), LENGTH);
    unwatch(&place);
    for (unsigned n = 0; n < PAGES; n++) {
        assert_int_equal(place.host[(size_t)n * PAGE], n == 3 ? 0 : n + 1);
        assert_int_equal(place.from[(size_t)n * PAGE], 0); /* it has left there */
    }
    place_fini(&place);
}

/* What is there is not replaced, and how far it came is said. */
static void a_move_ends_at_a_page_that_is_there(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    if (!place.uffd.can_move) {
        place_fini(&place);
        skip();
    }
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host + 5 * (size_t)PAGE, place.from, PAGE),
                     0);
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host, place.from, LENGTH), 5 * PAGE);
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host + 5 * (size_t)PAGE, place.from, PAGE),
                     0);
    place.uffd.can_move = false;
    assert_int_equal(stasis_uffd_move(&place.uffd, place.host + 6 * (size_t)PAGE, place.from, PAGE),
                     0);
    place_fini(&place);
}

/* ---- what the kernel refuses ---- */

static struct {
    long call; /* a number of SYS_*, which fails */
    unsigned long request;
    int error;
    bool devices; /* userfaultfd(2) is refused, and there is /dev/userfaultfd */
    unsigned closed;
} refused;

static bool refuses(long call)
{
    errno = refused.error;
    return call == refused.call;
}

long __real_syscall(long call, ...);
long __wrap_syscall(long call, ...);
long __wrap_syscall(long call, ...)
{
    long words[5];
    va_list args;

    va_start(args, call);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        words[i] = va_arg(args, long);
    va_end(args);
    if (call == SYS_userfaultfd && refused.devices) {
        errno = EPERM;
        return -1;
    }
    /* Also the calls of tests/support/messages.c. */
    return refuses(call) ? -1
                         : __real_syscall(call, words[0], words[1], words[2], words[3], words[4]);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    if (strcmp(path, "/dev/userfaultfd") != 0)
        return __real_open64(path, flags);
    assert_int_equal(flags, O_RDWR | O_CLOEXEC);
    if (refuses(SYS_open))
        return -1;
    return __real_open64("/dev/null", flags);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    refused.closed++;
    return __real_close(fd);
}

#define NEW_USERFAULTFD _IO(0xAA, 0x00)

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (refused.devices && request == NEW_USERFAULTFD) {
        assert_int_equal((int)(uintptr_t)arg, O_CLOEXEC | O_NONBLOCK);
        return refuses(SYS_ioctl) ? -1 : (int)__real_syscall(SYS_userfaultfd, arg);
    }
    if (request == refused.request && refuses(SYS_ioctl))
        return -1;
    return __real_ioctl(fd, request, arg);
}

void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    return refuses(SYS_mmap) ? MAP_FAILED : __real_mmap64(at, len, prot, flags, fd, offset);
}

int __real_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
    return refuses(SYS_poll) ? -1 : __real_poll(fds, count, ms);
}

static int forget(void **state)
{
    (void)state;
    memset(&refused, 0, sizeof(refused));
    refused.call = -1;
    return 0;
}

static void refuse(long call, unsigned long request, int error)
{
    forget(NULL);
    refused.call = call;
    refused.request = request;
    refused.error = error;
}

static void who_may_open_the_device_needs_no_right(void **state)
{
    struct place place;

    (void)state;
    if (!has_lazy())
        skip();
    refused.devices = true;
    refused.closed = 0;
    place_init(&place);
    assert_int_equal(refused.closed, 1); /* the device, which has done its part */
    refused.devices = false;
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, place.from, LENGTH), 0);
    unwatch(&place);
    assert_int_equal(place.host[LENGTH - 1], PAGES);
    place_fini(&place);
}

static void what_is_not_permitted_is_told(void **state)
{
    static const struct {
        int call, request_of_api;
        int error, told;
        unsigned closed;
    } cases[] = {
        {SYS_open, 0, ENOENT, EPERM, 0}, /* as the system call said */
        {SYS_open, 0, EACCES, EACCES, 0},
        {SYS_ioctl, 0, ENOSYS, ENOSYS, 1}, /* the device */
        {SYS_ioctl, 1, EINVAL, EINVAL, 1}, /* its descriptor */
    };

    (void)state;
    if (!has_lazy())
        skip();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_uffd uffd = {.fd = -7};

        refuse(cases[i].call, cases[i].request_of_api ? UFFDIO_API : 0, cases[i].error);
        refused.devices = !cases[i].request_of_api;
        errno = 0;
        assert_int_equal(stasis_uffd_open(0, &uffd), -1);
        assert_int_equal(errno, cases[i].told);
        assert_int_equal(uffd.fd, -7);
        assert_int_equal(refused.closed, cases[i].closed);
    }
}

static void memory_that_is_not_given(void **state)
{
    (void)state;
    refuse(SYS_mmap, 0, ENOMEM);
    assert_null(stasis_ram_io_scratch(LENGTH));
    assert_null(stasis_ram_io_small_pages(LENGTH));
    assert_int_equal(stasis_ram_io_map(NULL, PAGE, -1, 0), -1);
    assert_int_equal(errno, ENOMEM);
    stasis_ram_io_scratch_free(NULL, LENGTH);
}

/* Errors of requests are those of the call; what is only interrupted is tried again. */
static void requests_that_fail(void **state)
{
    struct place place;
    uint64_t address = 7;

    (void)state;
    if (!has_lazy())
        skip();
    place_init(&place);
    refuse(SYS_ioctl, UFFDIO_REGISTER, EINVAL);
    assert_int_equal(stasis_uffd_watch(&place.uffd, place.host, LENGTH), -1);
    assert_int_equal(errno, EINVAL);
    refuse(SYS_ioctl, UFFDIO_COPY, ENOSPC);
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, place.from, LENGTH), -1);
    assert_int_equal(errno, ENOSPC);
    refuse(SYS_ioctl, UFFDIO_ZEROPAGE, ENOMEM);
    assert_int_equal(stasis_uffd_copy(&place.uffd, place.host, NULL, LENGTH), -1);
    assert_int_equal(errno, ENOMEM);
    refuse(SYS_poll, 0, EBADF);
    assert_int_equal(stasis_uffd_wait(&place.uffd, -1, &address), -1);
    assert_int_equal(errno, EBADF);
    forget(NULL);
    place.uffd.can_poison = false;
    assert_int_equal(stasis_uffd_poison(&place.uffd, place.host, PAGE), -1);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(stasis_uffd_take(&place.uffd, &address), 0);
    assert_int_equal(address, 7);
    place_fini(&place);
}

/* A descriptor that is none, or nobody's: it would wake who waits for ever. */
static void descriptors_that_are_lost(void **state)
{
    struct stasis_uffd uffd = {.fd = -1};
    uint64_t address;
    int ends[2];

    (void)state;
    assert_int_equal(stasis_uffd_take(&uffd, &address), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    uffd.fd = ends[0];
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(stasis_uffd_take(&uffd, &address), -1); /* not a message of the kernel */
    assert_int_equal(errno, EPROTO);
    uffd.fd = ends[1]; /* nobody reads what nobody wrote: POLLERR */
    close(ends[0]);
    assert_int_equal(stasis_uffd_wait(&uffd, -1, &address), -1);
    assert_int_equal(errno, EBADF);
    stasis_uffd_close(&uffd);
    assert_int_equal(uffd.fd, -1);
    stasis_uffd_close(&uffd);
    uffd.fd = stasis_ram_io_event(); /* nor is it left to a program that is run */
    assert_true(fcntl(uffd.fd, F_GETFD) & FD_CLOEXEC && fcntl(uffd.fd, F_GETFL) & O_NONBLOCK);
    stasis_uffd_close(&uffd);
    uffd.fd = 0; /* that of a program without an input */
    stasis_uffd_close(&uffd);
    assert_int_equal(dup(2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_left_alone_or_that_fails),
        cmocka_unit_test(pages_that_are_there_are_passed_over),
        cmocka_unit_test(zeros_pass_over_them_too),
        cmocka_unit_test(moved_memory_may_have_holes),
        cmocka_unit_test(a_move_ends_at_a_page_that_is_there),
        cmocka_unit_test_setup_teardown(who_may_open_the_device_needs_no_right, forget, forget),
        cmocka_unit_test_setup_teardown(what_is_not_permitted_is_told, forget, forget),
        cmocka_unit_test_setup_teardown(memory_that_is_not_given, forget, forget),
        cmocka_unit_test_setup_teardown(requests_that_fail, forget, forget),
        cmocka_unit_test_setup_teardown(descriptors_that_are_lost, forget, forget),
    };

    forget(NULL);
    alarm(300); /* a page that never comes is waited for */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
