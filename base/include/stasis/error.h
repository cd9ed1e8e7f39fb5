/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Errors. A fallible function returns 0 or a negative `enum stasis_err`. Those that touch files,
 * formats or KVM take a last `struct stasis_error *err` (may be NULL) and describe the failure in
 * it: one line that names the object and the remedy. On success *err is left as it was. Libraries
 * never print and never exit. All functions here are thread-safe and allocate nothing.
 */
#ifndef STASIS_ERROR_H
#define STASIS_ERROR_H

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

enum stasis_err {
    STASIS_OK = 0,
#define STASIS_ERROR(name, number, status, text) STASIS_ERR_##name = -(number),
#include "stasis/errors.def"
#undef STASIS_ERROR
};

/* Room for two long paths and the words around them. */
#define STASIS_ERROR_MSG_MAX 1024

struct stasis_error {
    enum stasis_err code;
    int os_errno; /* errno of the system call that failed, or 0 */
    char msg[STASIS_ERROR_MSG_MAX];
};

/* Fills *err and returns `code`, so that a check is one line: return stasis_fail(err, ...). */
STASIS_EXPORT int stasis_fail(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
    STASIS_PRINTF(3, 4);

/* The same for a failed system call: appends ": " and the text of errno, and keeps errno. */
STASIS_EXPORT int stasis_fail_errno(struct stasis_error *err, enum stasis_err code, const char *fmt,
                                    ...) STASIS_PRINTF(3, 4);

/* For what was left out of this build: the message names it and the CMake option that adds it.
 * Fills *err and returns STASIS_ERR_ARG. */
STASIS_EXPORT int stasis_fail_absent(struct stasis_error *err, const char *what,
                                     const char *option);

/* Puts context in front of the message already in *err and returns err->code:
 * stasis_wrap(err, rc, "restoring %s", name). `code` is returned when err is NULL. */
STASIS_EXPORT int stasis_wrap(struct stasis_error *err, int code, const char *fmt, ...)
    STASIS_PRINTF(3, 4);

/* The analyzer cannot see that what comes back is the code. */
#ifdef __clang_analyzer__
#define stasis_fail(err, code, ...)       (stasis_fail(err, code, __VA_ARGS__), (int)(code))
#define stasis_fail_errno(err, code, ...) (stasis_fail_errno(err, code, __VA_ARGS__), (int)(code))
#define stasis_wrap(err, code, ...)       (stasis_wrap(err, code, __VA_ARGS__), (int)(code))
#endif

/* Short text of a code, never NULL; "unknown error" for a number that is not in the list. */
STASIS_EXPORT const char *stasis_err_str(int code);

/* Name of a code without STASIS_ERR_, for programs: "NOT_FOUND". Never NULL; "UNKNOWN" for a number
 * that is not in the list, and for 0. */
STASIS_EXPORT const char *stasis_err_name(int code);

/* Exit status that our programs give for a code: 0 for 0, else 1..12 (see docs/vmm.1.scd). */
STASIS_EXPORT int stasis_err_exit_status(int code);

STASIS_END_DECLS

#endif
