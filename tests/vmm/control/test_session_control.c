/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The control socket of the program, with its built-in guest.
 */
#include "vmm/session_rig.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/remote.h"
#include "vmm/control/socket.h"

static struct session session;
static struct session_folder folder;
static char sock[128], arg[256];

/* A client that waits for lines; its descriptor is blocking. */
struct client {
    struct stasis_control_remote remote;
    unsigned id;
};

static void connect_client(struct client *client)
{
    *client = (struct client){.remote.fd = -1};
    while (stasis_control_socket_connect(sock, &client->remote.fd, NULL))
        session_pump(&session, 10); /* it is being made */
}

static void disconnect(struct client *client)
{
    stasis_control_remote_close(&client->remote);
}

static void send_request(struct client *client, const char *method, const char *params)
{
    char line[256];
    int len = snprintf(line, sizeof(line),
                       "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\",\"params\":{%s}}\n",
                       ++client->id, method, params);

    assert_int_equal(send(client->remote.fd, line, (size_t)len, MSG_NOSIGNAL), len);
}

static bool has_line(const struct stasis_control_remote *remote)
{
    return remote->len > remote->start &&
           memchr(remote->bytes + remote->start, '\n', remote->len - remote->start);
}

/* What the guest prints meanwhile is read, so that it does not stop. */
static json_t *next_message(struct client *client)
{
    struct pollfd ready = {.fd = client->remote.fd, .events = POLLIN};
    json_t *message = NULL;
    struct stasis_error err;

    while (!has_line(&client->remote) && !poll(&ready, 1, 0))
        session_pump(&session, 5);
    if (stasis_control_remote_next(&client->remote, &message, &err) != 1)
        fail_msg("the connection ended");
    return message;
}

/* The answer to the last request, passing over events. */
static json_t *answer(struct client *client)
{
    for (;;) {
        json_t *message = next_message(client);

        if (json_integer_value(json_object_get(message, "id")) == client->id)
            return message;
        json_decref(message);
    }
}

static const char *error_name(const json_t *message)
{
    const json_t *data = json_object_get(json_object_get(message, "error"), "data");
    const char *name = json_string_value(json_object_get(data, "name"));

    return name ? name : "";
}

static void ask(struct client *client, const char *method, const char *params, const char *error)
{
    json_t *message;

    send_request(client, method, params);
    message = answer(client);
    assert_string_equal(error_name(message), error);
    json_decref(message);
}

/* The answer is an error with these words. */
static void refuse(struct client *client, const char *method, const char *params, const char *words)
{
    const json_t *error;
    json_t *message;
    const char *text;

    send_request(client, method, params);
    message = answer(client);
    error = json_object_get(message, "error");
    text = json_string_value(json_object_get(json_object_get(error, "data"), "message"));
    assert_int_equal(json_integer_value(json_object_get(error, "code")), 2);
    if (!text || !strstr(text, words))
        fail_msg("%s", text ? text : "no error");
    json_decref(message);
}

static void assert_state(struct client *client, const char *state)
{
    json_t *message;

    send_request(client, "status", "");
    message = answer(client);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(message, "result"), "state")), state);
    json_decref(message);
}

static void wait_event(struct client *client, const char *name)
{
    for (;;) {
        json_t *message = next_message(client);
        const char *method = json_string_value(json_object_get(message, "method"));
        bool found = method && strcmp(method, name) == 0;

        json_decref(message);
        if (found)
            return;
    }
}

static void begin(const char *vcpus, bool paused)
{
    struct session_options options = {
        .args = {"--demo", "--memory", "32", "--vcpu", vcpus, "--control", arg}};

    session_folder_init(&folder);
    snprintf(sock, sizeof(sock), "%s/sock", folder.path);
    snprintf(arg, sizeof(arg), "path=%s,dir=%s", sock, folder.path);
    if (paused)
        options.args[7] = "--paused";
    session_start(&session, &options);
}

/* The lines of the guest so far are ticks without a gap; the last may be incomplete. Returns their
 * number. */
static unsigned check_ticks(void)
{
    unsigned count = 0;

    for (const char *line = session.out_text, *end; (end = strchr(line, '\n')); line = end + 1) {
        const char *number = strstr(line, "tick ");

        assert_true(number && number < end);
        assert_int_equal(strtoul(number + strlen("tick "), NULL, 10), ++count);
    }
    return count;
}

static void wait_more_ticks(unsigned more)
{
    char text[32];

    snprintf(text, sizeof(text), "tick %u ", check_ticks() + more);
    session_wait_out(&session, text);
}

static void quit(struct client *client)
{
    ask(client, "quit", "", "");
    disconnect(client);
    assert_int_equal(session_end(&session), 0);
    assert_int_equal(access(sock, F_OK), -1);
}

