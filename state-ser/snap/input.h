/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where an opened snapshot is read from, and the caller's functions of stasis/storage.h, which are
 * called here and nowhere else. All return -1 and set errno on failure.
 */
#ifndef STASIS_SNAP_INPUT_H
#define STASIS_SNAP_INPUT_H

#include "stasis/storage.h"

struct stasis_input {
    int fd;                        /* or -1 */
    bool sequential;               /* is read in order only */
    bool is_copy;                  /* of what was; it never had a name */
    struct stasis_storage storage; /* if fd is -1; `read` is NULL: there is no input */
};

bool stasis_input_is_open(const struct stasis_input *input);

/* Bytes read; fewer than `len` only at the end. */
ssize_t stasis_input_read(const struct stasis_input *input, void *buf, size_t len, uint64_t offset);

/* Of an input that is read in order. Whether there is something to read within a turn of 20 ms; a
 * function of the caller's waits itself. */
bool stasis_input_wait(const struct stasis_input *input);

/* What there is to read, up to `len`; 0 only at the end. */
ssize_t stasis_input_read_some(const struct stasis_input *input, void *buf, size_t len,
                               uint64_t offset);

int stasis_input_length(const struct stasis_input *input, uint64_t *ret_len);

/* What to do where it cannot be read, in words for a message. */
const char *stasis_input_remedy(const struct stasis_input *input);

/* STASIS_ERR_ARG: no storage that has a name. */
int stasis_storage_check(const struct stasis_storage *storage, struct stasis_error *err);

/* 0: everything is written. */
int stasis_storage_append(const struct stasis_storage *storage, const void *bytes, size_t len);

#endif
