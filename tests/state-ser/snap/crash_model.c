/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/crash_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/state-ser/snap/crash_scene.h"

/* What a descriptor is, if not the number of a file. */
#define FD_OTHER  0 /* the old file is never opened for writing */
#define FD_FOLDER UINT32_MAX

/* ---- recording ---- */

/* Memory of the thread that calls, read by the kernel, as for the call itself: the thread waits for
 * the answer, which ThreadSanitizer does not know of. */
static void read_caller(void *to, uint64_t address, size_t len)
{
    struct iovec local = {to, len}, remote = {(void *)(uintptr_t)address, len};

    assert_true(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len);
}

/* By bytes, as what follows the text may not be there. */
static void read_text(char to[64], uint64_t address)
{
    size_t i = 0;

    do {
        assert_in_range(i, 0, 63);
        read_caller(&to[i], address + i, 1);
    } while (to[i++]);
}

static unsigned *fd_slot(struct crash_log *log, uint64_t fd)
{
    assert_in_range(fd, 0, CRASH_FDS_MAX - 1);
    return &log->fds[fd];
}

static struct crash_op *append(struct crash_log *log, enum crash_op_kind kind, unsigned file)
{
    struct crash_op *op = &log->ops[log->count++];

    assert_in_range(log->count, 1, CRASH_OPS_MAX);
    *op = (struct crash_op){.kind = kind, .file = file};
    return op;
}

static void read_name(char name[64], uint64_t address)
{
    read_text(name, address);
    assert_int_not_equal(name[0], '\0');
}

static void log_open(struct crash_log *log, const struct crash_call *call, long fd)
{
    int flags = (int)call->args[2];
    unsigned *slot = fd_slot(log, (uint64_t)fd);

    *slot = FD_OTHER;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        *slot = ++log->file_count;
    } else if (flags & O_EXCL) {
        *slot = ++log->file_count;
        read_name(append(log, CRASH_OP_NAME, *slot)->name, call->args[1]);
    } else if ((flags & O_ACCMODE) != O_RDONLY) {
        log->unknown = true; /* in place */
        log->unknown_nr = call->nr;
    } else if (flags & O_DIRECTORY) {
        *slot = FD_FOLDER;
    }
}

static void log_write(struct crash_log *log, const struct crash_call *call, long len)
{
    struct crash_op *op = append(log, CRASH_OP_WRITE, *fd_slot(log, call->args[0]));

    assert_int_not_equal(op->file, FD_OTHER);
    op->offset = call->args[3];
    op->len = (size_t)len;
    op->bytes = malloc(op->len + 1);
    assert_non_null(op->bytes);
    read_caller(op->bytes, call->args[1], op->len);
}

static void log_sync(struct crash_log *log, const struct crash_call *call)
{
    unsigned file = *fd_slot(log, call->args[0]);

    append(log, file == FD_FOLDER ? CRASH_OP_SYNC_FOLDER : CRASH_OP_SYNC, file);
}

/* linkat(2), by descriptor or by /proc/self/fd/N. */
static void log_link(struct crash_log *log, const struct crash_call *call)
{
    char from[64];
    const char *digits;
    uint64_t fd;

    read_text(from, call->args[1]);
    digits = strrchr(from, '/');
    fd = digits ? strtoull(digits + 1, NULL, 10) : call->args[0];
    read_name(append(log, CRASH_OP_NAME, *fd_slot(log, fd))->name, call->args[3]);
}

static void log_rename(struct crash_log *log, const struct crash_call *call)
{
    struct crash_op *op = append(log, CRASH_OP_RENAME, 0);

    read_name(op->name, call->args[1]);
    read_name(op->to, call->args[3]);
}

static void log_success(struct crash_log *log, const struct crash_call *call, long rc)
{
    switch (call->nr) {
    case __NR_openat:
        log_open(log, call, rc);
        break;
    case __NR_pwrite64:
        log_write(log, call, rc);
        break;
    case __NR_ftruncate:
        append(log, CRASH_OP_RESIZE, *fd_slot(log, call->args[0]))->len = call->args[1];
        break;
    case __NR_fsync:
        log_sync(log, call);
        break;
    case __NR_linkat:
        log_link(log, call);
        break;
    case __NR_renameat:
    case __NR_renameat2: /* on machines that have no other */
        log_rename(log, call);
        break;
    case __NR_unlinkat:
        read_name(append(log, CRASH_OP_REMOVE, 0)->name, call->args[1]);
        break;
    case __NR_close:
        *fd_slot(log, call->args[0]) = FD_OTHER;
        break;
    case __NR_read:
    case __NR_pread64:
    case __NR_lseek:
    case __NR_fstat:
    case __NR_newfstatat:
    case __NR_fchmod:
    case __NR_getrandom:
    case __NR_clock_gettime:
    case __NR_ioctl:           /* of /proc/self/pagemap */
    case __NR_sync_file_range: /* promises nothing: it leaves the disk's cache and the length out */
        break;
    default:
        log->unknown = true;
        log->unknown_nr = call->nr;
    }
}

long crash_log_call(void *ctx, const struct crash_call *call)
{
    struct crash_log *log = ctx;
    long rc;

    if (log->no_tmpfile && call->nr == __NR_openat && (call->args[2] & O_TMPFILE) == O_TMPFILE)
        return -EOPNOTSUPP;
    rc = crash_call_make(call);
    if (rc >= 0)
        log_success(log, call, rc);
    return rc;
}

void crash_log_fini(struct crash_log *log)
{
    for (unsigned i = 0; i < log->count; i++)
        free(log->ops[i].bytes);
    log->count = 0;
}

