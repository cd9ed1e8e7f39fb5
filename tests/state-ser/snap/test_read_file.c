/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What an open refuses, and with which code and words.
 */
#include "tests/state-ser/snap/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/le.h"

struct images {
    struct image file;
    struct image stream;
};

static int setup(void **state)
{
    struct images *images = malloc(sizeof(*images));
    struct built built;

    built_small(&built);
    images->file = image_of(&built);
    images->stream = image_of_stream(&built);
    built_fini(&built);
    *state = images;
    return 0;
}

static int teardown(void **state)
{
    struct images *images = *state;

    image_fini(&images->file);
    image_fini(&images->stream);
    free(images);
    return 0;
}

/* Takes the image, and expects this code and these words. */
static void expect(struct image image, int code, const char *words)
{
    struct stasis_error err = {0};
    int rc = check_image(&image, &err);

    if (rc != code || err.code != (enum stasis_err)code || !strstr(err.msg, words))
        fail_msg("got %d \"%s\", expected %d \"%s\"", rc, err.msg, code, words);
    image_fini(&image);
}

static void an_untouched_snapshot_is_accepted(void **state)
{
    const struct images *images = *state;
    struct stasis_error err = {0};

    if (check_image(&images->file, &err) || check_image(&images->stream, &err))
        fail_msg("%s", err.msg);
}

static void truncate_at(const struct image *whole, size_t len)
{
    struct image image = image_copy(whole);
    struct stasis_error err = {0};

    image_resize(&image, len);
    if (check_image(&image, &err) != STASIS_ERR_CORRUPT)
        fail_msg("cut to %zu of %zu bytes: %d %s", len, whole->len, err.code, err.msg);
    image_fini(&image);
}

static void truncation_is_refused(void **state)
{
    const struct images *images = *state;
    const struct image *both[] = {&images->file, &images->stream};

    for (size_t i = 0; i < 2; i++) {
        for (size_t len = 0; len <= STASIS_HEADER_LEN + 8; len++)
            truncate_at(both[i], len);
        for (size_t len = 4096; len < both[i]->len; len += 4096)
            truncate_at(both[i], len);
        for (unsigned type = STASIS_SECTION_STATE; type <= STASIS_SECTION_DATA; type++) {
            const uint8_t *entry = image_section(both[i], (enum stasis_section_type)type);
            size_t end = section_offset(entry) + section_length(entry);

            truncate_at(both[i], section_offset(entry));
            truncate_at(both[i], end - 1);
            if (end < both[i]->len)
                truncate_at(both[i], end);
        }
    }
}

static void lengths_are_told(void **state)
{
    const struct images *images = *state;
    struct image image = image_copy(&images->file);
    char words[64];

    snprintf(words, sizeof(words), "truncated: %zu of %zu bytes", image.len - 1, image.len);
    image_resize(&image, image.len - 1);
    expect(image, STASIS_ERR_CORRUPT, words);
    image = image_copy(&images->file);
    image_resize(&image, image.len + 1);
    expect(image, STASIS_ERR_CORRUPT, "longer than");
    image = image_copy(&images->stream);
    image_resize(&image, image.len + 1);
    expect(image, STASIS_ERR_CORRUPT, "no trailer");
    image = image_copy(&images->file);
    image_resize(&image, 0);
    expect(image, STASIS_ERR_CORRUPT, "not a Stasis snapshot");
    image = image_copy(&images->file);
    image.bytes[0] = 'x';
    expect(image, STASIS_ERR_CORRUPT, "not a Stasis snapshot");
}

/* One field of the header changed, under a right CRC. */
static void with_field(const struct images *images, size_t at, unsigned bytes, uint64_t value,
                       int code, const char *words)
{
    struct image image = image_copy(&images->file);

    for (unsigned i = 0; i < bytes; i++)
        image.bytes[at + i] = (uint8_t)(value >> (8 * i));
    image_reseal(&image);
    expect(image, code, words);
}

static void the_future_is_named(void **state)
{
    const struct images *images = *state;

    with_field(images, STASIS_HDR_VERSION, 4, 7, STASIS_ERR_VERSION, "format version 7");
    with_field(images, STASIS_HDR_VERSION, 4, 7, STASIS_ERR_VERSION, "stasis " STASIS_VERSION);
    with_field(images, STASIS_HDR_INCOMPATIBLE, 8, 4, STASIS_ERR_VERSION,
               "bit 2 (a feature of a later version), written by stasis");
    with_field(images, STASIS_HDR_INCOMPATIBLE, 8, 16, STASIS_ERR_CORRUPT, "cannot name 0 files");
    with_field(images, STASIS_HDR_INCOMPATIBLE, 8, 32, STASIS_ERR_VERSION,
               "it holds a disk, not a guest (incompatible feature bit 5), written by stasis");
    with_field(images, STASIS_HDR_INCOMPATIBLE, 8, UINT64_C(1) << 63, STASIS_ERR_VERSION,
               "bit 63 (a feature of a later version)");
    with_field(images, STASIS_HDR_CHUNK_SIZE, 4, 1 << 20, STASIS_ERR_VERSION, "other sizes");
    with_field(images, STASIS_HDR_PAGE_SIZE, 4, 16384, STASIS_ERR_VERSION, "other sizes");
    with_field(images, STASIS_HDR_SECTION_SIZE, 4, 64, STASIS_ERR_VERSION, "other sizes");
}

