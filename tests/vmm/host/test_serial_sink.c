/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/host/serial_sink_internal.h"

#define HANG_SECONDS   300
#define DROP(out, why) ((out)->stats.dropped[STASIS_SERIAL_SINK_DROP_##why])

/* ---- a folder of its own, and a standard output to play with ---- */

static char dir[] = "/tmp/stasis-serial-XXXXXX";
static char path[64];
static int saved_stdout;

static int make_dir(void **state)
{
    (void)state;
    saved_stdout = dup(STDOUT_FILENO);
    snprintf(path, sizeof(path), "%s/out", mkdtemp(dir));
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    close(saved_stdout);
    return rmdir(dir);
}

static int remove_file(void **state)
{
    (void)state;
    fflush(stdout);
    dup2(saved_stdout, STDOUT_FILENO);
    unlink(path);
    return 0;
}

static struct stasis_serial_sink *open_out(const struct stasis_serial_sink_options *options)
{
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;

    if (stasis_serial_sink_open(options, &out, &err) || stasis_serial_sink_start(out, &err))
        fail_msg("%s", err.msg);
    return out;
}

/* Opens a stdio sink on fd, which is closed. */
static struct stasis_serial_sink *open_stdio(int fd)
{
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    return open_out(&(struct stasis_serial_sink_options){.kind = STASIS_SERIAL_SINK_STDIO});
}

static void put(struct stasis_serial_sink *out, const char *text)
{
    assert_int_equal(stasis_serial_sink_write(out, text, strlen(text)), strlen(text));
}

/* Fills the sink until it is busy; returns bytes taken. */
static size_t fill(struct stasis_serial_sink *out, size_t piece)
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

static void file_holds(const char *name, const void *bytes, size_t len)
{
    char found[8192];
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, found, sizeof(found));

    close(fd);
    assert_int_equal(n, len);
    assert_memory_equal(found, bytes, len);
}

/* ---- rate ---- */

static void bucket_gives_its_rate_and_no_more(void **state)
{
    struct stasis_serial_sink_bucket bucket = {.rate = 1000, .tokens = 1000, .last_ns = 0};
    uint64_t given = 0;

    (void)state;
    for (uint64_t ns = 0; ns <= 5000000000; ns += 333333) {
        uint64_t n = stasis_serial_sink_bucket_fill(&bucket, ns, 7);

        bucket.tokens -= n;
        given += n;
    }
    assert_in_range(given, 5998, 6000); /* one burst, and five seconds */
}

static void bucket_holds_one_second(void **state)
{
    struct stasis_serial_sink_bucket bucket = {
        .rate = STASIS_SERIAL_SINK_RATE_MAX, .tokens = 0, .last_ns = 5};

    (void)state;
    assert_int_equal(stasis_serial_sink_bucket_fill(&bucket, 5, 1), 0);
    assert_int_equal(stasis_serial_sink_bucket_fill(&bucket, 4, 1), 0); /* a clock that is behind */
    assert_int_equal(stasis_serial_sink_bucket_fill(&bucket, 1000000004, UINT64_MAX),
                     STASIS_SERIAL_SINK_RATE_MAX - 2);
    assert_int_equal(stasis_serial_sink_bucket_fill(&bucket, UINT64_MAX, UINT64_MAX),
                     STASIS_SERIAL_SINK_RATE_MAX);
}

