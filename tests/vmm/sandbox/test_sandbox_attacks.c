/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whoever has taken over a thread of vmm makes each call that is forbidden, on a thread of each
 * kind; and what vmm says when a thread makes one.
 */
#include "vmm/session_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis_options.h"
#include "vmm/sandbox/attacks.h"

static struct session session;
static struct session_folder folder;
static char arg[256], secret[128], secret_file[160];

/* ---- code on each kind of thread ---- */

static char attacked;    /* kind of thread, or 0 */
static bool single_call; /* instead of all, one that ends the process */

static void run_code(char thread)
{
    if (attacked != thread)
        return;
    attacked = 0;
    if (!single_call)
        attacks_make(thread);
    (void)syscall(SYS_execve, "/bin/true", NULL, NULL);
    _exit(99);
}

/* Opening a VM; a vCPU; the event loop; the thread that saves; the one that loads RAM. */
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

#define ATTACK_LOADER 'R'

void __wrap_stasis_ram_io_hurry(void);
void __real_stasis_ram_io_hurry(void);
void __wrap_stasis_ram_io_hurry(void)
{
    if (attacked == ATTACK_LOADER) {
        attacked = ATTACK_OPEN; /* whose calls it has */
        run_code(ATTACK_OPEN);
    }
    __real_stasis_ram_io_hurry();
}

static int taken_over(int argc, char **argv)
{
    attacks_set_target(secret, secret_file);
    return session_main(argc, argv);
}

/* ---- the cases ---- */

static void set_up(void)
{
    FILE *file;

    session_folder_init(&folder);
    snprintf(secret, sizeof(secret), "%s.secret", folder.path);
    snprintf(secret_file, sizeof(secret_file), "%s/file", secret);
    assert_int_equal(mkdir(secret, 0700), 0);
    file = fopen(secret_file, "we");
    assert_non_null(file);
    assert_int_equal(fputs("secret", file) >= 0 && !fclose(file), 1);
}

static void tear_down(void)
{
    char text[16];

    assert_int_equal(session_read_file(secret_file, text, sizeof(text)), 6); /* untouched */
    assert_int_equal(unlink(secret_file), 0);
    assert_int_equal(rmdir(secret), 0);
    session_folder_fini(&folder);
}

/* Runs vmm with the words behind --demo or --restore until the thread is taken over. */
static int take_over(char thread, const char *source, const char *file)
{
    struct session_options options = {.program = taken_over, .args = {source}};
    size_t count = 1;

    if (file)
        options.args[count++] = file;
    else
        options.args[count++] = "--memory", options.args[count++] = "16";
    snprintf(arg, sizeof(arg), "%s.out%s", folder.file, thread == ATTACK_SAVE ? ",after_ms=1" : "");
    options.args[count++] = "--snapshot-out";
    options.args[count] = arg;
    attacked = thread;
    session_start(&session, &options);
    attacked = 0;
    if (thread == ATTACK_LOOP) {
        session_wait_out(&session, "tick 1");
        assert_int_equal(kill(session.pid, SIGUSR1), 0);
    }
    return session_end(&session);
}

static unsigned count_of(const char *text)
{
    unsigned count = 0;

    for (const char *at = session.err_text; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static void assert_refused(const char *thread, int status)
{
    unsigned made = count_of("attack ");

    if (status)
        fail_msg("%s: status %d: %s", thread, status, session.err_text);
    assert_true(made + 8 >= attacks_count()); /* all but what the thread needs */
    printf("%s", session.err_text);
    printf("%-28s %3u calls refused: %u by seccomp, %u by Landlock, %u unknown to it\n", thread,
           made, count_of(": seccomp\n"), count_of(": Landlock\n"), count_of(": ENOSYS\n"));
}

static void code_on_each_thread_is_confined(void)
{
    set_up();
    assert_refused("opening a VM", take_over(ATTACK_OPEN, "--demo", NULL));
    assert_refused("the event loop", take_over(ATTACK_LOOP, "--demo", NULL));
    assert_refused("the thread that saves", take_over(ATTACK_SAVE, "--demo", NULL));
    assert_refused("a vCPU", take_over(ATTACK_VCPU, "--demo", NULL));
    tear_down();
}

static void code_on_the_thread_that_loads_memory_is_confined(void)
{
    char source[128];
    int status;

    set_up();
    snprintf(arg, sizeof(arg), "%s,after_ms=300", folder.file);
    assert_int_equal(
        session_run(&session, &(struct session_options){.args = {"--demo", "--memory", "16",
                                                                 "--snapshot-out", arg}}),
        0);
    snprintf(source, sizeof(source), "%s,memory=lazy", folder.file);
    status = take_over(ATTACK_LOADER, "--restore", source);
    if (strstr(session.err_text, "userfaultfd") && !strstr(session.err_text, "attack"))
        printf("skip: no userfaultfd here\n");
    else
        assert_refused("the thread that loads memory", status);
    tear_down();
}

/* ---- the last word ---- */

static void refused_call_ends_vmm_and_is_named(void)
{
    static const struct {
        char thread;
        const char *name;
    } cases[] = {{ATTACK_OPEN, "the thread that opens the VM"},
                 {ATTACK_LOOP, "the event loop"},
                 {ATTACK_SAVE, "the thread that saves"},
                 {ATTACK_VCPU, "a vCPU's thread"}};
    char words[128];

    set_up();
    single_call = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(take_over(cases[i].thread, "--demo", NULL), 12);
        snprintf(words, sizeof(words),
                 "vmm: the sandbox refuses %s the system call execve (59): ", cases[i].name);
        session_assert_one_line(&session, words);
    }
    single_call = false;
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(code_on_each_thread_is_confined),
        KVM_CASE(code_on_the_thread_that_loads_memory_is_confined),
        KVM_CASE(refused_call_ends_vmm_and_is_named),
    };
    int missing = STASIS_WITH_SANDBOX ? kvm_missing() : 77;

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
