/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * io.h's other half: every system call about memory, and nothing else. All return -1 and set errno
 * on failure, unless they say that they cannot fail.
 */
#ifndef STASIS_SNAP_RAM_IO_H
#define STASIS_SNAP_RAM_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STASIS_HUGE_PAGE (UINT64_C(2) << 20)

/* ---- mappings ---- */

/* The file's bytes, privately and writable, in place of what is mapped at `host`; kept out of core
 * dumps. */
int stasis_ram_io_map(uint8_t *host, size_t len, int fd, uint64_t offset);

/* Takes away the content of private anonymous memory, which reads as zero from then on and has no
 * page. EINVAL: it is of another kind, or locked, and may have kept its content. */
int stasis_ram_io_discard(uint8_t *host, size_t len);

/* Fresh anonymous memory in place of what is mapped at `host`, as stasis_ram_io_map() has it. */
int stasis_ram_io_replace(uint8_t *host, size_t len);

/* A shared lock on the open file, for as long as that is open; waits for nobody. */
int stasis_ram_io_lock(int fd);

/* Fresh private memory on a boundary of 2 MiB, huge pages advised, kept out of core dumps; NULL. */
uint8_t *stasis_ram_io_scratch(size_t len);
void stasis_ram_io_scratch_free(uint8_t *scratch, size_t len);
void stasis_ram_io_scratch_zero(uint8_t *scratch, size_t len);

/* Fresh private memory without huge pages; freed by scratch_free. NULL. */
uint8_t *stasis_ram_io_small_pages(size_t len);

/* Nobody may touch it; cannot fail on memory that is mapped. */
void stasis_ram_io_forbid(uint8_t *host, size_t len);

/* A child process that fork(2) makes does not get it, or gets it again. */
void stasis_ram_io_fork(uint8_t *host, size_t len, bool inherit);

/* Makes huge pages of small ones where it can (since Linux 6.1). */
void stasis_ram_io_collapse(uint8_t *host, size_t len);

/* ---- /proc/self/pagemap, opened by the caller ---- */

struct stasis_page_range {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

/* Lists ranges of pages of start..end-1 that are in memory or swapped out, but for those that map
 * the kernel's page of zeros; their count, and in *ret_stop how far it came when `ret_ranges` was
 * full. Adds no page tables. Linux 6.7: ENOTTY before it. */
int stasis_ram_io_scan_pagemap(int fd, uint64_t start, uint64_t end,
                               struct stasis_page_range *ret_ranges, size_t room,
                               uint64_t *ret_stop);

/* ---- threads and time ---- */

/* The calling thread is waited for by those that touch memory: it goes before others, as far as
 * that is permitted. */
void stasis_ram_io_hurry(void);
void stasis_ram_io_sleep_us(unsigned us);
uint64_t stasis_ram_io_now_us(void);

/* ---- userfaultfd ---- */

struct stasis_uffd {
    int fd;
    bool can_move;   /* UFFDIO_MOVE, Linux 6.8 */
    bool can_poison; /* UFFDIO_POISON, Linux 6.6 */
};

/* `device` is a descriptor of /dev/userfaultfd, or 0. EPERM, EACCES: not permitted; ENOSYS: the
 * kernel has none. */
int stasis_uffd_open(int device, struct stasis_uffd *ret_uffd);
void stasis_uffd_close(struct stasis_uffd *uffd);

/* Whether this process may have one open besides the descriptor `other_than`. */
bool stasis_uffd_may_be_open(int other_than);

/* Whoever touches a page that is not there waits until it is. The first one learns what the
 * kernel can do. */
int stasis_uffd_watch(struct stasis_uffd *uffd, uint8_t *host, size_t len);
int stasis_uffd_unwatch(const struct stasis_uffd *uffd, uint8_t *host, size_t len);

/* The address of a fault that nobody serves yet. 1: got one; 0: there is none. Any thread. */
int stasis_uffd_take(const struct stasis_uffd *uffd, uint64_t *ret_address);

/* Waits for a touch or for `stop_fd`: 1 and the address, 0: stop. */
int stasis_uffd_wait(const struct stasis_uffd *uffd, int stop_fd, uint64_t *ret_address);

/* Put pages in place and wake who waits for them. Pages that are there already stay: that is no
 * failure. A `from` of NULL stands for zeros. */
int stasis_uffd_copy(const struct stasis_uffd *uffd, uint8_t *host, const uint8_t *from,
                     size_t len);

/* Moves the pages themselves, huge ones in one range; returns how many bytes before it met
 * something it could not do. */
size_t stasis_uffd_move(const struct stasis_uffd *uffd, uint8_t *host, uint8_t *from, size_t len);

/* Who touches these pages gets SIGBUS. */
int stasis_uffd_poison(const struct stasis_uffd *uffd, uint8_t *host, size_t len);

/* Whoever waits for these pages looks again. */
void stasis_uffd_wake(const struct stasis_uffd *uffd, uint8_t *host, size_t len);

/* An event descriptor to stop waiting by. */
int stasis_ram_io_event(void);
void stasis_ram_io_signal(int event_fd);

#endif
