/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/serial_sink_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char sink_dir[] = "/tmp/stasis-serial-XXXXXX";
char sink_path[64];
int sink_saved_stdout;

int sink_make_dir(void **state)
{
    (void)state;
    sink_saved_stdout = dup(STDOUT_FILENO);
    snprintf(sink_path, sizeof(sink_path), "%s/out", mkdtemp(sink_dir));
    return 0;
}

int sink_remove_dir(void **state)
{
    (void)state;
    close(sink_saved_stdout);
    return rmdir(sink_dir);
}

int sink_remove_file(void **state)
{
    (void)state;
    fflush(stdout);
    dup2(sink_saved_stdout, STDOUT_FILENO);
    unlink(sink_path);
    return 0;
}

struct stasis_serial_sink *sink_open(const struct stasis_serial_sink_options *options)
{
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;

    if (stasis_serial_sink_open(options, &out, &err) || stasis_serial_sink_start(out, &err))
        fail_msg("%s", err.msg);
    return out;
}

struct stasis_serial_sink *sink_open_stdio(int fd)
{
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    return sink_open(&(struct stasis_serial_sink_options){.kind = STASIS_SERIAL_SINK_STDIO});
}

void sink_put(struct stasis_serial_sink *out, const char *text)
{
    assert_int_equal(stasis_serial_sink_write(out, text, strlen(text)), strlen(text));
}

size_t sink_fill(struct stasis_serial_sink *out, size_t piece)
{
    char block[4096];
    size_t sum = 0;
    size_t n;

    memset(block, 'x', sizeof(block));
    do {
        n = stasis_serial_sink_write(out, block, piece);
        sum += n;
        assert_true(sum < 1 << 24);
    } while (n == piece);
    return sum;
}

void sink_file_holds(const char *name, const void *bytes, size_t len)
{
    char found[8192];
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, found, sizeof(found));

    close(fd);
    assert_int_equal(n, len);
    assert_memory_equal(found, bytes, len);
}
