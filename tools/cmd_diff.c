/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Two snapshots compared: device by device, vCPU by vCPU, register by register, and RAM by ranges.
 * Who wrote a file, and when, is no difference of the machine in it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/diff.h"
#include "tools/inspect.h"
#include "tools/text.h"

enum { OPTION_JSON };
enum { SAME = 0, DIFFERENT = 1 };

struct diff {
    const char *names[2];
    struct stasis_snap *snaps[2];
    FILE *out;
    struct stasis_json *json; /* NULL: text */
    const char *type;         /* of the record at hand */
    const char *instance;
    bool titled; /* it has been named */
    bool different;
};

/* ---- what was found, as text or as JSON ---- */

static void put_text(const struct diff *diff, const struct stasis_diff_value *value)
{
    switch (value->kind) {
    case STASIS_DIFF_ABSENT:
        fputs("absent", diff->out);
        break;
    case STASIS_DIFF_UNSIGNED:
        fprintf(diff->out, "0x%" PRIx64, value->number);
        break;
    case STASIS_DIFF_SIGNED:
        fprintf(diff->out, "%" PRId64, (int64_t)value->number);
        break;
    case STASIS_DIFF_TEXT:
        fputc('"', diff->out);
        stasis_text_put(diff->out, value->text);
        fputc('"', diff->out);
        break;
    }
}

/* What is absent has no key. */
static void put_json(const struct diff *diff, const char *key,
                     const struct stasis_diff_value *value)
{
    if (value->kind == STASIS_DIFF_ABSENT)
        return;
    stasis_json_key(diff->json, key);
    if (value->kind == STASIS_DIFF_UNSIGNED)
        stasis_json_u64(diff->json, value->number);
    else if (value->kind == STASIS_DIFF_SIGNED)
        stasis_json_i64(diff->json, (int64_t)value->number);
    else
        stasis_json_str(diff->json, value->text);
}

static void json_str(const struct diff *diff, const char *key, const char *value)
{
    stasis_json_key(diff->json, key);
    stasis_json_str(diff->json, value);
}

/* "vCPU cpu0, x86.regs" */
static void title(struct diff *diff, const char *change)
{
    diff->different = true;
    if (diff->titled)
        return;
    diff->titled = true;
    if (diff->json) {
        stasis_json_object_begin(diff->json);
        json_str(diff, "type", diff->type);
        json_str(diff, "instance", diff->instance);
        json_str(diff, "change", change);
        stasis_json_key(diff->json, "fields");
        stasis_json_array_begin(diff->json);
        return;
    }
    fprintf(diff->out, "%s %s", diff->type, diff->instance);
    fputs(!strcmp(change, "changed") ? "\n" : ": ", diff->out);
}

static void end_record(struct diff *diff)
{
    if (diff->titled && diff->json) {
        stasis_json_array_end(diff->json);
        stasis_json_object_end(diff->json);
    }
    diff->titled = false;
}

static void on_field(void *ctx, const char *path, const struct stasis_diff_value *a,
                     const struct stasis_diff_value *b)
{
    struct diff *diff = ctx;

    title(diff, "changed");
    if (diff->json) {
        stasis_json_object_begin(diff->json);
        json_str(diff, "path", path);
        put_json(diff, "a", a);
        put_json(diff, "b", b);
        stasis_json_object_end(diff->json);
        return;
    }
    fputs("  ", diff->out);
    stasis_text_put(diff->out, path);
    fprintf(diff->out, "%*s ", (int)(strlen(path) < 20 ? 20 - strlen(path) : 0), "");
    put_text(diff, a);
    fputs(" -> ", diff->out);
    put_text(diff, b);
    fputc('\n', diff->out);
}

static void on_pages(void *ctx, uint64_t gpa, uint64_t pages)
{
    struct diff *diff = ctx;

    if (diff->json) {
        stasis_json_object_begin(diff->json);
        stasis_json_key(diff->json, "gpa");
        stasis_json_u64(diff->json, gpa);
        stasis_json_key(diff->json, "pages");
        stasis_json_u64(diff->json, pages);
        stasis_json_object_end(diff->json);
        return;
    }
    fprintf(diff->out, "  0x%" PRIx64 " to 0x%" PRIx64 ": %" PRIu64 " page%s\n", gpa,
            gpa + pages * STASIS_PAGE_SIZE - 1, pages, pages == 1 ? "" : "s");
}

