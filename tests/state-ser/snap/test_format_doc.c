/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * docs/snapshot-format.md has parts that are generated from the code: the table of limits, the
 * worked examples and the field tables. The test compares them with the code; --write updates them.
 */
#include "tests/state-ser/snap/fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state-ser/ser/encoding.h"
#include "state-ser/snap/index.h"
#include "state-ser/snap/overlay.h"

#define DOCUMENT STASIS_DOCS "/snapshot-format.md"

/* ---- limits ---- */

struct limit {
    const char *what;
    const char *before; /* the value */
    uint64_t value;
    const char *after;
    const char *name; /* in the code */
};

/* clang-format off */
#define LIMIT(what, before, NAME, after) {what, before, NAME, after, #NAME}
/* clang-format on */

/* Of the regions that an index can have at most, each with a short chunk. */
#define INDEX1_BASE                                                                                \
    (STASIS_INDEX_PREFIX_LEN +                                                                     \
     STASIS_INDEX1_REGION_MAX * (STASIS_INDEX_REGION_LEN + STASIS_INDEX_CHUNK_LEN))

/* Of version 2: each chunk may have an entry, an extent and a digest. */
#define RUN_LEN (STASIS_RUNS_ENTRY_LEN + STASIS_RUNS_EXTENT_LEN + STASIS_DIGEST_SIZE)
#define INDEX2_BASE                                                                                \
    (STASIS_RUNS_PREFIX_LEN + STASIS_RAM_REGION_MAX * (STASIS_INDEX_REGION_LEN + RUN_LEN))
#define LAYER_BASE (16 + 4096 * (16 + 908) + 4095 * 48)

static const struct limit limits[] = {
    LIMIT("format version", "1 or ", STASIS_FORMAT_VERSION, ""),
    LIMIT("length of a header", "", STASIS_HEADER_LEN, ""),
    LIMIT("length of the producer", "1 to ", STASIS_PRODUCER_MAX, ""),
    LIMIT("length of an entry of the section table", "", STASIS_SECTION_ENTRY_LEN, ""),
    LIMIT("sections", "3 to ", STASIS_SECTIONS_MAX, ""),
    LIMIT("length of a page", "", STASIS_PAGE_SIZE, ""),
    LIMIT("length of a chunk", "at most ", STASIS_CHUNK_SIZE, ""),
    LIMIT("RAM bytes", "at most ", STASIS_RAM_MAX, " (2^42, 4 TiB)"),
    LIMIT("RAM regions, version 1", "at most ", STASIS_INDEX1_REGION_MAX, ""),
    LIMIT("RAM regions, version 2", "at most ", STASIS_RAM_REGION_MAX, ""),
    LIMIT("end of a region (gpa + size)", "at most ", STASIS_GPA_MAX, " (2^52)"),
    {"length of the index section, version 1", "at most 24 × ⌊RAM bytes / 65536⌋ + ", INDEX1_BASE,
     "", "stasis_index_size_max()"},
    {"length of the index section, version 2 without layers", "at most 68 × ⌊RAM bytes / 65536⌋ + ",
     INDEX2_BASE, "", "stasis_index_size_max()"},
    {"length of the index section of a layer", "at most 908 × ⌊RAM bytes / 65536⌋ + ", LAYER_BASE,
     "", "stasis_index_size_max()"},
    {"files that a layer names", "1 to ", STASIS_LAYER_NAMES_MAX, "", "STASIS_LAYER_NAMES_MAX"},
    {"extents of a chunk, in a layer", "at most ", STASIS_EXTENTS_MAX, "", "STASIS_EXTENTS_MAX"},
    {"files that are walked and named to open a layer", "at most ", STASIS_LAYER_NAMES_MAX + 1, "",
     "STASIS_LAYER_NAMES_MAX + 1"},
    LIMIT("bytes of a disk, in an overlay", "at most ", STASIS_RAM_MAX, " (2^42, 4 TiB)"),
    LIMIT("sealed overlays below an overlay", "at most ", STASIS_OVERLAY_CHAIN_MAX, ""),
    {"length of a file, in either layout",
     "at most 3 × RAM bytes + the greatest length of the index section + ", STASIS_FILE_SLACK,
     " (64 MiB)", "stasis_file_len_max()"},
    LIMIT("length of the state section", "1 to ", STASIS_STATE_MAX, " (16 MiB)"),
    LIMIT("records", "at most ", STASIS_RECORDS_MAX, ""),
    LIMIT("length of a record's type or instance", "1 to ", STASIS_TYPE_MAX, ""),
    LIMIT("version of a record", "1 to ", UINT16_MAX, ""),
    LIMIT("levels of nesting in a record of an unknown type", "at most ", STASIS_UNKNOWN_DEPTH_MAX,
          ""),
    LIMIT("length of the schema section", "1 to ", STASIS_SCHEMA_SET_MAX, " (1 MiB)"),
    LIMIT("schema section: states", "at most ", STASIS_SCHEMA_STATES_MAX, ""),
    LIMIT("schema section: length of a state's name", "1 to ", STASIS_TYPE_MAX, ""),
    LIMIT("schema section: fields of a state", "at most ", STASIS_SCHEMA_FIELDS_MAX, ""),
    LIMIT("schema section: version of a state, id of a field", "at most ", UINT16_MAX, ""),
    LIMIT("schema section: length of a field's name", "1 to ", STASIS_SCHEMA_NAME_MAX, ""),
    LIMIT("schema section: length of a text", "at most ", STASIS_SCHEMA_DOC_MAX, ""),
    LIMIT("schema section: *maximum* of a field", "1 to ", STASIS_SCHEMA_ROOM_MAX, ""),
    LIMIT("schema section: depth of a state", "at most ", STASIS_SCHEMA_DEPTH_MAX, ""),
    LIMIT("schema section: memory of a state", "at most ", STASIS_SCHEMA_ROOM_MAX, " (4 MiB)"),
    LIMIT("length of the notes section", "1 to ", STASIS_NOTES_SECTION_MAX, " (128 KiB)"),
    LIMIT("notes", "at most ", STASIS_NOTES_MAX, ""),
    LIMIT("length of a note's key", "1 to ", STASIS_NOTE_KEY_MAX, ""),
    LIMIT("length of a note's value", "at most ", STASIS_NOTE_VALUE_MAX, ""),
};

