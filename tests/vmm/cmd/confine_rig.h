/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A folder of files, and what a child that confined itself can still do with them.
 */
#ifndef STASIS_TESTS_CONFINE_RIG_H
#define STASIS_TESTS_CONFINE_RIG_H

#include "support/cmocka_all.h"

#include "vmm/cmd/confine.h"
#include "vmm/sandbox/child.h"

extern char folder[64]; /* made by the test */

/* A path in it, which the eighth call behind this one overwrites. */
const char *in_folder(const char *name);
void make_file(const char *path);

bool opens(const char *path, int flags);
/* Whether a file of that name in the folder can be made, and links made to it, and it renamed and
 * removed. */
bool makes_in(const char *name);

/* As which user a case runs, and with what. */
#define ORDINARY 12345
struct confine_user {
    uid_t id;       /* 0: whoever runs the test */
    bool forbidden; /* to make namespaces */
    enum stasis_confine_mode mode;
};
bool become(const struct confine_user *user);
/* Whether this user may make them: what the host itself forbids is no fault. */
bool may_make_namespaces(uid_t id);

/* Whether no name leads to a file of the host; relative ones with ".." aside. */
bool is_gone(const char *path);
bool sees_no_files(void);

/* For `end` of a confinement: says why on standard error, and ends with status 97. */
void confine_end(void *ctx, const struct stasis_error *err);

#endif
