/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/vsock_line.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define WORD "CONNECT "

/* 2^32 - 1 is no port: it stands for any. */
static bool parse(const char *text, size_t len, uint32_t *ret_port)
{
    const size_t begin = sizeof(WORD) - 1;
    uint64_t port = 0;

    if (len <= begin || len > begin + 10 || memcmp(text, WORD, begin) != 0)
        return false;
    for (size_t i = begin; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_port = (uint32_t)port;
    return port < UINT32_MAX;
}

static ssize_t receive(int fd, char *bytes, size_t len, int flags)
{
    ssize_t got;

    do
        got = recv(fd, bytes, len, flags | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got;
}

enum stasis_vsock_line_result stasis_vsock_line_read(struct stasis_vsock_line *line, int fd,
                                                     uint32_t *ret_port)
{
    char *at = line->text + line->len;
    ssize_t got = receive(fd, at, sizeof(line->text) - line->len, MSG_PEEK);
    const char *end;

    if (got < 0 && errno == EAGAIN)
        return STASIS_VSOCK_LINE_MORE;
    if (got <= 0)
        return STASIS_VSOCK_LINE_BAD;
    end = memchr(at, '\n', (size_t)got);
    if (receive(fd, at, end ? (size_t)(end + 1 - at) : (size_t)got, 0) <= 0)
        return STASIS_VSOCK_LINE_BAD;
    if (end)
        return parse(line->text, (size_t)(end - line->text), ret_port) ? STASIS_VSOCK_LINE_PORT
                                                                       : STASIS_VSOCK_LINE_BAD;
    line->len += (size_t)got;
    return line->len < sizeof(line->text) ? STASIS_VSOCK_LINE_MORE : STASIS_VSOCK_LINE_BAD;
}