/* ---- records ---- */

static void only_in(struct diff *diff, int side)
{
    title(diff, side ? "only_b" : "only_a");
    if (!diff->json) {
        fputs("only in ", diff->out);
        stasis_text_put(diff->out, diff->names[side]);
        fputc('\n', diff->out);
    }
    end_record(diff);
}

static int decode(const struct stasis_records *set, const struct stasis_record *record,
                  void **ret_state, struct stasis_error *err)
{
    int rc;

    *ret_state = malloc(record->schema->size);
    if (!*ret_state)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for %s", record->type);
    rc = stasis_records_get(set, record->schema, record->instance, *ret_state, err);
    return rc;
}

/* Nothing says what is in them; that they differ can be told. */
static void unreadable(struct diff *diff)
{
    title(diff, "unreadable");
    if (!diff->json)
        fputs("differs, and neither this release nor the file says how to read it\n", diff->out);
    end_record(diff);
}

static int both(struct diff *diff, const struct stasis_record *a, const struct stasis_record *b,
                struct stasis_error *err)
{
    const struct stasis_diff_sink sink = {.ctx = diff, .field = on_field};
    void *left = NULL, *right = NULL;
    int rc;

    if (a->version == b->version && a->fields_len == b->fields_len &&
        !memcmp(a->fields, b->fields, a->fields_len))
        return 0;
    if (!a->schema || !b->schema) {
        unreadable(diff);
        return 0;
    }
    rc = decode(stasis_snap_records(diff->snaps[0]), a, &left, err);
    if (!rc)
        rc = decode(stasis_snap_records(diff->snaps[1]), b, &right, err);
    if (!rc)
        stasis_diff_state(&sink, a->schema, left, b->schema, right);
    end_record(diff);
    free(left);
    free(right);
    return rc;
}

/* Devices and the machine first, then vCPU by vCPU: "cpu" and a number. */
static uint64_t group_of(const struct stasis_record *record)
{
    char *end;
    unsigned long number;

    if (strncmp(record->instance, "cpu", 3) != 0 || !record->instance[3])
        return 0;
    number = strtoul(record->instance + 3, &end, 10);
    return *end ? 0 : 1 + (uint64_t)number;
}

static int order(const struct stasis_record *a, const struct stasis_record *b)
{
    uint64_t left = group_of(a), right = group_of(b);
    int type = strcmp(a->type, b->type);

    if (left != right)
        return left < right ? -1 : 1;
    return type ? type : strcmp(a->instance, b->instance);
}

static int by_order(const void *a, const void *b)
{
    return order(a, b);
}

static struct stasis_record *sorted(struct stasis_records *set, size_t *ret_count)
{
    size_t count = stasis_records_count(set);
    struct stasis_record *list = calloc(count + 1, sizeof(*list));

    for (size_t i = 0; list && i < count; i++)
        list[i] = stasis_records_at(set, i);
    if (list)
        qsort(list, count, sizeof(*list), by_order);
    *ret_count = count;
    return list;
}

static int diff_records(struct diff *diff, struct stasis_error *err)
{
    size_t counts[2], i = 0, j = 0;
    struct stasis_record *a = sorted(stasis_snap_records(diff->snaps[0]), &counts[0]);
    struct stasis_record *b = sorted(stasis_snap_records(diff->snaps[1]), &counts[1]);
    int rc = a && b ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare records");

    while (!rc && (i < counts[0] || j < counts[1])) {
        int way = i == counts[0] ? 1 : j == counts[1] ? -1 : order(&a[i], &b[j]);
        const struct stasis_record *record = way > 0 ? &b[j] : &a[i];

        diff->type = record->type;
        diff->instance = record->instance;
        if (way)
            only_in(diff, way > 0);
        else
            rc = both(diff, &a[i], &b[j], err);
        i += way <= 0;
        j += way >= 0;
    }
    free(a);
    free(b);
    return rc;
}

