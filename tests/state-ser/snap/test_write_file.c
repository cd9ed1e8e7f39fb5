/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A save shows the old file or the whole new one, and leaves nothing else in the folder.
 */
#include "tests/state-ser/snap/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    struct built built;
    const char *folder;
    char path[128];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    place->folder = folder_make();
    snprintf(place->path, sizeof(place->path), "%s/snap", place->folder);
    built_large(&place->built);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;

    built_fini(&place->built);
    folder_remove();
    free(place);
    return 0;
}

uint64_t __wrap_stasis_ram_io_now_us(void);

/* Who asks for the time gets 7 us more than the last. */
uint64_t __wrap_stasis_ram_io_now_us(void)
{
    static uint64_t now;

    return now += 7;
}

static int save(struct place *place, const char *path, struct stasis_error *err)
{
    return stasis_snap_save(place->built.snap, path, NULL, NULL, err);
}

static void assert_whole(const char *path)
{
    struct stasis_error err = {0};
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    if (check_fd(fd, &err))
        fail_msg("%s", err.msg);
    close(fd);
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_text(const char *path, const char *text)
{
    struct image image = image_read(path);

    assert_int_equal(image.len, strlen(text));
    assert_memory_equal(image.bytes, text, image.len);
    image_fini(&image);
}

static void only_the_owner_may_read_whatever_umask(void **state)
{
    static const mode_t masks[] = {0, 022, 0777};
    struct place *place = *state;

    for (size_t i = 0; i < 3; i++) {
        struct stasis_error err = {0};
        mode_t old = umask(masks[i]);
        struct stat st;

        assert_int_equal(save(place, place->path, &err), 0);
        umask(old);
        assert_int_equal(stat(place->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(folder_entries(place->folder), 1);
        assert_whole(place->path);
    }
}

static void a_save_replaces_what_was_there(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .threads = 1, .no_sync = true};
    struct place *place = *state;
    struct stasis_error err = {0};

    write_text(place->path, "old");
    assert_int_equal(save(place, place->path, &err), 0);
    assert_whole(place->path);
    place->built.ram[0][0x10000] ^= 0xff;
    assert_int_equal(stasis_snap_save(place->built.snap, place->path, &opts, NULL, &err), 0);
    assert_whole(place->path);
    assert_int_equal(folder_entries(place->folder), 1);
    opts.size = 1;
    assert_int_equal(stasis_snap_save(place->built.snap, place->path, &opts, NULL, &err),
                     STASIS_ERR_ARG);
}

static void a_relative_path_is_saved_to(void **state)
{
    struct place *place = *state;
    struct stasis_error err = {0};
    char before[256];

    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(place->folder), 0);
    assert_int_equal(save(place, "snap", &err), 0);
    assert_int_equal(chdir(before), 0);
    assert_whole(place->path);
}

static void links_are_followed(void **state)
{
    struct place *place = *state;
    struct stasis_error err = {0};
    struct stat st;
    char inner[160];
    char link1[160];
    char link2[160];
    char loop[160];

    snprintf(inner, sizeof(inner), "%s/inner", place->folder);
    snprintf(link1, sizeof(link1), "%s/link1", place->folder);
    snprintf(link2, sizeof(link2), "%s/link2", place->folder);
    snprintf(loop, sizeof(loop), "%s/loop", place->folder);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(symlink("inner/real", link1), 0);
    assert_int_equal(symlink(link1, link2), 0);
    assert_int_equal(symlink("loop", loop), 0);
    for (int i = 0; i < 2; i++) { /* the first finds the link dangling */
        assert_int_equal(save(place, link2, &err), 0);
        assert_int_equal(lstat(link2, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(folder_entries(inner), 1);
        assert_whole(link2);
    }
    assert_int_equal(save(place, loop, &err), STASIS_ERR_ARG);
    snprintf(link1, sizeof(link1), "%s/inner/real", place->folder);
    unlink(link1);
}

static void refused(struct place *place, const char *path, int code, const char *words)
{
    struct stasis_error err = {0};
    int rc = save(place, path, &err);

    if (rc != code || !strstr(err.msg, words) || !strstr(err.msg, path))
        fail_msg("got %d \"%s\", expected %d \"%s\"", rc, err.msg, code, words);
}

static void places_that_are_no_files_are_refused(void **state)
{
    struct place *place = *state;
    char path[160];

    refused(place, place->folder, STASIS_ERR_ARG, "not a regular file");
    refused(place, "", STASIS_ERR_ARG, "empty");
    refused(place, "/dev/null", STASIS_ERR_ARG, "not a regular file");
    snprintf(path, sizeof(path), "%s/", place->folder);
    refused(place, path, STASIS_ERR_ARG, "name a file");
    snprintf(path, sizeof(path), "%s/fifo", place->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(place, path, STASIS_ERR_ARG, "not a regular file");
    snprintf(path, sizeof(path), "%s/new/", place->folder);
    refused(place, path, STASIS_ERR_ARG, "name a file");
    snprintf(path, sizeof(path), "%s/none/snap", place->folder);
    refused(place, path, STASIS_ERR_WRITE, "No such file");
    snprintf(path, sizeof(path), "%s/fifo/snap", place->folder);
    refused(place, path, STASIS_ERR_WRITE, "Not a directory");
    assert_int_equal(folder_entries(place->folder), 1);
}

/* Runs `body` in a child, so that what it does to the process stays there. */
static int in_child(int (*body)(struct place *), struct place *place)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(body(place));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int expect_write_error(struct place *place, const char *path, const char *words)
{
    struct stasis_error err = {0};
    int rc = save(place, path, &err);

    if (rc == STASIS_ERR_WRITE && stasis_err_exit_status(rc) == 7 && strstr(err.msg, words) &&
        strstr(err.msg, "the old file is whole"))
        return 0;
    fprintf(stderr, "got %d \"%s\", expected \"%s\"\n", rc, err.msg, words);
    return 1;
}

static int as_nobody(struct place *place)
{
    if (getuid() == 0 && setresuid(65534, 65534, 65534))
        return 2;
    return expect_write_error(place, place->path, "Permission denied");
}

static void an_unwritable_folder_is_a_write_error(void **state)
{
    struct place *place = *state;

    write_text(place->path, "old");
    assert_int_equal(chmod(place->folder, 0555), 0);
    assert_int_equal(in_child(as_nobody, place), 0);
    assert_int_equal(chmod(place->folder, 0700), 0);
    assert_text(place->path, "old");
    assert_int_equal(folder_entries(place->folder), 1);
}

static int with_file_limit(struct place *place)
{
    struct rlimit limit = {1 << 20, 1 << 20};

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit))
        return 2;
    return expect_write_error(place, place->path, "File too large");
}

static void a_file_limit_keeps_the_old_file(void **state)
{
    struct place *place = *state;

    write_text(place->path, "old");
    assert_int_equal(in_child(with_file_limit, place), 0);
    assert_text(place->path, "old");
    assert_int_equal(folder_entries(place->folder), 1);
}

/* Makes a system call fail with `error` where its argument number `arg` passes `test` (BPF_JEQ or
 * BPF_JSET) against `value`. */
static int forbid(unsigned call, unsigned arg, unsigned test, unsigned value, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * arg),
        BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* As on a file system that cannot do it. */
static int forbid_tmpfile(void)
{
    return forbid(__NR_openat, 2, BPF_JSET, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP);
}

static int without_tmpfile(struct place *place)
{
    struct stasis_error err = {0};

    umask(0);
    if (forbid_tmpfile() || openat(AT_FDCWD, place->folder, O_TMPFILE | O_RDWR, 0600) >= 0)
        return 2;
    if (save(place, place->path, &err))
        return 3;
    return with_file_limit(place);
}

static void a_file_system_without_tmpfile_will_do(void **state)
{
    struct place *place = *state;
    struct stat st;

    assert_int_equal(in_child(without_tmpfile, place), 0);
    assert_int_equal(folder_entries(place->folder), 1);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_whole(place->path);
}

/* As in a jail without /proc and without capabilities. */
static int without_names_for_unnamed_files(struct place *place)
{
    if (forbid(__NR_linkat, 4, BPF_JSET, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW, ENOENT))
        return 2;
    return save(place, place->path, NULL) ? 3 : with_file_limit(place);
}

static void a_jail_without_proc_will_do(void **state)
{
    struct place *place = *state;

    assert_int_equal(in_child(without_names_for_unnamed_files, place), 0);
    assert_int_equal(folder_entries(place->folder), 1);
    assert_whole(place->path);
}

/* The descriptors that a save will open: the folder's first, then the file's. */
static int next_fd(void)
{
    int fd = dup(STDIN_FILENO);

    close(fd);
    return fd;
}

static bool is_told(const struct stasis_save_stats *stats)
{
    return stats->file_bytes != 1 || stats->stored_bytes != 2 || stats->compressed_bytes != 3 ||
           stats->zero_bytes != 4 || stats->publish_us != 5;
}

/* Whether a save fails with these words and changes none of its outputs. */
static int fails_and_tells_nothing(struct place *place, const char *words)
{
    const struct stasis_snap_info before = *stasis_snap_info(place->built.snap);
    struct stasis_save_stats stats = {.file_bytes = 1,
                                      .stored_bytes = 2,
                                      .compressed_bytes = 3,
                                      .zero_bytes = 4,
                                      .publish_us = 5};
    struct stasis_error err = {0};
    int rc = stasis_snap_save(place->built.snap, place->path, NULL, &stats, &err);

    if (rc != STASIS_ERR_WRITE || !strstr(err.msg, words))
        return 3;
    if (is_told(&stats))
        return 4;
    /* A save that told would have told a new UUID. */
    return memcmp(before.uuid, stasis_snap_info(place->built.snap)->uuid, sizeof(before.uuid)) ? 5
                                                                                               : 0;
}

static int when_the_file_cannot_be_synced(struct place *place)
{
    if (forbid(__NR_fsync, 0, BPF_JEQ, (unsigned)next_fd() + 1, EIO))
        return 2;
    return fails_and_tells_nothing(place, "the old file is whole): bringing it to the disk");
}

static int when_the_folder_cannot_be_synced(struct place *place)
{
    if (forbid(__NR_fsync, 0, BPF_JEQ, (unsigned)next_fd(), EIO))
        return 2;
    return fails_and_tells_nothing(place, "the new file is in place");
}

static void a_failed_sync_is_a_failed_save(void **state)
{
    struct place *place = *state;

    write_text(place->path, "old");
    assert_int_equal(in_child(when_the_file_cannot_be_synced, place), 0);
    assert_text(place->path, "old");
    assert_int_equal(in_child(when_the_folder_cannot_be_synced, place), 0);
    assert_whole(place->path);
    assert_int_equal(folder_entries(place->folder), 1);
}

static int when_folders_know_no_sync(struct place *place)
{
    if (forbid(__NR_fsync, 0, BPF_JEQ, (unsigned)next_fd(), EINVAL))
        return 2;
    return save(place, place->path, NULL) ? 3 : 0;
}

static void a_file_system_that_syncs_no_folders_will_do(void **state)
{
    struct place *place = *state;

    assert_int_equal(in_child(when_folders_know_no_sync, place), 0);
    assert_whole(place->path);
}

static int on_a_full_disk(struct place *place)
{
    struct stasis_error err = {0};
    char path[160];
    struct stat before;
    struct stat after;

    if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
        return 77;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", place->folder, "tmpfs", 0, "size=8m"))
        return 77;
    snprintf(path, sizeof(path), "%s/snap", place->folder);
    if (save(place, path, &err) || stat(path, &before)) /* 4.3 MiB: it fits once */
        return 2;
    for (int i = 0; i < 3; i++)
        if (expect_write_error(place, path, "No space left on device"))
            return 3;
    if (stat(path, &after) || before.st_ino != after.st_ino || before.st_size != after.st_size)
        return 4;
    int fd = open(path, O_RDONLY);
    if (check_fd(fd, &err))
        return 5;
    return folder_entries(place->folder) == 1 ? 0 : 6;
}

static void a_full_disk_keeps_the_old_file(void **state)
{
    int rc = in_child(on_a_full_disk, *state);

    if (rc == 77) {
        print_message("skipped: this user may not mount a tmpfs\n");
        skip();
    }
    assert_int_equal(rc, 0);
}

/* Killed at any moment, a save leaves the old file, or the new one, or both under one name. */
static void a_killed_save_leaves_no_litter(void **state)
{
    struct place *place = *state;

    for (unsigned i = 0; i < 40; i++) {
        pid_t child;

        unlink(place->path);
        child = fork();
        if (child == 0)
            _exit(save(place, place->path, NULL) ? 1 : 0);
        usleep(i * 150);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (!access(place->path, F_OK))
            assert_whole(place->path);
        assert_int_equal(folder_entries(place->folder), !access(place->path, F_OK));
    }
}

static void operations_on_the_wrong_kind_of_snapshot_are_refused(void **state)
{
    struct place *place = *state;
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    uint8_t page[4096];

    assert_int_equal(save(place, place->path, &err), 0);
    assert_int_equal(stasis_snap_open(place->path, NULL, &snap, &err), 0);
    assert_int_equal(stasis_snap_add_ram(snap, 1 << 30, page, 4096, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_load_ram(snap, 2, page, 1, NULL, NULL, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_load_ram(place->built.snap, 0, page, 1, NULL, NULL, &err),
                     STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_verify(place->built.snap, 1, NULL, NULL, &err), STASIS_ERR_ARG);
    stasis_snap_free(snap);
}

/* Asked for once before the file is published and once behind it. */
static void the_time_to_publish_is_told(void **state)
{
    struct place *place = *state;
    struct stasis_save_stats stats = {.publish_us = 1};
    struct stasis_error err = {0};

    assert_int_equal(stasis_snap_save(place->built.snap, place->path, NULL, &stats, &err), 0);
    assert_int_equal(stats.publish_us, 7);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_time_to_publish_is_told),
        CASE(only_the_owner_may_read_whatever_umask),
        CASE(a_save_replaces_what_was_there),
        CASE(a_relative_path_is_saved_to),
        CASE(links_are_followed),
        CASE(places_that_are_no_files_are_refused),
        CASE(an_unwritable_folder_is_a_write_error),
        CASE(a_file_limit_keeps_the_old_file),
        CASE(a_file_system_without_tmpfile_will_do),
        CASE(a_jail_without_proc_will_do),
        CASE(a_failed_sync_is_a_failed_save),
        CASE(a_file_system_that_syncs_no_folders_will_do),
        CASE(a_full_disk_keeps_the_old_file),
        CASE(a_killed_save_leaves_no_litter),
        CASE(operations_on_the_wrong_kind_of_snapshot_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
