/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Chains that are not whole: what is missing, has changed, is of another guest, lies on itself or
 * on too much is refused by name, and nothing in the folder is waited for.
 */
#include "tests/state-ser/snap/chain_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/le.h"
#include "state-ser/snap/object.h"

/* A file and two layers with partial indexes. */
static void make(struct chain *chain, const struct stasis_save_opts *opts)
{
    chain_init(chain, opts);
    chain->touches = 2;
    chain_add(chain);
    chain_add(chain);
}

static void refused_with(const struct chain *chain, const struct stasis_parse_opts *opts, int code,
                         const char *file, const char *words)
{
    unsigned before = open_files();
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    int rc = chain_open(chain, opts, &snap, &err);

    if (rc != code || err.code != rc || !strstr(err.msg, words) || !strstr(err.msg, file) ||
        strchr(err.msg, '\n'))
        fail_msg("got %d \"%s\", expected %d, \"%s\" and \"%s\"", rc, err.msg, code, file, words);
    assert_int_equal(open_files(), before);
}

static void refused(const struct chain *chain, int code, unsigned file, const char *words)
{
    refused_with(chain, NULL, code, chain_path(file), words);
}

static void opens(const struct chain *chain)
{
    stasis_snap_free(chain_reopen(chain));
}

static void a_file_that_is_missing_is_named(void **state)
{
    struct stasis_parse_opts opts = {.size = sizeof(opts)};
    struct stasis_snap *snap = NULL;
    struct stasis_error err = {0};
    struct chain chain;
    char uuid[64], *at = uuid, folder[64];
    struct image image;
    int fd;

    (void)state;
    make(&chain, NULL);
    for (unsigned i = 0; i < STASIS_UUID_SIZE; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                      stasis_snap_file_at(chain.top, 2).uuid[i]);
    snprintf(folder, sizeof(folder), "%s", chain_path(0));
    *strrchr(folder, '/') = '\0';
    image = image_read(chain_path(0));
    assert_int_equal(unlink(chain_path(0)), 0);
    refused_with(&chain, NULL, STASIS_ERR_NOT_FOUND, uuid, "put it there, or name its folder");
    refused_with(&chain, NULL, STASIS_ERR_NOT_FOUND, folder, "it lies on the snapshot");
    file_write(chain_path(0), &image);
    image_fini(&image);
    opts.layers = "/nowhere";
    refused_with(&chain, &opts, STASIS_ERR_READ, "/nowhere", "name its folder by layers");
    opts.layers = "/proc/self"; /* many files, and none of them regular enough */
    refused_with(&chain, &opts, STASIS_ERR_NOT_FOUND, "/proc/self", "which is not in");
    fd = open(chain.path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(stasis_snap_open_fd(fd, "it", NULL, &snap, &err), STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "name its folder by layers"));
    opts.layers = folder;
    assert_int_equal(stasis_snap_open_fd(fd, "it", &opts, &snap, &err), 0);
    stasis_snap_free(snap);
    opts.layers = NULL;
    opts.beside = chain.path;
    assert_int_equal(stasis_snap_open_fd(fd, "it", &opts, &snap, &err), 0);
    stasis_snap_free(snap);
    close(fd);
    chain_fini(&chain);
}

static void another_content_is_refused(void **state)
{
    struct image image;
    struct chain chain;

    (void)state;
    make(&chain, NULL);
    image = image_read(chain_path(0));
    file_patch(chain_path(0), STASIS_HDR_ROOT, "other", 5);
    refused(&chain, STASIS_ERR_CORRUPT, 0, "its root begins with 6f74686572");
    file_write(chain_path(7), &image); /* the right one beside it */
    opens(&chain);
    file_write(chain_path(0), &image); /* twice the right one */
    opens(&chain);
    image_fini(&image);
    chain_fini(&chain);
}

static void damaged_files_and_later_ones_are_refused(void **state)
{
    struct image image;
    struct chain chain;

    (void)state;
    make(&chain, NULL);
    image = image_read(chain_path(1));
    file_patch(chain_path(1), STASIS_HDR_VERSION, "\3", 1);
    refused(&chain, STASIS_ERR_VERSION, 1, "format version 3, written by");
    file_write(chain_path(1), &image);
    file_patch(chain_path(1), STASIS_HDR_INCOMPATIBLE + 7, "\x80", 1);
    refused(&chain, STASIS_ERR_VERSION, 1, "incompatible feature bit 63");
    file_write(chain_path(1), &image);
    assert_int_equal(truncate(chain_path(1), (off_t)image.len - 1), 0);
    refused(&chain, STASIS_ERR_CORRUPT, 1, "truncated");
    file_write(chain_path(1), &image);
    file_patch(chain_path(1), section_offset(image_section(&image, STASIS_SECTION_INDEX)), "\1", 1);
    refused(&chain, STASIS_ERR_CORRUPT, 1, "the index section is damaged");
    assert_int_equal(truncate(chain_path(1), 100), 0); /* nobody knows what it was */
    refused_with(&chain, NULL, STASIS_ERR_NOT_FOUND, chain.path, "it lies on the snapshot");
    image_fini(&image);
    chain_fini(&chain);
}

