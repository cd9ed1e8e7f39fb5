/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The program `vmm ctl`, which lies beside the test program, with a machine of the test.
 */
#include "ctl_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/control/control_internal.h"
#include "vmm/control/socket.h"
#include "vmm/host/socket.h"

static pid_t start(const char *const *args, int out, int err)
{
    char path[512];
    pid_t child;

    run_find_vmm(path);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(path, (char *const *)(uintptr_t)args);
        _exit(127);
    }
    return child;
}

/* Serves until the program has closed both outputs. */
static void serve(struct run *run, const int fds[2])
{
    struct pollfd polls[3] = {
        {.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}, {.events = POLLIN}};

    while (polls[0].fd >= 0 || polls[1].fd >= 0) {
        polls[2].fd = run->rig.control ? stasis_control_fd(run->rig.control) : -1;
        assert_true(poll(polls, 3, 60000) > 0);
        if (polls[2].fd >= 0 && polls[2].revents)
            stasis_control_dispatch(run->rig.control);
        if (run->act)
            run->act(run);
        for (unsigned i = 0; i < 2; i++) {
            ssize_t got;

            if (polls[i].fd < 0 || !polls[i].revents)
                continue;
            got = read(polls[i].fd, run->text[i] + run->len[i],
                       sizeof(run->text[i]) - 1 - run->len[i]);
            if (got <= 0)
                polls[i].fd = -1;
            else
                run->len[i] += (size_t)got;
        }
    }
}

