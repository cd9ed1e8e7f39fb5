/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One page about a snapshot, or about two and what differs in them: HTML that needs nothing else,
 * and no script. What comes from a file is written through stasis_html_text() only, and the page
 * forbids browsers to load or run anything.
 */
#include <inttypes.h>

#include "tools/change.h"
#include "tools/html.h"
#include "tools/inspect.h"
#include "tools/picture.h"
#include "tools/text.h"

enum { OPTION_OUTPUT };

#define FIELDS_SHOWN 1024u /* of a record */

static const char style[] =
    ":root{color-scheme:light dark}\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:0 1rem 3rem}\n"
    "h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}\n"
    "pre,table{font:13px/1.45 ui-monospace,monospace}\n"
    "pre,.wide{overflow-x:auto;border:1px solid #8886;border-radius:6px;padding:.6rem}\n"
    "details{border-bottom:1px solid #8883}summary{cursor:pointer;padding:.25rem 0}\n"
    "table{border-collapse:collapse;margin:.2rem 0 .8rem 1rem}\n"
    "th,td{text-align:left;font-weight:400;padding:.1rem 1.2rem .1rem 0;vertical-align:top;"
    "overflow-wrap:anywhere}\n"
    /* Where there is little room, long lines break: a reader would have to scroll for each. */
    "@media (max-width:45rem){pre{white-space:pre-wrap;overflow-wrap:anywhere}\n"
    "pre,table{font-size:12px}table{margin-left:0}th,td{padding-right:.6rem}}\n";

/* ---- text of the file ---- */

static void put_text(FILE *page, const char *text)
{
    FILE *escaped = stasis_html_text(page);

    if (!escaped)
        return;
    stasis_text_put(escaped, text);
    fclose(escaped);
}

static void put_heading(FILE *page, unsigned level, const char *text)
{
    fprintf(page, "<h%u>", level);
    put_text(page, text);
    fprintf(page, "</h%u>\n", level);
}

/* ---- records ---- */

struct rows {
    FILE *page;
    FILE *text;
    uint64_t count;
};

static void put_row(void *ctx, const char *path, const struct stasis_scalar *a,
                    const struct stasis_scalar *b)
{
    struct rows *rows = ctx;

    (void)b;
    if (rows->count++ >= FIELDS_SHOWN)
        return;
    fputs("<tr><th>", rows->page);
    fputs(path, rows->text);
    fflush(rows->text);
    fputs("</th><td>", rows->page);
    stasis_scalar_put_text(a, rows->text);
    fflush(rows->text);
    fputs("</td></tr>\n", rows->page);
}

static int put_fields(struct rows *rows, const struct stasis_records *records, size_t index,
                      struct stasis_error *err)
{
    const struct stasis_side none = {.schema = NULL};
    struct stasis_side side;
    int rc = stasis_side_init(&side, records, index, err);

    if (rc)
        return rc;
    fputs("<table>\n", rows->page);
    rc = stasis_fields_walk(&side, &none, put_row, rows, err);
    fputs("</table>\n", rows->page);
    if (rows->count > FIELDS_SHOWN)
        fprintf(rows->page, "<p>and %" PRIu64 " more; snapshot-inspect json has them all</p>\n",
                rows->count - FIELDS_SHOWN);
    stasis_side_fini(&side);
    return rc;
}

/* Closed at first, so that a page of many vCPUs stays short. Without a script. */
static int put_record(FILE *page, const struct stasis_records *records, size_t index,
                      struct stasis_error *err)
{
    struct stasis_record record = stasis_records_at(records, index);
    struct rows rows = {.page = page, .text = stasis_html_text(page)};
    int rc = 0;

    if (!rows.text)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the page");
    fputs("<details><summary>", page);
    fprintf(rows.text, "%s %s", record.type, record.instance);
    fflush(rows.text);
    if (record.schema) {
        fputs("</summary>\n", page);
        rc = put_fields(&rows, records, index, err);
    } else {
        fputs(": unknown to this release; snapshot-inspect json has its fields by id</summary>\n",
              page);
    }
    fputs("</details>\n", page);
    fclose(rows.text);
    return rc;
}

static int put_records(FILE *page, const struct stasis_records *records, struct stasis_error *err)
{
    int rc = 0;

    fputs("<h2>State</h2>\n", page);
    for (size_t i = 0; i < stasis_records_count(records) && !rc; i++)
        rc = put_record(page, records, i, err);
    return rc;
}

/* ---- files ---- */

/* What `info` prints of one of the files. */
static int put_summary(FILE *page, const struct stasis_inspect_args *args, size_t i,
                       struct stasis_error *err)
{
    struct stasis_inspect_args one = *args;
    FILE *text = stasis_html_text(page);
    int rc;

