/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/outfile.h"

static const char *content(const char *path)
{
    static char text[64];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (n < 0)
        return "(none)";
    text[n] = '\0';
    close(fd);
    return text;
}

static void put(struct stasis_outfile *file, const char *text)
{
    assert_int_equal(stasis_outfile_put(file, text, strlen(text), 0, NULL), 0);
}

static size_t entries(void)
{
    char folder[256];

    snprintf(folder, sizeof(folder), "%s", in_folder(""));
    return folder_entries(folder);
}

static void appears_when_it_is_committed(void **state)
{
    struct stasis_outfile file;
    struct stat st;

    (void)state;
    write_file(in_folder("a"), "old", 3);
    assert_int_equal(stasis_outfile_open(&file, in_folder("a"), NULL), 0);
    put(&file, "newer");
    assert_string_equal(content(in_folder("a")), "old");
    assert_int_equal(stasis_outfile_commit(&file, 3, NULL), 0);
    stasis_outfile_discard(&file);
    assert_string_equal(content(in_folder("a")), "new");
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(entries(), 1);
}

static void what_is_discarded_leaves_nothing(void **state)
{
    struct stasis_outfile file;

    (void)state;
    write_file(in_folder("a"), "old", 3);
    assert_int_equal(stasis_outfile_open(&file, in_folder("a"), NULL), 0);
    put(&file, "new");
    stasis_outfile_discard(&file);
    assert_string_equal(content(in_folder("a")), "old");
    assert_int_equal(stasis_outfile_open(&file, in_folder("b"), NULL), 0);
    stasis_outfile_discard(&file);
    assert_int_equal(entries(), 1);
}

static void a_link_is_followed(void **state)
{
    struct stasis_outfile file;
    struct stat st;

    (void)state;
    write_file(in_folder("a"), "old", 3);
    assert_int_equal(symlink("a", in_folder("link")), 0);
    assert_int_equal(stasis_outfile_open(&file, in_folder("link"), NULL), 0);
    put(&file, "new");
    assert_int_equal(stasis_outfile_commit(&file, 3, NULL), 0);
    assert_string_equal(content(in_folder("a")), "new");
    assert_int_equal(lstat(in_folder("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void places_that_are_none(void **state)
{
    struct stasis_outfile file;

    (void)state;
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(stasis_outfile_open(&file, in_folder("fifo"), NULL), STASIS_ERR_ARG);
    stasis_outfile_discard(&file);
    assert_int_equal(stasis_outfile_open(&file, in_folder("."), NULL), STASIS_ERR_ARG);
    stasis_outfile_discard(&file);
    assert_int_equal(stasis_outfile_open(&file, in_folder("no/where"), NULL), STASIS_ERR_WRITE);
    stasis_outfile_discard(&file);
    assert_int_equal(stasis_outfile_open(&file, "/dev/null", NULL), STASIS_ERR_ARG);
    stasis_outfile_discard(&file);
}

/* As on a file system without O_TMPFILE. */
static void with_a_temporary_name(void **state)
{
    struct stasis_outfile file;

    (void)state;
    assert_int_equal(stasis_outfile_open(&file, in_folder("a"), NULL), 0);
    close(file.fd);
    snprintf(file.temporary, sizeof(file.temporary), "%s", in_folder("temporary"));
    file.fd = open(file.temporary, O_RDWR | O_CREAT, 0600);
    put(&file, "new");
    assert_int_equal(stasis_outfile_commit(&file, 3, NULL), 0);
    stasis_outfile_discard(&file);
    assert_string_equal(content(in_folder("a")), "new");
    assert_string_equal(content(in_folder("temporary")), "(none)");
    assert_int_equal(stasis_outfile_open(&file, in_folder("b"), NULL), 0);
    close(file.fd);
    snprintf(file.temporary, sizeof(file.temporary), "%s", in_folder("temporary"));
    file.fd = open(file.temporary, O_RDWR | O_CREAT, 0600);
    stasis_outfile_discard(&file);
    assert_int_equal(entries(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appears_when_it_is_committed, setup_folder,
                                        teardown_folder),
        cmocka_unit_test_setup_teardown(what_is_discarded_leaves_nothing, setup_folder,
                                        teardown_folder),
        cmocka_unit_test_setup_teardown(a_link_is_followed, setup_folder, teardown_folder),
        cmocka_unit_test_setup_teardown(places_that_are_none, setup_folder, teardown_folder),
        cmocka_unit_test_setup_teardown(with_a_temporary_name, setup_folder, teardown_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