static void header_fields_are_checked(void **state)
{
    const struct images *images = *state;
    const uint64_t len = images->file.len;

    with_field(images, STASIS_HDR_LENGTH, 4, 2048, STASIS_ERR_CORRUPT, "2048 bytes");
    with_field(images, STASIS_HDR_PRODUCER, 1, 0x1b, STASIS_ERR_CORRUPT, "producer");
    with_field(images, STASIS_HDR_PRODUCER, 1, 0, STASIS_ERR_CORRUPT, "producer");
    with_field(images, STASIS_HDR_PRODUCER + 31, 1, 'x', STASIS_ERR_CORRUPT, "producer");
    with_field(images, STASIS_HDR_PARENT, 1, 1, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HDR_PARENT_ROOT, 1, 1, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HDR_SECTION_COUNT - 1, 1, 1, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HDR_RESERVED, 1, 1, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HEADER_LEN - 1, 1, 1, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HDR_SECTIONS + 28, 1, 1, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HDR_FILE_LEN, 8, len + 1, STASIS_ERR_CORRUPT, "truncated");
    with_field(images, STASIS_HDR_FILE_LEN, 8, len - 1, STASIS_ERR_CORRUPT, "longer");
    with_field(images, STASIS_HDR_RAM_BYTES, 8, 8192, STASIS_ERR_CORRUPT, "index");
    with_field(images, STASIS_HDR_RAM_BYTES, 8, UINT64_MAX, STASIS_ERR_CORRUPT, "of RAM, at most");
    with_field(images, STASIS_HDR_STORED_BYTES, 8, 8192, STASIS_ERR_CORRUPT, "the header says");
    with_field(images, STASIS_HDR_SECTION_COUNT, 4, 2, STASIS_ERR_CORRUPT, "reserved");
    with_field(images, STASIS_HDR_SECTION_COUNT, 4, 26, STASIS_ERR_CORRUPT, "26 sections");
    with_field(images, STASIS_HDR_SECTION_COUNT, 4, UINT32_MAX, STASIS_ERR_CORRUPT, "sections");
}

static void a_compatible_feature_is_ignored(void **state)
{
    const struct images *images = *state;
    struct image image = image_copy(&images->file);
    struct stasis_error err = {0};

    image.bytes[STASIS_HDR_COMPATIBLE] = 1;
    image.bytes[STASIS_HDR_PARENT_ROOT] = 0xaa;
    image_reseal(&image);
    if (check_image(&image, &err))
        fail_msg("%s", err.msg);
    image_fini(&image);
}

static void another_architecture_is_left_to_the_caller(void **state)
{
    const struct images *images = *state;
    struct image image = image_copy(&images->file);
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    int fd;

    image.bytes[STASIS_HDR_ARCH] = STASIS_ARCH_AARCH64;
    image_reseal(&image);
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "test", NULL, &snap, &err), 0);
    assert_int_equal(stasis_snap_info(snap)->arch, STASIS_ARCH_AARCH64);
    stasis_snap_free(snap);
    close(fd);
    image_fini(&image);
}

/* Number i of the table: 0 state, 1 index, 2 schema, 3 data; field: its offset in the entry. */
static void with_entry(const struct images *images, unsigned i, unsigned field, unsigned bytes,
                       uint64_t value, int code, const char *words)
{
    with_field(images, STASIS_HDR_SECTIONS + i * STASIS_SECTION_ENTRY_LEN + field, bytes, value,
               code, words);
}

