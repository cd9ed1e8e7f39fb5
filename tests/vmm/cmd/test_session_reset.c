/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vmm --on-reset reboot, in its sandbox: guests that reset the machine as soon as they can.
 */
#include "vmm/session_rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct session session;
static struct session_folder folder;
static char kernel[128];

static void setup(void)
{
    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "%s/kernel", folder.path);
    session_write_kernel(kernel, "up ", kvm_resetting, sizeof(kvm_resetting));
}

/* Although its kernel has no name any more, and the process few rights. */
static void start(const char *snapshot)
{
    session_start(&session, &(struct session_options){
                                .args = {"--kernel", kernel, "--memory", "32", "--vcpu", "2",
                                         "--on-reset", "reboot", "--snapshot-out", snapshot}});
    session_wait_out(&session, "up ");
    assert_int_equal(unlink(kernel), 0);
    session_wait_out(&session, "up up up ");
}

/* The guest may be reset before each of the snapshots that are tried. */
static void freeze_between_resets_is_made(void)
{
    setup();
    start(folder.file);
    assert_int_equal(kill(session.pid, SIGUSR1), 0);
    assert_int_equal(session_end(&session), 0);
    assert_non_null(strstr(session.err_text, "frozen to "));
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--restore", folder.file}}),
        SESSION_RESET);
    session_folder_fini(&folder);
}

static void signal_ends_a_guest_that_resets_without_end(void)
{
    setup();
    start(folder.file);
    assert_int_equal(kill(session.pid, SIGTERM), 0);
    assert_int_equal(session_end(&session), 128 + SIGTERM);
    session_folder_fini(&folder);
}

/* A snapshot has no kernel. */
static void restored_guest_is_refused(void)
{
    session_folder_init(&folder);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--restore", folder.file,
                                                                 "--on-reset", "reboot"}}),
        2);
    session_assert_one_line(&session, "--on-reset reboot does not go with --restore");
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(freeze_between_resets_is_made),
        KVM_CASE(signal_ends_a_guest_that_resets_without_end),
        KVM_CASE(restored_guest_is_refused),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
