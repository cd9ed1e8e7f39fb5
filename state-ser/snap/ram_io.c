/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "ram_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stasis/snap.h"

/* Younger than the headers that Stasis is built with (userfaultfd.h and mman.h of Linux 6.8). */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
struct uffd_move {
    uint64_t dst, src, len, mode;
    int64_t moved;
};
struct uffd_poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
#define MOVE_NR              5
#define POISON_NR            8
#define IOCTL_MOVE           _IOWR(UFFDIO, MOVE_NR, struct uffd_move)
#define IOCTL_POISON         _IOWR(UFFDIO, POISON_NR, struct uffd_poison)
#define IOCTL_NEW            _IO(0xAA, 0x00)
#define MOVE_ALLOW_SRC_HOLES (UINT64_C(1) << 1)
#define HIGH_PRIORITY        (-15)

/* PAGEMAP_SCAN, fs.h of Linux 6.7. */
struct pagemap_scan {
    uint64_t size, flags, start, end, walk_end, ranges, room, max_pages;
    uint64_t inverted, all_of, any_of, returned; /* sets of categories */
};
#define IOCTL_PAGEMAP_SCAN _IOWR('f', 16, struct pagemap_scan)
#define PAGE_IS_PRESENT    (UINT64_C(1) << 3)
#define PAGE_IS_SWAPPED    (UINT64_C(1) << 4)
#define PAGE_IS_PFNZERO    (UINT64_C(1) << 5)

/* ---- mappings ---- */

int stasis_ram_io_map(uint8_t *host, size_t len, int fd, uint64_t offset)
{
    if (mmap(host, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
             (off_t)offset) == MAP_FAILED)
        return -1;
    (void)madvise(host, len, MADV_DONTDUMP);
    return 0;
}

/* MADV_FREE tells the kind: the kernel refuses it for anything but private anonymous memory, where
 * MADV_DONTNEED would succeed and leave the content of a file. */
int stasis_ram_io_discard(uint8_t *host, size_t len)
{
    return madvise(host, len, MADV_FREE) || madvise(host, len, MADV_DONTNEED) ? -1 : 0;
}

/* The kernel removes the old mapping first, and can fail then: nothing else of the process may come
 * to lie in the hole. An older kernel takes the address for mere advice. */
static void *fill_hole(uint8_t *host, size_t len)
{
    void *at = mmap(host, len, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (at == MAP_FAILED || at == host)
        return at;
    munmap(at, len);
    errno = ENOMEM;
    return MAP_FAILED;
}

int stasis_ram_io_replace(uint8_t *host, size_t len)
{
    void *at = mmap(host, len, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

    if (at == MAP_FAILED)
        at = fill_hole(host, len);
    if (at == MAP_FAILED)
        return -1;
    (void)madvise(host, len, MADV_DONTDUMP);
    (void)madvise(host, len, MADV_HUGEPAGE);
    return 0;
}

int stasis_ram_io_lock(int fd)
{
    return flock(fd, LOCK_SH | LOCK_NB);
}

uint8_t *stasis_ram_io_scratch(size_t len)
{
    size_t whole = len + STASIS_HUGE_PAGE;
    uint8_t *raw = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (raw == MAP_FAILED)
        return NULL;
    before = (size_t)(-(uintptr_t)raw & (STASIS_HUGE_PAGE - 1));
    if (before)
        munmap(raw, before);
    munmap(raw + before + len, whole - before - len);
    (void)madvise(raw + before, len, MADV_HUGEPAGE);
    (void)madvise(raw + before, len, MADV_DONTDUMP);
    return raw + before;
}

void stasis_ram_io_scratch_free(uint8_t *scratch, size_t len)
{
    if (scratch)
        munmap(scratch, len);
}

void stasis_ram_io_scratch_zero(uint8_t *scratch, size_t len)
{
    (void)madvise(scratch, len, MADV_DONTNEED);
}

uint8_t *stasis_ram_io_small_pages(size_t len)
{
    uint8_t *pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return NULL;
    (void)madvise(pages, len, MADV_NOHUGEPAGE);
    return pages;
}

void stasis_ram_io_forbid(uint8_t *host, size_t len)
{
    (void)mprotect(host, len, PROT_NONE);
}

void stasis_ram_io_fork(uint8_t *host, size_t len, bool inherit)
{
    (void)madvise(host, len, inherit ? MADV_DOFORK : MADV_DONTFORK);
}

void stasis_ram_io_collapse(uint8_t *host, size_t len)
{
    (void)madvise(host, len, MADV_COLLAPSE);
}

/* ---- /proc/self/pagemap ---- */

int stasis_ram_io_scan_pagemap(int fd, uint64_t start, uint64_t end,
                               struct stasis_page_range *ret_ranges, size_t room,
                               uint64_t *ret_stop)
{
    struct pagemap_scan scan = {
        .size = sizeof(scan),
        .start = start,
        .end = end,
        .ranges = (uintptr_t)ret_ranges,
        .room = room,
        .inverted = PAGE_IS_PFNZERO,
        .all_of = PAGE_IS_PFNZERO,
        .any_of = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
    };
    int count = ioctl(fd, IOCTL_PAGEMAP_SCAN, &scan);

    if (count >= 0)
        *ret_stop = scan.walk_end;
    return count;
}

/* ---- threads and time ---- */

void stasis_ram_io_hurry(void)
{
    /* On Linux a nice value is a thread's own, and 0 is the calling one (sched.h). */
    (void)setpriority(PRIO_PROCESS, 0, HIGH_PRIORITY);
}

void stasis_ram_io_sleep_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L}, NULL);
}

uint64_t stasis_ram_io_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* ---- userfaultfd ---- */

