/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notes which messages the tests provoke, for tests/messages: every test links this instead of
 * stasis_fail() and stasis_fail_errno(), which it calls. One line for each format of a process,
 * "CODE FORMAT", and one for each line that a program printed, "> LINE", in a file of the test.
 * System calls are made directly: tests replace the functions.
 */
#include "support/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis/error.h"

#undef stasis_fail
#undef stasis_fail_errno

#define NOTED_MAX 1024

int __wrap_stasis_fail(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
    STASIS_PRINTF(3, 4);
int __wrap_stasis_fail_errno(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
    STASIS_PRINTF(3, 4);
int __real_stasis_fail(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
    STASIS_PRINTF(3, 4);
int __real_stasis_fail_errno(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
    STASIS_PRINTF(3, 4);

/* Whether it is the first time in this process. */
static bool is_new(const char *fmt)
{
    static _Atomic(const char *) noted[NOTED_MAX];
    size_t at = ((uintptr_t)fmt >> 4) % NOTED_MAX;

    for (size_t i = 0; i < NOTED_MAX; i++, at = (at + 1) % NOTED_MAX) {
        const char *expected = NULL;

        if (atomic_compare_exchange_strong(&noted[at], &expected, fmt))
            return true;
        if (expected == fmt)
            return false;
    }
    return false;
}

static _Atomic bool silent;

void messages_stop(void)
{
    silent = true;
}

static void append(const char *line, size_t len)
{
    struct rlimit limit;
    char path[512];
    int fd;

    if (silent)
        return;
    if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur != RLIM_INFINITY)
        return; /* the test wants a write to fail, and not this one */
    snprintf(path, sizeof(path), "%s/%s", STASIS_MESSAGES_DIR, program_invocation_short_name);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)syscall(SYS_write, fd, line, len);
    (void)syscall(SYS_close, fd);
}

/* A test without messages leaves an empty file: it has run. */
__attribute__((constructor)) static void begin(void)
{
    append("", 0);
}

static void note(enum stasis_err code, const char *fmt)
{
    char line[STASIS_ERROR_MSG_MAX];
    int saved = errno;

    if (!is_new(fmt))
        return;
    snprintf(line, sizeof(line), "%d %s\n", -(int)code, fmt);
    append(line, strlen(line));
    errno = saved;
}

int __wrap_stasis_fail(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
{
    char text[STASIS_ERROR_MSG_MAX];
    va_list args;

    note(code, fmt);
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return __real_stasis_fail(err, code, "%s", text);
}

int __wrap_stasis_fail_errno(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
{
    char text[STASIS_ERROR_MSG_MAX];
    int saved = errno;
    va_list args;

    note(code, fmt);
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    errno = saved;
    return __real_stasis_fail_errno(err, code, "%s", text);
}

void messages_note_lines(const char *text)
{
    char line[4 * STASIS_ERROR_MSG_MAX];

    while (*text) {
        size_t len = strcspn(text, "\n");
        int n = snprintf(line, sizeof(line), "> %.*s\n", (int)len, text);

        if (n > 0 && (size_t)n < sizeof(line))
            append(line, (size_t)n);
        text += len + (text[len] == '\n');
    }
}
