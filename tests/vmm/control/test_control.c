/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "control_rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_vm.h"
#include "vmm/control/methods.h"

struct session {
    struct rig rig;
    struct fake_vm vm;
    int fd;
};

static void begin(struct session *session, bool dir)
{
    struct stasis_control_config config;

    rig_init(&session->rig);
    config = (struct stasis_control_config){.path = session->rig.path,
                                            .dir = dir ? session->rig.folder : NULL};
    session->vm = (struct fake_vm){.state = STASIS_VMM_RUNNING, .expected = session->rig.folder};
    assert_int_equal(stasis_control_open(&config, &fake_vm_ops, &session->rig.control, NULL), 0);
    stasis_control_set_ctx(session->rig.control, &session->vm);
    session->vm.control = session->rig.control;
    session->fd = rig_connect(&session->rig);
    rig_pump(&session->rig);
}

static void end(struct session *session)
{
    close(session->fd);
    stasis_control_close(session->rig.control);
    rig_fini(&session->rig);
}

#define ASK(method) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\"}\n"
#define WITH(method, params)                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}\n"
#define DONE "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"

static void assert_answer(struct session *session, int fd, const char *text, const char *answer)
{
    assert_string_equal(rig_ask(&session->rig, fd, text), answer);
}

static void reports_are_objects(void **state)
{
    struct session session;
    json_t *answer;
    const char *version;
    int pid;

    (void)state;
    begin(&session, false);
    rig_say(&session.rig, session.fd, ASK("version"));
    answer = rig_hear_json(&session.rig, session.fd);
    assert_int_equal(
        json_unpack(answer, "{s:{s:s, s:i}}", "result", "version", &version, "pid", &pid), 0);
    assert_string_equal(version, STASIS_VERSION);
    assert_int_equal(pid, getpid());
    json_decref(answer);
    assert_answer(
        &session, session.fd, ASK("status"),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"state\":\"running\",\"paused\":false,"
        "\"generation\":3,\"saved_bytes\":0,\"total_bytes\":0}}");
    assert_answer(&session, session.fd, ASK("metrics"),
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"exits\":9223372036854775807}}");
    assert_answer(&session, session.fd, WITH("metrics", "{\"format\":\"openmetrics\"}"),
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"# TYPE stasis_exits "
                  "counter\\nstasis_exits_total 7\\n# EOF\\n\"}}");
    rig_assert_refused(&session.rig, session.fd, WITH("metrics", "{\"format\":\"xml\"}"), -32602,
                       "give format=json|openmetrics");
    assert_non_null(strstr(rig_ask(&session.rig, session.fd, ASK("config")),
                           "\"result\":{\"demo\":true,\"memory\":{\"size_mib\":256},"));
    session.vm.refuse = STASIS_ERR_ARG;
    rig_assert_refused(&session.rig, session.fd, ASK("config"), 2, "the machine refuses");
    session.vm.refuse = STASIS_ERR_NOMEM;
    rig_assert_refused(&session.rig, session.fd, ASK("metrics"), 1, "the machine refuses");
    end(&session);
}

static void pause_and_resume_change_the_state(void **state)
{
    struct session session;

    (void)state;
    begin(&session, false);
    assert_answer(&session, session.fd, ASK("pause"), DONE);
    assert_int_equal(session.vm.state, STASIS_VMM_PAUSED);
    assert_answer(&session, session.fd, ASK("resume"), DONE);
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    session.vm.refuse = STASIS_ERR_TIMEOUT;
    rig_assert_refused(&session.rig, session.fd, ASK("pause"), 7, "the machine refuses");
    end(&session);
}