/* A path in use is an option that is wrong. */
static void assert_taken(void)
{
    static struct session second;
    const struct session_options options = {
        .args = {"--demo", "--memory", "2", "--serial", "none", "--control", arg}};

    assert_int_equal(session_run(&second, &options), 2);
    if (!strstr(second.err_text, sock) ||
        !strstr(second.err_text, ": another process listens on it; use another path, or end"))
        fail_msg("%s", second.err_text);
}

static void a_client_drives_the_life_of_a_guest(void)
{
    struct client client;
    struct client events;

    begin("1", true);
    connect_client(&client);
    assert_taken();
    connect_client(&events);
    ask(&events, "subscribe", "", "");
    assert_state(&client, "paused");
    assert_int_equal(session.out_len, 0);
    ask(&client, "pause", "", "GUEST_PAUSED");
    ask(&client, "resume", "", "");
    wait_event(&events, "running");
    ask(&client, "resume", "", "GUEST_RUNS");
    wait_more_ticks(2);
    ask(&client, "cancel", "", "NO_SNAPSHOT_RUNS");
    ask(&client, "snapshot", "\"name\":\"a.snap\",\"compress\":\"zlib\"", "");
    wait_event(&events, "snapshot_done");
    assert_state(&client, "running");
    ask(&client, "pause", "", "");
    wait_event(&events, "paused");
    ask(&client, "snapshot", "\"name\":\"b.snap\",\"sync\":\"none\"", "");
    assert_state(&client, "paused");
    ask(&client, "metrics", "", "");
    ask(&client, "config", "", "");
    ask(&client, "resume", "", "");
    wait_more_ticks(2);
    ask(&client, "snapshot", "\"name\":\"no/such\"", "INVALID_PARAMS");
    quit(&client);
    wait_event(&events, "ended");
    disconnect(&events);
    session_folder_fini(&folder);
}

static void a_client_resets_the_machine(void)
{
    struct client client;

    begin("1", false);
    connect_client(&client);
    wait_more_ticks(1);
    ask(&client, "power-button", "", ""); /* the guest has no ears for it */
    wait_more_ticks(2);
    ask(&client, "reset", "", "");
    assert_int_equal(session_end(&session), SESSION_RESET);
    disconnect(&client);
    session_folder_fini(&folder);
}

