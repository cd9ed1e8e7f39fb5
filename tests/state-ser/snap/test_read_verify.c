/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every single flipped bit of a file is found by opening, loading or verifying it.
 */
#include "tests/state-ser/snap/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The image as a file whose bytes the test can change in place. */
struct live {
    int fd;
    size_t len;
    uint8_t *bytes;
};

static void live_init(struct live *live, const struct image *image)
{
    void *bytes;

    live->fd = image_fd(image);
    live->len = image->len;
    bytes = mmap(NULL, image->len, PROT_READ | PROT_WRITE, MAP_SHARED, live->fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    live->bytes = bytes;
}

static void live_fini(struct live *live)
{
    munmap(live->bytes, live->len);
    close(live->fd);
}

static void flip_and_check(struct live *live, size_t at, unsigned bit)
{
    struct stasis_error err = {0};

    live->bytes[at] ^= (uint8_t)(1u << bit);
    if (check_fd(live->fd, &err) != STASIS_ERR_CORRUPT || err.code != STASIS_ERR_CORRUPT)
        fail_msg("byte %zu bit %u: %d %s", at, bit, err.code, err.msg);
    live->bytes[at] ^= (uint8_t)(1u << bit);
}

/* ThreadSanitizer slows a read down twentyfold: of so many bits it sees one, though of each byte in
 * turn another. */
#ifdef __SANITIZE_THREAD__
#define ONE_OF 67
#else
#define ONE_OF 1
#endif

static void flip_bits(struct live *live, size_t from, size_t to, size_t one_of)
{
    size_t flipped = 0;

    for (size_t i = 0; i < 8 * (to - from); i += one_of, flipped++)
        flip_and_check(live, from + i / 8, (unsigned)(i % 8));
    printf("  %zu of %zu bits flipped\n", flipped, 8 * (to - from));
}

/* Two raw chunks, one short; a zero one between; flips elsewhere must not wait for large reads. */
static void built_tiny(struct built *built)
{
    built_init(built);
    built_add(built, 0, 4096);
    built_add(built, 0x100000, STASIS_CHUNK_SIZE + 4096);
    fill_random(built->ram[0], 4096, 11);
    fill_random(built->ram[1] + STASIS_CHUNK_SIZE, 4096, 12);
}

static void every_bit(struct image (*save)(struct built *), size_t one_of)
{
    struct built built;
    struct image image;
    struct live live;

    built_tiny(&built);
    image = save(&built);
    live_init(&live, &image);
    flip_bits(&live, 0, image.len, one_of); /* headers, state, index, padding, raw chunks: all */
    live_fini(&live);
    image_fini(&image);
    built_fini(&built);
}

static void every_bit_of_a_file_counts(void **state)
{
    (void)state;
    every_bit(image_of, ONE_OF);
}

static struct image image_with_digests(struct built *built)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .digests = true};

    return image_of_with(built, &opts);
}

/* Of the others a bit of each byte, and another one the next time. */
static void bits_of_a_file_with_digests_count(void **state)
{
    (void)state;
    every_bit(image_with_digests, 9 * ONE_OF);
}

static struct image image_of_version_1(struct built *built)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .format_version = 1};

    return image_of_with(built, &opts);
}

static void bits_of_a_file_of_version_1_count(void **state)
{
    (void)state;
    every_bit(image_of_version_1, 9 * ONE_OF);
}

static void every_bit_of_a_stream_counts(void **state)
{
    (void)state;
    every_bit(image_of_stream, ONE_OF);
}