/* Never USER_MODE_ONLY: faults that KVM meets on the guest's behalf are the kernel's. */
static int open_uffd(int device)
{
    int fd;

    if (device)
        return ioctl(device, IOCTL_NEW, O_CLOEXEC | O_NONBLOCK);
    fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC); /* permission by file, Linux 6.1 */
    if (device < 0) {
        errno = errno == ENOENT ? EPERM : errno;
        return -1;
    }
    fd = ioctl(device, IOCTL_NEW, O_CLOEXEC | O_NONBLOCK);
    close(device);
    return fd;
}

int stasis_uffd_open(int device, struct stasis_uffd *ret_uffd)
{
    struct uffdio_api api = {.api = UFFD_API};
    int fd = open_uffd(device);

    if (fd < 0)
        return -1;
    if (ioctl(fd, UFFDIO_API, &api)) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    *ret_uffd = (struct stasis_uffd){.fd = fd};
    return 0;
}

static bool is_uffd(int dir, const char *name)
{
    static const char uffd[] = "anon_inode:[userfaultfd]";
    char link[sizeof(uffd)];
    ssize_t n = readlinkat(dir, name, link, sizeof(link));

    return n == (ssize_t)sizeof(uffd) - 1 && !memcmp(link, uffd, sizeof(uffd) - 1);
}

bool stasis_uffd_may_be_open(int other_than)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry = NULL;
    char own[16];
    bool found = !dir;

    snprintf(own, sizeof(own), "%d", other_than);
    while (!found) {
        errno = 0;
        entry = readdir(dir);
        if (!entry)
            break;
        found = strcmp(entry->d_name, own) != 0 && is_uffd(dirfd(dir), entry->d_name);
    }
    found |= !entry && errno;
    if (dir)
        closedir(dir);
    return found;
}

void stasis_uffd_close(struct stasis_uffd *uffd)
{
    if (uffd->fd >= 0)
        close(uffd->fd);
    uffd->fd = -1;
}

int stasis_uffd_watch(struct stasis_uffd *uffd, uint8_t *host, size_t len)
{
    struct uffdio_register watch = {.range = {.start = (uintptr_t)host, .len = len},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};

    if (ioctl(uffd->fd, UFFDIO_REGISTER, &watch))
        return -1;
    uffd->can_move = watch.ioctls & (UINT64_C(1) << MOVE_NR);
    uffd->can_poison = watch.ioctls & (UINT64_C(1) << POISON_NR);
    return 0;
}

int stasis_uffd_unwatch(const struct stasis_uffd *uffd, uint8_t *host, size_t len)
{
    struct uffdio_range range = {.start = (uintptr_t)host, .len = len};

    return ioctl(uffd->fd, UFFDIO_UNREGISTER, &range);
}

/* Another thread may have taken what poll() saw. */
int stasis_uffd_take(const struct stasis_uffd *uffd, uint64_t *ret_address)
{
    struct uffd_msg msg;
    ssize_t n = read(uffd->fd, &msg, sizeof(msg));

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n != (ssize_t)sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT) {
        errno = EPROTO; /* no other event was asked for */
        return -1;
    }
    *ret_address = msg.arg.pagefault.address;
    return 1;
}

int stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address)
{
    struct pollfd fds[] = {{.fd = uffd->fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    int rc;

    do {
        rc = stasis_uffd_take(uffd, ret_address);
        if (rc)
            return rc;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (fds[0].revents & ~POLLIN) { /* POLLERR, POLLNVAL: it would wake us for ever */
            errno = EBADF;
            return -1;
        }
    } while (!(fds[1].revents & POLLIN));
    return 0;
}

/* How far one call came; -1 and errno when it came nowhere. */
static int64_t copy_some(const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from,
                         size_t len)
{
    struct uffdio_copy copy = {.dst = (uintptr_t)host, .src = (uintptr_t)from, .len = len};
    struct uffdio_zeropage zero = {.range = {.start = (uintptr_t)host, .len = len}};
    int rc = from ? ioctl(uffd->fd, UFFDIO_COPY, &copy) : ioctl(uffd->fd, UFFDIO_ZEROPAGE, &zero);
    int64_t done = from ? copy.copy : zero.zeropage;

    return !rc || done > 0 ? done : -1;
}

int stasis_uffd_copy(const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from, size_t len)
{
    size_t done = 0;

    while (done < len) {
        int64_t n = copy_some(uffd, host + done, from ? from + done : NULL, len - done);

        if (n > 0)
            done += (size_t)n;
        else if (errno == EEXIST)
            done += STASIS_PAGE_SIZE; /* another thread was faster with this one */
        else if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return 0;
}

size_t stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from, size_t len)
{
    struct uffd_move move = {
        .dst = (uintptr_t)host, .src = (uintptr_t)from, .len = len, .mode = MOVE_ALLOW_SRC_HOLES};

    if (!uffd->can_move)
        return 0;
    (void)!ioctl(uffd->fd, IOCTL_MOVE, &move);
    return move.moved > 0 ? (size_t)move.moved : 0;
}

int stasis_uffd_poison(const struct stasis_uffd *uffd, uint8_t *host, size_t len)
{
    struct uffd_poison poison = {.range = {.start = (uintptr_t)host, .len = len}};

    if (!uffd->can_poison) {
        errno = ENOTTY;
        return -1;
    }
    return ioctl(uffd->fd, IOCTL_POISON, &poison);
}

void stasis_uffd_wake(const struct stasis_uffd *uffd, uint8_t *host, size_t len)
{
    struct uffdio_range range = {.start = (uintptr_t)host, .len = len};

    (void)ioctl(uffd->fd, UFFDIO_WAKE, &range);
}

int stasis_ram_io_event(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void stasis_ram_io_signal(int event_fd)
{
    uint64_t one = 1;

    (void)!write(event_fd, &one, sizeof(one));
}