static void what_is_wrong_with_a_request_has_its_code(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *words;
    } cases[] = {
        {ASK("explode"), -32601, "there is no method explode"},
        {ASK(""), -32601, "there is no method"},
        {WITH("pause", "{\"a\":1}"), -32602, "pause has no parameter a"},
        {WITH("snapshot", "{\"nam\":\"x\"}"), -32602, "snapshot has no parameter nam"},
        {WITH("snapshot", "{\"name\":1}"), -32602, "name is no string"},
        {WITH("snapshot", "{\"name\":\"\"}"), -32602, "name is empty; give name=NAME"},
        {WITH("snapshot", "{\"name\":\"..\"}"), -32602, "name is not .."},
        {WITH("snapshot", "{\"name\":\".\"}"), -32602, "name is not ."},
        {WITH("snapshot", "{\"name\":\"a/b\"}"), -32602, "name is not a/b; give name=NAME"},
        {WITH("snapshot", "{\"path\":\"/etc/passwd\"}"), -32602, "opens no path of a request"},
        {WITH("snapshot", "{}"), -32602, "name is missing"},
        {WITH("snapshot", "{\"name\":\"x\"}"), -32602, "no folder for the snapshot"},
        {WITH("snapshot", "{\"name\":\"x\",\"then\":\"stop\"}"), -32602, "then is not stop"},
        {WITH("snapshot", "{\"name\":\"x\",\"compress\":\"zlib:13\"}"), -32602, "compress is not"},
        {WITH("snapshot", "{\"name\":\"x\",\"compress\":\"zlib:0\"}"), -32602, "compress is not"},
        {WITH("snapshot", "{\"name\":\"x\",\"compress\":\"lz4\"}"), -32602, "compress is not lz4"},
        {WITH("snapshot", "{\"name\":\"x\",\"sync\":\"\"}"), -32602, "sync is empty"},
        {WITH("snapshot", "{\"name\":\"x\",\"target\":\"\"}"), -32602, "target is empty"},
        {WITH("snapshot", "{\"name\":\"x\",\"drop\":\"yes\"}"), -32602, "give drop=refuse|allow"},
        {ASK("cancel"), 2, "no snapshot is being saved"},
        {ASK("resume"), 2, "cannot resume: the guest runs"},
    };
    struct session session;

    (void)state;
    begin(&session, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        rig_assert_refused(&session.rig, session.fd, cases[i].line, cases[i].code, cases[i].words);
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    end(&session);
}

/* Each state has an error of its own. */
static void methods_in_the_wrong_state_name_it(void **state)
{
    static const struct {
        enum stasis_vmm_state state;
        const char *method;
        const char *name;
    } cases[] = {
        {STASIS_VMM_OPENED, "pause", "NOT_STARTED"},
        {STASIS_VMM_OPENED, "snapshot", "NOT_STARTED"},
        {STASIS_VMM_RUNNING, "resume", "GUEST_RUNS"},
        {STASIS_VMM_RUNNING, "cancel", "NO_SNAPSHOT_RUNS"},
        {STASIS_VMM_PAUSED, "pause", "GUEST_PAUSED"},
        {STASIS_VMM_PAUSED, "cancel", "NO_SNAPSHOT_RUNS"},
        {STASIS_VMM_IS_SAVING, "snapshot", "SNAPSHOT_RUNS"},
        {STASIS_VMM_IS_SAVING, "pause", "SNAPSHOT_RUNS"},
        {STASIS_VMM_IS_SAVING, "resume", "SNAPSHOT_RUNS"},
        {STASIS_VMM_HAS_ENDED, "pause", "ENDED"},
        {STASIS_VMM_HAS_ENDED, "resume", "ENDED"},
        {STASIS_VMM_HAS_ENDED, "snapshot", "ENDED"},
        {STASIS_VMM_HAS_ENDED, "cancel", "ENDED"},
        {STASIS_VMM_HAS_ENDED, "quit", "ENDED"},
        {STASIS_VMM_OPENED, "power-button", "NOT_STARTED"},
        {STASIS_VMM_IS_SAVING, "power-button", "SNAPSHOT_RUNS"},
        {STASIS_VMM_HAS_ENDED, "power-button", "ENDED"},
        {STASIS_VMM_OPENED, "reset", "NOT_STARTED"},
        {STASIS_VMM_IS_SAVING, "reset", "SNAPSHOT_RUNS"},
        {STASIS_VMM_HAS_ENDED, "reset", "ENDED"},
    };
    struct session session;
    char line[128];
    char name[64];

    (void)state;
    begin(&session, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        session.vm.state = cases[i].state;
        snprintf(line, sizeof(line), ASK("%s"), cases[i].method);
        snprintf(name, sizeof(name), "\"data\":{\"name\":\"%s\"", cases[i].name);
        if (!strstr(rig_ask(&session.rig, session.fd, line), name))
            fail_msg("%s in state %d is not refused by %s", cases[i].method, cases[i].state, name);
    }
    /* Reports are given in every state. */
    assert_non_null(strstr(rig_ask(&session.rig, session.fd, ASK("status")), "\"ended\""));
    assert_non_null(strstr(rig_ask(&session.rig, session.fd, ASK("metrics")), "exits"));
    end(&session);
}

