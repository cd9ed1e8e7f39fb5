/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Snapshots that were opened, changed and saved again: what was not changed is the same byte for
 * byte.
 */
#include "tests/state-ser/snap/memory_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/le.h"

static const struct stasis_save_opts packed = {
    .size = sizeof(packed), .no_sync = true, .zlib_level = 1, .threads = 1};

static const struct stasis_save_opts one_thread = {
    .size = sizeof(one_thread), .no_sync = true, .threads = 1};
static const struct stasis_save_opts plain = {.size = sizeof(plain), .no_sync = true};

static void assert_same_image(struct image *a, struct image *b)
{
    image_wipe_identity(a);
    image_wipe_identity(b);
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->bytes, b->bytes, a->len);
}

static void build(struct built *built)
{
    built_large(built);
    memset(built->ram[1] + (1 << 20), 'x', 2 << 20); /* is compressed, where that is wanted */
}

/* ---- what is kept ---- */

/* Whatever it was opened from, it is saved as if it had been built here. */
static void an_unchanged_snapshot_is_the_same(void **state)
{
    struct built built;

    (void)state;
    build(&built);
    for (unsigned i = 0; i < 8; i++) {
        const struct stasis_save_opts *opts = i & 4 ? &packed : &plain;
        struct image source = image_save(built.snap, i & 1, opts);
        struct image direct = image_save(built.snap, i & 2, opts);
        struct stasis_snap *snap = image_reopen(&source);
        struct image again = image_save(snap, i & 2, &plain);

        assert_int_equal(check_image(&again, NULL), 0);
        assert_same_image(&again, &direct);
        assert_same_ram(snap, &built, 2);
        stasis_snap_free(snap);
        image_fini(&source);
        image_fini(&direct);
        image_fini(&again);
    }
    built_fini(&built);
}

static void a_snapshot_without_ram(void **state)
{
    struct built built;
    struct image whole, again;
    struct stasis_snap *snap;

    (void)state;
    built_init(&built);
    whole = image_of(&built);
    snap = image_reopen(&whole);
    again = image_save(snap, false, &plain);
    assert_same_image(&again, &whole);
    stasis_snap_free(snap);
    image_fini(&whole);
    image_fini(&again);
    built_fini(&built);
}

static void change_records(struct stasis_records *records)
{
    struct stasis_serial_state serial;
    struct stasis_x86_tsc_state tsc = {.khz = 5};
    struct stasis_error err = {0};

    assert_int_equal(stasis_records_get(records, &stasis_serial_schema, "com1", &serial, &err), 0);
    serial.scr = 0x77;
    assert_int_equal(stasis_records_replace(records, &stasis_serial_schema, "com1", &serial, &err),
                     0);
    assert_int_equal(stasis_records_add(records, &stasis_x86_tsc_schema, "vcpu0", &tsc, &err), 0);
    assert_int_equal(stasis_records_add(records, &stasis_serial_schema, "com2", &serial, &err), 0);
    stasis_records_remove(records, stasis_records_find(records, "stasis.serial", "com2"));
}

static void records_are_changed_and_ram_is_kept(void **state)
{
    struct built built;

    (void)state;
    build(&built);
    for (unsigned i = 0; i < 4; i++) {
        struct image source = image_save(built.snap, i & 1, i & 2 ? &packed : &plain);
        struct stasis_snap *snap = image_reopen(&source);
        struct stasis_snap *edited;
        struct image again;
        struct stasis_serial_state serial;
        struct stasis_x86_tsc_state tsc;

        change_records(stasis_snap_records(snap));
        again = image_save(snap, i & 1, &plain);
        edited = image_reopen(&again);
        assert_int_equal(stasis_records_count(stasis_snap_records(edited)), 2);
        assert_int_equal(stasis_records_get(stasis_snap_records(edited), &stasis_serial_schema,
                                            "com1", &serial, NULL),
                         0);
        assert_int_equal(serial.scr, 0x77);
        assert_int_equal(stasis_records_get(stasis_snap_records(edited), &stasis_x86_tsc_schema,
                                            "vcpu0", &tsc, NULL),
                         0);
        assert_int_equal(tsc.khz, 5);
        assert_same_ram(edited, &built, 1);
        assert_int_equal(stasis_snap_verify(edited, 1, NULL, NULL, NULL), 0);
        for (uint64_t c = 0; c < stasis_snap_chunk_count(snap); c++) {
            struct stasis_snap_chunk a = stasis_snap_chunk_at(snap, c);
            struct stasis_snap_chunk b = stasis_snap_chunk_at(edited, c);

            assert_true(a.kind == b.kind && a.crc == b.crc && a.page_mask == b.page_mask);
            assert_int_equal(a.stored_len, b.stored_len);
            assert_memory_equal(source.bytes + a.offset, again.bytes + b.offset, a.stored_len);
        }
        stasis_snap_free(edited);
        stasis_snap_free(snap);
        image_fini(&source);
        image_fini(&again);
    }
    built_fini(&built);
}

