/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/memory_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True if this call fails, and how. */
static bool fails(struct memory *memory, size_t len, ssize_t *ret_n)
{
    unsigned call = atomic_fetch_add(&memory->calls, 1) + 1;

    if (call != memory->fault_at)
        return false;
    if (memory->fault == MEMORY_FAILS)
        errno = ENOTCONN;
    *ret_n = memory->fault == MEMORY_TOO_MUCH  ? (ssize_t)len + 1
             : memory->fault == MEMORY_NOTHING ? 0
                                               : -1;
    return true;
}

static size_t step_of(const struct memory *memory, size_t len)
{
    return memory->step && memory->step < len ? memory->step : len;
}

static ssize_t read_memory(void *ctx, void *buf, size_t len, uint64_t offset)
{
    struct memory *memory = ctx;
    size_t left;
    ssize_t n;

    if (!memory->sequential)
        assert_true(offset <= memory->image.len && len <= memory->image.len - offset);
    assert_true(len > 0 && offset <= memory->image.len && !memory->ended);
    if (fails(memory, len, &n))
        return n;
    left = memory->image.len - offset;
    if (len > left)
        len = left;
    len = step_of(memory, len);
    memcpy(buf, memory->image.bytes + offset, len);
    if (memory->sequential) /* by one thread only */
        memory->ended = !len;
    return (ssize_t)len;
}

static ssize_t write_memory(void *ctx, const void *bytes, size_t len)
{
    struct memory *memory = ctx;
    ssize_t n;

    assert_true(len > 0 && (!memory->fault_at || memory->calls < memory->fault_at));
    if (fails(memory, len, &n))
        return n;
    len = step_of(memory, len);
    if (len > memory->room - memory->image.len) {
        memory->room = 2 * memory->room + len;
        memory->image.bytes = realloc(memory->image.bytes, memory->room);
        assert_non_null(memory->image.bytes);
    }
    memcpy(memory->image.bytes + memory->image.len, bytes, len);
    memory->image.len += len;
    return (ssize_t)len;
}

struct stasis_storage memory_storage(struct memory *memory)
{
    return (struct stasis_storage){
        .size = sizeof(struct stasis_storage),
        .name = "slot 3",
        .read = read_memory,
        .length = memory->image.len,
        .sequential = memory->sequential,
        .write = write_memory,
        .ctx = memory,
    };
}

void memory_fini(struct memory *memory)
{
    image_fini(&memory->image);
    *memory = (struct memory){0};
}

int image_try_save(struct stasis_snap *snap, bool streamed, const struct stasis_save_opts *opts,
                   struct image *ret_image, struct stasis_error *err)
{
    struct memory memory = {0};
    const struct stasis_storage storage = memory_storage(&memory);
    const char *folder;
    char path[128];
    int rc;

    if (streamed) {
        rc = stasis_snap_save_storage(snap, &storage, opts, NULL, err);
        *ret_image = memory.image;
        return rc;
    }
    folder = folder_make();
    snprintf(path, sizeof(path), "%s/edit.snap", folder);
    rc = stasis_snap_save(snap, path, opts, NULL, err);
    assert_int_equal(folder_entries(folder), rc ? 0 : 1);
    *ret_image = rc ? (struct image){0} : image_read(path);
    folder_remove();
    return rc;
}

struct image image_save(struct stasis_snap *snap, bool streamed,
                        const struct stasis_save_opts *opts)
{
    struct stasis_error err = {0};
    struct image image = {0};

    if (image_try_save(snap, streamed, opts, &image, &err))
        fail_msg("%s", err.msg);
    assert_non_null(image.bytes);
    return image;
}