void crash_log_drop(struct crash_log *log, enum crash_op_kind kind)
{
    for (unsigned i = 0; i < log->count; i++)
        if (log->ops[i].kind == kind)
            log->ops[i].kind = CRASH_OP_NONE;
}

/* ---- the power cut ---- */

static bool is_folder_op(const struct crash_op *op)
{
    return op->kind == CRASH_OP_NAME || op->kind == CRASH_OP_RENAME || op->kind == CRASH_OP_REMOVE;
}

/* Number of the last op of this kind before `prefix`, or 0. */
static unsigned last_sync(const struct crash_log *log, unsigned prefix, enum crash_op_kind kind,
                          unsigned file)
{
    while (prefix > 0) {
        const struct crash_op *op = &log->ops[--prefix];

        if (op->kind == kind && op->file == file)
            return prefix;
    }
    return 0;
}

struct name {
    char name[64];
    unsigned file;
};

struct folder {
    struct name names[CRASH_FILES_MAX];
    unsigned count;
};

static struct name *find(struct folder *folder, const char *name)
{
    for (unsigned i = 0; i < folder->count; i++)
        if (!strcmp(folder->names[i].name, name))
            return &folder->names[i];
    return NULL;
}

static void take_out(struct folder *folder, const char *name)
{
    struct name *found = find(folder, name);

    if (found)
        *found = folder->names[--folder->count];
}

static void put_in(struct folder *folder, const char *name, unsigned file)
{
    struct name *found;

    take_out(folder, name);
    assert_in_range(folder->count, 0, CRASH_FILES_MAX - 1);
    found = &folder->names[folder->count++];
    memcpy(found->name, name, strlen(name) + 1);
    found->file = file;
}

static void apply_to_folder(struct folder *folder, const struct crash_op *op)
{
    struct name *from = find(folder, op->name);

    if (op->kind == CRASH_OP_NAME) {
        put_in(folder, op->name, op->file);
    } else if (op->kind == CRASH_OP_REMOVE) {
        take_out(folder, op->name);
    } else {
        unsigned file = from ? from->file : 0;

        assert_non_null(from);
        take_out(folder, op->name);
        put_in(folder, op->to, file);
    }
}

/* Names are kept up to some point in time: a journal does not reorder them. */
static void folder_after(const struct crash_log *log, unsigned prefix, enum crash_keep keep,
                         uint32_t *seed, struct folder *folder)
{
    unsigned sure = last_sync(log, prefix, CRASH_OP_SYNC_FOLDER, FD_FOLDER);
    unsigned end = prefix;

    if (keep == CRASH_KEEP_NOTHING)
        end = sure;
    else if (keep == CRASH_KEEP_RANDOM)
        end = sure + crash_random(seed) % (prefix - sure + 1);
    for (unsigned i = 0; i < end; i++)
        if (is_folder_op(&log->ops[i]))
            apply_to_folder(folder, &log->ops[i]);
}

static void grow(struct image *image, size_t len)
{
    if (image->len < len)
        image_resize(image, len);
}

static void apply_to_file(struct image *image, const struct crash_op *op)
{
    if (op->kind == CRASH_OP_RESIZE) {
        image_resize(image, op->len);
    } else {
        grow(image, op->offset + op->len);
        memcpy(image->bytes + op->offset, op->bytes, op->len);
    }
}

/* Some sectors of a write reached the disk, and the file's new size did. */
static void apply_torn(struct image *image, const struct crash_op *op, uint32_t *seed)
{
    size_t step;

    grow(image, op->offset + op->len);
    for (size_t at = 0; at < op->len; at += step) {
        step = CRASH_SECTOR - (op->offset + at) % CRASH_SECTOR;
        if (step > op->len - at)
            step = op->len - at;
        if (crash_random(seed) & 1)
            memcpy(image->bytes + op->offset + at, op->bytes + at, step);
    }
}

static void apply_unsure(struct image *image, const struct crash_op *op, enum crash_keep keep,
                         uint32_t *seed)
{
    uint32_t fate = keep == CRASH_KEEP_RANDOM ? crash_random(seed) % 3 : keep == CRASH_KEEP_ALL;

    if (fate == 1)
        apply_to_file(image, op);
    else if (fate == 2 && op->kind == CRASH_OP_WRITE)
        apply_torn(image, op, seed);
}

static void file_after(const struct crash_log *log, unsigned prefix, unsigned file,
                       enum crash_keep keep, uint32_t *seed, struct image *image)
{
    unsigned sure = last_sync(log, prefix, CRASH_OP_SYNC, file);

    for (unsigned i = 0; i < prefix; i++) {
        const struct crash_op *op = &log->ops[i];

        if (op->file != file || (op->kind != CRASH_OP_WRITE && op->kind != CRASH_OP_RESIZE))
            continue;
        if (i < sure)
            apply_to_file(image, op);
        else
            apply_unsure(image, op, keep, seed);
    }
}

bool crash_log_after(const struct crash_log *log, unsigned prefix, enum crash_keep keep,
                     uint32_t *seed, const char *target, const struct image *old,
                     struct image *ret_image)
{
    struct folder folder = {.count = 0};
    struct image empty = {.bytes = (uint8_t[]){0}};
    struct name *name;

    if (old->len)
        put_in(&folder, target, 0);
    folder_after(log, prefix, keep, seed, &folder);
    name = find(&folder, target);
    if (!name)
        return false;
    *ret_image = image_copy(name->file ? &empty : old);
    file_after(log, prefix, name->file, keep, seed, ret_image);
    return true;
}
