/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/crash_scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEMPORARY_LEN (sizeof(".stasis-0123456789abcdef.tmp") - 1)

uint32_t crash_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

#ifdef __SANITIZE_ADDRESS__
/* Freed images would be kept by the hundred, and every fork would copy their page tables. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1";
}
#endif

/* ---- the guest and its folder ---- */

void crash_guest_large(struct built *built)
{
    built_init(built);
    built_add(built, 0, 640 << 10);
    built_add(built, 1 << 20, (8 << 20) - (640 << 10));
    fill_random(built->ram[0], 64 << 10, 1);
    fill_random(built->ram[1] + (2 << 20), 3 << 20, 2);
    for (size_t at = 0; at < built->size[1]; at += 160 << 10)
        built->ram[1][at] = 1;
}

static void build_stripes(struct built *built, size_t chunks)
{
    built_init(built);
    built_add(built, 0, chunks * STASIS_CHUNK_SIZE);
    for (size_t at = 0; at < built->size[0]; at += 2 * STASIS_CHUNK_SIZE)
        fill_random(built->ram[0] + at, STASIS_CHUNK_SIZE - 512, (uint32_t)at);
}

void crash_guest_striped(struct built *built)
{
    build_stripes(built, 16);
}

void crash_guest_wide(struct built *built)
{
    build_stripes(built, 48);
}

void crash_scene_init(struct crash_scene *scene, void (*build)(struct built *built), bool with_old)
{
    /* In RAM where that is possible: what is tested is the order of calls, not a disk. */
    const char *base = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    struct stasis_error err = {0};

    *scene = (struct crash_scene){.old.len = 0};
    build(&scene->built);
    snprintf(scene->folder, sizeof(scene->folder), "%s/stasis-crash-XXXXXX", base);
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof(scene->path), "%s/" CRASH_TARGET, scene->folder);
    if (!with_old)
        return;
    if (crash_scene_save(scene, 1, &err))
        fail_msg("%s", err.msg);
    scene->old = image_read(scene->path);
    if (check_image(&scene->old, &err))
        fail_msg("%s", err.msg);
    for (uint32_t r = 0; r < scene->built.region_count; r++)
        fill_random(scene->built.ram[r] + 4096, 4096, 77 + r);
}

static void write_page(struct crash_scene *scene, size_t page)
{
    uint8_t *ram = scene->built.ram[0] + page * STASIS_PAGE_SIZE;

    scene->dirty[page / 64] |= UINT64_C(1) << page % 64;
    if (page % 3)
        fill_random(ram, STASIS_PAGE_SIZE / 2, (uint32_t)page);
    else
        memset(ram, 0, STASIS_PAGE_SIZE);
}

void crash_scene_lay(struct crash_scene *scene)
{
    size_t pages = scene->built.size[0] / STASIS_PAGE_SIZE;
    struct image image = image_of(&scene->built);
    struct stasis_error err = {0};

    scene->base = image_reopen(&image);
    scene->dirty = calloc(pages / 64 + 1, sizeof(*scene->dirty));
    assert_non_null(scene->dirty);
    for (size_t page = 0; page < pages; page += 4)
        write_page(scene, page);
    if (stasis_snap_set_parent(scene->built.snap, scene->base, &err) ||
        stasis_snap_set_dirty(scene->built.snap, 0, scene->dirty, &err))
        fail_msg("%s", err.msg);
    image_fini(&image);
}

static DIR *open_folder(const struct crash_scene *scene)
{
    DIR *dir = opendir(scene->folder);

    assert_non_null(dir);
    return dir;
}

static bool is_dot(const struct dirent *entry)
{
    return !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
}

static void empty_folder(struct crash_scene *scene)
{
    DIR *dir = open_folder(scene);
    struct dirent *entry;

    while ((entry = readdir(dir)))
        if (!is_dot(entry))
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    closedir(dir);
}

void crash_scene_reset(struct crash_scene *scene)
{
    int fd;

    empty_folder(scene);
    if (!scene->old.len)
        return;
    fd = open(scene->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, scene->old.bytes, scene->old.len), (ssize_t)scene->old.len);
    close(fd);
}

void crash_scene_fini(struct crash_scene *scene)
{
    empty_folder(scene);
    assert_int_equal(rmdir(scene->folder), 0);
    image_fini(&scene->old);
    built_fini(&scene->built);
    stasis_snap_free(scene->base);
    free(scene->dirty);
}

/* ---- after the accident ---- */

static bool is_temporary(const char *name)
{
    return strlen(name) == TEMPORARY_LEN && !strncmp(name, ".stasis-", 8) &&
           strspn(name + 8, "0123456789abcdef") == 16 && !strcmp(name + TEMPORARY_LEN - 4, ".tmp");
}

/* Counts the temporary names, and gives the last one's path. */
static unsigned count_temporary(struct crash_scene *scene, char *path, size_t size)
{
    DIR *dir = open_folder(scene);
    struct dirent *entry;
    unsigned count = 0;

    while ((entry = readdir(dir))) {
        if (is_dot(entry) || !strcmp(entry->d_name, CRASH_TARGET))
            continue;
        if (!is_temporary(entry->d_name))
            fail_msg("%s lies in the folder", entry->d_name);
        snprintf(path, size, "%s/%.32s", scene->folder, entry->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

static void assert_is_new(struct crash_scene *scene, const char *path)
{
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .parent = scene->base};
    struct stasis_error err = {0};
    struct stasis_snap *snap;

    if (stasis_snap_open(path, &opts, &snap, &err))
        fail_msg("neither old nor new: %s", err.msg);
    if (stasis_snap_verify(snap, 1, NULL, NULL, &err))
        fail_msg("neither old nor new: %s", err.msg);
    assert_same_ram(snap, &scene->built, 1);
    stasis_snap_free(snap);
}

enum crash_found crash_scene_look(struct crash_scene *scene, unsigned *ret_temporary)
{
    enum crash_found found = CRASH_NEW;
    struct image image;
    char path[128];

    *ret_temporary = count_temporary(scene, path, sizeof(path));
    if (access(scene->path, F_OK)) {
        assert_int_equal(scene->old.len, 0);
        return CRASH_NOTHING;
    }
    if (!scene->old.len) {
        assert_is_new(scene, scene->path);
        return CRASH_NEW;
    }
    image = image_read(scene->path);
    if (image.len == scene->old.len && !memcmp(image.bytes, scene->old.bytes, image.len))
        found = CRASH_OLD;
    else
        assert_is_new(scene, scene->path);
    image_fini(&image);
    return found;
}

void crash_scene_assert_temporary_whole(struct crash_scene *scene)
{
    char path[128];

    assert_int_equal(count_temporary(scene, path, sizeof(path)), 1);
    assert_is_new(scene, path);
}

/* ---- saving ---- */

int crash_scene_save(struct crash_scene *scene, unsigned threads, struct stasis_error *err)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .threads = threads};

    return stasis_snap_save(scene->built.snap, scene->path, &opts, NULL, err);
}

unsigned crash_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

int crash_forbid_tmpfile(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
