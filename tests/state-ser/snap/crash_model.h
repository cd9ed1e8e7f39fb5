/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A model of a folder on a disk that loses its power. It knows no file system's kindness: what no
 * fsync has confirmed may be there or not. A write may be there in part, by sectors; sizes without
 * their data, and data without the writes before it. Names come and go in the order in which they
 * were made, until an fsync of the folder confirms them; an fsync of the file does not.
 */
#ifndef STASIS_TESTS_CRASH_MODEL_H
#define STASIS_TESTS_CRASH_MODEL_H

#include "tests/state-ser/snap/crash_calls.h"
#include "tests/state-ser/snap/fixture.h"

#define CRASH_OPS_MAX   256
#define CRASH_FDS_MAX   1024
#define CRASH_FILES_MAX 8
#define CRASH_SECTOR    512

enum crash_op_kind {
    CRASH_OP_NONE,
    CRASH_OP_WRITE,
    CRASH_OP_RESIZE,
    CRASH_OP_SYNC,
    CRASH_OP_NAME,   /* the file gets `name` */
    CRASH_OP_RENAME, /* `name` becomes `to` */
    CRASH_OP_REMOVE,
    CRASH_OP_SYNC_FOLDER,
};

struct crash_op {
    enum crash_op_kind kind;
    unsigned file; /* 0: the old one */
    uint64_t offset;
    size_t len; /* RESIZE: the new one */
    uint8_t *bytes;
    char name[64];
    char to[64];
};

/* What happened to one folder. Zeroed: nothing yet. */
struct crash_log {
    struct crash_op ops[CRASH_OPS_MAX];
    unsigned count;
    unsigned file_count; /* made since */
    unsigned fds[CRASH_FDS_MAX];
    bool no_tmpfile; /* O_TMPFILE is to fail with EOPNOTSUPP */
    bool unknown;    /* a call was made that the model does not have... */
    long unknown_nr; /* ... this one */
};

/* A crash_watch's on_call, with the log as ctx: makes the call and records what it did. */
long crash_log_call(void *ctx, const struct crash_call *call);
void crash_log_fini(struct crash_log *log);

/* Takes every op of this kind out, as if the engine had not made that call. */
void crash_log_drop(struct crash_log *log, enum crash_op_kind kind);

enum crash_keep { CRASH_KEEP_NOTHING, CRASH_KEEP_ALL, CRASH_KEEP_RANDOM };

/* What bears the name `target` after a power cut behind the first `prefix` ops: false for nothing.
 * `keep` says what becomes of unconfirmed ops. The caller frees the image. */
bool crash_log_after(const struct crash_log *log, unsigned prefix, enum crash_keep keep,
                     uint32_t *seed, const char *target, const struct image *old,
                     struct image *ret_image);

#endif