/* Files that have UUID and root of the one below, and say something else. */
static void files_of_another_guest_are_refused(void **state)
{
    const struct stasis_save_opts with_digests = {.size = sizeof(with_digests), .digests = true};
    struct stasis_snap_file below;
    struct stasis_save_opts opts = {.size = sizeof(opts)};
    struct stasis_error err = {0};
    struct built other;
    struct chain chain;
    struct image image;

    (void)state;
    make(&chain, NULL);
    below = stasis_snap_file_at(chain.top, 2);
    image = image_read(chain_path(0));
    built_small(&other);
    opts.uuid = below.uuid;
    if (stasis_snap_save(other.snap, chain_path(0), &opts, NULL, &err))
        fail_msg("%s", err.msg);
    file_patch(chain_path(0), STASIS_HDR_ROOT, below.root, STASIS_DIGEST_SIZE);
    refused(&chain, STASIS_ERR_CORRUPT, 0, "a guest of other RAM");
    opts = with_digests;
    opts.uuid = below.uuid;
    if (stasis_snap_save(other.snap, chain_path(0), &opts, NULL, &err))
        fail_msg("%s", err.msg);
    file_patch(chain_path(0), STASIS_HDR_ROOT, below.root, STASIS_DIGEST_SIZE);
    refused(&chain, STASIS_ERR_CORRUPT, 0, "digests, and itself has none");
    file_write(chain_path(0), &image);
    file_patch(chain_path(0), STASIS_HDR_ARCH, "\xb7", 1);
    refused(&chain, STASIS_ERR_CORRUPT, 0, "a guest of another architecture");
    built_fini(&other);
    image_fini(&image);
    chain_fini(&chain);
}

/* The index of a whole layer names the file, and bytes that it has elsewhere. */
static void a_place_that_is_no_ram_is_refused(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .no_sync = true};
    struct stasis_snap_file base;
    struct stasis_error err = {0};
    struct built other;
    struct chain chain;

    (void)state;
    chain_init(&chain, NULL);
    chain_add(&chain);
    chain_add(&chain);
    assert_true(stasis_snap_info(chain.top)->whole);
    base = stasis_snap_file_at(chain.top, stasis_snap_file_count(chain.top) - 1);
    if (strcmp(base.name, chain_path(0)) != 0)
        base = stasis_snap_file_at(chain.top, 1);
    assert_string_equal(base.name, chain_path(0));
    built_small(&other);
    opts.uuid = base.uuid;
    if (stasis_snap_save(other.snap, chain_path(0), &opts, NULL, &err))
        fail_msg("%s", err.msg);
    file_patch(chain_path(0), STASIS_HDR_ROOT, base.root, STASIS_DIGEST_SIZE);
    refused(&chain, STASIS_ERR_CORRUPT, 0, "which are not RAM there");
    built_fini(&other);
    chain_fini(&chain);
}

/* Each says that it is below the other; who computes no roots cannot know. */
static void a_loop_is_refused(void **state)
{
    struct stasis_snap_file below;
    struct chain chain;
    struct image image;

    (void)state;
    make(&chain, NULL);
    below = stasis_snap_file_at(chain.top, 0);
    image = image_read(chain_path(1));
    image_lay_on(&image, below.uuid, below.root);
    file_write(chain_path(1), &image);
    image_fini(&image);
    refused(&chain, STASIS_ERR_CORRUPT, 2, "2.snap lies on itself");
    chain_fini(&chain);
}

/* Layers that are alike but for their UUIDs, in memory: the lowest lies on the base. */
static void make_many(const char *folder, const struct chain *chain, uint32_t count)
{
    struct stasis_snap_file name = stasis_snap_file_at(chain->top, 0), below;
    struct image image = image_read(chain_path(1));

    below = stasis_snap_file_at(chain->top, 2);
    for (uint32_t i = 1; i < count; i++) {
        char path[64];

        snprintf(path, sizeof(path), "%s/%u", folder, i);
        memcpy(name.uuid, &i, sizeof(i));
        image_name(&image, name.uuid);
        image_lay_on(&image, below.uuid, below.root);
        file_write(path, &image);
        below = name;
        memcpy(below.root, image.bytes + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE);
    }
    image_fini(&image);
}

