/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/host/log.h"

#define ROOM (1 << 22)

static struct stasis_error err;
static struct stasis_log *log_;
static int reader, writer;
static char *got; /* what has come so far */
static size_t got_len;

static void open_log(enum stasis_log_level level, bool no_time)
{
    const struct stasis_log_options options = {.level = level, .fd = writer, .no_time = no_time};

    assert_int_equal(stasis_log_open(&options, &log_, &err), 0);
}

static int set_up(void **state)
{
    int fds[2];

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    got = calloc(1, ROOM);
    got_len = 0;
    if (!got || pipe(fds))
        return -1;
    reader = fds[0];
    writer = fds[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_log_close(log_);
    log_ = NULL;
    close(reader);
    close(writer);
    free(got);
    return 0;
}

/* Reads what is there. */
static const char *take(void)
{
    struct pollfd ready = {.fd = reader, .events = POLLIN};

    while (poll(&ready, 1, 0) == 1 && ready.revents & POLLIN) {
        ssize_t n = read(reader, got + got_len, ROOM - 1 - got_len);

        if (n <= 0)
            break;
        got_len += (size_t)n;
    }
    return got;
}

static void lines_have_time_and_level(void **state)
{
    regex_t form;

    (void)state;
    open_log(STASIS_LOG_DEBUG, false);
    stasis_log_put(log_, STASIS_LOG_ERROR, "it %s", "broke");
    stasis_log_put(log_, STASIS_LOG_DEBUG, "so what");
    assert_int_equal(
        regcomp(&form,
                "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6}Z "
                "error: it broke\n20[0-9T:.-]{24}Z debug: so what\n$",
                REG_EXTENDED | REG_NOSUB),
        0);
    assert_int_equal(regexec(&form, take(), 0, NULL, 0), 0);
    regfree(&form);
}

static void times_are_utc(void **state)
{
    char hour[16];
    time_t before = time(NULL), after;
    struct tm utc;

    (void)state;
    assert_int_equal(setenv("TZ", "XYZ-5:30", 1), 0);
    tzset();
    open_log(STASIS_LOG_INFO, false);
    stasis_log_put(log_, STASIS_LOG_INFO, "now");
    after = time(NULL);
    unsetenv("TZ");
    tzset();
    take();
    if (before / 3600 != after / 3600) /* a new hour has begun */
        return;
    assert_non_null(gmtime_r(&after, &utc));
    assert_true(strftime(hour, sizeof(hour), "%Y-%m-%dT%H", &utc) > 0);
    assert_memory_equal(got, hour, strlen(hour));
}

static void less_important_lines_are_left_out(void **state)
{
    struct stasis_log_stats stats;

    (void)state;
    stasis_log_put(NULL, STASIS_LOG_ERROR, "nobody listens");
    stasis_log_stats(NULL, &stats);
    assert_int_equal(stats.lines, 0);
    open_log(STASIS_LOG_WARN, true);
    stasis_log_put(log_, STASIS_LOG_ERROR, "1");
    stasis_log_put(log_, STASIS_LOG_WARN, "2");
    stasis_log_put(log_, STASIS_LOG_INFO, "3");
    stasis_log_put(log_, STASIS_LOG_DEBUG, "4");
    assert_string_equal(take(), "error: 1\nwarn: 2\n");
    stasis_log_stats(log_, &stats);
    assert_int_equal(stats.lines, 2);
    assert_int_equal(stats.dropped, 0);
}

/* A name in a message must not make a second line. */
static void a_line_stays_one_line(void **state)
{
    (void)state;
    open_log(STASIS_LOG_INFO, true);
    stasis_log_put(log_, STASIS_LOG_INFO, "a\nerror: b\033[2J");
    assert_string_equal(take(), "info: a\\x0aerror: b\\x1b[2J\n");
}

/* Puts numbered lines until so many were dropped. Returns how many there were. */
static unsigned fill(unsigned drops)
{
    struct stasis_log_stats stats = {.dropped = 0};
    unsigned count = 0;

    while (stats.dropped < drops) {
        stasis_log_put(log_, STASIS_LOG_INFO, "line %u", count++);
        stasis_log_stats(log_, &stats);
    }
    return count;
}

/* What was read: lines from 0 on without a gap, then that 3 are missing, then one more. */
static void assert_three_missing(unsigned count)
{
    const char *at = take();
    char line[64];

    for (unsigned i = 0; i < count - 3; i++) {
        int len = snprintf(line, sizeof(line), "info: line %u\n", i);

        assert_memory_equal(at, line, (size_t)len);
        at += len;
    }
    assert_string_equal(at, "warn: 3 lines were dropped\ninfo: again\n");
}

static void a_full_pipe_drops_and_tells(void **state)
{
    unsigned count;

    (void)state;
    open_log(STASIS_LOG_INFO, true);
    assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, 0); /* as it was */
    count = fill(3);
    take();
    stasis_log_put(log_, STASIS_LOG_INFO, "again");
    assert_three_missing(count);
}

