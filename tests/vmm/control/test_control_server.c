/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The server with methods of the test: "echo" answers its parameters, "later" is answered by the
 * test, "subscribe" subscribes, "fds" tells how many descriptors came, "fail" fails.
 */
#include "control_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct stasis_control_call *later;
static unsigned handled;

static void handle(void *ctx, struct stasis_control_call *call)
{
    const char *method = call->request.method;
    struct stasis_control_failure failure = {.err.code = STASIS_OK};

    (void)ctx;
    handled++;
    if (strcmp(method, "later") == 0) {
        later = call;
    } else if (strcmp(method, "echo") == 0) {
        stasis_control_call_finish(call, json_incref(call->request.params));
    } else if (strcmp(method, "fds") == 0) {
        stasis_control_call_finish(call, json_pack("{s:i}", "count", (int)call->fds.count));
    } else if (strcmp(method, "subscribe") == 0) {
        stasis_control_call_subscribe(call);
        stasis_control_call_finish(call, NULL);
    } else if (strcmp(method, "big") == 0) {
        char *text = malloc(60001);

        memset(text, 'x', 60000);
        text[60000] = '\0';
        stasis_control_call_finish(call, json_pack("{s:s}", "text", text));
        free(text);
    } else {
        (void)stasis_fail(&failure.err, STASIS_ERR_NOT_FOUND, "x: it is gone; take another");
        stasis_control_call_fail(call, &failure);
    }
}

static void open_server(struct rig *rig)
{
    const struct stasis_control_server_ops ops = {.handle = handle};

    rig_init(rig);
    handled = 0;
    assert_int_equal(stasis_control_server_open(rig->path, &ops, &rig->server, NULL), 0);
}

static void close_server(struct rig *rig)
{
    stasis_control_server_close(rig->server);
    rig_fini(rig);
}

#define ASK(id, method) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\"}\n"
#define TELL(method)    "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\"}\n"
#define DONE(id)        "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{}}"

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

/* Sends until the server does not read any more. */
static unsigned stuff(struct rig *rig, int fd)
{
    static const char line[] = ASK("1", "big");
    unsigned sent = 0;

    for (; sent < 100000; sent++) {
        if (send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)strlen(line))
            break;
        rig_pump(rig);
    }
    return sent;
}

static void a_client_that_reads_nothing_is_not_read_from(void **state)
{
    struct rig rig;
    unsigned before;
    int deaf;
    int fd;

    (void)state;
    open_server(&rig);
    deaf = rig_connect(&rig);
    fd = rig_connect(&rig);
    assert_true(stuff(&rig, deaf) < 100000);
    before = handled;
    rig_pump(&rig);
    assert_int_equal(handled, before);
    assert_true(handled < 16); /* 60 KB each */
    assert_string_equal(rig_ask(&rig, fd, ASK("1", "echo")), DONE("1"));
    /* It gets all once it reads. */
    for (unsigned i = 0; i < 100; i++)
        assert_non_null(strstr(rig_hear(&rig, deaf), "xxxx"));
    close(deaf);
    rig_pump(&rig);
    assert_string_equal(rig_ask(&rig, fd, ASK("2", "echo")), DONE("2"));
    close(fd);
    close_server(&rig);
}

static void events_go_to_subscribers_and_those_not_read_are_counted(void **state)
{
    enum { EVENTS = 20000 };
    struct rig rig;
    json_int_t expected = 0;
    json_int_t lost = 0;
    json_int_t number = 0;
    int fd;
    int other;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    other = rig_connect(&rig);
    assert_string_equal(rig_ask(&rig, other, ASK("1", "echo")), DONE("1"));
    stasis_control_server_event(rig.server, "tick", NULL); /* to nobody */
    assert_string_equal(rig_ask(&rig, fd, ASK("1", "subscribe")), DONE("1"));
    stasis_control_server_event(rig.server, "tick", NULL);
    assert_string_equal(rig_hear(&rig, fd), "{\"jsonrpc\":\"2.0\",\"method\":\"tick\"}");
    for (unsigned i = 0; i < EVENTS; i++)
        stasis_control_server_event(rig.server, "tick", json_pack("{s:i}", "number", (int)i));
    while (expected + lost < EVENTS) {
        json_t *event = rig_hear_json(&rig, fd);
        const char *name = json_string_value(json_object_get(event, "method"));

        if (strcmp(name, "dropped") == 0) {
            assert_int_equal(json_unpack(event, "{s:{s:I}}", "params", "count", &number), 0);
            lost += number;
        } else {
            assert_int_equal(json_unpack(event, "{s:{s:I}}", "params", "number", &number), 0);
            assert_int_equal(number, expected + lost);
            expected++;
        }
        json_decref(event);
    }
    assert_true(lost > 0);
    assert_true(expected > 1000);
    assert_null(rig_hear(&rig, other));
    stasis_control_server_event(rig.server, "tick", NULL);
    assert_non_null(strstr(rig_hear(&rig, fd), "tick"));
    close(fd);
    close(other);
    close_server(&rig);
}

