/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/streams.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/message.h"
#include "common/progress.h"
#include "common/streams.h"
#include "tools/inspect.h"

int stasis_inspect_streams(struct stasis_error *err)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    stasis_streams_raise_limit();
    return stasis_streams_fill(err);
}

static ssize_t write_some(const char *bytes, size_t len)
{
    for (;;) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);

        if (n > 0)
            return n;
        if (n == 0)
            errno = EIO; /* a device that takes nothing would keep us here for ever */
        else if (errno == EINTR)
            continue;
        else if (errno == EAGAIN) {
            /* Whoever shares the pipe made it non-blocking. */
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
            continue;
        }
        return -1;
    }
}

static ssize_t output_write(void *cookie, const char *bytes, size_t len)
{
    struct stasis_inspect_output *output = cookie;
    size_t done = 0;

    stasis_progress_hide();
    while (done < len && !output->os_errno) {
        ssize_t n = write_some(bytes + done, len - done);

        if (n < 0)
            output->os_errno = errno;
        else
            done += (size_t)n;
    }
    errno = output->os_errno;
    return (ssize_t)done;
}

int stasis_inspect_output_open(struct stasis_inspect_output *ret_output, struct stasis_error *err)
{
    ret_output->os_errno = 0;
    ret_output->file = fopencookie(ret_output, "w", (cookie_io_functions_t){.write = output_write});
    return ret_output->file ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "out of memory");
}

int stasis_inspect_output_close(struct stasis_inspect_output *output, struct stasis_error *err)
{
    (void)fclose(output->file); /* its failure is in os_errno */
    if (!output->os_errno)
        return 0;
    errno = output->os_errno;
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
}

static void say(const struct stasis_error *err, const char *rest)
{
    char text[STASIS_ERROR_MSG_MAX + 128];
    char line[STASIS_MESSAGE_MAX];

    snprintf(text, sizeof(text), "%s%s", err->msg, rest);
    /* One write: it stays whole among those of other programs. */
    (void)!write(STDERR_FILENO, line, stasis_message_format(line, STASIS_INSPECT_NAME, text));
}

void stasis_inspect_note(const char *what, const struct stasis_error *err)
{
    say(err, what);
}

int stasis_inspect_say(const struct stasis_error *err)
{
    say(err, stasis_message_remedy(err));
    return stasis_err_exit_status(err->code);
}
