/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

STASIS_PRINTF(4, 0)
static void set_message(struct stasis_error *err, enum stasis_err code, int os_errno,
                        const char *fmt, va_list args)
{
    err->code = code;
    err->os_errno = os_errno;
    vsnprintf(err->msg, sizeof(err->msg), fmt, args);
}

int(stasis_fail)(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
{
    if (err) {
        va_list args;

        va_start(args, fmt);
        set_message(err, code, 0, fmt, args);
        va_end(args);
    }
    return code;
}

int(stasis_fail_errno)(struct stasis_error *err, enum stasis_err code, const char *fmt, ...)
{
    int saved = errno;

    if (err) {
        va_list args;
        size_t used;

        va_start(args, fmt);
        set_message(err, code, saved, fmt, args);
        va_end(args);
        used = strlen(err->msg);
        snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", strerror(saved));
        errno = saved;
    }
    return code;
}

int(stasis_wrap)(struct stasis_error *err, int code, const char *fmt, ...)
{
    char inner[STASIS_ERROR_MSG_MAX];
    va_list args;
    size_t used;

    if (!err)
        return code;
    memcpy(inner, err->msg, sizeof(inner));
    va_start(args, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, args);
    va_end(args);
    used = strlen(err->msg);
    snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", inner);
    return err->code;
}

const char *stasis_err_str(int code)
{
    switch (code) {
    case STASIS_OK:
        return "success";
#define STASIS_ERROR(name, number, status, text)                                                   \
    case STASIS_ERR_##name:                                                                        \
        return text;
#include "stasis/errors.def"
#undef STASIS_ERROR
    default:
        return "unknown error";
    }
}

const char *stasis_err_name(int code)
{
    switch (code) {
#define STASIS_ERROR(name, number, status, text)                                                   \
    case STASIS_ERR_##name:                                                                        \
        return #name;
#include "stasis/errors.def"
#undef STASIS_ERROR
    default:
        return "UNKNOWN";
    }
}

int stasis_err_exit_status(int code)
{
    switch (code) {
    case STASIS_OK:
        return 0;
#define STASIS_ERROR(name, number, status, text)                                                   \
    case STASIS_ERR_##name:                                                                        \
        return status;
#include "stasis/errors.def"
#undef STASIS_ERROR
    default:
        return 1;
    }
}