static void drops_what_exceeds_the_rate(void **state)
{
    struct stasis_serial_sink *out = open_out(&(struct stasis_serial_sink_options){
        .kind = STASIS_SERIAL_SINK_FILE, .path = path, .rate = 4});
    char line[200];

    (void)state;
    put(out, "abc");
    put(out, "defgh");
    assert_int_equal(out->stats.written, 4);
    assert_int_equal(DROP(out, RATE), 4);
    assert_true(stasis_serial_sink_summary(out, line, sizeof(line)));
    assert_string_equal(line, "serial output: 4 bytes written, 4 dropped (4 over the rate)");
    stasis_serial_sink_close(out);
    file_holds(path, "abcd", 4);
}

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
    out = open_stdio(fds[1]);
    taken = fill(out, 100);
    assert_true(taken >= 60000);
    ready = (struct pollfd){.fd = stasis_serial_sink_fd(out), .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 0), 0);
    assert_true(read(fds[0], bytes, sizeof(bytes)) > 0);
    assert_int_equal(poll(&ready, 1, 0), 1);
    put(out, "goes on");
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
    out = open_stdio(fds[1]);
    fill(out, 4096);
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
    out = open_out(&(struct stasis_serial_sink_options){
        .kind = STASIS_SERIAL_SINK_STDIO, .busy = be_watched, .busy_ctx = &asked});
    fill(out, 4096);
    assert_int_equal(asked, 1);
    assert_int_equal(DROP(out, BUSY), 0);
    put(out, "abc");
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
    int fds[2];
    char line[200];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    out = open_stdio(fds[1]);
    put(out, "ab");
    close(fds[0]);
    put(out, "cde");
    put(out, "f");
    assert_int_equal(stasis_serial_sink_fd(out), -1);
    assert_int_equal(DROP(out, GONE), 4);
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
    out = open_stdio(fds[1]);
    put(out, "abc");
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
    out = open_stdio(fds[1]);
    alarm(HANG_SECONDS); /* a write that blocks */
    assert_true(fill(out, 4096) > 4096);
    while (recv(fds[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    put(out, "ab");
    close(fds[0]);
    put(out, "c");
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
    out = open_stdio(slave);
    alarm(HANG_SECONDS);
    assert_true(fill(out, 3) > 1000);
    /* Nobody reads, so it is busy once the kernel has carried to the other side what fits there.
     * Waiting for room must then wait: a sink that says "ready" and takes nothing ends in the
     * alarm. */
    ready = (struct pollfd){.fd = stasis_serial_sink_fd(out), .events = POLLOUT};
    do {
        while (stasis_serial_sink_write(out, "\n", 1) == 1)
            ;
    } while (poll(&ready, 1, 200));
    close(master);
    dup2(saved_stdout, STDOUT_FILENO);
    put(out, "x");
    assert_int_equal(DROP(out, GONE), 1);
    alarm(0);
    stasis_serial_sink_close(out);
}

static void stdio_counts_a_full_disk_and_goes_on(void **state)
{
    struct stasis_serial_sink *out = open_stdio(open("/dev/full", O_WRONLY));
    char line[200];

    (void)state;
    put(out, "abc");
    put(out, "d");
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
    out = open_stdio(fds[1]);
    fill(out, 4096);
    assert_int_equal(stasis_serial_sink_drain(out, "end", 3, 0), 0);
    assert_int_equal(stasis_serial_sink_drain(out, "end", 3, 20), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_later, &fds[0]), 0);
    assert_int_equal(stasis_serial_sink_drain(out, "end", 3, HANG_SECONDS * 1000), 3);
    stasis_serial_sink_close(out);
    dup2(saved_stdout, STDOUT_FILENO);
    pthread_join(thread, NULL);
    close(fds[0]);
}

static void none_takes_everything(void **state)
{
    struct stasis_serial_sink *out =
        open_out(&(struct stasis_serial_sink_options){.kind = STASIS_SERIAL_SINK_NONE});
    char line[200];

    (void)state;
    put(out, "abc");
    assert_int_equal(stasis_serial_sink_fd(out), -1);
    assert_false(stasis_serial_sink_summary(out, line, sizeof(line)));
    stasis_serial_sink_close(out);
}

/* ---- file ---- */

static void file_ends_at_its_limit(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_FILE, .path = path, .limit = 5};
    struct stasis_serial_sink *out;
    struct stat st;

    (void)state;
    umask(0);
    out = open_out(&options);
    umask(022);
    put(out, "abc");
    put(out, "defg");
    put(out, "h");
    assert_int_equal(out->stats.written, 5);
    assert_int_equal(DROP(out, LIMIT), 3);
    stasis_serial_sink_close(out);
    file_holds(path, "abcde", 5);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void file_starts_empty_or_goes_on(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_FILE, .path = path, .limit = 8};
    struct stasis_serial_sink *out = open_out(&options);

    (void)state;
    put(out, "before");
    stasis_serial_sink_close(out);
    options.append = true;
    out = open_out(&options);
    put(out, "after");
    assert_int_equal(DROP(out, LIMIT), 3);
    stasis_serial_sink_close(out);
    file_holds(path, "beforeaf", 8);
    options.limit = 7; /* it holds more than it may */
    out = open_out(&options);
    put(out, "x");
    assert_int_equal(DROP(out, LIMIT), 1);
    stasis_serial_sink_close(out);
    file_holds(path, "beforeaf", 8);
    options.append = false;
    out = open_out(&options);
    put(out, "new");
    stasis_serial_sink_close(out);
    file_holds(path, "new", 3);
}

