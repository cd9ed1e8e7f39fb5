/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sealed overlays: each is the disk as it was, whatever is written after it, and wherever sealing
 * is cut off.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "state-ser/snap/overlay.h"

#define SEED 99u

static struct rig rig;
static uint32_t seed = SEED;
static bool is_plain = true;
static unsigned how;        /* it is sealed */
static bool is_to_be_whole; /* the index of what is sealed next says of two files below, too */
static uint8_t root[STASIS_OVERLAY_ROOT_SIZE];

static void write_pages(void)
{
    for (uint64_t page = 0; page < 12; page++)
        assert_true(rig_write(&rig, page * RIG_PAGE, RIG_PAGE));
}

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, seed);
    rig.is_plain = is_plain;
    rig_open(&rig);
    for (unsigned i = 0; is_to_be_whole && i < 2; i++) {
        write_pages();
        rig_seal(&rig, how, root);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_unlink_all(&rig);
    rig_fini(&rig);
    return 0;
}

static void write_some(void)
{
    for (unsigned i = 0; i < 12; i++)
        assert_true(rig_step(&rig));
}

static void seal(void)
{
    rig_seal(&rig, how, root);
}

/* A new overlay of that name, on the sealed one of that root. */
static int open_on(const uint8_t *wanted, const char *name, struct stasis_error *err)
{
    rig_close(&rig);
    snprintf(rig.path, sizeof(rig.path), "%s/%s", rig.folder, name);
    rig.opts.root = wanted;
    return rig_try_open(&rig, err);
}

static void each_is_the_disk_as_it_was(void **state)
{
    static uint8_t contents[6][RIG_BYTES], roots[6][STASIS_OVERLAY_ROOT_SIZE];
    struct stasis_error err;
    char name[16];

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        write_some();
        seal();
        rig_assert_holds(&rig, rig.content);
        memcpy(contents[i], rig.content, RIG_BYTES);
        memcpy(roots[i], root, sizeof(root));
        if (i == 3) { /* and goes on from what is in the folder */
            rig_close(&rig);
            rig_open(&rig);
            rig_assert_holds(&rig, rig.content);
        }
    }
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "new%u", i);
        if (open_on(roots[i], name, &err))
            fail_msg("%u: %s", i, err.msg);
        rig_assert_holds(&rig, contents[i]);
        memcpy(rig.content, contents[i], RIG_BYTES);
        write_some();
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
        rig_close(&rig);
        rig_open(&rig);
        rig_assert_holds(&rig, rig.content);
    }
}

static void what_was_not_written_to_is_not_sealed(void **state)
{
    uint8_t again[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root = true;

    (void)state;
    assert_int_equal(stasis_overlay_seal(rig.overlay, how, again, &has_root, NULL), 0);
    assert_false(has_root);
    write_some();
    seal();
    assert_int_equal(stasis_overlay_seal(rig.overlay, how, again, &has_root, NULL), 0);
    assert_true(has_root);
    assert_memory_equal(again, root, sizeof(root));
}

static void assert_open_refused(enum stasis_err code, const char *words)
{
    struct stasis_error err = {.msg = "nothing"};

    rig_close(&rig);
    assert_int_equal(rig_try_open(&rig, &err), code);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say: %s", err.msg, words);
}

static void what_it_lies_on_has_to_be_there(void **state)
{
    uint8_t other[STASIS_OVERLAY_ROOT_SIZE] = {1};
    char path[160], away[200];

    (void)state;
    write_some();
    seal();
    rig_sealed_path(&rig, root, path);
    snprintf(away, sizeof(away), "%s/renamed", rig.folder);
    assert_int_equal(rename(path, away), 0); /* by any name */
    rig_close(&rig);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.content);
    rig.opts.root = other;
    assert_open_refused(STASIS_ERR_ARG, "the overlay lies on another state of the disk");
    rig.opts.root = NULL;
    assert_int_equal(unlink(away), 0);
    assert_open_refused(STASIS_ERR_NOT_FOUND, "it lies on the sealed overlay whose root begins");
}