static void the_section_table_is_checked(void **state)
{
    const struct images *images = *state;
    const uint8_t *data = image_section(&images->file, STASIS_SECTION_DATA);
    const uint64_t data_len = section_length(data);

    with_entry(images, 3, 0, 4, 4, STASIS_ERR_VERSION, "type 4 is unknown");
    with_entry(images, 3, 0, 4, UINT32_MAX, STASIS_ERR_VERSION, "is unknown");
    with_entry(images, 3, 0, 4, 0, STASIS_ERR_CORRUPT, "has no type");
    with_entry(images, 3, 0, 4, 2, STASIS_ERR_CORRUPT, "is a second one");
    with_entry(images, 2, 4, 4, 0, STASIS_ERR_VERSION, "type 4 is unknown");
    with_entry(images, 2, 4, 4, 3, STASIS_ERR_VERSION, "is unknown");
    with_entry(images, 3, 4, 4, 1, STASIS_ERR_CORRUPT, "is optional");
    with_entry(images, 3, 4, 4, 2, STASIS_ERR_VERSION, "is unknown");
    with_entry(images, 3, 8, 8, 0, STASIS_ERR_CORRUPT, "overlaps");
    with_entry(images, 3, 8, 8, UINT64_MAX, STASIS_ERR_CORRUPT, "overlaps");
    with_entry(images, 3, 16, 8, UINT64_MAX, STASIS_ERR_CORRUPT, "overlaps");
    with_entry(images, 3, 16, 8, data_len - 4096, STASIS_ERR_CORRUPT, "does not end the file");
    with_entry(images, 3, 24, 4, 1, STASIS_ERR_CORRUPT, "has a CRC");
    with_entry(images, 0, 8, 8, 1023, STASIS_ERR_CORRUPT, "overlaps");
    with_entry(images, 0, 16, 8, 0, STASIS_ERR_CORRUPT, "state section has 0 bytes");
    with_entry(images, 1, 16, 8, 0, STASIS_ERR_CORRUPT, "index section has 0 bytes");
    with_entry(images, 1, 16, 8, 8, STASIS_ERR_CORRUPT, "the index is too short");
    with_entry(images, 1, 16, 8, 16, STASIS_ERR_CORRUPT, "cannot hold 2 regions");
}

static void data_starts_on_a_page(void **state)
{
    const struct images *images = *state;
    struct image image = image_copy(&images->file);
    uint8_t *data = image_section(&image, STASIS_SECTION_DATA);

    stasis_le64_put(data + 8, section_offset(data) - 8);
    stasis_le64_put(data + 16, section_length(data) + 8);
    image_reseal(&image);
    expect(image, STASIS_ERR_CORRUPT, "page boundary");
}

static void swap_entries(struct image *image, unsigned a, unsigned b, unsigned from, unsigned len)
{
    uint8_t *pa = image->bytes + STASIS_HDR_SECTIONS + a * STASIS_SECTION_ENTRY_LEN + from;
    uint8_t *pb = image->bytes + STASIS_HDR_SECTIONS + b * STASIS_SECTION_ENTRY_LEN + from;
    uint8_t keep[STASIS_SECTION_ENTRY_LEN];

    memcpy(keep, pa, len);
    memcpy(pa, pb, len);
    memcpy(pb, keep, len);
}

static void swapped_sections_are_refused(void **state)
{
    static const unsigned mandatory[] = {0, 1, 3};
    const struct images *images = *state;

    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < i; j++) {
            struct image image = image_copy(&images->file);
            unsigned a = mandatory[i], b = mandatory[j];

            swap_entries(&image, a, b, 0, STASIS_SECTION_ENTRY_LEN);
            image_reseal(&image);
            expect(image, STASIS_ERR_CORRUPT, "overlaps");
            image = image_copy(&images->file);
            swap_entries(&image, a, b, 0, 4); /* the types only */
            image_reseal(&image);
            expect(image, STASIS_ERR_CORRUPT, "test: ");
        }
    }
}

/* Puts a section of 16 bytes before the data: there is room before the next page. */
static struct image with_extra_section(const struct images *images, uint32_t type, uint32_t flags)
{
    struct image image = image_copy(&images->file);
    uint8_t *table = image.bytes + STASIS_HDR_SECTIONS;
    uint8_t *schema = image_section(&image, STASIS_SECTION_SCHEMA);
    uint64_t at = section_offset(schema) + section_length(schema);

    assert_true(at + 16 <= section_offset(image_section(&image, STASIS_SECTION_DATA)));
    memmove(table + 4 * 32, table + 3 * 32, 32);
    memset(table + 3 * 32, 0, 32);
    memset(image.bytes + at, 0xee, 16);
    stasis_le32_put(table + 3 * 32, type);
    stasis_le32_put(table + 3 * 32 + 4, flags);
    stasis_le64_put(table + 3 * 32 + 8, at);
    stasis_le64_put(table + 3 * 32 + 16, 16);
    stasis_le32_put(table + 3 * 32 + 24, stasis_crc32(image.bytes + at, 16));
    image.bytes[STASIS_HDR_SECTION_COUNT] = 5;
    image_reseal(&image);
    return image;
}

