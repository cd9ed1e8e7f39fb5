/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Opening outputs. What is opened is judged by its descriptor, so that nothing can be exchanged
 * between the check and the use, and before a byte of it is changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "io.h"
#include "output.h"

#define MAGIC_LEN 8

static int is_a_snapshot(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG, "it is a snapshot; name another file, or remove it");
}

static bool begins_with_magic(int fd)
{
    uint8_t bytes[MAGIC_LEN];

    return stasis_io_pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) &&
           stasis_header_has_magic(bytes, sizeof(bytes));
}

#define TO_READ (O_RDONLY | O_NONBLOCK | O_NOCTTY)

/* Of a file that cannot be read nothing is known. */
static bool has_magic(const struct stasis_place *place)
{
    int fd = stasis_io_open(place->dir, place->base, TO_READ, 0);
    bool has = fd >= 0 && begins_with_magic(fd);

    stasis_io_close(fd);
    return has;
}

/* Opens an output that is open for writing only once more: that very file, whatever bears its name
 * by now. In a jail without /proc it has to be opened by name. */
static int open_to_read(const struct stasis_output *output)
{
    char path[32];
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", output->fd);
    fd = stasis_io_open(AT_FDCWD, path, TO_READ, 0);
    return fd >= 0 || errno == EACCES
               ? fd
               : stasis_io_open(output->place.dir, output->place.base, TO_READ, 0);
}

/* `st` is that of the output's descriptor. */
static int check_magic(const struct stasis_output *output, const struct stat *st,
                       struct stasis_error *err)
{
    struct stat found;
    bool other;
    bool has;
    int fd;

    if (begins_with_magic(output->fd))
        return is_a_snapshot(err);
    fd = open_to_read(output);
    if (fd < 0)
        return 0;
    other = stasis_io_stat(fd, &found) || found.st_dev != st->st_dev || found.st_ino != st->st_ino;
    has = begins_with_magic(fd);
    stasis_io_close(fd);
    if (other)
        return stasis_fail(err, STASIS_ERR_ARG, "it was exchanged while it was opened; try again");
    return has ? is_a_snapshot(err) : 0;
}

/* In a sticky folder nobody replaces the file of another, but with a capability that root has,
 * unless it has given it up. */
static bool is_stuck(const struct stasis_place *place)
{
    struct stat dir;
    uid_t user;

    if (stasis_io_stat(place->dir, &dir) || !(dir.st_mode & S_ISVTX))
        return false;
    user = stasis_io_user();
    return (user || !stasis_io_owns_all()) && dir.st_uid != user && place->st.st_uid != user;
}

int stasis_output_check_target(struct stasis_output *output, struct stasis_error *err)
{
    int rc = stasis_outputs_check(output, &output->place.st, err);

    return !rc && !output->opts.snapshot && has_magic(&output->place) ? is_a_snapshot(err) : rc;
}

