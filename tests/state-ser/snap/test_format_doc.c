/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * docs/snapshot-format.md holds tables and an example that programs can make: it must hold what
 * they make today. With --write it is brought up to date.
 */
#include "tests/state-ser/snap/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT STASIS_DOCS "/snapshot-format.md"

/* The example is the same each time: identity, time and producer are set to fixed values. */
static struct image example(void)
{
    struct stasis_i8042_state i8042;
    struct stasis_error err = {0};
    struct built built = {.snap = stasis_snap_new(STASIS_ARCH_X86_64)};
    struct image image;

    stasis_state_init(&stasis_i8042_schema, &i8042);
    if (stasis_records_add(stasis_snap_records(built.snap), &stasis_i8042_schema, "kbd", &i8042,
                           &err))
        fail_msg("%s", err.msg);
    built_add(&built, 0, STASIS_CHUNK_SIZE + STASIS_PAGE_SIZE);
    built.ram[0][0x1000] = 0x2a;
    image = image_of(&built);
    built_fini(&built);
    memset(image.bytes + STASIS_HDR_PRODUCER, 0, 32);
    memcpy(image.bytes + STASIS_HDR_PRODUCER, "stasis example", 14);
    for (uint8_t i = 0; i < 16; i++)
        image.bytes[STASIS_HDR_UUID + i] = (uint8_t)(i == 6 ? 0x46 : i == 8 ? 0x88 : 0x11 * i);
    memset(image.bytes + STASIS_HDR_CREATED, 0, 8);
    image_reseal(&image);
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

static void print_example(FILE *out)
{
    struct image image = example();
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
    copy_to(out, &text, "<!-- example begin -->");
    print_example(out);
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
    const struct CMUnitTest check[] = {cmocka_unit_test(the_document_is_up_to_date)};
    const struct CMUnitTest write[] = {cmocka_unit_test(write_document)};

    return argc == 2 && !strcmp(argv[1], "--write") ? cmocka_run_group_tests(write, NULL, NULL)
                                                    : cmocka_run_group_tests(check, NULL, NULL);
}
