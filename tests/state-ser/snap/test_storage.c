/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots in storage of the caller's: whole, broken, and with functions that fail.
 */
#include "tests/state-ser/snap/memory_rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void save(struct memory *memory, struct built *built, unsigned zlib_level)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = zlib_level};
    const struct stasis_storage storage = memory_storage(memory);
    struct stasis_save_stats stats;
    struct stasis_error err = {0};

    if (stasis_snap_save_storage(built->snap, &storage, &opts, &stats, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stats.file_bytes, memory->image.len);
    assert_int_equal(stasis_snap_info(built->snap)->file_len, memory->image.len);
}

static struct stasis_snap *reopen(struct memory *memory)
{
    const struct stasis_storage storage = memory_storage(memory);
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;

    memory->ended = false;
    if (stasis_snap_open_storage(&storage, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(stasis_snap_name(snap), "slot 3");
    return snap;
}

static void check(struct memory *memory, const struct built *built, unsigned threads)
{
    struct stasis_snap *snap = reopen(memory);
    struct stasis_error err = {0};

    assert_same_ram(snap, built, threads);
    if (stasis_snap_verify(snap, threads, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

/* By one call for each request, and by as many as it takes. */
static void snapshot_saved_to_storage_is_opened_from_it(void **state)
{
    static const size_t steps[] = {0, 4093};
    struct built built;

    (void)state;
    built_large(&built);
    for (unsigned level = 0; level < 2; level++) {
        for (size_t i = 0; i < 2; i++) {
            struct memory memory = {.step = steps[i]};

            save(&memory, &built, level);
            check(&memory, &built, 1);
            check(&memory, &built, 4);
            memory.sequential = true;
            check(&memory, &built, 2);
            assert_true(memory.ended);
            memory_fini(&memory);
        }
    }
    built_fini(&built);
}

static void the_bytes_are_those_of_a_stream(void **state)
{
    struct memory memory = {.step = 1000};
    struct image stream;
    struct built built;

    (void)state;
    built_small(&built);
    save(&memory, &built, 0);
    stream = image_of_stream(&built);
    assert_true(stasis_snap_info(built.snap)->streamed);
    image_wipe_identity(&memory.image);
    image_wipe_identity(&stream);
    assert_int_equal(memory.image.len, stream.len);
    assert_memory_equal(memory.image.bytes, stream.bytes, stream.len);
    image_fini(&stream);
    memory_fini(&memory);
    built_fini(&built);
}

static void a_file_is_opened_from_storage(void **state)
{
    struct memory memory = {0};
    struct built built;

    (void)state;
    built_large(&built);
    memory.image = image_of(&built);
    check(&memory, &built, 2);
    memory.sequential = true;
    check(&memory, &built, 2);
    memory_fini(&memory);
    built_fini(&built);
}

/* ---- one verdict ---- */

static int verdict_of_file(const struct image *image, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int fd = image_fd(image);
    int rc = stasis_snap_open_fd(fd, "slot 3", NULL, &snap, err);

    close(fd);
    if (!rc)
        rc = stasis_snap_verify(snap, 1, NULL, NULL, err);
    stasis_snap_free(snap);
    return rc;
}

static int verdict_of_storage(const struct image *image, bool sequential, struct stasis_error *err)
{
    struct memory memory = {.image = *image, .sequential = sequential};
    const struct stasis_storage storage = memory_storage(&memory);
    struct stasis_snap *snap = NULL;
    int rc = stasis_snap_open_storage(&storage, NULL, &snap, err);

    if (!rc)
        rc = stasis_snap_verify(snap, 1, NULL, NULL, err);
    stasis_snap_free(snap);
    return rc;
}

static void expect_one_verdict(const struct image *image)
{
    struct stasis_error file = {0};
    struct stasis_error storage = {0};
    int rc = verdict_of_file(image, &file);

    assert_int_equal(verdict_of_storage(image, false, &storage), rc);
    assert_string_equal(storage.msg, file.msg);
    assert_int_equal(verdict_of_storage(image, true, &storage), rc);
}

static bool is_in_table(const struct image *image, size_t at)
{
    size_t header = image_header(image);

    return at >= header + STASIS_HDR_SECTIONS && at < header + STASIS_HEADER_LEN;
}

static void damage_has_the_verdict_of_a_file(void **state)
{
    struct image (*const saves[])(struct built *) = {image_of, image_of_stream};
    struct built built;

    (void)state;
    built_small(&built);
    for (size_t i = 0; i < 2; i++) {
        struct image whole = saves[i](&built);

        for (size_t at = 0; at < whole.len; at += at < 2048 ? 97 : 15013) {
            struct image image = image_copy(&whole);

            image.bytes[at] ^= 0x10;
            expect_one_verdict(&image);
            if (!is_in_table(&whole, at)) { /* which image_reseal() reads */
                image_reseal(&image);
                expect_one_verdict(&image);
            }
            image_resize(&image, at);
            expect_one_verdict(&image);
            image_fini(&image);
        }
        image_fini(&whole);
    }
    built_fini(&built);
}

/* ---- functions that fail ---- */

/* In the words of the C library. */
static const char *reason_of(enum memory_fault fault)
{
    switch (fault) {
    case MEMORY_FAILS:
        return strerror(ENOTCONN);
    case MEMORY_NOTHING:
        return "truncated";
    case MEMORY_NO_REASON:
    case MEMORY_TOO_MUCH:
        break;
    }
    return strerror(EIO);
}

/* False: the call to fail was never made. */
static bool open_fails(struct memory *memory)
{
    const struct stasis_storage storage = memory_storage(memory);
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    int rc;

    memory->calls = 0;
    memory->ended = false;
    rc = stasis_snap_open_storage(&storage, NULL, &snap, &err);
    if (!rc) {
        stasis_snap_free(snap);
        return false;
    }
    assert_null(snap);
    assert_int_equal(rc, memory->fault == MEMORY_NOTHING ? STASIS_ERR_CORRUPT : STASIS_ERR_READ);
    assert_int_equal(strncmp(err.msg, "slot 3: ", 8), 0);
    if (!strstr(err.msg, reason_of(memory->fault)))
        fail_msg("call %u: %s", memory->fault_at, err.msg);
    assert_true(memory->sequential || memory->fault == MEMORY_NOTHING ||
                strstr(err.msg, "check its storage"));
    return true;
}

static void a_read_that_fails_while_it_is_opened(void **state)
{
    struct memory memory = {0};
    struct built built;

    (void)state;
    built_small(&built);
    save(&memory, &built, 0);
    for (unsigned sequential = 0; sequential < 2; sequential++) {
        memory.sequential = sequential;
        for (memory.fault = MEMORY_FAILS; memory.fault <= MEMORY_NOTHING; memory.fault++) {
            memory.fault_at = 1;
            while (open_fails(&memory))
                memory.fault_at++;
            assert_true(memory.fault_at > 4); /* header, trailer, index, state; or in pieces */
        }
        memory.fault = MEMORY_FAILS;
    }
    memory_fini(&memory);
    built_fini(&built);
}

static void a_read_that_fails_while_ram_is_loaded(void **state)
{
    static const int codes[] = {
        [MEMORY_FAILS] = STASIS_ERR_READ,
        [MEMORY_NO_REASON] = STASIS_ERR_READ,
        [MEMORY_TOO_MUCH] = STASIS_ERR_READ,
        [MEMORY_NOTHING] = STASIS_ERR_CORRUPT,
    };
    struct built built;

    (void)state;
    built_large(&built);
    for (unsigned level = 0; level < 2; level++) {
        struct memory memory = {0};
        struct stasis_snap *snap;
        uint8_t *ram = malloc(built.size[0]);

        assert_non_null(ram);
        save(&memory, &built, level);
        snap = reopen(&memory);
        for (memory.fault = MEMORY_FAILS; memory.fault <= MEMORY_NOTHING; memory.fault++) {
            struct stasis_error err = {0};

            memory.calls = 0;
            memory.fault_at = 2;
            assert_int_equal(stasis_snap_load_ram(snap, 0, ram, 1, NULL, NULL, &err),
                             codes[memory.fault]);
            assert_int_equal(strncmp(err.msg, "slot 3: ", 8), 0);
            assert_non_null(strstr(err.msg, memory.fault == MEMORY_NOTHING
                                                ? "has become shorter"
                                                : reason_of(memory.fault)));
            memory.calls = 0;
            memory.fault_at = 1; /* within the sections that verify() looks at */
            assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), codes[memory.fault]);
            assert_int_equal(strncmp(err.msg, "slot 3: ", 8), 0);
        }
        stasis_snap_free(snap);
        memory_fini(&memory);
        free(ram);
    }
    built_fini(&built);
}

/* Once write() has failed it is not called again: memory_rig.c checks. False: the call was never
 * made. */
static bool save_fails(struct memory *memory, struct built *built, unsigned level)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = level, .threads = 3};
    const struct stasis_snap_info before = *stasis_snap_info(built->snap);
    struct stasis_storage storage;
    struct stasis_error err = {0};
    int rc;

    memory->calls = 0;
    memory->image.len = 0;
    storage = memory_storage(memory);
    rc = stasis_snap_save_storage(built->snap, &storage, &opts, NULL, &err);
    if (!rc)
        return false;
    assert_int_equal(rc, STASIS_ERR_WRITE);
    assert_int_equal(strncmp(err.msg, "saving to slot 3: writing ", 26), 0);
    assert_non_null(strstr(
        err.msg, reason_of(memory->fault == MEMORY_NOTHING ? MEMORY_NO_REASON : memory->fault)));
    assert_memory_equal(&before, stasis_snap_info(built->snap), sizeof(before));
    return true;
}

static void a_write_that_fails(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    memset(built.ram[1], 'x', STASIS_CHUNK_SIZE); /* is compressed */
    for (unsigned level = 0; level < 2; level++) {
        struct memory memory = {0};

        for (memory.fault = MEMORY_FAILS; memory.fault <= MEMORY_NOTHING; memory.fault++) {
            memory.fault_at = 1;
            while (save_fails(&memory, &built, level))
                memory.fault_at++;
            assert_true(memory.fault_at > 7); /* header, RAM, index, state, schemas, trailer */
        }
        memory.fault_at = 0;
        check(&memory, &built, 1); /* the last one went through */
        memory_fini(&memory);
    }
    built_fini(&built);
}

static bool no_more(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static void a_save_is_cancelled(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .progress = no_more};
    struct memory memory = {0};
    const struct stasis_storage storage = memory_storage(&memory);
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_small(&built);
    assert_int_equal(stasis_snap_save_storage(built.snap, &storage, &opts, NULL, &err),
                     STASIS_ERR_CANCELLED);
    assert_string_equal(err.msg, "saving to slot 3: cancelled");
    memory_fini(&memory);
    built_fini(&built);
}

static void tables_that_lack_something(void **state)
{
    struct memory memory = {0};
    const struct stasis_storage whole = memory_storage(&memory);
    struct stasis_storage lacks[4] = {whole, whole, whole, whole};
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;
    struct built built;

    (void)state;
    built_small(&built);
    lacks[0].size--;
    lacks[1].name = NULL;
    lacks[2].read = NULL;
    lacks[3].write = NULL;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(stasis_snap_open_storage(&lacks[i], NULL, &snap, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "slot 3: opening needs the function read of its storage");
    for (size_t i = 0; i < 4; i++)
        if (i != 2)
            assert_int_equal(stasis_snap_save_storage(built.snap, &lacks[i], NULL, NULL, &err),
                             STASIS_ERR_ARG);
    assert_string_equal(err.msg, "slot 3: saving needs the function write of its storage");
    assert_int_equal(memory.calls, 0);
    assert_int_equal(stasis_snap_save_storage(built.snap, &lacks[2], NULL, NULL, &err), 0);
    lacks[3].length = memory.image.len;
    assert_int_equal(stasis_snap_open_storage(&lacks[3], NULL, &snap, &err), 0);
    stasis_snap_free(snap);
    memory_fini(&memory);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_saved_to_storage_is_opened_from_it),
        cmocka_unit_test(the_bytes_are_those_of_a_stream),
        cmocka_unit_test(a_file_is_opened_from_storage),
        cmocka_unit_test(damage_has_the_verdict_of_a_file),
        cmocka_unit_test(a_read_that_fails_while_it_is_opened),
        cmocka_unit_test(a_read_that_fails_while_ram_is_loaded),
        cmocka_unit_test(a_write_that_fails),
        cmocka_unit_test(a_save_is_cancelled),
        cmocka_unit_test(tables_that_lack_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