static void print_limits(FILE *out)
{
    fputs("\n| what | limit | in the code |\n| --- | --- | --- |\n", out);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        fprintf(out, "| %s | %s%" PRIu64 "%s | `%s` |\n", limits[i].what, limits[i].before,
                limits[i].value, limits[i].after, limits[i].name);
    fputc('\n', out);
}

/* Those that are formulas: RAM bytes, and what the table says of them. */
static void the_formulas_are_those_of_the_code(void **state)
{
    const uint64_t sizes[] = {0, 4096, 65535, 65536, 65537, UINT64_C(1) << 36, STASIS_RAM_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct stasis_index_form forms[] = {{1, false}, {2, false}, {2, true}};
        const uint64_t index[] = {24 * (sizes[i] / 65536) + INDEX1_BASE,
                                  68 * (sizes[i] / 65536) + INDEX2_BASE,
                                  908 * (sizes[i] / 65536) + LAYER_BASE};

        for (unsigned f = 0; f < 3; f++) {
            assert_int_equal(stasis_index_size_max(sizes[i], forms[f]), index[f]);
            assert_int_equal(stasis_file_len_max(sizes[i], forms[f]),
                             3 * sizes[i] + index[f] + STASIS_FILE_SLACK);
        }
    }
}

/* ---- the worked example ---- */

/* The examples are the same each time: their UUID, time and producer are given. */
static struct image save_example(struct built *built, uint32_t version)
{
    static const uint8_t uuid[STASIS_UUID_SIZE] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77,
                                                   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    const uint64_t created_ns = 0;
    const struct stasis_save_opts opts = {.size = sizeof(opts),
                                          .producer = "stasis example",
                                          .format_version = version,
                                          .digests = version > 1,
                                          .uuid = uuid,
                                          .created_ns = &created_ns};

    return image_of_with(built, &opts);
}

static void build_example(struct built *built)
{
    struct stasis_i8042_state i8042;
    struct stasis_error err = {0};

    *built = (struct built){.snap = stasis_snap_new(STASIS_ARCH_X86_64)};
    stasis_state_init(&stasis_i8042_schema, &i8042);
    if (stasis_records_add(stasis_snap_records(built->snap), &stasis_i8042_schema, "kbd", &i8042,
                           &err))
        fail_msg("%s", err.msg);
    built_add(built, 0, STASIS_CHUNK_SIZE + STASIS_PAGE_SIZE);
    built->ram[0][0x1000] = 0x2a;
}

