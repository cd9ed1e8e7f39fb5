/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The client's side: requests from words, and servers that lie.
 */
#include "control_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/control/remote.h"
#include "vmm/control/socket.h"
#include "vmm/host/socket.h"

#define WORDS(...) ((char *[]){__VA_ARGS__})

static struct stasis_control_words parse(int count, char *const *words)
{
    struct stasis_control_words parsed;
    struct stasis_error err;

    if (stasis_control_words_parse(count, words, &parsed, &err))
        fail_msg("%s", err.msg);
    return parsed;
}

static void a_path_becomes_a_folder_and_a_name(void **state)
{
    struct stasis_control_words words;
    struct stat folder;
    struct stat expected;

    (void)state;
    words = parse(3, WORDS("snapshot", "path=/tmp/x.snap", "then=exit"));
    assert_int_equal(fstat(words.folder_fd, &folder), 0);
    assert_int_equal(stat("/tmp", &expected), 0);
    assert_int_equal(folder.st_ino, expected.st_ino);
    assert_string_equal(json_string_value(json_object_get(words.params, "name")), "x.snap");
    assert_string_equal(json_string_value(json_object_get(words.params, "then")), "exit");
    assert_int_equal(json_object_size(words.params), 2);
    stasis_control_words_fini(&words);

    words = parse(2, WORDS("snapshot", "path=/x.snap"));
    assert_int_equal(fstat(words.folder_fd, &folder), 0);
    assert_int_equal(stat("/", &expected), 0);
    assert_int_equal(folder.st_ino, expected.st_ino);
    stasis_control_words_fini(&words);

    words = parse(2, WORDS("snapshot", "path=x.snap"));
    assert_int_equal(fstat(words.folder_fd, &folder), 0);
    assert_int_equal(stat(".", &expected), 0);
    assert_int_equal(folder.st_ino, expected.st_ino);
    stasis_control_words_fini(&words);

    words = parse(2, WORDS("snapshot", "name=x.snap"));
    assert_int_equal(words.folder_fd, -1);
    stasis_control_words_fini(&words);
}

static void words_that_are_wrong_are_named(void **state)
{
    static char long_path[600];
    static const struct {
        int count;
        char *words[3];
        int code;
        const char *message;
    } cases[] = {
        {1, {"frobnicate"}, STASIS_ERR_ARG, "frobnicate is no method; known: version, status"},
        {2, {"pause", "now"}, STASIS_ERR_ARG, "now is not key=value"},
        {2, {"pause", "now=1"}, STASIS_ERR_ARG, "pause has no parameter now"},
        {2, {"pause", "=1"}, STASIS_ERR_ARG, "pause has no parameter"},
        {3, {"snapshot", "name=a", "name=b"}, STASIS_ERR_ARG, "name is given twice"},
        {3, {"snapshot", "path=a", "name=b"}, STASIS_ERR_ARG, "name is given twice"},
        {3, {"snapshot", "name=a", "path=b"}, STASIS_ERR_ARG, "name is given twice"},
        {3, {"snapshot", "path=a", "path=b"}, STASIS_ERR_ARG, "name is given twice"},
        {2, {"snapshot", "path=/tmp/"}, STASIS_ERR_ARG, "name is empty"},
        {2, {"snapshot", "name=\xff"}, STASIS_ERR_ARG, "name: the value is not UTF-8"},
        {2, {"snapshot", "then=never"}, STASIS_ERR_ARG, "give then=resume|exit"},
        {2,
         {"snapshot", "path=/tmp/stasis-no-such-folder/x"},
         STASIS_ERR_NOT_FOUND,
         "path=/tmp/stasis-no-such-folder/x: cannot open its folder"},
        {2, {"snapshot", "path=/proc/self/exe/x"}, STASIS_ERR_NOT_FOUND, "cannot open its folder"},
        {2, {"snapshot", long_path}, STASIS_ERR_IO, "cannot open its folder"},
    };
    unsigned fds = rig_open_fds();

    (void)state;
    snprintf(long_path, sizeof(long_path), "path=%0590d/x", 0); /* too long for a name */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_control_words words;
        struct stasis_error err;

        assert_int_equal(stasis_control_words_parse(cases[i].count, cases[i].words, &words, &err),
                         cases[i].code);
        if (!strstr(err.msg, cases[i].message))
            fail_msg("\"%s\" is not in \"%s\"", cases[i].message, err.msg);
    }
    assert_int_equal(rig_open_fds(), fds);
}

/* What the client makes of a server that sends this and closes. */
static int answer_of(const char *sent, size_t len, json_t **ret_result, int *ret_status,
                     struct stasis_error *err)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    struct stasis_control_words words = parse(1, WORDS("status"));
    struct stasis_control_remote remote;
    struct rig rig;
    pid_t child;
    int fd;
    int rc;

    rig_init(&rig);
    assert_int_equal(stasis_socket_listen(&sock, rig.path, NULL), 0);
    assert_int_equal(stasis_control_remote_open(&remote, rig.path, &words, NULL), 0);
    fd = accept(sock.fd, NULL, NULL);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        close(remote.fd);
        while (len) {
            ssize_t n = send(fd, sent, len, MSG_NOSIGNAL);

            if (n <= 0)
                break;
            sent += n;
            len -= (size_t)n;
        }
        _exit(0);
    }
    close(fd);
    rc = stasis_control_remote_answer(&remote, ret_result, ret_status, err);
    stasis_control_remote_close(&remote);
    assert_int_equal(waitpid(child, NULL, 0), child);
    stasis_control_words_fini(&words);
    stasis_socket_close(&sock);
    rig_fini(&rig);
    return rc;
}

