/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Messages of the programs, on standard error: "program: text", one line each. Text may quote the
 * names and the contents of hostile files: what a terminal does not show (stasis_char_shown()) and
 * what is not UTF-8 is printed as \xNN. All functions here are async-signal-safe.
 */
#ifndef STASIS_COMMON_MESSAGE_H
#define STASIS_COMMON_MESSAGE_H

#include <stddef.h>

#include "stasis/error.h"

/* Room for any message of a struct stasis_error, escaped, and the words around it. */
#define STASIS_MESSAGE_MAX (4 * STASIS_ERROR_MSG_MAX + 256)

/* Length of the character at the start of `len` bytes (at least one) if a terminal may get it as it
 * is, else 0. */
size_t stasis_message_shown(const char *bytes, size_t len);

/* Writes the line, with its newline, and returns its length. Text that does not fit is cut. */
size_t stasis_message_format(char ret_line[STASIS_MESSAGE_MAX], const char *program,
                             const char *text);

/* What the user can do about an error whose message does not say it, as text to be appended:
 * "; check the name", or "". */
const char *stasis_message_remedy(const struct stasis_error *err);

#endif
