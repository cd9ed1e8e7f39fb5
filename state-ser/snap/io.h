/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every system call of the engine, and nothing else: the one place where faults can be injected.
 * All return -1 and set errno on failure. Calls that a signal interrupts are repeated, transfers
 * that come up short are continued, and a descriptor that would block is waited for.
 */
#ifndef STASIS_SNAP_IO_H
#define STASIS_SNAP_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Bytes read; fewer than `len` only at the end of the file. */
ssize_t stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset);
ssize_t stasis_io_read(int fd, void *buf, size_t len);

/* Reads what is in the page cache, and waits for no disk; -1 with EAGAIN if it is not there, or
 * with EOPNOTSUPP if the file system cannot tell. By one call: it may be short. */
ssize_t stasis_io_pread_cached(int fd, void *buf, size_t len, uint64_t offset);

/* Whether there is something to read, its end or a failure, within `ms`. */
bool stasis_io_wait_readable(int fd, int ms);

/* What there is to read, up to `len`; 0 only at the end of the file. */
ssize_t stasis_io_read_some(int fd, void *buf, size_t len);

/* 0: everything is written. */
int stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
int stasis_io_write(int fd, const void *buf, size_t len);

/* The same, but EAGAIN is a failure: waits for nobody. */
int stasis_io_write_now(int fd, const void *buf, size_t len);

/* `dir` is AT_FDCWD or a folder; O_CLOEXEC is added. */
int stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int stasis_io_dup(int fd);
void stasis_io_close(int fd); /* -1 is fine */
int stasis_io_stat(int fd, struct stat *ret_stat);
int stasis_io_stat_at(int dir, const char *name, struct stat *ret_stat); /* of a link itself */
ssize_t stasis_io_readlink(int fd, char *buf, size_t size); /* of the link open on `fd` */
int stasis_io_seek(int fd, uint64_t offset, int whence, uint64_t *ret_offset);
int stasis_io_truncate(int fd, uint64_t len);
int stasis_io_chmod(int fd, mode_t mode);

/* Locks the whole file for writing, for as long as it is open here, or fails with EAGAIN. */
int stasis_io_lock(int fd);

/* The same, as for others who only read it. */
int stasis_io_lock_shared(int fd);

/* Whether it could be locked for writing: it is not, afterwards. */
int stasis_io_lock_test(int fd);

/* The range reads as zero, and takes no room where the file system can do that. */
int stasis_io_zero(int fd, uint64_t offset, uint64_t len);

int stasis_io_sync(int fd);
int stasis_io_datasync(int fd); /* fdatasync(2) */

/* Sends what is written of a range on its way to the disk, and waits for nothing: a hint. */
void stasis_io_start_sync(int fd, uint64_t offset, uint64_t len);

/* Waits until what is on its way has arrived. A failure of the disk: fsync(2) will not tell of it
 * again. */
int stasis_io_wait_sync(int fd, uint64_t offset, uint64_t len);

/* Gives the unnamed file `fd` a name in `dir`. */
int stasis_io_link(int fd, int dir, const char *name);
int stasis_io_rename(int dir, const char *from, const char *to);
/* Both names, which there are, change places at once. EINVAL: the file system cannot do it. */
int stasis_io_exchange(int dir, const char *one, const char *other);
int stasis_io_unlink(int dir, const char *name);
int stasis_io_mkfifo(int dir, const char *name, mode_t mode);

/* The names of what may be a regular file in a folder, whose descriptor stays the caller's, in no
 * order; NULL and errno. 1 and a name, which is good until the next; 0 at the end. */
void *stasis_io_list_open(int folder);
int stasis_io_list_next(void *list, const char **ret_name);
void stasis_io_list_close(void *list); /* NULL is fine */

uid_t stasis_io_user(void);    /* whose rights count */
bool stasis_io_owns_all(void); /* CAP_FOWNER: the files of others are as its own */
int stasis_io_random(void *buf, size_t len);
int stasis_io_now_ns(uint64_t *ret_ns); /* CLOCK_REALTIME */

#endif
