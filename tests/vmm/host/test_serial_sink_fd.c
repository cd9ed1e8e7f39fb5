/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/serial_sink_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- stdio ---- */

static void stdio_holds_back_while_the_reader_is_slow(void **state)
{
    struct stasis_serial_sink *out;
    struct pollfd ready;
    int fds[2];
    char bytes[65536];
    size_t taken;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    out = sink_open_stdio(fds[1]);
    taken = sink_fill(out, 100);
    assert_true(taken >= 60000);
    ready = (struct pollfd){.fd = stasis_serial_sink_fd(out), .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 0), 0);
    assert_true(read(fds[0], bytes, sizeof(bytes)) > 0);
    assert_int_equal(poll(&ready, 1, 0), 1);
    sink_put(out, "goes on");
    assert_int_equal(out->stats.written, taken + 7);
    assert_false(stasis_serial_sink_summary(out, bytes, sizeof(bytes)));
    stasis_serial_sink_close(out);
    close(fds[0]);
}

static void stdio_leaves_the_shared_descriptor_alone(void **state)
{
    struct stasis_serial_sink *out;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    out = sink_open_stdio(fds[1]);
    sink_fill(out, 4096);
    assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
    stasis_serial_sink_close(out);
    assert_true(fcntl(STDOUT_FILENO, F_GETFD) >= 0);
    close(fds[0]);
}

static bool be_watched(void *ctx)
{
    unsigned *asked = ctx;

    return ++*asked == 1;
}

/* The first time somebody watches, the second time nobody can. */
static void stdio_drops_what_nobody_will_offer_again(void **state)
{
    struct stasis_serial_sink *out;
    unsigned asked = 0;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDOUT_FILENO);
    close(fds[1]);
    out = sink_open(&(struct stasis_serial_sink_options){
        .kind = STASIS_SERIAL_SINK_STDIO, .busy = be_watched, .busy_ctx = &asked});
    sink_fill(out, 4096);
    assert_int_equal(asked, 1);
    assert_int_equal(DROP(out, BUSY), 0);
    sink_put(out, "abc");
    assert_int_equal(asked, 2);
    assert_int_equal(DROP(out, BUSY), 3);
    /* At the end of the VM it waits by itself. */
    assert_int_equal(stasis_serial_sink_drain(out, "d", 1, 0), 0);
    assert_int_equal(asked, 2);
    stasis_serial_sink_close(out);
    close(fds[0]);
}

static void stdio_discards_when_its_reader_has_gone(void **state)
{
    struct stasis_serial_sink *out;
    unsigned asked = 0;
    int fds[2];
    char line[200];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDOUT_FILENO);
    close(fds[1]);
    out = sink_open(&(struct stasis_serial_sink_options){
        .kind = STASIS_SERIAL_SINK_STDIO, .busy = be_watched, .busy_ctx = &asked});
    sink_put(out, "ab");
    assert_false(stasis_serial_sink_is_gone(out));
    close(fds[0]);
    sink_put(out, "cde");
    sink_put(out, "f");
    assert_int_equal(asked, 1);
    assert_true(stasis_serial_sink_is_gone(out));
    assert_int_equal(stasis_serial_sink_fd(out), -1);
    assert_int_equal(DROP(out, GONE), 4);
    assert_int_equal(out->stats.last_errno, EPIPE);
    assert_true(stasis_serial_sink_summary(out, line, sizeof(line)));
    assert_non_null(strstr(line, "2 bytes written, 4 dropped (4 after the reader had gone"));
    stasis_serial_sink_close(out);
}

static void stdio_discards_when_its_reader_was_never_there(void **state)
{
    struct stasis_serial_sink *out;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    out = sink_open_stdio(fds[1]);
    sink_put(out, "abc");
    assert_int_equal(DROP(out, GONE), 3);
    stasis_serial_sink_close(out);
}