    if (!text)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the page");
    one.operands += i;
    one.operand_count = 1;
    fputs("<pre>", page);
    rc = stasis_inspect_info(&one, text, err);
    fclose(text);
    fputs("</pre>\n", page);
    return rc;
}

static int put_file(FILE *page, const struct stasis_inspect_args *args, size_t i,
                    struct stasis_snap *snap, struct stasis_error *err)
{
    int rc;

    put_heading(page, 1, args->operands[i]);
    rc = put_summary(page, args, i, err);
    if (rc)
        return rc;
    fputs("<h2>Memory</h2>\n<div class=\"wide\">\n", page);
    stasis_picture_svg(snap, args->operands[i], page);
    fputs("</div>\n", page);
    return put_records(page, stasis_snap_records(snap), err);
}

/* What `memory --svg` draws of both. */
static int put_change(FILE *page, struct stasis_snap *const snaps[2], const char *const names[2],
                      struct stasis_error *err)
{
    struct stasis_progress progress;
    struct stasis_change change;
    int rc;

    stasis_progress_init(&progress, "comparing");
    rc = stasis_change_compare(snaps[0], snaps[1], &progress, &change, err);
    stasis_progress_clear(&progress);
    if (rc)
        return rc;
    fputs("<div class=\"wide\">\n", page);
    stasis_change_svg(&change, names, page);
    fputs("</div>\n", page);
    stasis_change_fini(&change);
    return 0;
}

static int put_difference(FILE *page, struct stasis_snap *const snaps[2],
                          const char *const names[2], struct stasis_error *err)
{
    FILE *text = stasis_html_text(page);
    bool differs;
    int rc;

    if (!text)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the page");
    fputs("<h1>What differs</h1>\n", page);
    rc = put_change(page, snaps, names, err);
    fputs("<pre>", page);
    if (!rc)
        rc = stasis_diff_print_text(snaps, names, text, &differs, err);
    fclose(text);
    fputs("</pre>\n", page);
    return rc;
}

static int put_page(FILE *page, const struct stasis_inspect_args *args,
                    struct stasis_snap *const snaps[2], struct stasis_error *err)
{
    const char *const names[2] = {args->operands[0], snaps[1] ? args->operands[1] : NULL};
    int rc = 0;

    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\">\n<title>",
          page);
    put_text(page, names[0]);
    fprintf(page, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", style);
    if (snaps[1])
        rc = put_difference(page, snaps, names, err);
    for (int i = 0; i < 2 && snaps[i] && !rc; i++)
        rc = put_file(page, args, (size_t)i, snaps[i], err);
    fputs("<p>Made by snapshot-inspect " STASIS_VERSION ".</p>\n</body>\n</html>\n", page);
    return rc;
}

static int write_page(const struct stasis_inspect_args *args, struct stasis_snap *const snaps[2],
                      FILE *out, struct stasis_error *err)
{
    struct stasis_html_file file = {.output = NULL};
    FILE *page;
    int rc = stasis_inspect_create(args->outputs, args->values[OPTION_OUTPUT], &file.output, err);

    if (rc)
        return rc;
    page = stasis_html_open(&file);
    if (!page) {
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the page");
        goto out;
    }
    rc = put_page(page, args, snaps, err);
    (void)fclose(page); /* file.err tells what could not be written */
    if (!rc && file.err.code) {
        *err = file.err;
        rc = file.err.code;
    }
    if (!rc)
        rc = stasis_inspect_finish(file.output, file.len, err);
    if (!rc)
        fprintf(out, "%s: %" PRIu64 " bytes\n", stasis_output_path(file.output), file.len);
out:
    stasis_output_close(file.output);
    return rc;
}

/* They are opened for the picture, too. */
static int open_file(const struct stasis_inspect_args *args, const char *name,
                     struct stasis_snap **ret_snap, struct stasis_error *err)
{
    int rc;

    if (!stasis_inspect_opens_twice(name))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "report: %s: files are read twice; name one that is no pipe", name);
    rc = stasis_inspect_open_any(args, name, ret_snap, err);
    return rc ? rc : stasis_inspect_read_notes(*ret_snap, err);
}

int stasis_inspect_report(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct stasis_snap *snaps[2] = {NULL, NULL};
    int rc = 0;

    if (!args->values[OPTION_OUTPUT])
        return stasis_fail(err, STASIS_ERR_ARG, "report: name the page: --output FILE");
    for (size_t i = 0; i < args->operand_count && !rc; i++)
        rc = open_file(args, args->operands[i], &snaps[i], err);
    if (!rc)
        rc = write_page(args, snaps, out, err);
    stasis_snap_free(snaps[0]);
    stasis_snap_free(snaps[1]);
    return rc;
}
