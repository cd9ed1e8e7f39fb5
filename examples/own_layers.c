/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An emulator that notes which pages it wrote to, and saves every hundred steps what changed: one
 * whole snapshot and three layers, each on the one before.
 *   own_layers FOLDER
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/snap.h"

#define PAGES  4096u /* 16 MiB */
#define LAYERS 3

static uint8_t ram[PAGES * STASIS_PAGE_SIZE];
static uint64_t dirty[PAGES / 64];

/* Every write of the guest, its devices and the emulator itself comes through here. */
static void guest_write(uint32_t address, uint8_t value)
{
    uint32_t page = address / STASIS_PAGE_SIZE;

    ram[address] = value;
    dirty[page / 64] |= UINT64_C(1) << page % 64;
}

static void run_guest(uint32_t steps)
{
    static uint32_t state = 1;

    while (steps--) {
        state = state * 1664525 + 1013904223;
        guest_write(state % sizeof(ram), (uint8_t)(state >> 24));
    }
}

/* Saves, and puts the file in place of the parent. */
static int save(struct stasis_snap *snap, const char *path, struct stasis_snap **parent,
                struct stasis_error *err)
{
    struct stasis_snap *saved = NULL;
    struct stasis_save_opts opts = {
        .size = sizeof(opts), .producer = "acme-emu 3.1", .saved = &saved};
    struct stasis_save_stats stats;
    int rc = stasis_snap_set_parent(snap, *parent, err);

    if (!rc)
        rc = stasis_snap_save(snap, path, &opts, &stats, err);
    if (rc)
        return rc;
    stasis_snap_free(*parent);
    *parent = saved;
    memset(dirty, 0, sizeof(dirty)); /* not before the save has succeeded */
    printf("%" PRIu64 " KiB of RAM stored, %" PRIu64 " KiB as before\n", stats.stored_bytes >> 10,
           stats.below_bytes >> 10);
    return 0;
}

static int save_all(struct stasis_snap *snap, const char *folder, struct stasis_error *err)
{
    struct stasis_snap *parent = NULL;
    char path[4096];
    int rc = stasis_snap_add_ram(snap, 0, ram, sizeof(ram), err);

    if (!rc)
        rc = stasis_snap_set_dirty(snap, 0, dirty, err);
    for (unsigned n = 0; n <= LAYERS && !rc; n++) {
        run_guest(n ? 100 : 1000);
        snprintf(path, sizeof(path), "%s/%u.snap", folder, n);
        rc = save(snap, path, &parent, err);
    }
    stasis_snap_free(parent);
    return rc;
}

/* The newest file is opened like any other; what it lies on is found in its folder. */
static int load_last(const char *folder, struct stasis_error *err)
{
    static uint8_t loaded[sizeof(ram)];
    struct stasis_snap *snap = NULL;
    char path[4096];
    int rc;

    snprintf(path, sizeof(path), "%s/%u.snap", folder, LAYERS);
    rc = stasis_snap_open(path, NULL, &snap, err);
    if (!rc)
        rc = stasis_snap_get_ram(snap, 0, loaded, sizeof(loaded), NULL, NULL, err);
    if (!rc)
        printf("%u files, RAM is %s\n", stasis_snap_file_count(snap),
               memcmp(loaded, ram, sizeof(ram)) ? "another" : "the same");
    stasis_snap_free(snap);
    return rc;
}

int main(int argc, char **argv)
{
    struct stasis_error err = {.msg = "out of memory"};
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    int rc = 2;

    if (argc == 2 && snap) {
        rc = save_all(snap, argv[1], &err) || load_last(argv[1], &err);
        if (rc)
            fprintf(stderr, "%s\n", err.msg);
    }
    stasis_snap_free(snap);
    return rc;
}
