/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/future.h"
#include "tests/tools/rig.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/notes.h"
#include "stasis/state.h"
#include "state-ser/snap/le.h"

static struct run run;

/* The page, as a string. The caller frees it. */
static char *page_of(const char *path)
{
    struct image image = image_read(path);
    char *text = malloc(image.len + 1);

    assert_non_null(text);
    memcpy(text, image.bytes, image.len);
    text[image.len] = '\0';
    image_fini(&image);
    return text;
}

static unsigned count_of(const char *all, const char *text)
{
    unsigned count = 0;

    for (const char *at = all; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static void one_file(void **state)
{
    struct built built;
    char *page;

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "report", "-o", in_folder("a.html"), in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_non_null(strstr(run.out, "a.html: "));
    page = page_of(in_folder("a.html"));
    assert_has(page, "<!DOCTYPE html>\n");
    assert_has(page, "default-src 'none'; style-src 'unsafe-inline'");
    assert_has(page, ": a Stasis snapshot\n");
    assert_has(page, "<svg xmlns");
    assert_has(page, "<summary>x86.regs cpu0</summary>");
    assert_has(page, "<tr><th>rip</th><td>0x");
    assert_has(page, "</html>\n");
    assert_int_equal(count_of(page, "<details>"),
                     stasis_records_count(stasis_snap_records(built.snap)));
    assert_int_equal(count_of(page, "<details>"), count_of(page, "</details>"));
    assert_null(strstr(page, "What differs"));
    assert_null(strstr(page, "<script"));
    free(page);
    built_fini(&built);
}

static void two_files(void **state)
{
    struct stasis_i8042_state kbd;
    struct stasis_error err;
    struct built built;
    char a[256];
    char *page;

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    stasis_state_init(&stasis_i8042_schema, &kbd);
    kbd.last_was_command = 1;
    assert_int_equal(stasis_records_replace(stasis_snap_records(built.snap), &stasis_i8042_schema,
                                            "kbd", &kbd, &err),
                     0);
    save_to(&built, in_folder("b.snap"));
    snprintf(a, sizeof(a), "%s", in_folder("a.snap"));
    run_inspect(&run, NULL, "report", a, in_folder("b.snap"), "-o", in_folder("a.html"), NULL);
    assert_ended(&run, 0, NULL);
    page = page_of(in_folder("a.html"));
    assert_has(page, "<h1>What differs</h1>\n<div class=\"wide\">\n<svg");
    assert_has(page, "</div>\n<pre>stasis.i8042 kbd");
    assert_has(page, " -&gt; ");
    assert_int_equal(count_of(page, "<svg"), 3);
    assert_has(page, "<title>What changed in memory from ");
    free(page);
    built_fini(&built);
}

/* What a file, or whoever names it, says is text, never HTML. */
static void hostile_text(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .producer = "<img src=x>\"' &amp;"};
    struct stasis_error err;
    struct built built;
    char *page;

    (void)state;
    built_machine(&built);
    assert_int_equal(stasis_notes_set(stasis_snap_notes(built.snap), "k", "<script>&'\"", &err), 0);
    assert_int_equal(
        stasis_snap_save(built.snap, in_folder("<svg onload=x>.snap"), &opts, NULL, &err), 0);
    run_inspect(&run, NULL, "report", "-o", in_folder("a.html"), in_folder("<svg onload=x>.snap"),
                NULL);
    assert_ended(&run, 0, NULL);
    page = page_of(in_folder("a.html"));
    assert_has(page, "k=&lt;script&gt;&amp;&#39;&quot;");
    assert_has(page, "&lt;img src=x&gt;&quot;&#39; &amp;amp;");
    assert_has(page, "&lt;svg onload=x&gt;.snap</h1>");
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "<img"));
    assert_null(strstr(page, "<svg onload"));
    free(page);
    built_fini(&built);
}

static void bad_arguments(void **state)
{
    struct built built;

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "report", in_folder("a.snap"), NULL);
    assert_ended(&run, 2, "report: name the page: --output FILE");
    run_inspect(&run, NULL, "report", "-o", in_folder("a.html"), "-", "-", NULL);
    assert_ended(&run, 2, "files are read twice");
    run_inspect(&run, NULL, "report", "-o", in_folder("a.snap"), in_folder("a.snap"), NULL);
    assert_ended(&run, 2, "same file as the input");
    run_inspect(&run, NULL, "report", "-o", in_folder("a.html"), in_folder("none.snap"), NULL);
    assert_ended(&run, 2, "none.snap");
    built_fini(&built);
}

/* Both comparisons: of what the picture shows, and of what differs. */
static void progress_on_a_terminal(void **state)
{
    unsigned cleared = 0;
    struct built built;
    char page[256], text[8192];

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    save_to(&built, in_folder("b.snap"));
    snprintf(page, sizeof(page), "%s", in_folder("a.html"));
    assert_int_equal(run_on_terminal(text, sizeof(text), "report", "-o", page, in_folder("a.snap"),
                                     in_folder("b.snap"), NULL),
                     0);
    for (const char *at = text; (at = strstr(at, "     \r")); at += strspn(at, " "))
        cleared++;
    assert_has(text, "\rcomparing: ");
    assert_int_equal(cleared, 2);
    built_fini(&built);
}

static void refuse(const struct image *image, int status)
{
    char *page;

    write_file(in_folder("b.snap"), image->bytes, image->len);
    write_file(in_folder("a.html"), "old", 3);
    run_inspect(&run, NULL, "report", "-o", in_folder("a.html"), in_folder("b.snap"), NULL);
    assert_ended(&run, status, "b.snap");
    page = page_of(in_folder("a.html"));
    assert_string_equal(page, "old");
    free(page);
}

/* A file that is damaged, or of a newer release, leaves the old page as it was. */
static void damaged_and_newer(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    image = image_read(in_folder("a.snap"));
    image.bytes[1030] ^= 1;
    refuse(&image, 3);
    image.bytes[1030] ^= 1;
    image.bytes[STASIS_HDR_VERSION]++;
    image_reseal(&image);
    refuse(&image, 4);
    image_fini(&image);
    built_fini(&built);
}

/* Of another program and processor, with records that nobody knows here. */
static void foreign(void **state)
{
    static const char producer[] = "<b>emu 9";
    struct built built;
    struct image image;
    char *page;

    (void)state;
    built_future(&built);
    save_to(&built, in_folder("a.snap"));
    image = image_read(in_folder("a.snap"));
    stasis_le32_put(image.bytes + STASIS_HDR_ARCH, EM_PPC64);
    memset(image.bytes + STASIS_HDR_PRODUCER, 0, STASIS_PRODUCER_MAX);
    memcpy(image.bytes + STASIS_HDR_PRODUCER, producer, sizeof(producer));
    image_reseal(&image);
    write_file(in_folder("b.snap"), image.bytes, image.len);
    run_inspect(&run, NULL, "report", "-o", in_folder("a.html"), in_folder("b.snap"), NULL);
    assert_ended(&run, 0, NULL);
    page = page_of(in_folder("a.html"));
    assert_has(page, "&lt;b&gt;emu 9");
    assert_null(strstr(page, "<b>emu"));
    assert_has(page, "fan0");
    free(page);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),
        cmocka_unit_test(two_files),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(damaged_and_newer),
        cmocka_unit_test(foreign),
        cmocka_unit_test(progress_on_a_terminal),
    };
    int failed = cmocka_run_group_tests(tests, setup_folder, teardown_folder);

    run_fini(&run);
    return failed;
}
