/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Random requests of 4 KiB to an overlay, and the same to a raw file, both in the page cache and by
 * the functions that a disk's thread calls.
 *   bench-overlay write|flush|read MIB PAIRS FOLDER
 *       write: each page of MIB once, in random order, then a flush
 *       flush: 256 of them, with a flush after each
 *       read: each page once, of an overlay that has all of them
 * Prints one JSON object: pairs of nanoseconds, the overlay's first.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/host/disk_overlay.h"

#define PAGE    4096u
#define FLUSHES 256u

struct bench {
    uint32_t pages;
    uint32_t *order;
    char path[2][256]; /* of the base, and of the raw file that is compared */
    char overlay[256];
    uint8_t bytes[PAGE];
};

static void die(const char *what, const struct stasis_error *err)
{
    fprintf(stderr, "bench-overlay: %s: %s\n", what, err ? err->msg : "failed");
    exit(1);
}

static void shuffle(struct bench *bench)
{
    uint32_t seed = 2463534242u;

    bench->order = malloc(bench->pages * sizeof(*bench->order));
    if (!bench->order)
        die("memory", NULL);
    for (uint32_t i = 0; i < bench->pages; i++) {
        uint32_t other;

        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        other = seed % (i + 1);
        bench->order[i] = bench->order[other];
        bench->order[other] = i;
    }
}

static void make_file(const struct bench *bench, const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file)
        die(path, NULL);
    for (uint32_t i = 0; i < bench->pages; i++)
        if (fwrite(bench->bytes, PAGE, 1, file) != 1)
            die(path, NULL);
    if (fflush(file) || fsync(fileno(file)))
        die(path, NULL);
    fclose(file);
}

static void write_all(const struct bench *bench, struct stasis_disk *disk, bool flushes)
{
    uint32_t count = flushes ? FLUSHES : bench->pages;

    for (uint32_t i = 0; i < count && i < bench->pages; i++) {
        if (!stasis_disk_write(disk, (uint64_t)bench->order[i] * PAGE, bench->bytes, PAGE))
            die("writing", NULL);
        if (flushes && !stasis_disk_flush(disk))
            die("flushing", NULL);
    }
    if (!stasis_disk_flush(disk))
        die("flushing", NULL);
}

static void read_all(struct bench *bench, struct stasis_disk *disk)
{
    for (uint32_t i = 0; i < bench->pages; i++)
        if (!stasis_disk_read(disk, (uint64_t)bench->order[i] * PAGE, bench->bytes, PAGE))
            die("reading", NULL);
}

/* Nanoseconds, on the raw file or on an overlay, which is new for each time. */
static uint64_t measure(struct bench *bench, const char *verb, bool is_raw)
{
    bool reads = !strcmp(verb, "read");
    struct stasis_disk disk;
    struct stasis_error err;
    uint64_t start;

    unlink(bench->overlay);
    if (stasis_disk_open(bench->path[is_raw], !is_raw, false, &disk, &err) ||
        (!is_raw && stasis_disk_open_overlay(&disk, bench->overlay, NULL,
                                             &(struct stasis_disk_overlay_opts){0}, &err)))
        die("opening", &err);
    if (reads && !is_raw)
        write_all(bench, &disk, false);
    start = stasis_monotonic_ns();
    if (reads)
        read_all(bench, &disk);
    else
        write_all(bench, &disk, !strcmp(verb, "flush"));
    start = stasis_monotonic_ns() - start;
    stasis_disk_close(&disk);
    unlink(bench->overlay);
    return start;
}

int main(int argc, char **argv)
{
    struct bench bench = {.pages = argc == 5 ? (uint32_t)strtoul(argv[2], NULL, 10) * 256 : 0};
    unsigned long pairs = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;

    if (!bench.pages)
        die("give write, flush or read, MIB, PAIRS and FOLDER", NULL);
    memset(bench.bytes, 0x5a, PAGE);
    shuffle(&bench);
    snprintf(bench.overlay, sizeof(bench.overlay), "%s/overlay", argv[4]);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(bench.path[i], sizeof(bench.path[i]), "%s/raw%u", argv[4], i);
        make_file(&bench, bench.path[i]);
    }
    printf("{\"pairs\": [");
    for (unsigned long turn = 0; turn <= pairs; turn++) {
        uint64_t ours = measure(&bench, argv[1], false), raw = measure(&bench, argv[1], true);

        if (turn) /* the first one warms up */
            printf("%s[%llu, %llu]", turn > 1 ? ", " : "", (unsigned long long)ours,
                   (unsigned long long)raw);
    }
    printf("]}\n");
    free(bench.order);
    return 0;
}
