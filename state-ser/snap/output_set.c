/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which files a process reads and writes. What is read of another thread's output does not change
 * while it is in the set. Outputs are compared without the lock, and a replaced file is not asked
 * for when its folder is of another file system: one that does not answer holds up only who uses
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/snap.h"

#include "io.h"
#include "object.h"
#include "output.h"

#define STREAMS 3

/* A file that is not opened by the gate. */
struct used {
    struct stat st;
    const char *role;
    int descriptor; /* that it is written by, or of standard input; or -1 */
    bool written;
};

struct stasis_outputs {
    pthread_mutex_t lock; /* of all below */
    struct used *used;
    size_t count;
    struct stasis_output *first;
};

/* Devices without content, terminals and pipes may be shared. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    if (S_ISREG(a->st_mode) && S_ISREG(b->st_mode))
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
    return S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
}

/* A replaced file is what bears its name now; any other is open as `fd`. */
static bool output_file(const struct stasis_output *output, int fd, struct stat *ret_st)
{
    if (output->opts.kind == STASIS_OUTPUT_REPLACED)
        return !stasis_io_stat_at(output->place.dir, output->place.base, ret_st);
    return !stasis_io_stat(fd, ret_st);
}

/* Another file may take the place of an output's meanwhile; both stay open. */
static int fd_of(const struct stasis_output *output)
{
    int fd;

    pthread_mutex_lock(&output->outputs->lock);
    fd = output->fd;
    pthread_mutex_unlock(&output->outputs->lock);
    return fd;
}

static void note_folder(struct stasis_output *output)
{
    struct stat dir;

    if (output->dir_ino || output->opts.kind != STASIS_OUTPUT_REPLACED ||
        stasis_io_stat(output->place.dir, &dir))
        return;
    output->dir_dev = dir.st_dev;
    output->dir_ino = dir.st_ino;
}

/* Two files that are not there yet would get one name. */
static bool is_same_place(const struct stasis_output *a, const struct stasis_output *b)
{
    return a->opts.kind == STASIS_OUTPUT_REPLACED && b->opts.kind == STASIS_OUTPUT_REPLACED &&
           !strcmp(a->place.base, b->place.base) && a->dir_ino && a->dir_dev == b->dir_dev &&
           a->dir_ino == b->dir_ino;
}

static int in_use(const char *role, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG, "it is the same file as %s; name another file",
                       role ? role : "another output");
}

static bool may_be_over(const struct stasis_output *output, const char *role)
{
    return output->opts.over && !strcmp(output->opts.over, role);
}

/* Whether it is the input that the output may replace, which may have come by standard input. */
static bool is_over(const struct stasis_output *output, const struct stat *st)
{
    const struct stasis_outputs *outputs = output->outputs;

    for (size_t i = 0; i < outputs->count; i++)
        if (may_be_over(output, outputs->used[i].role) && is_same(&outputs->used[i].st, st))
            return true;
    return false;
}

static int check_used(const struct stasis_output *output, const struct stat *st,
                      struct stasis_error *err)
{
    bool over = is_over(output, st);

    for (size_t i = 0; i < output->outputs->count; i++) {
        const struct used *used = &output->outputs->used[i];

        if (used->descriptor >= 0 && used->descriptor == output->place.descriptor)
            continue;
        if (over && (may_be_over(output, used->role) || used->descriptor == STDIN_FILENO))
            continue;
        if (is_same(&used->st, st))
            return in_use(used->role, err);
    }
    return 0;
}

/* Their folders are of two file systems, and so are the files in them. */
static bool are_apart(const struct stasis_output *a, const struct stasis_output *b)
{
    return a->dir_ino && b->dir_ino && a->dir_dev != b->dir_dev;
}

static bool is_taken(const struct stasis_output *output, const struct stat *st,
                     const struct stasis_output *other)
{
    struct stat found;

    if (are_apart(output, other))
        return false;
    return (st && output_file(other, fd_of(other), &found) && is_same(st, &found)) ||
           is_same_place(output, other);
}

/* The first from `output` on that somebody will still write. Under the lock. */
static struct stasis_output *skip_given_up(struct stasis_output *output)
{
    while (output && output->opts.is_given_up && output->opts.is_given_up(output->opts.ctx))
        output = output->next;
    return output;
}

