/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Who wrote a snapshot, which one it is, and when: as the caller of a save says.
 */
#include "tests/state-ser/snap/fixture.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static const char longest[] = "acme-emulator 3.1 (build 1234-x)"; /* 32 characters */

/* The only record of a file, as a program of the future describes it. */
static const struct stasis_field disk_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .elem_size = 1,
     .max = 1,
     .mask = 0xff,
     .name = "head",
     .doc = "position"},
};
static const struct stasis_schema disk = {.type = "acme.disk",
                                          .version = 1,
                                          .size = 1,
                                          .fields = disk_fields,
                                          .field_count = 1,
                                          .doc = "disk"};
static const struct stasis_schema newer_disk = {.type = "acme.disk",
                                                .version = 2,
                                                .size = 1,
                                                .fields = disk_fields,
                                                .field_count = 1,
                                                .doc = "disk"};
static const struct stasis_schema *const known[] = {&disk};
static const struct stasis_parse_opts parse_opts = {
    .size = sizeof(parse_opts), .schemas = known, .schema_count = 1};

static int open_image(const struct image *image, struct stasis_snap **ret_snap,
                      struct stasis_error *err)
{
    int fd = image_fd(image);
    int rc = stasis_snap_open_fd(fd, "test", &parse_opts, ret_snap, err);

    close(fd);
    return rc;
}

static void assert_producer(const struct image *image, const char *producer)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;

    if (open_image(image, &snap, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(stasis_snap_info(snap)->producer, producer);
    stasis_snap_free(snap);
}

static void a_program_names_itself(void **state)
{
    static const char *const names[] = {"a", "acme-emu 3.1", " ~", longest};
    struct built built;

    (void)state;
    built_small(&built);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct stasis_save_opts opts = {.size = sizeof(opts), .producer = names[i]};
        struct image file = image_of_with(&built, &opts);
        struct image stream = image_of_stream_with(&built, &opts);

        assert_producer(&file, names[i]);
        assert_producer(&stream, names[i]);
        assert_string_equal(stasis_snap_info(built.snap)->producer, names[i]);
        image_fini(&file);
        image_fini(&stream);
    }
    built_fini(&built);
}

static void no_name_is_the_librarys(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts)};
    struct image image;
    struct built built;

    (void)state;
    built_small(&built);
    image = image_of_with(&built, &opts);
    assert_producer(&image, "stasis " STASIS_VERSION);
    image_fini(&image);
    built_fini(&built);
}

/* What a reader would call corrupt is not written. */
static void a_name_that_no_header_holds_is_refused(void **state)
{
    static const char *const names[] = {
        "", "acme-emulator 3.1 (build 12345-x)", "a\nb", "a\x1f", "a\x7f", "\xc3\xa4", "\t"};
    struct built built;

    (void)state;
    built_small(&built);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct stasis_save_opts opts = {.size = sizeof(opts), .producer = names[i]};
        struct stasis_error err = {0};
        char path[64];

        snprintf(path, sizeof(path), "%s/snap", folder_make());
        assert_int_equal(stasis_snap_save(built.snap, path, &opts, NULL, &err), STASIS_ERR_ARG);
        assert_int_equal(err.code, STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "the producer must be 1 to 32 printable ASCII"));
        assert_int_equal(access(path, F_OK), -1);
        folder_remove();
    }
    built_fini(&built);
}

/* A program that meets a newer file of itself is told to get a newer program, not a newer Stasis.
 */
static void reader_of_an_unreadable_file_is_told_its_program(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .producer = "acme-emu 4.0"};
    const uint8_t head = 7;
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct image image;
    struct built built;

    (void)state;
    built_init(&built);
    assert_int_equal(
        stasis_records_add(stasis_snap_records(built.snap), &newer_disk, "hd0", &head, &err), 0);
    image = image_of_with(&built, &opts);
    assert_int_equal(open_image(&image, &snap, &err), STASIS_ERR_VERSION);
    assert_string_equal(err.msg, "test: written by acme-emu 4.0: record acme.disk hd0 has version "
                                 "2, this release reads up to 1: use the program that wrote it");
    image_fini(&image);
    built_fini(&built);
}

static const uint8_t uuid[STASIS_UUID_SIZE] = {1, 2,  3,  4,  5,  6,  7,  8,
                                               9, 10, 11, 12, 13, 14, 15, 0};
static const uint64_t created_ns = UINT64_C(0xfedcba9876543210);