/* Of a type that only the writer knows. */
static const struct stasis_field fan_fields[] = {{.id = 1,
                                                  .since = 1,
                                                  .kind = STASIS_KIND_INT,
                                                  .elem_size = 4,
                                                  .max = 1,
                                                  .mask = 0xffff,
                                                  .default_int = 7,
                                                  .name = "speed",
                                                  .doc = "turns a minute"}};
static const struct stasis_schema fan_schema = {.type = "acme.fan",
                                                .version = 1,
                                                .optional = true,
                                                .size = 4,
                                                .fields = fan_fields,
                                                .field_count = 1,
                                                .doc = "a fan"};

static void unknown_records_are_kept_with_their_schemas(void **state)
{
    const uint32_t speed = 1200;
    uint32_t read = 0;
    struct built built;
    struct image whole, again;
    struct stasis_snap *snap;

    (void)state;
    built_small(&built);
    assert_int_equal(
        stasis_records_add(stasis_snap_records(built.snap), &fan_schema, "0", &speed, NULL), 0);
    whole = image_of(&built);
    snap = image_reopen(&whole);
    assert_null(stasis_records_at(stasis_snap_records(snap), 0).schema);
    again = image_save(snap, false, &plain);
    stasis_snap_free(snap);
    snap = image_reopen(&again);
    assert_int_equal(stasis_records_get(stasis_snap_records(snap), &fan_schema, "0", &read, NULL),
                     0);
    assert_int_equal(read, speed);
    assert_int_equal(stasis_snap_read_schemas(snap, NULL), 0);
    assert_non_null(stasis_schema_set_find(stasis_snap_schemas(snap), "acme.fan", 1));
    stasis_snap_free(snap);
    assert_same_image(&again, &whole);
    image_fini(&whole);
    image_fini(&again);
    built_fini(&built);
}

/* ---- sections that this release does not know ---- */

/* The section table's entry i. */
static const uint8_t *entry_at(const struct image *image, uint32_t i)
{
    return image->bytes + image_header(image) + STASIS_HDR_SECTIONS +
           (size_t)i * STASIS_SECTION_ENTRY_LEN;
}

static const uint8_t *unknown_at(const struct image *image, uint32_t number)
{
    for (uint32_t i = 0; i < STASIS_SECTIONS_MAX; i++)
        if (stasis_le32_get(entry_at(image, i)) > 70 && !number--)
            return entry_at(image, i);
    fail_msg("a section is missing");
    return NULL;
}

static void unknown_sections_are_kept(void **state)
{
    static const struct {
        uint32_t type;
        size_t len;
    } sections[] = {{77, 4097}, {78, 0}, {77, 70001}};
    struct built built;
    struct image whole;
    struct stasis_snap *snap;

    (void)state;
    built_small(&built);
    whole = image_of(&built);
    for (size_t i = 0; i < 3; i++) {
        image_add_section(&whole, sections[i].type, sections[i].len);
        whole.bytes[whole.len - 1] = (uint8_t)i;
    }
    for (uint32_t i = 0; i < 3; i++) { /* other bytes than those that were sealed */
        uint8_t *entry = (uint8_t *)(uintptr_t)unknown_at(&whole, i);

        stasis_le32_put(entry + 24,
                        stasis_crc32(whole.bytes + section_offset(entry), section_length(entry)));
    }
    image_reseal(&whole);
    snap = image_reopen(&whole);
    for (unsigned streamed = 0; streamed < 2; streamed++) {
        struct image again = image_save(snap, streamed, &plain);

        assert_int_equal(check_image(&again, NULL), 0);
        for (uint32_t i = 0; i < 3; i++) {
            const uint8_t *from = unknown_at(&whole, i);
            const uint8_t *to = unknown_at(&again, i);

            assert_int_equal(section_offset(to) % 8, 0);
            assert_int_equal(stasis_le32_get(to), sections[i].type);
            assert_int_equal(stasis_le32_get(to + 4), STASIS_SECTION_OPTIONAL);
            assert_int_equal(section_length(to), sections[i].len);
            assert_int_equal(stasis_le32_get(to + 24), stasis_le32_get(from + 24));
            assert_memory_equal(again.bytes + section_offset(to),
                                whole.bytes + section_offset(from), sections[i].len);
        }
        image_fini(&again);
    }
    assert_int_equal(stasis_snap_unknown_count(snap), 3);
    assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, NULL), 0);
    stasis_snap_free(snap);
    image_fini(&whole);
    built_fini(&built);
}

