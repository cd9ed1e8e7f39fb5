/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * snapshot-inspect: looks into snapshot files, and into the ring files of vmm. Works on any
 * machine; needs no KVM. To add a sub-command: write tools/cmd_<name>.c, declare its function here
 * and give it a row in commands.c, from which dispatch, option parsing and help all come.
 */
#ifndef STASIS_TOOLS_INSPECT_H
#define STASIS_TOOLS_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "stasis/output.h"
#include "stasis/snap.h"

#define STASIS_INSPECT_NAME        "snapshot-inspect"
#define STASIS_INSPECT_OPTIONS_MAX 6

/* An option of one sub-command: "--name" or "--name ARG", and "-x" if it has a letter. */
struct stasis_inspect_option {
    const char *name;
    const char *arg; /* NULL: the option takes no value */
    const char *help;
    char letter;   /* 0: none; not h */
    bool required; /* usage shows it without brackets; the command itself checks */
};

struct stasis_inspect_args {
    size_t operand_count;
    char *const *operands; /* operand_count of them */
    /* In the order of the command's options; NULL if not given, "" if it takes no value. */
    const char *values[STASIS_INSPECT_OPTIONS_MAX];
    const char *layers; /* of --layers, of whichever command has it: where parents are; or NULL */
    bool help;          /* --help was given: nothing else is set */
    struct stasis_outputs *outputs; /* the files in use */
};

struct stasis_inspect_command {
    const char *name;
    /* Writes the result to `out`. Returns the exit status, or a negative enum stasis_err with *err
     * filled. What cannot be written to `out` is the caller's to notice. */
    int (*run)(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err);
    const char *operands; /* as usage shows them, "FILE" */
    size_t operands_min;
    size_t operands_max;                         /* SIZE_MAX: any number */
    const char *help;                            /* one line */
    const struct stasis_inspect_option *options; /* ends with a NULL name; may be NULL */
    bool hidden;                                 /* not listed: for our own use */
};

/* The table; ends with a NULL name. And the row of this name, or NULL. */
extern const struct stasis_inspect_command stasis_inspect_commands[];
const struct stasis_inspect_command *stasis_inspect_find(const char *name);

/* STASIS_ERR_ARG for a name that is none, with the names there are. */
int stasis_inspect_unknown(const char *name, struct stasis_error *err);

/* Parses what follows the command's name: argv[0] is that name, argv[argc] NULL. argv may be
 * reordered and is kept by *ret_args. STASIS_ERR_ARG. */
STASIS_MUST_CHECK int stasis_inspect_parse(const struct stasis_inspect_command *command, int argc,
                                           char **argv, struct stasis_inspect_args *ret_args,
                                           struct stasis_error *err);

/* "snapshot-inspect memory [--svg OUT] FILE" */
#define STASIS_INSPECT_USAGE_MAX 160
void stasis_inspect_usage(const struct stasis_inspect_command *command,
                          char ret_usage[STASIS_INSPECT_USAGE_MAX]);

/* Help on one command, or on all for NULL. */
void stasis_inspect_print_help(const struct stasis_inspect_command *command, FILE *out);

/* The whole program; streams are as stasis_inspect_streams() left them. Returns the exit status. */
int stasis_inspect_main(int argc, char **argv);

/* Opens a file named by an operand, where "-" is standard input; the caller closes *ret_fd. */
STASIS_MUST_CHECK int stasis_inspect_open_input(struct stasis_outputs *outputs, const char *file,
                                                int *ret_fd, struct stasis_error *err);

/* Opens the snapshot named by an operand, and the files that it lies on, if it is a layer. */
STASIS_MUST_CHECK int stasis_inspect_open(const struct stasis_inspect_args *args, const char *file,
                                          struct stasis_snap **ret_snap, struct stasis_error *err);

/* The same for commands that only look: records that this release cannot read are kept. */
STASIS_MUST_CHECK int stasis_inspect_open_tolerant(const struct stasis_inspect_args *args,
                                                   const char *file, struct stasis_snap **ret_snap,
                                                   struct stasis_error *err);

