/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is answered later, when something has happened, and what is told of it.
 */
#include "control_session.h"

#include <string.h>
#include <unistd.h>

static void a_snapshot_is_answered_when_it_is_complete(void **state)
{
    struct session session;

    (void)state;
    session_begin(&session, true);
    rig_say(&session.rig, session.fd,
            WITH("snapshot", "{\"name\":\"a.snap\",\"then\":\"exit\",\"compress\":\"zlib:9\","
                             "\"sync\":\"none\",\"target\":\"0.1.0\",\"drop\":\"allow\","
                             "\"parent\":\"auto\"}"));
    assert_null(rig_hear(&session.rig, session.fd));
    assert_string_equal(session.vm.path, "a.snap");
    assert_string_equal(session.vm.target, "0.1.0");
    assert_string_equal(session.vm.parent, "auto");
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
                        "\"pause_us\":1234,\"root\":\"ab0000000000000000000000000000000000"
                        "000000000000000000000000000c\",\"layer\":true}}");

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
    session_end(&session);
}

/* As --snapshot-out has it; and as release 0.2.0 had it here. */
static void a_guest_resumes_by_either_word(void **state)
{
    static const char *const words[] = {"resume", "continue"};
    struct session session;

    (void)state;
    session_begin(&session, true);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char line[160];

        snprintf(line, sizeof(line), WITH("snapshot", "{\"name\":\"a\",\"then\":\"%s\"}"),
                 words[i]);
        session.vm.request.exit = true;
        rig_say(&session.rig, session.fd, line);
        assert_false(session.vm.request.exit);
        fake_vm_end_snapshot(&session.vm, 0);
        assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"result\""));
    }
    session_end(&session);
}

/* All clients have the same rights: they are of one user. */
static void others_are_served_while_a_client_waits_for_a_pause(void **state)
{
    struct session session;
    int other;

    (void)state;
    session_begin(&session, true);
    other = rig_connect(&session.rig);
    session_assert_answer(&session, other, ASK("subscribe"), DONE);
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
    session_end(&session);
}

/* A client that asked for it may have gone; one that waits is told of the end. */
static void a_pause_outlives_its_client_and_not_the_vm(void **state)
{
    struct session session;
    int other;

    (void)state;
    session_begin(&session, true);
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
    session_assert_last_line(session.fd, "the VM ended before the guest was paused");
    session_end(&session);
}

static void any_client_may_cancel_the_snapshot_of_another(void **state)
{
    struct session session;
    int other;

    (void)state;
    session_begin(&session, true);
    other = rig_connect(&session.rig);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    session_assert_answer(&session, other, ASK("cancel"), DONE);
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"data\":{\"name\":\"CANCELLED\""));
    assert_int_equal(session.vm.state, STASIS_VMM_RUNNING);
    close(other);
    session_end(&session);
}

static void a_client_may_cancel_its_own_snapshot_only(void **state)
{
    struct session session;
    int other;

    (void)state;
    session_begin(&session, true);
    other = rig_connect(&session.rig);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    assert_non_null(strstr(rig_ask(&session.rig, other, WITH("cancel", "{\"of\":\"own\"}")),
                           "\"data\":{\"name\":\"NO_SNAPSHOT_RUNS\""));
    assert_int_equal(session.vm.cancels, 0);
    rig_say(&session.rig, session.fd, WITH("cancel", "{\"of\":\"own\"}"));
    assert_non_null(strstr(rig_hear(&session.rig, session.fd), "\"data\":{\"name\":\"CANCELLED\""));
    assert_string_equal(rig_hear(&session.rig, session.fd), DONE);
    close(other);
    session_end(&session);
}

static void a_snapshot_outlives_its_client(void **state)
{
    struct session session;
    int other;

    (void)state;
    session_begin(&session, true);
    other = rig_connect(&session.rig);
    rig_say(&session.rig, session.fd, WITH("snapshot", "{\"name\":\"x\"}"));
    close(session.fd);
    rig_pump(&session.rig);
    assert_int_equal(session.vm.state, STASIS_VMM_IS_SAVING);
    fake_vm_end_snapshot(&session.vm, 0);
    assert_non_null(strstr(rig_ask(&session.rig, other, ASK("status")), "running"));
    session.fd = other;
    session_end(&session);
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
    session_begin(&session, true);
    other = rig_connect(&session.rig);
    session_assert_answer(&session, session.fd, ASK("subscribe"), DONE);
    session_assert_answer(&session, other, ASK("pause"), DONE);
    assert_event(&session, "paused", "}");
    session_assert_answer(&session, other, ASK("resume"), DONE);
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
    stasis_control_event(session.vm.control,
                         &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_RESET});
    assert_event(&session, "reset", "}");
    fake_vm_end(&session.vm, STASIS_VMM_CRASHED);
    assert_event(
        &session, "ended",
        "\"reason\":\"crashed\",\"error\":{\"name\":\"GUEST\",\"message\":\"triple fault\"");
    close(other);
    session_end(&session);
}

static void ends_have_their_reason(void **state)
{
    static const struct {
        enum stasis_vmm_reason reason;
        const char *word;
    } cases[] = {
        {STASIS_VMM_RESET, "\"reason\":\"reset\""},
        {STASIS_VMM_POWERED_OFF, "\"reason\":\"powered_off\""},
        {STASIS_VMM_FROZEN, "\"reason\":\"frozen\""},
        {STASIS_VMM_QUIT, "\"reason\":\"quit\""},
        {STASIS_VMM_STOPPED, "\"reason\":\"stopped\""},
        {STASIS_VMM_INVALID_ACCESS, "\"reason\":\"invalid_access\""},
    };
    struct session session;

    (void)state;
    session_begin(&session, true);
    session_assert_answer(&session, session.fd, ASK("subscribe"), DONE);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_vm_end(&session.vm, cases[i].reason);
        assert_event(&session, "ended", cases[i].word);
    }
    session_end(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_answered_when_it_is_complete),
        cmocka_unit_test(a_guest_resumes_by_either_word),
        cmocka_unit_test(others_are_served_while_a_client_waits_for_a_pause),
        cmocka_unit_test(a_pause_outlives_its_client_and_not_the_vm),
        cmocka_unit_test(any_client_may_cancel_the_snapshot_of_another),
        cmocka_unit_test(a_client_may_cancel_its_own_snapshot_only),
        cmocka_unit_test(a_snapshot_outlives_its_client),
        cmocka_unit_test(subscribers_hear_of_all_that_happens),
        cmocka_unit_test(ends_have_their_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
