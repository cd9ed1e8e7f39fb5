/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/crash_deed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/state-ser/snap/crash_alloc.h"
#include "tests/state-ser/snap/crash_calls.h"

struct crash_deed *crash_deed_new(void (*body)(void *deed), bool with_old, unsigned threads)
{
    struct crash_deed *deed = calloc(1, sizeof(*deed));

    assert_non_null(deed);
    deed->body = body;
    deed->threads = threads;
    deed->in = -1;
    crash_scene_init(&deed->scene, threads > 1 ? crash_guest_wide : crash_guest_striped, with_old);
    return deed;
}

void crash_deed_free(struct crash_deed *deed)
{
    crash_scene_fini(&deed->scene);
    image_fini(&deed->stream);
    free(deed);
}

void crash_deed_compress(struct crash_deed *deed)
{
    uint8_t *ram = deed->scene.built.ram[0];

    deed->zlib_level = 1;
    for (size_t i = 0; i < deed->scene.built.size[0]; i++)
        ram[i] &= 0x11; /* two bits are left of eight, and what is not zero stays so */
}

void crash_deed_assert_message(const struct crash_deed *deed, const char *words)
{
    if (!strstr(deed->err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", deed->err.msg, words);
}

/* ---- around each try ---- */

struct before {
    unsigned fds;
    long living;
};

/* All of the stream fits into the pipe: nobody has to feed it meanwhile. */
static void fill_pipe(struct crash_deed *deed)
{
    const int size = 1 << 20;
    int ends[2];

    assert_in_range(deed->stream.len, 1, size);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_in_range(fcntl(ends[1], F_SETPIPE_SZ, size), size, INT32_MAX);
    assert_int_equal(write(ends[1], deed->stream.bytes, deed->stream.len),
                     (ssize_t)deed->stream.len);
    close(ends[1]);
    deed->in = ends[0];
}

static struct before begin(struct crash_deed *deed)
{
    if (deed->stream.len)
        fill_pipe(deed);
    deed->rc = 0;
    deed->loaded_right = false;
    memset(&deed->err, 0, sizeof(deed->err));
    return (struct before){crash_open_fds(), crash_alloc_living()};
}

static void finish(struct crash_deed *deed, const struct before *before)
{
    assert_int_equal(crash_open_fds(), before->fds);
    assert_int_equal(crash_alloc_living(), before->living);
    assert_int_equal(deed->rc, deed->err.code);
    if (deed->in >= 0)
        close(deed->in);
    deed->in = -1;
}

void crash_deed_done(struct crash_deed *deed)
{
    struct before before = begin(deed);

    deed->body(deed);
    if (deed->rc)
        fail_msg("the next try: %s", deed->err.msg);
    finish(deed, &before);
}

/* ---- system calls ---- */

struct disturbance {
    const struct crash_fault *fault;
    const struct crash_deed *deed;
    unsigned left; /* calls up to the one that is disturbed */
    long nr;       /* of the disturbed call, or -1 */
};

static bool is_transfer(long nr)
{
    return nr == __NR_pwrite64 || nr == __NR_write || nr == __NR_pread64 || nr == __NR_read;
}

/* Calls that sleep where a signal may wake them (signal(7)), or whose manual lists EINTR. */
static bool may_be_interrupted(long nr)
{
    return is_transfer(nr) || nr == __NR_openat || nr == __NR_ftruncate || nr == __NR_fsync ||
           nr == __NR_fdatasync || nr == __NR_fallocate || nr == __NR_getrandom ||
           nr == __NR_flock || nr == __NR_ppoll;
}

bool crash_fault_passes(const struct crash_fault *fault)
{
    return fault->is_short || fault->error == EINTR;
}

static bool can_befall(const struct crash_fault *fault, const struct crash_call *call)
{
    if (fault->is_short)
        return is_transfer(call->nr) && call->args[2] > 1;
    return fault->error != EINTR || may_be_interrupted(call->nr);
}

static long on_call(void *ctx, const struct crash_call *call)
{
    struct disturbance *disturbance = ctx;
    const struct crash_fault *fault = disturbance->fault;
    struct crash_call changed = *call;

    if (disturbance->deed->no_tmpfile && call->nr == __NR_openat &&
        (call->args[2] & O_TMPFILE) == O_TMPFILE)
        return -EOPNOTSUPP;
    if (!can_befall(fault, call) || !disturbance->left || --disturbance->left)
        return crash_call_make(call);
    disturbance->nr = call->nr;
    if (fault->is_short) {
        changed.args[2] = call->args[2] / 2;
        return crash_call_make(&changed);
    }
    if (call->nr == __NR_close) /* the kernel closes it whatever it says */
        (void)crash_call_make(call);
    return -fault->error;
}

long crash_deed_disturbed(struct crash_deed *deed, const struct crash_fault *fault, unsigned number)
{
    struct disturbance disturbance = {fault, deed, number, -1};
    const struct crash_watch watch = {deed->body, deed, on_call, &disturbance};
    struct before before = begin(deed);

    assert_in_range(number, 1, CRASH_CALLS_MAX);
    if (!crash_watch(&watch)) {
        printf("skipped: no seccomp listener here\n");
        skip();
    }
    finish(deed, &before);
    return disturbance.nr;
}

/* ---- memory ---- */

bool crash_deed_starved(struct crash_deed *deed, unsigned number)
{
    struct before before = begin(deed);
    bool failed;

    assert_in_range(number, 1, CRASH_CALLS_MAX);
    crash_alloc_fail_at(number);
    deed->body(deed);
    failed = crash_alloc_failed();
    finish(deed, &before);
    if (deed->rc) {
        assert_true(failed);
        assert_int_equal(deed->rc, STASIS_ERR_NOMEM);
        crash_deed_assert_message(deed, deed->scene.path);
        crash_deed_assert_message(deed, "memory");
    }
    return failed;
}
