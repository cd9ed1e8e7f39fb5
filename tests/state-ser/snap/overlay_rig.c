/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/overlay_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/io.h"

static struct rig *the_rig; /* whose file it is */

int __real_stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
int __real_stasis_io_truncate(int fd, uint64_t len);
int __real_stasis_io_sync(int fd);
int __wrap_stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
int __wrap_stasis_io_truncate(int fd, uint64_t len);
int __wrap_stasis_io_sync(int fd);
int __wrap_stasis_io_datasync(int fd);
int __real_stasis_io_zero(int fd, uint64_t offset, uint64_t len);
int __real_stasis_io_link(int fd, int dir, const char *name);
int __real_stasis_io_rename(int dir, const char *from, const char *to);
int __wrap_stasis_io_zero(int fd, uint64_t offset, uint64_t len);
int __wrap_stasis_io_link(int fd, int dir, const char *name);
int __wrap_stasis_io_rename(int dir, const char *from, const char *to);

uint32_t rig_random(struct rig *rig, uint32_t below)
{
    rig->seed ^= rig->seed << 13;
    rig->seed ^= rig->seed >> 17;
    rig->seed ^= rig->seed << 5;
    return rig->seed % below;
}

/* ---- the disk ---- */

static void apply(struct image *image, uint64_t offset, const uint8_t *bytes, size_t len)
{
    if (image->len < offset + len)
        image_resize(image, (size_t)offset + len);
    memcpy(image->bytes + offset, bytes, len);
}

static void forget_pending(struct rig *rig)
{
    for (unsigned i = 0; i < rig->count; i++)
        free(rig->pending[i].bytes);
    rig->count = 0;
}

static unsigned file_of(struct rig *rig, int fd)
{
    struct stat st;
    unsigned i = 0;

    assert_int_equal(fstat(fd, &st), 0);
    while (i < rig->file_count && rig->inodes[i] != st.st_ino)
        i++;
    assert_in_range(i, 0, RIG_FILES - 1);
    if (i == rig->file_count) {
        rig->inodes[i] = st.st_ino;
        rig->stable[i] = (struct image){.bytes = calloc(1, 1)};
        rig->file_count++;
    }
    return i;
}

static void settle(struct rig *rig, unsigned file)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < rig->count; i++) {
        struct rig_write *write = &rig->pending[i];

        if (write->file != file) {
            rig->pending[kept++] = *write;
            continue;
        }
        apply(&rig->stable[file], write->offset, write->bytes, write->len);
        free(write->bytes);
    }
    rig->count = kept;
}

/* Of what was not confirmed all, nothing or some sectors are there. */
static void settle_by_chance(struct rig *rig)
{
    for (unsigned i = 0; i < rig->count; i++) {
        const struct rig_write *write = &rig->pending[i];
        uint32_t fate = rig_random(rig, 3);

        for (size_t at = 0; at < write->len; at += RIG_SECTOR) {
            size_t len = write->len - at < RIG_SECTOR ? write->len - at : RIG_SECTOR;

            if (fate == 0 || (fate == 1 && rig_random(rig, 2)))
                apply(&rig->stable[write->file], write->offset + at, write->bytes + at, len);
        }
    }
    forget_pending(rig);
}

static bool strikes(struct rig *rig, unsigned one_in)
{
    return one_in && !rig_random(rig, one_in);
}

static int fail_with(int error)
{
    errno = error;
    return -1;
}

/* As if the process had been killed before the call. */
static bool is_over(struct rig *rig)
{
    if (rig->left > 1)
        rig->left--;
    if (rig->left == 1)
        errno = EIO;
    return rig->left == 1;
}

int __wrap_stasis_io_link(int fd, int dir, const char *name)
{
    if (the_rig->cannot_link)
        return fail_with(EPERM);
    return is_over(the_rig) ? -1 : __real_stasis_io_link(fd, dir, name);
}

int __wrap_stasis_io_rename(int dir, const char *from, const char *to)
{
    return is_over(the_rig) ? -1 : __real_stasis_io_rename(dir, from, to);
}