static void a_snapshot_is_answered_when_it_is_complete(void **state)
{
    struct session session;

    (void)state;
    begin(&session, true);
    rig_say(&session.rig, session.fd,
            WITH("snapshot", "{\"name\":\"a.snap\",\"then\":\"exit\",\"compress\":\"zlib:9\","
                             "\"sync\":\"none\",\"target\":\"0.1.0\",\"drop\":\"allow\"}"));
    assert_null(rig_hear(&session.rig, session.fd));
    assert_string_equal(session.vm.path, "a.snap");
    assert_string_equal(session.vm.target, "0.1.0");
    assert_true(session.vm.folder_ino_matches);
    assert_true(session.vm.request.exit);
    assert_int_equal(session.vm.request.save.zlib_level, 9);
    assert_int_equal(session.vm.request.save.sync, STASIS_VMM_SYNC_NONE);
    assert_int_equal(session.vm.request.save.drop, STASIS_VMM_DROP_ALLOW);
    assert_non_null(strstr(rig_ask(&session.rig, session.fd, ASK("status")),
                           "\"saving\",\"paused\":false,\"generation\":3,\"saved_bytes\":5,"));
    fake_vm_end_snapshot(&session.vm, 0);
    assert_string_equal(rig_hear(&session.rig, session.fd),
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"name\":\"a.snap\","
                        "\"file_bytes\":70,\"stored_bytes\":60,\"zero_bytes\":40,"
                        "\"pause_us\":1234}}");

    /* By default the guest runs on, and memory is not compressed. */
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"b\"}"));
    assert_false(session.vm.request.exit);
    assert_int_equal(session.vm.request.save.zlib_level, 0);
    assert_null(session.vm.request.save.target);
    fake_vm_end_snapshot(&session.vm, STASIS_ERR_WRITE);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"code\":7"));
    session.vm.refuse = STASIS_ERR_WRITE;
    rig_assert_refused(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"b\"}"), 7,
                       "the machine refuses");
    /* One that nobody asked for here. */
    session.vm.state = STASIS_VMM_IS_SAVING;
    fake_vm_end_snapshot(&session.vm, 0);
    assert_null(rig_hear(&session.rig, session.fd));
    end(&session);
}

static void a_folder_comes_as_a_descriptor(void **state)
{
    struct session session;
    int folder;
    int fds;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int two[2];

    (void)state;
    begin(&session, false);
    folder = open(session.rig.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fds = (int)rig_open_fds();
    rig_pass(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"), &file, 1);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "the descriptor is no folder"));
    two[0] = two[1] = folder;
    rig_pass(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"), two, 2);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "takes one descriptor"));
    rig_pass(&session.rig, session.fd, ASK("pause"), &folder, 1);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "takes no descriptor"));
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    assert_int_equal(rig_open_fds(), fds);

    rig_pass(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"), &folder, 1);
    assert_true(session.vm.folder_ino_matches);
    fake_vm_end_snapshot(&session.vm, 0);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"name\":\"x\""));
    assert_int_equal(rig_open_fds(), fds);
    close(folder);
    close(file);
    end(&session);
}