static void unknown_sections_are_skipped_only_if_optional(void **state)
{
    const struct images *images = *state;
    struct image image = with_extra_section(images, 6, 1);
    struct stasis_error err = {0};

    if (check_image(&image, &err))
        fail_msg("%s", err.msg);
    image.bytes[section_offset(image.bytes + STASIS_HDR_SECTIONS + 96)] ^= 1;
    expect(image, STASIS_ERR_CORRUPT, "the section of type 6 is damaged");
    expect(with_extra_section(images, 6, 0), STASIS_ERR_VERSION, "type 6 is unknown");
    expect(with_extra_section(images, 5, 0), STASIS_ERR_VERSION, "type 5 is unknown");
    expect(with_extra_section(images, 4, 1), STASIS_ERR_CORRUPT, "type 4 is a second one");
}

/* A tiny file that claims much is refused without the memory it asks for. */
static void huge_counts_allocate_nothing(void **state)
{
    const struct images *images = *state;
    pid_t child = fork();

    if (child == 0) {
        struct image image = image_copy(&images->file);
        uint8_t *index = image.bytes + section_offset(image_section(&image, STASIS_SECTION_INDEX));
        struct stasis_error err = {0};
        int rc;

#ifndef __SANITIZE_ADDRESS__ /* which maps terabytes of its own */
        setrlimit(RLIMIT_AS, &(struct rlimit){256 << 20, 256 << 20});
#endif
        stasis_le64_put(index + 16 + 16 + 8, UINT64_C(1) << 41);
        stasis_le64_put(image.bytes + STASIS_HDR_RAM_BYTES, (UINT64_C(1) << 41) + 8192);
        image_reseal(&image);
        rc = check_image(&image, &err);
        image_fini(&image);
        _exit(rc == STASIS_ERR_CORRUPT && strstr(err.msg, "its entries need") ? 0 : 1);
    }
    child_wait(child);
}

/* Nor does a file that is long because it is full of holes. */
static void sparse_file(const struct images *images, uint64_t more, const char *words)
{
    struct image image = image_copy(&images->file);
    uint8_t *index = image_section(&image, STASIS_SECTION_INDEX);
    uint8_t *schema = image_section(&image, STASIS_SECTION_SCHEMA);
    uint8_t *data = image_section(&image, STASIS_SECTION_DATA);
    struct stasis_error err = {0};
    int fd;

    stasis_le64_put(index + 16, section_length(index) + more);
    stasis_le64_put(schema + 8, section_offset(schema) + more);
    stasis_le64_put(data + 8, section_offset(data) + more);
    stasis_le64_put(image.bytes + STASIS_HDR_FILE_LEN, image.len + more);
    image_reseal(&image);
    fd = image_fd(&image);
    assert_int_equal(ftruncate(fd, (off_t)(image.len + more)), 0);
    assert_int_equal(check_fd(fd, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, words));
    close(fd);
    image_fini(&image);
}

static void a_sparse_file_allocates_nothing(void **state)
{
    sparse_file(*state, 32 << 20, "the index section has");
    sparse_file(*state, UINT64_C(1) << 40, "longer than its header allows");
}

static void files_that_are_no_snapshot_are_refused(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap = NULL;

    (void)state;
    assert_int_equal(stasis_snap_open("/nonexistent/x", NULL, &snap, &err), STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/x"));
    assert_int_equal(stasis_snap_open("/tmp", NULL, &snap, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_open("/dev/null", NULL, &snap, &err), STASIS_ERR_CORRUPT);
    assert_int_equal(stasis_snap_open("/dev/zero", NULL, &snap, &err), STASIS_ERR_CORRUPT);
    assert_int_equal(stasis_snap_open_fd(-1, "closed", NULL, &snap, &err), STASIS_ERR_READ);
    assert_null(snap);
}

static void only_an_opened_snapshot_came_with_schemas(void **state)
{
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_small(&built);
    assert_int_equal(stasis_snap_read_schemas(built.snap, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "only an opened snapshot"));
    assert_null(stasis_snap_schemas(built.snap));
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_snapshot_is_accepted),
        cmocka_unit_test(only_an_opened_snapshot_came_with_schemas),
        cmocka_unit_test(truncation_is_refused),
        cmocka_unit_test(lengths_are_told),
        cmocka_unit_test(the_future_is_named),
        cmocka_unit_test(header_fields_are_checked),
        cmocka_unit_test(a_compatible_feature_is_ignored),
        cmocka_unit_test(another_architecture_is_left_to_the_caller),
        cmocka_unit_test(the_section_table_is_checked),
        cmocka_unit_test(data_starts_on_a_page),
        cmocka_unit_test(swapped_sections_are_refused),
        cmocka_unit_test(unknown_sections_are_skipped_only_if_optional),
        cmocka_unit_test(huge_counts_allocate_nothing),
        cmocka_unit_test(a_sparse_file_allocates_nothing),
        cmocka_unit_test(files_that_are_no_snapshot_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