static void a_guest_saved_by_a_client_is_thawed(void)
{
    static char path[160], story[2 * SESSION_TEXT_MAX];
    struct client client;
    char nonce[33] = "";
    size_t len;

    begin("1", false);
    connect_client(&client);
    wait_more_ticks(2);
    ask(&client, "snapshot", "\"name\":\"x.snap\",\"then\":\"exit\"", "");
    disconnect(&client);
    assert_int_equal(session_end(&session), 0);
    len = session.out_len; /* perhaps in the middle of a line */
    memcpy(story, session.out_text, len);
    snprintf(path, sizeof(path), "%s/x.snap", folder.path);
    session_start(&session, &(struct session_options){.args = {"--restore", path}});
    session_wait_out(&session, "\r\ntick ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    memcpy(story + len, session.out_text, session.out_len);
    assert_true(session_check_ticks(story, len + session.out_len, 1, nonce) >= 3);
    session_folder_fini(&folder);
}

/* Nobody could tell what is on the disk that the snapshot would be thawed with. */
static void a_guest_with_a_disk_is_saved_as_its_last_deed(void)
{
    char disk[180], block[200];
    struct session_options options = {
        .args = {"--demo", "--memory", "32", "--control", arg, "--block", block}};
    struct client client;

    session_folder_init(&folder);
    snprintf(sock, sizeof(sock), "%s/sock", folder.path);
    snprintf(arg, sizeof(arg), "path=%s,dir=%s", sock, folder.path);
    snprintf(disk, sizeof(disk), "%s/disk", folder.path);
    snprintf(block, sizeof(block), "path=%s,id=data", disk);
    close(open(disk, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(truncate(disk, 1 << 20), 0);
    session_start(&session, &options);
    connect_client(&client);
    wait_more_ticks(1);
    refuse(&client, "snapshot", "\"name\":\"x.snap\"",
           "the guest would run on and write to disk data");
    refuse(&client, "snapshot", "\"name\":\"x.snap\",\"then\":\"exit\",\"target\":\"0.1.0\"",
           "pvpanic, timer, data, which release 0.1.0 lacks");
    wait_more_ticks(1);
    ask(&client, "snapshot", "\"name\":\"x.snap\",\"then\":\"exit\"", "");
    disconnect(&client);
    assert_int_equal(session_end(&session), 0);
    session_folder_fini(&folder);
}

/* ---- four clients at random ---- */

#define CLIENTS 4
#define CALLS   1000

/* What must be true of the VM by the answers so far. */
struct model {
    bool paused;
    struct client *saver; /* who waits for its snapshot, or NULL: none is being saved */
    bool cancelled;       /* by an answer, which may come too late */
    bool overtaken;       /* perhaps: a pause was asked for after it, by another connection */
    unsigned asked, saved, given_up;
};

static void assert_one_of(const char *name, const char *expected, const char *other)
{
    if (strcmp(name, expected) != 0 && (!other || strcmp(name, other) != 0))
        fail_msg("\"%s\" instead of \"%s\" or \"%s\"", name, expected, other ? other : expected);
}

static void take_snapshot_answer(struct model *model, json_t *message)
{
    const char *name = error_name(message);

    if (name[0] && !(model->cancelled && !strcmp(name, "CANCELLED")) &&
        !(model->overtaken && !strcmp(name, "PAUSE_RUNS")))
        fail_msg("a snapshot is answered by %s", json_dumps(message, 0));
    if (name[0])
        model->given_up++;
    else
        model->saved++;
    model->saver = NULL;
    model->cancelled = model->overtaken = false;
    json_decref(message);
}

static void pause_or_resume(struct model *model, struct client *client, bool pause)
{
    const char *expected = pause == model->paused ? (pause ? "GUEST_PAUSED" : "GUEST_RUNS") : "";
    json_t *message;
    const char *name;

    send_request(client, pause ? "pause" : "resume", "");
    model->overtaken |= model->saver && pause;
    message = answer(client);
    name = error_name(message);
    assert_one_of(name, expected, model->saver ? "SNAPSHOT_RUNS" : NULL);
    if (!name[0])
        model->paused = pause;
    json_decref(message);
}

static void cancel(struct model *model, struct client *client)
{
    json_t *message;

    send_request(client, "cancel", "");
    message = answer(client);
    assert_one_of(error_name(message), "NO_SNAPSHOT_RUNS", model->saver ? "" : NULL);
    if (!error_name(message)[0])
        model->cancelled = true;
    json_decref(message);
}

/* The answer comes later. Not while another waits for its own: true if it was asked for. A file
 * that is being opened for a request that was cancelled is in use a moment longer: another name. */
static bool snapshot(struct model *model, struct client *client)
{
    char params[64];

    if (model->saver)
        return false;
    snprintf(params, sizeof(params), "\"name\":\"r%u.snap\",\"sync\":\"none\"",
             model->asked++ % 16);
    send_request(client, "snapshot", params);
    model->saver = client;
    return true;
}

/* Whether it was one that changes something. */
static bool call(struct model *model, struct client *client, unsigned what)
{
    if (model->saver == client) {
        take_snapshot_answer(model, answer(client));
        return false;
    }
    if (what == 5)
        return snapshot(model, client);
    if (what < 4)
        pause_or_resume(model, client, what % 2);
    else if (what == 4)
        cancel(model, client);
    else
        ask(client, what == 6 ? "status" : "metrics", "", "");
    return what < 5;
}

static unsigned fds_of(pid_t pid)
{
    char path[64];
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        count += !access(path, F_OK) || !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
    }
    return count;
}

static void a_thousand_calls_of_four_clients_are_answered_rightly(void)
{
    struct client clients[CLIENTS];
    struct model model = {.paused = false};
    uint64_t seed = 1;
    unsigned fds;

    begin("4", false);
    for (unsigned i = 0; i < CLIENTS; i++)
        connect_client(&clients[i]);
    for (unsigned i = 0; i < CLIENTS; i++)
        ask(&clients[i], "status", "", "");
    wait_more_ticks(1);
    fds = fds_of(session.pid);
    for (unsigned calls = 0; calls < CALLS;) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        calls += call(&model, &clients[seed >> 62], (unsigned)(seed >> 32) % 8);
    }
    if (model.saver)
        take_snapshot_answer(&model, answer(model.saver));
    if (model.paused)
        ask(&clients[0], "resume", "", "");
    wait_more_ticks(2);
    assert_true(model.saved > 10);
    assert_int_equal(fds_of(session.pid), fds);
    for (unsigned i = 1; i < CLIENTS; i++)
        disconnect(&clients[i]);
    quit(&clients[0]);
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(a_client_drives_the_life_of_a_guest),
        KVM_CASE(a_client_resets_the_machine),
        KVM_CASE(a_guest_saved_by_a_client_is_thawed),
        KVM_CASE(a_guest_with_a_disk_is_saved_as_its_last_deed),
        KVM_CASE(a_thousand_calls_of_four_clients_are_answered_rightly),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