/* All clients have the same rights: they are of one user. */
static void others_are_served_while_a_client_waits_for_a_pause(void **state)
{
    struct session session;
    int other;

    (void)state;
    begin(&session, true);
    other = rig_connect(&session.rig);
    assert_answer(&session, other, ASK("subscribe"), DONE);
    session.vm.slow = true;
    rig_say(&session.rig, session.fd, ASK("pause"));
    assert_non_null(strstr(rig_ask(&session.rig, other, ASK("status")), "\"state\":\"pausing\""));
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(strstr(rig_ask(&session.rig, other,
                                       i == 0   ? ASK("pause")
                                       : i == 1 ? ASK("resume")
                                                : WITH("snapshot", "{\"name\":\"x\"}")),
                               "\"data\":{\"name\":\"PAUSE_RUNS\""));
    assert_non_null(strstr(rig_ask(&session.rig, other, ASK("cancel")), "NO_SNAPSHOT_RUNS"));
    fake_vm_end_pause(&session.vm, STASIS_ERR_TIMEOUT);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"code\":7"));
    assert_non_null(strstr(rig_hear(&session.rig, other), "\"method\":\"pause_failed\""));
    rig_say(&session.rig, session.fd, ASK("pause"));
    assert_non_null(strstr(rig_ask(&session.rig, other, ASK("status")), "\"state\":\"pausing\""));
    fake_vm_end_pause(&session.vm, 0);
    assert_string_equal(rig_hear(&session.rig, session.fd), DONE);
    close(other);
    end(&session);
}

/* What is sent when the server closes. */
static void assert_last_line(int fd, const char *words)
{
    char line[512];
    ssize_t got = read(fd, line, sizeof(line) - 1);

    assert_true(got > 0);
    line[got] = '\0';
    assert_non_null(strstr(line, words));
}

/* A client that asked for it may have gone; one that waits is told of the end. */
static void a_pause_outlives_its_client_and_not_the_vm(void **state)
{
    struct session session;
    int other;

    (void)state;
    begin(&session, true);
    other = rig_connect(&session.rig);
    session.vm.slow = true;
    rig_say(&session.rig, other, ASK("pause"));
    close(other);
    assert_non_null(
        strstr(rig_ask(&session.rig, session.fd, ASK("status")), "\"state\":\"pausing\""));
    fake_vm_end_pause(&session.vm, STASIS_ERR_TIMEOUT);
    rig_say(&session.rig, session.fd, ASK("pause"));
    assert_non_null(
        strstr(rig_ask(&session.rig, session.fd, ASK("status")), "\"state\":\"pausing\""));
    stasis_control_close(session.rig.control);
    session.rig.control = NULL;
    assert_last_line(session.fd, "the VM ended before the guest was paused");
    end(&session);
}

static void any_client_may_cancel_the_snapshot_of_another(void **state)
{
    struct session session;
    int other;

    (void)state;
    begin(&session, true);
    other = rig_connect(&session.rig);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    assert_answer(&session, other, ASK("cancel"), DONE);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"data\":{\"name\":\"CANCELLED\""));
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    close(other);
    end(&session);
}

static void a_client_may_cancel_its_own_snapshot_only(void **state)
{
    struct session session;
    int other;

    (void)state;
    begin(&session, true);
    other = rig_connect(&session.rig);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    assert_non_null(strstr(rig_ask(&session.rig, other, WITH("cancel", "{\"of\":\"own\"}")),
                           "\"data\":{\"name\":\"NO_SNAPSHOT_RUNS\""));
    assert_int_equal(session.vm.cancels, 0);
    rig_say(&session.rig, session.fd, WITH("cancel", "{\"of\":\"own\"}"));
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"data\":{\"name\":\"CANCELLED\""));
    assert_string_equal(rig_hear(&session.rig, session.fd), DONE);
    close(other);
    end(&session);
}

static void a_snapshot_outlives_its_client(void **state)
{
    struct session session;
    int other;

    (void)state;
    begin(&session, true);
    other = rig_connect(&session.rig);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    close(session.fd);
    rig_pump(&session.rig);
    assert_int_equal(session.vm.state, STASIS_VMM_IS_SAVING);
    fake_vm_end_snapshot(&session.vm, 0);
    assert_non_null(strstr(rig_ask(&session.rig, other, ASK("status")), "running"));
    session.fd = other;
    end(&session);
}