static void a_full_socket_drops_and_tells(void **state)
{
    int fds[2];
    unsigned count;

    (void)state;
    close(reader);
    close(writer);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    reader = fds[0];
    writer = fds[1];
    open_log(STASIS_LOG_INFO, true);
    count = fill(3);
    take();
    stasis_log_put(log_, STASIS_LOG_INFO, "again");
    assert_three_missing(count);
}

/* A pipe takes lines that are longer than a page in parts: the rest comes before the next line. */
static void a_line_that_was_begun_is_finished(void **state)
{
    static const char end[] = "\\x01\ninfo: again\n";
    char line[1200], shown[4 * sizeof(line)] = "\ninfo: ", page[4096];
    struct stasis_log_stats stats;

    (void)state;
    open_log(STASIS_LOG_INFO, true);
    fill(1);
    assert_int_equal(read(reader, page, sizeof(page)), sizeof(page)); /* room for a part of it */
    memset(line, 1, sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    for (size_t i = 0; i < 1000; i++)
        snprintf(shown + strlen("\ninfo: ") + 4 * i, 5, "\\x01");
    stasis_log_put(log_, STASIS_LOG_INFO, "%s", line);
    stasis_log_stats(log_, &stats);
    assert_int_equal(stats.dropped, 1);
    take();
    assert_int_not_equal(got[got_len - 1], '\n');
    stasis_log_put(log_, STASIS_LOG_INFO, "again");
    take();
    assert_non_null(strstr(got, shown));
    assert_string_equal(got + got_len - strlen(end), end);
}

/* What it did not take before is told at the end, if it takes it then. */
static void the_end_tells_what_was_dropped(void **state)
{
    static const char last[] = "\nwarn: 2 lines were dropped\n";

    (void)state;
    open_log(STASIS_LOG_INFO, true);
    fill(2);
    take();
    stasis_log_close(log_);
    log_ = NULL;
    take();
    assert_string_equal(got + got_len - strlen(last), last);
}

static void a_reader_that_went_away_is_nobodys_death(void **state)
{
    struct stasis_log_stats stats;

    (void)state;
    open_log(STASIS_LOG_INFO, true);
    close(reader);
    for (int i = 0; i < 10; i++)
        stasis_log_put(log_, STASIS_LOG_INFO, "hello");
    reader = dup(writer);
    stasis_log_stats(log_, &stats);
    assert_int_equal(stats.dropped, 10);
}

static void a_line_leaves_that_of_the_guest(void **state)
{
    struct stasis_cursor cursor = {.shared = true};
    const struct stasis_log_options options = {
        .level = STASIS_LOG_INFO, .fd = writer, .no_time = true, .cursor = &cursor};

    (void)state;
    assert_int_equal(stasis_log_open(&options, &log_, &err), 0);
    stasis_cursor_printed(&cursor, (const uint8_t *)"half", 4);
    stasis_log_put(log_, STASIS_LOG_INFO, "1");
    stasis_log_put(log_, STASIS_LOG_INFO, "2");
    assert_string_equal(take(), "\ninfo: 1\ninfo: 2\n");
}

static void descriptors_that_take_nothing_are_refused(void **state)
{
    struct stasis_log_options options = {.level = STASIS_LOG_INFO, .fd = reader};

    (void)state;
    assert_int_equal(stasis_log_open(&options, &log_, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "is not open for writing"));
    options.fd = 999;
    assert_int_equal(stasis_log_open(&options, &log_, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg,
                        "descriptor 999 is not open for writing; open it in the shell, for "
                        "example by 999>FILE");
    options.fd = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(stasis_log_open(&options, &log_, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "is of a kind that cannot be written to; pass a file, a pipe"));
    close(options.fd);
    assert_null(log_);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lines_have_time_and_level),
        CASE(times_are_utc),
        CASE(less_important_lines_are_left_out),
        CASE(a_line_stays_one_line),
        CASE(a_full_pipe_drops_and_tells),
        CASE(a_full_socket_drops_and_tells),
        CASE(a_line_that_was_begun_is_finished),
        CASE(the_end_tells_what_was_dropped),
        CASE(a_reader_that_went_away_is_nobodys_death),
        CASE(a_line_leaves_that_of_the_guest),
        CASE(descriptors_that_take_nothing_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