static int open_one_of(const char *folder, unsigned number, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    char path[64];
    int rc;

    snprintf(path, sizeof(path), "%s/%u", folder, number);
    rc = stasis_snap_open(path, NULL, &snap, err);
    stasis_snap_free(snap);
    return rc;
}

static void a_chain_that_is_too_long_is_refused(void **state)
{
    struct rlimit before, many;
    struct stasis_error err = {0};
    char folder[] = "/dev/shm/stasis-test-XXXXXX", path[64];
    struct chain chain;
    struct image base;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    many = (struct rlimit){5000, before.rlim_max};
    if (before.rlim_max < many.rlim_cur || !mkdtemp(folder)) {
        print_message("too few descriptors, or no /dev/shm\n");
        skip();
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
    make(&chain, NULL);
    base = image_read(chain_path(0));
    snprintf(path, sizeof(path), "%s/0", folder);
    file_write(path, &base);
    make_many(folder, &chain, 4098);
    assert_int_equal(open_one_of(folder, 4095, &err), 0); /* of 4,096 files */
    assert_int_equal(open_one_of(folder, 4096, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "it lies on more than 4096 files"));
    assert_int_equal(open_one_of(folder, 4097, &err), STASIS_ERR_CORRUPT);
    many.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
    assert_int_equal(open_one_of(folder, 4095, &err), STASIS_ERR_READ);
    assert_non_null(strstr(err.msg, "raise the limit of open files"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    image_fini(&base);
    chain_fini(&chain);
    folder_empty(folder);
}

/* Neither is anything of it opened that could wait or that others wait for, nor is a link followed.
 */
static void what_else_is_in_the_folder_does_not_matter(void **state)
{
    int events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    char event[256];
    struct chain chain;
    char path[80], other[96];

    (void)state;
    make(&chain, NULL);
    snprintf(path, sizeof(path), "%s.pipe", chain_path(0));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(inotify_add_watch(events, path, IN_OPEN) >= 0);
    snprintf(path, sizeof(path), "%s.folder", chain_path(0));
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(other, sizeof(other), "%s/base.snap", path);
    snprintf(path, sizeof(path), "%s.nothing", chain_path(0));
    file_write(path, &(struct image){NULL, 0});
    opens(&chain);
    assert_int_equal(rename(chain_path(0), other), 0);
    assert_int_equal(symlink(other, chain_path(0)), 0);
    refused_with(&chain, NULL, STASIS_ERR_NOT_FOUND, chain.path, "which is not in");
    assert_int_equal(read(events, event, sizeof(event)), -1);
    assert_int_equal(errno, EAGAIN);
    close(events);
    assert_int_equal(unlink(chain_path(0)), 0);
    assert_int_equal(rename(other, chain_path(0)), 0);
    opens(&chain);
    *strrchr(other, '/') = '\0';
    assert_int_equal(rmdir(other), 0);
    chain_fini(&chain);
}

/* Who expects a root gets what has it, all the way down. */
static void an_expected_root_covers_what_it_lies_on(void **state)
{
    struct stasis_parse_opts opts = {.size = sizeof(opts)};
    struct stasis_snap *snap = NULL;
    struct chain chain;
    struct image image;
    uint8_t *extent;

    (void)state;
    make(&chain, NULL);
    opts.root = stasis_snap_info(chain.top)->root;
    assert_int_equal(chain_open(&chain, &opts, &snap, NULL), 0);
    stasis_snap_free(snap);
    image = image_read(chain_path(1)); /* another CRC, under right checksums and the same root */
    extent = (uint8_t *)(uintptr_t)layer_look(&image).extents;
    while (extent[22] != STASIS_CHUNK_RAW)
        extent += 24;
    extent[12] ^= 1;
    image_reseal_section(&image, STASIS_SECTION_INDEX);
    file_write(chain_path(1), &image);
    file_patch(chain_path(1), 0, image.bytes, 8);
    opens(&chain);
    refused_with(&chain, &opts, STASIS_ERR_CORRUPT, chain_path(1), "its root is ");
    opts.parent = chain.top; /* which has the file that was there before */
    assert_int_equal(chain_open(&chain, &opts, &snap, NULL), 0);
    stasis_snap_free(snap);
    image_fini(&image);
    chain_fini(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_missing_is_named),
        cmocka_unit_test(another_content_is_refused),
        cmocka_unit_test(damaged_files_and_later_ones_are_refused),
        cmocka_unit_test(files_of_another_guest_are_refused),
        cmocka_unit_test(a_place_that_is_no_ram_is_refused),
        cmocka_unit_test(a_loop_is_refused),
        cmocka_unit_test(a_chain_that_is_too_long_is_refused),
        cmocka_unit_test(what_else_is_in_the_folder_does_not_matter),
        cmocka_unit_test(an_expected_root_covers_what_it_lies_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