/* Whole chunks in a larger file: one random bit of each, and of every byte of the first. */
static void bits_of_every_chunk_count(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    struct live live;
    uint8_t random[128];
    uint8_t *ram;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    live_init(&live, &image);
    assert_int_equal(stasis_snap_open_fd(live.fd, "test", NULL, &snap, &err), 0);
    fill_random(random, sizeof(random), 8);
    for (uint64_t i = 0; i < stasis_snap_chunk_count(snap); i++) {
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);

        if (chunk.kind == STASIS_CHUNK_RAW)
            flip_and_check(&live, chunk.offset + random[i] * 257u % chunk.size, random[i] / 2 % 8);
    }
    stasis_snap_free(snap);
    live_fini(&live);
    image_fini(&image);
    built_fini(&built);

    built_init(&built);
    built_add(&built, 0, STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], STASIS_CHUNK_SIZE, 6);
    image = image_of(&built);
    live_init(&live, &image);
    ram = malloc(STASIS_CHUNK_SIZE);
    assert_int_equal(stasis_snap_open_fd(live.fd, "test", NULL, &snap, &err), 0);
    for (size_t i = 0; i < STASIS_CHUNK_SIZE; i += ONE_OF) {
        uint8_t *byte = &live.bytes[stasis_snap_chunk_at(snap, 0).offset + i];
        uint8_t mask = (uint8_t)(1u << (i * 5 % 8));

        *byte ^= mask;
        assert_int_equal(stasis_snap_load_ram(snap, 0, ram, 1, NULL, NULL, &err),
                         STASIS_ERR_CORRUPT);
        *byte ^= mask;
    }
    assert_int_equal(stasis_snap_load_ram(snap, 0, ram, 1, NULL, NULL, &err), 0);
    free(ram);
    stasis_snap_free(snap);
    live_fini(&live);
    image_fini(&image);
    built_fini(&built);
}

static void gaps_are_checked_to_the_last_byte(void **state)
{
    struct built built;
    struct image image;
    struct live live;
    uint64_t data;

    (void)state;
    built_init(&built);
    built_add(&built, 0x100000, 3 << 20); /* congruence leaves most of 1 MiB free before it */
    fill_random(built.ram[0], 3 << 20, 13);
    image = image_of(&built);
    live_init(&live, &image);
    data = section_offset(image_section(&image, STASIS_SECTION_DATA));
    assert_true(image.len - (3 << 20) - data > (900 << 10));
    flip_and_check(&live, data, 0);
    flip_and_check(&live, data + 500000, 3);
    flip_and_check(&live, image.len - (3 << 20) - 1, 7);
    live_fini(&live);
    image_fini(&image);
    built_fini(&built);
}

static void the_first_bad_chunk_is_named(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    struct live live;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    live_init(&live, &image);
    assert_int_equal(stasis_snap_open_fd(live.fd, "x.snap", NULL, &snap, &err), 0);
    live.bytes[stasis_snap_chunk_at(snap, 50).offset] ^= 1;
    live.bytes[stasis_snap_chunk_at(snap, 51).offset] ^= 1;
    for (unsigned threads = 0; threads < 4; threads++) {
        assert_int_equal(stasis_snap_verify(snap, threads, NULL, NULL, &err), STASIS_ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "x.snap: chunk 50, guest address 0x511000, file offset"));
    }
    stasis_snap_free(snap);
    live_fini(&live);
    image_fini(&image);
    built_fini(&built);
}

struct seen {
    uint64_t done;
    uint64_t total;
};

static bool see(void *ctx, uint64_t done, uint64_t total)
{
    struct seen *seen = ctx;

    assert_true(done >= seen->done && done <= total);
    *seen = (struct seen){done, total};
    return true;
}

static void progress_ends_at_the_total(void **state)
{
    struct stasis_error err = {0};
    struct seen seen = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &snap, &err), 0);
    assert_int_equal(stasis_snap_verify(snap, 2, see, &seen, &err), 0);
    assert_int_equal(seen.total, (6 << 20) + 8192);
    assert_int_equal(seen.done, seen.total);
    stasis_snap_free(snap);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

static void a_file_that_shrinks_is_noticed(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    int fd;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &snap, &err), 0);
    assert_int_equal(ftruncate(fd, (off_t)image.len - 4096), 0);
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "chunk 3"));
    assert_non_null(strstr(err.msg, "shorter"));
    stasis_snap_free(snap);
    close(fd);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_of_a_file_counts),
        cmocka_unit_test(every_bit_of_a_stream_counts),
        cmocka_unit_test(bits_of_a_file_with_digests_count),
        cmocka_unit_test(bits_of_a_file_of_version_1_count),
        cmocka_unit_test(bits_of_every_chunk_count),
        cmocka_unit_test(gaps_are_checked_to_the_last_byte),
        cmocka_unit_test(the_first_bad_chunk_is_named),
        cmocka_unit_test(progress_ends_at_the_total),
        cmocka_unit_test(a_file_that_shrinks_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
