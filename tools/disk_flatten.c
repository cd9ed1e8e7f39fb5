/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The content of a disk as one raw image, with holes where it is zero. Each page is verified where
 * it is read, and the file appears when it is whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/progress.h"
#include "stasis/bytes.h"
#include "tools/disk.h"
#include "tools/text.h"

#define PAGE  STASIS_PAGE_SIZE
#define BATCH (UINT64_C(64) * PAGE)

struct flatten {
    struct stasis_overlay *overlay;
    struct stasis_output *output;
    int image;
    uint64_t bytes; /* of the disk */
    struct stasis_progress progress;
    uint8_t batch[BATCH];
    struct stasis_error *err;
};

/* ---- the image ---- */

static bool read_image(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    const int *fd = ctx;
    uint8_t *to = bytes;

    while (len) {
        ssize_t got = pread(*fd, to, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got ? errno : EIO; /* it became shorter */
            return false;
        }
        to += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

static int open_image(const struct stasis_inspect_args *args, const char *path, int *ret_fd,
                      struct stasis_overlay_base *base, struct stasis_error *err)
{
    struct stat st;
    off_t end = -1;
    int rc = stasis_outputs_open_input(args->outputs, path, "the base", ret_fd, err);

    if (rc)
        return rc;
    if (!fstat(*ret_fd, &st))
        end = lseek(*ret_fd, 0, SEEK_END);
    if (end < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "%s", path);
    base->bytes = (uint64_t)end;
    if (S_ISREG(st.st_mode)) {
        base->inode = (uint64_t)st.st_ino;
        base->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    }
    return 0;
}

/* Where the image has data again, from `offset` on, at the start of a page. */
static uint64_t next_data(const struct flatten *flatten, uint64_t offset)
{
    off_t next = lseek(flatten->image, (off_t)offset, SEEK_DATA);

    if (next < 0 && errno == ENXIO)
        return flatten->bytes;
    return next < 0 ? offset : (uint64_t)next / PAGE * PAGE;
}

/* ---- copying ---- */

/* What is not zero of the batch. */
static int put(struct flatten *flatten, uint64_t offset, size_t len)
{
    int rc = 0;

    for (size_t at = 0, end; !rc && at < len; at = end) {
        bool zero = true;

        for (end = at; end < len; end += PAGE) {
            size_t part = len - end < PAGE ? len - end : PAGE;

            zero = stasis_is_zero(flatten->batch + end, part);
            if (zero)
                break;
        }
        if (end > len)
            end = len;
        if (end > at)
            rc = stasis_output_put(flatten->output, flatten->batch + at, end - at, offset + at,
                                   flatten->err);
        else
            end = at + PAGE;
    }
    return rc;
}

static int copy(struct flatten *flatten)
{
    uint64_t offset = 0, own = 0;
    int rc = 0;

    while (!rc && offset < flatten->bytes) {
        uint64_t data, left;

        if (own <= offset)
            own = stasis_overlay_next(flatten->overlay, offset);
        data = own > offset ? next_data(flatten, offset) : offset;
        offset = data < own ? data : own;
        left = flatten->bytes - offset;
        if (!left)
            break;
        if (left > BATCH)
            left = BATCH;
        rc = stasis_overlay_read(flatten->overlay, offset, flatten->batch, (size_t)left,
                                 flatten->err);
        if (!rc)
            rc = put(flatten, offset, (size_t)left);
        offset += left;
        (void)stasis_progress_show(&flatten->progress, offset, flatten->bytes);
    }
    return rc;
}

static int save(struct flatten *flatten, const struct stasis_inspect_args *args, FILE *out)
{
    int rc =
        stasis_inspect_create(args->outputs, args->operands[1], &flatten->output, flatten->err);

    if (rc)
        return rc;
    stasis_progress_init(&flatten->progress, STASIS_INSPECT_NAME ": copying");
    rc = copy(flatten);
    stasis_progress_clear(&flatten->progress);
    if (!rc)
        rc = stasis_inspect_finish(flatten->output, flatten->bytes, flatten->err);
    if (!rc) {
        stasis_text_put(out, args->operands[1]);
        fprintf(out, ": %" PRIu64 " bytes\n", flatten->bytes);
    }
    stasis_output_close(flatten->output);
    return rc;
}

static int flatten_on(const struct stasis_inspect_args *args, const char *image, bool may_differ,
                      struct flatten *flatten, FILE *out)
{
    struct stasis_overlay_base base = {
        .size = sizeof(base), .read = read_image, .ctx = &flatten->image, .may_differ = may_differ};
    const struct stasis_overlay_look look = {
        .size = sizeof(look), .layers = args->layers, .base = &base};
    int rc = open_image(args, image, &flatten->image, &base, flatten->err);

    if (!rc)
        rc = stasis_overlay_open_to_read(args->operands[0], args->outputs, &look, &flatten->overlay,
                                         flatten->err);
    if (rc)
        return rc;
    flatten->bytes = base.bytes;
    rc = save(flatten, args, out);
    stasis_overlay_free(flatten->overlay);
    return rc;
}

int stasis_disk_flatten(const struct stasis_inspect_args *args, const char *image, bool may_differ,
                        FILE *out, struct stasis_error *err)
{
    struct flatten *flatten;
    int rc;

    if (!image)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: it is an overlay of a disk: name the raw image that it lies on by "
                           "--base",
                           args->operands[0]);
    flatten = calloc(1, sizeof(*flatten));
    if (!flatten)
        return stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    flatten->image = -1;
    flatten->err = err;
    rc = flatten_on(args, image, may_differ, flatten, out);
    if (flatten->image >= 0)
        (void)close(flatten->image);
    free(flatten);
    return rc;
}
