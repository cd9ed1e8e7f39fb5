/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A log on a descriptor: one line for each event, "2026-11-30T02:14:13.123456Z info: text". Nobody
 * is waited for: a line that the descriptor does not take at once is dropped and counted, and the
 * next one that it takes is preceded by the number of those.
 *
 * Threads: calls on one log are serialised by the caller.
 */
#ifndef STASIS_VMM_LOG_H
#define STASIS_VMM_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "stasis/error.h"
#include "vmm/host/cursor.h"

/* Each includes those before it. */
enum stasis_log_level {
    STASIS_LOG_NONE = 0,
    STASIS_LOG_ERROR,
    STASIS_LOG_WARN,
    STASIS_LOG_INFO,
    STASIS_LOG_DEBUG,
};

struct stasis_log_options {
    enum stasis_log_level level; /* of the least important lines that are wanted */
    int fd;                      /* stays the caller's, and open */
    bool no_time;
    struct stasis_cursor *cursor; /* of a terminal that the guest prints on, too; or NULL */
};

struct stasis_log;

/* STASIS_ERR_ARG: nothing can be written to the descriptor. Writes nothing. */
STASIS_MUST_CHECK int stasis_log_check(int fd, struct stasis_error *err);

/* As that; STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_log_open(const struct stasis_log_options *options,
                                      struct stasis_log **ret_log, struct stasis_error *err);

/* Tries once more to get rid of what is left. NULL is fine. */
void stasis_log_close(struct stasis_log *log);

/* Adds a line; a log that is NULL takes none. What a terminal does not show is escaped. */
void stasis_log_put(struct stasis_log *log, enum stasis_log_level level, const char *fmt, ...)
    STASIS_PRINTF(3, 4);

/* Lines that were put, those of other levels left out, and how many of them were dropped. */
struct stasis_log_stats {
    uint64_t lines, dropped;
};
void stasis_log_stats(const struct stasis_log *log, struct stasis_log_stats *ret_stats);

#endif