/* Runs vmm and returns its exit status. `meanwhile` gets the output of the running program. */
static int play(struct run *run, bool terminal, const char *const *args,
                void (*meanwhile)(struct run *run, int out))
{
    int out[2];
    int err[2];
    int status;
    pid_t child;

    memset(run->text, 0, sizeof(run->text));
    run->len[0] = run->len[1] = 0;
    if (terminal)
        assert_int_equal(openpty(&out[0], &out[1], NULL, NULL, NULL), 0);
    else
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    fcntl(out[0], F_SETFD, FD_CLOEXEC);
    child = start(args, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    if (meanwhile)
        meanwhile(run, out[0]);
    serve(run, (const int[]){out[0], err[0]});
    close(out[0]);
    close(err[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Runs `vmm ctl SOCK words...` and returns its exit status. */
static int ctl(struct run *run, bool terminal, const char *const *words)
{
    const char *args[12] = {"vmm", "ctl", run->rig.path};

    for (unsigned i = 0; words[i]; i++)
        args[3 + i] = words[i];
    return play(run, terminal, args, NULL);
}

#define CTL(run, ...)   ctl(run, false, (const char *const[]){__VA_ARGS__, NULL})
#define TYPED(run, ...) ctl(run, true, (const char *const[]){__VA_ARGS__, NULL})

static void it_prints_json_into_a_pipe_and_text_on_a_terminal(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    assert_int_equal(CTL(&run, "status"), 0);
    assert_string_equal(run.text[0], "{\"state\":\"running\",\"paused\":false,\"generation\":3,"
                                     "\"saved_bytes\":0,\"total_bytes\":0}\n");
    assert_string_equal(run.text[1], "");
    assert_int_equal(TYPED(&run, "status"), 0);
    assert_string_equal(run.text[0], "state: running\r\npaused: false\r\ngeneration: 3\r\n"
                                     "saved_bytes: 0\r\ntotal_bytes: 0\r\n");
    assert_int_equal(CTL(&run, "pause"), 0);
    assert_string_equal(run.text[0], "{}\n");
    assert_int_equal(TYPED(&run, "resume"), 0);
    assert_string_equal(run.text[0], "");
    run_end(&run);
}

static void it_ends_with_the_status_of_the_method(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    run.vm.refuse = STASIS_ERR_TIMEOUT;
    assert_int_equal(CTL(&run, "pause"), 7);
    assert_string_equal(run.text[0], "");
    assert_string_equal(run.text[1], "vmm: the machine refuses; set --snapshot-out\n");
    assert_int_equal(CTL(&run, "resume"), 2);
    assert_string_equal(run.text[1], "vmm: cannot resume: the guest runs; pause stops it\n");
    assert_int_equal(CTL(&run, "snapshot", "name=x"), 2); /* there is no folder */
    assert_int_equal(CTL(&run, "fly"), 2);
    assert_non_null(strstr(run.text[1], "vmm: fly is no method; known: version,"));
    run_end(&run);
}

static void openmetrics_are_printed_as_they_are(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    assert_int_equal(CTL(&run, "metrics", "format=json"), 0);
    assert_string_equal(run.text[0], "{\"exits\":9223372036854775807}\n");
    assert_int_equal(CTL(&run, "metrics", "format=openmetrics"), 0);
    assert_string_equal(run.text[0], "# TYPE stasis_exits counter\nstasis_exits_total 7\n# EOF\n");
    assert_int_equal(TYPED(&run, "metrics", "format=openmetrics"), 0);
    assert_string_equal(run.text[0],
                        "# TYPE stasis_exits counter\r\nstasis_exits_total 7\r\n# EOF\r\n");
    run_end(&run);
}

static void end_snapshot(struct run *run)
{
    if (run->vm.state == STASIS_VMM_IS_SAVING)
        fake_vm_end_snapshot(&run->vm, 0);
}

static void it_opens_the_folder_of_a_snapshot(void **state)
{
    struct run run;
    char path[128];

    (void)state;
    run_begin(&run);
    run.act = end_snapshot;
    snprintf(path, sizeof(path), "path=%s/x.snap", run.rig.folder);
    assert_int_equal(CTL(&run, "snapshot", path, "compress=zlib"), 0);
    assert_true(run.vm.folder_ino_matches);
    assert_string_equal(run.vm.path, "x.snap");
    assert_int_equal(run.vm.request.save.zlib_level, 1);
    assert_non_null(strstr(run.text[0], "\"file_bytes\":70"));
    run_end(&run);
}

/* Pauses, resumes and ends when the client has subscribed. */
static void live(struct run *run)
{
    struct stasis_error err;

    if (!run->rig.control || !stasis_control_server_has_subscribers(run->rig.control->server))
        return;
    if (run->vm.state == STASIS_VMM_RUNNING) {
        assert_int_equal(fake_vm_ops.pause(&run->vm, &err), 0);
    } else {
        fake_vm_end(&run->vm, STASIS_VMM_QUIT);
        stasis_control_close(run->rig.control);
        run->rig.control = NULL;
    }
}

static void it_prints_events_until_the_end(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    run.act = live;
    assert_int_equal(CTL(&run, "subscribe"), 0);
    assert_string_equal(
        run.text[0],
        "{\"jsonrpc\":\"2.0\",\"method\":\"paused\"}\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"ended\",\"params\":{\"reason\":\"quit\"}}\n");
    run_end(&run);
    run_begin(&run);
    run.act = live;
    assert_int_equal(TYPED(&run, "subscribe"), 0);
    assert_string_equal(run.text[0], "paused: \r\nended: {\"reason\":\"quit\"}\r\n");
    run_end(&run);
}

/* Puts in place of the server one that sends this to its first client. */
static void lie(struct run *run, const char *sent)
{
    struct stasis_socket sock = STASIS_SOCKET_NONE;
    char request[4096];
    int fd;

    if (run->rig.control)
        stasis_control_close(run->rig.control);
    run->rig.control = NULL;
    assert_int_equal(stasis_socket_listen(&sock, run->rig.path, NULL), 0);
    assert_int_equal(fcntl(sock.fd, F_SETFL, 0), 0);
    run->liar = fork();
    assert_true(run->liar >= 0);
    if (!run->liar) {
        fd = accept(sock.fd, NULL, NULL);
        (void)!recv(fd, request, sizeof(request), 0);
        (void)!send(fd, sent, strlen(sent), MSG_NOSIGNAL);
        _exit(0);
    }
    close(sock.fd);
    close(sock.dir);
}

static void end_lie(struct run *run)
{
    assert_int_equal(waitpid(run->liar, NULL, 0), run->liar);
    assert_int_equal(unlink(run->rig.path), 0);
}

static void what_a_terminal_must_not_get_is_escaped(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    lie(&run, "{\"id\":1,\"result\":{\"\\u001b]a\":\"\\u001b]b\",\"\\u001b]c\":[\"\\u009b\"]}}\n");
    assert_int_equal(TYPED(&run, "status"), 0);
    assert_string_equal(run.text[0],
                        "\\x1b]a: \\x1b]b\r\n\\x1b]c: \r\n[\r\n  \"\\u009B\"\r\n]\r\n");
    end_lie(&run);
    lie(&run, "{\"id\":1,\"result\":{}}\n{\"a\":\"\xc2\x9b\"}\n{\"method\":\"\xc2\x9b\"}\n");
    assert_int_equal(TYPED(&run, "subscribe"), 0);
    assert_string_equal(run.text[0], "?: {\"a\":\"\\u009B\"}\r\n\\xc2\\x9b: \r\n");
    end_lie(&run);
    lie(&run, "{\"id\":1,\"result\":{\"text\":\"a\\u001b]\\u009b\\n\"}}\n");
    assert_int_equal(TYPED(&run, "metrics", "format=openmetrics"), 0);
    assert_string_equal(run.text[0], "a\\x1b]\\xc2\\x9b\r\n");
    end_lie(&run);
    run_end(&run);
}

static void without_a_server_it_says_so(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    stasis_control_close(run.rig.control);
    run.rig.control = NULL;
    assert_int_equal(CTL(&run, "status"), 2);
    assert_non_null(strstr(run.text[1], "there is no such socket; start the VM with --control"));
    assert_string_equal(strchr(run.text[1], '\n'), "\n");
    rig_fini(&run.rig);
}

/* Nothing comes of a program that waits; one that does not has ended by then. */
static void serve_late(struct run *run, int out)
{
    const struct stasis_control_config config = {.path = run->rig.path};

    assert_int_equal(poll(&(struct pollfd){.fd = out, .events = POLLIN}, 1, 300), 0);
    assert_int_equal(stasis_control_open(&config, &fake_vm_ops, &run->rig.control, NULL), 0);
    stasis_control_set_ctx(run->rig.control, &run->vm);
}

static void with_wait_it_waits_for_a_server(void **state)
{
    struct run run;
    const char *args[] = {"vmm", "ctl", "--wait", run.rig.path, "status", NULL};

    (void)state;
    run_begin(&run);
    stasis_control_close(run.rig.control);
    run.rig.control = NULL;
    assert_int_equal(play(&run, false, args, serve_late), 0);
    assert_non_null(strstr(run.text[0], "\"state\":\"running\""));
    assert_string_equal(run.text[1], "");
    run_end(&run);
}

static void help_lists_the_methods(void **state)
{
    const char *none[] = {NULL};
    struct run run;

    (void)state;
    run_begin(&run);
    memcpy(run.rig.path, "--help", sizeof("--help"));
    assert_int_equal(ctl(&run, false, none), 0);
    assert_non_null(strstr(run.text[0], "  snapshot [path=FILE] [name=NAME]"));
    assert_non_null(strstr(run.text[0], "  quit\n"));
    assert_null(strchr(run.text[0], '*')); /* the marks of a manual */
    for (const char *line = run.text[0]; line; line = strchr(line + 1, '\n'))
        assert_true(strncmp(line + 1, "      ", 6) != 0 || strcspn(line + 1, "\n") <= 86);
    memcpy(run.rig.path, "sock", sizeof("sock"));
    assert_int_equal(ctl(&run, false, (const char *[]){"help", NULL}), 0);
    assert_non_null(strstr(run.text[0], "\n  quit\n"));
    assert_int_equal(ctl(&run, false, none), 2);
    assert_non_null(strstr(run.text[1], "vmm: ctl needs a socket and a method"));
    run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_prints_json_into_a_pipe_and_text_on_a_terminal),
        cmocka_unit_test(it_ends_with_the_status_of_the_method),
        cmocka_unit_test(openmetrics_are_printed_as_they_are),
        cmocka_unit_test(it_opens_the_folder_of_a_snapshot),
        cmocka_unit_test(it_prints_events_until_the_end),
        cmocka_unit_test(what_a_terminal_must_not_get_is_escaped),
        cmocka_unit_test(without_a_server_it_says_so),
        cmocka_unit_test(with_wait_it_waits_for_a_server),
        cmocka_unit_test(help_lists_the_methods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
