/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Messages of the control socket: lines, requests, answers, and their limits.
 */
#include "server_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void requests_are_answered_with_their_id(void **state)
{
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    assert_string_equal(rig_ask(&rig, fd, ASK("1", "echo")), DONE("1"));
    assert_string_equal(rig_ask(&rig, fd, ASK("\"a b\"", "echo")), DONE("\"a b\""));
    assert_string_equal(rig_ask(&rig, fd, ASK("-1.5", "echo")), DONE("-1.5"));
    assert_string_equal(rig_ask(&rig, fd, ASK("null", "echo")), DONE("null"));
    assert_string_equal(
        rig_ask(&rig, fd,
                "{\"params\":{\"a\":[1]},\"id\":2,\"method\":\"echo\",\"jsonrpc\":\"2.0\"}\r\n"),
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"a\":[1]}}");
    assert_string_equal(
        rig_ask(&rig, fd, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"echo\",\"params\":[]}\n"),
        DONE("3"));
    /* The same id twice: two requests. */
    rig_say(&rig, fd, ASK("7", "echo") ASK("7", "echo"));
    assert_string_equal(rig_hear(&rig, fd), DONE("7"));
    assert_string_equal(rig_hear(&rig, fd), DONE("7"));
    assert_null(rig_hear(&rig, fd));
    close(fd);
    close_server(&rig);
}

static void a_notification_is_handled_without_an_answer(void **state)
{
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    rig_say(&rig, fd, TELL("echo") TELL("fail") TELL("later"));
    stasis_control_call_finish(later, NULL);
    rig_pump(&rig);
    assert_null(rig_hear(&rig, fd));
    assert_int_equal(handled, 3);
    rig_say(&rig, fd, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":[1]}\n");
    assert_null(rig_hear(&rig, fd));
    assert_int_equal(handled, 3);
    /* What is no request may be one that is answered. */
    assert_non_null(strstr(rig_ask(&rig, fd, "{\"jsonrpc\":\"2.0\",\"method\":1}\n"), "null"));
    close(fd);
    close_server(&rig);
}

static void what_is_no_request_is_refused_by_the_codes_of_json_rpc(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *words;
    } cases[] = {
        {"\n", -32700, "no JSON"},
        {"nonsense\n", -32700, "no JSON"},
        {"{\"jsonrpc\":\"2.0\"\n", -32700, "no JSON"},
        {"{} {}\n", -32700, "no JSON"},
        {"{\"id\":1,\"id\":2}\n", -32700, "duplicate"},
        {"{\"id\":99999999999999999999}\n", -32700, "too big"},
        {"\"\\u0000\"\n", -32700, "no JSON"},
        {"\"\xff\"\n", -32700, "no JSON"},
        {"[]\n", -32600, "batches are not supported"},
        {"[" ASK("1", "echo"), -32700, "no JSON"},
        {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]\n", -32600, "batches"},
        {"1\n", -32600, "no object"},
        {"{}\n", -32600, "no JSON-RPC 2.0"},
        {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"echo\"}\n", -32600, "no JSON-RPC 2.0"},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}\n", -32600, "no JSON-RPC 2.0"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}\n", -32600, "no method"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}\n", -32600, "no method"},
        {"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"echo\"}\n", -32600, "the id is no string"},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}\n", -32600, "the id is no string"},
        {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"echo\"}\n", -32600, "the id is no string"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":1}\n", -32600, "params is"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[1]}\n", -32602,
         "parameters without names"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"parms\":{}}\n", -32600,
         "no member parms"},
    };
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        rig_assert_refused(&rig, fd, cases[i].line, cases[i].code, cases[i].words);
    assert_int_equal(handled, 0);
    /* The id is repeated where the message has one, and null where it has none. */
    assert_non_null(strstr(rig_ask(&rig, fd, "{\"id\":5}\n"), "\"id\":5,"));
    assert_non_null(strstr(rig_ask(&rig, fd, "{\"id\":[]}\n"), "\"id\":null,"));
    close(fd);
    close_server(&rig);
}

static void nesting_ends_at_a_limit(void **state)
{
    static char line[20002];
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    memset(line, '[', 10000);
    memset(line + 10000, ']', 10000);
    line[20000] = '\n';
    rig_assert_refused(&rig, fd, line, -32700, "nested more than 16 deep");
    /* Brackets in strings do not count, behind quotes and backslashes neither. */
    assert_non_null(strstr(rig_ask(&rig, fd,
                                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":"
                                   "{\"a\\\\\\\"\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}\n"),
                           "\"result\":{"));
    close(fd);
    close_server(&rig);
}

static void an_error_has_the_exit_status_a_name_and_a_remedy(void **state)
{
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    assert_string_equal(
        rig_ask(&rig, fd, ASK("1", "fail")),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":2,\"message\":\"not found\","
        "\"data\":{\"name\":\"NOT_FOUND\",\"message\":\"x: it is gone; take another\","
        "\"remedy\":\"take another\"}}}");
    close(fd);
    close_server(&rig);
}

