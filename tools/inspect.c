/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * From the command line to a sub-command and its exit status.
 */
#include "tools/inspect.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/streams.h"

static int open_file(const char *file, const struct stasis_parse_opts *opts,
                     struct stasis_snap **ret_snap, struct stasis_error *err)
{
    if (!strcmp(file, "-"))
        return stasis_snap_open_fd(STDIN_FILENO, "standard input", opts, ret_snap, err);
    return stasis_snap_open(file, opts, ret_snap, err);
}

int stasis_inspect_open(const char *file, struct stasis_snap **ret_snap, struct stasis_error *err)
{
    return open_file(file, NULL, ret_snap, err);
}

int stasis_inspect_open_any(const char *file, struct stasis_snap **ret_snap,
                            struct stasis_error *err)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = true};
    struct stasis_snap *snap;
    int rc = open_file(file, &opts, &snap, err);

    if (rc)
        return rc;
    rc = stasis_snap_read_schemas(snap, err);
    if (rc)
        stasis_snap_free(snap);
    else
        *ret_snap = snap;
    return rc;
}

bool stasis_inspect_is_beyond(const struct stasis_record *record)
{
    return !record->schema || record->foreign;
}

size_t stasis_inspect_beyond(const struct stasis_records *records)
{
    size_t count = 0;

    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        count += stasis_inspect_is_beyond(&record);
    }
    return count;
}

void stasis_inspect_put_record(FILE *out, const struct stasis_record *record)
{
    fprintf(out, "%s %s, version %" PRIu32, record->type, record->instance, record->version);
}

/* argv[0] is the command's name. */
static int run_command(int argc, char **argv, FILE *out, struct stasis_error *err)
{
    const struct stasis_inspect_command *command = stasis_inspect_find(argv[0]);
    struct stasis_inspect_args args;
    int rc;

    if (!command)
        return stasis_inspect_unknown(argv[0], err);
    rc = stasis_inspect_parse(command, argc, argv, &args, err);
    if (rc)
        return rc;
    if (!args.help)
        return command->run(&args, out, err);
    stasis_inspect_print_help(command, out);
    return 0;
}

static int run(int argc, char **argv, FILE *out, struct stasis_error *err)
{
    if (argc < 2)
        return stasis_fail(err, STASIS_ERR_ARG, "a command is missing; see %s --help",
                           STASIS_INSPECT_NAME);
    if (argv[1][0] != '-')
        return run_command(argc - 1, argv + 1, out, err);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        stasis_inspect_print_help(NULL, out);
    else if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
        fputs(STASIS_INSPECT_NAME " (stasis) " STASIS_VERSION "\n", out);
    else
        return stasis_fail(err, STASIS_ERR_ARG, "%.60s is not an option; see %s --help", argv[1],
                           STASIS_INSPECT_NAME);
    return 0;
}

int stasis_inspect_main(int argc, char **argv)
{
    struct stasis_inspect_output output;
    struct stasis_error err;
    struct stasis_error write_err;
    int status;

    if (stasis_inspect_output_open(&output, &err))
        return stasis_inspect_say(&err);
    status = run(argc, argv, output.file, &err);
    if (stasis_inspect_output_close(&output, &write_err))
        return stasis_inspect_say(&write_err);
    return status < 0 ? stasis_inspect_say(&err) : status;
}
