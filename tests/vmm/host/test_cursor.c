/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cmd/say.h"
#include "vmm/host/serial_sink.h"

/* Makes the pipe standard output, and standard error too if it is shared. */
static void redirect(int fd, bool shared)
{
    dup2(fd, STDOUT_FILENO);
    if (shared)
        dup2(fd, STDERR_FILENO);
    close(fd);
}

static void guest_prints(struct stasis_serial_sink *sink, const char *text)
{
    if (stasis_serial_sink_write(sink, text, strlen(text)) != strlen(text))
        _exit(2);
}

/* The guest prints `before`; then two messages are said, the guest prints on, and a third comes. */
static void talk(const char *before)
{
    struct stasis_cursor cursor = {0};
    const struct stasis_serial_sink_options options = {.kind = STASIS_SERIAL_SINK_STDIO,
                                                       .cursor = &cursor};
    struct stasis_serial_sink *sink;

    if (stasis_serial_sink_open(&options, &sink, NULL) || stasis_serial_sink_start(sink, NULL))
        _exit(1);
    guest_prints(sink, before);
    stasis_say(stasis_cursor_leave_line(&cursor), "one");
    stasis_say_lines(stasis_cursor_leave_line(&cursor), "two\n");
    guest_prints(sink, "more");
    stasis_say(stasis_cursor_leave_line(&cursor), "three");
    stasis_serial_sink_close(sink);
    _exit(0);
}

static void check(const char *before, bool shared, const char *expected)
{
    char text[256];
    size_t len = 0;
    int status;
    int fds[2];
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        redirect(fds[1], shared);
        talk(before);
    }
    close(fds[1]);
    for (ssize_t n = 1; n > 0; len += (size_t)n) {
        n = read(fds[0], text + len, sizeof(text) - 1 - len);
        assert_true(n >= 0);
    }
    text[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_string_equal(text, expected);
}

static void message_begins_on_a_line_of_its_own(void **state)
{
    (void)state;
    check("tick", true, "tick\nvmm: one\ntwo\nmore\nvmm: three\n");
    check("50 %\r", true, "50 %\r\nvmm: one\ntwo\nmore\nvmm: three\n");
}

static void message_behind_a_whole_line_follows_it(void **state)
{
    (void)state;
    check("", true, "vmm: one\ntwo\nmore\nvmm: three\n");
    check("tick\n", true, "tick\nvmm: one\ntwo\nmore\nvmm: three\n");
    check("tick\r\n", true, "tick\r\nvmm: one\ntwo\nmore\nvmm: three\n");
    check("tick\n\r", true, "tick\n\rvmm: one\ntwo\nmore\nvmm: three\n");
}

static void output_elsewhere_is_left_alone(void **state)
{
    (void)state;
    check("tick", false, "tickmore");
}

/* Half a line of one guest is none of another's. */
static void each_guest_has_its_own(void **state)
{
    struct stasis_cursor one = {.shared = true};
    struct stasis_cursor two = {.shared = true};

    (void)state;
    stasis_cursor_printed(&one, (const uint8_t *)"tick", 4);
    assert_false(stasis_cursor_leave_line(&two));
    assert_true(stasis_cursor_leave_line(&one));
    assert_false(stasis_cursor_leave_line(&one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_begins_on_a_line_of_its_own),
        cmocka_unit_test(message_behind_a_whole_line_follows_it),
        cmocka_unit_test(output_elsewhere_is_left_alone),
        cmocka_unit_test(each_guest_has_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
