/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/compress.h"
#include "state-ser/snap/le.h"
#include "tools/inspect.h"

static struct run run;
static struct built built;

static int set_up(void **state)
{
    built_machine(&built);
    return setup_folder(state);
}

static int tear_down(void **state)
{
    built_fini(&built);
    run_fini(&run);
    return teardown_folder(state);
}

static void migrate(const char *from, const char *to)
{
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder(from), in_folder(to), NULL);
}

static void open_file(const char *name, struct stasis_snap **ret_snap)
{
    struct stasis_error err;

    assert_int_equal(stasis_snap_open(in_folder(name), NULL, ret_snap, &err), 0);
}

/* All but the identity of the file. */
static void assert_same_guest(const char *a, const char *b)
{
    struct stasis_snap *x, *y;
    uint8_t *x_bytes, *y_bytes;
    size_t x_len, y_len;

    open_file(a, &x);
    open_file(b, &y);
    assert_int_equal(stasis_snap_info(x)->format_version, 2);
    assert_int_equal(stasis_snap_info(y)->format_version, 1); /* which 0.1.0 reads */
    assert_int_equal(stasis_records_encode(stasis_snap_records(x), &x_bytes, &x_len, NULL), 0);
    assert_int_equal(stasis_records_encode(stasis_snap_records(y), &y_bytes, &y_len, NULL), 0);
    assert_int_equal(x_len, y_len);
    assert_memory_equal(x_bytes, y_bytes, x_len);
    assert_int_equal(stasis_snap_chunk_count(x), stasis_snap_chunk_count(y));
    for (uint64_t i = 0; i < stasis_snap_chunk_count(x); i++) {
        static uint8_t left[STASIS_CHUNK_SIZE], right[STASIS_CHUNK_SIZE];
        uint32_t size = stasis_snap_chunk_at(x, i).size;

        assert_int_equal(stasis_snap_read_chunk(x, i, left, NULL), 0);
        assert_int_equal(stasis_snap_read_chunk(y, i, right, NULL), 0);
        assert_memory_equal(left, right, size);
        assert_int_equal(stasis_snap_chunk_at(x, i).kind, stasis_snap_chunk_at(y, i).kind);
    }
    free(x_bytes);
    free(y_bytes);
    stasis_snap_free(x);
    stasis_snap_free(y);
}

static void the_guest_stays_the_same(void **state)
{
    struct stat st;

    (void)state;
    save_to(&built, in_folder("a.snap"));
    migrate("a.snap", "b.snap");
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "b.snap: ");
    assert_same_guest("a.snap", "b.snap");
    assert_int_equal(stat(in_folder("b.snap"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static const char *changes; /* the file that somebody writes to while another is saved */

int __real_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err);
int __wrap_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err);
int __wrap_stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                                   const struct stasis_save_opts *opts,
                                   struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    int fd = changes ? open(in_folder(changes), O_RDWR | O_CLOEXEC) : -1;
    uint8_t bytes[4096];
    ssize_t n;

    for (off_t at = 0; fd >= 0 && (n = pread(fd, bytes, sizeof(bytes), at)) > 0; at += n) {
        for (ssize_t i = 0; i < n; i++)
            bytes[i] ^= 0xff;
        assert_int_equal(pwrite(fd, bytes, (size_t)n, at), n);
    }
    if (fd >= 0)
        close(fd);
    return __real_stasis_snap_save_output(snap, output, opts, ret_stats, err);
}

/* What was verified is what is saved. */
static void the_old_file_changes_meanwhile(void **state)
{
    char from[256];
    char to[256];
    char *const operands[] = {from, to};
    const struct stasis_inspect_args args = {
        .operands = operands, .operand_count = 2, .values = {"0.1.0"}};
    FILE *out = tmpfile();

    (void)state;
    save_to(&built, in_folder("a.snap"));
    save_to(&built, in_folder("same.snap"));
    snprintf(from, sizeof(from), "%s", in_folder("a.snap"));
    snprintf(to, sizeof(to), "%s", in_folder("b.snap"));
    changes = "a.snap";
    assert_int_equal(stasis_inspect_migrate(&args, out, NULL), 0);
    changes = NULL;
    fclose(out);
    assert_same_guest("same.snap", "b.snap");
}

static void a_compressed_file_stays_one(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};

    (void)state;
    assert_int_equal(stasis_snap_save(built.snap, in_folder("z.snap"), &opts, NULL, NULL), 0);
    migrate("z.snap", "y.snap");
    assert_ended(&run, 0, NULL);
    assert_same_guest("z.snap", "y.snap");
}

