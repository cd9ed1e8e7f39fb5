/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The one gate through which our programs open what they write. It keeps an output from destroying
 * a file that the same process reads or writes otherwise: regular files and block devices are told
 * apart by device and inode, whatever their names. /dev/null, terminals and pipes may be shared.
 *
 * Everything is opened relative to the descriptor of a folder, which is opened once and held: a
 * path means what it meant when the output was opened. The kernel judges links and FIFOs
 * (fs.protected_symlinks and its like in proc_sys_fs(5)). Nothing here waits for another process.
 *
 * Messages do not name the path unless it says so: the caller puts it in front, with the name of
 * its option.
 *
 * Threads: any thread may use a set; an output belongs to one thread at a time.
 */
#ifndef STASIS_OUTPUT_H
#define STASIS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"

STASIS_BEGIN_DECLS

/* ---- the files that a process uses ---- */

struct stasis_outputs;

/* A set that knows standard input, output and error; NULL when memory is short. It must outlive
 * its outputs. free(NULL) is fine. */
STASIS_EXPORT struct stasis_outputs *stasis_outputs_new(void);
STASIS_EXPORT void stasis_outputs_free(struct stasis_outputs *outputs);

/* Where a function below takes a set, NULL stands for one that notes and compares nothing.
 *
 * Notes that the file open on `fd` is read. `role` names it in messages ("the same file as the
 * input") and outlives the set. The descriptor stays the caller's. STASIS_ERR_ARG: the file is an
 * output already, standard output for example; STASIS_ERR_IO, STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_outputs_add_input(struct stasis_outputs *outputs, int fd,
                                                             const char *role,
                                                             struct stasis_error *err);

/* The same for a path that others will open. One that cannot be looked up is left for them to
 * complain about. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_outputs_add_input_path(struct stasis_outputs *outputs,
                                                                  const char *path,
                                                                  const char *role,
                                                                  struct stasis_error *err);

struct stasis_snap;

/* The same for the files that an opened snapshot lies on. The message names the file. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_outputs_add_below(struct stasis_outputs *outputs,
                                                             const struct stasis_snap *snap,
                                                             const char *role,
                                                             struct stasis_error *err);

/* Notes that the file open on `fd` is written to, as standard output is: no input and no output may
 * be the same one, but an output whose path leads to this descriptor. What was noted before is not
 * compared with it. STASIS_ERR_READ, STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_outputs_add_written(struct stasis_outputs *outputs,
                                                               int fd, const char *role,
                                                               struct stasis_error *err);

/* Opens `path` for reading, and notes it. The caller closes *ret_fd. STASIS_ERR_NOT_FOUND,
 * STASIS_ERR_IO, and as stasis_outputs_add_input(). The message names the path. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_outputs_open_input(struct stasis_outputs *outputs,
                                                              const char *path, const char *role,
                                                              int *ret_fd,
                                                              struct stasis_error *err);

/* ---- outputs ---- */

enum stasis_output_kind {
    /* A regular file that is replaced as a whole, by rename: begin, put, commit. Opening creates
     * nothing. */
    STASIS_OUTPUT_REPLACED = 0,
    /* A regular file that is written where it is. It is made if it is not there, and else left as
     * it is: the caller empties it. Open for reading too. */
    STASIS_OUTPUT_IN_PLACE,
    /* A FIFO, made if it is not there. Open for both directions: it needs no reader. */
    STASIS_OUTPUT_PIPE,
    /* Anything that takes bytes, for stasis_output_set(). A FIFO needs a reader when it is opened.
     */
    STASIS_OUTPUT_ANY,
};

/* Who makes files in folders where this process may not, as one in a sandbox (docs/sandbox.md):
 * another process does. Each function returns -1 with errno, as the system calls that it stands
 * for. Of what open() has returned, one thread at a time makes use. */
struct stasis_output_folders {
    void *ctx;
    /* A descriptor that stands for the folder below, and is closed by close(2); -1 with EBADF: that
     * of the folder is not open for reading. NULL: this process makes its files itself. */
    int (*open)(void *ctx, int folder_fd);
    /* A new file for reading and writing, for its owner only; without a name (NULL), or with a
     * temporary one that nothing else has. */
    int (*make)(int folder, const char *name);
    int (*name)(int folder, const char *name); /* gives it to what was made last, if it is free */
    int (*replace)(int folder, const char *temporary, const char *name);
    int (*remove)(int folder, const char *temporary);
};