static int open_replaced(struct stasis_output *output, struct stasis_error *err)
{
    struct stasis_place *place = &output->place;
    int rc = stasis_place_follow(place, err);

    if (rc || !place->exists)
        return rc ? rc : stasis_outputs_check(output, NULL, err);
    if (!S_ISREG(place->st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "it exists and is not a regular file; name a file");
    if (is_stuck(place))
        return stasis_fail(err, STASIS_ERR_WRITE,
                           "it belongs to another user, and its folder is sticky; name another");
    return stasis_output_check_target(output, err);
}

/* Each with the words for a file that is none of it. */
static const struct {
    int flags;
    mode_t type; /* 0: any */
    const char *refusal;
} kinds[] = {
    [STASIS_OUTPUT_IN_PLACE] = {O_RDWR, S_IFREG, "it is not a regular file; name another"},
    [STASIS_OUTPUT_PIPE] = {O_RDWR, S_IFIFO, "it exists and is not a pipe; name another"},
    [STASIS_OUTPUT_ANY] = {O_WRONLY, 0, ""},
};

static void note_made(struct stasis_output *output, const struct stat *st)
{
    output->made = true;
    output->made_dev = st->st_dev;
    output->made_ino = st->st_ino;
}

/* Which one it is has to be known before it is opened, which may fail. */
static int make_fifo(struct stasis_output *output)
{
    const struct stasis_place *place = &output->place;
    struct stat st;

    if (stasis_io_mkfifo(place->dir, place->base, STASIS_OUTPUT_OWNER_ONLY))
        return errno == EEXIST ? 0 : -1;
    if (!stasis_io_stat_at(place->dir, place->base, &st) && S_ISFIFO(st.st_mode))
        note_made(output, &st);
    return 0;
}

/* O_CREAT in each of them: only then the kernel judges the files and FIFOs of others in sticky
 * folders. */
static int open_file(struct stasis_output *output, struct stasis_error *err)
{
    const struct stasis_place *place = &output->place;
    struct stat st;
    int flags = kinds[output->opts.kind].flags | O_CREAT | O_NONBLOCK | O_NOCTTY;

    if (output->opts.kind == STASIS_OUTPUT_ANY && place->descriptor >= 0)
        flags |= O_APPEND;
    if (output->opts.kind == STASIS_OUTPUT_PIPE && make_fifo(output))
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "making it");
    if (output->opts.kind != STASIS_OUTPUT_PIPE) {
        output->fd =
            stasis_io_open(place->dir, place->base, flags | O_EXCL, STASIS_OUTPUT_OWNER_ONLY);
        if (output->fd >= 0 && !stasis_io_stat(output->fd, &st))
            note_made(output, &st);
    }
    if (output->fd < 0)
        output->fd = stasis_io_open(place->dir, place->base, flags, STASIS_OUTPUT_OWNER_ONLY);
    if (output->fd >= 0)
        return 0;
    if (errno == EISDIR)
        return stasis_fail(err, STASIS_ERR_ARG, "it is a folder; name a file");
    if (errno == ENXIO)
        return stasis_fail(err, STASIS_ERR_ARG, "nobody reads it; start its reader first");
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "opening it");
}

static int open_existing(struct stasis_output *output, struct stasis_error *err)
{
    mode_t type = kinds[output->opts.kind].type;
    struct stat st;
    int rc = stasis_place_follow_dangling(&output->place, err);

    if (rc)
        return rc;
    output->place.descriptor = stasis_place_descriptor(&output->place);
    rc = open_file(output, err);
    if (rc)
        return rc;
    if (stasis_io_stat(output->fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "asking what it is");
    if (type && (st.st_mode & S_IFMT) != type)
        return stasis_fail(err, STASIS_ERR_ARG, "%s", kinds[output->opts.kind].refusal);
    rc = stasis_outputs_check(output, &st, err);
    if (rc || !S_ISREG(st.st_mode) || output->opts.snapshot)
        return rc;
    return check_magic(output, &st, err);
}

/* ---- for who only asks ---- */

/* As a new file in place of an old one would be. */
static int can_be_made(struct stasis_output *output, struct stasis_error *err)
{
    int rc;

    output->opts.kind = STASIS_OUTPUT_REPLACED;
    rc = stasis_outputs_check(output, NULL, err);
    return rc ? rc : stasis_output_probe(output, err);
}

static int judge(struct stasis_output *output, const struct stat *st, struct stasis_error *err)
{
    mode_t type = kinds[output->opts.kind].type;

    if (S_ISREG(st->st_mode))
        return open_existing(output, err);
    if (S_ISDIR(st->st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "it is a folder; name a file");
    if (type && (st->st_mode & S_IFMT) != type)
        return stasis_fail(err, STASIS_ERR_ARG, "%s", kinds[output->opts.kind].refusal);
    return stasis_outputs_check(output, st, err);
}

static int look_at(struct stasis_output *output, struct stasis_error *err)
{
    const struct stasis_place *place = &output->place;
    int fd, rc = stasis_place_follow_dangling(&output->place, err);
    struct stat st;

    if (rc)
        return rc;
    fd = stasis_io_open(place->dir, place->base, O_PATH, 0);
    if (fd < 0 && errno == ENOENT)
        return can_be_made(output, err);
    if (fd < 0 || stasis_io_stat(fd, &st))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "looking it up");
    stasis_io_close(fd);
    return rc ? rc : judge(output, &st, err);
}

/* ---- */

static int open_kind(struct stasis_output *output, struct stasis_error *err)
{
    if (output->opts.kind == STASIS_OUTPUT_REPLACED)
        return open_replaced(output, err);
    return output->opts.only_looks ? look_at(output, err) : open_existing(output, err);
}

int stasis_output_open(struct stasis_outputs *outputs, const char *path,
                       const struct stasis_output_opts *opts, struct stasis_output **ret_output,
                       struct stasis_error *err)
{
    struct stasis_output *output;
    int rc;

    if (opts->size != sizeof(*opts) || (unsigned)opts->kind > STASIS_OUTPUT_ANY)
        return stasis_fail(err, STASIS_ERR_ARG, "output options of %zu bytes, expected %zu",
                           opts->size, sizeof(*opts));
    if (opts->folders.open && (opts->kind != STASIS_OUTPUT_REPLACED || !opts->folder_fd))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "another process makes no other files than replaced ones in a folder");
    output = calloc(1, sizeof(*output) + strlen(path) + 1);
    if (!output)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to open it");
    *output = (struct stasis_output){.outputs = outputs, .opts = *opts, .fd = -1, .folder = -1};
    memcpy(output->path, path, strlen(path) + 1);
    rc = stasis_place_init(&output->place, opts->folder_fd ? opts->folder_fd : AT_FDCWD,
                           opts->folders.open != NULL, path, err);
    if (!rc)
        rc = open_kind(output, err);
    if (rc) {
        stasis_output_close(output);
        return rc;
    }
    stasis_outputs_link(output);
    *ret_output = output;
    return 0;
}

