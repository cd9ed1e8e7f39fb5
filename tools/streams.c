/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tools/inspect.h"
#include "tools/text.h"

void stasis_inspect_streams(void)
{
    static char line[8 * STASIS_ERROR_MSG_MAX];

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    (void)signal(SIGXFSZ, SIG_IGN);
    /* A message is one write, and so stays whole among those of other programs. */
    (void)setvbuf(stderr, line, _IOLBF, sizeof(line));
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

static const char *remedy(enum stasis_err code)
{
    if (code == STASIS_ERR_NOT_FOUND)
        return "; check the name";
    if (code == STASIS_ERR_CORRUPT)
        return "; do not trust this file, use another copy";
    if (code == STASIS_ERR_VERSION)
        return "; use the program that wrote it";
    if (code == STASIS_ERR_WRITE)
        return "; make room or write elsewhere";
    return "";
}

static void say(const struct stasis_error *err, const char *rest)
{
    fputs(STASIS_INSPECT_NAME ": ", stderr);
    stasis_text_put(stderr, err->msg);
    fprintf(stderr, "%s\n", rest);
}

void stasis_inspect_note(const char *what, const struct stasis_error *err)
{
    say(err, what);
}

int stasis_inspect_say(const struct stasis_error *err)
{
    const char *rest = remedy(err->code);
    /* The libraries name some remedies themselves. */
    bool said = rest[0] && strstr(err->msg, rest + strlen("; "));

    say(err, said ? "" : rest);
    return stasis_err_exit_status(err->code);
}
