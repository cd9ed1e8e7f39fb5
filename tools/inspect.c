/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * From the command line to a sub-command and its exit status.
 */
#include "tools/inspect.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/progress.h"
#include "tools/streams.h"

static const char *input_name(const char *file)
{
    return strcmp(file, "-") != 0 ? file : "standard input";
}

int stasis_inspect_open_input(struct stasis_outputs *outputs, const char *file, int *ret_fd,
                              struct stasis_error *err)
{
    int fd;
    int rc;

    if (strcmp(file, "-") != 0)
        return stasis_outputs_open_input(outputs, file, "the input", ret_fd, err);
    rc = stasis_outputs_add_input(outputs, STDIN_FILENO, "the input", err);
    if (rc)
        return stasis_wrap(err, rc, "standard input");
    fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_IO, "standard input");
    *ret_fd = fd;
    return 0;
}

static int open_file(const struct stasis_inspect_args *args, const char *file,
                     const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                     struct stasis_error *err)
{
    struct stasis_parse_opts own = *opts;
    struct stasis_progress progress;
    int fd = -1;
    int rc = stasis_inspect_open_input(args->outputs, file, &fd, err);

    if (rc)
        return rc;
    stasis_progress_init(&progress, "reading"); /* what comes through a pipe */
    own.progress = stasis_progress_show;
    own.ctx = &progress;
    own.layers = args->layers;
    own.beside = strcmp(file, "-") != 0 ? file : NULL;
    rc = stasis_snap_open_fd(fd, input_name(file), &own, ret_snap, err);
    stasis_progress_clear(&progress);
    (void)close(fd);
    return rc;
}

int stasis_inspect_open(const struct stasis_inspect_args *args, const char *file,
                        struct stasis_snap **ret_snap, struct stasis_error *err)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts)};

    return open_file(args, file, &opts, ret_snap, err);
}

int stasis_inspect_open_tolerant(const struct stasis_inspect_args *args, const char *file,
                                 struct stasis_snap **ret_snap, struct stasis_error *err)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = true};

    return open_file(args, file, &opts, ret_snap, err);
}

/* Damage to what is for display only does not keep anybody from the data. */
static int pardon(int rc, const char *what, struct stasis_error *err)
{
    if (rc != STASIS_ERR_CORRUPT)
        return rc;
    stasis_inspect_note(what, err);
    return 0;
}

/* Frees the snapshot if it fails. */
static int read_schemas(int rc, struct stasis_snap *snap, struct stasis_snap **ret_snap,
                        struct stasis_error *err)
{
    if (rc)
        return rc;
    rc = pardon(stasis_snap_read_schemas(snap, err), "; the records are shown without it", err);
    if (rc)
        stasis_snap_free(snap);
    else
        *ret_snap = snap;
    return rc;
}

int stasis_inspect_open_any(const struct stasis_inspect_args *args, const char *file,
                            struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_inspect_open_tolerant(args, file, &snap, err);

    return read_schemas(rc, snap, ret_snap, err);
}

int stasis_inspect_open_alone(const struct stasis_inspect_args *args, const char *file,
                              struct stasis_snap **ret_snap, struct stasis_error *err)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = true, .alone = true};

    return open_file(args, file, &opts, ret_snap, err);
}

int stasis_inspect_open_any_alone(const struct stasis_inspect_args *args, const char *file,
                                  struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_inspect_open_alone(args, file, &snap, err);

    return read_schemas(rc, snap, ret_snap, err);
}

bool stasis_inspect_opens_twice(const char *file)
{
    struct stat st;

    return strcmp(file, "-") != 0 &&
           (stat(file, &st) || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)));
}

int stasis_inspect_read_notes(struct stasis_snap *snap, struct stasis_error *err)
{
    return pardon(stasis_snap_read_notes(snap, err), "; its notes are left out", err);
}

static int check_output(const char *path, struct stasis_error *err)
{
    return strcmp(path, "-") != 0 ? 0
                                  : stasis_fail(err, STASIS_ERR_ARG,
                                                "-: this output cannot be standard output; name a "
                                                "file (./- for one called -)");
}

int stasis_inspect_open_copy(struct stasis_outputs *outputs, const struct stasis_snap *snap,
                             const char *path, struct stasis_output **ret_output,
                             struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .snapshot = true};
    int rc = check_output(path, err);

    if (!rc)
        rc = stasis_outputs_add_below(outputs, snap, "a file that the input lies on", err);
    if (rc)
        return rc;
    rc = stasis_output_open(outputs, path, &opts, ret_output, err);
    if (!rc)
        rc = stasis_output_probe(*ret_output, err);
    return rc ? stasis_wrap(err, rc, "%s", path) : 0;
}

int stasis_inspect_create(struct stasis_outputs *outputs, const char *path,
                          struct stasis_output **ret_file, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts)};
    struct stasis_output *file;
    int rc = check_output(path, err);

    if (rc)
        return rc;
    rc = stasis_output_open(outputs, path, &opts, &file, err);
    if (rc)
        return stasis_wrap(err, rc, "%s", path);
    rc = stasis_output_begin(file, err);
    if (rc) {
        stasis_output_close(file);
        return stasis_wrap(err, rc, "%s", path);
    }
    *ret_file = file;
    return 0;
}

int stasis_inspect_finish(struct stasis_output *file, uint64_t len, struct stasis_error *err)
{
    int rc = stasis_output_resize(file, len, err);

    if (!rc)
        rc = stasis_output_commit(file, true, err);
    return rc ? stasis_wrap(err, rc, "%s", stasis_output_path(file)) : 0;
}

bool stasis_inspect_is_unknown(const struct stasis_record *record)
{
    return !record->schema || record->embedded;
}

size_t stasis_inspect_unknown_count(const struct stasis_records *records)
{
    size_t count = 0;

    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        count += stasis_inspect_is_unknown(&record);
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
    if (args.help) {
        stasis_inspect_print_help(command, out);
        return 0;
    }
    args.outputs = stasis_outputs_new();
    rc = args.outputs ? command->run(&args, out, err)
                      : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
    stasis_outputs_free(args.outputs);
    return rc;
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
