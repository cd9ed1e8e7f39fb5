/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * make_overlay BYTES PATH SEED: an overlay that a guest wrote to at random, over a base of so many
 * bytes, which test_overlays.py knows as well; some are sealed meanwhile. Prints the CRC-32 of the
 * disk as it was flushed last.
 *
 * make_overlay BYTES [LAYERS]: reads paths, and prints for each the exit status for opening it and
 * reading all of it, and the CRC-32 of that; 99 if it is not the same for who only looks at it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "stasis/overlay.h"

#define PAGE  4096u
#define STEPS 300

static uint64_t disk_bytes;
static const char *layers; /* a folder, or NULL */

/* Page n of the base is a multiple of n, over and over. */
static bool read_base(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        uint64_t word = (offset + i) / PAGE * UINT64_C(0x9e3779b97f4a7c15);

        ((uint8_t *)bytes)[i] = (uint8_t)(word >> (offset + i) % 8 * 8);
    }
    return true;
}

static int open_it(const char *path, struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    const struct stasis_overlay_base base = {.size = sizeof(base),
                                             .bytes = disk_bytes,
                                             .read = read_base,
                                             .may_differ = true,
                                             .layers = layers};

    return stasis_overlay_open(path, NULL, &base, ret_overlay, err);
}

static int sum(struct stasis_overlay *overlay, uint8_t *disk, unsigned long *ret_crc,
               struct stasis_error *err)
{
    int rc = stasis_overlay_read(overlay, 0, disk, disk_bytes, err);

    *ret_crc = rc ? 0 : crc32(0, disk, (uInt)disk_bytes);
    return rc;
}

/* ---- making ---- */

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % below;
}

static int step(struct stasis_overlay *overlay, uint32_t *seed, uint8_t *bytes,
                struct stasis_error *err)
{
    uint64_t offset = draw(seed, (uint32_t)(disk_bytes / 512)) * UINT64_C(512);
    uint64_t len = (1 + draw(seed, draw(seed, 4) ? 16 : 100)) * UINT64_C(512);

    if (len > disk_bytes - offset)
        len = disk_bytes - offset;
    if (!draw(seed, 6))
        return stasis_overlay_zero(overlay, offset, len, err);
    for (uint64_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)draw(seed, 256);
    return stasis_overlay_write(overlay, offset, bytes, len, err);
}

/* Ends with writes that nobody flushes, or, every second time, in order. */
static int make(const char *path, uint32_t seed, uint8_t *disk, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    unsigned long crc = 0;
    int rc = open_it(path, &overlay, err);
    unsigned steps = draw(&seed, STEPS);
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    bool seals = draw(&seed, 2), has_root;
    uint32_t digests = seed % 3; /* never, always, now and then */

    for (unsigned i = 0; i < steps && !rc; i++) {
        rc = step(overlay, &seed, disk, err);
        if (!rc && !draw(&seed, 5))
            rc = stasis_overlay_flush(overlay, err);
        if (!rc && seals && !draw(&seed, 40))
            rc = stasis_overlay_seal(
                overlay, digests == 1 || (digests && i % 2) ? STASIS_OVERLAY_DIGESTS : 0, root,
                &has_root, err);
    }
    if (!rc)
        rc = draw(&seed, 2) ? stasis_overlay_finish(overlay, err)
                            : stasis_overlay_flush(overlay, err);
    if (!rc)
        rc = sum(overlay, disk, &crc, err);
    stasis_overlay_free(overlay);
    if (!rc)
        printf("%lu\n", crc);
    return rc;
}

/* ---- judging ---- */

/* Only looked at, before it is opened, which may write to it. */
static int look(const char *path, uint8_t *disk, unsigned long *ret_crc, struct stasis_error *err)
{
    const struct stasis_overlay_base base = {
        .size = sizeof(base), .bytes = disk_bytes, .read = read_base, .may_differ = true};
    const struct stasis_overlay_look opts = {.size = sizeof(opts), .base = &base, .layers = layers};
    struct stasis_overlay *overlay = NULL;
    uint64_t stray;
    int rc = stasis_overlay_open_to_read(path, NULL, &opts, &overlay, err);

    if (!rc)
        rc = sum(overlay, disk, ret_crc, err);
    if (!rc)
        rc = stasis_overlay_verify(overlay, NULL, NULL, &stray, err);
    stasis_overlay_free(overlay);
    return rc;
}

static void judge(const char *path, uint8_t *disk)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err = {0};
    unsigned long crc = 0, looked_crc = 0;
    int looked = look(path, disk, &looked_crc, &err);
    int rc = open_it(path, &overlay, &err);

    if (!rc)
        rc = sum(overlay, disk, &crc, &err);
    stasis_overlay_free(overlay);
    if (!looked != !rc || (!rc && looked_crc != crc))
        printf("99 %lu who looks at it: %d\n", looked_crc, looked);
    else
        printf("%d %lu %s\n", stasis_err_exit_status(rc), crc, rc ? err.msg : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct stasis_error err = {0};
    uint8_t *disk;
    char path[4096];
    int rc = 0;

    disk_bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    disk = malloc(disk_bytes + 1);
    if (!disk || argc < 2 || argc > 4)
        return 2;
    layers = argc == 3 ? argv[2] : NULL;
    if (argc == 4)
        rc = make(argv[2], (uint32_t)strtoul(argv[3], NULL, 10), disk, &err);
    else
        while (scanf("%4095s", path) == 1)
            judge(path, disk);
    if (rc)
        fprintf(stderr, "make_overlay: %s\n", err.msg);
    free(disk);
    return stasis_err_exit_status(rc);
}
