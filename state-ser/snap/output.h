/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of the gate for outputs: output.c (opening, in place), output_place.c (from a path to a
 * folder and a name), output_replace.c (a new file in place of an old one), output_names.c (names
 * in a folder, also of another process), output_set.c (which files are in use), output_sync.c
 * (waiting for the disk), output_temporary.c (without a name).
 */
#ifndef STASIS_SNAP_OUTPUT_H
#define STASIS_SNAP_OUTPUT_H

#include <limits.h>
#include <sys/stat.h>

#include "aside.h"
#include "stasis/output.h"

#define STASIS_OUTPUT_OWNER_ONLY 0600

/* A name in a folder. */
struct stasis_place {
    int dir; /* the folder, or -1 */
    char base[NAME_MAX + 1];
    bool exists;
    struct stat st; /* of what is there, a link itself */
    int descriptor; /* the path leads through this descriptor of ours (/dev/fd/N), or -1 */
    bool stays;     /* links may not lead to another folder */
};

/* Splits a path, relative to the folder `from` (or AT_FDCWD), and opens its folder. If it stays,
 * the path is a name. *place is the caller's to fini in any case. STASIS_ERR_ARG: no path to a
 * file; STASIS_ERR_WRITE. */
int stasis_place_init(struct stasis_place *place, int from, bool stays, const char *path,
                      struct stasis_error *err);
void stasis_place_fini(struct stasis_place *place);

/* Looks the name up. STASIS_ERR_WRITE. */
int stasis_place_look(struct stasis_place *place, struct stasis_error *err);

/* Follows the links that the name is of, as far as the kernel lets this process follow them, to the
 * place of a file or of none. rename(2) replaces a link, not what it leads to. STASIS_ERR_ARG,
 * STASIS_ERR_WRITE. */
int stasis_place_follow(struct stasis_place *place, struct stasis_error *err);

/* The same for a link that leads to nothing; any other place stays as it is, for the kernel to
 * follow. */
int stasis_place_follow_dangling(struct stasis_place *place, struct stasis_error *err);

/* Which descriptor of ours the name leads through, or -1; for those that the kernel follows. */
int stasis_place_descriptor(const struct stasis_place *place);

struct stasis_output {
    struct stasis_outputs *outputs; /* or NULL */
    /* Under the lock of the set. */
    struct stasis_output *next;
    unsigned pins; /* threads that compare with it */
    bool closed;   /* the last of them frees it */
    /* Of its folder, from before it is in the set; 0: not known. */
    dev_t dir_dev;
    ino_t dir_ino;
    struct stasis_output_opts opts;
    struct stasis_place place;
    int fd;         /* what is written to, or -1 */
    bool made;      /* it was not there before it was opened, and is not kept */
    dev_t made_dev; /* which file that is */
    ino_t made_ino;

    /* REPLACED */
    int folder;         /* that of opts.folders, or -1 */
    bool placed;        /* the new file has the target's name */
    char temporary[40]; /* the new file's name, or "" while it has none */

    char path[]; /* as it was given, for messages */
};

/* STASIS_ERR_ARG if a file, or the place of a file to come, is in use otherwise than by `output`.
 */
int stasis_outputs_check(struct stasis_output *output, const struct stat *st,
                         struct stasis_error *err);
void stasis_outputs_link(struct stasis_output *output);
/* Notes the file of an output as one that is read from now on, which no other output may be; and
 * takes that back. STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_outputs_note_read(struct stasis_output *output, const char *role,
                             struct stasis_error *err);
void stasis_outputs_forget_read(struct stasis_output *output);
/* Of an output that is in the set, which other threads compare with. The old one stays open. */
void stasis_outputs_set_fd(struct stasis_output *output, int fd);
/* True: another thread compares with it, and will free it. */
bool stasis_outputs_unlink(struct stasis_output *output);
/* output.c: what is left of an output that is closed and in no set. */
void stasis_output_free(struct stasis_output *output);

/* output.c: STASIS_ERR_ARG if the file that is there must not be replaced: it is in use, or a
 * snapshot and the new one is none. */
int stasis_output_check_target(struct stasis_output *output, struct stasis_error *err);

/* output_names.c: what a file that is replaced takes, by this process or by opts.folders. They
 * return -1 and set errno. Before: STASIS_ERR_ARG, STASIS_ERR_WRITE. */
int stasis_names_begin(struct stasis_output *output, struct stasis_error *err);
int stasis_names_make(const struct stasis_output *output, const char *name); /* NULL: without one */
int stasis_names_give(const struct stasis_output *output, const char *name);
int stasis_names_replace(const struct stasis_output *output, const char *temporary);
void stasis_names_remove(const struct stasis_output *output, const char *temporary);
void stasis_names_end(struct stasis_output *output);

/* output_temporary.c: the descriptor of stasis_output_open_temporary(), which is the caller's. */
int stasis_output_make_temporary(int *ret_fd, struct stasis_error *err);

/* output_sync.c: fsync(2). With a watch (it may be NULL) STASIS_ERR_CANCELLED once that gives up:
 * nobody then waits for the disk, and a thread keeps the open file until the disk has answered.
 * STASIS_ERR_WRITE. */
int stasis_output_sync(int fd, const struct stasis_watch *watch, struct stasis_error *err);

/* Brings the names in the folder of an output to the disk. STASIS_ERR_WRITE. */
int stasis_output_sync_folder(struct stasis_output *output, struct stasis_error *err);

/* Of an output IN_PLACE, output_next.c: makes another file in its folder, without a name where the
 * file system can do that; whether its own file could get a suffix to its name (STASIS_ERR_EXISTS);
 * and gives its own file that name, and the other one the name that it had. From then on the other
 * one is the output's, and the caller's is the first, noted as one that is read as `role`; who
 * waits for the disk syncs the folder. STASIS_ERR_WRITE, STASIS_ERR_READ, STASIS_ERR_NOMEM. */
int stasis_output_begin_next(const struct stasis_output *output, int *ret_fd,
                             struct stasis_error *err);
int stasis_output_check_next(const struct stasis_output *output, const char *suffix,
                             struct stasis_error *err);
int stasis_output_exchange(struct stasis_output *output, const char *suffix, int next_fd,
                           const char *role, struct stasis_error *err);

/* The same for bytes whose way to the disk has begun: sync_file_range(2). */
int stasis_output_wait_sync(int fd, uint64_t offset, uint64_t len, const struct stasis_watch *watch,
                            struct stasis_error *err);

/* Leaves the last closing of a file without a name to a thread: the kernel frees all that was
 * written then, which takes the longer the more it is. The caller closes `fd` itself. */
void stasis_output_close_aside(int fd);

/* stasis_output_commit() with sync, until the file is on the disk to be given up by `watch`. */
int stasis_output_commit_watched(struct stasis_output *output, const struct stasis_watch *watch,
                                 struct stasis_error *err);

#endif
