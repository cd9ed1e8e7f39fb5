/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is done in a folder: the system calls of the gate for outputs (stasis/output.h) that take
 * the right to make, replace or remove. Who asks may have been taken over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/sandbox/maker_message.h"

struct folder {
    int fd;
    int made; /* the file that was made last, or -1 */
};

static bool is_name(const char *text)
{
    return *text && !strchr(text, '/');
}

/* As the gate gives them (output_replace.c). */
static bool is_temporary(const char *text)
{
    static const char begin[] = ".stasis-", end[] = ".tmp";
    const size_t len = strlen(text);

    return is_name(text) && len > sizeof(begin) + sizeof(end) &&
           !strncmp(text, begin, sizeof(begin) - 1) && !strcmp(text + len - (sizeof(end) - 1), end);
}

static int make(struct folder *folder, const char *name)
{
    const int how = *name ? O_CREAT | O_EXCL : O_TMPFILE;

    if (*name && !is_temporary(name)) {
        errno = EPERM;
        return -1;
    }
    if (folder->made >= 0)
        close(folder->made);
    folder->made = openat(folder->fd, *name ? name : ".", how | O_RDWR | O_CLOEXEC, 0600);
    return folder->made < 0 ? -1 : 0;
}

/* AT_EMPTY_PATH needs a capability on most kernels, the other way needs /proc. */
static int give_name(const struct folder *folder, const char *name)
{
    char path[32];

    if (!linkat(folder->made, "", folder->fd, name, AT_EMPTY_PATH))
        return 0;
    if (errno == EEXIST)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", folder->made);
    return linkat(AT_FDCWD, path, folder->fd, name, AT_SYMLINK_FOLLOW);
}

/* Returns -1 with errno. */
static int carry_out(struct folder *folder, const struct stasis_maker_request *request)
{
    if (request->what == STASIS_MAKER_MAKE)
        return make(folder, request->temporary);
    if (request->what == STASIS_MAKER_NAME && is_name(request->name) && folder->made >= 0)
        return give_name(folder, request->name);
    if (request->what == STASIS_MAKER_REPLACE && is_temporary(request->temporary) &&
        is_name(request->name))
        return renameat(folder->fd, request->temporary, folder->fd, request->name);
    if (request->what == STASIS_MAKER_REMOVE && is_temporary(request->temporary))
        return unlinkat(folder->fd, request->temporary, 0);
    errno = EPERM;
    return -1;
}

static bool is_whole(const struct stasis_maker_request *request, ssize_t len)
{
    return len == sizeof(*request) && memchr(request->temporary, 0, sizeof(request->temporary)) &&
           memchr(request->name, 0, sizeof(request->name));
}

static bool answer(int fd, int error, int made)
{
    const struct stasis_maker_answer message = {.error = error};

    return !stasis_maker_send(fd, &message, sizeof(message), &made, made >= 0 ? 1 : 0);
}

static bool serve_one(struct folder *folder, int fd)
{
    struct stasis_maker_request request;
    int fds[STASIS_MAKER_FDS_MAX];
    size_t count;
    ssize_t len = stasis_maker_receive(fd, &request, sizeof(request), fds, &count);
    int error;

    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (!is_whole(&request, len))
        return false;
    error = carry_out(folder, &request) ? errno : 0;
    return answer(fd, error, !error && request.what == STASIS_MAKER_MAKE ? folder->made : -1);
}

/* A descriptor that is open for nothing (O_PATH) proves nothing: Landlock lets anybody have it. */
void stasis_maker_serve(int folder_fd, int fd)
{
    struct folder folder = {.fd = folder_fd, .made = -1};
    const int flags = fcntl(folder_fd, F_GETFL);
    bool goes_on = answer(fd, flags < 0 || flags & O_PATH ? EBADF : 0, -1);

    if (flags < 0 || flags & O_PATH)
        return;
    while (goes_on)
        goes_on = serve_one(&folder, fd);
}
