/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Saves of guests that hardly touched their memory, without KVM: memory as a guest's, of which one
 * MiB was written to.
 *   bench-sparse find GIB PAIRS
 *       which pages may hold something, by PAGEMAP_SCAN and by pagemap
 *   bench-sparse save GIB PAIRS FILE
 *       a save with fsync, and a bare loop that checksums, writes and syncs as much of memory and
 *       an index of the same length
 *   bench-sparse digest GIB PAIRS FILE
 *       a save without fsync of DIGEST_MIB of memory that is in use, with digests and without
 *   bench-sparse cancel GIB TURNS FILE MIB
 *       saves with fsync of memory of which MIB are in use, cancelled while it is looked for zeros,
 *       while it is written, and while the disk is waited for
 * Prints one JSON object: pairs of nanoseconds, or for each phase those from the request to the
 * return, and how often the save was over before.
 */
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state-ser/snap/object.h"
#include "vmm/base/clock.h"

#define MIB ((size_t)1 << 20)

static uint8_t *guest_memory(size_t size)
{
    uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (ram == MAP_FAILED)
        return NULL;
    (void)madvise(ram, size, MADV_HUGEPAGE);
    for (size_t i = 0; i < MIB; i++)
        ram[size / 2 + i] = (uint8_t)(i * 2654435761u >> 13 | 1);
    return ram;
}

static void print_pair(unsigned turn, uint64_t ours, uint64_t theirs)
{
    if (turn) /* the first one warms up */
        printf("%s[%llu, %llu]", turn > 1 ? ", " : "", (unsigned long long)ours,
               (unsigned long long)theirs);
}

/* ---- finding pages ---- */

static void count_bytes(void *ctx, uintptr_t start, uintptr_t end)
{
    *(uint64_t *)ctx += end - start;
}

static uint64_t find(const uint8_t *ram, size_t size, enum stasis_populated_by by,
                     uint64_t *ret_bytes)
{
    uint64_t start = stasis_monotonic_ns();
    struct stasis_populated populated;

    *ret_bytes = 0;
    stasis_populated_init(&populated, by, STASIS_MAPPINGS_SMAPS,
                          &(struct stasis_populated_files){0}, (uintptr_t)ram,
                          (uintptr_t)ram + size, NULL);
    if (populated.pagemap >= 0) /* else all of it may, which is told at once */
        stasis_populated_find(&populated, (uintptr_t)ram, (uintptr_t)ram + size, count_bytes,
                              ret_bytes);
    stasis_populated_fini(&populated);
    return stasis_monotonic_ns() - start;
}

static int measure_find(const uint8_t *ram, size_t size, unsigned pairs)
{
    uint64_t bytes = 0;

    printf("{\"pairs\": [");
    for (unsigned turn = 0; turn <= pairs; turn++) {
        uint64_t ours = find(ram, size, STASIS_POPULATED_BY_SCAN, &bytes);
        uint64_t theirs = find(ram, size, STASIS_POPULATED_BY_PAGEMAP, &bytes);

        print_pair(turn, ours, theirs);
    }
    printf("], \"bytes\": %llu}\n", (unsigned long long)bytes);
    return bytes ? 0 : -1;
}

/* ---- saving ---- */

static int save(struct stasis_snap *snap, const char *path, uint64_t *ret_ns)
{
    uint64_t start = stasis_monotonic_ns();
    struct stasis_error err;

    if (stasis_snap_save(snap, path, NULL, NULL, &err)) {
        fprintf(stderr, "bench-sparse: %s\n", err.msg);
        return -1;
    }
    *ret_ns = stasis_monotonic_ns() - start;
    (void)unlink(path);
    return 0;
}

/* What is in use, and an index of a region, three entries, and an extent for each chunk. */
static int write_bare(const char *path, const uint8_t *used, uint64_t *ret_ns)
{
    uint64_t start = stasis_monotonic_ns();
    uint8_t index[STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN + 3 * STASIS_RUNS_ENTRY_LEN +
                  MIB / STASIS_CHUNK_SIZE * STASIS_RUNS_EXTENT_LEN] = {0};
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint32_t crc;
    int rc;

    if (fd < 0)
        abort();
    crc = libdeflate_crc32(0, used, MIB);
    memcpy(index, &crc, sizeof(crc));
    crc = libdeflate_crc32(0, index, sizeof(index));
    rc = pwrite(fd, used, MIB, 4096) != (ssize_t)MIB ||
         pwrite(fd, index, sizeof(index), 1024) != (ssize_t)sizeof(index) ||
         pwrite(fd, &crc, sizeof(crc), 0) != (ssize_t)sizeof(crc) || fsync(fd);
    close(fd);
    *ret_ns = stasis_monotonic_ns() - start;
    (void)unlink(path);
    return rc ? -1 : 0;
}

static int measure_save(const uint8_t *ram, size_t size, unsigned pairs, const char *path)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err;
    int rc = snap ? stasis_snap_add_ram(snap, 0, ram, size, &err) : -1;
    uint64_t ours, theirs;

    printf("{\"pairs\": [");
    for (unsigned turn = 0; !rc && turn <= pairs; turn++) {
        rc = save(snap, path, &ours);
        if (!rc)
            rc = write_bare(path, ram + size / 2, &theirs);
        if (!rc)
            print_pair(turn, ours, theirs);
    }
    printf("]}\n");
    stasis_snap_free(snap);
    return rc;
}

