/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guests from 128 MiB to 16 GiB, on both sides of the hole below 4 GiB: saved, opened, and loaded
 * in every mode. Memory that nobody has touched is never read, so that a large guest with little in
 * it costs little.
 */
#include "tests/state-ser/snap/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "stasis/bytes.h"
#include "stasis/ram.h"

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/ram_io.h"

#define KIB        UINT64_C(1024)
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define GAP        (3328 * MIB) /* RAM below 4 GiB ends here at the latest */
#define HUGE       (2 * MIB)
#define PAGES      (HUGE / STASIS_PAGE_SIZE)
#define PIECES_MAX 4096u
#define THERE      (UINT64_C(3) << 62) /* in /proc/self/pagemap: present or swapped out */
#define FAR_STEP   (UINT64_C(18) * STASIS_CHUNK_SIZE) /* too far to share a mapping */

enum content { ZERO, SCATTERED, FAR_APART, EVERY_OTHER, HALF, FULL };

struct size_case {
    const char *name;
    uint64_t size;
    enum content content;
    bool large; /* for who has asked for it */
};

struct guest {
    uint32_t count;
    uint64_t gpa[2];
    uint64_t size[2];
    uint8_t *host[2];
};

static char path[PATH_MAX];

/* ---- memory ---- */

static void guest_init(struct guest *guest, uint64_t size, bool huge)
{
    guest->count = size > GAP ? 2 : 1;
    guest->gpa[0] = 0;
    guest->size[0] = size > GAP ? GAP : size;
    guest->gpa[1] = 4 * GIB;
    guest->size[1] = size - guest->size[0];
    for (uint32_t r = 0; r < guest->count; r++) {
        guest->host[r] = stasis_ram_io_scratch(guest->size[r]);
        assert_non_null(guest->host[r]);
        if (!huge) /* a page here and there must not cost 2 MiB each */
            madvise(guest->host[r], guest->size[r], MADV_NOHUGEPAGE);
    }
}

static void guest_fini(struct guest *guest)
{
    for (uint32_t r = 0; r < guest->count; r++)
        munmap(guest->host[r], guest->size[r]);
}

/* splitmix64, 8 bytes at a time: gigabytes of it, also in a debug build. */
QUICK static void fill(uint8_t *bytes, uint64_t len, uint64_t seed)
{
    uint64_t *words = (uint64_t *)(void *)bytes;

    for (uint64_t i = 0; i < len / sizeof(*words); i++) {
        uint64_t x = seed * UINT64_C(0xd6e8feb86659fd93) + i + 1;

        x *= UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
        words[i] = x ^ (x >> 32);
    }
}

/* One page of every step, its place in the step changing, and both ends of each region. */
static void scatter(struct guest *guest, uint64_t step)
{
    for (uint32_t r = 0; r < guest->count; r++) {
        uint64_t pages = guest->size[r] / STASIS_PAGE_SIZE;

        fill(guest->host[r], STASIS_PAGE_SIZE, 1);
        fill(guest->host[r] + (pages - 1) * STASIS_PAGE_SIZE, STASIS_PAGE_SIZE, 2);
        for (uint64_t at = 0; at + step <= guest->size[r]; at += step) {
            uint64_t page = at / step * 7 % (STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE);

            fill(guest->host[r] + at + page * STASIS_PAGE_SIZE, STASIS_PAGE_SIZE, at);
        }
    }
}

/* The first `filled` bytes of every `step`. */
static void fill_blocks(struct guest *guest, uint64_t step, uint64_t filled)
{
    for (uint32_t r = 0; r < guest->count; r++) {
        for (uint64_t at = 0; at < guest->size[r]; at += step) {
            uint64_t left = guest->size[r] - at;

            fill(guest->host[r] + at, left < filled ? left : filled, at);
        }
    }
}

