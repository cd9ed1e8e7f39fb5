/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "control_session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/methods.h"

static void reports_are_objects(void **state)
{
    struct session session;
    json_t *answer;
    const char *version;
    int pid;

    (void)state;
    session_begin(&session, false);
    rig_say(&session.rig, session.fd, ASK("version"));
    answer = rig_hear_json(&session.rig, session.fd);
    assert_int_equal(
        json_unpack(answer, "{s:{s:s, s:i}}", "result", "version", &version, "pid", &pid), 0);
    assert_string_equal(version, STASIS_VERSION);
    assert_int_equal(pid, getpid());
    json_decref(answer);
    session_assert_answer(
        &session, session.fd, ASK("status"),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"state\":\"running\",\"paused\":false,"
        "\"generation\":3,\"saved_bytes\":0,\"total_bytes\":0}}");
    session_assert_answer(
        &session, session.fd, ASK("metrics"),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"exits\":9223372036854775807}}");
    session_assert_answer(
        &session, session.fd, WITH("metrics", "{\"format\":\"openmetrics\"}"),
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
    session_end(&session);
}

static void pause_and_resume_change_the_state(void **state)
{
    struct session session;

    (void)state;
    session_begin(&session, false);
    session_assert_answer(&session, session.fd, ASK("pause"), DONE);
    assert_int_equal(session.vm.state, STASIS_VMM_PAUSED);
    session_assert_answer(&session, session.fd, ASK("resume"), DONE);
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    session.vm.refuse = STASIS_ERR_TIMEOUT;
    rig_assert_refused(&session.rig, session.fd, ASK("pause"), 7, "the machine refuses");
    session_end(&session);
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
        {WITH("snapshot", "{\"name\":\"..\"}"), -32602, "name=..: give name=NAME"},
        {WITH("snapshot", "{\"name\":\".\"}"), -32602, "name=.: give name"},
        {WITH("snapshot", "{\"name\":\"a/b\"}"), -32602, "name=a/b: give name=NAME"},
        {WITH("snapshot", "{\"path\":\"/etc/passwd\"}"), -32602, "opens no path of a request"},
        {WITH("snapshot", "{}"), -32602, "name is missing"},
        {WITH("snapshot", "{\"name\":\"x\"}"), -32602, "no folder for the snapshot"},
        {WITH("snapshot", "{\"name\":\"x\",\"then\":\"stop\"}"), -32602,
         "then=stop: give then=resume|exit"},
        {WITH("snapshot", "{\"name\":\"x\",\"compress\":\"zlib:13\"}"), -32602,
         "compress=zlib:13: give"},
        {WITH("snapshot", "{\"name\":\"x\",\"compress\":\"zlib:0\"}"), -32602,
         "compress=zlib:0: give"},
        {WITH("snapshot", "{\"name\":\"x\",\"compress\":\"lz4\"}"), -32602, "compress=lz4: give"},
        {WITH("snapshot", "{\"name\":\"x\",\"sync\":\"\"}"), -32602, "sync is empty"},
        {WITH("snapshot", "{\"name\":\"x\",\"target\":\"\"}"), -32602, "target is empty"},
        {WITH("snapshot", "{\"name\":\"x\",\"drop\":\"yes\"}"), -32602, "give drop=refuse|allow"},
        {ASK("cancel"), 2, "no snapshot is being saved"},
        {ASK("resume"), 2, "cannot resume: the guest runs"},
    };
    struct session session;

    (void)state;
    session_begin(&session, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        rig_assert_refused(&session.rig, session.fd, cases[i].line, cases[i].code, cases[i].words);
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    session_end(&session);
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
        {STASIS_VMM_OPENED, "balloon", "NOT_STARTED"},
        {STASIS_VMM_IS_SAVING, "balloon", "SNAPSHOT_RUNS"},
        {STASIS_VMM_HAS_ENDED, "balloon", "ENDED"},
        {STASIS_VMM_OPENED, "reset", "NOT_STARTED"},
        {STASIS_VMM_IS_SAVING, "reset", "SNAPSHOT_RUNS"},
        {STASIS_VMM_HAS_ENDED, "reset", "ENDED"},
    };
    struct session session;
    char line[128];
    char name[64];

    (void)state;
    session_begin(&session, true);
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
    session_end(&session);
}

