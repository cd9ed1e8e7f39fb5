/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A range of guest RAM as it is. Each chunk is verified before a byte of it goes out; a file
 * appears only when all of it was.
 */
#include <inttypes.h>
#include <unistd.h>

#include "tools/inspect.h"
#include "common/number.h"
#include "common/progress.h"
#include "stasis/output.h"
#include "tools/guest_ram.h"

enum { OPTION_GPA, OPTION_LEN, OPTION_OUTPUT, OPTION_FORCE };

struct extract {
    const struct stasis_snap *snap;
    uint64_t gpa;
    uint64_t len;
    FILE *out;                  /* NULL: file */
    struct stasis_output *file; /* zero chunks are left out: they are holes */
};

static int parse_number(const struct stasis_inspect_args *args, size_t option, uint64_t *ret_value,
                        struct stasis_error *err)
{
    const struct stasis_inspect_option *row = &stasis_inspect_find("extract")->options[option];
    int rc;

    if (!args->values[option])
        return stasis_fail(err, STASIS_ERR_ARG, "extract: --%s is missing; give --%s %s", row->name,
                           row->name, row->arg);
    rc = stasis_number_parse(args->values[option], ret_value, err);
    return rc ? stasis_wrap(err, rc, "--%s", row->name) : 0;
}

/* All of it must be RAM, which also bounds a length that is anything. */
static int check_range(const struct extract *extract, struct stasis_error *err)
{
    uint64_t there = stasis_inspect_ram_extent(extract->snap, extract->gpa, extract->len);

    if (there == extract->len)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "no RAM at guest address 0x%" PRIx64 "; see " STASIS_INSPECT_NAME
                       " memory for what there is",
                       extract->gpa + there);
}

static int put(const struct extract *extract, const uint8_t *bytes, size_t len, uint64_t at,
               struct stasis_error *err)
{
    if (!extract->out)
        return stasis_output_put(extract->file, bytes, len, at, err);
    fwrite(bytes, 1, len, extract->out);
    return 0;
}

static int copy_all(const struct extract *extract, struct stasis_progress *progress,
                    struct stasis_error *err)
{
    uint8_t bytes[STASIS_CHUNK_SIZE];
    uint64_t done = 0;

    /* Nobody is served by reading on when the output takes nothing. */
    while (done < extract->len && !(extract->out && ferror(extract->out))) {
        uint64_t gpa = extract->gpa + done;
        struct stasis_snap_chunk chunk;
        uint64_t number;
        uint64_t step;
        int rc = 0;

        if (!stasis_inspect_ram_find(extract->snap, gpa, &number))
            return stasis_fail(err, STASIS_ERR_INTERNAL, "no RAM at 0x%" PRIx64, gpa);
        chunk = stasis_snap_chunk_at(extract->snap, number);
        step = chunk.gpa + chunk.size - gpa;
        if (step > extract->len - done)
            step = extract->len - done;
        if (chunk.kind != STASIS_CHUNK_ZERO || extract->out)
            rc = stasis_snap_read_chunk(extract->snap, number, bytes, err);
        if (!rc && (chunk.kind != STASIS_CHUNK_ZERO || extract->out))
            rc = put(extract, bytes + (gpa - chunk.gpa), (size_t)step, done, err);
        if (rc)
            return rc;
        done += step;
        (void)stasis_progress_show(progress, done, extract->len);
    }
    return 0;
}

static int copy(const struct extract *extract, struct stasis_error *err)
{
    struct stasis_progress progress;
    int rc;

    stasis_progress_init(&progress, "copying RAM");
    if (extract->out && isatty(STDOUT_FILENO))
        progress.terminal = false; /* the guest's bytes go there */
    rc = copy_all(extract, &progress, err);
    stasis_progress_clear(&progress);
    return rc;
}

static int copy_to_file(struct extract *extract, struct stasis_outputs *outputs, const char *path,
                        struct stasis_error *err)
{
    int rc = stasis_inspect_create(outputs, path, &extract->file, err);

    if (!rc)
        rc = copy(extract, err);
    if (!rc)
        rc = stasis_inspect_finish(extract->file, extract->len, err);
    stasis_output_close(extract->file);
    extract->file = NULL;
    return rc;
}

static int copy_to_output(struct extract *extract, bool force, FILE *out, struct stasis_error *err)
{
    if (isatty(STDOUT_FILENO) && !force)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "standard output is a terminal, which may act on the guest's bytes; "
                           "name a file by -o or use --force");
    extract->out = out;
    return copy(extract, err);
}

int stasis_inspect_extract(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err)
{
    struct extract extract = {0};
    struct stasis_snap *snap = NULL;
    int rc = parse_number(args, OPTION_GPA, &extract.gpa, err);

    if (!rc)
        rc = parse_number(args, OPTION_LEN, &extract.len, err);
    if (!rc)
        rc = stasis_inspect_open_any(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    extract.snap = snap;
    rc = check_range(&extract, err);
    if (!rc && args->values[OPTION_OUTPUT])
        rc = copy_to_file(&extract, args->outputs, args->values[OPTION_OUTPUT], err);
    else if (!rc)
        rc = copy_to_output(&extract, args->values[OPTION_FORCE], out, err);
    stasis_snap_free(snap);
    return rc;
}