static void notes_are_kept_or_replaced(void **state)
{
    struct built built;
    struct image whole, again;
    struct stasis_snap *snap;

    (void)state;
    built_small(&built);
    assert_int_equal(stasis_notes_set(stasis_snap_notes(built.snap), "host", "a", NULL), 0);
    whole = image_of(&built);
    for (unsigned i = 0; i < 4; i++) { /* kept; read and kept; read and removed; replaced */
        snap = image_reopen(&whole);
        if (i == 1 || i == 2)
            assert_int_equal(stasis_snap_read_notes(snap, NULL), 0);
        if (i == 2)
            assert_int_equal(stasis_notes_set(stasis_snap_notes(snap), "host", NULL, NULL), 0);
        if (i == 3)
            assert_int_equal(stasis_notes_set(stasis_snap_notes(snap), "user", "b", NULL), 0);
        again = image_save(snap, i & 1, &plain);
        stasis_snap_free(snap);
        snap = image_reopen(&again);
        assert_int_equal(stasis_snap_read_notes(snap, NULL), 0);
        assert_int_equal(stasis_notes_count(stasis_snap_notes(snap)), i == 2 ? 0 : 1);
        if (i < 2)
            assert_string_equal(stasis_notes_get(stasis_snap_notes(snap), "host"), "a");
        if (i == 3)
            assert_string_equal(stasis_notes_get(stasis_snap_notes(snap), "user"), "b");
        assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, NULL), 0);
        stasis_snap_free(snap);
        image_fini(&again);
    }
    image_fini(&whole);
    built_fini(&built);
}

/* A schema section is written, even if the file had none. */
static void as_many_sections_as_there_may_be(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    struct image whole, again;
    struct stasis_snap *snap;

    (void)state;
    built_small(&built);
    whole = image_of(&built);
    for (unsigned i = 4; i < STASIS_SECTIONS_MAX; i++)
        image_add_section(&whole, 77, 8);
    snap = image_reopen(&whole);
    again = image_save(snap, false, &plain);
    assert_int_equal(check_image(&again, NULL), 0);
    stasis_snap_free(snap);
    image_fini(&again);
    snap = image_reopen(&whole);
    again = image_save(snap, true, &plain);
    assert_int_equal(check_image(&again, NULL), 0);
    image_fini(&again);
    assert_int_equal(stasis_notes_set(stasis_snap_notes(snap), "one", "too many", NULL), 0);
    assert_int_equal(image_try_save(snap, false, &plain, &again, &err), STASIS_ERR_FULL);
    stasis_snap_free(snap);
    stasis_le32_put(image_section(&whole, STASIS_SECTION_SCHEMA), 99);
    stasis_le32_put(whole.bytes + STASIS_HDR_CRC, 0);
    stasis_le32_put(whole.bytes + STASIS_HDR_CRC, stasis_crc32(whole.bytes, STASIS_HEADER_LEN));
    snap = image_reopen(&whole);
    assert_int_equal(image_try_save(snap, false, NULL, &again, &err), STASIS_ERR_FULL);
    assert_non_null(strstr(err.msg, "more than 25 sections"));
    stasis_snap_free(snap);
    image_fini(&whole);
    built_fini(&built);
}

/* ---- the save itself ---- */

static void storage_that_fails_while_it_is_copied(void **state)
{
    struct memory memory = {0};
    struct stasis_storage storage;
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    struct image again;
    struct built built;
    unsigned calls = 1;

    (void)state;
    build(&built);
    memory.image = image_of(&built);
    image_add_section(&memory.image, 77, 9000);
    storage = memory_storage(&memory);
    assert_int_equal(stasis_snap_open_storage(&storage, NULL, &snap, &err), 0);
    assert_int_equal(stasis_snap_read_schemas(snap, &err), 0);
    do {
        atomic_store(&memory.calls, 0);
        memory.fault_at = calls++;
        assert_int_equal(image_try_save(snap, false, &one_thread, &again, &err), STASIS_ERR_READ);
        assert_non_null(strstr(err.msg, "slot 3: reading "));
        assert_non_null(strstr(err.msg, strerror(ENOTCONN)));
        calls += 20;
    } while (calls < 60);
    memory.fault_at = 0;
    again = image_save(snap, false, &plain);
    image_fini(&again);
    stasis_snap_free(snap);
    memory_fini(&memory);
    built_fini(&built);
}

static void ram_is_not_compressed_on_the_way(void **state)
{
    struct stasis_error err = {0};
    struct built built;
    struct image whole, again;
    struct stasis_snap *snap;

    (void)state;
    built_small(&built);
    whole = image_of(&built);
    snap = image_reopen(&whole);
    assert_int_equal(image_try_save(snap, false, &packed, &again, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "kept as it is stored"));
    stasis_snap_free(snap);
    image_fini(&whole);
    built_fini(&built);
}