/* What was made, if it still bears the name. */
static void remove_made(struct stasis_output *output)
{
    const struct stasis_place *place = &output->place;

    if (!stasis_place_look(&output->place, NULL) && place->exists &&
        place->st.st_dev == output->made_dev && place->st.st_ino == output->made_ino)
        stasis_io_unlink(place->dir, place->base);
}

void stasis_output_close(struct stasis_output *output)
{
    if (!output)
        return;
    if (output->made)
        remove_made(output);
    stasis_output_cancel(output);
    if (!stasis_outputs_unlink(output))
        stasis_output_free(output);
}

void stasis_output_free(struct stasis_output *output)
{
    stasis_place_fini(&output->place);
    free(output);
}

void stasis_output_keep(struct stasis_output *output)
{
    output->made = false;
}

int stasis_output_fd(const struct stasis_output *output)
{
    return output->fd;
}

const char *stasis_output_path(const struct stasis_output *output)
{
    return output->path;
}

int stasis_output_put(struct stasis_output *output, const void *bytes, size_t len, uint64_t offset,
                      struct stasis_error *err)
{
    return stasis_io_pwrite(output->fd, bytes, len, offset)
               ? stasis_fail_errno(err, STASIS_ERR_WRITE, "%s: writing", output->path)
               : 0;
}

int stasis_output_resize(struct stasis_output *output, uint64_t len, struct stasis_error *err)
{
    return stasis_io_truncate(output->fd, len)
               ? stasis_fail_errno(err, STASIS_ERR_WRITE, "setting its length")
               : 0;
}

int stasis_output_set(struct stasis_output *output, const void *bytes, size_t len,
                      struct stasis_error *err)
{
    struct stat st;
    int failed = stasis_io_stat(output->fd, &st);
    bool empties = !failed && S_ISREG(st.st_mode) && output->place.descriptor < 0;
    int rc;

    if (empties)
        failed = stasis_io_truncate(output->fd, 0);
    /* What was emptied is written from the start: its descriptor has not moved. */
    if (!failed)
        failed = stasis_io_write_now(output->fd, bytes, len);
    if (!failed) {
        stasis_output_keep(output);
        return 0;
    }
    rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "writing to it");
    if (empties)
        (void)!stasis_io_truncate(output->fd, 0); /* no half of it */
    return rc;
}
