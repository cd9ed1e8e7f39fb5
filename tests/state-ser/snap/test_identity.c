/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Who wrote a snapshot, which one it is, and when: as the caller of a save says.
 */
#include "tests/state-ser/snap/fixture.h"

#include <string.h>
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
static void who_cannot_read_a_file_is_told_its_program(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_names_itself),
        cmocka_unit_test(no_name_is_the_librarys),
        cmocka_unit_test(a_name_that_no_header_holds_is_refused),
        cmocka_unit_test(who_cannot_read_a_file_is_told_its_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
