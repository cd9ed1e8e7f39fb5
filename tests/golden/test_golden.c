/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every golden snapshot of every release is read, brought to this release, and written back as the
 * release that it was made for reads it, byte for byte.
 */
#include "expect.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/migrate.h"
#include "stasis/snap.h"
#include "stasis/state.h"

/* Of the first release; later ones have no fewer. */
#define FILES_MIN 5

static unsigned files, records_seen;

static void assert_same(const struct stasis_records *a, const struct stasis_records *b)
{
    uint8_t *x, *y;
    size_t x_len, y_len;

    assert_int_equal(stasis_records_encode(a, &x, &x_len, NULL), 0);
    assert_int_equal(stasis_records_encode(b, &y, &y_len, NULL), 0);
    assert_int_equal(x_len, y_len);
    assert_memory_equal(x, y, x_len);
    free(x);
    free(y);
}

/* Each record decoded, and encoded as this release does. */
static struct stasis_records *brought_here(const struct stasis_records *old)
{
    struct stasis_records *now = stasis_records_new();

    for (size_t i = 0; i < stasis_records_count(old); i++) {
        struct stasis_record record = stasis_records_at(old, i);
        struct stasis_error err;
        void *state;

        assert_non_null(record.schema);
        state = malloc(record.schema->size);
        assert_int_equal(stasis_records_get(old, record.schema, record.instance, state, &err), 0);
        if (stasis_records_add(now, record.schema, record.instance, state, &err))
            fail_msg("%s", err.msg);
        free(state);
        records_seen++;
    }
    return now;
}

static void check_ram(struct stasis_snap *snap)
{
    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);
        void *host = calloc(1, region.size);
        struct stasis_error err;

        if (stasis_snap_load_ram(snap, i, host, 2, NULL, NULL, &err))
            fail_msg("%s", err.msg);
        free(host);
    }
}

/* What stands beside the snapshot; there is nothing beside those that hold no guest. */
static void read_expect(const char *path, struct golden_expect *expect)
{
    char beside[1024];

    snprintf(beside, sizeof(beside), "%.*s.expect", (int)strlen(path) - 5, path);
    if (!golden_expect_read(beside, expect))
        memset(expect, 0, sizeof(*expect));
}

static void check_root(const struct stasis_snap *snap, const char *expected)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    char root[65] = "";

    for (size_t i = 0; i < sizeof(info->root); i++)
        snprintf(root + 2 * i, 3, "%02x", info->root[i]);
    assert_string_equal(root, expected);
}

static void check_file(const char *path, const struct stasis_release *release)
{
    struct stasis_snap *snap = NULL;
    struct stasis_records *now, *back = NULL;
    struct stasis_error err = {0};
    struct golden_expect expect;

    if (stasis_snap_open(path, NULL, &snap, &err) || stasis_snap_verify(snap, 2, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    read_expect(path, &expect);
    if (expect.root[0])
        check_root(snap, expect.root);
    if (expect.target[0])
        assert_int_equal(stasis_release_get(expect.target, &release, &err), 0);
    assert_true(!release->format_version ||
                stasis_snap_info(snap)->format_version <= release->format_version);
    now = brought_here(stasis_snap_records(snap));
    if (stasis_records_convert(now, release, NULL, &back, &err))
        fail_msg("%s: %s", path, err.msg);
    assert_same(stasis_snap_records(snap), back);
    check_ram(snap);
    stasis_records_free(now);
    stasis_records_free(back);
    stasis_snap_free(snap);
    files++;
}

static bool is_snapshot(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && !strcmp(name + len - 5, ".snap");
}

/* Whether the file that has every type has every type that the release knew. */
static void check_types(const char *path, const struct stasis_release *release)
{
    struct stasis_snap *snap = NULL;

    assert_int_equal(stasis_snap_open(path, NULL, &snap, NULL), 0);
    for (size_t i = 0; i < release->record_count; i++)
        assert_true(stasis_records_find(stasis_snap_records(snap), release->records[i].type,
                                        NULL) != SIZE_MAX);
    stasis_snap_free(snap);
}

static void check_release(const struct stasis_release *release)
{
    char folder[512], path[1024];
    unsigned before = files;
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof(folder), STASIS_GOLDEN_DIR "/%s", release->name);
    dir = opendir(folder);
    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (is_snapshot(entry->d_name))
            check_file(path, release);
    }
    if (dir)
        closedir(dir);
    else
        fail_msg("release %s has no golden snapshots in %s", release->name, folder);
    assert_true(files - before >= FILES_MIN);
    snprintf(path, sizeof(path), "%s/edge.snap", folder);
    check_types(path, release);
}

static void every_golden_comes_back(void **state)
{
    size_t count;
    const struct stasis_release *all = stasis_release_all(&count);

    (void)state;
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        check_release(&all[i]);
    print_message("%zu releases, %u files, %u records\n", count, files, records_seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
