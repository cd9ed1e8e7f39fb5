/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whoever has taken over a thread of vmm makes each call that is forbidden, on a thread of each
 * kind; and what vmm says when a thread makes one.
 */
#include "vmm/session_rig.h"

#include <ctype.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis/vmm.h"
#include "stasis_options.h"
#include "vmm/sandbox/attacks.h"
#include "vmm/sandbox/child.h"

static struct session session;
static struct session_folder folder;
static char arg[256], disk[160], sock[160], secret[128], secret_file[160];

/* ---- code on each kind of thread ---- */

static char attacked;    /* kind of thread, or 0 */
static bool single_call; /* instead of all, one that ends the process */

/* Of which letters calls.def has the rows of that kind. */
static const char *letters_of(char thread)
{
    static char letter[2];

    letter[0] = thread;
    return thread == ATTACK_OPEN_CONNECTING   ? "OCB"
           : thread == ATTACK_LOOP_CONNECTING ? "LC"
                                              : letter;
}

static void run_code(char thread)
{
    const char kind = attacked;

    if (toupper(kind) != thread)
        return;
    attacked = 0;
    if (!single_call)
        attacks_make(letters_of(kind));
    (void)syscall(SYS_execve, "/bin/true", NULL, NULL);
    _exit(99);
}

/* Opening a VM; a vCPU; the event loop; the thread that saves; one that loads RAM; a device's;
 * the one that writes metrics. */
int __wrap_stasis_boot_load(void *a, void *b, void *c, void *d, void *e);
int __real_stasis_boot_load(void *a, void *b, void *c, void *d, void *e);
int __wrap_stasis_boot_load(void *a, void *b, void *c, void *d, void *e)
{
    run_code(ATTACK_OPEN);
    return __real_stasis_boot_load(a, b, c, d, e);
}

void __wrap_stasis_bus_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value);
void __real_stasis_bus_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value);
void __wrap_stasis_bus_pio_write(void *ctx, uint16_t port, unsigned len, uint64_t value)
{
    run_code(ATTACK_VCPU);
    __real_stasis_bus_pio_write(ctx, port, len, value);
}

int __wrap_stasis_signals_read(int fd);
int __real_stasis_signals_read(int fd);
int __wrap_stasis_signals_read(int fd)
{
    int number = __real_stasis_signals_read(fd);

    if (number == SIGUSR1)
        run_code(ATTACK_LOOP);
    return number;
}

int __wrap_stasis_snap_save_output(void *a, void *b, const void *c, void *d, void *e);
int __real_stasis_snap_save_output(void *a, void *b, const void *c, void *d, void *e);
int __wrap_stasis_snap_save_output(void *a, void *b, const void *c, void *d, void *e)
{
    run_code(ATTACK_SAVE);
    return __real_stasis_snap_save_output(a, b, c, d, e);
}

/* The filter is installed behind it: the code runs when the thread waits for its first fault. */
int __wrap_stasis_uffd_wait(const void *uffd, int stop_fd, uint64_t *ret_address);
int __real_stasis_uffd_wait(const void *uffd, int stop_fd, uint64_t *ret_address);
int __wrap_stasis_uffd_wait(const void *uffd, int stop_fd, uint64_t *ret_address)
{
    run_code(ATTACK_RAM);
    return __real_stasis_uffd_wait(uffd, stop_fd, ret_address);
}

int __wrap_stasis_vmm_thread_begins(const void *vmm, enum stasis_vmm_thread thread,
                                    struct stasis_error *err);
int __real_stasis_vmm_thread_begins(const void *vmm, enum stasis_vmm_thread thread,
                                    struct stasis_error *err);
int __wrap_stasis_vmm_thread_begins(const void *vmm, enum stasis_vmm_thread thread,
                                    struct stasis_error *err)
{
    int rc = __real_stasis_vmm_thread_begins(vmm, thread, err);

    if (!rc && thread == STASIS_VMM_THREAD_IO)
        run_code(ATTACK_IO);
    if (!rc && thread == STASIS_VMM_THREAD_METRICS)
        run_code(ATTACK_METRICS);
    return rc;
}

