/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * `snapshot-inspect verify` as a judge, without a process for each file. STAGE is always "inspect".
 */
#include "tests/reader/judge.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/inspect.h"

/* What was said on standard error, which is a file by now, and nothing any more. */
static void take_errors(char *ret_message, size_t size)
{
    ssize_t n = pread(STDERR_FILENO, ret_message, size - 1, 0);

    ret_message[n < 0 ? 0 : n] = '\0';
    for (char *at = ret_message; *at; at++)
        if (*at == '\n')
            *at = ' ';
    if (ftruncate(STDERR_FILENO, 0) || lseek(STDERR_FILENO, 0, SEEK_SET))
        abort();
}

static void judge(int fd, const char *path, struct verdict *verdict)
{
    char program[] = STASIS_INSPECT_NAME, verify[] = "verify", input[4096];
    char *argv[] = {program, verify, input, NULL};

    snprintf(input, sizeof(input), "%s", path ? path : "-");
    if (!path && dup2(fd, STDIN_FILENO) < 0)
        abort();
    verdict->stage = "inspect";
    verdict->status = stasis_inspect_main(3, argv);
    if (!path &&
        dup2(STDOUT_FILENO, STDIN_FILENO) < 0) /* who still writes to it shall see an end */
        abort();
    take_errors(verdict->message, sizeof(verdict->message));
}

/* Its input and output move, since standard input is what "-" reads. */
int main(void)
{
    FILE *in = fdopen(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "r");
    FILE *out = fdopen(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3), "w");
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    int errors = memfd_create("errors", MFD_CLOEXEC);

    if (!in || !out || dup2(nowhere, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        abort();
    return judge_all(judge, in, out);
}
