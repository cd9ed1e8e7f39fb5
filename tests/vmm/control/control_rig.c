/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "control_rig.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/socket.h"

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.folder = "/tmp/stasis-control-XXXXXX"};
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof(rig->path), "%s/sock", rig->folder);
}

void rig_fini(struct rig *rig)
{
    assert_int_equal(rmdir(rig->folder), 0);
}

void rig_pump(struct rig *rig)
{
    struct pollfd ready = {.events = POLLIN};

    ready.fd =
        rig->server ? stasis_control_server_fd(rig->server) : stasis_control_fd(rig->control);
    while (poll(&ready, 1, 0) == 1) {
        if (rig->server)
            stasis_control_server_dispatch(rig->server);
        else
            stasis_control_dispatch(rig->control);
    }
}

int rig_connect(const struct rig *rig)
{
    int fd = -1;

    assert_int_equal(stasis_control_socket_connect(rig->path, &fd, NULL), 0);
    return fd;
}

void rig_send(struct rig *rig, int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EAGAIN) {
            rig_pump(rig);
            continue;
        }
        assert_true(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
    rig_pump(rig);
}

void rig_say(struct rig *rig, int fd, const char *text)
{
    rig_send(rig, fd, text, strlen(text));
}

void rig_pass(struct rig *rig, int fd, const char *text, const int *fds, unsigned count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * 32)];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int) * count),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec vector = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * count)};

    memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
    assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), strlen(text));
    rig_pump(rig);
}

const char *rig_hear(struct rig *rig, int fd)
{
    static char line[1 << 20];
    size_t len = 0;

    for (const char *end = NULL; !end;) {
        ssize_t got = recv(fd, line + len, 4096, MSG_DONTWAIT | MSG_PEEK);

        if (got < 0 && errno == EAGAIN && len) {
            rig_pump(rig);
            continue;
        }
        if (got <= 0)
            return NULL;
        end = memchr(line + len, '\n', (size_t)got);
        if (end)
            got = end + 1 - (line + len);
        assert_int_equal(recv(fd, line + len, (size_t)got, MSG_DONTWAIT), got);
        len += (size_t)got;
        assert_true(len + 4096 < sizeof(line));
    }
    line[len - 1] = '\0';
    rig_pump(rig);
    return line;
}

json_t *rig_hear_json(struct rig *rig, int fd)
{
    const char *line = rig_hear(rig, fd);
    json_t *value = line ? json_loads(line, JSON_REJECT_DUPLICATES, NULL) : NULL;

    assert_non_null(value);
    return value;
}

const char *rig_ask(struct rig *rig, int fd, const char *text)
{
    const char *line;

    rig_say(rig, fd, text);
    line = rig_hear(rig, fd);
    assert_non_null(line);
    return line;
}

bool rig_closed(struct rig *rig, int fd)
{
    char byte;

    rig_pump(rig);
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

void rig_assert_refused(struct rig *rig, int fd, const char *text, int code, const char *words)
{
    json_t *answer;
    const char *name = NULL;
    const char *message = NULL;
    const char *remedy = NULL;
    int found = 0;

    rig_say(rig, fd, text);
    answer = rig_hear_json(rig, fd);
    assert_int_equal(json_unpack(answer, "{s:{s:i, s:{s:s, s:s, s:s}}}", "error", "code", &found,
                                 "data", "name", &name, "message", &message, "remedy", &remedy),
                     0);
    assert_int_equal(found, code);
    if (!strstr(message, words))
        fail_msg("\"%s\" is not in \"%s\"", words, message);
    assert_true(name[0]);
    json_decref(answer);
}

unsigned rig_open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}
