/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM that holds folders has an empty root, too, and goes on to make files and connections there.
 * Each case is a child that opens what a VM opens, confines itself, and makes use of it.
 */
#include "confine_holders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stasis_options.h"

static const struct stasis_control_config no_control;
static char held[80]; /* the folder that is held, of the user that holds it */

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(held, sizeof(held), "%s", in_folder("held"));
    assert_int_equal(chmod(folder, 0755) || mkdir(held, 0700), 0);
    assert_int_equal(mkdir(in_folder("beside"), 0777) || chmod(in_folder("beside"), 0777), 0);
    make_file(in_folder("beside/file"));
    return chmod(in_folder("beside/file"), 0666);
}

static int tear_down(void **state)
{
    static const char *const made[] = {"beside/file", "beside", "held", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        assert_int_equal(remove(in_folder(made[i])), 0);
    return 0;
}

/* ---- each of them ---- */

struct run {
    const struct holder *holder;
    struct confine_user user;
};

/* As on a kernel before 6.10, where a file without a name gets one by that in /proc only. */
static bool lacks_empty_paths(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_linkat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, AT_EMPTY_PATH, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOENT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* The options of the holder; its files are opened between the two halves of the sandbox. */
static bool confine(const struct run *run, struct stasis_confinement *confinement)
{
    struct stasis_vmm_config config = {.demo = true, .kvm_fd = STDIN_FILENO + 3};
    struct stasis_control_config control = no_control;
    struct stasis_error err = {0};

    if (run->holder->option == HOLDER_OF_CLIENTS)
        control = (struct stasis_control_config){.path = in_folder("socket"), .dir = held};
    else
        *(const char **)((char *)&config + run->holder->option) = in_folder("held/file");
    config.block[0].path = "/dev/null"; /* below an overlay */
    config.metrics_every_ms = run->holder->thread == STASIS_VMM_THREAD_METRICS;
    *confinement = (struct stasis_confinement){.mode = run->user.mode, .end = confine_end};
    return become(&run->user) && lacks_empty_paths() &&
           (!run->holder->listens || listens(run->holder->listens)) &&
           !stasis_confine_begin(confinement, &config, &control, &err) && run->holder->open() &&
           !stasis_confine_opened(confinement, &config, &err);
}

static int holds_folder(void *arg)
{
    const struct run *run = arg;
    struct stasis_confinement confinement;

    if (!confine(run, &confinement) ||
        stasis_confine_thread(&confinement, run->holder->thread, NULL))
        return 1;
    if (!sees_no_files())
        return 2;
    return run->holder->use() ? 0 : 3;
}

/* How many names there were in the folder, which is empty then. */
static unsigned empty_held(void)
{
    DIR *list = opendir(held);
    const struct dirent *entry;
    unsigned count = 0;

    assert_non_null(list);
    while ((entry = readdir(list))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        assert_int_equal(unlinkat(dirfd(list), entry->d_name, 0), 0);
        count++;
    }
    closedir(list);
    return count;
}

static void holds_for(uid_t id)
{
    for (size_t i = 0; i < HOLDERS; i++) {
        struct run run = {&holders[i], {.id = id, .mode = STASIS_CONFINE_REQUIRE}};
        int status = in_child(holds_folder, &run);

        if (status || empty_held() != holders[i].left)
            fail_msg("%s: %d", holders[i].what, status);
    }
}

static void all_have_an_empty_root(void **state)
{
    (void)state;
    if (!may_make_namespaces(ORDINARY)) {
        puts("skipped: users may make no namespaces here");
        skip();
    }
    holds_for(0);
    if (geteuid())
        return;
    assert_int_equal(chown(held, ORDINARY, ORDINARY), 0);
    holds_for(ORDINARY);
    assert_int_equal(chown(held, 0, 0), 0);
}

/* ---- what a thread that was taken over reaches from there ---- */

/* One bit for each that succeeds. The last ones are no more than looks. */
#define ONLY_LOOKS 0x300

static int reach(int from)
{
    const int done[] = {
        openat(from, "../beside/file", O_RDONLY | O_CLOEXEC) >= 0,
        openat(from, "../beside/file", O_WRONLY | O_CLOEXEC) >= 0,
        openat(from, "../beside/new", O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0,
        openat(from, "../beside", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) >= 0,
        openat(from, "../beside", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0,
        !unlinkat(from, "../beside/file", 0),
        !renameat(from, "../beside/file", from, "file"),
        !linkat(from, "../beside/file", from, "file", 0),
        !faccessat(from, "../beside/file", F_OK, 0),
        !faccessat(from, "../../../etc/passwd", F_OK, 0),
    };
    int reached = 0;

    for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++)
        reached |= done[i] << i;
    return reached;
}

static int reaches(void *arg)
{
    static const char *const names[] = {"/etc/passwd",  "../../../etc/passwd", "../../1/status",
                                        "../mountinfo", "../environ",          "../mem",
                                        "../smaps",     "../net/unix",         "../fdinfo/0",
                                        "../task"};
    const struct run *run = arg;
    struct stasis_confinement confinement;
    int from = open(held, O_PATH | O_CLOEXEC);

    if (!confine(run, &confinement) || sees_no_files() == run->user.forbidden)
        return 1;
    /* The working directory leads up, too. */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (opens(names[i], O_RDONLY) || opens(names[i], O_WRONLY))
            return 2;
    return reach(from) == ONLY_LOOKS ? 0 : 3;
}

/* From a folder, names lead up as before: the root is another part than Landlock, which limits what
 * can be opened. */
static void no_more_is_reached_than_without(void **state)
{
    struct run run = {&holders[0], {.id = geteuid() ? 0 : ORDINARY}};
    const bool differ = may_make_namespaces(ORDINARY);

    (void)state;
    if (!geteuid())
        assert_int_equal(chown(held, ORDINARY, ORDINARY), 0);
    if (differ)
        assert_int_equal(in_child(reaches, &run), 0);
    run.user.forbidden = true;
    assert_int_equal(in_child(reaches, &run), 0);
    if (!geteuid())
        assert_int_equal(chown(held, 0, 0), 0);
    (void)empty_held();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_have_an_empty_root),
        cmocka_unit_test(no_more_is_reached_than_without),
    };

    return !STASIS_WITH_SANDBOX ? 77 : cmocka_run_group_tests(tests, set_up, tear_down);
}
