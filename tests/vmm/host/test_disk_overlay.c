/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A disk with an overlay behaves as one without; what is below stays.
 */
#include "vmm/host/disk_overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define BYTES (64u * 1024)

static char folder[] = "/tmp/test_disk_overlay.XXXXXX";
static char path[64], overlay[64];
static struct stasis_disk disk;
static struct stasis_error err;
static uint8_t bytes[8192], found[8192];

static const struct stasis_disk_overlay_opts opts, differs = {.may_differ = true};

static void open_both(void)
{
    assert_int_equal(stasis_disk_open(path, true, false, &disk, &err), 0);
    assert_int_equal(stasis_disk_open_overlay(&disk, overlay, NULL, &opts, &err), 0);
}

static int set_up(void **state)
{
    FILE *file;

    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/disk", folder);
    snprintf(overlay, sizeof(overlay), "%s/overlay", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < BYTES; i++)
        fputc((int)(i / 512 + 1) & 0xff, file);
    fclose(file);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    open_both();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_disk_close(&disk);
    unlink(path);
    unlink(overlay);
    return rmdir(folder);
}

static void what_is_written_is_there_after_it_is_closed(void **state)
{
    (void)state;
    assert_true(stasis_disk_write(&disk, 1024, bytes, sizeof(bytes)));
    stasis_disk_close(&disk);
    open_both();
    assert_true(stasis_disk_read(&disk, 1024, found, sizeof(found)));
    assert_memory_equal(found, bytes, sizeof(found));
    assert_true(stasis_disk_read_below(&disk, 1024, found, 512));
    assert_int_equal(found[0], 3);
    assert_true(stasis_disk_read(&disk, 512, found, 512));
    assert_int_equal(found[0], 2);
}

static void its_marker_is_that_of_the_disk_until_it_is_written_to(void **state)
{
    struct stasis_disk_marker first = stasis_disk_marker(&disk), next;

    (void)state;
    assert_true(stasis_disk_settle(&disk));
    assert_true(disk.has_samples);
    assert_true(stasis_disk_overlay_is_new(&disk));
    assert_true(stasis_disk_zero(&disk, 0, 4096, true));
    assert_false(stasis_disk_overlay_is_new(&disk));
    assert_true(stasis_disk_settle(&disk));
    assert_false(disk.has_samples);
    next = stasis_disk_marker(&disk);
    assert_int_not_equal(next.inode, first.inode);
    assert_true(stasis_disk_discard(&disk, 0, 4096));
    assert_true(stasis_disk_flush(&disk));
    assert_int_equal(stasis_disk_marker(&disk).mtime_ns, next.mtime_ns);
    assert_true(stasis_disk_write(&disk, 0, bytes, 512));
    assert_true(stasis_disk_flush(&disk));
    assert_int_equal(stasis_disk_marker(&disk).inode, next.inode);
    assert_int_equal(stasis_disk_marker(&disk).mtime_ns, next.mtime_ns + 1);
}

static void a_page_that_is_damaged_is_an_error(void **state)
{
    FILE *file;

    (void)state;
    assert_true(stasis_disk_write(&disk, 0, bytes, 4096));
    stasis_disk_close(&disk);
    file = fopen(overlay, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0); /* of the last place */
    fputc(bytes[4095] + 1, file);
    fclose(file);
    open_both();
    errno = 0;
    assert_false(stasis_disk_read(&disk, 0, found, 512));
    assert_int_equal(errno, EIO);
    assert_true(stasis_disk_write(&disk, 0, bytes, 4096));
    assert_true(stasis_disk_read(&disk, 0, found, 512));
}

static void a_changed_disk_is_refused_unless_it_may_differ(void **state)
{
    FILE *file;

    (void)state;
    stasis_disk_close(&disk);
    file = fopen(path, "r+");
    assert_non_null(file);
    fputc('x', file);
    fclose(file);
    assert_int_equal(stasis_disk_open(path, true, false, &disk, &err), 0);
    assert_int_equal(stasis_disk_open_overlay(&disk, overlay, NULL, &opts, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "its base "));
    assert_int_equal(stasis_disk_open_overlay(&disk, overlay, NULL, &differs, &err), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_is_there_after_it_is_closed),
        CASE(its_marker_is_that_of_the_disk_until_it_is_written_to),
        CASE(a_page_that_is_damaged_is_an_error),
        CASE(a_changed_disk_is_refused_unless_it_may_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