static void file_survives_a_size_limit_of_the_process(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_FILE, .path = path};
    struct stasis_serial_sink *out = open_out(&options);
    struct rlimit before;
    struct rlimit small;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(out, "abc");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(out->stats.written, 2);
    assert_int_equal(DROP(out, ERROR), 1);
    assert_int_equal(out->stats.last_errno, EFBIG);
    put(out, "d"); /* there is room again: goes on where the file ends */
    stasis_serial_sink_close(out);
    file_holds(path, "abd", 3);
}

static void refuses_what_is_not_a_regular_file(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_FILE, .path = path};
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "not a regular file"));
    options.kind = STASIS_SERIAL_SINK_RING;
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    options.path = "/nowhere/x";
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_WRITE);
    options.path = dir;
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    assert_null(out);
}

static void sink_that_is_not_started_changes_nothing(void **state)
{
    static const enum stasis_serial_sink_kind kinds[] = {
        STASIS_SERIAL_SINK_FILE, STASIS_SERIAL_SINK_RING, STASIS_SERIAL_SINK_PIPE};
    struct stasis_serial_sink *out;
    int fd;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct stasis_serial_sink_options options = {.kind = kinds[i], .path = path};

        assert_int_equal(stasis_serial_sink_open(&options, &out, NULL), 0);
        stasis_serial_sink_close(out);
        assert_int_not_equal(access(path, F_OK), 0);
        stasis_serial_sink_close(open_out(&options));
        assert_int_equal(access(path, F_OK), 0);
        unlink(path);
    }
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    for (size_t i = 0; i < 2; i++) {
        const struct stasis_serial_sink_options options = {.kind = kinds[i], .path = path};

        assert_int_equal(stasis_serial_sink_open(&options, &out, NULL), 0);
        stasis_serial_sink_close(out);
        file_holds(path, "mine", 4);
    }
}

/* ---- ring ---- */

/* Reads a ring file as ring.h describes it. */
static size_t read_ring(char *ret_text, uint64_t expected_size)
{
    char file[4096] = "";
    uint64_t size;
    uint64_t total;
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, file, sizeof(file));
    const char *data = file + STASIS_RING_HEADER_LEN;
    size_t len = 0;

    close(fd);
    assert_memory_equal(file, "STASIS-RING 1\nsize ", 19);
    assert_memory_equal(file + 39, "\ntotal ", 7);
    size = strtoull(file + 19, NULL, 10);
    total = strtoull(file + 46, NULL, 10);
    assert_int_equal(file[STASIS_RING_HEADER_LEN - 1], '\n');
    assert_int_equal(size, expected_size);
    assert_int_equal(n, STASIS_RING_HEADER_LEN + size);
    for (uint64_t i = total > size ? total - size : 0; i < total; i++)
        ret_text[len++] = data[i % size];
    ret_text[len] = '\0';
    return len;
}

static void ring_holds_the_last_bytes(void **state)
{
    static const char stream[] = "0123456789abcdefghijklmnopqrstuvwxyz";

    (void)state;
    for (size_t piece = 1; piece < sizeof(stream); piece++) {
        struct stasis_serial_sink *out = open_out(&(struct stasis_serial_sink_options){
            .kind = STASIS_SERIAL_SINK_RING, .path = path, .size = 8});
        char text[16];

        assert_int_equal(read_ring(text, 8), 0);
        for (size_t at = 0; at + piece < sizeof(stream); at += piece) {
            size_t end = at + piece;
            size_t start = end > 8 ? end - 8 : 0;

            assert_int_equal(stasis_serial_sink_write(out, stream + at, piece), piece);
            assert_int_equal(read_ring(text, 8), end - start);
            assert_memory_equal(text, stream + start, end - start);
        }
        stasis_serial_sink_close(out);
    }
}

static void ring_goes_on_or_starts_anew(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_RING, .path = path, .size = 8};
    struct stasis_serial_sink *out = open_out(&options);
    char text[16];

    (void)state;
    put(out, "0123456789");
    stasis_serial_sink_close(out);
    options.append = true;
    out = open_out(&options);
    put(out, "ab");
    stasis_serial_sink_close(out);
    assert_int_equal(read_ring(text, 8), 8);
    assert_string_equal(text, "456789ab");
    options.size = 9; /* another size: another ring */
    out = open_out(&options);
    put(out, "cd");
    stasis_serial_sink_close(out);
    assert_int_equal(read_ring(text, 9), 2);
    options.append = false;
    out = open_out(&options);
    stasis_serial_sink_close(out);
    assert_int_equal(read_ring(text, 9), 0);
}

