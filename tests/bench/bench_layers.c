/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Layers, without KVM: memory as a guest's, of which some pages are written to between two saves.
 *   bench-layers write MIB PAGES PAIRS FOLDER
 *       a layer of PAGES dirty pages with fsync, and a bare loop that copies and syncs that file
 *   bench-layers index GIB PAGES LAYERS FOLDER
 *       the indexes of so many layers of a guest of which every page is stored, whose first file
 *       has a hole in place of its data
 *   bench-layers thaw MIB PAGES LAYERS PAIRS FOLDER MODE
 *       opening, and loading all memory in a mode (copy, lazy, map), from a chain of so many layers
 *       and from one file of the same guest; LAYERS 0: from a file of format 1
 * Prints one JSON object: pairs of nanoseconds, or lengths.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stasis/ram.h"

#include "bench/full_file.h"
#include "state-ser/snap/index_runs.h"
#include "vmm/base/clock.h"

#define MIB  ((size_t)1 << 20)
#define PAGE STASIS_PAGE_SIZE

struct guest {
    uint8_t *ram;
    size_t size;
    uint64_t *dirty;
    struct stasis_snap *snap;
    const char *folder;
    uint64_t seed;
    unsigned format; /* of files that are saved; 0: the newest */
};

static uint64_t draw(struct guest *guest)
{
    guest->seed ^= guest->seed << 13;
    guest->seed ^= guest->seed >> 7;
    guest->seed ^= guest->seed << 17;
    return guest->seed;
}

static int say(const struct stasis_error *err)
{
    fprintf(stderr, "bench-layers: %s\n", err->msg);
    return -1;
}

static void write_page(struct guest *guest, size_t page)
{
    uint64_t *words = (uint64_t *)(void *)(guest->ram + page * PAGE);

    for (size_t i = 0; i < PAGE / sizeof(*words); i++)
        words[i] = draw(guest) | 1;
    guest->dirty[page / 64] |= UINT64_C(1) << page % 64;
}

static void run_guest(struct guest *guest, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        write_page(guest, draw(guest) % (guest->size / PAGE));
}

static int guest_init(struct guest *guest, size_t size, const char *folder)
{
    struct stasis_error err;

    *guest = (struct guest){.size = size, .seed = 88172645463325252, .folder = folder};
    guest->ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    guest->dirty = calloc(size / PAGE / 64 + 1, sizeof(*guest->dirty));
    guest->snap = stasis_snap_new(STASIS_ARCH_X86_64);
    if (guest->ram == MAP_FAILED || !guest->dirty || !guest->snap)
        return -1;
    if (stasis_snap_add_ram(guest->snap, 0, guest->ram, size, &err) ||
        stasis_snap_set_dirty(guest->snap, 0, guest->dirty, &err))
        return say(&err);
    return 0;
}

static void guest_fini(struct guest *guest)
{
    stasis_snap_free(guest->snap);
    free(guest->dirty);
    munmap(guest->ram, guest->size);
}

static void path_of(const struct guest *guest, unsigned number, char path[4096])
{
    snprintf(path, 4096, "%s/layer-%u", guest->folder, number);
}

/* Saves, on `*snap` if that is not NULL, and puts the file in its place. */
static int save(struct guest *guest, unsigned number, bool sync, struct stasis_snap **snap,
                struct stasis_save_stats *stats)
{
    struct stasis_snap *saved = NULL;
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .no_sync = !sync, .saved = &saved, .format_version = guest->format};
    struct stasis_error err;
    char path[4096];

    path_of(guest, number, path);
    if (stasis_snap_set_parent(guest->snap, *snap, &err) ||
        stasis_snap_save(guest->snap, path, &opts, stats, &err))
        return say(&err);
    stasis_snap_free(*snap);
    *snap = saved;
    memset(guest->dirty, 0, guest->size / PAGE / 8);
    return 0;
}

/* ---- writing ---- */

