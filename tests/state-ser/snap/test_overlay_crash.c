/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Overlays on disks that lose their power, fail, or are full: what was flushed is there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/state-ser/snap/overlay_rig.h"

#include "state-ser/snap/overlay.h"

#define FIRST_SEED 20261130u
#define DISKS      2u
#define LIVES      40u

struct tally {
    unsigned lives, flushes, in_flight, failed;
};

/* Some writes and flushes. After the last flush that succeeded `flushed` is what the disk holds. */
static void live(struct rig *rig, uint8_t *flushed, struct tally *tally)
{
    unsigned steps = rig_random(rig, 60);

    for (unsigned i = 0; i < steps; i++) {
        assert_true(rig_step(rig));
        if (rig_random(rig, 3))
            continue;
        assert_int_equal(stasis_overlay_flush(rig->overlay, NULL), 0);
        memcpy(flushed, rig->content, RIG_BYTES);
        tally->flushes++;
    }
    rig_assert_holds(rig, rig->content);
}

/* A flush that the power cut comes into: a sync of it never returns, the first or, where a log
 * begins, the second. */
static bool begin_flush(struct rig *rig)
{
    int rc;

    rig->sync_fails = 1 + rig_random(rig, 2);
    rig->keeps_pending = true;
    rc = stasis_overlay_flush(rig->overlay, NULL);
    rig->sync_fails = 0;
    return rc;
}

static void power_cuts_leave_what_was_flushed(void **state)
{
    static uint8_t flushed[RIG_BYTES], at_flush[RIG_BYTES];
    struct tally tally = {0};

    (void)state;
    for (unsigned disk = 0; disk < DISKS; disk++) {
        struct rig rig;

        rig_init(&rig, FIRST_SEED + disk);
        memcpy(flushed, rig.base, RIG_BYTES);
        for (unsigned i = 0; i < LIVES; i++) {
            bool in_flight;

            rig_open(&rig);
            live(&rig, flushed, &tally);
            memcpy(at_flush, rig.content, RIG_BYTES);
            in_flight = begin_flush(&rig);
            if (!in_flight)
                memcpy(flushed, rig.content, RIG_BYTES);
            if (in_flight && rig_random(&rig, 2)) /* and a write after it */
                (void)rig_step(&rig);
            rig_close(&rig);
            rig_cut_power(&rig);
            rig_open(&rig);
            if (in_flight && rig_holds(&rig, at_flush))
                memcpy(flushed, at_flush, RIG_BYTES);
            if (!rig_holds(&rig, flushed))
                fail_msg("disk %u, life %u: what was flushed is lost", disk, i);
            memcpy(rig.content, flushed, RIG_BYTES);
            rig_close(&rig);
            tally.lives++;
            tally.in_flight += in_flight;
        }
        rig_fini(&rig);
    }
    printf("seed %u: %u power cuts, %u of them in a flush, %u flushes\n", FIRST_SEED, tally.lives,
           tally.in_flight, tally.flushes);
    assert_true(tally.in_flight > 20 && tally.flushes > 500);
}

/* Whether the next commit goes to the log that there is. */
static bool log_has_room(const struct rig *rig)
{
    const struct stasis_overlay *overlay = rig->overlay;

    return stasis_commit_places(stasis_commit_len(overlay->map.dirty, 0)) <=
           overlay->use.log.count - overlay->use.log_used;
}

/* The page cache shows a commit that the disk may not have: who opens the overlay counts on it. To
 * that of a log for which the first sync has failed no slot leads. */
static void a_power_cut_after_a_kill_leaves_what_was_opened(void **state)
{
    static uint8_t flushed[RIG_BYTES];
    struct tally tally = {0};
    bool has_room, in_flight;
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST_SEED + 50);
    for (unsigned i = 0; i < LIVES; i++) {
        rig_open(&rig);
        live(&rig, flushed, &tally);
        has_room = log_has_room(&rig);
        in_flight = begin_flush(&rig);
        rig_close(&rig); /* killed */
        rig_open(&rig);
        if (in_flight && !has_room && !rig_holds(&rig, rig.content))
            memcpy(rig.content, flushed, RIG_BYTES);
        rig_assert_holds(&rig, rig.content);
        tally.in_flight += in_flight;
        memcpy(flushed, rig.content, RIG_BYTES);
        for (unsigned steps = rig_random(&rig, 30); steps; steps--)
            (void)rig_step(&rig); /* to places that the last commit has freed */
        rig_close(&rig);
        rig_cut_power(&rig);
        rig_open(&rig);
        if (!rig_holds(&rig, flushed))
            fail_msg("life %u: what was there when it was opened is lost", i);
        memcpy(rig.content, flushed, RIG_BYTES);
        rig_close(&rig);
    }
    rig_fini(&rig);
    assert_true(tally.in_flight > 10);
}