static void a_given_uuid_and_time_are_written(void **state)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .uuid = uuid, .created_ns = &created_ns};
    struct stasis_error err;
    struct stasis_snap *snap;
    struct image image;
    struct built built;

    (void)state;
    built_small(&built);
    image = image_of_with(&built, &opts);
    assert_int_equal(open_image(&image, &snap, &err), 0);
    assert_memory_equal(stasis_snap_info(snap)->uuid, uuid, sizeof(uuid));
    assert_int_equal(stasis_snap_info(snap)->created_ns, created_ns);
    assert_memory_equal(stasis_snap_info(built.snap)->uuid, uuid, sizeof(uuid));
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Each can be given without the other. */
static void uuid_and_time_not_given_are_random_and_now(void **state)
{
    const struct stasis_save_opts only_uuid = {.size = sizeof(only_uuid), .uuid = uuid};
    const struct stasis_save_opts only_time = {.size = sizeof(only_time),
                                               .created_ns = &created_ns};
    const struct stasis_snap_info *info;
    uint8_t first[STASIS_UUID_SIZE];
    uint64_t before = now_ns();
    struct image image;
    struct built built;

    (void)state;
    built_small(&built);
    info = stasis_snap_info(built.snap);
    image = image_of_with(&built, &only_uuid);
    assert_memory_equal(info->uuid, uuid, sizeof(uuid));
    assert_in_range(info->created_ns, before, now_ns());
    image_fini(&image);
    image = image_of_with(&built, &only_time);
    assert_int_equal(info->created_ns, created_ns);
    memcpy(first, info->uuid, sizeof(first));
    assert_memory_not_equal(first, uuid, sizeof(uuid));
    assert_int_equal(first[6] & 0xf0, 0x40);
    assert_int_equal(first[8] & 0xc0, 0x80);
    image_fini(&image);
    image = image_of_with(&built, &only_time);
    assert_memory_not_equal(info->uuid, first, sizeof(first));
    image_fini(&image);
    built_fini(&built);
}

/* Two objects that hold the same, in memory at other addresses, saved by other numbers of threads.
 */
static void assert_equal_files(struct image (*save)(struct built *built,
                                                    const struct stasis_save_opts *opts),
                               unsigned zlib_level)
{
    struct stasis_save_opts opts = {.size = sizeof(opts),
                                    .zlib_level = zlib_level,
                                    .threads = 1,
                                    .producer = "acme-emu 3.1",
                                    .uuid = uuid,
                                    .created_ns = &created_ns};
    struct image images[2];

    for (int i = 0; i < 2; i++) {
        struct stasis_error err = {0};
        struct built built;

        built_large(&built);
        assert_int_equal(
            stasis_notes_set(stasis_snap_notes(built.snap), i ? "a" : "b", "of both", &err), 0);
        assert_int_equal(
            stasis_notes_set(stasis_snap_notes(built.snap), i ? "b" : "a", "of both", &err), 0);
        images[i] = save(&built, &opts);
        built_fini(&built);
        opts.threads = 4;
    }
    assert_int_equal(images[0].len, images[1].len);
    assert_memory_equal(images[0].bytes, images[1].bytes, images[0].len);
    image_fini(&images[0]);
    image_fini(&images[1]);
}

static void equal_machines_give_equal_files(void **state)
{
    (void)state;
    assert_equal_files(image_of_with, 0);
    assert_equal_files(image_of_with, 1);
    assert_equal_files(image_of_with, 12);
    assert_equal_files(image_of_stream_with, 0);
    assert_equal_files(image_of_stream_with, 1);
}

/* Of the guest; a file of any machine is read, and whole. */
static void any_elf_machine_is_written_and_read(void **state)
{
    static const uint32_t machines[] = {0, 4, 243, 258, 0x9026, INT32_MAX, 0x80000000, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        struct built built = {.snap = stasis_snap_new(machines[i])};
        struct stasis_error err = {0};
        struct stasis_snap *snap;
        struct image image;

        assert_int_equal(stasis_snap_info(built.snap)->arch, machines[i]);
        built_add(&built, 0, STASIS_PAGE_SIZE);
        image = image_of(&built);
        assert_int_equal(open_image(&image, &snap, &err), 0);
        assert_int_equal(stasis_snap_info(snap)->arch, machines[i]);
        assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), 0);
        stasis_snap_free(snap);
        image_fini(&image);
        built_fini(&built);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_names_itself),
        cmocka_unit_test(no_name_is_the_librarys),
        cmocka_unit_test(a_name_that_no_header_holds_is_refused),
        cmocka_unit_test(reader_of_an_unreadable_file_is_told_its_program),
        cmocka_unit_test(a_given_uuid_and_time_are_written),
        cmocka_unit_test(uuid_and_time_not_given_are_random_and_now),
        cmocka_unit_test(equal_machines_give_equal_files),
        cmocka_unit_test(any_elf_machine_is_written_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