static int write_layer(struct guest *guest, uint64_t *ret_ns)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts)};
    uint64_t start = stasis_monotonic_ns();
    struct stasis_error err;
    char path[4096];

    path_of(guest, 1, path);
    if (stasis_snap_save(guest->snap, path, &opts, NULL, &err))
        return say(&err);
    *ret_ns = stasis_monotonic_ns() - start;
    return 0;
}

/* As cp(1) does, and fsync. */
static int copy_layer(const struct guest *guest, uint64_t *ret_ns, uint64_t *ret_len)
{
    static uint8_t piece[256 << 10];
    uint64_t start = stasis_monotonic_ns();
    char from[4096], to[4096];
    ssize_t n;
    int in, out, rc;

    path_of(guest, 1, from);
    path_of(guest, 2, to);
    in = open(from, O_RDONLY | O_CLOEXEC);
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return -1;
    *ret_len = 0;
    while ((n = read(in, piece, sizeof(piece))) > 0 && write(out, piece, (size_t)n) == n)
        *ret_len += (uint64_t)n;
    rc = n || fsync(out);
    close(in);
    close(out);
    *ret_ns = stasis_monotonic_ns() - start;
    return rc || unlink(from) || unlink(to) ? -1 : 0;
}

static int measure_write(struct guest *guest, size_t pages, unsigned pairs)
{
    struct stasis_save_stats stats;
    struct stasis_snap *base = NULL;
    struct stasis_error err;
    uint64_t ours, theirs, len = 0;
    int rc;

    for (size_t page = 0; page < guest->size / PAGE; page++)
        write_page(guest, page);
    rc = save(guest, 0, true, &base, &stats);
    if (!rc && stasis_snap_set_parent(guest->snap, base, &err))
        rc = say(&err);
    printf("{\"pairs\": [");
    for (unsigned turn = 0; !rc && turn <= pairs; turn++) {
        run_guest(guest, turn ? 0 : pages);
        rc = write_layer(guest, &ours);
        if (!rc)
            rc = copy_layer(guest, &theirs, &len);
        if (!rc && turn) /* the first one warms up */
            printf("%s[%llu, %llu]", turn > 1 ? ", " : "", (unsigned long long)ours,
                   (unsigned long long)theirs);
    }
    printf("], \"bytes\": %llu}\n", (unsigned long long)len);
    stasis_snap_free(base);
    return rc;
}

/* ---- indexes ---- */

static int measure_index(struct guest *guest, size_t pages, unsigned layers)
{
    struct stasis_save_stats stats = {0};
    struct stasis_snap *last = NULL;
    struct stasis_error err;
    uint64_t sum = 0, longest = 0, start, ns = 0;
    uint64_t last_whole = guest->size / STASIS_CHUNK_SIZE * STASIS_RUNS_EXTENT_LEN;
    double most_read = 0; /* times the last whole index */
    unsigned whole = 0;
    char path[4096];
    int rc;

    path_of(guest, 0, path);
    rc = bench_make_full_file(path, guest->size);
    if (!rc && stasis_snap_open(path, NULL, &last, &err))
        rc = say(&err);
    for (unsigned n = 1; !rc && n <= layers; n++) {
        const struct stasis_snap_info *info;
        double read;

        run_guest(guest, pages);
        start = stasis_monotonic_ns();
        rc = save(guest, n, false, &last, &stats);
        ns += stasis_monotonic_ns() - start;
        if (rc)
            break;
        info = stasis_snap_info(last);
        sum += stats.index_bytes;
        longest = stats.index_bytes > longest ? stats.index_bytes : longest;
        whole += stats.whole_index;
        last_whole = stats.whole_index ? stats.index_bytes : last_whole;
        read = 1 + (double)info->partial_index_bytes / (double)last_whole;
        most_read = read > most_read ? read : most_read;
    }
    stasis_snap_free(last);
    printf(
        "{\"mean\": %llu, \"longest\": %llu, \"whole\": %u, \"most_read\": %.3f, \"ns\": %llu}\n",
        (unsigned long long)(sum / layers), (unsigned long long)longest, whole, most_read,
        (unsigned long long)(ns / layers));
    return rc;
}

/* ---- thawing ---- */

