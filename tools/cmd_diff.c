/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Two snapshots compared: device by device, vCPU by vCPU, register by register, and RAM by ranges.
 * Who wrote a file, and when, is no difference of the machine in it.
 */
#include <string.h>

#include "common/progress.h"
#include "tools/diff.h"
#include "tools/inspect.h"

enum { OPTION_JSON };
enum { SAME = 0, DIFFERENT = 1 };

struct diff {
    struct stasis_snap *snaps[2];
    struct stasis_diff_counts counts;
};

static bool differs(const struct diff *diff)
{
    const struct stasis_diff_counts *counts = &diff->counts;

    return stasis_snap_info(diff->snaps[0])->arch != stasis_snap_info(diff->snaps[1])->arch ||
           counts->notes_differ || counts->records_differ || counts->pages_differ ||
           counts->pages_only[0] || counts->pages_only[1];
}

static int diff_ram(struct diff *diff, struct stasis_diff_out *sink, struct stasis_error *err)
{
    struct stasis_progress progress;
    int rc;

    stasis_progress_init(&progress, "comparing");
    sink->progress = stasis_progress_show;
    sink->progress_ctx = &progress;
    rc = stasis_diff_ram(diff->snaps[0], diff->snaps[1], sink, &diff->counts, err);
    stasis_progress_clear(&progress);
    return rc;
}

static int diff_text(struct diff *diff, const char *const names[2], FILE *out,
                     struct stasis_error *err)
{
    struct stasis_diff_text text;
    struct stasis_diff_out sink;
    int rc;

    stasis_diff_text_init(&text, out, names, &sink);
    stasis_diff_text_arch(&text, stasis_snap_info(diff->snaps[0])->arch,
                          stasis_snap_info(diff->snaps[1])->arch);
    stasis_diff_notes(stasis_snap_notes(diff->snaps[0]), stasis_snap_notes(diff->snaps[1]), &sink,
                      &diff->counts);
    rc = stasis_diff_records(diff->snaps[0], diff->snaps[1], &sink, &diff->counts, err);
    if (!rc)
        rc = diff_ram(diff, &sink, err);
    if (!rc)
        stasis_diff_text_end(&text, &diff->counts, differs(diff));
    return rc;
}

int stasis_diff_print_text(struct stasis_snap *const snaps[2], const char *const names[2],
                           FILE *out, bool *ret_differs, struct stasis_error *err)
{
    struct diff diff = {.snaps = {snaps[0], snaps[1]}};
    int rc = diff_text(&diff, names, out, err);

    if (!rc)
        *ret_differs = differs(&diff);
    return rc;
}

static void put_counts(struct stasis_json *json, const struct stasis_diff_counts *counts)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"notes", counts->notes},
        {"notes_different", counts->notes_differ},
        {"records", counts->records},
        {"records_different", counts->records_differ},
        {"pages_in_both", counts->pages},
        {"pages_different", counts->pages_differ},
        {"pages_only_a", counts->pages_only[0]},
        {"pages_only_b", counts->pages_only[1]},
    };

    stasis_json_key(json, "counts");
    stasis_json_object_begin(json);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stasis_json_key(json, rows[i].key);
        stasis_json_u64(json, rows[i].value);
    }
    stasis_json_object_end(json);
}

static int diff_json(struct diff *diff, FILE *out, struct stasis_error *err)
{
    struct stasis_diff_json state;
    struct stasis_json *json = &state.json;
    struct stasis_diff_out sink;
    int rc;

    stasis_diff_json_init(&state, out, &sink);
    stasis_json_object_begin(json);
    stasis_diff_json_header(json, stasis_snap_info(diff->snaps[0]),
                            stasis_snap_info(diff->snaps[1]));
    stasis_json_key(json, "notes");
    stasis_json_array_begin(json);
    stasis_diff_notes(stasis_snap_notes(diff->snaps[0]), stasis_snap_notes(diff->snaps[1]), &sink,
                      &diff->counts);
    stasis_json_array_end(json);
    stasis_json_key(json, "records");
    stasis_json_array_begin(json);
    rc = stasis_diff_records(diff->snaps[0], diff->snaps[1], &sink, &diff->counts, err);
    stasis_json_array_end(json);
    stasis_json_key(json, "memory");
    stasis_json_array_begin(json);
    if (!rc)
        rc = diff_ram(diff, &sink, err);
    if (rc)
        return rc;
    stasis_json_array_end(json);
    put_counts(json, &diff->counts);
    stasis_json_key(json, "same");
    stasis_json_bool(json, !differs(diff));
    stasis_json_object_end(json);
    return stasis_json_finish(json) ? stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output")
                                    : 0;
}

static int open_side(const struct stasis_inspect_args *args, const char *name,
                     struct stasis_snap **ret_snap, struct stasis_error *err)
{
    int rc = stasis_inspect_open_any(args, name, ret_snap, err);

    return rc ? rc : stasis_inspect_read_notes(*ret_snap, err);
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
    const char *const names[2] = {args->operands[0], args->operands[1]};
    struct diff diff = {.snaps = {NULL, NULL}};
    int rc = 0;

    if (!strcmp(names[0], "-") && !strcmp(names[1], "-"))
        return stasis_fail(err, STASIS_ERR_ARG, "diff: standard input is one file; name another");
    for (int i = 0; !rc && i < 2; i++)
        rc = open_side(args, names[i], &diff.snaps[i], err);
    if (!rc)
        rc = args->values[OPTION_JSON] ? diff_json(&diff, out, err)
                                       : diff_text(&diff, names, out, err);
    if (!rc)
        rc = differs(&diff) ? DIFFERENT : SAME;
    stasis_snap_free(diff.snaps[0]);
    stasis_snap_free(diff.snaps[1]);
    return rc < 0 ? trouble(rc, err) : rc;
}
