/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether a message would begin behind half a line of the guest's, where standard output, which the
 * guest prints to, and standard error are the same terminal, pipe or file. One for each guest: it
 * begins as zeros. All functions may be called by any thread and are async-signal-safe.
 */
#ifndef STASIS_VMM_CURSOR_H
#define STASIS_VMM_CURSOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stasis_cursor {
    atomic_bool shared; /* standard error goes where standard output does */
    atomic_bool inside_line;
};

/* The guest begins to print to standard output. */
void stasis_cursor_init(struct stasis_cursor *cursor);

/* It has printed these bytes. */
void stasis_cursor_printed(struct stasis_cursor *cursor, const uint8_t *bytes, size_t len);

/* Whether a newline must precede a message. From now on the cursor is at the start of a line, where
 * the message leaves it. */
bool stasis_cursor_leave_line(struct stasis_cursor *cursor);

#endif
