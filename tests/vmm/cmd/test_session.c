/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The program with its built-in guest: frozen in every way there is, thawed, and no line of its
 * output lost, doubled or torn.
 */
#include "vmm/session_rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct session session;
static struct session_folder folder;
static char arg[256], other[256];

/* The output of a guest through several processes. */
static char story[SESSION_TEXT_MAX];
static size_t story_len;

static void tell(void)
{
    assert_true(story_len + session.out_len < sizeof(story));
    memcpy(story + story_len, session.out_text, session.out_len);
    story_len += session.out_len;
}

static size_t lines(void)
{
    size_t count = 0;

    for (size_t i = 0; i < story_len; i++)
        count += story[i] == '\n';
    return count;
}

static void run(int status, const struct session_options *options)
{
    int got = session_run(&session, options);

    if (got != status)
        fail_msg("status %d: %s", got, session.err_text);
    tell();
}

static void frozen_by_time_over_generations(void)
{
    char nonce[33] = "";

    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,after_ms=700", folder.file);
    run(0, &(struct session_options){.args = {"--demo", "--memory", "16", "--snapshot-out", arg}});
    /* On a busy host the guest may not come to print anything in that time. */
    for (unsigned i = 0; i < 4 || (lines() < 5 && i < 300); i++) {
        snprintf(arg, sizeof(arg), "%s,after_ms=%u", folder.file, 333 + 61 * (i % 4));
        run(0,
            &(struct session_options){.args = {"--restore", folder.file, "--snapshot-out", arg}});
    }
    /* A freeze may fall into a line: the whole must be whole lines up to there. */
    while (story_len && story[story_len - 1] != '\n')
        story_len--;
    assert_true(session_check_ticks(story, story_len, 1, nonce) >= 5);
    session_folder_fini(&folder);
}

/* With a request to end that has come before: it is blocked, so that it is read and does not kill.
 */
static int main_told_to_end(int argc, char **argv)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    (void)raise(SIGTERM);
    return session_main(argc, argv);
}

static void a_load_can_be_cancelled(void)
{
    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,after_ms=1", folder.file);
    run(0, &(struct session_options){.args = {"--demo", "--memory", "16", "--snapshot-out", arg}});
    snprintf(arg, sizeof(arg), "%s,memory=copy", folder.file);
    assert_int_equal(session_run(&session, &(struct session_options){.args = {"--restore", arg},
                                                                     .program = main_told_to_end}),
                     128 + SIGTERM);
    session_assert_one_line(&session, ": loading the memory was cancelled");
    session_folder_fini(&folder);
}

static void assert_notes(size_t count, const char *image)
{
    struct stasis_error err;
    struct stasis_snap *snap;
    const char *value;

    kvm_ok(stasis_snap_open(folder.file, NULL, &snap, &err), &err);
    kvm_ok(stasis_snap_read_notes(snap, &err), &err);
    assert_int_equal(stasis_notes_count(stasis_snap_notes(snap)), count);
    value = stasis_notes_get(stasis_snap_notes(snap), "image");
    assert_true(image ? value && !strcmp(value, image) : !value);
    stasis_snap_free(snap);
}

/* "FILE,root=HEX" of the file in the folder, which has digests. */
static void name_with_root(char ret_text[256])
{
    struct stasis_error err;
    struct stasis_snap *snap;
    int len = snprintf(ret_text, 256, "%s,root=", folder.file);

    kvm_ok(stasis_snap_open(folder.file, NULL, &snap, &err), &err);
    assert_true(stasis_snap_info(snap)->digests);
    for (size_t i = 0; i < STASIS_DIGEST_SIZE; i++)
        snprintf(ret_text + len + 2 * i, 3, "%02x", stasis_snap_info(snap)->root[i]);
    stasis_snap_free(snap);
}

