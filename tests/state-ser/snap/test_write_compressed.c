/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Compressed chunks: what is saved comes back, any zlib reads it, and no bit of it can be wrong.
 */
#include "tests/state-ser/snap/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* One chunk that shrinks, one that does not, one zero, one that shrinks to almost nothing. */
static void built_mixed(struct built *built)
{
    uint64_t x = 1;

    built_init(built);
    built_add(built, 0, 8192);
    built_add(built, 0x100000, 40 * STASIS_CHUNK_SIZE);
    memset(built->ram[0], 'a', 8192);
    for (size_t i = 0; i < STASIS_CHUNK_SIZE; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        built->ram[1][i] = (uint8_t)(x >> 56); /* fill_random() has but seven bits a byte */
    }
    for (size_t i = 2 * STASIS_CHUNK_SIZE; i < 38 * STASIS_CHUNK_SIZE; i++)
        built->ram[1][i] = (uint8_t)(i / 7);
    built->ram[1][39 * STASIS_CHUNK_SIZE] = 1;
}

static struct stasis_save_opts packed(unsigned level, unsigned threads)
{
    return (struct stasis_save_opts){
        .size = sizeof(struct stasis_save_opts), .zlib_level = level, .threads = threads};
}

static struct image save_packed(struct built *built, unsigned level, unsigned threads,
                                struct stasis_save_stats *ret_stats)
{
    const struct stasis_save_opts opts = packed(level, threads);
    struct stasis_error err = {0};
    struct image image;
    char path[128];

    snprintf(path, sizeof(path), "%s/packed", folder_make());
    if (stasis_snap_save(built->snap, path, &opts, ret_stats, &err))
        fail_msg("%s", err.msg);
    image = image_read(path);
    folder_remove();
    return image;
}

static void chunks_are_of_the_kind_that_is_smaller(void **state)
{
    struct stasis_save_stats stats;
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    (void)state;
    built_mixed(&built);
    image = save_packed(&built, 1, 0, &stats);
    snap = image_reopen(&image);
    assert_int_equal(stasis_snap_chunk_at(snap, 0).kind, STASIS_CHUNK_ZLIB);
    assert_int_equal(stasis_snap_chunk_at(snap, 1).kind, STASIS_CHUNK_RAW);
    assert_int_equal(stasis_snap_chunk_at(snap, 1).offset % STASIS_PAGE_SIZE, 0);
    assert_int_equal(stasis_snap_chunk_at(snap, 2).kind, STASIS_CHUNK_ZERO);
    assert_int_equal(stasis_snap_chunk_at(snap, 3).kind, STASIS_CHUNK_ZLIB);
    assert_int_equal(stasis_snap_chunk_at(snap, 39).kind, STASIS_CHUNK_ZERO);
    assert_int_equal(stats.zero_bytes, 2 * STASIS_CHUNK_SIZE);
    assert_int_equal(stats.stored_bytes, stats.compressed_bytes + STASIS_CHUNK_SIZE);
    assert_true(stats.file_bytes < 200000);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void chunks_are_read_back_at_every_level_and_count_of_threads(void **state)
{
    static const unsigned levels[] = {1, 6, 12};
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_mixed(&built);
    for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++) {
        for (unsigned threads = 1; threads < 5; threads++) {
            struct image image = save_packed(&built, levels[l], threads, NULL);
            struct stasis_snap *snap = image_reopen(&image);

            assert_same_ram(snap, &built, threads);
            if (stasis_snap_verify(snap, threads, NULL, NULL, &err))
                fail_msg("%s", err.msg);
            stasis_snap_free(snap);
            image_fini(&image);
        }
    }
    built_fini(&built);
}

static void the_count_of_threads_changes_no_byte(void **state)
{
    struct image one, four;
    struct built built;

    (void)state;
    built_mixed(&built);
    one = save_packed(&built, 1, 1, NULL);
    four = save_packed(&built, 1, 4, NULL);
    assert_int_equal(one.len, four.len);
    assert_memory_equal(one.bytes + 1024, four.bytes + 1024, one.len - 1024);
    image_fini(&one);
    image_fini(&four);
    built_fini(&built);
}

static void any_zlib_reads_them(void **state)
{
    uint8_t *chunk = malloc(STASIS_CHUNK_SIZE);
    uLongf len = STASIS_CHUNK_SIZE;
    struct stasis_snap_chunk third;
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    (void)state;
    built_mixed(&built);
    image = save_packed(&built, 6, 0, NULL);
    snap = image_reopen(&image);
    third = stasis_snap_chunk_at(snap, 3);
    assert_int_equal(uncompress(chunk, &len, image.bytes + third.offset, third.stored_len), Z_OK);
    assert_int_equal(len, STASIS_CHUNK_SIZE);
    assert_memory_equal(chunk, built.ram[1] + 2 * STASIS_CHUNK_SIZE, STASIS_CHUNK_SIZE);
    assert_int_equal(third.crc, crc32(0, image.bytes + third.offset, third.stored_len));
    free(chunk);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void compressed_chunks_go_through_a_pipe(void **state)
{
    const struct stasis_save_opts opts = packed(1, 3);
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    char path[128];
    int fd;

    (void)state;
    built_mixed(&built);
    snprintf(path, sizeof(path), "%s/stream", folder_make());
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    if (stasis_snap_save_stream(built.snap, fd, &opts, NULL, &err))
        fail_msg("%s", err.msg);
    close(fd);
    image = image_read(path);
    folder_remove();
    snap = image_reopen(&image);
    assert_same_ram(snap, &built, 0);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void every_flipped_bit_is_found(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    struct image image;

    (void)state;
    built_init(&built);
    built_add(&built, 0, STASIS_CHUNK_SIZE);
    memset(built.ram[0], 'x', STASIS_CHUNK_SIZE);
    image = save_packed(&built, 1, 1, NULL);
    assert_int_equal(check_image(&image, &err), 0);
    for (size_t bit = 0; bit < image.len * 8; bit++) {
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(check_image(&image, &err), 0);
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    image_fini(&image);
    built_fini(&built);
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done <= total);
    return false;
}

static void a_cancelled_save_leaves_nothing(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .threads = 1, .progress = stop_at_once};
    struct stasis_error err = {0};
    struct built built;
    char path[128];

    (void)state;
    built_mixed(&built);
    for (opts.zlib_level = 0; opts.zlib_level < 2; opts.zlib_level++) {
        const char *folder = folder_make();

        snprintf(path, sizeof(path), "%s/none", folder);
        assert_int_equal(stasis_snap_save(built.snap, path, &opts, NULL, &err),
                         STASIS_ERR_CANCELLED);
        assert_int_equal(folder_entries(folder), 0);
        folder_remove();
    }
    built_fini(&built);
}

static void a_level_that_is_none_is_refused(void **state)
{
    const struct stasis_save_opts opts = packed(13, 0);
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_small(&built);
    assert_int_equal(stasis_snap_save(built.snap, "/nowhere", &opts, NULL, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "level 13"));
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_of_the_kind_that_is_smaller),
        cmocka_unit_test(chunks_are_read_back_at_every_level_and_count_of_threads),
        cmocka_unit_test(the_count_of_threads_changes_no_byte),
        cmocka_unit_test(any_zlib_reads_them),
        cmocka_unit_test(compressed_chunks_go_through_a_pipe),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(a_cancelled_save_leaves_nothing),
        cmocka_unit_test(a_level_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
