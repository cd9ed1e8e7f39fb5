/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Why a guest cannot be had here: a list that every check of a thaw adds to, so that all reasons
 * can be shown, and the first of them be the error. It begins as zeros. Each reason is in it once.
 */
#ifndef STASIS_VMM_REASONS_H
#define STASIS_VMM_REASONS_H

#include <stdbool.h>
#include <stddef.h>

#include "stasis/error.h"

/* More are counted: a file may contain what it likes. */
#define STASIS_REASONS_MAX 256u

/* What can be named with few words comes as a part of a list: reasons whose `what` and `remedy` are
 * equal make one message, "WHAT OBJECT, OBJECT and 7 more; REMEDY". */
struct stasis_reason {
    enum stasis_err code;
    const char *kind; /* static: "cpu-feature" */
    bool is_listed;
    char object[64];                 /* "avx2" */
    char asks[96];                   /* what the guest asks of the host, or nothing */
    char has[96];                    /* what the host has instead, or nothing */
    char what[STASIS_ERROR_MSG_MAX]; /* unless it is listed, the whole message */
    const char *remedy;              /* static; NULL: `what` has it */
};

struct stasis_reasons {
    struct stasis_reason *list;
    size_t count, room;
    size_t more;  /* that had no room */
    size_t added; /* every call counts */
};

/* Adds a copy. */
void stasis_reasons_add(struct stasis_reasons *reasons, const struct stasis_reason *reason);

/* An error is a reason with a message of its own. */
void stasis_reasons_add_error(struct stasis_reasons *reasons, const char *kind, const char *object,
                              const struct stasis_error *err);

/* The message of a reason alone: its own words, or those of its list with its object. */
void stasis_reason_message(const struct stasis_reason *reason, char ret_text[STASIS_ERROR_MSG_MAX]);

/* 0 if the list is empty. Else the first reason as an error: its list with it, and how many others
 * there are. */
STASIS_MUST_CHECK int stasis_reasons_fail(const struct stasis_reasons *reasons,
                                          struct stasis_error *err);

void stasis_reasons_fini(struct stasis_reasons *reasons);

#endif
