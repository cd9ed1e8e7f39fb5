/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/say.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/message.h"

/* There is nobody to tell when standard error is closed. */
static void write_lines(bool leave_line, char *lines, size_t len)
{
    size_t skip = leave_line ? 0 : 1;

    lines[0] = '\n';
    (void)!write(STDERR_FILENO, lines + skip, 1 - skip + len);
}

void stasis_say(bool leave_line, const char *text)
{
    char line[1 + STASIS_MESSAGE_MAX];

    write_lines(leave_line, line, stasis_message_format(line + 1, "vmm", text));
}

void stasis_say_lines(bool leave_line, const char *text)
{
    char lines[1 + STASIS_SAY_LINES_MAX];
    size_t len = strnlen(text, STASIS_SAY_LINES_MAX);

    memcpy(lines + 1, text, len);
    write_lines(leave_line, lines, len);
}

int stasis_say_error(bool leave_line, const struct stasis_error *err)
{
    char text[STASIS_ERROR_MSG_MAX + 128];

    snprintf(text, sizeof(text), "%s%s", err->msg, stasis_message_remedy(err));
    stasis_say(leave_line, text);
    return stasis_err_exit_status(err->code);
}
