/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * make_chain FOLDER LAYERS SEED LEVEL FORMAT: saves a guest that goes on at random, and as many
 * layers of it, as FOLDER/0 and so on, with the public interface alone; compressed if LEVEL is not
 * 0; FORMAT "2+" is with digests. Prints the CRC-32 of its RAM for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "stasis/snap.h"

#define LOW_SIZE  (9 * (uint64_t)STASIS_CHUNK_SIZE + 2 * STASIS_PAGE_SIZE)
#define HIGH_GPA  (UINT64_C(1) << 32)
#define HIGH_SIZE (20 * (uint64_t)STASIS_CHUNK_SIZE)
#define SIZE      (LOW_SIZE + HIGH_SIZE)

struct guest {
    struct stasis_snap *snap;
    struct stasis_snap *last; /* saved */
    struct stasis_save_opts opts;
    uint32_t seed;
    uint64_t low_dirty[3];
    uint64_t high_dirty[5];
    uint8_t ram[SIZE]; /* of both ranges */
};

static uint32_t draw(struct guest *guest, uint32_t below)
{
    guest->seed = guest->seed * 1664525 + 1013904223;
    return (guest->seed >> 8) % below;
}

static void write_page(struct guest *guest, uint32_t page)
{
    const uint32_t low_pages = LOW_SIZE / STASIS_PAGE_SIZE;
    uint64_t *bits = page < low_pages ? guest->low_dirty : guest->high_dirty;
    uint32_t bit = page < low_pages ? page : page - low_pages;
    uint8_t *bytes = guest->ram + (size_t)page * STASIS_PAGE_SIZE;

    bits[bit / 64] |= UINT64_C(1) << bit % 64;
    memset(bytes, 0, STASIS_PAGE_SIZE);
    if (draw(guest, 3))
        for (uint32_t i = 0; i < STASIS_PAGE_SIZE; i += 1 + draw(guest, 7))
            bytes[i] = (uint8_t)draw(guest, 256);
}

static void run(struct guest *guest)
{
    for (uint32_t i = draw(guest, 20); i; i--) {
        uint32_t first = draw(guest, SIZE / STASIS_PAGE_SIZE);
        uint32_t count = draw(guest, 6) ? 1 + draw(guest, 2) : 40;

        for (uint32_t page = first; page < first + count && page < SIZE / STASIS_PAGE_SIZE; page++)
            write_page(guest, page);
    }
}

static int build(struct guest *guest, struct stasis_error *err)
{
    int rc = 0;

    guest->snap = stasis_snap_new(STASIS_ARCH_X86_64);
    if (!guest->snap)
        return stasis_fail(err, STASIS_ERR_NOMEM, "a snapshot");
    rc = stasis_snap_add_ram(guest->snap, 0, guest->ram, LOW_SIZE, err);
    if (!rc)
        rc = stasis_snap_add_ram(guest->snap, HIGH_GPA, guest->ram + LOW_SIZE, HIGH_SIZE, err);
    if (!rc)
        rc = stasis_snap_set_dirty(guest->snap, 0, guest->low_dirty, err);
    return rc ? rc : stasis_snap_set_dirty(guest->snap, 1, guest->high_dirty, err);
}

static int save(struct guest *guest, const char *folder, unsigned long number,
                struct stasis_error *err)
{
    struct stasis_snap *saved = NULL;
    char path[4096];
    int rc;

    snprintf(path, sizeof(path), "%s/%lu", folder, number);
    run(guest);
    guest->opts.saved = &saved;
    rc = stasis_snap_set_parent(guest->snap, guest->last, err);
    if (!rc)
        rc = stasis_snap_save(guest->snap, path, &guest->opts, NULL, err);
    if (rc)
        return rc;
    stasis_snap_free(guest->last);
    guest->last = saved;
    memset(guest->low_dirty, 0, sizeof(guest->low_dirty));
    memset(guest->high_dirty, 0, sizeof(guest->high_dirty));
    printf("%lu\n", crc32(0, guest->ram, SIZE));
    return 0;
}

int main(int argc, char **argv)
{
    static struct guest guest; /* large */
    struct stasis_error err = {0};
    unsigned long layers;
    int rc;

    if (argc != 6)
        return 2;
    layers = strtoul(argv[2], NULL, 10);
    guest.seed = (uint32_t)strtoul(argv[3], NULL, 10);
    guest.opts = (struct stasis_save_opts){.size = sizeof(guest.opts),
                                           .no_sync = true,
                                           .zlib_level = (unsigned)strtoul(argv[4], NULL, 10),
                                           .digests = !strcmp(argv[5], "2+")};
    rc = build(&guest, &err);
    for (unsigned long n = 0; n <= layers && !rc; n++)
        rc = save(&guest, argv[1], n, &err);
    if (rc)
        fprintf(stderr, "make_chain: %s\n", err.msg);
    stasis_snap_free(guest.last);
    stasis_snap_free(guest.snap);
    return rc ? 1 : 0;
}