static void a_remedy_is_one_for_clients(void **state)
{
    static const struct {
        struct stasis_error err;
        const char *remedy;
    } rows[] = {
        {{STASIS_ERR_CANCELLED, 0, "a.snap: cancelled"},
         "it was asked for; send the request again"},
        {{STASIS_ERR_STATE, 0, "cannot resume: it is running"}, "ask for the status"},
        {{STASIS_ERR_WRITE, EACCES, "a.snap: opening its folder: Permission denied"},
         "choose a folder that vmm may write to; with dir=FOLDER"},
        {{STASIS_ERR_WRITE, ENOSPC, "a.snap: no space"}, "make room or write elsewhere"},
        {{STASIS_ERR_STATE, 0, "cannot pause: it is being saved; wait"}, "wait"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct stasis_control_failure failure = {.err = rows[i].err};
        json_t *data = stasis_control_failure_data(&failure, false);
        const char *remedy = json_string_value(json_object_get(data, "remedy"));

        assert_non_null(remedy);
        assert_ptr_equal(strstr(remedy, rows[i].remedy), remedy);
        json_decref(data);
    }
}

static void a_line_may_come_byte_by_byte(void **state)
{
    static const char line[] = ASK("1", "echo");
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    for (size_t i = 0; i < strlen(line); i++) {
        assert_int_equal(handled, 0);
        rig_send(&rig, fd, line + i, 1);
    }
    assert_string_equal(rig_hear(&rig, fd), DONE("1"));
    close(fd);
    close_server(&rig);
}

/* The most memory that this process has had, in KiB. */
static long most_memory(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* A line of 1 GiB, of which the server keeps nothing. */
static void a_line_without_end_is_refused_once_and_skipped(void **state)
{
    enum { CHUNK = 1 << 16, CHUNKS = 1 << 14 };
    static char chunk[CHUNK + 1];
    long before;
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    memset(chunk, 'a', CHUNK);
    rig_assert_refused(&rig, fd, chunk, -32600, "more than 65535 bytes");
    before = most_memory();
    for (unsigned i = 0; i < CHUNKS; i++)
        rig_send(&rig, fd, chunk, CHUNK);
    assert_in_range(most_memory() - before, 0, 4096);
    assert_null(rig_hear(&rig, fd));
    assert_string_equal(rig_ask(&rig, fd, "\n" ASK("1", "echo")), DONE("1"));
    assert_null(rig_hear(&rig, fd));
    close(fd);
    close_server(&rig);
}

/* The longest line that is taken, and one byte more. */
static void the_limit_of_a_line_is_exact(void **state)
{
    static char line[STASIS_CONTROL_UNREAD_PAUSE + 2];
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}";
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    memset(line, ' ', sizeof(line));
    memcpy(line, request, sizeof(request) - 1);
    line[65535] = '\n';
    line[65536] = '\0';
    assert_string_equal(rig_ask(&rig, fd, line), DONE("1"));
    line[65535] = ' ';
    line[65536] = '\n';
    line[65537] = '\0';
    rig_assert_refused(&rig, fd, line, -32600, "more than 65535 bytes");
    assert_null(rig_hear(&rig, fd));
    assert_string_equal(rig_ask(&rig, fd, ASK("2", "echo")), DONE("2"));
    close(fd);
    close_server(&rig);
}

static void a_hundred_thousand_lines_at_once_are_all_answered(void **state)
{
    enum { LINES = 100000 };
    static const char line[] = ASK("1", "echo");
    struct rig rig;
    unsigned answers = 0;
    unsigned sent = 0;
    size_t at = 0;
    char bytes[65536];
    int fd;
    int other;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    other = rig_connect(&rig);
    while (answers < LINES) {
        ssize_t got;

        while (sent < LINES) {
            ssize_t n = send(fd, line + at, strlen(line) - at, MSG_DONTWAIT | MSG_NOSIGNAL);

            if (n < 0)
                break;
            at = (at + (size_t)n) % strlen(line);
            sent += at == 0;
        }
        rig_pump(&rig);
        got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        for (ssize_t i = 0; i < got; i++)
            answers += bytes[i] == '\n';
        if (answers % 1000 == 0)
            assert_string_equal(rig_ask(&rig, other, ASK("2", "echo")), DONE("2"));
    }
    assert_int_equal(handled >= LINES, 1);
    assert_null(rig_hear(&rig, fd));
    close(fd);
    close(other);
    close_server(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_with_their_id),
        cmocka_unit_test(a_notification_is_handled_without_an_answer),
        cmocka_unit_test(what_is_no_request_is_refused_by_the_codes_of_json_rpc),
        cmocka_unit_test(nesting_ends_at_a_limit),
        cmocka_unit_test(an_error_has_the_exit_status_a_name_and_a_remedy),
        cmocka_unit_test(a_remedy_is_one_for_clients),
        cmocka_unit_test(a_line_may_come_byte_by_byte),
        cmocka_unit_test(a_line_without_end_is_refused_once_and_skipped),
        cmocka_unit_test(the_limit_of_a_line_is_exact),
        cmocka_unit_test(a_hundred_thousand_lines_at_once_are_all_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