/* ---- the whole ---- */

static int diff_arch(struct diff *diff)
{
    enum stasis_arch a = stasis_snap_info(diff->snaps[0])->arch;
    enum stasis_arch b = stasis_snap_info(diff->snaps[1])->arch;

    if (a == b)
        return 0;
    diff->different = true;
    if (diff->json) {
        json_str(diff, "arch_a", stasis_text_arch(a));
        json_str(diff, "arch_b", stasis_text_arch(b));
    } else {
        fprintf(diff->out, "architecture %s -> %s\n", stasis_text_arch(a), stasis_text_arch(b));
    }
    return 0;
}

static int diff_ram(struct diff *diff, struct stasis_error *err)
{
    const struct stasis_diff_sink sink = {.ctx = diff, .pages = on_pages};
    struct stasis_diff_pages pages;
    int rc;

    if (!diff->json)
        fputs("memory\n", diff->out);
    rc = stasis_diff_memory(&sink, diff->snaps[0], diff->snaps[1], &pages, err);
    if (rc)
        return rc;
    diff->different |= pages.different || pages.alone;
    if (diff->json) {
        stasis_json_array_end(diff->json);
        stasis_json_key(diff->json, "pages_compared");
        stasis_json_u64(diff->json, pages.compared);
        stasis_json_key(diff->json, "pages_different");
        stasis_json_u64(diff->json, pages.different);
        stasis_json_key(diff->json, "pages_alone");
        stasis_json_u64(diff->json, pages.alone);
        return 0;
    }
    fprintf(diff->out, "  %" PRIu64 " of %" PRIu64 " pages differ", pages.different,
            pages.compared);
    if (pages.alone)
        fprintf(diff->out, ", %" PRIu64 " are in one of the two only", pages.alone);
    fputc('\n', diff->out);
    return 0;
}

static int compare(struct diff *diff, struct stasis_error *err)
{
    int rc = diff_arch(diff);

    if (diff->json) {
        stasis_json_key(diff->json, "records");
        stasis_json_array_begin(diff->json);
    }
    if (!rc)
        rc = diff_records(diff, err);
    if (rc)
        return rc;
    if (diff->json) {
        stasis_json_array_end(diff->json);
        stasis_json_key(diff->json, "memory");
        stasis_json_array_begin(diff->json);
    }
    return diff_ram(diff, err);
}

static int compare_json(struct diff *diff, struct stasis_error *err)
{
    struct stasis_json json;
    int rc;

    stasis_json_init(&json, diff->out);
    diff->json = &json;
    stasis_json_object_begin(&json);
    rc = compare(diff, err);
    if (rc)
        return rc;
    stasis_json_key(&json, "same");
    stasis_json_bool(&json, !diff->different);
    stasis_json_object_end(&json);
    return stasis_json_finish(&json) ? stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output")
                                     : 0;
}

/* Status 1 means different here, and nothing else. */
static int trouble(int rc, struct stasis_error *err)
{
    if (stasis_err_exit_status(rc) != DIFFERENT)
        return rc;
    err->code = STASIS_ERR_UNAVAILABLE;
    return STASIS_ERR_UNAVAILABLE;
}

int stasis_inspect_diff(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct diff diff = {.names = {args->operands[0], args->operands[1]}, .out = out};
    int rc = 0;

    if (!strcmp(diff.names[0], "-") && !strcmp(diff.names[1], "-"))
        return stasis_fail(err, STASIS_ERR_ARG, "diff: standard input is one file; name another");
    for (int i = 0; !rc && i < 2; i++)
        rc = stasis_inspect_open_any(diff.names[i], &diff.snaps[i], err);
    if (!rc)
        rc = args->values[OPTION_JSON] ? compare_json(&diff, err) : compare(&diff, err);
    stasis_snap_free(diff.snaps[0]);
    stasis_snap_free(diff.snaps[1]);
    if (rc)
        return trouble(rc, err);
    if (!diff.json)
        fputs(diff.different ? "different\n" : "same\n", out);
    return diff.different ? DIFFERENT : SAME;
}
