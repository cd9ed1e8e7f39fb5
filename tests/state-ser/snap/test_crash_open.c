/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every system call of an open, a load and a verification fails once, in each of the ways that a
 * call can fail, and every allocation: a clean error, nothing leaked, and the next try works.
 */
#include "tests/state-ser/snap/crash_deed.h"

#include "stasis/storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* AddressSanitizer sees of the last one what EIO shows it: no code asks which of them it was. */
static const struct crash_fault faults[] = {
    {.error = EIO, .name = "EIO"},
    {.error = EINTR, .name = "EINTR"},
    {.is_short = true, .name = "short"},
#ifndef __SANITIZE_ADDRESS__
    {.error = ENOMEM, .name = "ENOMEM"},
#endif
};

/* ---- the deed ---- */

static void load(struct crash_deed *deed, struct stasis_snap *snap)
{
    const struct built *built = &deed->scene.built;
    uint8_t *ram = calloc(1, built->size[0]);

    if (!ram) {
        deed->rc = stasis_fail(&deed->err, STASIS_ERR_NOMEM, "%s: no memory for the test",
                               stasis_snap_name(snap));
        return;
    }
    deed->rc = stasis_snap_load_ram(snap, 0, ram, deed->threads, NULL, NULL, &deed->err);
    deed->loaded_right = !deed->rc && !memcmp(ram, built->ram[0], built->size[0]);
    free(ram);
}

static void open_load_verify(void *ctx)
{
    struct crash_deed *deed = ctx;
    struct stasis_snap *snap = NULL;

    deed->rc = deed->in < 0
                   ? stasis_snap_open(deed->scene.path, NULL, &snap, &deed->err)
                   : stasis_snap_open_fd(deed->in, deed->scene.path, NULL, &snap, &deed->err);
    if (deed->rc)
        return;
    load(deed, snap);
    if (!deed->rc)
        deed->rc = stasis_snap_verify(snap, deed->threads, NULL, NULL, &deed->err);
    stasis_snap_free(snap);
}

static ssize_t swallow(void *ctx, const void *bytes, size_t len)
{
    (void)ctx;
    (void)bytes;
    return (ssize_t)len;
}

/* What is opened is saved again. */
static void open_and_save(void *ctx)
{
    struct crash_deed *deed = ctx;
    const struct stasis_save_opts opts = {.size = sizeof(opts), .threads = deed->threads};
    const struct stasis_storage storage = {
        .size = sizeof(storage), .name = deed->scene.path, .write = swallow};
    struct stasis_snap *snap = NULL;

    deed->rc = stasis_snap_open(deed->scene.path, NULL, &snap, &deed->err);
    if (deed->rc)
        return;
    deed->rc = stasis_snap_save_storage(snap, &storage, &opts, NULL, &deed->err);
    deed->loaded_right = !deed->rc;
    stasis_snap_free(snap);
}

/* To be opened from a file, or from a pipe. */
static struct crash_deed *saved(unsigned threads, bool compressed, bool piped)
{
    struct crash_deed *deed = crash_deed_new(open_load_verify, true, threads);
    struct stasis_save_opts opts = {.size = sizeof(opts)};
    struct stasis_error err = {0};

    if (compressed)
        crash_deed_compress(deed);
    opts.zlib_level = deed->zlib_level;
    if (stasis_snap_save(deed->scene.built.snap, deed->scene.path, &opts, NULL, &err))
        fail_msg("%s", err.msg);
    if (piped)
        deed->stream = image_of_stream(&deed->scene.built);
    return deed;
}

static void try_again(struct crash_deed *deed)
{
    crash_deed_done(deed);
    assert_true(deed->loaded_right);
}

/* ---- system calls ---- */

/* A stream goes by way of a temporary file, which is opened too. */
static int code_for(const struct crash_deed *deed, long nr)
{
    if (nr == __NR_pwrite64 || nr == __NR_ftruncate)
        return STASIS_ERR_WRITE;
    if (nr == __NR_fcntl || nr == __NR_getrandom || (nr == __NR_openat && deed->stream.bytes))
        return STASIS_ERR_IO;
    return STASIS_ERR_READ;
}

static void check(const struct crash_deed *deed, const struct crash_fault *fault, long nr)
{
    if (!deed->rc) {
        assert_true(deed->loaded_right);
        return;
    }
    assert_false(crash_fault_passes(fault));
    assert_int_equal(deed->rc, code_for(deed, nr));
    assert_int_equal(deed->err.os_errno, fault->error);
    crash_deed_assert_message(deed, deed->scene.path);
    crash_deed_assert_message(deed, strerror(fault->error));
}

static void open_with(struct crash_deed *deed, const struct crash_fault *fault)
{
    unsigned refused = 0;
    unsigned number = 1;
    long nr;

    for (; (nr = crash_deed_disturbed(deed, fault, number)) >= 0; number++) {
        check(deed, fault, nr);
        refused += deed->rc != 0;
        try_again(deed);
    }
    assert_int_equal(deed->rc, 0);
    printf("  %s at each of %u calls: %u failed\n", fault->name, number - 1, refused);
    /* Sections; runs when loading; chunks when verifying. */
    assert_true(number > 3 + 8 + 8);
    assert_true(crash_fault_passes(fault) ? refused == 0 : refused >= 3 + 8 + 8);
}

static void open_with_all(struct crash_deed *deed)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        open_with(deed, &faults[i]);
    crash_deed_free(deed);
}

static void from_a_file(void **state)
{
    (void)state;
    open_with_all(saved(1, false, false));
}

static void from_a_compressed_file(void **state)
{
    (void)state;
    open_with_all(saved(1, true, false));
}

static void by_several_workers(void **state)
{
    (void)state;
    open_with_all(saved(CRASH_WORKERS, false, false));
}

static void from_a_pipe(void **state)
{
    (void)state;
    open_with_all(saved(1, false, true));
}

/* ---- memory ---- */

static void starve(struct crash_deed *deed)
{
    unsigned number = 1;
    unsigned refused = 0;

    for (; crash_deed_starved(deed, number); number++) {
        assert_true(deed->rc || deed->loaded_right);
        refused += deed->rc != 0;
        try_again(deed);
    }
    assert_int_equal(deed->rc, 0);
    printf("  no memory at each of %u allocations: %u failed\n", number - 1, refused);
    assert_true(refused >= 5);
    crash_deed_free(deed);
}

static void without_memory(void **state)
{
    (void)state;
    starve(saved(CRASH_WORKERS, false, false));
}

static void compressed_without_memory(void **state)
{
    (void)state;
    starve(saved(CRASH_WORKERS, true, false));
}

static void from_a_pipe_without_memory(void **state)
{
    (void)state;
    starve(saved(1, false, true));
}

static void saved_again_without_memory(void **state)
{
    (void)state;
    for (unsigned compressed = 0; compressed < 2; compressed++) {
        struct crash_deed *deed = saved(CRASH_WORKERS, compressed, false);

        deed->body = open_and_save;
        starve(deed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_a_file),
        cmocka_unit_test(from_a_compressed_file),
        cmocka_unit_test(by_several_workers),
        cmocka_unit_test(from_a_pipe),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(compressed_without_memory),
        cmocka_unit_test(from_a_pipe_without_memory),
        cmocka_unit_test(saved_again_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