static void put_content(struct guest *guest, const struct size_case *what)
{
    switch (what->content) {
    case ZERO:
        break;
    case SCATTERED:
        scatter(guest, what->size / 256 / HUGE * HUGE + HUGE / 2);
        break;
    case FAR_APART:
        scatter(guest, FAR_STEP);
        break;
    case EVERY_OTHER:
        fill_blocks(guest, UINT64_C(2) * STASIS_CHUNK_SIZE, STASIS_CHUNK_SIZE);
        break;
    case HALF:
        fill_blocks(guest, 2 * HUGE, HUGE);
        break;
    case FULL:
        fill_blocks(guest, HUGE, HUGE);
        break;
    }
}

/* ---- comparing by hash ---- */

QUICK static uint64_t hash_chunk(uint64_t hash, uint64_t gpa, const uint8_t *bytes, uint64_t len)
{
    const uint64_t *words = (const uint64_t *)(const void *)bytes;

    if (stasis_is_zero(bytes, len))
        return hash;
    hash ^= gpa;
    for (uint64_t i = 0; i < len / sizeof(*words); i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

/* Is anything of it in memory? What never was is zero, and stays cheap if it is not read. */
QUICK static bool is_there(const uint64_t *pages, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (pages[i] & THERE)
            return true;
    return false;
}

/* Of all chunks that are in memory, and of those that the snapshot (which may be NULL) stores. */
static uint64_t hash_region(uint64_t hash, const struct guest *guest, uint32_t r,
                            const struct stasis_snap *snap, int pagemap)
{
    uint64_t chunk = snap ? stasis_snap_region_at(snap, r).first_chunk : 0;
    uint64_t pages[PAGES];

    for (uint64_t at = 0; at < guest->size[r]; at += STASIS_CHUNK_SIZE, chunk++) {
        const uint8_t *host = guest->host[r] + at;
        uint64_t left = guest->size[r] - at;
        uint64_t len = left < STASIS_CHUNK_SIZE ? left : STASIS_CHUNK_SIZE;
        uint64_t in_huge = at % HUGE / STASIS_PAGE_SIZE;

        if (!in_huge)
            assert_true(pread(pagemap, pages, sizeof(pages),
                              (off_t)((uintptr_t)host / STASIS_PAGE_SIZE * sizeof(pages[0]))) ==
                        (ssize_t)sizeof(pages));
        if (is_there(pages + in_huge, len / STASIS_PAGE_SIZE) ||
            (snap && stasis_snap_chunk_at(snap, chunk).kind != STASIS_CHUNK_ZERO))
            hash = hash_chunk(hash, guest->gpa[r] + at, host, len);
    }
    return hash;
}

static uint64_t hash_guest(const struct guest *guest, const struct stasis_snap *snap)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t hash = 1;

    assert_true(pagemap >= 0);
    for (uint32_t r = 0; r < guest->count; r++)
        hash = hash_region(hash, guest, r, snap, pagemap);
    close(pagemap);
    return hash;
}

/* ---- what the kernel counts ---- */

/* Bytes that this process has read by system calls; 0 where that is not counted. */
static uint64_t bytes_read(void)
{
    static const char name[] = "rchar: ";
    FILE *file = fopen("/proc/self/io", "re");
    char line[64] = "";

    if (!file)
        return 0;
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    (void)fclose(file);
    return strncmp(line, name, strlen(name)) ? 0 : strtoull(line + strlen(name), NULL, 10);
}

/* Mappings of the snapshot, by its name. */
static unsigned count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[PATH_MAX + 128];
    unsigned count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, path) != NULL;
    (void)fclose(file);
    return count;
}

/* ---- save, open, load ---- */

static void save(const struct guest *guest, unsigned zlib_level)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .no_sync = true, .zlib_level = zlib_level};
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err = {0};
    int rc = 0;

    assert_non_null(snap);
    for (uint32_t r = 0; !rc && r < guest->count; r++)
        rc = stasis_snap_add_ram(snap, guest->gpa[r], guest->host[r], guest->size[r], &err);
    if (!rc)
        rc = stasis_snap_save(snap, path, &opts, NULL, &err);
    if (rc)
        fail_msg("%s", err.msg);
    stasis_snap_free(snap);
}

