/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What comes before an overlay is sealed: what would keep it from that is found, and the disk is
 * waited for by somebody who may give up.
 */
#include "tests/state-ser/snap/overlay_rig.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "state-ser/snap/overlay.h"

static struct rig rig;

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig, 7);
    sem_init(&rig.go, 0, 0);
    sem_init(&rig.gone, 0, 0);
    rig_open(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_unlink_all(&rig);
    rig_fini(&rig);
    sem_destroy(&rig.go);
    sem_destroy(&rig.gone);
    return 0;
}

static void write_some(void)
{
    for (unsigned i = 0; i < 12; i++)
        assert_true(rig_step(&rig));
}

static bool asked;

static bool give_up(void *ctx)
{
    (void)ctx;
    asked = true;
    return false;
}

static bool wait_on(void *ctx)
{
    (void)ctx;
    asked = true;
    return true;
}

static void one_on_too_many_is_found(void **state)
{
    const uint16_t count = rig.overlay->below_count;
    struct stasis_error err = {.msg = "nothing"};

    (void)state;
    rig.overlay->below_count = STASIS_OVERLAY_CHAIN_MAX;
    assert_int_equal(stasis_overlay_check_seal(rig.overlay, &err), 0); /* it would not be sealed */
    write_some();
    assert_int_equal(stasis_overlay_check_seal(rig.overlay, &err), STASIS_ERR_FULL);
    assert_non_null(strstr(err.msg, "which is the most; end the guest"));
    rig.overlay->below_count = count;
    assert_int_equal(stasis_overlay_check_seal(rig.overlay, &err), 0);
}

static void nothing_is_waited_for_without_need(void **state)
{
    struct stasis_error err = {.msg = "nothing"};
    unsigned before = rig.syncs;

    (void)state;
    assert_int_equal(stasis_overlay_write_back(rig.overlay, wait_on, NULL, &err), 0);
    assert_int_equal(rig.syncs, before);
    write_some();
    assert_int_equal(stasis_overlay_write_back(rig.overlay, wait_on, NULL, &err), 0);
    assert_int_equal(rig.syncs, before + 1);
}

/* A thread that was left behind has the file open, and locked, until it ends. */
static void open_once_free(void)
{
    struct stasis_error err = {.msg = "nothing"};

    while (rig_try_open(&rig, &err)) {
        if (!strstr(err.msg, "it is in use"))
            fail_msg("%s", err.msg);
        sched_yield();
    }
}

/* A power cut after the next flush loses nothing, though the kernel will not tell that flush of
 * what it could not write. */
static void assert_flush_counts(void)
{
    struct stasis_error err = {.msg = "nothing"};

    if (stasis_overlay_flush(rig.overlay, &err))
        fail_msg("%s", err.msg);
    rig_close(&rig);
    rig_cut_power(&rig);
    open_once_free();
    rig_assert_holds(&rig, rig.content);
}

static void a_disk_that_hangs_is_given_up(void **state)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    struct stasis_error err = {.msg = "nothing"};
    bool has_root;

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        write_some();
        asked = false;
        rig.sync_hangs = true;
        assert_int_equal(stasis_overlay_write_back(rig.overlay, give_up, NULL, &err),
                         STASIS_ERR_CANCELLED);
        assert_true(asked);
        assert_string_equal(err.msg, "cancelled while the overlay was brought to the disk");
        rig_assert_holds(&rig, rig.content);
        sem_post(&rig.go);
        sem_wait(&rig.gone);
        assert_flush_counts();
    }
    write_some();
    if (stasis_overlay_write_back(rig.overlay, wait_on, NULL, &err) ||
        stasis_overlay_seal(rig.overlay, 0, root, &has_root, &err))
        fail_msg("%s", err.msg);
    rig_assert_holds(&rig, rig.content);
}

static void a_disk_that_fails_is_told(void **state)
{
    struct stasis_error err = {.msg = "nothing"};

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        write_some();
        rig.error = EIO;
        rig.sync_to_fail = 1;
        assert_int_equal(stasis_overlay_write_back(rig.overlay, wait_on, NULL, &err),
                         STASIS_ERR_WRITE);
        assert_int_equal(err.os_errno, EIO);
        assert_flush_counts();
    }
}

/* The overlay is as it was, and no other name is left. */
static void a_file_system_that_cannot_do_it_is_told(void **state)
{
    uint8_t root[STASIS_OVERLAY_ROOT_SIZE];
    struct stasis_error err;
    bool has_root;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        rig.cannot_link = i == 0;
        rig.cannot_exchange = i == 1;
        assert_true(rig_write(&rig, i * RIG_PAGE, RIG_PAGE));
        assert_int_equal(stasis_overlay_seal(rig.overlay, 0, root, &has_root, &err),
                         i < 2 ? STASIS_ERR_WRITE : 0);
        if (i < 2)
            assert_non_null(strstr(err.msg, "exchanging its name with that of the new one"));
        rig_assert_holds(&rig, rig.content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_on_too_many_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_waited_for_without_need, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_hangs_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_fails_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_system_that_cannot_do_it_is_told, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