static int taken_over(int argc, char **argv)
{
    attacks_set_target(secret, secret_file);
    return session_main(argc, argv);
}

/* ---- the cases ---- */

static void make_secret(void)
{
    FILE *file;

    assert_int_equal(mkdir(secret, 0700), 0);
    file = fopen(secret_file, "we");
    assert_non_null(file);
    assert_int_equal(fputs("secret", file) >= 0 && !fclose(file), 1);
}

static void make_disk(void)
{
    FILE *file = fopen(disk, "we");

    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), 4096) || fclose(file), 0);
}

static void set_up(void)
{
    session_folder_init(&folder);
    snprintf(secret, sizeof(secret), "%s.secret", folder.path);
    snprintf(secret_file, sizeof(secret_file), "%s/file", secret);
    make_secret();
    snprintf(disk, sizeof(disk), "%s/disk", folder.path);
    snprintf(sock, sizeof(sock), "%s/sock", folder.path);
    make_disk();
}

static void tear_down(void)
{
    char text[16];

    assert_int_equal(session_read_file(secret_file, text, sizeof(text)), 6); /* untouched */
    assert_int_equal(unlink(secret_file), 0);
    assert_int_equal(rmdir(secret), 0);
    assert_int_equal(unlink(disk), 0);
    session_folder_fini(&folder);
}

/* Runs vmm with the words behind --demo or --restore until the thread is taken over. */
static int take_over(char thread, const char *source, const char *file)
{
    struct session_options options = {.program = taken_over, .args = {source}};
    char block[192], metrics[192], control[192], vsock[192];
    size_t count = 1;

    snprintf(block, sizeof(block), "path=%s", disk);
    if (file)
        options.args[count++] = file;
    else
        options.args[count++] = "--memory", options.args[count++] = "16";
    snprintf(arg, sizeof(arg), "%s.out%s", folder.file, thread == ATTACK_SAVE ? ",after_ms=1" : "");
    options.args[count++] = "--snapshot-out";
    options.args[count++] = arg;
    if (thread == ATTACK_IO)
        options.args[count++] = "--block", options.args[count++] = block;
    snprintf(metrics, sizeof(metrics), "%s.metrics,every_ms=60000", folder.file);
    if (thread == ATTACK_METRICS)
        options.args[count++] = "--metrics", options.args[count++] = metrics;
    snprintf(vsock, sizeof(vsock), "path=%s.vsock", sock);
    if (islower(thread))
        options.args[count++] = "--vsock", options.args[count++] = vsock;
    snprintf(control, sizeof(control), "path=%s", sock);
    if (STASIS_WITH_JSON) /* whose clients may send any folder */
        options.args[count++] = "--control", options.args[count] = control;
    attacked = thread;
    session_start(&session, &options);
    attacked = 0;
    if (toupper(thread) == ATTACK_LOOP) {
        session_wait_out(&session, "tick 1");
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
    }
    return session_end(&session);
}

/* What each call came to on each thread: a column of the table. */
static void read_column(char *column, size_t step)
{
    char words[128];

    for (size_t i = 0; i < attacks_count(); i++) {
        const char *at;

        snprintf(words, sizeof(words), "attack %s: ", attacks_name(i));
        at = strstr(session.err_text, words);
        column[i * step] = at ? at[strlen(words)] : '-';
    }
}

#define KINDS 9

/* How many calls that are in no row of it the thread has made. */
static unsigned read_others(void)
{
    const char *at = strstr(session.err_text, "others: ");

    return at ? (unsigned)strtoul(at + strlen("others: "), NULL, 10) : 0;
}

/* One line a call; s: seccomp, E: an error, -: the thread needs the call. */
static void print_table(const char *kinds, const char *table, const unsigned others[KINDS])
{
    for (size_t k = 0; k < KINDS; k++)
        printf("%c: %u calls that are in no row of it, all refused\n", kinds[k], others[k]);
    printf("%-32s %s\n", "call", kinds);
    for (size_t i = 0; i < attacks_count(); i++)
        printf("%-32s %.*s\n", attacks_name(i), KINDS, table + i * KINDS);
}

