/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a dry run asks of an overlay: it finds what opening it would, and changes nothing, wherever
 * sealing was cut off.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/overlay.h"

static struct rig rig;
static uint8_t root[STASIS_OVERLAY_ROOT_SIZE];

static int set_up(void **state)
{
    (void)state;
    rig_begin_plain(&rig, 7);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_unlink_all(&rig);
    rig_fini(&rig);
    return 0;
}

/* ---- what is there ---- */

static uint32_t add_bytes(uint32_t sum, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return sum;
}

static uint32_t sum_of(const char *name)
{
    char path[sizeof(rig.folder) + 256];
    uint32_t sum = add_bytes(2166136261u, name, strlen(name));
    struct image image;
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", rig.folder, name);
    assert_int_equal(stat(path, &st), 0);
    image = image_read(path);
    sum = add_bytes(sum, image.bytes, image.len);
    sum = add_bytes(sum, &st.st_ino, sizeof(st.st_ino));
    sum = add_bytes(sum, &st.st_mtim, sizeof(st.st_mtim));
    image_fini(&image);
    return sum;
}

/* Of names, files and bytes, in whatever order they are listed; and of the folder's own time. */
static uint32_t sum_of_folder(void)
{
    DIR *dir = opendir(rig.folder);
    const struct dirent *entry;
    uint32_t sum = 0;
    struct stat st;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            sum += sum_of(entry->d_name);
    assert_int_equal(fstat(dirfd(dir), &st), 0);
    closedir(dir);
    return add_bytes(sum, &st.st_mtim, sizeof(st.st_mtim));
}

/* Changes nothing, and locks nothing. */
static int try(struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    uint32_t sum = sum_of_folder();
    int rc = stasis_overlay_try(rig.path, NULL, &rig.opts, ret_overlay, err);

    assert_int_equal(sum_of_folder(), sum);
    return rc;
}

static void refuse(int expected, const char *words)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;

    assert_int_equal(try(&overlay, &err), expected);
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

static bool has_uuid(const struct stasis_overlay_stats *stats)
{
    static const uint8_t none[sizeof(stats->uuid)];

    return memcmp(stats->uuid, none, sizeof(none)) != 0;
}

/* It says of the overlay what opening it then finds. */
static void assert_is_foreseen(void)
{
    struct stasis_overlay_stats foreseen, found;
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;

    if (try(&overlay, &err))
        fail_msg("%s", err.msg);
    assert_non_null(overlay);
    foreseen = stasis_overlay_stats(overlay);
    rig_open(&rig); /* which nobody has locked */
    stasis_overlay_free(overlay);
    found = stasis_overlay_stats(rig.overlay);
    assert_int_equal(foreseen.mapped_bytes, found.mapped_bytes);
    assert_int_equal(foreseen.has_root, found.has_root);
    assert_int_equal(foreseen.needs_newer, found.needs_newer);
    assert_memory_equal(foreseen.root, found.root, sizeof(found.root));
    if (has_uuid(&foreseen))
        assert_memory_equal(foreseen.uuid, found.uuid, sizeof(found.uuid));
    rig_assert_holds(&rig, rig.content);
    rig_close(&rig);
}

/* ---- */

/* Whether sealing that is cut off after so many calls is begun, and not yet done: `root` is its
 * root then. */
static bool seal_until(void **state, unsigned calls, bool *ret_done)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_overlay_stats stats;
    bool has_root, done;

    tear_down(state);
    set_up(state);
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    rig.left = calls + 2;
    done = !stasis_overlay_seal(rig.overlay, STASIS_OVERLAY_DIGESTS, root, &has_root, NULL);
    rig.left = 0;
    rig_close(&rig);
    if (ret_done)
        *ret_done = done;
    assert_int_equal(try(&overlay, NULL), 0);
    stats = stasis_overlay_stats(overlay);
    stasis_overlay_free(overlay);
    memcpy(root, stats.root, sizeof(root));
    return stats.has_root && !has_uuid(&stats);
}