static void assert_event(struct session *session, const char *name, const char *words)
{
    const char *line = rig_hear(&session->rig, session->fd);
    char start[96];

    snprintf(start, sizeof(start), "{\"jsonrpc\":\"2.0\",\"method\":\"%s\"", name);
    assert_non_null(line);
    if (strncmp(line, start, strlen(start)) != 0 || !strstr(line, words))
        fail_msg("%s is not %s with %s", line, name, words);
}

static void subscribers_hear_of_all_that_happens(void **state)
{
    struct session session;
    int other;

    (void)state;
    begin(&session, true);
    other = rig_connect(&session.rig);
    assert_answer(&session, session.fd, ASK("subscribe"), DONE);
    assert_answer(&session, other, ASK("pause"), DONE);
    assert_event(&session, "paused", "}");
    assert_answer(&session, other, ASK("resume"), DONE);
    assert_event(&session, "running", "}");
    rig_say(&session.rig, other, WITH("snapshot", "{\"name\":\"x\"}"));
    assert_event(&session, "snapshot_started", "\"name\":\"x\"");
    for (unsigned i = 0; i <= 1000; i++)
        fake_vm_progress(&session.vm, i, 1000);
    for (unsigned percent = 1; percent <= 100; percent++)
        assert_event(&session, "snapshot_progress", "\"total_bytes\":1000");
    fake_vm_end_snapshot(&session.vm, 0);
    assert_event(&session, "snapshot_done", "\"file_bytes\":70");
    assert_non_null(rig_hear(&session.rig, other));
    rig_say(&session.rig, other, WITH("snapshot", "{\"name\":\"x\"}") ASK("cancel"));
    assert_event(&session, "snapshot_started", "\"name\":\"x\"");
    assert_event(&session, "snapshot_failed",
                 "\"error\":{\"name\":\"CANCELLED\",\"message\":\"x: it was given up\"");
    fake_vm_guest_error(&session.vm, NULL);
    assert_event(&session, "guest_error",
                 "{\"kind\":\"write_only\",\"text\":\"read of it\",\"address\":3489660956,"
                 "\"len\":4,\"is_mmio\":true,\"is_write\":false,\"suppressed\":7}");
    fake_vm_guest_error(&session.vm, "rtc");
    assert_event(&session, "guest_error", "\"suppressed\":7,\"device\":\"rtc\"}");
    fake_vm_end(&session.vm, STASIS_VMM_CRASHED);
    assert_event(
        &session, "ended",
        "\"reason\":\"crashed\",\"error\":{\"name\":\"GUEST\",\"message\":\"triple fault\"");
    close(other);
    end(&session);
}

static void power_button_and_reset_reach_the_vm(void **state)
{
    struct session session;

    (void)state;
    begin(&session, true);
    assert_answer(&session, session.fd, ASK("subscribe"), DONE);
    assert_answer(&session, session.fd, ASK("power-button"),
                  "{\"jsonrpc\":\"2.0\",\"method\":\"power_button\"}");
    assert_answer(&session, session.fd, ASK("reset"), DONE); /* of the button */
    assert_int_equal(session.vm.resets, 1);
    end(&session);
}

static void quit_answers_and_stops_the_vm(void **state)
{
    struct session session;

    (void)state;
    begin(&session, true);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    assert_answer(&session, session.fd, ASK("quit"), DONE);
    assert_true(session.vm.stopped);
    stasis_control_close(session.rig.control);
    session.rig.control = NULL;
    assert_last_line(session.fd, "the VM ended before the snapshot was complete");
    close(session.fd);
    rig_fini(&session.rig);
}

static uint32_t random_below(uint32_t *seed, uint32_t limit)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % limit;
}