static void a_client_that_goes_away_leaves_nothing(void **state)
{
    struct rig rig;
    unsigned fds;
    int fd;

    (void)state;
    open_server(&rig);
    fds = rig_open_fds();
    fd = rig_connect(&rig);
    rig_say(&rig, fd, ASK("1", "later") "half a li");
    close(fd);
    rig_pump(&rig);
    assert_int_equal(rig_open_fds(), fds);
    assert_null(later->client);
    stasis_control_call_finish(later, NULL);
    fd = rig_connect(&rig); /* one that subscribes and goes */
    rig_say(&rig, fd, ASK("1", "subscribe"));
    close(fd);
    for (unsigned i = 0; i < 3; i++)
        stasis_control_server_event(rig.server, "tick", NULL);
    rig_pump(&rig);
    assert_int_equal(rig_open_fds(), fds);
    assert_false(stasis_control_server_has_subscribers(rig.server));
    close_server(&rig);
}

static void a_client_that_ends_its_input_gets_its_answers(void **state)
{
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    rig_say(&rig, fd, ASK("1", "later") ASK("2", "echo"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_pump(&rig);
    assert_string_equal(rig_hear(&rig, fd), DONE("2"));
    assert_false(rig_closed(&rig, fd));
    stasis_control_call_finish(later, NULL);
    assert_string_equal(rig_hear(&rig, fd), DONE("1"));
    assert_true(rig_closed(&rig, fd));
    close(fd);

    fd = rig_connect(&rig); /* events go on */
    rig_say(&rig, fd, ASK("1", "subscribe"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_string_equal(rig_hear(&rig, fd), DONE("1"));
    stasis_control_server_event(rig.server, "tick", NULL);
    assert_non_null(strstr(rig_hear(&rig, fd), "tick"));
    close(fd);
    close_server(&rig);
}

static void descriptors_belong_to_the_line_that_they_came_with(void **state)
{
    static char line[60000];
    struct rig rig;
    unsigned fds;
    int three[3];
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    rig_pump(&rig);
    for (unsigned i = 0; i < 3; i++)
        three[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fds = rig_open_fds();
    rig_pass(&rig, fd, ASK("1", "fds"), three, 2);
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":2"));
    /* Several lines wait in the socket: each gets its own. */
    assert_int_equal(send(fd, ASK("1", "fds"), strlen(ASK("1", "fds")), 0),
                     strlen(ASK("1", "fds")));
    rig_pass(&rig, fd, ASK("2", "fds"), three, 1);
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":0"));
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":1"));
    /* A long line arrives in parts. */
    memset(line, ' ', sizeof(line) - 1);
    memcpy(line, ASK("1", "fds"), sizeof(ASK("1", "fds")) - 2);
    line[sizeof(line) - 2] = '\n';
    rig_pass(&rig, fd, line, three, 3);
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":3"));
    /* A line begun with descriptors, and ended before the next one with others. */
    rig_pass(&rig, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,", three, 2);
    assert_int_equal(send(fd, "\"method\":\"fds\"}\n", 16, 0), 16);
    rig_pass(&rig, fd, ASK("2", "fds"), three, 1);
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":2"));
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":1"));
    assert_int_equal(rig_open_fds(), fds);
    for (unsigned i = 0; i < 3; i++)
        close(three[i]);
    close(fd);
    close_server(&rig);
}

static void too_many_descriptors_are_closed_and_the_request_is_refused(void **state)
{
    struct rig rig;
    unsigned fds;
    char part[1000];
    int many[32];
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    rig_pump(&rig);
    for (unsigned i = 0; i < 32; i++)
        many[i] = 0;
    fds = rig_open_fds();
    rig_pass(&rig, fd, ASK("1", "fds"), many, 32);
    assert_non_null(
        strstr(rig_hear(&rig, fd), "not all descriptors of the request could be taken"));
    rig_pass(&rig, fd, TELL("fds"), many, 32);
    assert_null(rig_hear(&rig, fd));
    assert_int_equal(handled, 0);
    /* With a part of a line, more and more. */
    for (unsigned i = 0; i < 8; i++)
        rig_pass(&rig, fd, " ", many, 3);
    assert_int_equal(rig_open_fds(), fds + 3 + STASIS_CONTROL_FDS_MAX);
    assert_non_null(strstr(rig_ask(&rig, fd, ASK("1", "fds")), "not all descriptors"));
    /* With a line that is skipped. */
    memset(part, 'a', sizeof(part));
    for (unsigned i = 0; i < 66; i++)
        rig_send(&rig, fd, part, sizeof(part));
    rig_pass(&rig, fd, "aaa", many, 3);
    assert_non_null(strstr(rig_hear(&rig, fd), "more than 65535"));
    rig_pass(&rig, fd, "aaa\n" ASK("2", "fds"), many, 1);
    assert_non_null(strstr(rig_hear(&rig, fd), "\"count\":1"));
    assert_int_equal(rig_open_fds(), fds);
    /* A client that leaves a part of a line, and in a batch. */
    rig_pass(&rig, fd, "[1]\n", many, 1);
    assert_non_null(strstr(rig_hear(&rig, fd), "batches"));
    rig_pass(&rig, fd, "{", many, 2);
    close(fd);
    rig_pump(&rig);
    assert_int_equal(rig_open_fds(), fds - 2);
    close_server(&rig);
}