static void a_folder_comes_as_a_descriptor(void **state)
{
    struct session session;
    int folder;
    int fds;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int two[2];

    (void)state;
    session_begin(&session, false);
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
    session_end(&session);
}

static void power_button_and_reset_reach_the_vm(void **state)
{
    struct session session;

    (void)state;
    session_begin(&session, true);
    session_assert_answer(&session, session.fd, ASK("subscribe"), DONE);
    session_assert_answer(&session, session.fd, ASK("power-button"),
                          "{\"jsonrpc\":\"2.0\",\"method\":\"power_button\"}");
    session_assert_answer(&session, session.fd, ASK("reset"), DONE); /* of the button */
    assert_int_equal(session.vm.resets, 1);
    session_end(&session);
}

static void the_balloon_is_asked_for_and_told_of(void **state)
{
    static const char *const bad[] = {"", "-1", "1.5", "1M", "0x", "18446744073709551616"};
    struct session session;
    char params[128];

    (void)state;
    session_begin(&session, false);
    session_assert_answer(&session, session.fd, WITH("balloon", "{\"target_mib\":\"300\"}"), DONE);
    assert_int_equal(session.vm.balloon_mib, 300);
    assert_null(strstr(rig_ask(&session.rig, session.fd, ASK("status")), "balloon"));
    session.vm.has_balloon = true;
    assert_non_null(strstr(rig_ask(&session.rig, session.fd, ASK("status")),
                           "\"total_bytes\":0,\"balloon_bytes\":4096,"
                           "\"balloon_target_bytes\":314572800}"));
    session_assert_answer(&session, session.fd, WITH("balloon", "{\"target_mib\":\"0\"}"), DONE);
    assert_int_equal(session.vm.balloon_mib, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(params, sizeof(params),
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"balloon\",\"params\":"
                 "{\"target_mib\":\"%s\"}}\n",
                 bad[i]);
        rig_assert_refused(&session.rig, session.fd, params, -32602, "give target_mib=N");
    }
    rig_assert_refused(&session.rig, session.fd, WITH("balloon", "{\"target_mib\":7}"), -32602,
                       "target_mib is no string");
    rig_assert_refused(&session.rig, session.fd, ASK("balloon"), -32602,
                       "target_mib is missing; give the MiB that the balloon shall have");
    session.vm.refuse = STASIS_ERR_ARG;
    rig_assert_refused(&session.rig, session.fd, WITH("balloon", "{\"target_mib\":\"1\"}"), 2,
                       "the machine refuses");
    session_end(&session);
}

static void quit_answers_and_stops_the_vm(void **state)
{
    struct session session;

    (void)state;
    session_begin(&session, true);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    session_assert_answer(&session, session.fd, ASK("quit"), DONE);
    assert_true(session.vm.stopped);
    stasis_control_close(session.rig.control);
    session.rig.control = NULL;
    session_assert_last_line(session.fd, "the VM ended before the snapshot was complete");
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
    session_begin(&session, true);
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
    session_end(&session);
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
        cmocka_unit_test(a_folder_comes_as_a_descriptor),
        cmocka_unit_test(quit_answers_and_stops_the_vm),
        cmocka_unit_test(power_button_and_reset_reach_the_vm),
        cmocka_unit_test(the_balloon_is_asked_for_and_told_of),
        cmocka_unit_test(a_hundred_thousand_random_lines_do_no_harm),
        cmocka_unit_test(a_folder_that_cannot_be_opened_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