static void state_that_the_release_lacks_is_refused(void **state)
{
    static const char lost[] = "record stasis.board vm: device stasis.serial com1, behaviour 2";
    struct stasis_board_state board;
    struct stasis_records *records = stasis_snap_records(built.snap);
    struct stasis_records *changed = stasis_records_new();
    struct stasis_snap *snap;

    (void)state;
    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);
        void *copy = malloc(record.schema->size);

        assert_int_equal(stasis_records_get(records, record.schema, record.instance, copy, NULL),
                         0);
        if (record.schema == &stasis_board_schema) {
            memcpy(&board, copy, sizeof(board));
            board.devices[0].version = 2;
            memcpy(copy, &board, sizeof(board));
        }
        assert_int_equal(stasis_records_add(changed, record.schema, record.instance, copy, NULL),
                         0);
        free(copy);
    }
    stasis_snap_set_records(built.snap, changed);
    save_to(&built, in_folder("n.snap"));
    migrate("n.snap", "o.snap");
    assert_ended(&run, 4, lost);
    assert_int_equal(access(in_folder("o.snap"), F_OK), -1);
    run_inspect(&run, NULL, "migrate", "--allow-drop", "--to", "0.1.0", in_folder("n.snap"),
                in_folder("o.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, lost);
    open_file("o.snap", &snap);
    assert_int_equal(
        stasis_records_get(stasis_snap_records(snap), &stasis_board_schema, NULL, &board, NULL), 0);
    assert_true(stasis_records_find(stasis_snap_records(snap), "stasis.serial", NULL) == SIZE_MAX);
    assert_int_equal(board.devices_count, 2);
    stasis_snap_free(snap);
}

static void bad_calls(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "migrate", in_folder("a.snap"), in_folder("b.snap"), NULL);
    assert_ended(&run, 2, "--to: missing");
    run_inspect(&run, NULL, "migrate", "--to", "9.9.9", in_folder("a.snap"), in_folder("b.snap"),
                NULL);
    assert_ended(&run, 2, "9.9.9 is not an earlier release: give 0.1.0");
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("a.snap"), NULL);
    assert_ended(
        &run, 2,
        "usage: snapshot-inspect migrate --to RELEASE [--allow-drop] [--layers DIR] IN OUT");
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("a.snap"), "-", NULL);
    assert_ended(&run, 2, "-: this output cannot be standard output; name a file");
    assert_int_equal(access("-", F_OK), -1);
    migrate("none.snap", "b.snap");
    assert_ended(&run, 2, "none.snap");
}

/* Damage is found before anything is written, and the old file stays. */
static void a_damaged_file(void **state)
{
    struct stasis_snap *snap;
    struct stasis_snap_chunk chunk;
    uint64_t i = 0;
    char byte;
    int fd;

    (void)state;
    migrate("a.snap", "keep.snap");
    assert_ended(&run, 0, NULL);
    open_file("a.snap", &snap);
    while (stasis_snap_chunk_at(snap, i).kind != STASIS_CHUNK_RAW)
        i++;
    chunk = stasis_snap_chunk_at(snap, i);
    stasis_snap_free(snap);
    fd = open(in_folder("a.snap"), O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)chunk.offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)chunk.offset), 1);
    close(fd);
    migrate("a.snap", "keep.snap");
    assert_ended(&run, 3, "chunk");
    open_file("keep.snap", &snap);
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, NULL), 0);
    stasis_snap_free(snap);
}

/* ---- every byte of IN is verified ---- */

static uint8_t *stored_entry(const struct image *image, uint8_t kind)
{
    uint8_t *p = image->bytes + section_offset(image_section(image, STASIS_SECTION_INDEX));
    uint32_t regions = stasis_le32_get(p);

    for (p += 8 + (size_t)16 * regions; *p != kind; p += 24)
        ;
    return p;
}

static void wrong_page_mask(struct image *image)
{
    uint8_t *entry = stored_entry(image, STASIS_CHUNK_RAW);

    stasis_le16_put(entry + 2, stasis_le16_get(entry + 2) == 1 ? 2 : 1);
}

