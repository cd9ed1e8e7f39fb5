/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Commands on several files: each file has its line, and the worst of their statuses is that of the
 * command.
 */
#ifndef STASIS_TOOLS_EACH_H
#define STASIS_TOOLS_EACH_H

#include "tools/inspect.h"

/* Calls fn with each operand alone and with outputs of its own. An error is printed, and the next
 * file follows. Ends with a line that counts: "3 files: 2 whole, 1 failed". Returns the exit
 * status: of what went wrong, what concerns the program counts for more than what concerns a file,
 * and a damaged file for more than one that cannot be read here. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_inspect_each(const struct stasis_inspect_args *args,
                                          int (*fn)(const struct stasis_inspect_args *args,
                                                    FILE *out, struct stasis_error *err),
                                          const char *good, FILE *out, struct stasis_error *err);

#endif
