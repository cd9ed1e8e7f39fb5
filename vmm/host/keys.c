/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Escape keys, and reading without ever waiting.
 */
#include "vmm/host/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char stasis_keys_help[] = "Ctrl-A x       end the VM\n"
                                "Ctrl-A s       freeze the guest to the file of snapshot.path\n"
                                "Ctrl-A c       cancel the freeze in progress\n"
                                "Ctrl-A h       list these keys\n"
                                "Ctrl-A Ctrl-A  send Ctrl-A to the guest (also Ctrl-A a)\n";

const char stasis_keys_hint[] = "Ctrl-A x ends the VM; Ctrl-A h lists the other keys";

/* ---- commands ---- */

static bool has(const struct stasis_keys_queue *queue, enum stasis_keys_command command)
{
    for (size_t i = 0; i < queue->len; i++)
        if (queue->runs[i].command == command)
            return true;
    return false;
}

static void append(struct stasis_keys_queue *queue, enum stasis_keys_command command, size_t times)
{
    if (!queue->len || queue->runs[queue->len - 1].command != command) {
        queue->runs[queue->len].command = command;
        queue->runs[queue->len++].times = 0;
    }
    queue->runs[queue->len - 1].times += times;
}

void stasis_keys_queue_put(struct stasis_keys_queue *queue, enum stasis_keys_command command)
{
    bool once = command == STASIS_KEYS_HELP || command == STASIS_KEYS_QUIT;

    if (once && has(queue, command))
        return;
    if (command == STASIS_KEYS_CANCEL)
        (void)stasis_keys_queue_remove(queue, command);
    append(queue, command, 1);
}

enum stasis_keys_command stasis_keys_queue_take(struct stasis_keys_queue *queue)
{
    enum stasis_keys_command oldest = queue->runs[0].command;

    if (!queue->len)
        return STASIS_KEYS_NONE;
    if (--queue->runs[0].times)
        return oldest;
    queue->len--;
    memmove(queue->runs, queue->runs + 1, queue->len * sizeof(queue->runs[0]));
    return oldest;
}

bool stasis_keys_queue_remove(struct stasis_keys_queue *queue, enum stasis_keys_command command)
{
    const struct stasis_keys_queue before = *queue;

    queue->len = 0;
    for (size_t i = 0; i < before.len; i++)
        if (before.runs[i].command != command)
            append(queue, before.runs[i].command, before.runs[i].times);
    return queue->len < before.len;
}

static enum stasis_keys_command command_of(uint8_t key)
{
    switch (key) {
    case 'x':
        return STASIS_KEYS_QUIT;
    case 's':
        return STASIS_KEYS_SNAPSHOT;
    case 'h':
        return STASIS_KEYS_HELP;
    case 'c':
        return STASIS_KEYS_CANCEL;
    default:
        return STASIS_KEYS_NONE;
    }
}

/* ---- escape keys ---- */

size_t stasis_keys_filter(struct stasis_keys_filter *filter, uint8_t *bytes, size_t len,
                          struct stasis_keys_queue *commands)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t key = bytes[i];
        bool escaped = filter->escaped;

        filter->escaped = !escaped && key == STASIS_KEYS_ESCAPE;
        if (escaped && (key == STASIS_KEYS_ESCAPE || key == 'a'))
            bytes[kept++] = STASIS_KEYS_ESCAPE;
        else if (escaped && command_of(key))
            stasis_keys_queue_put(commands, command_of(key));
        else if (!escaped && !filter->escaped)
            bytes[kept++] = key;
    }
    return kept;
}

/* ---- reading ---- */

void stasis_keys_input_init(struct stasis_keys_input *input, int fd)
{
    memset(input, 0, sizeof(*input));
    input->fd = fd;
    input->is_terminal = isatty(fd) == 1;
}

void stasis_keys_input_fini(struct stasis_keys_input *input)
{
    free(input->held);
    input->held = NULL;
    input->held_len = 0;
}

/* O_NONBLOCK would be seen by everybody who shares standard input, so poll() decides. */
static bool read_ready(int fd, uint8_t *bytes, size_t room, size_t *ret_len)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t n;

    *ret_len = 0;
    if (!room || poll(&ready, 1, 0) < 1) /* or a signal: ask again later */
        return true;
    n = read(fd, bytes, room);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    *ret_len = (size_t)n;
    return n > 0;
}

static bool read_keys(struct stasis_keys_input *input, struct stasis_keys_queue *commands)
{
    uint8_t keys[1024];
    size_t room = STASIS_KEYS_HELD_MAX - input->held_len;
    size_t len;
    bool more = read_ready(input->fd, keys, sizeof(keys), &len);

    len = stasis_keys_filter(&input->filter, keys, len, commands);
    if (!input->held)
        input->held = malloc(STASIS_KEYS_HELD_MAX);
    if (!input->held)
        return more;
    if (len > room)
        len = room;
    memcpy(input->held + input->held_len, keys, len);
    input->held_len += len;
    return more;
}

bool stasis_keys_read(struct stasis_keys_input *input, uint8_t *bytes, size_t room, size_t *ret_len,
                      struct stasis_keys_queue *commands)
{
    size_t len;
    bool more;

    if (!input->is_terminal)
        return read_ready(input->fd, bytes, room, ret_len);
    more = read_keys(input, commands);
    len = input->held_len < room ? input->held_len : room;
    *ret_len = len;
    if (!len)
        return more;
    memcpy(bytes, input->held, len);
    input->held_len -= len;
    memmove(input->held, input->held + len, input->held_len);
    return more;
}
