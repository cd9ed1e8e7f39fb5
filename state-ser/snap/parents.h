/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Files are sought by UUID and root among the regular files of one folder. Links are not followed,
 * and nothing but regular files is read. The folder is read once, and only as far as it must.
 */
#ifndef STASIS_SNAP_PARENTS_H
#define STASIS_SNAP_PARENTS_H

#include "source.h"

struct stasis_parent_name {
    uint8_t uuid[STASIS_UUID_SIZE];
    char *name; /* in the folder */
};

struct stasis_parents {
    const char *folder; /* NULL: there is none */
    int fd;
    void *list; /* of what is in it, as far as it is not known yet */
    struct stasis_parent_name *known;
    size_t count;
    size_t room;
};

/* `folder` outlives the search. Nothing is opened yet. */
void stasis_parents_init(struct stasis_parents *parents, const char *folder);
void stasis_parents_fini(struct stasis_parents *parents);

/* Opens the file of this name (STASIS_RUNS_NAME_LEN bytes) and reads its header.
 * STASIS_ERR_NOT_FOUND: no file has that UUID; STASIS_ERR_CORRUPT: only damaged ones or such of
 * another root have it; STASIS_ERR_VERSION: only one of a later version; STASIS_ERR_READ: the
 * folder, or a file, cannot be read, or too many files are open; STASIS_ERR_NOMEM. */
int stasis_parents_find(struct stasis_parents *parents, const uint8_t *name,
                        struct stasis_source **ret_source, struct stasis_error *err);

/* As a message writes it. */
#define STASIS_UUID_TEXT 37u
void stasis_uuid_text(const uint8_t uuid[STASIS_UUID_SIZE], char ret_text[STASIS_UUID_TEXT]);

#endif