/* The one behind `other`, which is compared with no more. The list is begun again if it has gone
 * from there meanwhile. */
static struct stasis_output *unpin(struct stasis_outputs *outputs, struct stasis_output *other)
{
    struct stasis_output *next;
    bool last;

    pthread_mutex_lock(&outputs->lock);
    other->pins--;
    next = skip_given_up(other->closed ? outputs->first : other->next);
    last = other->closed && !other->pins;
    if (next)
        next->pins++;
    pthread_mutex_unlock(&outputs->lock);
    if (last)
        stasis_output_free(other);
    return next;
}

static struct stasis_output *pin_first(struct stasis_outputs *outputs)
{
    struct stasis_output *first;

    pthread_mutex_lock(&outputs->lock);
    first = skip_given_up(outputs->first);
    if (first)
        first->pins++;
    pthread_mutex_unlock(&outputs->lock);
    return first;
}

static int check_outputs(const struct stasis_output *output, const struct stat *st,
                         struct stasis_error *err)
{
    struct stasis_output *other = pin_first(output->outputs);
    const char *role = NULL;
    bool taken = false;

    while (other) {
        if (!taken && other != output && is_taken(output, st, other)) {
            taken = true;
            role = other->opts.role;
        }
        other = unpin(output->outputs, other);
    }
    return taken ? in_use(role, err) : 0;
}

int stasis_outputs_check(struct stasis_output *output, const struct stat *st,
                         struct stasis_error *err)
{
    int rc = 0;

    if (!output->outputs)
        return 0;
    note_folder(output);
    if (st) {
        pthread_mutex_lock(&output->outputs->lock);
        rc = check_used(output, st, err);
        pthread_mutex_unlock(&output->outputs->lock);
    }
    return rc ? rc : check_outputs(output, st, err);
}

void stasis_outputs_link(struct stasis_output *output)
{
    struct stasis_outputs *outputs = output->outputs;

    if (!outputs)
        return;
    pthread_mutex_lock(&outputs->lock);
    output->next = outputs->first;
    outputs->first = output;
    pthread_mutex_unlock(&outputs->lock);
}

bool stasis_outputs_unlink(struct stasis_output *output)
{
    struct stasis_outputs *outputs = output->outputs;
    struct stasis_output **at;
    bool pinned;

    if (!outputs)
        return false;
    pthread_mutex_lock(&outputs->lock);
    at = &outputs->first;
    while (*at && *at != output)
        at = &(*at)->next;
    if (*at)
        *at = output->next;
    output->closed = true;
    pinned = output->pins > 0;
    pthread_mutex_unlock(&outputs->lock);
    return pinned;
}

static int add(struct stasis_outputs *outputs, const struct used *used, struct stasis_error *err)
{
    struct used *grown = reallocarray(outputs->used, outputs->count + 1, sizeof(*grown));

    if (!grown)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to note a file");
    grown[outputs->count++] = *used;
    outputs->used = grown;
    return 0;
}

static int add_streams(struct stasis_outputs *outputs)
{
    static const char *const roles[STREAMS] = {"standard input", "standard output",
                                               "standard error"};

    for (int fd = 0; fd < STREAMS; fd++) {
        struct used used = {.role = roles[fd], .descriptor = fd, .written = fd != 0};

        if (stasis_io_stat(fd, &used.st)) /* it is closed */
            continue;
        if (add(outputs, &used, NULL))
            return -1;
    }
    return 0;
}

struct stasis_outputs *stasis_outputs_new(void)
{
    struct stasis_outputs *outputs = calloc(1, sizeof(*outputs));

    if (outputs)
        pthread_mutex_init(&outputs->lock, NULL);
    if (outputs && add_streams(outputs)) {
        stasis_outputs_free(outputs);
        return NULL;
    }
    return outputs;
}

void stasis_outputs_free(struct stasis_outputs *outputs)
{
    if (!outputs)
        return;
    pthread_mutex_destroy(&outputs->lock);
    free(outputs->used);
    free(outputs);
}

static int check_input(const struct stasis_outputs *outputs, const struct used *input,
                       struct stasis_error *err)
{
    struct stat st;

    for (size_t i = 0; i < outputs->count; i++)
        if (outputs->used[i].written && is_same(&outputs->used[i].st, &input->st))
            return in_use(outputs->used[i].role, err);
    for (const struct stasis_output *output = outputs->first; output; output = output->next)
        if (output_file(output, output->fd, &st) && is_same(&st, &input->st) &&
            !may_be_over(output, input->role))
            return in_use(output->opts.role, err);
    return 0;
}