static void stdio_works_on_a_socket(void **state)
{
    struct stasis_serial_sink *out;
    int fds[2];
    char bytes[65536];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    out = sink_open_stdio(fds[1]);
    alarm(SINK_HANG_SECONDS); /* a write that blocks */
    assert_true(sink_fill(out, 4096) > 4096);
    while (recv(fds[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    sink_put(out, "ab");
    close(fds[0]);
    sink_put(out, "c");
    assert_int_equal(DROP(out, GONE), 1);
    alarm(0);
    stasis_serial_sink_close(out);
}

static void stdio_works_on_a_terminal(void **state)
{
    struct stasis_serial_sink *out;
    struct pollfd ready;
    int master;
    int slave;

    (void)state;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    out = sink_open_stdio(slave);
    alarm(SINK_HANG_SECONDS);
    assert_true(sink_fill(out, 3) > 1000);
    /* Nobody reads, so it is busy once the kernel has carried to the other side what fits there.
     * Waiting for room must then wait: a sink that says "ready" and takes nothing ends in the
     * alarm. */
    ready = (struct pollfd){.fd = stasis_serial_sink_fd(out), .events = POLLOUT};
    do {
        while (stasis_serial_sink_write(out, "\n", 1) == 1)
            ;
    } while (poll(&ready, 1, 200));
    close(master);
    dup2(sink_saved_stdout, STDOUT_FILENO);
    sink_put(out, "x");
    assert_int_equal(DROP(out, GONE), 1);
    alarm(0);
    stasis_serial_sink_close(out);
}

static void stdio_counts_a_full_disk_and_goes_on(void **state)
{
    struct stasis_serial_sink *out = sink_open_stdio(open("/dev/full", O_WRONLY));
    char line[200];

    (void)state;
    sink_put(out, "abc");
    sink_put(out, "d");
    assert_int_equal(DROP(out, ERROR), 4);
    assert_true(stasis_serial_sink_summary(out, line, sizeof(line)));
    assert_non_null(strstr(line, "4 by failed writes: No space left on device"));
    stasis_serial_sink_close(out);
}

static void *read_later(void *fd)
{
    char bytes[65536];

    while (read(*(int *)fd, bytes, sizeof(bytes)) > 0)
        ;
    return NULL;
}

static void drains_to_a_slow_reader_within_a_time(void **state)
{
    struct stasis_serial_sink *out;
    pthread_t thread;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    out = sink_open_stdio(fds[1]);
    sink_fill(out, 4096);
    assert_int_equal(stasis_serial_sink_drain(out, "end", 3, 0), 0);
    assert_int_equal(stasis_serial_sink_drain(out, "end", 3, 20), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_later, &fds[0]), 0);
    assert_int_equal(stasis_serial_sink_drain(out, "end", 3, SINK_HANG_SECONDS * 1000), 3);
    stasis_serial_sink_close(out);
    dup2(sink_saved_stdout, STDOUT_FILENO);
    pthread_join(thread, NULL);
    close(fds[0]);
}

/* ---- pipe ---- */

static void pipe_needs_no_reader(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_PIPE,
                                                 .path = sink_path};
    struct stasis_serial_sink *out = sink_open(&options);
    char bytes[65536];
    struct stat st;
    int reader;
    uint64_t kept;

    (void)state;
    assert_int_equal(stat(sink_path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode) && (st.st_mode & 07777) == 0600);
    memset(bytes, 'x', sizeof(bytes));
    for (int i = 0; i < 4; i++)
        assert_int_equal(stasis_serial_sink_write(out, bytes, sizeof(bytes)), sizeof(bytes));
    kept = out->stats.written;
    assert_true(kept >= 4096);
    assert_int_equal(DROP(out, BUSY), 4 * sizeof(bytes) - kept);
    assert_int_equal(stasis_serial_sink_fd(out), -1);

    reader = open(sink_path, O_RDONLY | O_NONBLOCK);
    while (read(reader, bytes, sizeof(bytes)) > 0)
        ;
    sink_put(out, "to a reader");
    assert_int_equal(read(reader, bytes, sizeof(bytes)), 11);
    close(reader);
    sink_put(out, "to nobody");
    stasis_serial_sink_close(out);
    out = sink_open(&options); /* a pipe that is there is taken */
    sink_put(out, "again");
    stasis_serial_sink_close(out);
}

static void pipe_refuses_another_file(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_PIPE,
                                                 .path = sink_path};
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;
    int fd = open(sink_path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "not a pipe"));
    sink_file_holds(sink_path, "mine", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(stdio_holds_back_while_the_reader_is_slow, sink_remove_file),
        cmocka_unit_test_teardown(stdio_leaves_the_shared_descriptor_alone, sink_remove_file),
        cmocka_unit_test_teardown(stdio_drops_what_nobody_will_offer_again, sink_remove_file),
        cmocka_unit_test_teardown(stdio_discards_when_its_reader_has_gone, sink_remove_file),
        cmocka_unit_test_teardown(stdio_discards_when_its_reader_was_never_there, sink_remove_file),
        cmocka_unit_test_teardown(stdio_works_on_a_socket, sink_remove_file),
        cmocka_unit_test_teardown(stdio_works_on_a_terminal, sink_remove_file),
        cmocka_unit_test_teardown(stdio_counts_a_full_disk_and_goes_on, sink_remove_file),
        cmocka_unit_test_teardown(drains_to_a_slow_reader_within_a_time, sink_remove_file),
        cmocka_unit_test_teardown(pipe_needs_no_reader, sink_remove_file),
        cmocka_unit_test_teardown(pipe_refuses_another_file, sink_remove_file),
    };

    return cmocka_run_group_tests(tests, sink_make_dir, sink_remove_dir);
}