static void a_snapshot_is_saved_onto_its_own_file(void **state)
{
    struct stasis_error err = {0};
    struct stasis_save_stats stats, first;
    struct stasis_snap *snap = NULL;
    struct stasis_snap *edited = NULL;
    struct built built;
    uint8_t uuid[STASIS_UUID_SIZE];
    char path[128];

    (void)state;
    build(&built);
    snprintf(path, sizeof(path), "%s/own.snap", folder_make());
    assert_int_equal(stasis_snap_save(built.snap, path, NULL, &first, &err), 0);
    assert_int_equal(stasis_snap_open(path, NULL, &snap, &err), 0);
    memcpy(uuid, stasis_snap_info(snap)->uuid, sizeof(uuid));
    change_records(stasis_snap_records(snap));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stasis_snap_save(snap, path, &plain, &stats, &err), 0);
        assert_int_equal(stats.stored_bytes, first.stored_bytes);
        assert_int_equal(stats.zero_bytes, first.zero_bytes);
        assert_int_equal(stats.compressed_bytes, 0);
        assert_int_equal(stats.file_bytes, stasis_snap_info(snap)->file_len);
        assert_memory_not_equal(uuid, stasis_snap_info(snap)->uuid, sizeof(uuid));
        assert_same_ram(snap, &built, 2); /* from the file that has no name any more */
        assert_int_equal(stasis_snap_verify(snap, 1, NULL, NULL, &err), 0);
    }
    assert_int_equal(stasis_snap_open(path, NULL, &edited, &err), 0);
    assert_memory_equal(stasis_snap_info(edited)->uuid, stasis_snap_info(snap)->uuid, sizeof(uuid));
    assert_int_equal(stasis_records_count(stasis_snap_records(edited)), 2);
    assert_same_ram(edited, &built, 2);
    stasis_snap_free(edited);
    stasis_snap_free(snap);
    folder_remove();
    built_fini(&built);
}

struct watch {
    unsigned calls;
    unsigned stop_at; /* 0: never */
    uint64_t done;
    uint64_t total;
};

static bool watch(void *ctx, uint64_t done, uint64_t total)
{
    struct watch *self = ctx;

    assert_true(done >= self->done && done <= total);
    self->done = done;
    self->total = total;
    return ++self->calls != self->stop_at;
}

/* How often a save of the image asks, to its end. */
static unsigned questions(const struct image *image)
{
    struct watch self = {0};
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = 1, .progress = watch, .ctx = &self};
    struct stasis_snap *snap = image_reopen(image);
    struct image again = image_save(snap, true, &opts);

    assert_int_equal(self.done, self.total);
    assert_int_equal(self.total, stasis_snap_info(snap)->ram_bytes);
    image_fini(&again);
    stasis_snap_free(snap);
    return self.calls;
}

static void a_save_shows_progress_and_is_cancelled(void **state)
{
    struct watch self = {0};
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .threads = 1, .progress = watch, .ctx = &self};
    struct stasis_error err = {0};
    struct built built;
    struct image whole, again;
    struct stasis_snap *snap;
    unsigned without, with;

    (void)state;
    build(&built);
    whole = image_of(&built);
    without = questions(&whole);
    image_add_section(&whole, 77, 70000);
    with = questions(&whole);
    assert_true(without > 3 && with >= without + 70000 / 4096); /* for each piece of it */
    snap = image_reopen(&whole);
    for (unsigned i = 1; i <= with; i++) {
        self = (struct watch){.stop_at = i};
        assert_int_equal(image_try_save(snap, true, &opts, &again, &err), STASIS_ERR_CANCELLED);
        assert_string_equal(err.msg, "saving to slot 3: cancelled");
        image_fini(&again);
    }
    stasis_snap_free(snap);
    image_fini(&whole);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_snapshot_is_the_same),
        cmocka_unit_test(a_snapshot_without_ram),
        cmocka_unit_test(records_are_changed_and_ram_is_kept),
        cmocka_unit_test(unknown_records_are_kept_with_their_schemas),
        cmocka_unit_test(unknown_sections_are_kept),
        cmocka_unit_test(notes_are_kept_or_replaced),
        cmocka_unit_test(as_many_sections_as_there_may_be),
        cmocka_unit_test(storage_that_fails_while_it_is_copied),
        cmocka_unit_test(ram_is_not_compressed_on_the_way),
        cmocka_unit_test(a_snapshot_is_saved_onto_its_own_file),
        cmocka_unit_test(a_save_shows_progress_and_is_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