/* ---- failures ---- */

/* Until a flush succeeds: pages that cannot be read are written anew, as a guest would that was
 * told. */
static void flush_at_last(struct rig *rig, struct tally *tally)
{
    rig->write_fails = 40; /* of a suspect disk each page is written once more, in one go */
    for (unsigned tries = 0; stasis_overlay_flush(rig->overlay, NULL); tries++) {
        tally->failed++;
        assert_true(tries < 1000);
        for (uint64_t at = 0; at < RIG_BYTES; at += RIG_PAGE) {
            size_t len = RIG_BYTES - at < RIG_PAGE ? (size_t)(RIG_BYTES - at) : RIG_PAGE;
            uint8_t page[RIG_PAGE];

            while (stasis_overlay_read(rig->overlay, at, page, len, NULL))
                (void)rig_write(rig, at / RIG_PAGE * RIG_PAGE, len);
            assert_memory_equal(page, rig->content + at, len);
        }
    }
}

/* What failed is what it was before, or the new, page by page: the guest does not know. */
static void take_what_is_there(struct rig *rig)
{
    for (uint64_t at = 0; at < RIG_BYTES; at += 512) {
        uint8_t sector[512];

        if (!stasis_overlay_read(rig->overlay, at, sector, sizeof(sector), NULL))
            memcpy(rig->content + at, sector, sizeof(sector));
    }
}

static void faults_lose_nothing_that_a_flush_confirms(void **state)
{
    struct tally tally = {0};

    (void)state;
    for (unsigned disk = 0; disk < DISKS; disk++) {
        struct rig rig;

        rig_init(&rig, FIRST_SEED + 100 + disk);
        rig_open(&rig);
        for (unsigned i = 0; i < LIVES; i++) {
            rig.error = i & 1 ? EIO : ENOSPC;
            rig.write_fails = 6;
            rig.sync_fails = 4;
            for (unsigned steps = rig_random(&rig, 40); steps; steps--) {
                if (!rig_step(&rig))
                    take_what_is_there(&rig);
                if (!rig_random(&rig, 4) && stasis_overlay_flush(rig.overlay, NULL)) {
                    tally.failed++;
                    if (rig_random(&rig, 2))
                        rig_evict(&rig);
                }
            }
            flush_at_last(&rig, &tally);
            rig.write_fails = rig.sync_fails = 0;
            rig_assert_holds(&rig, rig.content);
            rig_close(&rig);
            rig_cut_power(&rig);
            rig_open(&rig);
            rig_assert_holds(&rig, rig.content);
            tally.lives++;
        }
        rig_fini(&rig);
    }
    printf("seed %u: %u lives, %u flushes failed\n", FIRST_SEED + 100, tally.lives, tally.failed);
    assert_true(tally.failed > 100);
}

/* With a slot that does not get to the disk the kernel may drop what the guest has written since
 * the commit that it leads to. */
static void a_slot_that_fails_takes_nothing_along(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST_SEED + 300);
    rig_open(&rig);
    while (log_has_room(&rig) || !rig.overlay->map.dirty) {
        assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
        assert_true(rig_write(&rig, 0, RIG_PAGE));
    }
    rig.sync_to_fail = 2; /* the first is that of the log */
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), STASIS_ERR_WRITE);
    for (unsigned page = 0; page < 16; page++)
        assert_true(rig_write(&rig, (uint64_t)page * RIG_PAGE, RIG_PAGE));
    rig.sync_to_fail = 1;
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), STASIS_ERR_WRITE);
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    rig_close(&rig);
    rig_cut_power(&rig);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.content);
    rig_fini(&rig);
}

static void a_full_disk_is_told_and_nothing_else_is_lost(void **state)
{
    static uint8_t flushed[RIG_BYTES];
    struct stasis_error err;
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST_SEED + 200);
    rig_open(&rig);
    assert_true(rig_write(&rig, 0, 8 * RIG_PAGE));
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    memcpy(flushed, rig.content, RIG_BYTES);
    rig.room_bytes = stasis_overlay_stats(rig.overlay).file_bytes;
    assert_false(rig_write(&rig, 0, 8 * RIG_PAGE));
    rig_assert_holds(&rig, flushed);
    assert_int_equal(stasis_overlay_write(rig.overlay, 0, flushed + 1, 512, &err),
                     STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "writing to the overlay: No space left on device"));
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    /* What is given up makes room. */
    assert_int_equal(stasis_overlay_zero(rig.overlay, 0, 4 * RIG_PAGE, NULL), 0);
    memset(rig.content, 0, 4 * RIG_PAGE);
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    assert_true(rig_write(&rig, 4 * RIG_PAGE, 4 * RIG_PAGE));
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    rig_close(&rig);
    rig_cut_power(&rig);
    rig_open(&rig);
    rig_assert_holds(&rig, rig.content);
    rig_fini(&rig);
}

