/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Clients of the control socket: those that do not read, come and go, send descriptors, and are
 * too many.
 */
#include "server_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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
