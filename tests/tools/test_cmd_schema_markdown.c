/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The field tables in docs/snapshot-format.md are those of the code.
 */
#include "tests/tools/rig.h"

#include <stdlib.h>
#include <string.h>

#define BEGIN "<!-- schemas begin -->\n"
#define END   "<!-- schemas end -->\n"

static struct run run;

/* sed: deletes what is between the lines, then reads the new text in behind the first of them. */
static const char refresh[] =
    "snapshot-inspect schema-markdown | sed -i"
    " -e '/^<!-- schemas begin -->$/,/^<!-- schemas end -->$/{/^<!-- schemas/!d}'"
    " -e '/^<!-- schemas begin -->$/r /dev/stdin' ";

/* What stands between the two lines, but for empty lines around it. */
static char *between(struct image *page)
{
    char *text = (char *)page->bytes;
    char *begin;
    char *end;

    text[page->len] = '\0';
    begin = strstr(text, BEGIN);
    end = begin ? strstr(begin, END) : NULL;
    if (!end) {
        fail_msg("no lines " BEGIN "and " END);
        return text;
    }
    begin += strlen(BEGIN);
    begin += strspn(begin, "\n");
    while (end - begin > 1 && end[-2] == '\n')
        end--;
    *end = '\0';
    return begin;
}

static void document_is_up_to_date(void **state)
{
    struct image page = image_read(STASIS_SOURCE_DIR "/docs/snapshot-format.md");

    (void)state;
    run_inspect(&run, NULL, "schema-markdown", NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "### `stasis.serial`: ");
    if (strcmp(between(&page), run.out) != 0)
        fail_msg("docs/snapshot-format.md has not the field tables of the code; with "
                 "build/dev/bin in PATH, in the project's folder:\n%sdocs/snapshot-format.md",
                 refresh);
    image_fini(&page);
}

/* The command that the test above prints does what it says. */
static void refresh_works(void **state)
{
    static const char page[] = "# A\n\ntext\n" BEGIN "| old |\nolder\n" END "more\n" END;
    struct image fresh;
    char command[1024];

    (void)state;
    write_file(in_folder("page.md"), page, strlen(page));
    snprintf(command, sizeof(command), "PATH=%.*s:$PATH; %s%s",
             (int)(strrchr(inspect_path(), '/') - inspect_path()), inspect_path(), refresh,
             in_folder("page.md"));
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c,bugprone-command-processor) */
    fresh = image_read(in_folder("page.md"));
    run_inspect(&run, NULL, "schema-markdown", NULL);
    assert_string_equal(between(&fresh), run.out);
    assert_memory_equal(fresh.bytes, "# A\n\ntext\n" BEGIN, 10 + strlen(BEGIN));
    image_fini(&fresh);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document_is_up_to_date),
        cmocka_unit_test(refresh_works),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