int __real_stasis_io_exchange(int dir, const char *one, const char *other);
int __wrap_stasis_io_exchange(int dir, const char *one, const char *other);
int __wrap_stasis_io_exchange(int dir, const char *one, const char *other)
{
    if (the_rig->cannot_exchange)
        return fail_with(EINVAL);
    if (is_over(the_rig))
        return -1;
    snprintf(the_rig->exchanged, sizeof(the_rig->exchanged), "%s/%s", the_rig->folder, other);
    return __real_stasis_io_exchange(dir, one, other);
}

static void note(struct rig *rig, int fd, const void *buf, size_t len, uint64_t offset)
{
    if (rig->count == rig->room) {
        rig->room = rig->room * 2 + 64;
        rig->pending = realloc(rig->pending, rig->room * sizeof(*rig->pending));
        assert_non_null(rig->pending);
    }
    rig->pending[rig->count] = (struct rig_write){file_of(rig, fd), offset, len, malloc(len)};
    assert_non_null(rig->pending[rig->count].bytes);
    memcpy(rig->pending[rig->count++].bytes, buf, len);
}

int __wrap_stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
    struct rig *rig = the_rig;
    bool is_full = rig->room_bytes && offset + len > rig->room_bytes;
    bool fails = is_full || strikes(rig, rig->write_fails);

    if (is_over(rig))
        return -1;
    if (rig->is_plain)
        return __real_stasis_io_pwrite(fd, buf, len, offset);
    if (fails) /* what came short is there */
        len = len / 2 / RIG_SECTOR * RIG_SECTOR;
    assert_int_equal(__real_stasis_io_pwrite(fd, buf, len, offset), 0);
    note(rig, fd, buf, len, offset);
    return fails ? fail_with(is_full ? ENOSPC : rig->error) : 0;
}

int __wrap_stasis_io_zero(int fd, uint64_t offset, uint64_t len)
{
    uint8_t *zeros;

    if (is_over(the_rig))
        return -1;
    if (!the_rig->is_plain) {
        zeros = calloc(1, (size_t)len);
        assert_non_null(zeros);
        note(the_rig, fd, zeros, (size_t)len, offset);
        free(zeros);
    }
    return __real_stasis_io_zero(fd, offset, len);
}

int __wrap_stasis_io_truncate(int fd, uint64_t len)
{
    if (is_over(the_rig))
        return -1;
    if (!the_rig->is_plain)
        image_resize(&the_rig->stable[file_of(the_rig, fd)], (size_t)len);
    return __real_stasis_io_truncate(fd, len);
}

int __wrap_stasis_io_datasync(int fd)
{
    struct rig *rig = the_rig;

    rig->syncs++;
    if (is_over(rig))
        return -1;
    if (!(rig->sync_to_fail && !--rig->sync_to_fail) && !strikes(rig, rig->sync_fails)) {
        if (!rig->is_plain)
            settle(rig, file_of(rig, fd));
        return 0;
    }
    if (!rig->keeps_pending)
        settle_by_chance(rig);
    return fail_with(rig->error);
}

/* What was to be written is lost, and whoever asks next is not told. */
static int hang(struct rig *rig)
{
    rig->sync_hangs = false;
    sem_wait(&rig->go);
    settle_by_chance(rig);
    sem_post(&rig->gone);
    return fail_with(EIO);
}

int __wrap_stasis_io_sync(int fd)
{
    struct stat st;

    if (the_rig->sync_hangs)
        return hang(the_rig);
    assert_int_equal(fstat(fd, &st), 0);
    if (S_ISREG(st.st_mode))
        return __wrap_stasis_io_datasync(fd);
    if (is_over(the_rig))
        return -1;
    the_rig->exchanged[0] = '\0';
    return 0;
}

int __real_stasis_io_unlink(int dir, const char *name);
int __wrap_stasis_io_unlink(int dir, const char *name);
int __wrap_stasis_io_unlink(int dir, const char *name)
{
    return is_over(the_rig) ? -1 : __real_stasis_io_unlink(dir, name);
}