/* Notes are of the file that they were given for, not of the guest. */
static void frozen_by_output(void)
{
    char nonce[33] = "", restore[256];
    size_t len;

    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,on_output=tick 3,note=image=demo,note=ticket=,digest=sha256",
             folder.file);
    run(0, &(struct session_options){.args = {"--demo", "--memory", "16", "--snapshot-out", arg}});
    assert_notes(2, "demo");
    assert_non_null(strstr(story, "tick 3"));
    assert_null(strstr(story, "tick 5"));
    name_with_root(restore);
    snprintf(arg, sizeof(arg), "%s,on_output=tick 5 ", folder.file);
    run(0, &(struct session_options){.args = {"--restore", restore, "--snapshot-out", arg}});
    assert_notes(0, NULL);
    for (len = story_len; len && story[len - 1] != '\n';)
        len--;
    assert_true(session_check_ticks(story, len, 1, nonce) >= 4);
    session_folder_fini(&folder);
}

/* Two snapshots of a guest that goes on; each can be thawed from where it was taken. */
static void frozen_by_signal_and_resumed(void)
{
    char first[96], nonce[33] = "", again[33] = "";
    unsigned last;

    session_folder_init(&folder);
    snprintf(first, sizeof(first), "%s/first.snap", folder.path);
    snprintf(arg, sizeof(arg), "%s,then=resume", folder.file);
    session_start(&session, &(struct session_options){
                                .args = {"--demo", "--memory", "16", "--snapshot-out", arg}});
    session_wait_out(&session, "tick 2 ");
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "frozen to ");
    assert_int_equal(link(folder.file, first), 0);
    session.err_len = 0;
    memset(session.err_text, 0, sizeof(session.err_text));
    session_wait_out(&session, "tick 5 ");
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "frozen to ");
    session_wait_out(&session, "tick 7 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    last = session_check_ticks(session.out_text, session.out_len, 1, nonce);
    assert_true(last >= 6);

    session_start(&session, &(struct session_options){.args = {"--restore", first}});
    session_wait_out(&session, "tick 5 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    assert_non_null(strstr(session.out_text, nonce));

    /* The second file replaced the first: it goes on later. */
    session_start(&session, &(struct session_options){.args = {"--restore", folder.file}});
    session_wait_out(&session, "tick 8 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    assert_null(strstr(session.out_text, "tick 4 "));
    assert_non_null(strstr(session.out_text, nonce));

    /* And a new guest has a nonce of its own. */
    session_start(&session, &(struct session_options){.args = {"--demo", "--memory", "16"}});
    session_wait_out(&session, "tick 1 nonce=");
    session_wait_out(&session, "\n");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    (void)session_check_ticks(session.out_text, session.out_len, 1, again);
    assert_string_not_equal(nonce, again);
    session_folder_fini(&folder);
}

static void signal_without_a_path(void)
{
    char nonce[33] = "";

    session_start(&session, &(struct session_options){.args = {"--demo", "--memory", "16"}});
    session_wait_out(&session, "tick 1 ");
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    session_wait_err(&session, "\n");
    session_wait_out(&session, "tick 4 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    session_assert_one_line(&session, "--snapshot-out");
    assert_true(session_check_ticks(session.out_text, session.out_len, 1, nonce) >= 3);
}

/* vmm --snapshot-out - | vmm --restore -, the guest's output in one file. */
static void through_a_stream(void)
{
    char nonce[33] = "";
    struct session second;
    int fds[2];

    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "out=file:%s/serial", folder.path);
    assert_int_equal(pipe(fds), 0);
    session_start(&session,
                  &(struct session_options){.args = {"--demo", "--memory", "16", "--serial", arg,
                                                     "--snapshot-out", "-,after_ms=700"},
                                            .out = fds[1]});
    close(fds[1]);
    snprintf(other, sizeof(other), "%s,after_ms=700", folder.file);
    session_start(&second, &(struct session_options){
                               .args = {"--restore", "-", "--serial", arg, "--snapshot-out", other},
                               .in = fds[0]});
    close(fds[0]);
    assert_int_equal(session_end(&session), 0);
    assert_int_equal(session_end(&second), 0);
    assert_int_equal(second.out_len, 0);
    snprintf(other, sizeof(other), "%s/serial", folder.path);
    story_len = session_read_file(other, story, sizeof(story));
    while (story_len && story[story_len - 1] != '\n')
        story_len--;
    assert_true(session_check_ticks(story, story_len, 1, nonce) >= 4);
    session_folder_fini(&folder);
}

static void typed_input_is_echoed_and_q_ends(void)
{
    session_start(&session, &(struct session_options){.args = {"--demo", "--memory", "16"}});
    session_wait_out(&session, "tick 1 ");
    session_type(&session, "hello\r");
    session_wait_out(&session, "hello\r\n");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
}

/* Input ends; the guest goes on without. */
static void end_of_input(void)
{
    session_start(&session, &(struct session_options){.args = {"--demo", "--memory", "16"}});
    close(session.in);
    session.in = -1;
    session_wait_out(&session, "tick 3 ");
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    assert_int_equal(session_end(&session), 128 + SIGTERM);
}

/* Echo so far of bytes that rise from A to P and begin again; ticks have no capitals. */
static unsigned echoed(const char *text, size_t len)
{
    unsigned seen = 0;

    for (size_t at = 0; at < len; at++) {
        if (text[at] >= 'A' && text[at] <= 'P')
            assert_int_equal(text[at], 'A' + (int)(seen++ % 16));
    }
    return seen;
}

enum { MUCH = 600 };

static void type_much(int fd)
{
    char text[MUCH];

    for (unsigned i = 0; i < MUCH; i++)
        text[i] = (char)('A' + i % 16);
    assert_int_equal(write(fd, text, MUCH), MUCH);
}

/* More input at once than port and guest hold: none is lost. */
static void much_input(void)
{
    session_start(&session, &(struct session_options){.args = {"--demo", "--memory", "16"}});
    session_wait_out(&session, "tick 1 ");
    type_much(session.in);
    while (echoed(session.out_text, session.out_len) < MUCH)
        session_pump(&session, 50);
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
}

/* Frozen in the middle of such input, some of it in the port, some in the guest, some not yet read:
 * the next process gets the rest from the same pipe, and every byte is echoed once. */
static void input_in_flight(void)
{
    int fds[2];

    session_folder_init(&folder);
    assert_int_equal(pipe(fds), 0);
    snprintf(arg, sizeof(arg), "%s,on_output=ABC", folder.file);
    session_start(&session,
                  &(struct session_options){
                      .args = {"--demo", "--memory", "16", "--snapshot-out", arg}, .in = fds[0]});
    session_wait_out(&session, "tick 1 ");
    type_much(fds[1]);
    assert_int_equal(session_end(&session), 0);
    tell();
    assert_in_range(echoed(story, story_len), 3, MUCH - 1);
    session_start(&session,
                  &(struct session_options){.args = {"--restore", folder.file}, .in = fds[0]});
    session.in = fds[1];
    close(fds[0]);
    for (size_t before = story_len; echoed(story, story_len) < MUCH;) {
        session_pump(&session, 50);
        story_len = before;
        tell();
    }
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    session_folder_fini(&folder);
}

static void ballast_and_baseline(void)
{
    char nonce[33] = "";

    session_folder_init(&folder);
    snprintf(arg, sizeof(arg), "%s,on_output=tick 2", folder.file);
    run(0,
        &(struct session_options){.args = {"--demo", "--memory", "64", "--cpu", "baseline",
                                           "--initrd", "/proc/self/exe", "--snapshot-out", arg}});
    session_start(&session, &(struct session_options){.args = {"--restore", folder.file}});
    session_wait_out(&session, "tick 4 ");
    session_type(&session, "q");
    assert_int_equal(session_end(&session), 0);
    tell();
    assert_true(session_check_ticks(story, story_len, 1, nonce) >= 3);
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(frozen_by_time_over_generations),
        KVM_CASE(frozen_by_output),
        KVM_CASE(a_load_can_be_cancelled),
        KVM_CASE(frozen_by_signal_and_resumed),
        KVM_CASE(signal_without_a_path),
        KVM_CASE(through_a_stream),
        KVM_CASE(typed_input_is_echoed_and_q_ends),
        KVM_CASE(end_of_input),
        KVM_CASE(much_input),
        KVM_CASE(input_in_flight),
        KVM_CASE(ballast_and_baseline),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