static void make_snapshot(void)
{
    snprintf(arg, sizeof(arg), "%s,after_ms=300", folder.file);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "16",
                                                                 "--snapshot-out", arg}}),
        0);
}

static int makes_it(void *attack)
{
    attacks_set_target(secret, secret_file);
    return attacks_succeed(*(const size_t *)attack) ? 0 : 1;
}

/* What a thread could not do for an error, rather than a filter, it can do without the sandbox. */
static void errors_are_of_the_sandbox(const char *table)
{
    char made[200];

    snprintf(made, sizeof(made), "%s/new", secret);
    for (size_t i = 0; i < attacks_count(); i++) {
        if (!memchr(table + i * KINDS, 'E', KINDS))
            continue;
        if (in_child(makes_it, &i))
            fail_msg("%s: cannot be done without the sandbox, either", attacks_name(i));
        (void)unlink(made);
        (void)unlink(secret_file);
        assert_int_equal(rmdir(secret), 0);
        make_secret();
    }
}

/* Of what a thread said: the line of the first attack that succeeded, else the last lines. */
static const char *what_matters(void)
{
    const char *at = strstr(session.err_text, "NOT REFUSED");
    size_t len = strlen(session.err_text);

    if (!at)
        return session.err_text + (len > 400 ? len - 400 : 0);
    while (at > session.err_text && at[-1] != '\n')
        at--;
    return at;
}

static void code_on_each_thread_is_confined(void)
{
    static const char kinds[KINDS + 1] = "OLSVRIMol";
    static char table[128 * KINDS];
    unsigned others[KINDS];
    char source[128];

    assert_true(attacks_count() <= 128);
    set_up();
    make_snapshot();
    snprintf(source, sizeof(source), "%s,memory=lazy", folder.file);
    for (size_t k = 0; k < KINDS; k++) {
        bool loads = kinds[k] == ATTACK_RAM;
        int status = take_over(kinds[k], loads ? "--restore" : "--demo", loads ? source : NULL);

        if (loads && !strstr(session.err_text, "attack ")) {
            printf("skip: no userfaultfd here, so that no thread loads memory\n");
            memset(session.err_text, 0, sizeof(session.err_text));
        } else if (status || strstr(session.err_text, "NOT REFUSED")) {
            fail_msg("%c: status %d: %.400s", kinds[k], status, what_matters());
        }
        read_column(table + k, KINDS);
        others[k] = read_others();
    }
    print_table(kinds, table, others);
    errors_are_of_the_sandbox(table);
    tear_down();
}

/* ---- the last word ---- */

static void assert_is_named(char thread, const char *name, const char *source, const char *file)
{
    char words[128];
    int status = take_over(thread, source, file);

    if (thread == ATTACK_RAM && !status) {
        printf("skip: no userfaultfd here, so that no thread loads memory\n");
        return;
    }
    assert_int_equal(status, 12);
    snprintf(words, sizeof(words),
             "vmm: the sandbox refuses %s the system call execve (59): ", name);
    session_assert_one_line(&session, words);
}

static void refused_call_ends_vmm_and_is_named(void)
{
    static const struct {
        char thread;
        const char *name;
    } cases[] = {{ATTACK_OPEN, "the thread that opens the VM"},
                 {ATTACK_LOOP, "the event loop"},
                 {ATTACK_SAVE, "the thread that saves"},
                 {ATTACK_VCPU, "a vCPU's thread"},
                 {ATTACK_IO, "a device's thread"},
                 {ATTACK_METRICS, "the thread that writes metrics"}};
    char source[128];

    set_up();
    make_snapshot();
    snprintf(source, sizeof(source), "%s,memory=lazy", folder.file);
    single_call = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_is_named(cases[i].thread, cases[i].name, "--demo", NULL);
    assert_is_named(ATTACK_RAM, "a thread that loads RAM", "--restore", source);
    single_call = false;
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(code_on_each_thread_is_confined),
        KVM_CASE(refused_call_ends_vmm_and_is_named),
    };
    int missing = STASIS_WITH_SANDBOX ? kvm_missing() : 77;

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
