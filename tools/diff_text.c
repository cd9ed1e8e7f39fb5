/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/diff.h"
#include "tools/text.h"
#include "tools/virtio.h"

#define RANGES_SHOWN 64u
#define PATH_WIDTH   24

/* "stasis.serial com1" and, where they matter, the versions. */
static void record_begin(void *ctx, const struct stasis_diff_record *record)
{
    struct stasis_diff_text *text = ctx;
    const struct stasis_record *any = record->where == STASIS_DIFF_ONLY_B ? &record->b : &record->a;

    text->where = record->where;
    text->type = any->type;
    text->described = stasis_diff_is_described(record);
    fprintf(text->out, "%s %s", any->type, any->instance);
    if (record->where != STASIS_DIFF_BOTH) {
        fputs(": only in ", text->out);
        stasis_text_put(text->out, text->names[record->where == STASIS_DIFF_ONLY_B]);
    } else if (record->a.version != record->b.version) {
        fprintf(text->out, ", version %" PRIu32 " -> %" PRIu32, record->a.version,
                record->b.version);
    }
    if (record->where == STASIS_DIFF_BOTH && !text->described)
        fputs(": different, and no schema says what is in it", text->out);
    fputc('\n', text->out);
}

static void put_scalar(const struct stasis_diff_text *text, const struct stasis_scalar *scalar)
{
    if (scalar)
        stasis_scalar_put_text(scalar, text->out);
    else
        fputs("absent", text->out);
}

/* A queue of a virtio device by its name: mmio.queues[receiveq]. */
static void put_path(const struct stasis_diff_text *text, const char *path)
{
    const char *rest = NULL, *name = stasis_inspect_virtio_queue_of(text->type, path, &rest);
    int len = name ? fprintf(text->out, "  " STASIS_INSPECT_VIRTIO_QUEUES "%s%s", name, rest)
                   : fprintf(text->out, "  %s", path);

    fprintf(text->out, "%*s ", len < PATH_WIDTH + 2 ? PATH_WIDTH + 2 - len : 0, "");
}

/* A record of one side is named and no more. */
static void field(void *ctx, const char *path, const struct stasis_scalar *a,
                  const struct stasis_scalar *b)
{
    struct stasis_diff_text *text = ctx;

    if (text->where != STASIS_DIFF_BOTH)
        return;
    put_path(text, path);
    put_scalar(text, a);
    fputs(" -> ", text->out);
    put_scalar(text, b);
    fputc('\n', text->out);
}

static void record_end(void *ctx)
{
    (void)ctx;
}

static void range(void *ctx, uint64_t gpa, uint64_t size, enum stasis_diff_where where)
{
    struct stasis_diff_text *text = ctx;
    uint64_t pages = size / STASIS_PAGE_SIZE;

    if (!text->ranges)
        fputs("memory\n", text->out);
    if (text->ranges++ >= RANGES_SHOWN) {
        text->left_out_pages += pages;
        return;
    }
    fprintf(text->out, "  0x%09" PRIx64 "-0x%09" PRIx64 " %10" PRIu64 " page%s", gpa,
            gpa + (size - 1), pages, pages == 1 ? "" : "s");
    if (where != STASIS_DIFF_BOTH) {
        fputs(", only in ", text->out);
        stasis_text_put(text->out, text->names[where == STASIS_DIFF_ONLY_B]);
    }
    fputc('\n', text->out);
}

static void put_note(const struct stasis_diff_text *text, const char *value)
{
    if (value)
        stasis_text_put(text->out, value);
    else
        fputs("absent", text->out);
}

static void note(void *ctx, const char *key, const char *a, const char *b)
{
    struct stasis_diff_text *text = ctx;

    fprintf(text->out, "note %s: ", key);
    put_note(text, a);
    fputs(" -> ", text->out);
    put_note(text, b);
    fputc('\n', text->out);
}

void stasis_diff_text_init(struct stasis_diff_text *text, FILE *out, const char *const names[2],
                           struct stasis_diff_out *ret_out)
{
    *text = (struct stasis_diff_text){.out = out, .names = {names[0], names[1]}};
    *ret_out =
        (struct stasis_diff_out){record_begin, field, record_end, range, note, text, NULL, NULL};
}

void stasis_diff_text_arch(const struct stasis_diff_text *text, uint32_t a, uint32_t b)
{
    char from[STASIS_TEXT_MAX];
    char to[STASIS_TEXT_MAX];

    stasis_text_arch(a, from);
    stasis_text_arch(b, to);
    if (a != b)
        fprintf(text->out, "architecture %s -> %s\n", from, to);
}

void stasis_diff_text_end(const struct stasis_diff_text *text,
                          const struct stasis_diff_counts *counts, bool differs)
{
    if (text->ranges > RANGES_SHOWN)
        fprintf(text->out,
                "  and %" PRIu64 " ranges more, %" PRIu64 " pages; --json has them all\n",
                text->ranges - RANGES_SHOWN, text->left_out_pages);
    fprintf(text->out, "%s: ", differs ? "different" : "same");
    if (counts->notes)
        fprintf(text->out, "%zu of %zu notes differ; ", counts->notes_differ, counts->notes);
    fprintf(text->out,
            "%zu of %zu records differ; %" PRIu64 " of %" PRIu64 " pages of memory differ",
            counts->records_differ, counts->records, counts->pages_differ, counts->pages);
    if (counts->pages_only[0] || counts->pages_only[1])
        fprintf(text->out, ", %" PRIu64 " are in the first only, %" PRIu64 " in the second",
                counts->pages_only[0], counts->pages_only[1]);
    fputc('\n', text->out);
}
