/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is written is what is read, and it lies where the format says.
 */
#include "tests/state-ser/snap/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/le.h"

static void round_trip(void (*make)(struct built *), struct image (*save)(struct built *))
{
    struct stasis_serial_state serial;
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    make(&built);
    image = save(&built);
    snap = image_reopen(&image);
    assert_int_equal(stasis_snap_info(snap)->arch, STASIS_ARCH_X86_64);
    assert_string_equal(stasis_snap_info(snap)->producer, "stasis " STASIS_VERSION);
    assert_int_equal(stasis_snap_info(snap)->file_len, image.len);
    assert_int_equal(stasis_snap_info(snap)->uuid[6] >> 4, 4);
    assert_int_equal(stasis_snap_info(snap)->uuid[8] >> 6, 2);
    assert_int_equal(
        stasis_records_get(stasis_snap_records(snap), &stasis_serial_schema, "com1", &serial, &err),
        0);
    assert_int_equal(serial.scr, 0x5a);
    for (unsigned threads = 0; threads < 3; threads++)
        assert_same_ram(snap, &built, threads);
    if (stasis_snap_verify(snap, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void files_and_streams_come_back(void **state)
{
    (void)state;
    round_trip(built_small, image_of);
    round_trip(built_large, image_of);
    round_trip(built_small, image_of_stream);
    round_trip(built_large, image_of_stream);
}

static void no_ram(struct built *built)
{
    built_init(built);
}

static void only_zeros(struct built *built)
{
    built_init(built);
    built_add(built, 0x1000, 0x21000);
}

/* One behind the other for the guest, apart for the host; the last chunk of the first is short. */
static void neighbours(struct built *built)
{
    built_init(built);
    built_add(built, 0, STASIS_CHUNK_SIZE + 4096);
    built_add(built, STASIS_CHUNK_SIZE + 4096, STASIS_CHUNK_SIZE);
    built_add(built, 2 * STASIS_CHUNK_SIZE + 4096, 4 << 20);
    for (unsigned r = 0; r < 3; r++)
        fill_random(built->ram[r], built->size[r], 30 + r);
}

static void regions_side_by_side_come_back(void **state)
{
    (void)state;
    round_trip(neighbours, image_of);
    round_trip(neighbours, image_of_stream);
}

static void empty_and_zero_ram_come_back(void **state)
{
    (void)state;
    round_trip(no_ram, image_of);
    round_trip(no_ram, image_of_stream);
    round_trip(only_zeros, image_of);
    round_trip(only_zeros, image_of_stream);
}

static void equal_snapshots_give_equal_bytes(void **state)
{
    struct image (*const saves[])(struct built *) = {image_of, image_of_stream};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct built built;
        struct image a;
        struct image b;

        built_large(&built);
        a = saves[i](&built);
        b = saves[i](&built);
        assert_int_equal(a.len, b.len);
        assert_memory_not_equal(a.bytes + STASIS_HDR_UUID, b.bytes + STASIS_HDR_UUID, 16);
        image_wipe_identity(&a);
        image_wipe_identity(&b);
        assert_memory_equal(a.bytes, b.bytes, a.len);
        image_fini(&a);
        image_fini(&b);
        built_fini(&built);
    }
}

static void raw_chunks_lie_where_they_can_be_mapped(void **state)
{
    const uint64_t huge = 2 << 20;
    struct stasis_snap *snap;
    struct built built;
    struct image image;
    unsigned congruent = 0;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    snap = image_reopen(&image);
    for (uint64_t i = 0; i < stasis_snap_chunk_count(snap); i++) {
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);

        if (chunk.kind == STASIS_CHUNK_ZERO)
            continue;
        assert_int_equal(chunk.offset % STASIS_PAGE_SIZE, 0);
        if (chunk.gpa >= 0x400000 && chunk.gpa < 0x600000) {
            assert_int_equal(chunk.offset % huge, chunk.gpa % huge);
            congruent++;
        }
    }
    assert_int_equal(congruent, 32);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void zero_chunks_and_gaps_take_no_disk(void **state)
{
    struct stasis_save_stats stats;
    struct stasis_error err = {0};
    struct built built;
    struct stat st;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/snap", folder_make());
    built_init(&built);
    built_add(&built, 0x100000, 8 << 20);
    fill_random(built.ram[0], 4 << 20, 9);
    assert_int_equal(stasis_snap_save(built.snap, path, NULL, &stats, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(stats.stored_bytes, 4 << 20);
    assert_int_equal(stats.zero_bytes, 4 << 20);
    assert_int_equal(stats.file_bytes, st.st_size);
    assert_int_equal(stasis_snap_info(built.snap)->file_len, st.st_size);
    assert_int_equal(st.st_size, (5 << 20));
    assert_true(st.st_blocks * 512 < (4 << 20) + 65536);
    built_fini(&built);
    folder_remove();
}

static void ram_is_added_in_order_and_whole_pages(void **state)
{
    static uint8_t host[4096];
    struct stasis_error err = {0};
    struct built built;
    struct stasis_snap *snap;

    (void)state;
    built_init(&built);
    snap = built.snap;
    assert_int_equal(stasis_snap_add_ram(snap, 1, host, 4096, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, 0, host, 100, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, 0, host, 0, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, 0, NULL, 4096, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, UINT64_MAX - 4095, host, 4096, &err),
                     STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, 4096, host, UINT64_MAX - 4095, &err),
                     STASIS_ERR_ARG);
    built_add(&built, 0x10000, 0x10000);
    assert_int_equal(stasis_snap_add_ram(snap, 0, host, 4096, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, 0xf000, host, 4096, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_add_ram(snap, 0x1f000, host, 4096, &err), STASIS_ERR_EXISTS);
    for (uint64_t i = 1; i < STASIS_RAM_REGION_MAX; i++)
        assert_int_equal(stasis_snap_add_ram(snap, 0x20000 + i * 8192, host, 4096, &err), 0);
    assert_int_equal(stasis_snap_add_ram(snap, 0x1000000, host, 4096, &err), STASIS_ERR_FULL);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_streams_come_back),
        cmocka_unit_test(empty_and_zero_ram_come_back),
        cmocka_unit_test(regions_side_by_side_come_back),
        cmocka_unit_test(equal_snapshots_give_equal_bytes),
        cmocka_unit_test(raw_chunks_lie_where_they_can_be_mapped),
        cmocka_unit_test(zero_chunks_and_gaps_take_no_disk),
        cmocka_unit_test(ram_is_added_in_order_and_whole_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