static void sealing_that_was_cut_off_is_not_finished(void **state)
{
    unsigned calls, foreseen = 0;
    bool done = false;

    for (calls = 0; !done; calls++) {
        foreseen += seal_until(state, calls, &done);
        assert_is_foreseen();
    }
    assert_in_range(calls, 12, 60);
    assert_in_range(foreseen, 2, calls - 2);
}

/* As after a kill: a flush that is not known to be whole, and half of another. */
static void a_commit_that_does_not_count_stays(void **state)
{
    struct stasis_overlay_log log;
    uint64_t offset;
    int fd;

    (void)state;
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    log = rig.overlay->use.log;
    offset = (uint64_t)(log.first + rig.overlay->use.log_used) * RIG_PAGE;
    assert_int_not_equal(rig.overlay->use.log_used, log.count);
    rig_close(&rig);
    fd = open(rig.path, O_RDWR);
    assert_int_equal(pwrite(fd, "half of it", 10, (off_t)offset), 10);
    close(fd);
    assert_is_foreseen();
}

static void one_that_is_not_there_or_unfinished_is_not_made(void **state)
{
    struct stasis_overlay *overlay = rig.overlay;
    struct stasis_error err;

    (void)state;
    rig_close(&rig);
    assert_int_equal(truncate(rig.path, 0), 0);
    assert_int_equal(truncate(rig.path, 8192), 0); /* its header comes last */
    assert_int_equal(try(&overlay, &err), 0);
    assert_null(overlay);
    assert_int_equal(truncate(rig.path, 0), 0);
    assert_int_equal(try(&overlay, &err), 0);
    assert_null(overlay);
    assert_int_equal(unlink(rig.path), 0);
    assert_int_equal(stasis_overlay_try(rig.path, NULL, &rig.opts, &overlay, &err), 0);
    assert_null(overlay);
    assert_int_equal(access(rig.path, F_OK), -1);
    assert_int_equal(stasis_overlay_try("/nowhere/new", NULL, &rig.opts, &overlay, &err),
                     STASIS_ERR_WRITE);
}

static void what_it_would_lie_on_has_to_be_there(void **state)
{
    uint8_t other[STASIS_OVERLAY_ROOT_SIZE] = {1};
    bool has_root = false;

    (void)state;
    assert_int_equal(stasis_overlay_seal(rig.overlay, 0, root, &has_root, NULL), 0);
    rig_close(&rig);
    rig.opts.root = root;
    assert_is_foreseen();
    rig.opts.root = other;
    refuse(STASIS_ERR_ARG, "the overlay lies on another state of the disk");
    assert_int_equal(truncate(rig.path, 0), 0);
    refuse(STASIS_ERR_NOT_FOUND, "");
    rig.opts.root = NULL;
}

static void one_in_use_is_refused(void **state)
{
    (void)state;
    refuse(STASIS_ERR_ARG, "it is in use by another program, or as another disk");
    rig_assert_holds(&rig, rig.content);
}

/* The name that sealing will give is taken. */
static void sealing_that_cannot_be_finished_is_told(void **state)
{
    char name[200];
    int len, fd;

    for (unsigned calls = 0; !seal_until(state, calls, NULL); calls++)
        assert_in_range(calls, 0, 60);
    len = snprintf(name, sizeof(name), "%s.", rig.path);
    for (unsigned i = 0; i < 8; i++)
        len += snprintf(name + len, 3, "%02x", root[i]);
    (void)unlink(name);
    fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_int_not_equal(fd, -1);
    refuse(STASIS_ERR_EXISTS, "is there already; move it to another folder");
    close(fd);
    assert_int_equal(unlink(name), 0);
    assert_is_foreseen();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sealing_that_was_cut_off_is_not_finished),
        CASE(a_commit_that_does_not_count_stays),
        CASE(one_that_is_not_there_or_unfinished_is_not_made),
        CASE(what_it_would_lie_on_has_to_be_there),
        CASE(one_in_use_is_refused),
        CASE(sealing_that_cannot_be_finished_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