static int add_input(struct stasis_outputs *outputs, const struct stat *st, const char *role,
                     struct stasis_error *err)
{
    const struct used used = {.st = *st, .role = role, .descriptor = -1};
    int rc;

    pthread_mutex_lock(&outputs->lock);
    rc = check_input(outputs, &used, err);
    if (!rc)
        rc = add(outputs, &used, err);
    pthread_mutex_unlock(&outputs->lock);
    return rc;
}

int stasis_outputs_add_input(struct stasis_outputs *outputs, int fd, const char *role,
                             struct stasis_error *err)
{
    struct stat st;

    if (!outputs)
        return 0;
    if (stasis_io_stat(fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_READ, "asking what it is");
    return add_input(outputs, &st, role, err);
}

int stasis_outputs_note_read(struct stasis_output *output, const char *role,
                             struct stasis_error *err)
{
    struct used used = {.role = role, .descriptor = -1};
    int rc;

    if (!output->outputs)
        return 0;
    if (stasis_io_stat(output->fd, &used.st))
        return stasis_fail_errno(err, STASIS_ERR_READ, "asking what it is");
    pthread_mutex_lock(&output->outputs->lock);
    rc = add(output->outputs, &used, err);
    pthread_mutex_unlock(&output->outputs->lock);
    return rc;
}

/* The last that is this file, since it may have been noted before. */
void stasis_outputs_forget_read(struct stasis_output *output)
{
    struct stasis_outputs *outputs = output->outputs;
    struct stat st;

    if (!outputs || stasis_io_stat(output->fd, &st))
        return;
    pthread_mutex_lock(&outputs->lock);
    for (size_t i = outputs->count; i-- > 0;) {
        if (!is_same(&outputs->used[i].st, &st))
            continue;
        outputs->used[i] = outputs->used[--outputs->count];
        break;
    }
    pthread_mutex_unlock(&outputs->lock);
}

void stasis_outputs_set_fd(struct stasis_output *output, int fd)
{
    if (output->outputs)
        pthread_mutex_lock(&output->outputs->lock);
    output->fd = fd;
    if (output->outputs)
        pthread_mutex_unlock(&output->outputs->lock);
}

int stasis_outputs_add_written(struct stasis_outputs *outputs, int fd, const char *role,
                               struct stasis_error *err)
{
    struct used used = {.role = role, .descriptor = fd, .written = true};
    int rc;

    if (!outputs)
        return 0;
    if (stasis_io_stat(fd, &used.st))
        return stasis_fail_errno(err, STASIS_ERR_READ, "asking what it is");
    pthread_mutex_lock(&outputs->lock);
    rc = add(outputs, &used, err);
    pthread_mutex_unlock(&outputs->lock);
    return rc;
}

int stasis_outputs_add_input_path(struct stasis_outputs *outputs, const char *path,
                                  const char *role, struct stasis_error *err)
{
    int fd = stasis_io_open(AT_FDCWD, path, O_PATH, 0);
    int rc = fd < 0 ? 0 : stasis_outputs_add_input(outputs, fd, role, err);

    stasis_io_close(fd);
    return rc;
}

int stasis_outputs_add_below(struct stasis_outputs *outputs, const struct stasis_snap *snap,
                             const char *role, struct stasis_error *err)
{
    for (uint32_t n = 1; n < stasis_snap_file_count(snap); n++) {
        const char *name = stasis_snap_file_at(snap, n).name;
        int rc = stasis_outputs_add_input_path(outputs, name, role, err);

        if (rc)
            return stasis_wrap(err, rc, "%s", name);
    }
    return 0;
}

int stasis_outputs_open_input(struct stasis_outputs *outputs, const char *path, const char *role,
                              int *ret_fd, struct stasis_error *err)
{
    int fd = -1;
    int rc = stasis_snap_open_file(path, &fd, err);

    if (rc)
        return rc;
    rc = stasis_outputs_add_input(outputs, fd, role, err);
    if (rc) {
        stasis_io_close(fd);
        return stasis_wrap(err, rc, "%s", path);
    }
    *ret_fd = fd;
    return 0;
}
