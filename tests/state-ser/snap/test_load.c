/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Loads and verifications show how far they are, and end when they are told to.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/le.h"

#define MIB (UINT64_C(1) << 20)

/* Who listens: it sees `done` rise, and cancels when it has seen `cancel_at` bytes, or at the first
 * call for 0. */
struct listener {
    pthread_t thread;
    uint64_t done;
    uint64_t total;
    uint64_t cancel_at; /* UINT64_MAX: never */
    unsigned calls;
    unsigned early; /* of the calls, with nothing done */
};

static struct listener listener_that_cancels_at(uint64_t bytes)
{
    return (struct listener){.thread = pthread_self(), .cancel_at = bytes};
}

static bool listen_to(void *ctx, uint64_t done, uint64_t total)
{
    struct listener *listener = ctx;

    assert_true(pthread_equal(listener->thread, pthread_self()));
    assert_true(done >= listener->done && done <= total);
    assert_true(!listener->calls || total == listener->total);
    listener->done = done;
    listener->total = total;
    listener->calls++;
    listener->early += done == 0;
    return done < listener->cancel_at;
}

static struct built built;
static struct stasis_snap *snap;
static int file;

static void open_file(const struct image *image)
{
    struct stasis_error err = {0};

    file = image_fd(image);
    if (stasis_snap_open_fd(file, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
}

/* RAM of 1 MiB + 8 KiB, and of 5 MiB. */
static int setup(void **state)
{
    struct image image;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    open_file(&image);
    image_fini(&image);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stasis_snap_free(snap);
    close(file);
    built_fini(&built);
    return 0;
}

/* ---- regions ---- */

static void a_load_shows_how_far_it_is(void **state)
{
    uint8_t *ram = malloc(built.size[1]);
    struct stasis_error err = {0};

    (void)state;
    for (uint32_t r = 0; r < 2; r++)
        for (unsigned threads = 1; threads < 5; threads += 3) {
            struct listener listener = listener_that_cancels_at(UINT64_MAX);

            assert_int_equal(
                stasis_snap_load_ram(snap, r, ram, threads, listen_to, &listener, &err), 0);
            assert_int_equal(listener.total, built.size[r]);
            assert_int_equal(listener.done, built.size[r]);
            /* Once for each MiB, and at the end. */
            assert_true(threads > 1 || listener.calls == 3 + r * 3);
            assert_memory_equal(ram, built.ram[r], built.size[r]);
        }
    free(ram);
}

static void a_cancelled_load_is_an_error(void **state)
{
    uint8_t *ram = malloc(built.size[1]);
    struct listener listener = listener_that_cancels_at(1);
    struct stasis_error err = {0};

    (void)state;
    memset(ram, 0xa5, built.size[1]);
    assert_int_equal(stasis_snap_load_ram(snap, 1, ram, 1, listen_to, &listener, &err),
                     STASIS_ERR_CANCELLED);
    assert_int_equal(err.code, STASIS_ERR_CANCELLED);
    assert_string_equal(err.msg, "test: loading the memory was cancelled");
    assert_int_equal(listener.calls, 1);
    assert_int_equal(listener.done, MIB);
    assert_memory_equal(ram, built.ram[1], MIB);
    for (size_t i = MIB; i < built.size[1]; i++)
        assert_int_equal(ram[i], 0xa5); /* nobody went on */
    free(ram);
}

/* Who is asked when all is done cannot cancel any more: what is there is right. */
static void assert_cancelled_or_right(int rc, const struct listener *listener, const uint8_t *ram)
{
    assert_true(rc == STASIS_ERR_CANCELLED || rc == 0);
    assert_int_equal(listener->calls, 1 + listener->early);
    if (!rc)
        assert_memory_equal(ram, built.ram[1], built.size[1]);
}

static void many_threads_are_cancelled_too(void **state)
{
    uint8_t *ram = calloc(1, built.size[1]);

    (void)state;
    for (unsigned threads = 0; threads < 5; threads++) {
        struct listener listener = listener_that_cancels_at(1);

        assert_cancelled_or_right(
            stasis_snap_load_ram(snap, 1, ram, threads, listen_to, &listener, NULL), &listener,
            ram);
    }
    free(ram);
}

static void ram_by_its_place_shows_it_too(void **state)
{
    uint8_t *ram = malloc(built.size[1]);
    struct listener listener = listener_that_cancels_at(UINT64_MAX);
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(
        stasis_snap_get_ram(snap, built.gpa[1], ram, built.size[1], listen_to, &listener, &err), 0);
    assert_int_equal(listener.done, built.size[1]);
    listener = listener_that_cancels_at(1);
    assert_cancelled_or_right(
        stasis_snap_get_ram(snap, built.gpa[1], ram, built.size[1], listen_to, &listener, &err),
        &listener, ram);
    free(ram);
}

/* Damage that was met counts; a load that was cancelled does not say that all was right. */
static void damage_is_told_before_a_request_to_cancel(void **state)
{
    uint8_t *ram = malloc(built.size[1]);
    struct listener listener = listener_that_cancels_at(0);
    struct stasis_error err = {0};

    (void)state;
    flip_bit(file, chunk_offset(file, stasis_snap_region_at(snap, 1).first_chunk + 2), 0);
    assert_int_equal(stasis_snap_load_ram(snap, 1, ram, 1, listen_to, &listener, &err),
                     STASIS_ERR_CORRUPT);
    assert_int_equal(listener.calls, 0);
    free(ram);
}

/* ---- attaching ---- */

static void map_all(void *hosts[2])
{
    for (uint32_t r = 0; r < 2; r++) {
        hosts[r] =
            mmap(NULL, built.size[r], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(hosts[r], MAP_FAILED);
    }
}

static void unmap_all(void *hosts[2])
{
    for (uint32_t r = 0; r < 2; r++)
        munmap(hosts[r], built.size[r]);
}

static struct stasis_ram_opts listened(struct listener *listener, enum stasis_ram_mode mode)
{
    return (struct stasis_ram_opts){.size = sizeof(struct stasis_ram_opts),
                                    .mode = mode,
                                    .threads = 1,
                                    .progress = listen_to,
                                    .ctx = listener};
}

static void a_copy_counts_all_regions(void **state)
{
    struct listener listener = listener_that_cancels_at(UINT64_MAX);
    struct stasis_ram_opts opts = listened(&listener, STASIS_RAM_COPY);
    struct stasis_error err = {0};
    struct stasis_ram *ram;
    void *hosts[2];

    (void)state;
    map_all(hosts);
    assert_int_equal(stasis_ram_attach(snap, hosts, &opts, &ram, &err), 0);
    assert_int_equal(listener.total, built.size[0] + built.size[1]);
    assert_int_equal(listener.done, listener.total);
    assert_true(listener.calls >= 2 + 5);
    for (uint32_t r = 0; r < 2; r++)
        assert_memory_equal(hosts[r], built.ram[r], built.size[r]);
    stasis_ram_free(ram);
    unmap_all(hosts);
}

/* In the first region, at its end, and in the second. */
static void a_cancelled_copy_leaves_no_object(void **state)
{
    const uint64_t places[] = {0, MIB, built.size[0], built.size[0] + 1, built.size[0] + 2 * MIB};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct listener listener = listener_that_cancels_at(places[i]);
        struct stasis_ram_opts opts = listened(&listener, STASIS_RAM_COPY);
        struct stasis_ram *none = (struct stasis_ram *)&listener;
        struct stasis_ram *ram = none;
        struct stasis_error err = {0};
        void *hosts[2];

        map_all(hosts);
        assert_int_equal(stasis_ram_attach(snap, hosts, &opts, &ram, &err), STASIS_ERR_CANCELLED);
        assert_string_equal(err.msg, "test: loading the memory was cancelled");
        assert_ptr_equal(ram, none);
        assert_true(listener.done >= places[i] && listener.done < listener.total);
        assert_true(i < 3 || !memcmp(hosts[0], built.ram[0], built.size[0]));
        unmap_all(hosts);
    }
}

static void modes_that_return_at_once_show_nothing(void **state)
{
    static const enum stasis_ram_mode modes[] = {STASIS_RAM_MAP, STASIS_RAM_LAZY};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct listener listener = listener_that_cancels_at(0);
        struct stasis_ram_opts opts = listened(&listener, modes[i]);
        struct stasis_error err = {0};
        struct stasis_ram *ram;
        void *hosts[2];

        if (!rig_can(modes[i]))
            continue;
        map_all(hosts);
        assert_int_equal(stasis_ram_attach(snap, hosts, &opts, &ram, &err), 0);
        assert_int_equal(stasis_ram_wait(ram, &err), 0);
        assert_int_equal(listener.calls, 0);
        stasis_ram_free(ram);
        unmap_all(hosts);
    }
}

/* ---- verifying ---- */

static void a_verification_can_be_cancelled(void **state)
{
    const uint64_t places[] = {0, 1, MIB + 1, built.size[0] + built.size[1] - 1};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        for (unsigned threads = 1; threads < (places[i] ? 2 : 4); threads++) {
            struct listener listener = listener_that_cancels_at(places[i]);
            struct stasis_error err = {0};

            assert_int_equal(stasis_snap_verify(snap, threads, listen_to, &listener, &err),
                             STASIS_ERR_CANCELLED);
            assert_int_equal(err.code, STASIS_ERR_CANCELLED);
            assert_string_equal(err.msg, "test: verifying was cancelled");
            assert_true(listener.done >= places[i]);
        }
}

static unsigned early_calls(const struct image *image)
{
    struct listener listener = listener_that_cancels_at(UINT64_MAX);
    struct stasis_error err = {0};
    struct stasis_snap *other;
    int fd = image_fd(image);

    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &other, &err), 0);
    if (stasis_snap_verify(other, 1, listen_to, &listener, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(other);
    close(fd);
    return listener.early;
}

/* What is read besides RAM may be long: who waits is asked there too, once a MiB. */
static void bytes_besides_ram_are_read_in_turns(void **state)
{
    struct image image = image_of(&built);
    uint64_t at = image.len;
    uint8_t *entry;

    (void)state;
    assert_int_equal(early_calls(&image), 2); /* the schemas, and the index */
    image_add_section(&image, 77, 3 * MIB);
    assert_int_equal(early_calls(&image), 2 + 3);
    /* All of it but its last page becomes padding. */
    entry = image_section(&image, 77);
    memset(image.bytes + at, 0, 3 * MIB - STASIS_PAGE_SIZE);
    stasis_le64_put(entry + 8, at + 3 * MIB - STASIS_PAGE_SIZE);
    stasis_le64_put(entry + 16, STASIS_PAGE_SIZE);
    image_reseal_section(&image, 77);
    assert_int_equal(early_calls(&image), 2 + 2 + 1);
    image_fini(&image);
}

static void long_indexes_are_read_in_turns(void **state)
{
    static const struct {
        uint64_t stored; /* chunks */
        unsigned calls;
    } rows[] = {{0, 1}, {4096, 2}, {4097, 3}};
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct built many;
        struct image image;

        built_init(&many);
        built_add(&many, 0, (size_t)8192 * STASIS_CHUNK_SIZE);
        for (uint64_t chunk = 0; chunk < rows[i].stored; chunk++)
            many.ram[0][chunk * STASIS_CHUNK_SIZE] = 1;
        image = image_of_with(&many, &opts);
        assert_int_equal(early_calls(&image), rows[i].calls);
        image_fini(&image);
        built_fini(&many);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_load_shows_how_far_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_load_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_are_cancelled_too, setup, teardown),
        cmocka_unit_test_setup_teardown(ram_by_its_place_shows_it_too, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_told_before_a_request_to_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_counts_all_regions, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_copy_leaves_no_object, setup, teardown),
        cmocka_unit_test_setup_teardown(modes_that_return_at_once_show_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_verification_can_be_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_besides_ram_are_read_in_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(long_indexes_are_read_in_turns, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