/* A request with some bytes exchanged, left out or repeated. */
static size_t random_line(uint32_t *seed, char line[256])
{
    static const char *const requests[] = {
        ASK("status"), ASK("version"), ASK("pause"),
        ASK("resume"), ASK("cancel"),  WITH("snapshot", "{\"name\":\"x\",\"compress\":\"zlib:1\"}"),
        ASK("quit"),   ASK("metrics"), "[1,{\"a\":[null,true,-1.5e3]}]\n",
        "\n",          ASK("resume"),  WITH("pause", "{\"path\":\"/\"}"),
    };
    const char *request = requests[random_below(seed, sizeof(requests) / sizeof(requests[0]))];
    size_t len = strlen(request);

    snprintf(line, 256, "%s", request);
    for (uint32_t edits = random_below(seed, 4); edits && len > 1; edits--) {
        size_t at = random_below(seed, (uint32_t)len - 1);
        uint32_t kind = random_below(seed, 3);

        if (kind == 0)
            line[at] = (char)random_below(seed, 256);
        else if (kind == 1)
            memmove(line + at, line + at + 1, --len - at);
        else if (len < 250)
            memmove(line + at + 1, line + at, len++ - at);
    }
    line[len - 1] = '\n';
    return len;
}

/* All that have come, whole; returns how many. */
static unsigned take_answers(struct session *session)
{
    static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":";
    static char bytes[1 << 18];
    unsigned count = 0;
    size_t len = 0;
    ssize_t got;

    while ((got = recv(session->fd, bytes + len, sizeof(bytes) - 1 - len, MSG_DONTWAIT)) > 0) {
        len += (size_t)got;
        rig_pump(&session->rig);
    }
    bytes[len] = '\0';
    for (char *line = bytes, *end; line < bytes + len; line = end + 1, count++) {
        end = strchr(line, '\n');
        assert_true(end && end[-1] == '}');
        assert_memory_equal(line, start, sizeof(start) - 1);
    }
    return count;
}

static void a_hundred_thousand_random_lines_do_no_harm(void **state)
{
    struct session session;
    uint32_t seed = 1;
    unsigned answers = 0;

    (void)state;
    begin(&session, true);
    for (unsigned i = 0; i < 2000; i++) {
        static char lines[50 * 256];
        size_t len = 0;

        for (unsigned line = 0; line < 50; line++)
            len += random_line(&seed, lines + len);
        rig_send(&session.rig, session.fd, lines, len);
        if (session.vm.state == STASIS_VMM_IS_SAVING)
            fake_vm_end_snapshot(&session.vm, 0);
        answers += take_answers(&session);
    }
    assert_true(answers > 50000);
    assert_non_null(strstr(rig_ask(&session.rig, session.fd, ASK("status")), "\"generation\":3"));
    end(&session);
}

static void a_folder_that_cannot_be_opened_is_refused(void **state)
{
    struct stasis_control_config config = {.path = "/tmp/stasis-no-such-folder/sock",
                                           .dir = "/dev/null"};
    struct stasis_control *control = NULL;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_control_open(&config, &fake_vm_ops, &control, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "/dev/null: cannot open the folder"));
    config.dir = "/tmp";
    assert_int_equal(stasis_control_open(&config, &fake_vm_ops, &control, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "cannot open its folder"));
    assert_null(control);
    stasis_control_close(NULL);
    stasis_control_event(NULL, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_RUNNING});
    stasis_control_progress(NULL, STASIS_VMM_SAVING, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_objects),
        cmocka_unit_test(pause_and_resume_change_the_state),
        cmocka_unit_test(what_is_wrong_with_a_request_has_its_code),
        cmocka_unit_test(methods_in_the_wrong_state_name_it),
        cmocka_unit_test(a_snapshot_is_answered_when_it_is_complete),
        cmocka_unit_test(a_folder_comes_as_a_descriptor),
        cmocka_unit_test(others_are_served_while_a_client_waits_for_a_pause),
        cmocka_unit_test(a_pause_outlives_its_client_and_not_the_vm),
        cmocka_unit_test(any_client_may_cancel_the_snapshot_of_another),
        cmocka_unit_test(a_client_may_cancel_its_own_snapshot_only),
        cmocka_unit_test(a_snapshot_outlives_its_client),
        cmocka_unit_test(subscribers_hear_of_all_that_happens),
        cmocka_unit_test(quit_answers_and_stops_the_vm),
        cmocka_unit_test(power_button_and_reset_reach_the_vm),
        cmocka_unit_test(a_hundred_thousand_random_lines_do_no_harm),
        cmocka_unit_test(a_folder_that_cannot_be_opened_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