static void write_file(const char *path, const struct image *image)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, image->bytes, image->len, 0), image->len);
    close(fd);
}

/* The file of that name, by its inode; RIG_FILES: it is another. */
static unsigned find_file(const struct rig *rig, const char *path)
{
    struct stat st;
    unsigned i = 0;

    if (stat(path, &st))
        return RIG_FILES;
    while (i < rig->file_count && rig->inodes[i] != st.st_ino)
        i++;
    return i == rig->file_count ? RIG_FILES : i;
}

static void write_files(struct rig *rig, const struct image *images)
{
    const struct dirent *entry;
    DIR *folder = opendir(rig->folder);
    char path[400];
    unsigned file;

    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        snprintf(path, sizeof(path), "%s/%s", rig->folder, entry->d_name);
        file = find_file(rig, path);
        if (file < RIG_FILES)
            write_file(path, &images[file]);
    }
    closedir(folder);
}

void rig_cut_power(struct rig *rig)
{
    assert_null(rig->overlay);
    settle_by_chance(rig);
    if (rig->exchanged[0] && rig_random(rig, 2))
        assert_int_equal(__real_stasis_io_exchange(AT_FDCWD, rig->path, rig->exchanged), 0);
    rig->exchanged[0] = '\0';
    write_files(rig, rig->stable);
}

void rig_evict(struct rig *rig)
{
    struct image images[RIG_FILES];

    for (unsigned i = 0; i < rig->file_count; i++)
        images[i] = image_copy(&rig->stable[i]);
    for (unsigned i = 0; i < rig->count; i++)
        apply(&images[rig->pending[i].file], rig->pending[i].offset, rig->pending[i].bytes,
              rig->pending[i].len);
    write_files(rig, images);
    for (unsigned i = 0; i < rig->file_count; i++)
        image_fini(&images[i]);
}

/* ---- the overlay ---- */

static bool read_base(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    const struct rig *rig = ctx;

    assert_true(offset + len <= RIG_BYTES);
    memcpy(bytes, rig->base + offset, len);
    return true;
}

void rig_init(struct rig *rig, uint32_t seed)
{
    *rig = (struct rig){.seed = seed, .error = EIO, .folder = "/tmp/stasis-overlay-XXXXXX"};
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof(rig->path), "%s/disk", rig->folder);
    fill_random(rig->base, sizeof(rig->base), seed + 1);
    memcpy(rig->content, rig->base, sizeof(rig->base));
    rig->opts = (struct stasis_overlay_base){.size = sizeof(rig->opts),
                                             .bytes = RIG_BYTES,
                                             .read = read_base,
                                             .ctx = rig,
                                             .inode = 17,
                                             .mtime_ns = 12345,
                                             .has_samples = true,
                                             .samples = {1, 2, 3}};
    the_rig = rig;
}

void rig_unlink_all(struct rig *rig)
{
    const struct dirent *entry;
    DIR *folder = opendir(rig->folder);
    char path[400];

    rig_close(rig);
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        snprintf(path, sizeof(path), "%s/%s", rig->folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(folder);
}

void rig_fini(struct rig *rig)
{
    rig_close(rig);
    forget_pending(rig);
    free(rig->pending);
    for (unsigned i = 0; i < rig->file_count; i++)
        image_fini(&rig->stable[i]);
    unlink(rig->path);
    assert_int_equal(rmdir(rig->folder), 0);
}

int rig_try_open(struct rig *rig, struct stasis_error *err)
{
    return stasis_overlay_open(rig->path, NULL, &rig->opts, &rig->overlay, err);
}

void rig_open(struct rig *rig)
{
    struct stasis_error err;

    if (rig_try_open(rig, &err))
        fail_msg("%s", err.msg);
}

void rig_close(struct rig *rig)
{
    stasis_overlay_free(rig->overlay);
    rig->overlay = NULL;
}