/* Whatever cannot be opened any more: it is not told that a file is missing. */
static void too_many_open_files_are_told(void **state)
{
    struct rlimit all, few;
    unsigned refused = 0;
    int next, rc = -1;

    (void)state;
    write_some();
    seal();
    rig_close(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    next = dup(0);
    close(next);
    for (few = all, few.rlim_cur = (rlim_t)next + 1; rc; few.rlim_cur++) {
        struct stasis_error err;

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = rig_try_open(&rig, &err);
        refused += rc != 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
        if (rc && !strstr(err.msg, strerror(EMFILE)))
            fail_msg("%s", err.msg);
    }
    assert_in_range(refused, 3, 20);
    rig_assert_holds(&rig, rig.content);
}

static void a_sealed_one_is_not_written_to(void **state)
{
    char path[160];

    (void)state;
    write_some();
    seal();
    rig_sealed_path(&rig, root, path);
    rig_close(&rig);
    memcpy(rig.path, path, strlen(path) + 1);
    assert_open_refused(STASIS_ERR_ARG, "the overlay is sealed, or nothing is left of it");
}

static void names_that_are_taken_are_refused(void **state)
{
    char path[160], link_path[200];
    bool has_root;
    struct stasis_error err;

    (void)state;
    write_some();
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    snprintf(link_path, sizeof(link_path), "%s/moved", rig.folder);
    assert_int_equal(rename(rig.path, link_path), 0);
    assert_int_equal(stasis_overlay_seal(rig.overlay, how, root, &has_root, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "its name is of another file, or a link"));
    assert_int_equal(rename(link_path, rig.path), 0);
    write_some(); /* in use as before */
    seal();
    rig_assert_holds(&rig, rig.content);
    rig_sealed_path(&rig, root, path);
    assert_int_equal(access(path, F_OK), 0);
}

/* ---- damage ---- */

static void damage_is_refused_or_not_read(void **state)
{
    static uint8_t found[RIG_BYTES];
    unsigned refused = 0, unread = 0, useless = 0;
    struct image image;
    char path[160];
    int fd;

    (void)state;
    write_some();
    seal();
    rig_sealed_path(&rig, root, path);
    rig_close(&rig);
    image = image_read(path);
    fd = open(path, O_RDWR);
    for (size_t at = 0; at < image.len; at += at < image.len - 3000 ? 131 : 1) {
        uint8_t byte = (uint8_t)(image.bytes[at] ^ 1u << at % 8);

        if (at > 4096 && at < image.len - 3000 && !image.bytes[at])
            continue;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        if (rig_try_open(&rig, NULL)) {
            refused++;
        } else if (stasis_overlay_read(rig.overlay, 0, found, RIG_BYTES, NULL)) {
            unread++;
        } else {
            assert_memory_equal(found, rig.content, RIG_BYTES);
            useless++; /* padding, or a page that was zeroed later */
        }
        rig_close(&rig);
        assert_int_equal(pwrite(fd, image.bytes + at, 1, (off_t)at), 1);
    }
    close(fd);
    image_fini(&image);
    printf("%u refused, %u not read, %u without an effect\n", refused, unread, useless);
    assert_true(refused > 1000 && unread > 100 && useless < 100);
}

/* ---- sealing that is cut off ---- */

/* Whoever names another file of the folder than the overlay does not write into what others lie on:
 * it is refused, or a new overlay, for which sealing was cut off before the names changed. */
static void assert_others_are_not_written_to(void)
{
    const struct dirent *entry;
    DIR *folder = opendir(rig.folder);
    char path[sizeof(rig.path)];
    unsigned files = 0;

    assert_non_null(folder);
    while (readdir(folder))
        files++;
    rewinddir(folder);
    memcpy(path, rig.path, sizeof(path));
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "disk"))
            continue;
        snprintf(rig.path, sizeof(rig.path), "%s/%.30s", rig.folder, entry->d_name);
        if (!rig_try_open(&rig, NULL) && stasis_overlay_stats(rig.overlay).mapped_bytes)
            fail_msg("%s was opened", entry->d_name);
        rig_close(&rig);
    }
    for (rewinddir(folder); readdir(folder); files--) /* nor was one of them sealed again */
        ;
    assert_int_equal(files, 0);
    closedir(folder);
    memcpy(rig.path, path, sizeof(path));
}

/* *ret_done: all calls were made. */
static void seal_with(unsigned calls, bool *ret_done)
{
    uint8_t found[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root;

    tear_down(NULL);
    set_up(NULL);
    if (is_to_be_whole)
        write_pages();
    else
        write_some();
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    assert_int_equal(stasis_overlay_index_is_due(rig.overlay, how & STASIS_OVERLAY_DIGESTS),
                     is_to_be_whole);
    rig.left = calls + 1;
    *ret_done = !stasis_overlay_seal(rig.overlay, how, found, &has_root, NULL);
    rig.left = 0;
}

static void sealing_that_fails_loses_nothing(void **state)
{
    unsigned calls;
    bool done = false;

    (void)state;
    for (calls = 1; !done; calls++) {
        seal_with(calls, &done);
        rig_assert_holds(&rig, rig.content); /* it goes on, on the old one or the new */
        write_some();
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
        rig_close(&rig);
        assert_others_are_not_written_to();
        rig_open(&rig);
        rig_assert_holds(&rig, rig.content);
        seal();
    }
    printf("failed before each of %u calls\n", calls);
    assert_true(calls > 15);
}

/* By a kill, or by a power cut, which keeps some of what was not confirmed. */
static void sealing_that_is_cut_off_is_finished(void **state)
{
    (void)state;
    for (unsigned life = 0; life < 2; life++) {
        bool done = false;

        for (unsigned calls = 1; !done; calls++) {
            seed = SEED + life * 100 + calls;
            is_plain = false;
            seal_with(calls, &done);
            rig_close(&rig);
            if (life)
                rig_cut_power(&rig);
            if (calls % 2) /* before the overlay itself is, or after */
                assert_others_are_not_written_to();
            rig_open(&rig);
            rig_assert_holds(&rig, rig.content);
            rig_close(&rig);
            assert_others_are_not_written_to();
            rig_open(&rig);
            write_some();
            seal();
            rig_assert_holds(&rig, rig.content);
        }
    }
    seed = SEED;
    is_plain = true;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_is_the_disk_as_it_was),          CASE(what_was_not_written_to_is_not_sealed),
        CASE(what_it_lies_on_has_to_be_there),     CASE(too_many_open_files_are_told),
        CASE(a_sealed_one_is_not_written_to),      CASE(names_that_are_taken_are_refused),
        CASE(damage_is_refused_or_not_read),       CASE(sealing_that_fails_loses_nothing),
        CASE(sealing_that_is_cut_off_is_finished),
    };

    const struct CMUnitTest of_whole[] = {CASE(sealing_that_fails_loses_nothing),
                                          CASE(sealing_that_is_cut_off_is_finished)};
    int failed = cmocka_run_group_tests_name("without digests", tests, NULL, NULL);

    how = STASIS_OVERLAY_DIGESTS;
    failed += cmocka_run_group_tests_name("with digests", tests, NULL, NULL);
    is_to_be_whole = true;
    return failed + cmocka_run_group_tests_name("with whole indexes", of_whole, NULL, NULL);
}