/* ---- one sync fails, and nothing else ---- */

static void each_sync_of_a_new_one_has_to_succeed(void **state)
{
    unsigned refused = 0, left;
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST_SEED + 500);
    do {
        rig.sync_to_fail = refused + 1;
        int rc = rig_try_open(&rig, NULL);

        left = rig.sync_to_fail;
        assert_int_equal(rc, left ? 0 : STASIS_ERR_WRITE);
        refused += !left;
    } while (!left);
    rig_fini(&rig);
    assert_in_range(refused, 3, 10); /* of its first commit, of its slot, of its header */
}

/* What was flushed is on the disk, and is not written again. */
static void only_what_may_be_lost_is_written_anew(void **state)
{
    uint64_t len;
    struct rig rig;

    (void)state;
    rig_init(&rig, FIRST_SEED + 501);
    rig_open(&rig);
    for (uint64_t page = 0; page < 32; page += 8)
        assert_true(rig_write(&rig, page * RIG_PAGE, 8 * RIG_PAGE));
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    assert_true(rig_write(&rig, 0, RIG_PAGE));
    rig.sync_to_fail = 1;
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), STASIS_ERR_WRITE);
    len = stasis_overlay_stats(rig.overlay).file_bytes;
    assert_int_equal(stasis_overlay_flush(rig.overlay, NULL), 0);
    assert_in_range(stasis_overlay_stats(rig.overlay).file_bytes, len, len + RIG_PAGE);
    rig_assert_holds(&rig, rig.content);
    rig_fini(&rig);
}

/* The inode and the length of the file that has the overlay's name, after a seal of which that sync
 * fails, if there are so many; whether one did. */
static bool seal_with_fault(unsigned sync, ino_t *ret_before, struct stat *ret_after)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    bool has_root, failed;
    struct rig rig;
    int rc;

    rig_init(&rig, FIRST_SEED + 502);
    rig_open(&rig);
    assert_true(rig_write(&rig, 0, 8 * RIG_PAGE));
    assert_int_equal(stat(rig.path, ret_after), 0);
    *ret_before = ret_after->st_ino;
    rig.sync_to_fail = sync;
    rc = stasis_overlay_seal(rig.overlay, STASIS_OVERLAY_DIGESTS, root, &has_root, NULL);
    failed = !rig.sync_to_fail;
    assert_int_equal(rc, failed ? STASIS_ERR_WRITE : 0);
    rig_assert_holds(&rig, rig.content);
    assert_int_equal(stat(rig.path, ret_after), 0);
    rig_unlink_all(&rig);
    rig_fini(&rig);
    return failed;
}

/* Its length tells a new overlay in which nothing was written from another. */
static void a_seal_that_fails_late_leaves_the_new_one_alone(void **state)
{
    struct stat whole, after;
    unsigned sync = 1, late = 0;
    ino_t before;

    (void)state;
    assert_false(seal_with_fault(1000, &before, &whole));
    for (; seal_with_fault(sync, &before, &after); sync++) {
        if (after.st_ino == before)
            continue;
        assert_int_equal(after.st_size, whole.st_size);
        late++;
    }
    assert_in_range(late, 1, sync - 2);
}

/* ---- the model can fail ---- */

static void without_syncs_it_breaks(void **state)
{
    unsigned lost = 0;

    (void)state;
    for (unsigned disk = 0; disk < 20; disk++) {
        struct stasis_error err;
        struct rig rig;

        rig_init(&rig, FIRST_SEED + 300 + disk);
        rig_open(&rig);
        assert_true(rig_write(&rig, 0, 8 * RIG_PAGE));
        rig.sync_fails = 1;
        rig.keeps_pending = true; /* it is not told to the overlay's user below */
        (void)!stasis_overlay_flush(rig.overlay, NULL);
        rig_close(&rig);
        rig_cut_power(&rig);
        lost += rig_try_open(&rig, &err) || !rig_holds(&rig, rig.content);
        rig_fini(&rig);
    }
    assert_in_range(lost, 5, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_leave_what_was_flushed),
        cmocka_unit_test(a_power_cut_after_a_kill_leaves_what_was_opened),
        cmocka_unit_test(faults_lose_nothing_that_a_flush_confirms),
        cmocka_unit_test(a_slot_that_fails_takes_nothing_along),
        cmocka_unit_test(a_full_disk_is_told_and_nothing_else_is_lost),
        cmocka_unit_test(each_sync_of_a_new_one_has_to_succeed),
        cmocka_unit_test(only_what_may_be_lost_is_written_anew),
        cmocka_unit_test(a_seal_that_fails_late_leaves_the_new_one_alone),
        cmocka_unit_test(without_syncs_it_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
