/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Messages of the libraries to callers who hand in what they may not, which no program of ours
 * does.
 */
#include "tests/tools/rig.h"

#include <string.h>

#include "state-ser/snap/header.h"
#include "state-ser/snap/le.h"
#include "stasis/migrate.h"
#include "stasis/output.h"
#include "stasis/ram.h"
#include "vmm/host/serial_sink.h"

static void check(int rc, enum stasis_err code, const struct stasis_error *err, const char *words)
{
    assert_int_equal(rc, code);
    assert_int_equal(err->code, code);
    assert_has(err->msg, words);
}

static void options_of_another_size(void **state)
{
    const struct stasis_output_opts output = {.size = 1};
    const struct stasis_convert_opts convert = {.size = 1};
    const struct stasis_release *release;
    struct stasis_records *records;
    struct stasis_output *file;
    struct stasis_error err;
    struct built built;

    (void)state;
    check(stasis_output_open(NULL, in_folder("x"), &output, &file, &err), STASIS_ERR_ARG, &err,
          "output options of 1 bytes, expected ");
    built_small(&built);
    assert_int_equal(stasis_release_get("0.1.0", &release, &err), 0);
    check(
        stasis_records_convert(stasis_snap_records(built.snap), release, &convert, &records, &err),
        STASIS_ERR_ARG, &err, "convert options of 1 bytes, expected ");
    check(stasis_snap_read_schemas(built.snap, &err), STASIS_ERR_ARG, &err,
          "only an opened snapshot came with schemas");
    built_fini(&built);
}

static void memory_that_is_not_on_a_page_boundary(void **state)
{
    static uint8_t bytes[1];
    void *hosts[2] = {bytes, bytes};
    const struct stasis_ram_opts opts = {.size = sizeof(opts)};
    struct stasis_error err;
    struct stasis_snap *snap;
    struct stasis_ram *ram;
    struct built built;

    (void)state;
    hosts[0] = (void *)((uintptr_t)hosts | 1);
    built_small(&built);
    save_to(&built, in_folder("a"));
    built_fini(&built);
    assert_int_equal(stasis_snap_open(in_folder("a"), NULL, &snap, &err), 0);
    check(stasis_ram_attach(snap, hosts, &opts, &ram, &err), STASIS_ERR_ARG, &err,
          "memory for region 0 is not on a page boundary");
    stasis_snap_free(snap);
}

static void serial_output_of_no_kind(void **state)
{
    static const struct {
        struct stasis_serial_sink_options options;
        const char *words;
    } rows[] = {
        {{.kind = (enum stasis_serial_sink_kind)99}, "no such kind of serial output: 99"},
        {{.rate = STASIS_SERIAL_SINK_RATE_MAX + 1}, "rate, limit or size is too large"},
        {{.limit = STASIS_SERIAL_SINK_BYTES_MAX + 1}, "rate, limit or size is too large"},
        {{.size = STASIS_SERIAL_SINK_BYTES_MAX + 1}, "rate, limit or size is too large"},
    };
    struct stasis_serial_sink *sink;
    struct stasis_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(stasis_serial_sink_open(&rows[i].options, &sink, &err), STASIS_ERR_ARG, &err,
              rows[i].words);
}

/* Its place is taken by an optional one of a type that nobody knows. */
static void a_section_that_is_missing(void **state)
{
    struct stasis_error err;
    struct image image;
    struct built built;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    stasis_le32_put(image_section(&image, STASIS_SECTION_DATA) + 4, STASIS_SECTION_OPTIONAL);
    stasis_le32_put(image_section(&image, STASIS_SECTION_DATA), 5000);
    image_reseal(&image);
    check(check_image(&image, &err), STASIS_ERR_CORRUPT, &err, "is missing");
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_another_size),
        cmocka_unit_test(memory_that_is_not_on_a_page_boundary),
        cmocka_unit_test(serial_output_of_no_kind),
        cmocka_unit_test(a_section_that_is_missing),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown_folder);
}
