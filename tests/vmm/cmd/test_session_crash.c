/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vmm --on-crash: guests that die as soon as they can, saved as they were then.
 */
#include "vmm/session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/snap.h"

static struct session session;
static struct session_folder folder;
static char kernel[128], arg[256];

static void setup(const char *text, const void *tail, size_t len)
{
    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "%s/kernel", folder.path);
    session_write_kernel(kernel, text, tail, len);
}

/* NULL: without a snapshot. */
static int run(const char *snapshot, const char *more)
{
    snprintf(arg, sizeof(arg), "%s%s%s", snapshot ? "snapshot=" : "exit", snapshot ? snapshot : "",
             more);
    return session_run(&session,
                       &(struct session_options){.args = {"--kernel", kernel, "--memory", "32",
                                                          "--vcpu", "2", "--on-crash", arg}});
}

/* Its snapshot is whole. */
static void assert_saved(const char *words)
{
    struct stasis_snap *snap;
    struct stasis_error err;

    session_assert_one_line(&session, words);
    session_assert_one_line(&session, folder.file);
    kvm_ok(stasis_snap_open(folder.file, NULL, &snap, &err), &err);
    kvm_ok(stasis_snap_verify(snap, 1, NULL, NULL, &err), &err);
    stasis_snap_free(snap);
}

static int restore(void)
{
    return session_run(&session, &(struct session_options){.args = {"--restore", folder.file}});
}

/* ud2, and no IDT; or a jump to where no KVM fetches instructions from. */
static void crash_is_saved_and_happens_again_when_thawed(void)
{
    static const uint8_t fault[] = {0x0f, 0x0b};
    static const uint8_t jump[] = {0xb8, 0x00, 0x00, 0x00, 0xe0, 0xff, 0xe0};

    setup("up", fault, sizeof(fault));
    assert_int_equal(run(folder.file, ""), 6);
    assert_saved("triple fault");
    assert_string_equal(session.out_text, "up");
    assert_int_equal(restore(), 6);
    session_folder_fini(&folder);
    setup("up", jump, sizeof(jump));
    assert_int_equal(run(folder.file, ""), 6);
    assert_saved("the guest died: ");
    assert_int_equal(restore(), 6);
    session_folder_fini(&folder);
}

/* The vCPU that printed it goes on from there. */
static void panic_text_wins_over_the_reset(void)
{
    setup("[    1.5] Kernel panic - not syncing", kvm_resetting, sizeof(kvm_resetting));
    assert_int_equal(run(folder.file, ",panic_text=on"), 6);
    assert_saved("the guest panicked: ");
    assert_int_equal(restore(), SESSION_RESET);
    assert_int_equal(session.out_len, 0);
    assert_int_equal(unlink(folder.file), 0);
    assert_int_equal(run(NULL, ",panic_text=on"), 6);
    session_assert_one_line(&session, "the guest panicked: ");
    assert_int_equal(run(folder.file, ""), SESSION_RESET); /* nobody asked for it */
    assert_int_equal(access(folder.file, F_OK), -1);
    session_folder_fini(&folder);
}

/* The device tells, without being asked for; what comes behind it does not happen. */
static void pvpanic_wins_over_the_reset(void)
{
    /* mov dx, 0x505; in al, dx; and al, 1; out dx, al; then the reset */
    static const uint8_t panic[] = {0x66, 0xba, 0x05, 0x05, 0xec, 0x24,
                                    0x01, 0xee, 0xb0, 0xfe, 0xe6, 0x64};

    setup("up", panic, sizeof(panic));
    assert_int_equal(run(folder.file, ""), 6);
    assert_saved("the guest panicked: its kernel has said so by pvpanic; as it was then");
    assert_int_equal(restore(), SESSION_RESET);
    session_folder_fini(&folder);
}

static void line_that_quotes_a_panic_is_none(void)
{
    setup("# echo Kernel panic - not syncing", kvm_resetting, sizeof(kvm_resetting));
    assert_int_equal(run(folder.file, ",panic_text=on"), SESSION_RESET);
    assert_int_equal(access(folder.file, F_OK), -1);
    session_folder_fini(&folder);
}

static void file_that_cannot_be_written_is_said_beside_the_crash(void)
{
    static const uint8_t fault[] = {0x0f, 0x0b};

    setup("up", fault, sizeof(fault));
    snprintf(arg, sizeof(arg), "snapshot=%s", folder.file);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--kernel", kernel, "--memory",
                                                                 "32", "--on-crash", arg},
                                                        .file_limit = 4096}),
        6);
    session_assert_one_line(&session, "triple fault");
    session_assert_one_line(&session, "it could not be saved: ");
    assert_int_equal(access(folder.file, F_OK), -1);
    assert_int_equal(run("/there/is/none", ""), 2);
    session_assert_one_line(&session, "--on-crash snapshot=");
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(crash_is_saved_and_happens_again_when_thawed),
        KVM_CASE(panic_text_wins_over_the_reset),
        KVM_CASE(pvpanic_wins_over_the_reset),
        KVM_CASE(line_that_quotes_a_panic_is_none),
        KVM_CASE(file_that_cannot_be_written_is_said_beside_the_crash),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
