/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A list in a message, "a, b, c and 7 more": all that this host lacks or refuses, as far as people
 * read it. It begins as zeros.
 */
#ifndef STASIS_VMM_X86_LIST_H
#define STASIS_VMM_X86_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define STASIS_X86_LIST_MAX 16u /* what fits into a line that is read: more are counted */

struct stasis_x86_list {
    char text[STASIS_X86_LIST_MAX * 36 + 24];
    size_t len;
    unsigned count;
    unsigned more;
};

/* Adds one; false: it is only counted. */
__attribute__((format(printf, 2, 3))) bool stasis_x86_list_add(struct stasis_x86_list *list,
                                                               const char *format, ...);

/* The text, when all are added. */
const char *stasis_x86_list_text(struct stasis_x86_list *list);

#endif
