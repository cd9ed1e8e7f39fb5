/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest that makes invalid accesses, and what vmm says, counts, logs and does. What vmm says of a
 * guest before it runs.
 */
#include "vmm/session_rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct session session;
static struct session_folder folder;
static char kernel[128], metrics[128], text[65536];

#define FLOOD 3000

/* Writes to port 0x80, which no device has; then resets the machine. */
static const uint8_t flood[] = {0xb9, FLOOD & 0xff, FLOOD >> 8, 0x00, 0x00, /* mov $FLOOD, %ecx */
                                0xe6, 0x80,                                 /* out %al, $0x80 */
                                0xe2, 0xfc,                                 /* loop */
                                0xb0, 0xfe,         0xe6,       0x64,       /* out $0xfe, $0x64 */
                                0xf4};                                      /* hlt */
/* Does so once, and prints an X behind it. */
static const uint8_t once[] = {0xe6, 0x80,             /* out %al, $0x80 */
                               0xb0, 'X',  0xee,       /* mov $'X', %al; out %al, %dx */
                               0xb0, 0xfe, 0xe6, 0x64, /* out $0xfe, $0x64 */
                               0xf4};

static int run(const void *tail, size_t len, const char *action)
{
    int status;

    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "path=%s/kernel", folder.path);
    snprintf(metrics, sizeof(metrics), "%s/metrics", folder.path);
    session_write_kernel(kernel + strlen("path="), "hello\n", tail, len);
    status = session_run(&session, &(struct session_options){
                                       .args = {"--kernel", kernel, "--memory", "32",
                                                "--on-guest-error", action, "--metrics", metrics}});
    text[session_read_file(metrics, text, sizeof(text) - 1)] = '\0';
    session_folder_fini(&folder);
    return status;
}

static unsigned lines(const char *at)
{
    unsigned count = 0;

    for (; (at = strchr(at, '\n')); at++)
        count++;
    return count;
}

static void counted_only(void)
{
    char part[64];

    assert_int_equal(run(flood, sizeof(flood), "count"), SESSION_RESET);
    assert_string_equal(session.out_text, "hello\n");
    assert_string_equal(session.err_text, "");
    snprintf(part, sizeof(part), "\"unhandled_port\": %u,", FLOOD);
    assert_non_null(strstr(text, part));
    assert_non_null(strstr(text, "\"out_bytes\": 6,"));
    assert_null(strstr(text, "\"io\": 0,"));
}

/* However long the run takes: ten, and ten more for each second. */
static void a_flood_does_not_flood_standard_error(void)
{
    assert_int_equal(run(flood, sizeof(flood), "event"), SESSION_RESET);
    assert_string_equal(session.out_text, "hello\n");
    assert_non_null(strstr(session.err_text, "vmm: invalid access of the guest: write of 0x"));
    assert_non_null(strstr(session.err_text, "(1 byte) to port 0x80: no device has this port\n"));
    assert_non_null(strstr(session.err_text, "not shown"));
    assert_in_range(lines(session.err_text), 2, FLOOD / 2);
}

static void stopped_at_the_first(void)
{
    assert_int_equal(run(once, sizeof(once), "stop"), 10);
    assert_string_equal(session.out_text, "hello\n");
    session_assert_one_line(&session, "the guest was stopped for an invalid access: write of 0x");
    assert_non_null(strstr(text, "\"unhandled_port\": 1,"));
}

static void ports_without_a_device_may_be_probed(void)
{
    assert_int_equal(run(once, sizeof(once), "stop,of=devices"), SESSION_RESET);
    assert_string_equal(session.out_text, "hello\nX");
    assert_string_equal(session.err_text, "");
}

static void the_log_tells_of_a_life(void)
{
    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "path=%s/kernel", folder.path);
    session_write_kernel(kernel + strlen("path="), "hello\n", once, sizeof(once));
    assert_int_equal(
        session_run(&session,
                    &(struct session_options){.args = {"--kernel", kernel, "--memory", "32",
                                                       "--log", "level=info,time=off"}}),
        SESSION_RESET);
    assert_string_equal(session.err_text,
                        "info: opened: a new guest, generation 0, vCPUs: 1, RAM: 32 MiB\n"
                        "info: running\n"
                        "info: ended: the guest reset the machine\n");
    session_folder_fini(&folder);
}

static bool processor_shows_virtualization(void)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    bool shows = false;

    assert_non_null(file);
    while (!shows && fgets(text, sizeof(text), file))
        shows = strncmp(text, "flags", 5) == 0 && (strstr(text, " vmx ") || strstr(text, " svm "));
    fclose(file);
    return shows;
}

/* A disk of another format, and a kernel as large as Linux where it would be emulated: said before
 * the guest runs, and no more than that. */
static void what_is_seldom_meant_is_said(void)
{
    static const char hint[] = "vmm: this processor shows no hardware virtualization";
    char disk[128];
    FILE *file;

    session_folder_init(&folder);
    snprintf(kernel, sizeof(kernel), "path=%s/kernel", folder.path);
    snprintf(disk, sizeof(disk), "%s/disk", folder.path);
    session_write_kernel(kernel + strlen("path="), "hello\n", once, sizeof(once));
    for (int large = 0; large < 2; large++) {
        file = fopen(disk, "w");
        assert_non_null(file);
        assert_int_equal(fputs(large ? "\x89STASIS\n" : "QFI\xfb", file) >= 0, true);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(truncate(disk, 4096), 0);
        assert_int_equal(
            session_run(&session, &(struct session_options){.args = {"--kernel", kernel, "--memory",
                                                                     "32", "--block", disk}}),
            SESSION_RESET);
        assert_non_null(strstr(session.err_text,
                               large ? "/disk begins like a snapshot or overlay of Stasis, and"
                                     : "/disk begins like a qcow2 image, and"));
        assert_int_equal(strstr(session.err_text, hint) != NULL,
                         large && !processor_shows_virtualization());
        assert_int_equal(truncate(kernel + strlen("path="), 1 << 20), 0);
    }
    session_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(counted_only),
        KVM_CASE(a_flood_does_not_flood_standard_error),
        KVM_CASE(stopped_at_the_first),
        KVM_CASE(ports_without_a_device_may_be_probed),
        KVM_CASE(the_log_tells_of_a_life),
        KVM_CASE(what_is_seldom_meant_is_said),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
