/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest that is saved again and again, each time as a layer on the file before; and ways to make
 * liars of such files.
 */
#ifndef STASIS_TESTS_CHAIN_RIG_H
#define STASIS_TESTS_CHAIN_RIG_H

#include "tests/state-ser/snap/layer_rig.h"

/* Its RAM is in `built`, as in the newest file. */
struct chain {
    struct built built;
    struct dirty dirty[2];
    struct stasis_save_opts opts; /* of every save */
    struct stasis_snap *top;      /* the newest file, opened */
    unsigned count;               /* of files, which are PATHS 0.. */
    unsigned touches;             /* of each layer; with 2, the first two are partial */
    char path[64];                /* of the newest */
};

/* A folder of the test's own with one file, saved with these options (may be NULL); another file on
 * top, in which some pages differ; and all is gone. */
void chain_init(struct chain *chain, const struct stasis_save_opts *opts);
void chain_add(struct chain *chain);
void chain_fini(struct chain *chain);

/* The path of a file, which lasts until the next call. */
const char *chain_path(unsigned number);

/* Opens the newest file by its path, as anybody would. */
int chain_open(const struct chain *chain, const struct stasis_parse_opts *opts,
               struct stasis_snap **ret_snap, struct stasis_error *err);
struct stasis_snap *chain_reopen(const struct chain *chain);

/* A file's bytes in place of those of a file; with the CRC of the header right again, whatever is
 * in it. */
void file_write(const char *path, const struct image *image);
void file_patch(const char *path, size_t at, const void *bytes, size_t len);

/* Another UUID; and another file that the layer lies on, in header and index. Its own root stays
 * what it was. */
void image_name(struct image *image, const uint8_t uuid[STASIS_UUID_SIZE]);
void image_lay_on(struct image *image, const uint8_t uuid[STASIS_UUID_SIZE],
                  const uint8_t root[STASIS_DIGEST_SIZE]);

#endif