static struct image example(uint32_t version)
{
    struct built built;
    struct image image;

    build_example(&built);
    image = save_example(&built, version);
    built_fini(&built);
    return image;
}

static bool is_zero_line(const struct image *image, size_t at)
{
    for (size_t i = at; i < at + 16 && i < image->len; i++)
        if (image->bytes[i])
            return false;
    return true;
}

static void dump_line(FILE *out, const struct image *image, size_t at)
{
    fprintf(out, "%08zx ", at);
    for (size_t i = at; i < at + 16; i++)
        fprintf(out, "%s%02x", i % 8 ? " " : "  ", image->bytes[i]);
    fputs("  |", out);
    for (size_t i = at; i < at + 16; i++)
        fputc(image->bytes[i] >= 0x20 && image->bytes[i] < 0x7f ? image->bytes[i] : '.', out);
    fputs("|\n", out);
}

static void print_example(FILE *out, uint32_t version)
{
    struct image image = example(version);
    bool skipped = false;

    assert_int_equal(check_image(&image, NULL), 0);
    fputs("\n```\n", out);
    for (size_t at = 0; at < image.len; at += 16) {
        bool zero = is_zero_line(&image, at);

        if (zero && !skipped)
            fputs("*\n", out);
        if (!zero)
            dump_line(out, &image, at);
        skipped = zero;
    }
    fprintf(out, "%08zx\n```\n\n", image.len);
    image_fini(&image);
}

/* ---- the document ---- */

static void print_schemas(FILE *out)
{
    fputc('\n', out);
    stasis_schema_markdown(out);
    fputc('\n', out);
}

/* Copies *text up to and with the marker, and moves it behind. */
static void copy_to(FILE *out, const char **text, const char *marker)
{
    const char *at = strstr(*text, marker);
    const char *end = at ? strchr(at, '\n') : NULL;

    if (!end) {
        fail_msg("%s has no line %s", DOCUMENT, marker);
        return;
    }
    end++;
    fwrite(*text, 1, (size_t)(end - *text), out);
    *text = end;
}

static void skip_to(const char **text, const char *marker)
{
    const char *at = strstr(*text, marker);

    if (!at)
        fail_msg("%s has no line %s", DOCUMENT, marker);
    else
        *text = at;
}

static char *up_to_date(const char *text)
{
    char *made;
    size_t len;
    FILE *out = open_memstream(&made, &len);

    assert_non_null(out);
    copy_to(out, &text, "<!-- example 2 begin -->");
    print_example(out, 2);
    skip_to(&text, "<!-- example 2 end -->");
    copy_to(out, &text, "<!-- limits begin -->");
    print_limits(out);
    skip_to(&text, "<!-- limits end -->");
    copy_to(out, &text, "<!-- example begin -->");
    print_example(out, 1);
    skip_to(&text, "<!-- example end -->");
    copy_to(out, &text, "<!-- schemas begin -->");
    print_schemas(out);
    skip_to(&text, "<!-- schemas end -->");
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
    return made;
}

static char *document(void)
{
    struct image file = image_read(DOCUMENT);

    file.bytes[file.len] = '\0';
    return (char *)file.bytes;
}

static void the_document_is_up_to_date(void **state)
{
    char *have = document();
    char *want = up_to_date(have);
    size_t same = 0;

    (void)state;
    while (have[same] && have[same] == want[same])
        same++;
    if (have[same] != want[same])
        fail_msg("%s is out of date at byte %zu: run test_snap_format_doc --write", DOCUMENT, same);
    free(have);
    free(want);
}

static void write_document(void **state)
{
    char *have = document();
    char *want = up_to_date(have);
    FILE *out = fopen(DOCUMENT, "w");

    (void)state;
    assert_non_null(out);
    fputs(want, out);
    assert_int_equal(fclose(out), 0);
    free(have);
    free(want);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest check[] = {cmocka_unit_test(the_document_is_up_to_date),
                                       cmocka_unit_test(the_formulas_are_those_of_the_code)};
    const struct CMUnitTest write[] = {cmocka_unit_test(write_document)};

    return argc == 2 && !strcmp(argv[1], "--write") ? cmocka_run_group_tests(write, NULL, NULL)
                                                    : cmocka_run_group_tests(check, NULL, NULL);
}