static int load(struct guest *guest, unsigned number, enum stasis_ram_mode mode, void *to,
                uint64_t *ret_ns)
{
    const struct stasis_ram_opts opts = {.size = sizeof(opts), .mode = mode};
    uint64_t start = stasis_monotonic_ns();
    struct stasis_snap *snap = NULL;
    struct stasis_ram *ram = NULL;
    struct stasis_error err;
    char path[4096];
    int rc;

    path_of(guest, number, path);
    rc = stasis_snap_open(path, NULL, &snap, &err);
    if (!rc)
        rc = stasis_ram_attach(snap, &to, &opts, &ram, &err);
    if (!rc)
        rc = stasis_ram_finish(ram, 0, NULL, NULL, &err);
    *ret_ns = stasis_monotonic_ns() - start;
    if (!rc && memcmp(to, guest->ram, guest->size) != 0) {
        fprintf(stderr, "bench-layers: %s is another guest\n", path);
        rc = -1;
    } else if (rc) {
        say(&err);
    }
    stasis_ram_free(ram);
    stasis_snap_free(snap);
    return rc;
}

static int load_fresh(struct guest *guest, unsigned number, enum stasis_ram_mode mode,
                      uint64_t *ret_ns)
{
    void *to = mmap(NULL, guest->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = to == MAP_FAILED ? -1 : load(guest, number, mode, to, ret_ns);

    if (to != MAP_FAILED)
        munmap(to, guest->size);
    return rc;
}

static int measure_thaw(struct guest *guest, size_t pages, unsigned layers, unsigned pairs,
                        enum stasis_ram_mode mode)
{
    struct stasis_save_stats stats;
    struct stasis_snap *last = NULL;
    uint64_t ours, theirs;
    int rc;

    for (size_t page = 0; page < guest->size / PAGE; page += 2)
        write_page(guest, page);
    guest->format = layers ? 0 : 1;
    rc = save(guest, 0, false, &last, &stats);
    guest->format = 0;
    for (unsigned n = 1; !rc && n <= layers; n++) {
        run_guest(guest, pages);
        rc = save(guest, n, false, &last, &stats);
    }
    stasis_snap_free(last);
    last = NULL;
    if (!rc)
        rc = save(guest, layers + 1, false, &last, &stats);
    stasis_snap_free(last);
    printf("{\"pairs\": [");
    for (unsigned turn = 0; !rc && turn <= pairs; turn++) {
        rc = load_fresh(guest, layers, mode, &ours);
        if (!rc)
            rc = load_fresh(guest, layers + 1, mode, &theirs);
        if (!rc && turn)
            printf("%s[%llu, %llu]", turn > 1 ? ", " : "", (unsigned long long)ours,
                   (unsigned long long)theirs);
    }
    printf("]}\n");
    return rc;
}

static unsigned number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static enum stasis_ram_mode mode_of(const char *name)
{
    if (!strcmp(name, "map"))
        return STASIS_RAM_MAP;
    return strcmp(name, "lazy") ? STASIS_RAM_COPY : STASIS_RAM_LAZY;
}

static int measure(struct guest *guest, int argc, char **argv)
{
    size_t pages = number(argv[3]);

    if (argc == 6 && !strcmp(argv[1], "write"))
        return measure_write(guest, pages, number(argv[4]));
    if (argc == 6 && !strcmp(argv[1], "index"))
        return measure_index(guest, pages, number(argv[4]));
    if (argc == 8 && !strcmp(argv[1], "thaw"))
        return measure_thaw(guest, pages, number(argv[4]), number(argv[5]), mode_of(argv[7]));
    return 2;
}

/* Each file of a chain is open. */
static void allow_files(void)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct guest guest;
    size_t size;
    int rc;

    if (argc < 6)
        return 2;
    allow_files();
    size = (size_t)number(argv[2]) * (strcmp(argv[1], "index") ? MIB : MIB << 10);
    rc = guest_init(&guest, size, argc == 8 ? argv[6] : argv[5]);
    if (!rc)
        rc = measure(&guest, argc, argv);
    guest_fini(&guest);
    return rc ? 1 : 0;
}