static void one_client_too_many_is_told_so(void **state)
{
    int fds[STASIS_CONTROL_CLIENTS_MAX + 1];
    struct rig rig;

    (void)state;
    open_server(&rig);
    for (unsigned i = 0; i <= STASIS_CONTROL_CLIENTS_MAX; i++)
        fds[i] = rig_connect(&rig);
    rig_pump(&rig);
    assert_non_null(strstr(rig_hear(&rig, fds[16]), "there are 16 clients already"));
    assert_true(rig_closed(&rig, fds[16]));
    close(fds[16]);
    close(fds[3]);
    rig_pump(&rig);
    fds[3] = rig_connect(&rig);
    for (unsigned i = 0; i < STASIS_CONTROL_CLIENTS_MAX; i++)
        assert_string_equal(rig_ask(&rig, fds[i], ASK("1", "echo")), DONE("1"));
    for (unsigned i = 0; i < STASIS_CONTROL_CLIENTS_MAX; i++)
        close(fds[i]);
    close_server(&rig);
}

/* The process has no descriptor left for it. */
static void a_client_that_cannot_be_accepted_is_turned_away(void **state)
{
    struct rlimit old;
    struct rlimit none = {.rlim_cur = 0};
    struct rig rig;
    int first;
    int fd;

    (void)state;
    open_server(&rig);
    first = rig_connect(&rig);
    fd = rig_connect(&rig);
    assert_string_equal(rig_ask(&rig, first, ASK("1", "echo")), DONE("1"));
    close(fd);
    rig_pump(&rig);
    fd = rig_connect(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none.rlim_max = old.rlim_max;
    while (none.rlim_cur < old.rlim_cur && fcntl((int)none.rlim_cur, F_GETFD) >= 0)
        none.rlim_cur++;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_true(rig_closed(&rig, fd));
    assert_string_equal(rig_ask(&rig, first, ASK("2", "echo")), DONE("2"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(fd);
    fd = rig_connect(&rig);
    assert_string_equal(rig_ask(&rig, fd, ASK("3", "echo")), DONE("3"));
    close(fd);
    close(first);
    close_server(&rig);
}

/* Nor one to turn it away with: it waits, and nobody else is kept busy. */
static void a_client_that_cannot_be_turned_away_waits(void **state)
{
    struct rlimit old;
    struct rlimit none;
    struct pollfd ready = {.events = POLLIN};
    struct rig rig;
    int first;
    int fd;

    (void)state;
    open_server(&rig);
    first = rig_connect(&rig);
    assert_string_equal(rig_ask(&rig, first, ASK("1", "echo")), DONE("1"));
    fd = rig_connect(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_string_equal(rig_ask(&rig, first, ASK("2", "echo")), DONE("2")); /* comes to rest */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    rig_say(&rig, fd, ASK("3", "echo"));
    ready.fd = stasis_control_server_fd(rig.server);
    for (const char *line = NULL; !line; line = rig_hear(&rig, fd)) {
        assert_int_equal(poll(&ready, 1, 60000), 1);
        rig_pump(&rig);
    }
    close(fd);
    close(first);
    close_server(&rig);
}

static void a_server_that_closes_sends_what_there_is(void **state)
{
    struct rig rig;
    int fd;

    (void)state;
    open_server(&rig);
    fd = rig_connect(&rig);
    rig_say(&rig, fd, ASK("1", "subscribe") ASK("2", "later"));
    stasis_control_server_event(rig.server, "ended", NULL);
    stasis_control_server_close(rig.server);
    rig_fini(&rig);
    rig_init(&rig);
    {
        char bytes[4096];
        ssize_t got = recv(fd, bytes, sizeof(bytes) - 1, MSG_WAITALL);

        assert_true(got > 0);
        bytes[got] = '\0';
        assert_non_null(strstr(bytes, "ended"));
    }
    close(fd);
    rig_fini(&rig);
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
        cmocka_unit_test(a_client_that_reads_nothing_is_not_read_from),
        cmocka_unit_test(events_go_to_subscribers_and_those_not_read_are_counted),
        cmocka_unit_test(a_client_that_goes_away_leaves_nothing),
        cmocka_unit_test(a_client_that_ends_its_input_gets_its_answers),
        cmocka_unit_test(descriptors_belong_to_the_line_that_they_came_with),
        cmocka_unit_test(too_many_descriptors_are_closed_and_the_request_is_refused),
        cmocka_unit_test(one_client_too_many_is_told_so),
        cmocka_unit_test(a_client_that_cannot_be_accepted_is_turned_away),
        cmocka_unit_test(a_client_that_cannot_be_turned_away_waits),
        cmocka_unit_test(a_server_that_closes_sends_what_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