static void a_server_that_lies_is_found_out(void **state)
{
    static const struct {
        const char *sent;
        const char *message;
    } cases[] = {
        {"", "closed the connection without an answer"},
        {"half a line", "closed the connection without an answer"},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "the server sends no JSON"},
        {"[]\n", "the server sends no object"},
        {"{}\n", "answers a request that was not sent"},
        {"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n", "answers a request that was not sent"},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}\n",
         "answers a request that was not sent"},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}\n",
         "answers a request that was not sent"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}\n", "answers without a result"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":7}\n", "answers without a result"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}\n", "sends an error without a message"},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n", "closed the connection without an answer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_error err;
        json_t *result = NULL;
        int status = 0;

        assert_int_equal(answer_of(cases[i].sent, strlen(cases[i].sent), &result, &status, &err),
                         STASIS_ERR_IO);
        assert_int_equal(status, 1);
        assert_null(result);
        if (!strstr(err.msg, cases[i].message))
            fail_msg("\"%s\" is not in \"%s\"", cases[i].message, err.msg);
    }
}

static void a_line_without_end_is_given_up(void **state)
{
    enum { LEN = STASIS_CONTROL_ANSWER_MAX + 4096 };
    char *line = malloc(LEN);
    struct stasis_error err;
    json_t *result = NULL;
    int status = 0;

    (void)state;
    memset(line, ' ', LEN);
    assert_int_equal(answer_of(line, LEN, &result, &status, &err), STASIS_ERR_IO);
    assert_non_null(strstr(err.msg, "a line without end"));
    free(line);
}

static void answers_and_errors_are_taken(void **state)
{
    static const struct {
        const char *code;
        int status;
    } cases[] = {{"7", 7}, {"-32602", 2}, {"0", 1}, {"4000000000", 1}, {"\"x\"", 1}};
    static const char good[] = "{\"method\":\"early\"}\n{\"id\":1,\"result\":{\"a\":2}}\n";
    static const char brief[] = "{\"id\":1,\"error\":{\"code\":3,\"message\":\"short\"}}\n";
    struct stasis_error err;
    json_t *result = NULL;
    int status = 0;

    (void)state;
    assert_int_equal(answer_of(good, strlen(good), &result, &status, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "a")), 2);
    json_decref(result);
    result = NULL;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[256];

        snprintf(
            line, sizeof(line),
            "{\"id\":null,\"error\":{\"code\":%s,\"message\":\"m\",\"data\":{\"message\":\"long "
            "m\"}}}\n",
            cases[i].code);
        assert_true(answer_of(line, strlen(line), &result, &status, &err) < 0);
        assert_int_equal(status, cases[i].status);
        assert_string_equal(err.msg, "long m");
    }
    assert_true(answer_of(brief, strlen(brief), &result, &status, &err) < 0);
    assert_string_equal(err.msg, "short");
}

static void a_remedy_is_told_once(void **state)
{
    static const struct {
        const char *message, *remedy, *expected;
    } cases[] = {
        {"m; wait", "wait", "m; wait"}, {"m", "free memory", "m; free memory"}, {"m", "", "m"}};
    struct stasis_error err;
    json_t *result = NULL;
    int status = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[256];

        snprintf(
            line, sizeof(line),
            "{\"id\":1,\"error\":{\"code\":1,\"data\":{\"message\":\"%s\",\"remedy\":\"%s\"}}}\n",
            cases[i].message, cases[i].remedy);
        assert_true(answer_of(line, strlen(line), &result, &status, &err) < 0);
        assert_string_equal(err.msg, cases[i].expected);
    }
}

/* The server at which the next request comes late, and what it said before. */
static int turning_away = -1;
static const char *last_words;

/* In place of libc's. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (turning_away >= 0) {
        int client = accept(turning_away, NULL, NULL);

        assert_int_equal(write(client, last_words, strlen(last_words)), strlen(last_words));
        close(client);
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}

static void a_server_that_has_no_room_can_say_so(void **state)
{
    static const char *const said[] = {
        "{\"id\":null,\"error\":{\"code\":1,\"message\":\"there are 16 clients\"}}\n", ""};
    static const char *const expected[] = {"there are 16 clients", "cannot send the request: "};
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    struct stasis_control_words words = parse(1, WORDS("status"));
    struct rig rig;

    (void)state;
    rig_init(&rig);
    assert_int_equal(stasis_socket_listen(&sock, rig.path, NULL), 0);
    turning_away = sock.fd;
    for (unsigned i = 0; i < 2; i++) {
        struct stasis_control_remote remote;
        struct stasis_error err;
        json_t *result = NULL;
        int status;

        last_words = said[i];
        assert_int_equal(stasis_control_remote_open(&remote, rig.path, &words, &err), 0);
        assert_int_equal(stasis_control_remote_answer(&remote, &result, &status, &err),
                         STASIS_ERR_IO);
        assert_memory_equal(err.msg, expected[i], strlen(expected[i]));
        stasis_control_remote_close(&remote);
    }
    turning_away = -1;
    stasis_control_words_fini(&words);
    stasis_socket_close(&sock);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_becomes_a_folder_and_a_name),
        cmocka_unit_test(words_that_are_wrong_are_named),
        cmocka_unit_test(a_server_that_lies_is_found_out),
        cmocka_unit_test(a_line_without_end_is_given_up),
        cmocka_unit_test(answers_and_errors_are_taken),
        cmocka_unit_test(a_remedy_is_told_once),
        cmocka_unit_test(a_server_that_has_no_room_can_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
