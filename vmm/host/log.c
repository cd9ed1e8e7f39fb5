/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/message.h"
#include "vmm/base/clock.h"
#include "vmm/host/nowait.h"

struct stasis_log {
    struct stasis_log_options options;
    struct stasis_nowait to;
    struct stasis_log_stats stats;
    uint64_t untold; /* dropped lines that the reader does not know of */
    /* The rest of a line whose beginning was taken. */
    char rest[STASIS_MESSAGE_MAX + 1];
    size_t rest_len;
};

static const char *const level_names[] = {"none", "error", "warn", "info", "debug"};

/* "2026-11-30T02:14:13.123456Z info" */
static void print_head(char *buf, size_t size, enum stasis_log_level level, bool no_time)
{
    uint64_t us = stasis_realtime_ns() / 1000;
    time_t seconds = (time_t)(us / 1000000);
    char date[32] = "";
    struct tm utc;

    if (no_time || !gmtime_r(&seconds, &utc)) {
        snprintf(buf, size, "%s", level_names[level]);
        return;
    }
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(buf, size, "%s.%06uZ %s", date, (unsigned)(us % 1000000), level_names[level]);
}

/* Writes what is left of the last line. True: nothing is. */
static bool finish_line(struct stasis_log *log)
{
    while (log->rest_len) {
        ssize_t n = stasis_nowait_write(&log->to, log->rest, log->rest_len);

        if (n <= 0)
            return false;
        log->rest_len -= (size_t)n;
        memmove(log->rest, log->rest + n, log->rest_len);
    }
    return true;
}

/* False: not a byte of it was taken. */
static bool write_line(struct stasis_log *log, enum stasis_log_level level, const char *text)
{
    struct stasis_cursor *cursor = log->options.cursor;
    size_t start = cursor && stasis_cursor_leave_line(cursor) ? 1 : 0;
    char head[64];
    size_t len;

    print_head(head, sizeof(head), level, log->options.no_time);
    log->rest[0] = '\n';
    len = start + stasis_message_format(log->rest + start, head, text);
    log->rest_len = len;
    if (finish_line(log) || log->rest_len < len)
        return true;
    log->rest_len = 0;
    return false;
}

/* Before a line, and at the end. */
static bool tell_dropped(struct stasis_log *log)
{
    char text[64];

    if (!log->untold)
        return true;
    snprintf(text, sizeof(text), "%" PRIu64 " lines were dropped", log->untold);
    if (!write_line(log, STASIS_LOG_WARN, text))
        return false;
    log->untold = 0;
    return log->rest_len == 0;
}

void stasis_log_put(struct stasis_log *log, enum stasis_log_level level, const char *fmt, ...)
{
    char text[STASIS_ERROR_MSG_MAX + 256];
    va_list args;

    if (!log || level > log->options.level)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    log->stats.lines++;
    if (finish_line(log) && tell_dropped(log) && write_line(log, level, text))
        return;
    log->stats.dropped++;
    log->untold++;
}

void stasis_log_stats(const struct stasis_log *log, struct stasis_log_stats *ret_stats)
{
    *ret_stats = log ? log->stats : (struct stasis_log_stats){.lines = 0};
}

/* write(2) refuses what has no writing by EINVAL before it looks at an address that no process has,
 * so that nothing is written. The C library's and a sanitizer's write() look at it first. */
static bool has_writing(int fd)
{
    return syscall(SYS_write, fd, UINTPTR_MAX, 1) >= 0 || errno != EINVAL;
}

int stasis_log_check(int fd, struct stasis_error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
        return has_writing(fd)
                   ? 0
                   : stasis_fail(err, STASIS_ERR_ARG,
                                 "descriptor %d is of a kind that cannot be written to; pass a "
                                 "file, a pipe, a socket or a terminal",
                                 fd);
    return stasis_fail(err, STASIS_ERR_ARG,
                       "descriptor %d is not open for writing; open it in the shell, for example "
                       "by %d>FILE",
                       fd, fd);
}

int stasis_log_open(const struct stasis_log_options *options, struct stasis_log **ret_log,
                    struct stasis_error *err)
{
    int rc = stasis_log_check(options->fd, err);
    struct stasis_log *log;

    if (rc)
        return rc;
    log = calloc(1, sizeof(*log));
    if (!log)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a log");
    log->options = *options;
    stasis_nowait_open(&log->to, options->fd);
    *ret_log = log;
    return 0;
}

void stasis_log_close(struct stasis_log *log)
{
    if (!log)
        return;
    if (finish_line(log))
        (void)tell_dropped(log);
    stasis_nowait_close(&log->to);
    free(log);
}