/* What `snapshot-inspect info` does: a look at a large snapshot reads none of its RAM. */
static struct stasis_snap *open_without_ram(void)
{
    uint64_t before = bytes_read();
    const struct stasis_snap_info *info;
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    uint64_t read;

    if (stasis_snap_open(path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
    read = bytes_read() - before;
    info = stasis_snap_info(snap);
    /* Beside the index, at 24 bytes a chunk, there is next to nothing. */
    assert_true(read < stasis_snap_chunk_count(snap) * 24 + STASIS_CHUNK_SIZE);
    assert_true(read <= info->file_len - info->stored_bytes + 4 * KIB);
    return snap;
}

static void check_outcome(const struct stasis_ram *ram, enum stasis_ram_mode wish,
                          const struct size_case *what, unsigned zlib_level)
{
    bool cannot_map = what->content == FAR_APART || (zlib_level && what->content == SCATTERED);
    struct stasis_ram_metrics metrics;

    stasis_ram_get_metrics(ram, &metrics);
    assert_true(metrics.complete && !metrics.failed);
    assert_int_equal(metrics.verified_bytes, metrics.stored_bytes);
    assert_true(metrics.ranges <= PIECES_MAX);
    if (stasis_ram_mode(ram) == STASIS_RAM_MAP)
        assert_int_equal(count_mappings(), metrics.ranges);
    if (wish != STASIS_RAM_MAP)
        assert_true(stasis_ram_mode(ram) == wish || stasis_ram_mode(ram) == STASIS_RAM_COPY);
    else
        assert_int_equal(stasis_ram_mode(ram) != STASIS_RAM_MAP, cannot_map);
}

static void check_mode(const struct size_case *what, enum stasis_ram_mode mode, unsigned zlib_level,
                       uint64_t hash)
{
    const struct stasis_ram_opts opts = {.size = sizeof(opts), .mode = mode};
    struct stasis_snap *snap = open_without_ram();
    struct stasis_error err = {0};
    struct stasis_ram *ram;
    struct guest guest;

    guest_init(&guest, what->size, what->content != FAR_APART);
    assert_int_equal(stasis_snap_region_count(snap), guest.count);
    for (uint32_t r = 0; r < guest.count; r++) {
        assert_int_equal(stasis_snap_region_at(snap, r).gpa, guest.gpa[r]);
        assert_int_equal(stasis_snap_region_at(snap, r).size, guest.size[r]);
    }
    if (stasis_ram_attach(snap, (void *const *)guest.host, &opts, &ram, &err))
        fail_msg("%s", err.msg);
    assert_true(hash_guest(&guest, snap) == hash); /* while the rest comes in */
    if (stasis_ram_wait(ram, &err))
        fail_msg("%s", err.msg);
    check_outcome(ram, mode, what, zlib_level);
    assert_true(hash_guest(&guest, snap) == hash);
    stasis_ram_free(ram);
    stasis_snap_free(snap);
    guest_fini(&guest);
}

/* ---- the cases ---- */

static void leave_out(const char *why)
{
    print_message("skipped: %s\n", why);
    skip();
}

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder && *folder ? folder : "/tmp";
}

/* ThreadSanitizer keeps more than twice the memory that is touched, by huge pages: the little in a
 * large guest costs it gigabytes. Small guests go the same paths among its threads. */
#ifdef __SANITIZE_THREAD__
#define SIZE_MAX_HERE (128 * MIB)
#else
#define SIZE_MAX_HERE UINT64_MAX
#endif

/* Of memory, at a time, and about; of the disk, less. */
static uint64_t needs(const struct size_case *what)
{
    uint64_t least = 3 * GIB;
    uint64_t most = what->content == FULL ? what->size : what->size / 2;

    return what->content >= HALF && most + GIB > least ? most + GIB : least;
}

static void check_room(const struct size_case *what)
{
    struct statvfs disk;
    struct sysinfo memory;

    if (what->large && !getenv("STASIS_TEST_LARGE"))
        leave_out("takes gigabytes and minutes; STASIS_TEST_LARGE=1 asks for it");
    if (what->size > SIZE_MAX_HERE)
        leave_out("takes gigabytes of ThreadSanitizer's memory");
    if (statvfs(temporary_folder(), &disk) || disk.f_bavail * disk.f_frsize < needs(what) / 2)
        leave_out("too little room for temporary files (TMPDIR names a place)");
    if (sysinfo(&memory) || memory.totalram * memory.mem_unit < needs(what))
        leave_out("too little memory");
}

static void save_and_load(void **state)
{
    static const enum stasis_ram_mode modes[] = {STASIS_RAM_COPY, STASIS_RAM_MAP, STASIS_RAM_LAZY};
    const struct size_case *what = *state;
    uint64_t hash;

    check_room(what);
    /* Zeros are not compressed. */
    for (unsigned zlib_level = 0; zlib_level < (what->content == ZERO ? 1 : 2); zlib_level++) {
        struct guest guest;

        guest_init(&guest, what->size, what->content != FAR_APART);
        put_content(&guest, what);
        hash = hash_guest(&guest, NULL);
        save(&guest, zlib_level);
        guest_fini(&guest);
        for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
            check_mode(what, modes[m], zlib_level, hash);
    }
}

static int make_place(void **state)
{
    char folder[PATH_MAX - 8];

    (void)state;
    snprintf(folder, sizeof(folder), "%s/stasis-sizes-XXXXXX", temporary_folder());
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/snap", folder);
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path) && errno != ENOENT ? -1 : 0;
}