/* Any byte of the header that is not as we write it makes it a file of somebody else's. */
static void ring_believes_only_its_own_header(void **state)
{
    struct stasis_serial_sink_options options = {
        .kind = STASIS_SERIAL_SINK_RING, .path = path, .size = 8};

    (void)state;
    for (off_t at = 0; at < STASIS_RING_HEADER_LEN; at++) {
        struct stasis_serial_sink *out = open_out(&options);
        char text[16];
        int fd;

        put(out, "0123456789");
        stasis_serial_sink_close(out);
        fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, "~", 1, at), 1);
        close(fd);
        options.append = true;
        out = open_out(&options);
        stasis_serial_sink_close(out);
        options.append = false;
        assert_int_equal(read_ring(text, 8), 0);
    }
}

/* ---- pipe ---- */

static void pipe_needs_no_reader(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_PIPE, .path = path};
    struct stasis_serial_sink *out = open_out(&options);
    char bytes[65536];
    struct stat st;
    int reader;
    uint64_t kept;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode) && (st.st_mode & 07777) == 0600);
    memset(bytes, 'x', sizeof(bytes));
    for (int i = 0; i < 4; i++)
        assert_int_equal(stasis_serial_sink_write(out, bytes, sizeof(bytes)), sizeof(bytes));
    kept = out->stats.written;
    assert_true(kept >= 4096);
    assert_int_equal(DROP(out, BUSY), 4 * sizeof(bytes) - kept);
    assert_int_equal(stasis_serial_sink_fd(out), -1);

    reader = open(path, O_RDONLY | O_NONBLOCK);
    while (read(reader, bytes, sizeof(bytes)) > 0)
        ;
    put(out, "to a reader");
    assert_int_equal(read(reader, bytes, sizeof(bytes)), 11);
    close(reader);
    put(out, "to nobody");
    stasis_serial_sink_close(out);
    out = open_out(&options); /* a pipe that is there is taken */
    put(out, "again");
    stasis_serial_sink_close(out);
}

static void a_snapshot_is_no_sink(void **state)
{
    static const char magic[] = "\x89STASIS\nand the rest of it";
    struct stasis_serial_sink_options options = {.path = path};
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_int_equal(write(fd, magic, sizeof(magic)), sizeof(magic));
    close(fd);
    for (int i = 0; i < 4; i++) {
        options.kind = i & 1 ? STASIS_SERIAL_SINK_RING : STASIS_SERIAL_SINK_FILE;
        options.append = i & 2;
        assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "it is a snapshot"));
        file_holds(path, magic, sizeof(magic));
    }
}

static void pipe_refuses_another_file(void **state)
{
    struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_PIPE, .path = path};
    struct stasis_serial_sink *out = NULL;
    struct stasis_error err;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    assert_int_equal(stasis_serial_sink_open(&options, &out, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "not a pipe"));
    file_holds(path, "mine", 4);
}

int main(void)
{
#define FILE_TEST(name) cmocka_unit_test_teardown(name, remove_file)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_gives_its_rate_and_no_more),
        cmocka_unit_test(bucket_holds_one_second),
        FILE_TEST(drops_what_exceeds_the_rate),
        FILE_TEST(stdio_holds_back_while_the_reader_is_slow),
        FILE_TEST(stdio_leaves_the_shared_descriptor_alone),
        FILE_TEST(stdio_drops_what_nobody_will_offer_again),
        FILE_TEST(stdio_discards_when_its_reader_has_gone),
        FILE_TEST(stdio_discards_when_its_reader_was_never_there),
        FILE_TEST(stdio_works_on_a_socket),
        FILE_TEST(stdio_works_on_a_terminal),
        FILE_TEST(stdio_counts_a_full_disk_and_goes_on),
        FILE_TEST(drains_to_a_slow_reader_within_a_time),
        FILE_TEST(none_takes_everything),
        FILE_TEST(file_ends_at_its_limit),
        FILE_TEST(file_starts_empty_or_goes_on),
        FILE_TEST(file_survives_a_size_limit_of_the_process),
        FILE_TEST(refuses_what_is_not_a_regular_file),
        FILE_TEST(sink_that_is_not_started_changes_nothing),
        FILE_TEST(ring_holds_the_last_bytes),
        FILE_TEST(ring_goes_on_or_starts_anew),
        FILE_TEST(ring_believes_only_its_own_header),
        FILE_TEST(pipe_needs_no_reader),
        FILE_TEST(a_snapshot_is_no_sink),
        FILE_TEST(pipe_refuses_another_file),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