/* All 0: a replaced file of another program's, without a role. */
struct stasis_output_opts {
    size_t size; /* sizeof(struct stasis_output_opts): lets the struct grow */
    enum stasis_output_kind kind;
    const char *role; /* for messages about other files; outlives it. NULL: "another output" */
    /* REPLACED: a snapshot, the only thing that may replace a snapshot. IN_PLACE: what is there may
     * begin as a snapshot does, as an overlay of a disk. */
    bool snapshot;
    int folder_fd; /* descriptor of the folder that the path is relative to; 0: the working folder
                    */
    const char *over; /* REPLACED: role of the one input that it may replace, or NULL */
    bool by_umask;    /* REPLACED: the new file has mode 0666 less the umask, for others to read */
    /* For a dry run: only whether it could be opened. Nothing is made, no pipe or device is opened,
     * since others notice that, and the output has no descriptor to write to. */
    bool only_looks;
    /* REPLACED, in folder_fd: makes the file there. The path is a name; a link may lead to another
     * name in the folder. */
    struct stasis_output_folders folders;
    /* Whether its user has given it up, and it is only to be closed: no other output is refused for
     * being the same file any more. Called by the threads of other outputs, with the set locked,
     * until stasis_output_close() has begun; must not use the set. NULL: it never is. */
    bool (*is_given_up)(const void *ctx);
    const void *ctx;
};

struct stasis_output;

/* Opens an output. New files have mode 0600. A path that leads to a descriptor (/dev/fd/N,
 * /dev/stdout, /proc/self/fd/N) was handed over for this output, so it may be the same file as that
 * descriptor's.
 *
 * STASIS_ERR_ARG: the file is in use by this process, is a snapshot, is not of the kind, has no
 * reader, or the path is none. STASIS_ERR_WRITE: it cannot be looked up, made or opened.
 * STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_open(struct stasis_outputs *outputs,
                                                       const char *path,
                                                       const struct stasis_output_opts *opts,
                                                       struct stasis_output **ret_output,
                                                       struct stasis_error *err);

/* Opens a file without a name, IN_PLACE and for reading too, for what is needed until it is closed:
 * in the folder that the environment variable TMPDIR names, else in /tmp or /var/tmp.
 * STASIS_ERR_WRITE: the message names the folder. STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_open_temporary(struct stasis_output **ret_output,
                                                                 struct stasis_error *err);

/* Closes it. What was begun and not committed is thrown away; a file or FIFO that was made by
 * opening it, and neither set nor kept, is removed. NULL is fine. */
STASIS_EXPORT void stasis_output_close(struct stasis_output *output);

/* The file or FIFO is in use from here on, and stays. */
STASIS_EXPORT void stasis_output_keep(struct stasis_output *output);

/* The descriptor to write to, which stays the output's; -1: a replaced file that is not begun. */
STASIS_EXPORT int stasis_output_fd(const struct stasis_output *output);

/* The path that it was opened by; lives as long as the output. */
STASIS_EXPORT const char *stasis_output_path(const struct stasis_output *output);

/* Begins a new file for STASIS_OUTPUT_REPLACED, beside the old one: without a name where the file
 * system can do that, so that a process that is killed leaves nothing behind, else as
 * ".stasis-<random>.tmp". STASIS_ERR_WRITE. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_begin(struct stasis_output *output,
                                                        struct stasis_error *err);

/* Writes bytes at an offset of what was begun, or of a regular file. Bytes never put are a hole.
 * STASIS_ERR_WRITE; the message names the path. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_put(struct stasis_output *output,
                                                      const void *bytes, size_t len,
                                                      uint64_t offset, struct stasis_error *err);

/* Makes it `len` bytes long. STASIS_ERR_WRITE. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_resize(struct stasis_output *output, uint64_t len,
                                                         struct stasis_error *err);

/* Gives what was begun the name of the file, in place of the old one. Nobody sees anything between
 * the two. `sync` brings it to the disk first, and the folder after it. What the name leads to is
 * compared once more: STASIS_ERR_ARG if it is a file in use, or none, by now. STASIS_ERR_WRITE: see
 * stasis_output_state(). After it, another file can be begun. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_commit(struct stasis_output *output, bool sync,
                                                         struct stasis_error *err);

/* Throws away what was begun; nothing after a commit. */
STASIS_EXPORT void stasis_output_cancel(struct stasis_output *output);

/* What is there after a failure, for messages: "the old file is whole". */
STASIS_EXPORT const char *stasis_output_state(const struct stasis_output *output);

/* Whether a file can be begun now: begins one and cancels it. For programs that write much later.
 * STASIS_ERR_WRITE. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_probe(struct stasis_output *output,
                                                        struct stasis_error *err);

/* Once only: makes these bytes all that a STASIS_OUTPUT_ANY holds: a regular file is emptied first,
 * what was handed over as a descriptor is appended to. A pipe takes them at once or not at all.
 * STASIS_ERR_WRITE: a regular file is left empty, or goes when it is closed if opening has made it.
 */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_output_set(struct stasis_output *output,
                                                      const void *bytes, size_t len,
                                                      struct stasis_error *err);

STASIS_END_DECLS

#endif
