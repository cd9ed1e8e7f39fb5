/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The side of the process that may not make the files.
 */
#include "vmm/sandbox/maker.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/sandbox/maker_message.h"

static int make_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int no_maker(struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                             "the process that handles files of clients cannot be started");
}

int stasis_sandbox_maker_start(const struct stasis_sandbox_maker_opts *opts,
                               struct stasis_sandbox_maker *ret_maker, struct stasis_error *err)
{
    const pid_t parent = getpid();
    int pair[2];
    pid_t pid;

    if (make_pair(pair))
        return no_maker(err);
    pid = fork();
    if (!pid)
        stasis_maker_run(pair[1], parent, opts);
    close(pair[1]);
    if (pid < 0) {
        const int rc = no_maker(err);

        close(pair[0]);
        return rc;
    }
    *ret_maker = (struct stasis_sandbox_maker){pair[0], opts->makes, pid};
    return 0;
}

/* Its end closes its socket. The sandbox allows signals to this process only. */
static bool wait_for_end(int fd, unsigned limit_ms)
{
    struct pollfd end = {.fd = fd};
    int ready;

    do {
        ready = poll(&end, 1, (int)limit_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

bool stasis_sandbox_maker_stop(struct stasis_sandbox_maker *maker, unsigned limit_ms)
{
    const char order = STASIS_MAKER_END;
    bool ended;

    if (maker->fd < 0)
        return true;
    (void)!send(maker->fd, &order, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    ended = wait_for_end(maker->fd, limit_ms);
    close(maker->fd);
    maker->fd = -1;
    while (ended && waitpid(maker->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return ended;
}

/* -1 with the errno of the answer. ret_fd NULL: it shall have no descriptor. The kernel leaves one
 * out if this process may have no more. */
static int take_answer(int fd, int *ret_fd)
{
    struct stasis_maker_answer answer = {0};
    int fds[STASIS_MAKER_FDS_MAX];
    size_t count;
    ssize_t len = stasis_maker_receive(fd, &answer, sizeof(answer), fds, &count);
    const size_t wanted = ret_fd && !answer.error ? 1 : 0;

    if (len < 0)
        return -1;
    if (len != sizeof(answer) || count != wanted) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        errno = !len ? EPIPE : wanted && !count ? EMFILE : EPROTO;
        return -1;
    }
    if (wanted)
        *ret_fd = fds[0];
    errno = answer.error;
    return answer.error ? -1 : 0;
}

int stasis_sandbox_maker_open(void *maker, int folder_fd)
{
    const char order = STASIS_MAKER_SERVE;
    int pair[2];
    int failed;

    if (make_pair(pair))
        return -1;
    failed =
        stasis_maker_send((int)(intptr_t)maker, &order, 1, (const int[]){folder_fd, pair[1]}, 2);
    close(pair[1]);
    if (!failed)
        failed = take_answer(pair[0], NULL);
    if (!failed)
        return pair[0];
    failed = errno;
    close(pair[0]);
    errno = failed;
    return -1;
}

static int ask(int folder, enum stasis_maker_what what, const char *temporary, const char *name,
               int *ret_fd)
{
    struct stasis_maker_request request = {.what = what};

    if (snprintf(request.temporary, sizeof(request.temporary), "%s", temporary) > NAME_MAX ||
        snprintf(request.name, sizeof(request.name), "%s", name) > NAME_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return stasis_maker_send(folder, &request, sizeof(request), NULL, 0)
               ? -1
               : take_answer(folder, ret_fd);
}

int stasis_sandbox_maker_make(int folder, const char *name)
{
    int fd = -1;

    return ask(folder, STASIS_MAKER_MAKE, name ? name : "", "", &fd) ? -1 : fd;
}

int stasis_sandbox_maker_name(int folder, const char *name)
{
    return ask(folder, STASIS_MAKER_NAME, "", name, NULL);
}

int stasis_sandbox_maker_replace(int folder, const char *temporary, const char *name)
{
    return ask(folder, STASIS_MAKER_REPLACE, temporary, name, NULL);
}

int stasis_sandbox_maker_remove(int folder, const char *temporary)
{
    return ask(folder, STASIS_MAKER_REMOVE, temporary, "", NULL);
}
