/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void stasis_say(const char *fmt, ...)
{
    char line[STASIS_ERROR_MSG_MAX + 16] = "vmm: ";
    size_t used = 5;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(line + used, sizeof(line) - used - 1, fmt, args);
    va_end(args);
    if (len > 0)
        used += (size_t)len < sizeof(line) - used - 1 ? (size_t)len : sizeof(line) - used - 2;
    line[used++] = '\n';
    /* There is nobody to tell when standard error is closed. */
    (void)!write(STDERR_FILENO, line, used);
}

int stasis_say_error(const struct stasis_error *err)
{
    stasis_say("%s", err->msg);
    return stasis_err_exit_status(err->code);
}
