/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Outputs that somebody else makes (struct stasis_output_folders): what is asked of it, in which
 * order, and what is said when it fails.
 */
#include "tests/state-ser/snap/output_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/snap.h"

static char asked[512];       /* a word for each request */
static char named[64];        /* the temporary name */
static int made = -1;         /* by the last of them */
static int failing;           /* errno of opening the folder */
static bool unnamed = true;   /* the file system has files without a name */
static int asked_folder = -1; /* the folder that they are about */

static void note(const char *word)
{
    strncat(asked, word, sizeof(asked) - strlen(asked) - 1);
}

static int open_folder(void *ctx, int folder_fd)
{
    assert_string_equal(ctx, "ctx");
    note("open ");
    if (failing) {
        errno = failing;
        return -1;
    }
    asked_folder = fcntl(folder_fd, F_DUPFD_CLOEXEC, 3);
    return asked_folder;
}

static int make(int folder, const char *name)
{
    assert_int_equal(folder, asked_folder);
    note(name ? "make " : "unnamed ");
    if (!name && !unnamed) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (name)
        snprintf(named, sizeof(named), "%s", name);
    made = name ? openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640)
                : openat(folder, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0640);
    return made;
}

static int give_name(int folder, const char *name)
{
    char proc[32];

    note(strcmp(name, ".") ? "name " : "probe ");
    if (!strncmp(name, ".stasis-", 8))
        snprintf(named, sizeof(named), "%s", name);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", made);
    return linkat(AT_FDCWD, proc, folder, name, AT_SYMLINK_FOLLOW);
}

static int replace(int folder, const char *temporary, const char *name)
{
    assert_string_equal(temporary, named);
    note("replace ");
    return renameat(folder, temporary, folder, name);
}

static int take_away(int folder, const char *temporary)
{
    assert_string_equal(temporary, named);
    note("remove ");
    return unlinkat(folder, temporary, 0);
}

static char context[] = "ctx";

static int open_in(const char *name, struct stasis_output **ret_output, struct stasis_error *err)
{
    struct stasis_output_opts opts = {.size = sizeof(opts),
                                      .snapshot = true,
                                      .folders = {.ctx = context,
                                                  .open = open_folder,
                                                  .make = make,
                                                  .name = give_name,
                                                  .replace = replace,
                                                  .remove = take_away}};
    int rc;

    asked[0] = '\0';
    opts.folder_fd = open("there", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = stasis_output_open(NULL, name, &opts, ret_output, err);
    close(opts.folder_fd);
    return rc;
}

static struct stasis_output *begun_in(const char *name)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};

    if (open_in(name, &output, &err) || stasis_output_begin(output, &err) ||
        stasis_output_put(output, "new", 3, 0, &err))
        fail_msg("%s: %s", name, err.msg);
    return output;
}

static void commit(struct stasis_output *output)
{
    struct stasis_error err = {0};

    if (stasis_output_commit(output, true, &err))
        fail_msg("%s", err.msg);
    stasis_output_close(output);
}

static int set_up(void **state)
{
    failing = 0;
    unnamed = true;
    return output_setup(state) || mkdir("there", 0700);
}

static int tear_down(void **state)
{
    return output_teardown(state);
}

static void new_file_is_made_named_and_private(void **state)
{
    struct stat st;

    (void)state;
    commit(begun_in("file"));
    assert_string_equal(asked, "open unnamed probe name ");
    output_assert_file("there/file", "new");
    assert_int_equal(stat("there/file", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void old_file_is_replaced(void **state)
{
    (void)state;
    output_put_file("there/file", "old");
    commit(begun_in("file"));
    assert_string_equal(asked, "open unnamed probe name name replace ");
    output_assert_file("there/file", "new");
    assert_int_equal(unlink("there/file") || rmdir("there"), 0); /* nothing else is in it */
}

static void file_system_without_unnamed_files_will_do(void **state)
{
    char left[128];

    (void)state;
    unnamed = false;
    stasis_output_close(begun_in("file"));
    assert_string_equal(asked, "open unnamed make remove ");
    snprintf(left, sizeof(left), "there/%s", named);
    assert_int_equal(access(left, F_OK), -1);
    commit(begun_in("file"));
    assert_string_equal(asked, "open unnamed make replace ");
    output_assert_file("there/file", "new");
}

/* Each file that is begun asks anew, and what is thrown away leaves nothing open. */
static void folder_is_held_while_a_file_is_begun(void **state)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(open_in("file", &output, &err), 0);
    assert_string_equal(asked, "");
    assert_int_equal(stasis_output_probe(output, &err), 0);
    assert_string_equal(asked, "open unnamed probe ");
    assert_int_equal(fcntl(asked_folder, F_GETFD), -1);
    assert_int_equal(stasis_output_begin(output, &err), 0);
    assert_string_equal(asked, "open unnamed probe open unnamed probe ");
    stasis_output_close(output);
    assert_int_equal(fcntl(asked_folder, F_GETFD), -1);
}

static void link_within_the_folder_is_followed_and_no_other(void **state)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};

    (void)state;
    output_put_file("there/file", "old");
    output_put_file("outside", "old");
    assert_int_equal(symlink("file", "there/in") || symlink("../outside", "there/out"), 0);
    commit(begun_in("in"));
    output_assert_file("there/file", "new");
    assert_int_equal(open_in("out", &output, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the link leads to another folder"));
    assert_int_equal(open_in("../outside", &output, &err), STASIS_ERR_ARG);
    output_assert_file("outside", "old");
}

static void what_cannot_be_made_is_told(void **state)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(open_in("file", &output, &err), 0);
    failing = EBADF;
    assert_int_equal(stasis_output_begin(output, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "not open for reading (O_PATH)"));
    failing = EPIPE;
    assert_int_equal(stasis_output_begin(output, &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "asking the process that makes it"));
    stasis_output_close(output);
}

static void other_kinds_are_refused(void **state)
{
    struct stasis_output_opts opts = {.size = sizeof(opts), .folders.open = open_folder};
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(stasis_output_open(NULL, "file", &opts, &output, &err), STASIS_ERR_ARG);
    opts.folder_fd = 5;
    opts.kind = STASIS_OUTPUT_IN_PLACE;
    assert_int_equal(stasis_output_open(NULL, "file", &opts, &output, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "no other files than replaced ones"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_file_is_made_named_and_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_file_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_system_without_unnamed_files_will_do, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(folder_is_held_while_a_file_is_begun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(link_within_the_folder_is_followed_and_no_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_made_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_kinds_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
