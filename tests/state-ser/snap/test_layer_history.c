/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Chains of layers of a guest that goes on at random: each of them is the guest as it was then,
 * byte by byte, whoever opens it, and whole indexes come when they are due.
 *
 * test_snap_layer_history [ROUNDS [SEED]]: chains of so many layers.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/object.h"

#define PAGE       STASIS_PAGE_SIZE
#define ROUNDS_MAX 4000

static unsigned rounds = 32;
static uint32_t first_seed = 20261130;

struct history {
    struct built built;
    struct dirty dirty[2];
    struct stasis_snap *last; /* the newest file */
    struct stasis_save_opts opts;
    const char *folder;
    uint32_t seed;
    unsigned count;             /* of files */
    unsigned whole;             /* of them, layers with a whole index */
    uint32_t crc[ROUNDS_MAX];   /* of the guest's RAM when each was saved */
    uint64_t longest_whole_len; /* of an index */
};

static uint32_t draw(struct history *history, uint32_t below)
{
    history->seed ^= history->seed << 13;
    history->seed ^= history->seed >> 17;
    history->seed ^= history->seed << 5;
    return history->seed % below;
}

static uint32_t crc_of(uint8_t *const ram[], const struct built *built)
{
    uint32_t crc = 0;

    for (uint32_t r = 0; r < built->region_count; r++)
        crc = stasis_crc32_more(crc, ram[r], built->size[r]);
    return crc;
}

static void path_of(const struct history *history, unsigned n, char path[128])
{
    snprintf(path, 128, "%s/%u", history->folder, n);
}

/* ---- the guest ---- */

static void write_pages(struct history *history, unsigned r, unsigned first, unsigned count)
{
    unsigned kind = draw(history, 4);
    unsigned pages = (unsigned)(history->built.size[r] / PAGE);

    for (unsigned page = first; page < first + count && page < pages; page++) {
        uint8_t *ram = history->built.ram[r] + (size_t)page * PAGE;

        dirty_add(&history->dirty[r], page);
        if (kind == 0)
            memset(ram, 0, PAGE);
        else if (kind == 1)
            fill_random(ram, PAGE, history->seed + page);
        else if (kind == 2)
            ram[draw(history, PAGE)] ^= 1; /* which may make it zero again */
        /* else it was called dirty for nothing */
    }
}

static void run_guest(struct history *history)
{
    unsigned writes = draw(history, 12);

    for (unsigned i = 0; i < writes; i++) {
        unsigned r = draw(history, 2);
        unsigned page = draw(history, (uint32_t)(history->built.size[r] / PAGE));

        if (draw(history, 8))
            write_pages(history, r, page, 1 + draw(history, 3));
        else
            write_pages(history, r, page & ~15u, 16 * (1 + draw(history, 3)));
    }
}

/* ---- its files ---- */

static void history_init(struct history *history, const struct stasis_save_opts *opts)
{
    struct stasis_error err = {0};

    *history = (struct history){.opts = *opts, .folder = folder_make(), .seed = first_seed};
    built_init(&history->built);
    built_add(&history->built, 0, 20 * STASIS_CHUNK_SIZE + 5 * PAGE);
    built_add(&history->built, 0x1000000, 44 * STASIS_CHUNK_SIZE);
    fill_random(history->built.ram[0], 12 * STASIS_CHUNK_SIZE, 1);
    fill_random(history->built.ram[1] + 7 * PAGE, 30 * STASIS_CHUNK_SIZE, 2);
    for (unsigned r = 0; r < 2; r++)
        if (stasis_snap_set_dirty(history->built.snap, r, history->dirty[r].words, &err))
            fail_msg("%s", err.msg);
}

static void history_fini(struct history *history)
{
    stasis_snap_free(history->last);
    built_fini(&history->built);
    folder_remove();
}

static void load(struct stasis_snap *snap, const struct built *built, uint32_t crc)
{
    struct stasis_error err = {0};
    uint8_t *ram[2];

    for (uint32_t r = 0; r < 2; r++) {
        ram[r] = malloc(built->size[r]);
        assert_non_null(ram[r]);
        memset(ram[r], 0xaa, built->size[r]);
        if (stasis_snap_load_ram(snap, r, ram[r], 1, NULL, NULL, &err))
            fail_msg("%s", err.msg);
    }
    assert_int_equal(crc_of(ram, built), crc);
    free(ram[0]);
    free(ram[1]);
}

static void check_file(const struct history *history, unsigned n)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    char path[128];

    path_of(history, n, path);
    if (stasis_snap_open(path, NULL, &snap, &err) || stasis_snap_verify(snap, 1, NULL, NULL, &err))
        fail_msg("seed %u: %s", first_seed, err.msg);
    load(snap, &history->built, history->crc[n]);
    stasis_snap_free(snap);
}

/* Whoever opens the newest file reads twice what a whole index has, at most. */
static void check_lengths(struct history *history, const struct stasis_save_stats *stats)
{
    const struct stasis_snap_info *info = stasis_snap_info(history->last);

    if (stats->whole_index || !history->count)
        history->longest_whole_len = stats->index_bytes;
    if (stats->whole_index)
        assert_int_equal(info->partial_index_bytes, 0);
    assert_true(info->partial_index_bytes <= 2 * history->longest_whole_len);
    history->whole += stats->whole_index;
}

/* The guest as it is now, on the file before. */
static void save_next(struct history *history)
{
    struct stasis_save_stats stats = {0};
    struct stasis_error err = {0};
    struct stasis_snap *saved = NULL;
    char path[128];

    path_of(history, history->count, path);
    history->opts.saved = &saved;
    if (stasis_snap_set_parent(history->built.snap, history->last, &err) ||
        stasis_snap_save(history->built.snap, path, &history->opts, &stats, &err))
        fail_msg("%s", err.msg);
    stasis_snap_free(history->last);
    history->last = saved;
    history->crc[history->count] = crc_of(history->built.ram, &history->built);
    check_lengths(history, &stats);
    memset(history->dirty, 0, sizeof(history->dirty));
    load(saved, &history->built, history->crc[history->count++]);
}

static void go_through_a_history(const struct stasis_save_opts *opts, unsigned length)
{
    struct history *history = malloc(sizeof(*history));

    assert_non_null(history);
    history_init(history, opts);
    save_next(history);
    while (history->count <= length) {
        run_guest(history);
        save_next(history);
    }
    for (unsigned n = 0; n < history->count; n += 1 + draw(history, 9))
        check_file(history, n);
    check_file(history, history->count - 1);
    printf("seed %u: %u layers, %u of them with a whole index\n", first_seed, history->count - 1,
           history->whole);
    assert_true(history->whole > 0 && history->whole < length);
    history_fini(history);
    free(history);
}

static void each_layer_is_the_guest_of_its_time(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .threads = 1, .no_sync = true};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        opts.zlib_level = i == 1 ? 1 : 0;
        opts.digests = i == 2;
        go_through_a_history(&opts, rounds);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_layer_is_the_guest_of_its_time),
    };

    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        first_seed = (uint32_t)strtoul(argv[2], NULL, 10);
    if (!rounds || rounds >= ROUNDS_MAX || !first_seed)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