/* ---- digests ---- */

#define DIGEST_MIB 128u

static int save_used(struct stasis_snap *snap, const char *path, bool digests, uint64_t *ret_ns)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .no_sync = true, .digests = digests};
    uint64_t start = stasis_monotonic_ns();
    struct stasis_error err;

    if (stasis_snap_save(snap, path, &opts, NULL, &err)) {
        fprintf(stderr, "bench-sparse: %s\n", err.msg);
        return -1;
    }
    *ret_ns = stasis_monotonic_ns() - start;
    (void)unlink(path);
    return 0;
}

static int measure_digest(uint8_t *ram, size_t size, unsigned pairs, const char *path)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err;
    int rc = snap ? stasis_snap_add_ram(snap, 0, ram, size, &err) : -1;
    uint64_t with, without;

    for (size_t i = 0; i < DIGEST_MIB; i++)
        memcpy(ram + i * MIB, ram + size / 2, MIB);
    printf("{\"pairs\": [");
    for (unsigned turn = 0; !rc && turn <= pairs; turn++) {
        rc = save_used(snap, path, true, &with);
        if (!rc)
            rc = save_used(snap, path, false, &without);
        if (!rc)
            print_pair(turn, with, without);
    }
    printf("]}\n");
    stasis_snap_free(snap);
    return rc;
}

/* ---- cancelling ---- */

/* The request comes on another thread, as a signal does, once a save is that far. */
struct canceller {
    double from; /* share of the progress */
    _Atomic uint64_t requested_ns;
    pthread_t thread;
    bool started;
    sem_t go;
};

static void *request(void *arg)
{
    struct canceller *canceller = arg;

    while (sem_wait(&canceller->go))
        ;
    atomic_store(&canceller->requested_ns, stasis_monotonic_ns());
    return NULL;
}

static bool keep_on(void *ctx, uint64_t done, uint64_t total)
{
    struct canceller *canceller = ctx;

    if (!canceller->started && (double)done >= canceller->from * (double)total) {
        canceller->started = true;
        sem_post(&canceller->go);
    }
    return !atomic_load(&canceller->requested_ns);
}

/* 0 if the save was over before. */
static int cancel_once(struct stasis_snap *snap, const char *path, double from, uint64_t *ret_ns)
{
    struct canceller canceller = {.from = from};
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .progress = keep_on, .ctx = &canceller};
    struct stasis_error err;
    int rc;

    if (sem_init(&canceller.go, 0, 0) ||
        pthread_create(&canceller.thread, NULL, request, &canceller))
        return -1;
    rc = stasis_snap_save(snap, path, &opts, NULL, &err);
    *ret_ns = rc == STASIS_ERR_CANCELLED
                  ? stasis_monotonic_ns() - atomic_load(&canceller.requested_ns)
                  : 0;
    if (!canceller.started)
        sem_post(&canceller.go);
    pthread_join(canceller.thread, NULL);
    sem_destroy(&canceller.go);
    if (rc && rc != STASIS_ERR_CANCELLED)
        fprintf(stderr, "bench-sparse: %s\n", err.msg);
    (void)unlink(path);
    return rc == STASIS_ERR_CANCELLED ? 0 : rc;
}

static int measure_cancel(uint8_t *ram, size_t size, unsigned turns, const char *path, size_t mib)
{
    static const struct {
        const char *name;
        double from;
    } phases[] = {{"scan", 0}, {"write", 0.5}, {"fsync", 1}};
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err;
    int rc = snap && mib * MIB <= size / 2 ? stasis_snap_add_ram(snap, 0, ram, size, &err) : -1;
    uint64_t ns = 0;

    for (size_t i = 0; !rc && i < mib * MIB; i += STASIS_PAGE_SIZE)
        ram[size / 2 + i] = 1;
    printf("{");
    for (size_t phase = 0; phase < 3; phase++) {
        unsigned late = 0;
        const char *comma = "";

        printf("%s\"%s\": {\"ns\": [", phase ? ", " : "", phases[phase].name);
        for (unsigned turn = 0; !rc && turn < turns; turn++) {
            rc = cancel_once(snap, path, phases[phase].from, &ns);
            if (!rc && ns)
                printf("%s%llu", comma, (unsigned long long)ns);
            comma = ns ? ", " : comma;
            late += !ns;
        }
        printf("], \"late\": %u}", late);
    }
    printf("}\n");
    stasis_snap_free(snap);
    return rc;
}

int main(int argc, char **argv)
{
    size_t size = argc > 3 ? (size_t)strtoul(argv[2], NULL, 10) << 30 : 0;
    unsigned pairs = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    uint8_t *ram = size ? guest_memory(size) : NULL;
    int rc = 2;

    if (!ram)
        return 2;
    if (argc == 4 && !strcmp(argv[1], "find"))
        rc = measure_find(ram, size, pairs) ? 1 : 0;
    else if (argc == 5 && !strcmp(argv[1], "save"))
        rc = measure_save(ram, size, pairs, argv[4]) ? 1 : 0;
    else if (argc == 5 && !strcmp(argv[1], "digest"))
        rc = measure_digest(ram, size, pairs, argv[4]) ? 1 : 0;
    else if (argc == 6 && !strcmp(argv[1], "cancel"))
        rc = measure_cancel(ram, size, pairs, argv[4], (size_t)strtoul(argv[5], NULL, 10)) ? 1 : 0;
    munmap(ram, size);
    return rc;
}