/* And shown by the schemas that came with the file. If its schema section is damaged, a line on
 * standard error says so, and there are none. */
STASIS_MUST_CHECK int stasis_inspect_open_any(const struct stasis_inspect_args *args,
                                              const char *file, struct stasis_snap **ret_snap,
                                              struct stasis_error *err);

/* As the last two, and a layer is opened without the files that it lies on: its RAM is not there.
 */
STASIS_MUST_CHECK int stasis_inspect_open_alone(const struct stasis_inspect_args *args,
                                                const char *file, struct stasis_snap **ret_snap,
                                                struct stasis_error *err);
STASIS_MUST_CHECK int stasis_inspect_open_any_alone(const struct stasis_inspect_args *args,
                                                    const char *file, struct stasis_snap **ret_snap,
                                                    struct stasis_error *err);

/* Whether the operand can be opened a second time, and then has the same bytes: it is neither
 * standard input nor a pipe. True if there is no such file: opening it says so. */
bool stasis_inspect_opens_twice(const char *file);

/* Reads the notes of a file for commands that show them; the same if their section is damaged. */
STASIS_MUST_CHECK int stasis_inspect_read_notes(struct stasis_snap *snap, struct stasis_error *err);

/* Opens a snapshot to be written, which may replace another one, but none of the files that `snap`
 * is read from, and tries whether it can be written: that is not to be learned at the end. "-" is
 * no name here: STASIS_ERR_ARG. The caller closes *ret_output, also when it fails. */
STASIS_MUST_CHECK int stasis_inspect_open_copy(struct stasis_outputs *outputs,
                                               const struct stasis_snap *snap, const char *path,
                                               struct stasis_output **ret_output,
                                               struct stasis_error *err);

/* Begins a file that appears when it is finished, with `len` bytes; the caller closes it. Never a
 * file that the command reads, nor a snapshot, nor "-". */
STASIS_MUST_CHECK int stasis_inspect_create(struct stasis_outputs *outputs, const char *path,
                                            struct stasis_output **ret_file,
                                            struct stasis_error *err);
STASIS_MUST_CHECK int stasis_inspect_finish(struct stasis_output *file, uint64_t len,
                                            struct stasis_error *err);

/* Whether this release cannot read the record: its type, or its version, is newer. How many there
 * are; and one of them as "x86.regs cpu0, version 2". */
bool stasis_inspect_is_unknown(const struct stasis_record *record);
size_t stasis_inspect_unknown_count(const struct stasis_records *records);
void stasis_inspect_put_record(FILE *out, const struct stasis_record *record);

/* ---- the sub-commands ---- */

int stasis_inspect_info(const struct stasis_inspect_args *args, FILE *out,
                        struct stasis_error *err);
int stasis_inspect_json(const struct stasis_inspect_args *args, FILE *out,
                        struct stasis_error *err);
int stasis_inspect_verify(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err);
int stasis_inspect_requires(const struct stasis_inspect_args *args, FILE *out,
                            struct stasis_error *err);
int stasis_inspect_memory(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err);
int stasis_inspect_extract(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err);
int stasis_inspect_core(const struct stasis_inspect_args *args, FILE *out,
                        struct stasis_error *err);
int stasis_inspect_diff(const struct stasis_inspect_args *args, FILE *out,
                        struct stasis_error *err);
int stasis_inspect_report(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err);
int stasis_inspect_schema(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err);
int stasis_inspect_migrate(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err);
int stasis_inspect_layers(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err);
int stasis_inspect_flatten(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err);
int stasis_inspect_ring(const struct stasis_inspect_args *args, FILE *out,
                        struct stasis_error *err);
int stasis_inspect_help(const struct stasis_inspect_args *args, FILE *out,
                        struct stasis_error *err);
int stasis_inspect_schema_markdown(const struct stasis_inspect_args *args, FILE *out,
                                   struct stasis_error *err);

#endif