/* Compressed zeros in the place of what was compressed there, with a CRC that is right. */
static void packed_zeros(struct image *image)
{
    static const uint8_t zeros[STASIS_CHUNK_SIZE];
    uint8_t *entry = stored_entry(image, STASIS_CHUNK_ZLIB);
    uint8_t *stored = image->bytes + stasis_le64_get(entry + 8);
    uint32_t room = stasis_le32_get(entry + 16);
    struct stasis_compressor *codec = stasis_compressor_new(1);
    const uint8_t *index =
        image->bytes + section_offset(image_section(image, STASIS_SECTION_INDEX));
    uint64_t size = stasis_le64_get(index + 16); /* of the region whose first chunk it is */
    size_t len =
        stasis_compress(codec, zeros, size < sizeof(zeros) ? size : sizeof(zeros), stored, room);
    uint8_t *header = image->bytes;

    assert_true(len > 0);
    memset(stored + len, 0, room - len);
    stasis_le32_put(entry + 4, stasis_crc32(stored, len));
    stasis_le32_put(entry + 16, (uint32_t)len);
    stasis_le64_put(header + STASIS_HDR_STORED_BYTES,
                    stasis_le64_get(header + STASIS_HDR_STORED_BYTES) - (room - len));
    stasis_compressor_free(codec);
}

static void padding_not_zero(struct image *image)
{
    const uint8_t *schema = image_section(image, STASIS_SECTION_SCHEMA);

    image->bytes[section_offset(schema) + section_length(schema)] = 1;
}

static void garbage_schema(struct image *image)
{
    const uint8_t *schema = image_section(image, STASIS_SECTION_SCHEMA);

    memset(image->bytes + section_offset(schema), 0xc1, section_length(schema));
}

static void unknown_section(struct image *image)
{
    image_add_section(image, 77, 32);
}

static void migrated(void (*change)(struct image *), unsigned level, int status, const char *words)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .zlib_level = level, .format_version = 1};
    struct image image;

    assert_int_equal(stasis_snap_save(built.snap, in_folder("c.snap"), &opts, NULL, NULL), 0);
    image = image_read(in_folder("c.snap"));
    change(&image);
    image_reseal(&image);
    write_file(in_folder("c.snap"), image.bytes, image.len);
    image_fini(&image);
    unlink(in_folder("d.snap"));
    migrate("c.snap", "d.snap");
    assert_ended(&run, status, words);
    assert_int_equal(access(in_folder("d.snap"), F_OK), status ? -1 : 0);
}

static void every_byte_is_verified(void **state)
{
    (void)state;
    migrated(wrong_page_mask, 0, 3, "its page mask is wrong");
    migrated(packed_zeros, 1, 3, "its page mask is wrong");
    migrated(padding_not_zero, 0, 3, "belong to nothing and are not zero");
    migrated(garbage_schema, 0, 3, "c.snap");
}

static void optional_parts_unknown_to_all_releases_need_allow_drop(void **state)
{
    struct image image;

    (void)state;
    migrated(unknown_section, 0, 4, "the optional section of type 77 (32 bytes) is unknown");
    run_inspect(&run, NULL, "migrate", "--allow-drop", "--to", "0.1.0", in_folder("c.snap"),
                in_folder("d.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "left out: the optional section of type 77 (32 bytes)");
    image = image_read(in_folder("c.snap"));
    image.bytes[image.len - 1] ^= 1; /* in that section */
    write_file(in_folder("c.snap"), image.bytes, image.len);
    image_fini(&image);
    run_inspect(&run, NULL, "migrate", "--allow-drop", "--to", "0.1.0", in_folder("c.snap"),
                in_folder("d.snap"), NULL);
    assert_ended(&run, 3, "the section of type 77 is damaged (CRC)");
    /* Of what cannot be written nothing is read. */
    run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in_folder("c.snap"), "/proc/x", NULL);
    assert_ended(&run, 7, "/proc/x: making a temporary file in its folder");
}

static void unknown_feature(struct image *image)
{
    image->bytes[STASIS_HDR_COMPATIBLE + 1] = 2;
}

static void a_feature_that_no_release_knows(void **state)
{
    (void)state;
    migrated(unknown_feature, 0, 4, "compatible feature bit 9 is unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guest_stays_the_same),
        cmocka_unit_test(bad_calls),
        cmocka_unit_test(a_compressed_file_stays_one),
        cmocka_unit_test(a_damaged_file),
        cmocka_unit_test(every_byte_is_verified),
        cmocka_unit_test(optional_parts_unknown_to_all_releases_need_allow_drop),
        cmocka_unit_test(the_old_file_changes_meanwhile),
        cmocka_unit_test(a_feature_that_no_release_knows),
        cmocka_unit_test(state_that_the_release_lacks_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