static int remove_place(void **state)
{
    (void)state;
    *strrchr(path, '/') = '\0';
    return rmdir(path);
}

int main(void)
{
    static struct size_case cases[] = {
        {"128_mib_zeros", 128 * MIB, ZERO, false},
        {"128_mib_single_pages", 128 * MIB, SCATTERED, false},
        {"128_mib_every_other_chunk", 128 * MIB, EVERY_OTHER, false},
        {"128_mib_half_random", 128 * MIB, HALF, false},
        {"128_mib_all_random", 128 * MIB, FULL, false},
        {"gap_less_a_page_zeros", GAP - STASIS_PAGE_SIZE, ZERO, false},
        {"gap_less_a_page_single_pages", GAP - STASIS_PAGE_SIZE, SCATTERED, false},
        {"gap_zeros", GAP, ZERO, false},
        {"gap_single_pages", GAP, SCATTERED, false},
        {"gap_and_a_page_zeros", GAP + STASIS_PAGE_SIZE, ZERO, false},
        {"gap_and_a_page_single_pages", GAP + STASIS_PAGE_SIZE, SCATTERED, false},
        {"gap_and_a_page_half_random", GAP + STASIS_PAGE_SIZE, HALF, true},
        {"4_gib_all_random", 4 * GIB, FULL, true},
        {"5_gib_zeros", 5 * GIB, ZERO, false},
        {"5_gib_single_pages", 5 * GIB, SCATTERED, false},
        {"5_gib_too_many_pieces_to_map", 5 * GIB, FAR_APART, false},
        {"5_gib_half_random", 5 * GIB, HALF, true},
        {"16_gib_zeros", 16 * GIB, ZERO, true},
        {"16_gib_single_pages", 16 * GIB, SCATTERED, true},
        {"16_gib_half_random", 16 * GIB, HALF, true},
    };
    struct CMUnitTest tests[sizeof(cases) / sizeof(cases[0])];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = save_and_load,
                                       .teardown_func = remove_file,
                                       .initial_state = &cases[i]};
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
